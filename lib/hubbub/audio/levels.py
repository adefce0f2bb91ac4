"""Levels of a recording, a block at a time: its peak, its swing, its offset and how much of it is clipped.

A sample is clipped where it is one of `LEAST_RUN` or more consecutive samples of a channel that lie at the rail. The
rail of a channel's upper side is full scale, or the channel's own highest value where it stays below full scale: a
recording that was clipped and then made softer has flat tops there. The same holds for the lower side. Three samples
in a row are what Audacity counts as clipping (Analyze > Find Clipping, start threshold).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hubbub.audio.decode import MAX_AMPLITUDE

LEAST_RUN = 3
"""Consecutive samples at the rail that count as clipped."""

FULL_SCALE = np.float32(32_767 / 32_768)
"""The highest sample of 16 bits; 24 bits and floats reach further."""

LEAST_RAIL = 0.1
"""Below -20 dBFS flat tops are no clipping: soft recordings of 8 bits have them by their few steps."""


@dataclass(frozen=True)
class Levels:
    """Levels of a recording; full scale is 1.

    Attributes
    ----------
    peak
        Highest absolute sample.
    swing
        Half the distance from lowest to highest sample of the channel where that is greatest: the peak without an
        offset. 0 for digital silence.
    offset
        Mean of the channel whose mean is farthest from 0.
    clipped_share
        Share of the samples of all channels that are clipped, 0…1.
    bad_samples
        Samples that are NaN, infinite or beyond `hubbub.audio.decode.MAX_AMPLITUDE`; counted as 0 elsewhere.
    """

    peak: float
    swing: float
    offset: float
    clipped_share: float
    bad_samples: int


class LevelMeter:
    """Measures the levels of a recording that is decoded a block at a time.

    A run of samples at the rail that crosses from one block to the next counts as two.
    """

    def __init__(self, channels: int) -> None:
        self._channels = [_Channel() for _ in range(channels)]
        self._frames = self._bad_samples = 0

    def add(self, block: npt.NDArray[np.float32]) -> None:
        """Add float32 [frames, channels]."""
        self._frames += len(block)
        for number, channel in enumerate(self._channels):
            samples = np.ascontiguousarray(block[:, number])
            self._bad_samples += channel.add(samples)

    def levels(self) -> Levels:
        """Return the levels of all that was added."""
        channels = self._channels
        clipped = sum(side.clipped for one in channels for side in one.sides if side.rail >= LEAST_RAIL)
        return Levels(
            peak=max((max(one.highest, -one.lowest) for one in channels if self._frames), default=0.0),
            swing=max(((one.highest - one.lowest) / 2 for one in channels if self._frames), default=0.0),
            offset=max((one.total / max(1, self._frames) for one in channels), key=abs, default=0.0),
            clipped_share=clipped / max(1, self._frames * len(channels)),
            bad_samples=self._bad_samples,
        )


class _Side:
    """The upper or the lower side of a channel: its rail, and the samples in runs at the rail."""

    def __init__(self) -> None:
        self.rail, self.clipped = 0.0, 0

    def add(self, extreme: float, is_at: npt.NDArray[np.bool_] | None) -> None:
        if extreme > self.rail:
            self.rail, self.clipped = extreme, 0
        if is_at is not None:
            self.clipped += _count_in_runs(is_at)


class _Channel:
    def __init__(self) -> None:
        self.highest, self.lowest, self.total = -np.inf, np.inf, 0.0
        self.sides = (_Side(), _Side())

    def add(self, samples: npt.NDArray[np.float32]) -> int:
        """Add float32 [frames]; return how many of them are no audio."""
        highest, lowest, bad = samples.max(), samples.min(), 0
        if not (highest <= MAX_AMPLITUDE and lowest >= -MAX_AMPLITUDE):  # so written, NaN is caught too
            is_good = np.abs(samples) <= MAX_AMPLITUDE
            samples, bad = np.where(is_good, samples, np.float32(0)), int((~is_good).sum())
            highest, lowest = samples.max(), samples.min()
        self.highest, self.lowest = max(self.highest, float(highest)), min(self.lowest, float(lowest))
        self.total += float(samples.sum(dtype=np.float64))
        upper, lower = min(highest, FULL_SCALE), min(-lowest, FULL_SCALE)
        self.sides[0].add(float(upper), samples >= upper if self._reaches(0, upper) else None)
        self.sides[1].add(float(lower), samples <= -lower if self._reaches(1, lower) else None)
        return bad

    def _reaches(self, side: int, extreme: np.float32) -> bool:
        return bool(extreme >= LEAST_RAIL and extreme >= self.sides[side].rail)


def _count_in_runs(is_at: npt.NDArray[np.bool_]) -> int:
    """Count samples that are marked together with their neighbours, `LEAST_RUN` or more in a row."""
    marked = np.flatnonzero(is_at)
    if len(marked) < LEAST_RUN:
        return 0
    starts = np.flatnonzero(np.diff(marked, prepend=-2) > 1)
    lengths = np.diff(starts, append=len(marked))
    return int(lengths[lengths >= LEAST_RUN].sum())
