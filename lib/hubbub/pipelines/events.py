"""Find events again from stored window scores, with other rules. What ``hubbub events`` does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hubbub.labels.tables import LabelTables
from hubbub.pipelines.event_rules import RuleChanges
from hubbub.pipelines.inputs import as_labels
from hubbub.pipelines.reporting import Advance, Reporter, choose_reporter

if TYPE_CHECKING:
    import pyarrow as pa

    from hubbub.pipelines.inputs import PathLike


def find_events(
    labels: PathLike | LabelTables,
    *,
    thresholds: float | Mapping[str, float] | Sequence[str] | None = None,
    release: float | None = None,
    min_duration_s: float | None = None,
    merge_gap_s: float | None = None,
    progress: bool = False,
    reporter: Reporter | None = None,
) -> LabelTables:
    """Find events again; see `hubbub.find_events`."""
    from hubbub.tasks.events import rebuild_events

    reporter = choose_reporter(reporter, progress=progress)
    tables = as_labels(labels)
    rules = RuleChanges(thresholds, release, min_duration_s, merge_gap_s).apply(tables.rules)
    wanted = replace(tables, run=tables.run | {"rules": {name: rule.to_dict() for name, rule in rules.items()}})
    with reporter.show_progress("events", len(tables.committed()), "units") as advance:
        return tables.replace_events(_count(rebuild_events(wanted), advance), rules)


def _count(parts: Iterator[tuple[int, pa.Table]], advance: Advance) -> Iterator[tuple[int, pa.Table]]:
    for part in parts:
        yield part
        advance(1)
