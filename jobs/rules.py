"""Event rules from what was typed: one score for all labels, or one each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hubbub.errors import UsageError, nearest
from hubbub.labels.events import EventRule

RELEASE = 0.7
"""Default share of the threshold below which an event ends."""


def rules_from(thresholds: Mapping[str, float]) -> dict[str, EventRule]:
    """The default rule of each label, at its threshold."""
    return {label: EventRule(threshold=value, release=value * RELEASE) for label, value in thresholds.items()}


def changed_rules(
    rules: Mapping[str, EventRule],
    *,
    thresholds: Sequence[str] = (),
    release: float | None = None,
    min_duration_s: float | None = None,
    merge_gap_s: float | None = None,
) -> dict[str, EventRule]:
    """Rules with what was asked for changed, the rest as it was.

    Parameters
    ----------
    thresholds
        As typed: ``0.6``, or ``dog=0.7``; later ones win.
    release
        Share of the threshold, 0 to 1.

    Raises
    ------
    UsageError
        For a threshold that is no number, or an unknown label (says the nearest).
    """
    changed = dict(rules)
    for text in thresholds:
        label, _, number = text.rpartition("=")
        if label and label not in rules:
            raise UsageError(f"--threshold {text}: unknown label '{label}': {nearest(label, rules)}")
        for name in [label] if label else list(rules):
            changed[name] = changed[name].with_threshold(_score(number, text))
    if release is not None:
        changed = {name: replace(rule, release=release * rule.threshold) for name, rule in changed.items()}
    times = {"min_duration_s": min_duration_s, "merge_gap_s": merge_gap_s}
    given = {name: value for name, value in times.items() if value is not None}
    return {name: replace(rule, **given) for name, rule in changed.items()}


def _score(number: str, text: str) -> float:
    try:
        return float(number)
    except ValueError:
        raise UsageError(f"--threshold {text}: expected a score such as 0.6, or a label's, such as dog=0.6") from None
