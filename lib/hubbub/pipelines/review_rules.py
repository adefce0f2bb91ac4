"""Event rules from verdicts: thresholds for a wanted precision, and what is said of each label."""

from __future__ import annotations

from collections.abc import Mapping

from hubbub.errors import UsageError
from hubbub.io.text import count_noun
from hubbub.labels.event_scores import Interval
from hubbub.labels.events import EventRule
from hubbub.labels.reviews.summary import LabelReview, summarise_reviews
from hubbub.labels.tables import LabelTables
from hubbub.pipelines.reporting import Reporter


def apply_reviews(
    rules: Mapping[str, EventRule], tables: LabelTables, precision: float, reporter: Reporter
) -> dict[str, EventRule]:
    """Give reviewed labels the threshold that reaches a precision, and show how each comes out.

    Rules stay as they are but for `least_peak`: events that reach it are the same as before, with their verdicts.

    Raises
    ------
    UsageError
        For a precision that cannot be, or where nobody judged an event.
    LabelsError
        When a part of the label tables or of the reviews is torn.
    """
    summary = summarise_reviews(tables, precision=precision)
    judged = [own for own in summary.labels if own.reviewed]
    if not judged:
        raise UsageError(
            f"{tables.path} has no verdicts on events; expected some to take thresholds from: review events first, or "
            "say --threshold"
        )
    reporter.show_table(f"events: thresholds for a precision of {precision:g}", _describe_all(judged, rules))
    changed = dict(rules)
    for label, threshold in summary.thresholds.items():
        if label in changed:
            changed[label] = changed[label].with_needed_peak(threshold)
    return changed


def _describe_all(judged: list[LabelReview], rules: Mapping[str, EventRule]) -> dict[str, str]:
    lines = {own.label: describe_review(own) for own in judged}
    others = [label for label in rules if label not in lines]
    if others:
        lines["not reviewed"] = f"{', '.join(others[:5])}{', …' if len(others) > 5 else ''}: as before"
    return lines


def describe_review(own: LabelReview) -> str:
    """Say of one label, a line each: how many verdicts, its precision now, its threshold before and after."""
    parts = [count_noun(own.reviewed, "event") + " judged"]
    if own.above is not None and own.above.judged:
        parts.append(
            f"right {own.above.right} of {own.above.judged}, {_with_interval(own.above.value, own.above.interval)}"
        )
    found = own.threshold
    if found is None:
        return "\n".join([*parts, "no rule makes its events now"])
    if found.expected_now is not None and found.expected_now_interval is not None:
        parts.append(f"expected of all {_with_interval(found.expected_now, found.expected_now_interval)}")
    if found.threshold is None:
        parts.append(f"stays at {found.present:g}: {found.reason}")
    elif found.kept == found.events:
        parts.append(f"stays at {found.present:g}, which reaches it")
    else:
        high = "none" if found.high is None else f"{found.high:.3g}"
        parts.append(
            f"threshold {found.present:g} → {found.threshold:g} ({found.low:.3g} to {high}), "
            f"keeps {found.kept} of {count_noun(found.events, 'event')}"
        )
    return "\n".join(parts)


def _with_interval(value: float, interval: Interval) -> str:
    return f"{value:.2f} ({interval.low:.2f} to {interval.high:.2f})"
