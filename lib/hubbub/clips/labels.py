"""Labels that differ in their spelling only: told, or made one."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from hubbub.clips.sources.template import StreamedClips
from hubbub.io.text import count_noun

_BLANKS = re.compile(r"[\s_-]+")
_SHOWN = 3


def find_spellings(clips: Iterable[Mapping[str, Any]]) -> list[Counter[str]]:
    """Labels that differ in case, blanks, hyphens or underscores only, with their clips, group by group."""
    counts = Counter(label for clip in clips for label in clip["labels"])
    groups = defaultdict[str, Counter[str]](Counter)
    for label, count in counts.items():
        groups[_BLANKS.sub(" ", label.strip()).casefold()][label] = count
    return [group for group in groups.values() if len(group) > 1]


def warn_of_spellings(groups: Sequence[Counter[str]]) -> list[str]:
    """Say which labels differ in their spelling only."""
    if not groups:
        return []
    shown = "; ".join(_describe(group) for group in groups[:_SHOWN])
    more = f"; and {len(groups) - _SHOWN} more" if len(groups) > _SHOWN else ""
    labels = count_noun(len(groups), "label")
    return [f"{labels} in several spellings: {shown}{more}; --normalise-labels makes each one"]


def normalise_labels(
    clips: Collection[dict[str, Any]], groups: Sequence[Counter[str]]
) -> tuple[Collection[dict[str, Any]], list[str]]:
    """Give the labels of a group one spelling: the most frequent one, without blanks around it.

    Returns
    -------
    clips, notes
        The clips with these labels, each once a clip; a sentence for each group.
    """
    names: dict[str, str] = {}
    for group in groups:
        chosen = min(group, key=lambda label: (-group[label], label)).strip()
        names |= dict.fromkeys(group, chosen)

    def change(clip: Mapping[str, Any]) -> dict[str, Any]:
        return {**clip, "labels": list(dict.fromkeys(names.get(label, label) for label in clip["labels"]))}

    changed = StreamedClips(len(clips), lambda: map(change, clips)) if names else clips
    return changed, [f"{_describe(group)} became '{names[next(iter(group))]}'" for group in groups]


def _describe(group: Counter[str]) -> str:
    return ", ".join(f"'{label}' {count}" for label, count in group.most_common())
