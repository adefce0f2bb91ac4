"""``hubbub events``: new events from stored window scores, without running the model again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from . import options

if TYPE_CHECKING:
    import pyarrow as pa


def events(
    labels: options.Labels,
    threshold: options.Threshold = None,
    release: options.Release = None,
    min_duration: options.MinDuration = None,
    merge_gap: options.MergeGap = None,
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Make events anew with other thresholds; what is not given stays as it was."""
    from dataclasses import replace

    from hubbub.labels.tables import open_labels
    from hubbub.tasks.label import rebuild_events

    from . import console
    from .rules import changed_rules

    tables = open_labels(labels)
    rules = changed_rules(
        tables.rules,
        thresholds=threshold or [],
        release=release,
        min_duration_s=min_duration,
        merge_gap_s=merge_gap,
    )
    wanted = replace(tables, run=tables.run | {"rules": {name: vars(rule) for name, rule in rules.items()}})
    units = len(tables.committed())
    with console.progress("events", units, "units") as advance:

        def counted() -> Iterator[tuple[int, pa.Table]]:
            for part in rebuild_events(wanted):
                yield part
                advance(1)

        tables = tables.replace_events(counted(), rules)
    counts = tables.events()["label"].value_counts()
    console.summary(
        "events: done",
        {
            "events": int(counts.sum()),
            **{f"  {name}": f"{counts.get(name, 0)} at {rule.threshold:g}" for name, rule in rules.items()},
            "result": labels / "events",
        },
    )
