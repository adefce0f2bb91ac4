"""Compare two sets of label tables: what another model or threshold changed. What ``hubbub compare`` does with them."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from hubbub.errors import LabelsError, UsageError
from hubbub.io.atomic import write_text
from hubbub.io.paths import StoragePath
from hubbub.io.text import count_noun, list_few
from hubbub.labels.comparison import EventChanges, compare_events
from hubbub.labels.export._files import one_line
from hubbub.labels.overview import sample_events
from hubbub.labels.tables import LabelTables
from hubbub.pipelines.reporting import Reporter

FILES_SHOWN, LABELS_SHOWN = 5, 40
"""Recordings and labels that are told on the screen at most."""

_DECIMALS_S, _DECIMALS_SCORE = 9, 6


@dataclass(frozen=True)
class LabelComparison:
    """Two sets of label tables of the same recordings.

    Attributes
    ----------
    first, second
        The folders of the two.
    changes
        What changed, as DataFrames: `by_label`, `by_file`, `in_both`, `changed`, `appeared`, `vanished`.
    labels_only_first, labels_only_second
        Labels that only one of the models knows.
    written
        Files that were written.
    """

    first: StoragePath
    second: StoragePath
    changes: EventChanges
    labels_only_first: tuple[str, ...]
    labels_only_second: tuple[str, ...]
    written: tuple[StoragePath, ...]


def compare_labels(
    first: LabelTables, second: LabelTables, out: StoragePath | None = None, *, reporter: Reporter
) -> LabelComparison:
    """Compare label tables; see `hubbub.compare`."""
    for tables in (first, second):
        if tables.missing:
            missing = count_noun(tables.missing, "file")
            reporter.warn(f"{tables.path}: {missing} not labelled yet; run hubbub label again")
    files = first.files(), second.files()
    _require_shared(first, second, *files)
    changes = compare_events(files[0], first.events(), files[1], second.events())
    written = () if out is None else _write_changes(changes, out)
    ours, theirs = first.labels, second.labels
    return LabelComparison(
        first.path,
        second.path,
        changes,
        tuple(label for label in ours if label not in set(theirs)),
        tuple(label for label in theirs if label not in set(ours)),
        written,
    )


def _require_shared(first: LabelTables, second: LabelTables, ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    if len(ours) and len(theirs) and not ours["uri"].isin(theirs["uri"]).any():
        raise LabelsError(
            f"{first.path} and {second.path} have no recording in common: the one holds '{ours['uri'].iloc[0]}', the "
            f"other '{theirs['uri'].iloc[0]}'; give label tables of one archive, in which recordings have one uri"
        )
    for tables, files in ((first, ours), (second, theirs)):
        if not len(files):
            raise LabelsError(f"{tables.path} holds no recordings to compare; label some: hubbub label FILES --model …")


def _write_changes(changes: EventChanges, folder: StoragePath) -> tuple[StoragePath, ...]:
    tables = {"appeared": changes.appeared, "vanished": changes.vanished, "changed": changes.changed}
    return tuple(write_text(folder / f"{name}.csv", _to_csv(table)) for name, table in tables.items())


def _to_csv(table: pd.DataFrame) -> str:
    """Events as CSV: times to the nanosecond, scores to six decimals, `onset_at` in ISO 8601, a line an event."""
    columns = {}
    for name in table.columns:
        column = table[name]
        if isinstance(column.dtype, pd.DatetimeTZDtype):
            columns[name] = column.dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        elif pd.api.types.is_float_dtype(column):
            columns[name] = column.astype("float64").round(_DECIMALS_S if "_s" in name else _DECIMALS_SCORE)
        else:
            columns[name] = column.map(lambda value: one_line(value) if isinstance(value, str) else value)
    return pd.DataFrame(columns, columns=table.columns).to_csv(index=False, lineterminator="\n")


def describe_comparison(found: LabelComparison) -> dict[str, str]:
    """Say what changed, as names and values for people; empty ones left out."""
    changes = found.changes
    lines = {
        "first": str(found.first),
        "second": str(found.second),
        "recordings in both": str(changes.recordings),
        "events in both": str(len(changes.in_both)),
        "of them moved or scored otherwise": str(len(changes.changed)),
        "vanished (only first)": str(len(changes.vanished)),
        "appeared (only second)": str(len(changes.appeared)),
        **{
            f"recordings only in the {which}": list_few(names, "recording")
            for which, names in (("first", changes.only_first), ("second", changes.only_second))
            if names
        },
        **{
            f"failed only in the {which}": _describe_failures(failed)
            for which, failed in (("first", changes.failed_first), ("second", changes.failed_second))
            if len(failed)
        },
        **{
            f"labels only in the {which}": list_few(names, "label")
            for which, names in (("first", found.labels_only_first), ("second", found.labels_only_second))
            if names
        },
    }
    if any(changes.not_compared):
        lines["not compared"] = "{} and {} events, in audio that the other has not analysed".format(
            *changes.not_compared
        )
    return lines


def _describe_failures(failed: pd.DataFrame) -> str:
    return f"{count_noun(len(failed), 'clip')}, such as {failed['uri'].iloc[0]}: {failed['error'].iloc[0]}"


def describe_labels(changes: EventChanges) -> dict[str, str]:
    """Say what changed of each label, those with most changes first, `LABELS_SHOWN` at most."""
    lines = {}
    for row in changes.by_label.head(LABELS_SHOWN).to_dict("records"):
        lines[row["label"]] = f"{row['in_both']} in both, {row['only_first']} vanished, {row['only_second']} appeared"
        if row["in_both"]:
            lines[row["label"]] += (
                f"; onset {row['onset_shift_s']:+.3f} s, offset {row['offset_shift_s']:+.3f} s, "
                f"score {row['score_shift']:+.3f}"
            )
    if (more := len(changes.by_label) - LABELS_SHOWN) > 0:
        lines["…"] = f"{more} more labels"
    return lines


def describe_files(changes: EventChanges) -> list[str]:
    """Say which recordings changed most, `FILES_SHOWN` at most."""
    rows = changes.by_file[changes.by_file["changes"] > 0].head(FILES_SHOWN).to_dict("records")
    return [f"{row['uri']}: {row['only_first']} vanished, {row['only_second']} appeared" for row in rows]


def describe_samples(events: pd.DataFrame, number: int) -> list[str]:
    """Choose events to listen to, spread over their scores, the highest first."""
    rows = sample_events(events, number).sort_values("peak", ascending=False).to_dict("records")
    return [
        f"{row['uri']}, {row['onset_s']:.2f} to {row['offset_s']:.2f} s: {row['label']}, score {row['peak']:.2f}"
        for row in rows
    ]


def show_comparison(found: LabelComparison, number: int, reporter: Reporter) -> None:
    """Show all of it on the screen, with `number` samples of what appeared and of what vanished."""
    changes = found.changes
    reporter.show_table("compare: done", describe_comparison(found))
    if len(changes.by_label):
        reporter.show_table("by label; shifts are second less first", describe_labels(changes))
    lists = {
        "recordings with most changes": describe_files(changes),
        "appeared, such as": describe_samples(changes.appeared, number),
        "vanished, such as": describe_samples(changes.vanished, number),
        "written": [str(path) for path in found.written],
    }
    for title, lines in lists.items():
        if lines:
            reporter.say("\n".join([f"{title}:", *(f"  {line}" for line in lines)]))


def refuse_mixture(first: StoragePath, second: StoragePath, are_labels: tuple[bool, bool]) -> None:
    """Refuse label tables beside an evaluation."""
    if len(set(are_labels)) == 2:
        labels, other = (first, second) if are_labels[0] else (second, first)
        raise UsageError(
            f"{labels} holds label tables and {other} does not; give two of a kind: label tables of one archive, or "
            "evaluations on the same clips"
        )
