"""Events that have their times in common: one clip with several labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

from hubbub.clips.sources.template import StreamedClips
from hubbub.clips.table import IS_EVENT
from hubbub.io.text import count_noun


def merge_events(clips: Collection[dict[str, Any]]) -> tuple[Collection[dict[str, Any]], list[str]]:
    """Merge events that are equal in everything but their labels; streamed clips, of names, are no events.

    Returns
    -------
    clips, notes
        The clips in their order; a sentence where some were merged.
    """
    if isinstance(clips, StreamedClips):
        return clips, []
    times = Counter(_times(clip) for clip in clips if clip.get(IS_EVENT))
    if max(times.values(), default=1) == 1:
        return clips, []
    merged: dict[object, dict[str, Any]] = {}
    others: list[dict[str, Any]] = []
    for number, clip in enumerate(clips):
        key = _describe_but_labels(clip) if clip.get(IS_EVENT) and times[_times(clip)] > 1 else number
        if key in merged:
            labels = dict.fromkeys([*merged[key]["labels"], *clip["labels"]])
            merged[key] = {**merged[key], "labels": list(labels)}
            others.append(clip)
        else:
            merged[key] = clip
    kept = list(merged.values())
    if not others:
        return kept, []
    events = count_noun(len(others), "event was merged with another", "events were merged with others")
    one = others[0]
    example = f"{', '.join(one['labels'])} in {one['uri']} at {one['start_s']:g} s"
    return kept, [f"{events} at the same times, such as {example}"]


def _describe_but_labels(clip: dict[str, Any]) -> str:
    return repr(sorted((name, repr(value)) for name, value in clip.items() if name != "labels"))


def _times(clip: dict[str, Any]) -> tuple[Any, ...]:
    return clip["uri"], clip["start_s"], clip["end_s"]
