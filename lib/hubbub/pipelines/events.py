"""Find events again from stored window scores, with other rules. What ``hubbub events`` does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hubbub.errors import UsageError
from hubbub.labels.events import EventRule
from hubbub.labels.rule_files import read_rules
from hubbub.labels.tables import LabelTables
from hubbub.pipelines.event_rules import RuleChanges
from hubbub.pipelines.inputs import as_labels, as_path
from hubbub.pipelines.reporting import Advance, Reporter, choose_reporter

if TYPE_CHECKING:
    import pyarrow as pa

    from hubbub.pipelines.inputs import PathLike


def find_events(
    labels: PathLike | LabelTables,
    *,
    rules: PathLike | None = None,
    from_reviews: bool = False,
    precision: float | None = None,
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
    _check_options(from_reviews, precision)
    tables = as_labels(labels)
    changed: Mapping[str, EventRule] = tables.rules
    if rules is not None:
        changed = read_rules(as_path(rules, "rules"), changed)
    if precision is not None:
        from hubbub.pipelines.review_rules import apply_reviews

        changed = apply_reviews(changed, tables, precision, reporter)
    changed = RuleChanges(thresholds, release, min_duration_s, merge_gap_s).apply(changed)
    wanted = replace(tables, run=tables.run | {"rules": {name: rule.to_dict() for name, rule in changed.items()}})
    with reporter.show_progress("events", len(tables.committed()), "units") as advance:
        return tables.replace_events(_count(rebuild_events(wanted), advance), changed)


def _check_options(from_reviews: bool, precision: float | None) -> None:
    if precision is not None and not from_reviews:
        raise UsageError(
            f"--precision {precision:g} is the precision that verdicts shall give; say --from-reviews with it"
        )
    if from_reviews and precision is None:
        raise UsageError("--from-reviews needs the precision that thresholds shall give: say --precision 0.9 with it")


def _count(parts: Iterator[tuple[int, pa.Table]], advance: Advance) -> Iterator[tuple[int, pa.Table]]:
    for part in parts:
        yield part
        advance(1)
