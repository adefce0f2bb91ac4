"""Read the windows of an item from its recording, and detect a recording of another length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hubbub.audio import decode
from hubbub.audio.remote import local_copy
from hubbub.audio.windows import Window, WindowGrid, split_windows, window_grid
from hubbub.clips.examples import channel_index
from hubbub.clips.table import resolve_uri
from hubbub.config import Settings
from hubbub.errors import LengthMismatch
from hubbub.io.paths import StoragePath
from hubbub.planning.sizes import MAX_CACHED_BYTES
from hubbub.planning.units import Item


class RecordingReader:
    """Windows as recorded. Those decoded last are kept where a clip has variants: these begin with the same sound."""

    def __init__(self, settings: Settings, root: StoragePath) -> None:
        self._grid, self._rate, self._root = window_grid(settings), settings.frontend.sample_rate, root
        self._keeps = settings.variants is not None
        self._held: tuple[Any, list[Window]] = (None, [])

    def windows(self, item: Item) -> Iterable[Window]:
        """The item's windows, decoded; stops where the clip ends.

        Raises
        ------
        AudioError
            The file cannot be decoded, or its last planned window is not its last (`LengthMismatch`).
        BucketError
            It lies in a bucket that cannot be read at all.
        """
        if not self._keeps or 4 * item.n_windows * self._grid.window > MAX_CACHED_BYTES:
            return _windows(item, self._root, self._grid, self._rate)
        what = (item.clip["clip_id"], item.channel, item.first_window, item.n_windows)
        if self._held[0] != what:
            self._held = (what, list(_windows(item, self._root, self._grid, self._rate)))
        return self._held[1]


def _windows(item: Item, root: StoragePath, grid: WindowGrid, sample_rate: int) -> Iterator[Window]:
    source, beyond = resolve_uri(item.clip["uri"], root), item.first_window + item.n_windows
    with local_copy(source, item.clip["version"]) as path:
        stretch = _Stretch(item, path, grid, sample_rate)
        for window in (
            stretch.onward(str(source)) if stretch.is_part and not decode.can_seek(path) else stretch.sought()
        ):
            if window.number < beyond:
                yield window
            elif window.valid > grid.window - grid.hop + grid.min_tail:
                says_s = item.clip["duration_s"]
                says = "unknown" if says_s is None else f"{says_s:.3f} s"
                raise LengthMismatch(f"decodes to more than the clip table says ({says}); index it again")


class _Stretch:
    """Where an item's windows lie in its file."""

    def __init__(self, item: Item, path: Path, grid: WindowGrid, sample_rate: int) -> None:
        clip = item.clip
        self._item, self._grid, self._rate = item, grid, sample_rate
        self._path, self._channel = path, channel_index(item.channel)
        self._start = round((clip["start_s"] or 0.0) * sample_rate)
        self._end = None if clip["end_s"] is None else round(clip["end_s"] * sample_rate)
        self._is_last = item.first_window + item.n_windows == item.windows

    @property
    def is_part(self) -> bool:
        """Whether other items go on where this one ends, or end where it begins."""
        return self._item.n_windows < self._item.windows

    def sought(self) -> Iterator[Window]:
        """The windows, decoded by themselves; and one more where the clip goes on after its last."""
        item, grid = self._item, self._grid
        # Windows closer than a tail need sound beyond them to show that they are no tail; after the clip's last window,
        # one tail more shows whether the clip goes on.
        tail = 2 * grid.min_tail if self._is_last else max(0, grid.min_tail - grid.hop)
        tail = 0 if grid.only_first else tail
        return split_windows(
            self._blocks(item.first_window, grid.span(item.n_windows) + tail), grid, first=item.first_window
        )

    def onward(self, source: str) -> Iterator[Window]:
        """The same of a recording that is decoded from its start whatever is wanted of it.

        A worker that has the next item, or a later one, goes on where it stands: else a recording of a day would be
        decoded once for each of its units. A copy of a recording in a bucket may be another by then: the decoder goes
        on in the one that it has open.
        """
        item, beyond = self._item, self._item.first_window + self._item.n_windows + self._is_last
        what = (source, item.clip["version"], self._channel, self._start, self._end, self._rate, self._grid)
        number, stream = _OPEN_STREAMS.pop(what, (0, None))  # taken out: no two threads share a decoder
        if stream is None or number > item.first_window:
            number, stream = 0, split_windows(self._blocks(0, None), self._grid)
        while number < beyond:
            window = next(stream, None)
            if window is None:
                return
            number = window.number + 1
            if window.number >= item.first_window:
                yield window
        _OPEN_STREAMS.clear()
        _OPEN_STREAMS[what] = number, stream

    def _blocks(self, window: int, count: int | None) -> Iterator[npt.NDArray[np.float32]]:
        """Sound from the start of a window on, at most to the clip's end."""
        first = self._start + self._grid.start(window)
        if self._end is not None:
            left = max(0, self._end - first)
            count = left if count is None else min(count, left)
        return decode.decode_blocks(self._path, sample_rate=self._rate, channel=self._channel, first=first, count=count)


_OPEN_STREAMS: dict[Any, tuple[int, Iterator[Window]]] = {}
"""The recording that `_Stretch.onward` stands in, with the number of the window that comes next: one a process."""
