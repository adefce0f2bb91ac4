"""Blocks of a recording for networks that hear a stream: equal cores, end to end, with sound around each.

::

    recording          |=======================|
    block 0     [~~~~~~|--------|~~~~~~]               ~ halo: heard, not scored; zeros before the recording's
    block 1              [~~~~~~|--------|~~~~~~]        begin and after its end
    block 2                       [~~~~~~|--------|~~~~~~]

Whatever the number of the first block, a block holds the same samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hubbub.audio.windows import Window


@dataclass(frozen=True)
class BlockGrid:
    """Where the blocks of a recording lie, in samples.

    Attributes
    ----------
    hop
        Samples of a core, from one block's core to the next.
    halo
        Samples heard before a core, and after it.
    """

    hop: int
    halo: int

    min_tail: int = 1

    @property
    def window(self) -> int:
        """Samples of a block."""
        return self.hop + 2 * self.halo

    def start(self, block: int) -> int:
        """First sample of the recording that block number `block` holds."""
        return max(0, block * self.hop - self.halo)

    def own(self, first: int, blocks: int) -> int:
        """Samples from `start(first)` to the end of the last of so many blocks."""
        return (first + blocks) * self.hop + self.halo - self.start(first)

    def split(self, samples: Iterable[npt.NDArray[np.float32]], *, first: int = 0) -> Iterator[Window]:
        """Cut a stream of samples into blocks, holding no more than one of them and what comes in at once.

        Parameters
        ----------
        samples
            float32 arrays of any lengths; the first sample is `start(first)`.
        first
            Number of the first block.

        Yields
        ------
        Window
            As long as a core holds a sample; `valid` are the samples of the core that are sound.
        """
        before = max(0, self.halo - first * self.hop)
        buffer, number = np.zeros(before, np.float32), first
        for part in samples:
            buffer = np.concatenate([buffer, part])
            while len(buffer) >= self.window:
                yield Window(number, buffer[: self.window].copy(), self.hop)
                number, buffer = number + 1, buffer[self.hop :]
        while len(buffer) > self.halo:
            held = buffer[: self.window]
            valid = min(self.hop, len(buffer) - self.halo)
            yield Window(number, np.pad(held, (0, self.window - len(held))), valid)
            number, buffer = number + 1, buffer[self.hop :]
