"""Labels that differ in their spelling only: told, or made one."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from hubbub.clips.sources.template import StreamedClips
from hubbub.io.text import count_noun

_BLANKS = re.compile(r"[\s_-]+")
_SHOWN = 3


SPELLING = "case, blanks, hyphens or underscores only"
"""What the labels of a group differ in. Letters composed in another way (NFC, NFD) look the same, and count as such."""


def group_spellings(labels: Iterable[str]) -> list[list[str]]:
    """Labels that differ in their spelling only, two or more a list, in the order given."""
    groups = defaultdict[str, list[str]](list)
    for label in labels:
        groups[_fold_spelling(label)].append(label)
    return [group for group in groups.values() if len(group) > 1]


def find_spellings(clips: Iterable[Mapping[str, Any]]) -> list[Counter[str]]:
    """The groups of labels that differ in their spelling only, each label with how many clips have it."""
    counts = Counter(label for clip in clips for label in clip["labels"])
    return [Counter({label: counts[label] for label in group}) for group in group_spellings(counts)]


def warn_of_spellings(groups: Sequence[Counter[str]]) -> list[str]:
    """Say which labels differ in their spelling only."""
    if not groups:
        return []
    shown = "; ".join(_describe(group) for group in groups[:_SHOWN])
    more = f"; and {len(groups) - _SHOWN} more" if len(groups) > _SHOWN else ""
    labels = count_noun(len(groups), "label")
    return [f"{labels} in several spellings: {shown}{more}; --normalise-labels makes each of them one label"]


def normalise_labels(
    clips: Collection[dict[str, Any]], groups: Sequence[Counter[str]]
) -> tuple[Collection[dict[str, Any]], list[str]]:
    """Give the labels of a group one spelling: the most frequent one, composed (NFC), without blanks around it.

    Returns
    -------
    clips, notes
        The clips with these labels, each once a clip; a sentence for each group.
    """
    names: dict[str, str] = {}
    for group in groups:
        chosen = min(group, key=lambda label: (-group[label], label))
        names |= dict.fromkeys(group, unicodedata.normalize("NFC", chosen).strip())

    def change(clip: Mapping[str, Any]) -> dict[str, Any]:
        return {**clip, "labels": list(dict.fromkeys(names.get(label, label) for label in clip["labels"]))}

    changed = StreamedClips(len(clips), lambda: map(change, clips)) if names else clips
    return changed, [f"{_describe(group)} became '{names[next(iter(group))]}'" for group in groups]


def _fold_spelling(label: str) -> str:
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", label).casefold())
    return _BLANKS.sub(" ", folded).strip() or label  # "-" and "_" alone are two marks, and no spellings of one label


def _describe(group: Counter[str]) -> str:
    looks_alike = len({unicodedata.normalize("NFC", label) for label in group}) < len(group)
    alike = " (letters composed in two ways)" if looks_alike else ""
    return ", ".join(f"'{label}' {count}" for label, count in group.most_common()) + alike
