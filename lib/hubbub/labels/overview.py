"""What label tables hold, in numbers: failures, events by label, column and place, scores, samples.

Pure functions from the frames of `LabelTables.files` and `LabelTables.events` to plain data; whoever draws, a page or a
browser, shows the same numbers. Nothing is drawn here; day and hour are in `hubbub.labels.coverage`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from hubbub.labels.coverage import keep_analysed
from hubbub.labels.schemas import label_schemas

MOST_VALUES = 12
"""Values of a carried column at most for it to be told by value."""

SCORE_BINS = 20
"""Bins of a histogram of scores, from 0 to 1."""

_OWN_COLUMNS = frozenset(label_schemas(pa.schema([]), 1).files.names) - {"group"}
_PLACE_COLUMNS = ("latitude", "longitude")


@dataclass(frozen=True)
class Totals:
    """The archive in numbers."""

    recordings: int
    """Recordings of which a clip is ok."""
    failed: int
    """Clips that failed."""
    audio_s: float
    """Seconds of audio of the clips that are ok."""
    events: int
    labels_found: int
    """Labels with an event."""


@dataclass(frozen=True)
class FailureGroup:
    """Clips that failed for one reason."""

    reason: str
    """The text of their errors; names of files and numbers in it, which differ, are ``…``."""
    clips: int
    uri: str
    """The first of them."""
    error: str
    """Of the first, in full."""


@dataclass(frozen=True)
class LabelCount:
    """How much of one label there is."""

    label: str
    events: int
    recordings: int
    """Recordings with an event."""
    total_s: float
    """Length of its events together, in seconds."""


@dataclass(frozen=True)
class ValueCount:
    """What there is of one value of a column."""

    value: str
    """Empty where the column is null."""
    recordings: int
    audio_s: float
    events: int
    by_label: tuple[tuple[str, int], ...]
    """Events of the most frequent labels of the whole, in their order."""


@dataclass(frozen=True)
class ColumnCounts:
    """What there is by the values of a carried column."""

    column: str
    values: tuple[ValueCount, ...]
    """The most recordings first."""


@dataclass(frozen=True)
class MapPoint:
    """Recordings at one place."""

    latitude: float
    """Degrees, -90 to 90."""
    longitude: float
    """Degrees, -180 to 180."""
    recordings: int
    audio_s: float
    events: int


@dataclass(frozen=True)
class MapPoints:
    """Where recordings were made."""

    points: tuple[MapPoint, ...]
    unplaced: int
    """Recordings without a place, or with one that is none."""
    cell_deg: float
    """Recordings within a cell of so many degrees are one point; 0: only those of equal place are."""


@dataclass(frozen=True)
class ScoreHistogram:
    """Scores of one label, in `SCORE_BINS` bins of equal width from 0 to 1, the last with its upper end."""

    label: str
    events: tuple[int, ...]
    """Events by their peak."""
    clips: tuple[int, ...]
    """Clips by their highest score, whether it made an event or not; all 0 where the files do not say."""


def count_totals(files: pd.DataFrame, events: pd.DataFrame) -> Totals:
    """Count recordings, failures, audio and events."""
    ok = keep_analysed(files)
    audio_s = float(ok["duration_s"].astype("float64").sum())
    return Totals(ok["uri"].nunique(), len(files) - len(ok), audio_s, len(events), int(events["label"].nunique()))


def group_failures(files: pd.DataFrame) -> list[FailureGroup]:
    """Group failed clips by reason, the most frequent first."""
    groups: dict[str, FailureGroup] = {}
    failed = files[files["status"] != "ok"]
    for uri, error in zip(failed["uri"].tolist(), failed["error"].fillna("").tolist(), strict=True):
        reason = _reason(error, uri)
        old = groups.get(reason)
        groups[reason] = FailureGroup(reason, 1, uri, error) if old is None else _one_more(old)
    return sorted(groups.values(), key=lambda group: (-group.clips, group.reason))


def _one_more(group: FailureGroup) -> FailureGroup:
    return FailureGroup(group.reason, group.clips + 1, group.uri, group.error)


def _reason(error: str, uri: str) -> str:
    for name in (uri, PurePosixPath(uri).name):
        if name:
            error = error.replace(name, "…")
    return re.sub(r"\d+(\.\d+)?", "…", error) or "no reason given"


def count_labels(events: pd.DataFrame, labels: Sequence[str] = ()) -> list[LabelCount]:
    """Count events by label, the most frequent first; `labels` without an event come last, in their order."""
    table = pd.DataFrame(
        {
            "label": events["label"].astype(str).to_numpy(object),
            "uri": events["uri"].to_numpy(object),
            "length_s": (events["offset_s"] - events["onset_s"]).to_numpy(np.float64),
        }
    )
    groups = table.groupby("label", sort=True)
    found = groups.agg(events=("uri", "size"), recordings=("uri", "nunique"), total_s=("length_s", "sum"))
    found = found.sort_values("events", ascending=False, kind="stable")
    columns = (found.index.tolist(), *(found[name].tolist() for name in ("events", "recordings", "total_s")))
    counts = [LabelCount(*row) for row in zip(*columns, strict=True)]
    return counts + [LabelCount(label, 0, 0, 0.0) for label in dict.fromkeys(labels) if label not in found.index]


def count_columns(files: pd.DataFrame, events: pd.DataFrame, labels: Sequence[str]) -> list[ColumnCounts]:
    """Count by the values of each carried column that has 2 to `MOST_VALUES` of them.

    Parameters
    ----------
    labels
        Those of which events are told by label.
    """
    ok = keep_analysed(files)
    return [
        _count_values(ok, events, name, labels)
        for name in ok.columns
        if name not in _OWN_COLUMNS and name not in _PLACE_COLUMNS and name != "unit" and _has_few_values(ok[name])
    ]


def _has_few_values(column: pd.Series) -> bool:
    known = column.dropna()
    if not len(known) or not known.map(lambda value: isinstance(value, str | bool | int | np.integer | np.bool_)).all():
        return False
    return 2 <= known.nunique() <= MOST_VALUES


def _count_values(ok: pd.DataFrame, events: pd.DataFrame, name: str, labels: Sequence[str]) -> ColumnCounts:
    value_of = pd.Series(ok[name].map(lambda value: "" if pd.isna(value) else str(value)).to_numpy(object))
    of_event = events["clip_id"].map(pd.Series(value_of.to_numpy(object), index=ok["clip_id"].to_numpy())).fillna("")
    by_label: dict[Any, dict[Any, int]] = {}
    if len(events):
        by_label = pd.crosstab(events["label"].to_numpy(object), of_event.to_numpy(object)).to_dict()
    table = pd.DataFrame({"value": value_of, "uri": ok["uri"].to_numpy(object), "s": ok["duration_s"].to_numpy(float)})
    counts = []
    for value, rows in table.groupby("value"):
        own = by_label.get(value, {})
        of_labels = tuple((label, int(own.get(label, 0))) for label in labels)
        n_events = int(sum(own.values()))
        counts.append(ValueCount(str(value), rows["uri"].nunique(), float(rows["s"].sum()), n_events, of_labels))
    return ColumnCounts(name, tuple(sorted(counts, key=lambda count: (-count.recordings, count.value))))


def find_places(files: pd.DataFrame, events: pd.DataFrame, *, most: int = 400) -> MapPoints | None:
    """Gather recordings by place in at most `most` points; None where no file has latitude and longitude."""
    ok = keep_analysed(files)
    if not set(_PLACE_COLUMNS) <= set(ok.columns):
        return None
    latitude, longitude = (pd.to_numeric(ok[name], errors="coerce").astype("float64") for name in _PLACE_COLUMNS)
    valid = latitude.between(-90, 90) & longitude.between(-180, 180)
    if not valid.any():
        return None
    table = pd.DataFrame({"latitude": latitude, "longitude": longitude, "uri": ok["uri"], "s": ok["duration_s"]})
    table["events"] = ok["clip_id"].map(events["clip_id"].value_counts()).fillna(0).astype(int)
    table = table[valid]
    unplaced = ok.loc[~valid, "uri"]
    cell_deg = _choose_cell(table, most)
    keys = [table[name] if not cell_deg else (table[name] // cell_deg) for name in _PLACE_COLUMNS]
    points = [
        MapPoint(
            float(rows["latitude"].mean()),
            float(rows["longitude"].mean()),
            int(rows["uri"].nunique()),
            float(rows["s"].sum()),
            int(rows["events"].sum()),
        )
        for _, rows in table.groupby([key.to_numpy() for key in keys])
    ]
    return MapPoints(tuple(points), int(unplaced[~unplaced.isin(table["uri"])].nunique()), cell_deg)


def _choose_cell(table: pd.DataFrame, most: int) -> float:
    """Smallest cell of 1e-4 degrees times a power of two in which the points are few enough; 0: they are already."""
    places = table[list(_PLACE_COLUMNS)].drop_duplicates()
    cell_deg = 0.0
    while len(places if not cell_deg else (places // cell_deg).drop_duplicates()) > most:
        cell_deg = 2 * cell_deg if cell_deg else 1e-4
    return cell_deg


def count_scores(files: pd.DataFrame, events: pd.DataFrame, labels: Sequence[str]) -> list[ScoreHistogram]:
    """Count events by peak, and clips by their highest score, for each of the model's `labels` and others found."""
    ok = keep_analysed(files)
    scores = [one for one in ok.get("peak_scores", ()) if one is not None and np.ndim(one) == 1]
    highest = np.stack(scores).astype(np.float64) if scores else np.empty((0, len(labels)))
    peaks = {str(label): rows.to_numpy(np.float64) for label, rows in events["peak"].groupby(events["label"])}
    nothing = np.empty(0)
    own = [
        ScoreHistogram(label, _bins(peaks.get(label, nothing)), _bins(highest[:, number]))
        for number, label in enumerate(labels)
    ]
    others = [label for label in sorted(peaks) if label not in set(labels)]
    return own + [ScoreHistogram(label, _bins(peaks[label]), (0,) * SCORE_BINS) for label in others]


def _bins(scores: npt.NDArray[np.float64]) -> tuple[int, ...]:
    counts, _ = np.histogram(np.clip(scores[np.isfinite(scores)], 0.0, 1.0), bins=SCORE_BINS, range=(0.0, 1.0))
    return tuple(int(count) for count in counts)


def sample_events(events: pd.DataFrame, number: int) -> pd.DataFrame:
    """Choose events of one label, spread over their scores; the same events give the same choice, in any order.

    Parameters
    ----------
    events
        Columns uri, onset_s, offset_s, peak.
    number
        How many at most, 0 or more.

    Returns
    -------
    DataFrame
        Those chosen, the highest score, the lowest and the middle first: any beginning of it is spread as well.
    """
    ranked = events.sort_values(["peak", "uri", "onset_s", "offset_s"], ascending=[False, True, True, True])
    places = np.unique(np.linspace(0, len(ranked) - 1, min(number, len(ranked))).round().astype(np.int64))
    return ranked.iloc[places[_spread(len(places))]]


def _spread(count: int) -> list[int]:
    """Numbers 0 to `count` - 1: first, last, then again and again the one farthest from all before, lowest first."""
    order = [0, count - 1][:count]
    left = sorted(set(range(count)).difference(order))
    while left:
        chosen = max(left, key=lambda place: (min(abs(place - old) for old in order), -place))
        order.append(chosen)
        left.remove(chosen)
    return order


def find_frequent(counts: Collection[LabelCount], most: int) -> list[str]:
    """Return the labels with most events, `most` at most, the most frequent first."""
    return [count.label for count in counts if count.events][:most]
