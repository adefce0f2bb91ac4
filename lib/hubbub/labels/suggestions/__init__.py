"""Suggestions: which windows of an archive are worth a person's ear; one strategy a file.

A `Strategy` is shown all windows, some at a time and in any order, keeps a bounded number of them, and chooses at the
end. What it chooses depends on the windows alone: not on their order, nor on how many it is shown at once.
"""

from __future__ import annotations

from hubbub.labels.suggestions.balanced import Balanced
from hubbub.labels.suggestions.diverse import Diverse
from hubbub.labels.suggestions.highest import Highest
from hubbub.labels.suggestions.strategy import LabelScheme, Strategy, Wanted
from hubbub.labels.suggestions.uncertain import Uncertain
from hubbub.labels.suggestions.windows import ScoredWindows, iterate_scored_windows

__all__ = [
    "STRATEGIES",
    "LabelScheme",
    "ScoredWindows",
    "Strategy",
    "Wanted",
    "iterate_scored_windows",
]

STRATEGIES: dict[str, type[Strategy]] = {
    "uncertain": Uncertain,
    "diverse": Diverse,
    "top": Highest,
    "balanced": Balanced,
}
"""Strategies by the name that ``--strategy`` takes."""
