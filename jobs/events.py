"""``hubbub events``: events from stored window scores, without running the model again."""

from __future__ import annotations

from . import event_options, options


def events(
    labels: options.Labels,
    threshold: event_options.Threshold = None,
    rules: event_options.Rules = None,
    from_reviews: event_options.FromReviews = False,
    precision: event_options.Precision = None,
    release: event_options.Release = None,
    min_duration: event_options.MinDuration = None,
    merge_gap: event_options.MergeGap = None,
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Find events again with other thresholds; every rule that is not given stays.

    Thresholds come from --rules, then --from-reviews, then --threshold: later ones win.

    Example: hubbub events labels --threshold 0.6 --threshold dog=0.7
    """
    from hubbub.pipelines.events import find_events

    from .console import reporter

    tables = find_events(
        labels,
        rules=rules,
        from_reviews=from_reviews,
        precision=precision,
        thresholds=threshold,
        release=release,
        min_duration_s=min_duration,
        merge_gap_s=merge_gap,
        reporter=reporter,
    )
    counts = tables.events()["label"].value_counts()
    reporter.show_table(
        "events: done",
        {
            "events": int(counts.sum()),
            **{f"  {name}": f"{counts.get(name, 0)} at {rule.needed_peak:g}" for name, rule in tables.rules.items()},
            "result": labels / "events",
        },
    )
