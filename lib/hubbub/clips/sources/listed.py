"""Recordings that a table lists against those that are there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hubbub.clips.sources.tree import Tree
from hubbub.errors import ClipTableError
from hubbub.io.text import count_noun, list_few


def note_differences(tree: Tree, clips: Iterable[Mapping[str, Any]]) -> list[str]:
    """Say which listed recordings are missing, and which that are there are not listed.

    Raises
    ------
    ClipTableError
        When none of the listed ones is there.
    """
    there, listed = {path for path, _ in tree.recordings()}, {str(clip["uri"]) for clip in clips}
    if not there & listed:
        raise ClipTableError(
            f"{tree.source}: none of the {count_noun(len(listed), 'listed file')} exists, not even {min(listed)}; "
            "keep the folders of the data set as they were downloaded"
        )
    return describe_differences(sorted(listed - there), sorted(there - listed))


def describe_differences(missing: list[str], extra: list[str]) -> list[str]:
    """Write a sentence for listed files that are missing, and one for recordings that are not listed."""
    notes = []
    if missing:
        notes.append(
            f"{list_few(missing, 'listed file')} missing; "
            f"{'it becomes a failed row' if len(missing) == 1 else 'they become failed rows'}"
        )
    if extra:
        notes.append(f"{list_few(extra, 'recording')} not listed; passed over")
    return notes
