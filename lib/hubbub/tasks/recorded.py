"""Windows of an item as they were recorded: where they lie in the file, and what to do when the file is shorter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hubbub.audio import decode
from hubbub.audio.windows import Grid, Window, cut, grid_of
from hubbub.clips.table import resolve
from hubbub.config import Settings
from hubbub.errors import LengthMismatch
from hubbub.plan import Item
from hubbub.takes import channel_index

_HELD_SAMPLES = 2**22  # 16 MiB: the windows of one clip, kept for its variants


class Recorded:
    """Windows as recorded. Those decoded last are kept where a clip has variants: these begin with the same sound."""

    def __init__(self, settings: Settings, root: Path) -> None:
        self._grid, self._rate, self._root = grid_of(settings), settings.frontend.sample_rate, root
        self._keeps = settings.variants is not None
        self._held: tuple[Any, list[Window]] = (None, [])

    def windows(self, item: Item) -> Iterable[Window]:
        """The item's windows, decoded; stops where the clip ends.

        Raises
        ------
        AudioError
            The file cannot be decoded, or its last planned window is not its last (`LengthMismatch`).
        """
        if not self._keeps or item.n_windows * self._grid.window > _HELD_SAMPLES:
            return _windows(item, self._root, self._grid, self._rate)
        what = (item.clip["clip_id"], item.channel, item.first_window, item.n_windows)
        if self._held[0] != what:
            self._held = (what, list(_windows(item, self._root, self._grid, self._rate)))
        return self._held[1]


def _windows(item: Item, root: Path, grid: Grid, sample_rate: int) -> Iterator[Window]:
    clip = item.clip
    start = round((clip["start_s"] or 0.0) * sample_rate)
    end = None if clip["end_s"] is None else round(clip["end_s"] * sample_rate)
    first = start + grid.start(item.first_window)
    last = item.first_window + item.n_windows == item.windows
    # One tail more than the last window needs shows whether the clip goes on.
    wanted = (item.n_windows - 1) * grid.hop + grid.window + (2 * grid.min_tail if last and not grid.only_first else 0)
    count = wanted if end is None else max(0, min(wanted, end - first))
    path, channel = resolve(clip["uri"], root), channel_index(item.channel)
    blocks = decode.blocks(path, sample_rate=sample_rate, channel=channel, first=first, count=count)
    for window in cut(blocks, grid, first=item.first_window):
        if window.number < item.first_window + item.n_windows:
            yield window
        elif window.valid > grid.window - grid.hop + grid.min_tail:
            says = "unknown" if clip["duration_s"] is None else f"{clip['duration_s']:.3f} s"
            raise LengthMismatch(f"decodes to more than the clip table says ({says}); index it again")
