"""Units of work: one unit writes one output shard, and its items name windows of clips."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from hubbub.planning.sharding import (
    MAX_LABEL_WINDOWS,
)
from hubbub.planning.time_limits import time_limit_s


@dataclass(frozen=True)
class Item:
    """Part of a unit: some windows of one take of a clip.

    Attributes
    ----------
    clip
        The clip's row of the clip table.
    channel, variant, policy_rule
        Which of its takes (`hubbub.clips.examples`).
    first_window, n_windows
        Which windows, by their numbers in the clip.
    windows
        How many the whole clip has, as its header says.
    attempt
        1 at first, one more at every retry.
    failure
        Why it is not to be tried: found to kill or stall whoever reads it; None for every other.
    """

    clip: dict[str, Any]
    channel: str
    variant: int
    policy_rule: str
    first_window: int
    n_windows: int
    windows: int
    attempt: int
    failure: str | None = None

    @property
    def time_limit_s(self) -> float:
        """Seconds after which it is thought to hang; its file counts whole."""
        return time_limit_s(self.clip["size_bytes"] or 0, self.n_windows)


@dataclass(frozen=True)
class Unit:
    """One output shard's worth of work; `index` is the shard's number."""

    index: int
    items: tuple[Item, ...]

    @property
    def n_windows(self) -> int:
        """Windows of all items."""
        return sum(item.n_windows for item in self.items)

    @property
    def time_limit_s(self) -> float:
        """Seconds after which it is thought to hang; each of its files counts whole, and once."""
        sizes = {item.clip["uri"]: item.clip["size_bytes"] or 0 for item in self.items}
        return time_limit_s(sum(sizes.values()), self.n_windows)


@dataclass(frozen=True)
class SegmentUnit(Unit):
    """One segment of a long recording, scored before the recording's own unit, which commits it.

    Its one item has some of the recording's windows. `index` is a number that no shard and no other unit has.
    """


def split_into_segments(item: Item) -> list[Item]:
    """Split a long recording into the segments it is scored in, in order."""
    return [
        replace(item, first_window=first, n_windows=min(MAX_LABEL_WINDOWS, item.windows - first))
        for first in range(0, item.windows, MAX_LABEL_WINDOWS)
    ]
