"""What scenes are put together from: sounds of no class, rows in turn, marks of what is active, rooms."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from hubbub.learn.augment import Features, Targets


class Sound(NamedTuple):
    """A sound of no class: float [frame, band] in decibels, and which of its frames are active, bool [frame]."""

    features: npt.NDArray[np.floating]
    active: npt.NDArray[np.bool_]


class Deck:
    """Deals the rows of a batch, each once before any a second time."""

    def __init__(self, count: int, rng: np.random.Generator) -> None:
        self._count, self._rng = count, rng
        self._left: list[int] = []

    def draw(self) -> int:
        """The next row."""
        if not self._left:
            self._left = self._rng.permutation(self._count).tolist()
        return self._left.pop()


def mark_active(want: Targets, active: npt.NDArray[np.bool_], begin: int, carried: Targets) -> None:
    """Enter what a row carries into the targets [frame, label], where its frames, laid from `begin` on, are active."""
    first, stop = max(0, begin), min(len(want), begin + len(active))
    if stop > first:
        shown = active[first - begin : stop - begin, None] * carried[None, :]
        np.maximum(want[first:stop], shown, out=want[first:stop])


def reverberate(power: Features, frame_s: float, rng: np.random.Generator) -> Features:
    """Add the tail of a room: power that decays by 60 dB in 0.2 to 1.5 s."""
    decay_s = rng.uniform(0.2, 1.5)
    keep = 10 ** (-6 * frame_s / decay_s)
    room = rng.uniform(0.05, 0.6)
    tail = np.zeros((min(round(0.5 * decay_s / frame_s), 64), power.shape[1]), np.float32)
    long = np.concatenate([power, tail])
    wet = lfilter([1 - keep], [1, -keep], long, axis=0).astype(np.float32)
    return (1 - room) * long + room * wet
