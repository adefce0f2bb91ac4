"""Daily summaries: how often each label was found, by day and hour, beside how much was analysed; ``daily.csv``.

A row is an hour of a day, a label of the model and, with ``--by COLUMN``, a value of that column. Each hour that was
analysed has a row for every label, so that "analysed, nothing found" is a 0 and not a gap; hours of which nothing was
analysed have no row. Recordings whose begin is unknown are in rows without date and hour.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from hubbub.errors import LabelsError, suggest_nearest
from hubbub.io.paths import StoragePath
from hubbub.io.text import count_noun
from hubbub.labels.clock import HOUR, UNKNOWN, Micros, choose_step, count_micros, cut_spans, find_hours, read_zone
from hubbub.labels.export._files import ROWS_AT_ONCE, one_line, split_rows, write_parts
from hubbub.labels.export._source import Export, ExportSource, find_begins, find_ends, read_times
from hubbub.labels.export._values import write_cell, write_csv

OPTIONS = frozenset({"timezone", "by", "spreadsheet"})

SCHEMA = {
    "date": "day in the time zone; empty: unknown",
    "hour": "0 to 23; empty: unknown",
    "timezone": "text",
    "label": "text",
    "events": "events that begin in the hour",
    "minutes_with_events": "minutes of the clock in which the label sounds",
    "recordings": "recordings of which something was analysed",
    "analysed_hours": "hours, six decimals",
}
"""Columns in their order, and what they hold; the column of ``--by`` stands before `label`."""

MOST_LABELS = 200
"""Labels that have rows of zeros all through; of models with more, those that were found somewhere."""

_MICROS = 1_000_000
_MINUTE = 60 * _MICROS


def write(source: ExportSource, folder: StoragePath) -> Export:
    """Write ``daily.csv``.

    Raises
    ------
    UsageError
        For a time zone that is unknown.
    LabelsError
        For a column that the tables do not carry.
    """
    zone, by = read_zone(source.options.timezone), source.options.by
    if by is not None and by not in source.files.columns:
        own = [str(name) for name in source.files.columns]
        raise LabelsError(f"--by {by}: the label tables carry no such column: {suggest_nearest(by, own)}")
    rows = _Groups(source, zone)
    effort, found = rows.measure_effort(), rows.count_events()
    labels, notes = _choose_labels(source)
    places = {*effort.index, *((group, hour_at) for group, hour_at, _ in found.index)}
    cells = pd.DataFrame(sorted(places), columns=["group", "hour_at"])
    at_once = max(1, ROWS_AT_ONCE // max(1, len(labels)))
    parts = (
        _tabulate(_cross(part, labels, effort, found), rows.values, by, zone)
        for part in split_rows(source, cells.astype("int64"), "hours", at_once=at_once)
    )
    path = write_parts(folder / "daily.csv", write_csv(parts, guard=source.options.spreadsheet))
    return Export([path], notes=(*rows.describe_unknown(), *notes))


def read(path: Path) -> pd.DataFrame:
    """Read the summary back; it holds no events."""
    return pd.read_csv(
        path, keep_default_na=False, na_values={"hour": [""]}, dtype={"hour": "Int64", "label": "string"}
    )


def _choose_labels(source: ExportSource) -> tuple[list[str], list[str]]:
    """Return the labels that have rows, and what is to be said of them."""
    found = [str(label) for label in source.events["label"].unique()]
    labels = source.order_labels(found)
    if len(labels) <= MOST_LABELS:
        return labels, []
    chosen = [label for label in labels if label in {*found}]
    return chosen, [f"{len(labels) - len(chosen)} of {len(labels)} labels were never found, and have no rows of zeros"]


def _cross(cells: pd.DataFrame, labels: list[str], effort: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """A row for each cell and label, with what was analysed and found."""
    rows = cells.loc[cells.index.repeat(len(labels))].reset_index(drop=True)
    rows["label"] = np.tile(np.asarray(labels, dtype=object), len(cells))
    keys = ["group", "hour_at"]
    return rows.join(effort, on=keys).join(found, on=[*keys, "label"])


class _Groups:
    """Files and events in the groups of ``--by``, with their hours in the time zone.

    Attributes
    ----------
    values
        The value of each group, sorted.
    """

    def __init__(self, source: ExportSource, zone: str) -> None:
        self._source, self._zone, self._step = source, zone, choose_step(zone)
        files = source.analysed
        by = source.options.by
        named = files[by].map(_name_value) if by is not None else pd.Series("", index=files.index, dtype=object)
        key = "clip_id" if {"clip_id"} <= {*files.columns} & {*source.events.columns} else "uri"
        of_file = dict(zip(files[key], named, strict=True))
        of_event = source.events[key].map(of_file).fillna("").astype(object)
        self.values = sorted({*named, *of_event})
        codes = {value: code for code, value in enumerate(self.values)}
        self._files = pd.DataFrame(
            {
                "group": named.map(codes).astype("int64"),
                "uri": pd.factorize(files["uri"])[0],
                "began": count_micros(read_times(files, "recorded_at")),
                "begin": _round_micros(find_begins(files)),
                "end": _round_micros(find_ends(files).fillna(find_begins(files))),
            }
        )
        self._event_groups = of_event.map(codes).astype("int64").to_numpy()

    def measure_effort(self) -> pd.DataFrame:
        """Recordings and hours analysed, by group and hour; of segments that overlap, sound counts once."""
        files = self._files.sort_values(["uri", "group", "begin"], ignore_index=True)
        files["begin"] = _cover_once(files)
        known = files["began"] != UNKNOWN
        parts = []
        for is_known, own in files.groupby(known):
            if not is_known:
                hours: Micros = np.full(len(own), UNKNOWN)
                spans: Micros = np.arange(len(own))
                lasts = (own["end"] - own["begin"]).to_numpy()
            else:
                begins, ends = (own["began"] + own[name] for name in ("begin", "end"))
                spans, first, lasts = cut_spans(begins.to_numpy(), ends.to_numpy(), self._step)
                hours = find_hours(first, self._zone)
            held = own.iloc[spans]
            parts.append(
                pd.DataFrame(
                    {
                        "group": held["group"].to_numpy(),
                        "hour_at": hours,
                        "uri": held["uri"].to_numpy(),
                        "lasts": np.maximum(lasts, 0),
                    }
                )
            )
        empty = pd.DataFrame({"group": [], "hour_at": [], "uri": [], "lasts": []}, dtype="int64")
        cells = pd.concat([empty, *parts]).groupby(["group", "hour_at"])
        return pd.DataFrame({"recordings": cells["uri"].nunique(), "lasts": cells["lasts"].sum()})

    def count_events(self) -> pd.DataFrame:
        """Events, and minutes with events, by group, hour and label."""
        events, step = self._source.events, self._step
        onset, lasts = self._place_events()
        labels, names = pd.factorize(events["label"].astype(object))
        is_known = onset != UNKNOWN
        hours = np.full(len(events), UNKNOWN)
        hours[is_known] = find_hours(onset[is_known] // step * step, self._zone)
        keys = ["group", "hour_at", "label"]
        frame = pd.DataFrame({"group": self._event_groups, "hour_at": hours, "label": labels})
        counts = frame.groupby(keys).size().rename("events")
        minutes = [self._find_minutes(is_known, onset, lasts, labels), self._find_unknown(is_known, lasts, labels)]
        found = pd.DataFrame(counts).join(
            pd.concat(minutes).groupby(keys)["minutes"].sum().rename("minutes_with_events"), how="outer"
        )
        found = found.reset_index()
        found["label"] = np.asarray(names, dtype=object)[found["label"].to_numpy(np.int64)]
        return found.set_index(keys)

    def describe_unknown(self) -> Iterator[str]:
        """Say how many recordings have no time."""
        unknown = self._files.loc[self._files["began"] == UNKNOWN, "uri"].nunique()
        if unknown:
            yield f"{count_noun(unknown, 'recording')} without recorded_at: counted in rows without date and hour"

    def _place_events(self) -> tuple[Micros, Micros]:
        """When each event begins, microseconds of UTC, and how long it lasts."""
        events = self._source.events
        lasts = _round_micros(events["offset_s"]) - _round_micros(events["onset_s"])
        return count_micros(read_times(events, "onset_at")), np.maximum(np.asarray(lasts), 1)

    def _find_minutes(
        self,
        chosen: npt.NDArray[np.bool_],
        onset: Micros,
        lasts: Micros,
        labels: Micros,
    ) -> pd.DataFrame:
        """Minutes of the clock in which each label sounds: each once, however many events it has."""
        place = {"group": self._event_groups[chosen], "label": labels[chosen]}
        found = _count_minutes(place, onset[chosen], onset[chosen] + lasts[chosen])
        found["hour_at"] = find_hours(found["at"].to_numpy() // self._step * self._step, self._zone)
        return found

    def _find_unknown(self, is_known: npt.NDArray[np.bool_], lasts: Micros, labels: Micros) -> pd.DataFrame:
        """The same where no time is known: minutes of each recording from its start."""
        events = self._source.events[~is_known]
        begins = np.asarray(_round_micros(events["onset_s"]))
        uri = pd.factorize(events["uri"].astype(object))[0]
        place = {"group": self._event_groups[~is_known], "label": labels[~is_known], "uri": uri}
        return _count_minutes(place, begins, begins + lasts[~is_known]).assign(hour_at=UNKNOWN)


def _count_minutes(place: dict[str, Micros], begins: Micros, ends: Micros) -> pd.DataFrame:
    """Minutes that any of the spans of a place touches, each once; some spans at a time, as they may be long."""
    columns = [*place, "at"]
    held = pd.DataFrame({name: np.empty(0, np.int64) for name in columns})
    for begin in range(0, len(begins), ROWS_AT_ONCE):
        some = slice(begin, begin + ROWS_AT_ONCE)
        span, first, _ = cut_spans(begins[some], ends[some], _MINUTE)
        part = pd.DataFrame({**{name: values[some][span] for name, values in place.items()}, "at": first})
        held = pd.concat([held, part.drop_duplicates()]).drop_duplicates(ignore_index=True)
    return held.assign(minutes=1)


def _cover_once(files: pd.DataFrame) -> pd.Series:
    """Begins of segments sorted by begin, later where an earlier segment of the recording reaches."""
    reached = files.groupby(["uri", "group"])["end"].cummax().groupby([files["uri"], files["group"]]).shift()
    begins = np.maximum(files["begin"], reached.fillna(files["begin"]).astype("int64"))
    return pd.Series(np.minimum(begins, np.maximum(files["end"], files["begin"])), index=files.index)


def _round_micros(seconds: pd.Series) -> pd.Series:
    return (seconds.astype("float64") * _MICROS).round().astype("int64")


def _name_value(value: object) -> str:
    """A value of the column of ``--by`` as text; what is missing is empty."""
    if not isinstance(value, list | tuple | dict | np.ndarray) and pd.isna(value):  # type: ignore[call-overload]
        return ""
    return one_line(str(write_cell(value)))


def _tabulate(table: pd.DataFrame, values: list[str], by: str | None, zone: str) -> pd.DataFrame:
    is_known = (table["hour_at"] != UNKNOWN).to_numpy()
    at = pd.to_datetime(table["hour_at"].where(is_known), unit="us")
    columns: dict[str, object] = {
        "date": at.dt.strftime("%Y-%m-%d"),
        "hour": at.dt.hour.astype("Int64"),
        "timezone": zone,
    }
    if by is not None:
        columns[f"by_{by}" if by in SCHEMA else by] = [values[group] for group in table["group"]]
    columns["label"] = table["label"].map(one_line)
    for name in ("events", "minutes_with_events", "recordings"):
        columns[name] = table[name].fillna(0).astype("int64")
    columns["analysed_hours"] = (table["lasts"].fillna(0) / HOUR).round(6)
    return pd.DataFrame(columns, index=table.index)
