"""Windows of a recording: arithmetic in samples.

A clip of `n` samples, windows of 4 and a hop of 2::

    samples   0 1 2 3 4 5 6 7 8
    window 0  [-----]
    window 1      [-----]
    window 2          [-----]
    window 3              [--==]      == padding, because sample 8 has no window yet

A window past the first is made only where it brings at least `min_tail` samples that no earlier window holds,
so that a clip of 5.001 s is one window of 5 s, not two of which the second is padding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hubbub.config import Settings


@dataclass(frozen=True)
class WindowGrid:
    """Where the windows of a clip lie.

    Attributes
    ----------
    window
        Samples a window.
    hop
        Samples from one window's start to the next.
    min_tail
        New samples a window past the first must bring.
    only_first
        Whether a clip has one window, whatever its length.
    """

    window: int
    hop: int
    min_tail: int = 1
    only_first: bool = False

    def count(self, n_samples: int) -> int:
        """Windows of a clip of `n_samples`; 0 only for an empty clip."""
        if n_samples <= 0:
            return 0
        beyond = n_samples - self.window - self.min_tail
        return 1 if self.only_first or beyond < 0 else 2 + beyond // self.hop

    def start(self, window: int) -> int:
        """First sample of window number `window`."""
        return window * self.hop

    def span(self, windows: int) -> int:
        """Samples from the start of a window to the end of the last of `windows` that begin with it."""
        return (windows - 1) * self.hop + self.window

    def own(self, first: int, windows: int) -> int:
        """Samples from the start of window `first` to the end of the last of so many, and what shows it is no tail.

        Windows closer than a tail need sound beyond them.
        """
        return self.span(windows) + max(0, self.min_tail - self.hop)

    def split(self, samples: Iterable[npt.NDArray[np.float32]], *, first: int = 0) -> Iterator[Window]:
        """`split_windows` by this grid."""
        return split_windows(samples, self, first=first)


@dataclass(frozen=True)
class Window:
    """One window of a clip.

    Attributes
    ----------
    number
        Its number in the clip.
    samples
        float32 [grid.window], zeros after `valid` samples.
    valid
        Samples that are audio, not padding.
    """

    number: int
    samples: npt.NDArray[np.float32]
    valid: int


def window_grid(settings: Settings, *, hop_s: float | None = None) -> WindowGrid:
    """Build the grid of a store's windows; or, with `hop_s`, that of labelling: the model's input, at every hop."""
    rate, windows = settings.frontend.sample_rate, settings.windows
    window = max(1, round((windows.duration_s if hop_s is None else windows.input_s) * rate))
    only_first = windows.mode != "all" and hop_s is None
    hop = hop_s or windows.hop_s or windows.duration_s
    tail = min(settings.frontend.tail_samples, window)
    return WindowGrid(window=window, hop=max(1, round(hop * rate)), min_tail=tail, only_first=only_first)


def split_windows(blocks: Iterable[npt.NDArray[np.float32]], grid: WindowGrid, *, first: int = 0) -> Iterator[Window]:
    """Cut a stream of samples into windows, holding no more than one window and one block.

    Parameters
    ----------
    blocks
        float32 arrays of any lengths; the first sample is the start of window `first`.
    first
        Number of the first window.

    Yields
    ------
    Window
        As many as `grid.count` says of the samples that came.
    """
    buffer = np.empty(0, np.float32)
    # covered: samples at the buffer's front that an earlier window held
    number, covered = first, max(0, grid.window - grid.hop) if first else 0
    for block in blocks:
        buffer = np.concatenate([buffer, block]) if len(buffer) else block
        while len(buffer) >= grid.window and _has_enough_new_audio(len(buffer), covered, number, grid):
            yield Window(number, buffer[: grid.window].copy(), grid.window)
            if grid.only_first:
                return
            number, covered, buffer = number + 1, max(0, grid.window - grid.hop), buffer[grid.hop :]
    if len(buffer) and _has_enough_new_audio(len(buffer), covered, number, grid):
        yield Window(number, np.pad(buffer, (0, grid.window - len(buffer))), len(buffer))


def _has_enough_new_audio(held: int, covered: int, number: int, grid: WindowGrid) -> bool:
    return number == 0 or held - covered >= grid.min_tail
