"""Event rules from a caller's thresholds: one for all labels, or one a label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hubbub.errors import UsageError, suggest_nearest
from hubbub.labels.events import UNKNOWN, EventRule
from hubbub.labels.rule_files import UNKNOWN_LEAST_S

RELEASE = 0.7
"""Default share of the threshold below which an event ends."""


@dataclass(frozen=True)
class RuleChanges:
    """What a caller changes of event rules; None: as before.

    Attributes
    ----------
    thresholds
        One score for all labels, a mapping of label to score, or texts such as ``0.6`` and ``dog=0.7``; later ones win.
        ``unknown=0.3`` makes events of what scores so much for some label and is no event of any (`labels.events`),
        ``unknown=off`` makes none, as at first.
    release
        Share of the threshold below which an event ends, 0 to 1.
    min_duration_s, merge_gap_s
        Events shorter than this are dropped; gaps shorter than this are closed.
    """

    thresholds: float | Mapping[str, float] | Sequence[str] | None = None
    release: float | None = None
    min_duration_s: float | None = None
    merge_gap_s: float | None = None

    def apply(self, rules: Mapping[str, EventRule]) -> dict[str, EventRule]:
        """Change rules, one a label.

        Raises
        ------
        UsageError
            For a threshold that is no number, or an unknown label (suggests the nearest).
        """
        changed = dict(rules)
        for label, score in _parse_thresholds(self.thresholds, rules):
            if score is None:
                changed.pop(UNKNOWN, None)
                continue
            if label == UNKNOWN and UNKNOWN not in changed:
                changed[UNKNOWN] = EventRule(min_duration_s=UNKNOWN_LEAST_S)
            for name in [label] if label else [name for name in rules if name != UNKNOWN]:
                changed[name] = changed[name].with_threshold(score)
        if self.release is not None:
            share = self.release
            if not 0 < share <= 1:
                raise UsageError(f"--release {share:g}: expected a share of the threshold, above 0 and up to 1")
            changed = {name: replace(rule, release=share * rule.threshold) for name, rule in changed.items()}
        times = {"min_duration_s": self.min_duration_s, "merge_gap_s": self.merge_gap_s}
        given: dict[str, Any] = {name: value for name, value in times.items() if value is not None}
        return {name: replace(rule, **given) for name, rule in changed.items()}


def make_rules(description: Mapping[str, Any]) -> dict[str, EventRule]:
    """Return the rules that a bundle was fitted with; where it has none, each label's threshold makes one."""
    if description.get("rules"):
        return {label: EventRule(**rule) for label, rule in description["rules"].items()}
    thresholds = description["thresholds"]
    return {label: EventRule(threshold=value, release=value * RELEASE) for label, value in thresholds.items()}


def _parse_thresholds(
    given: float | Mapping[str, float] | Sequence[str] | None, rules: Mapping[str, EventRule]
) -> list[tuple[str, float | None]]:
    """Return pairs of a label, empty for all labels, and its threshold, None for off."""
    if given is None:
        return []
    if isinstance(given, Mapping):
        texts = [f"{label}={score}" for label, score in given.items()]
    else:
        texts = [str(given)] if isinstance(given, int | float | str) else list(given)
    return [_parse_threshold(text, rules) for text in texts]


def _parse_threshold(text: str, rules: Mapping[str, EventRule]) -> tuple[str, float | None]:
    label, _, number = text.rpartition("=")
    if label == UNKNOWN and number == "off":
        return label, None
    if label and label not in rules and label != UNKNOWN:
        raise UsageError(f"--threshold {text}: unknown label '{label}': {suggest_nearest(label, rules)}")
    try:
        return label, float(number)
    except ValueError:
        raise UsageError(
            f"--threshold {text}: expected a score such as 0.6, or the score of a label, such as dog=0.6"
        ) from None
