"""Rates of growing amounts, and the time that the rest takes."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

_SAMPLE_S = 0.5  # between two samples that are kept
_MAX_SAMPLES = 1000
_WINDOW_S = 60.0
_WARM_UP_S = 10.0  # the first results come from all workers at once


class RateMeter:
    """Measures how fast amounts grow, in constant memory.

    Parameters
    ----------
    amounts
        The amounts at the start.
    now_s
        The time at the start, by a monotonic clock.
    """

    def __init__(self, amounts: Sequence[float], now_s: float) -> None:
        self._samples: list[tuple[float, tuple[float, ...]]] = [(now_s, tuple(amounts))]

    def add_sample(self, amounts: Sequence[float], now_s: float) -> None:
        """Record the amounts at a time."""
        sample, samples = (now_s, tuple(amounts)), self._samples
        # The start and the first result are kept: the time between them is the start-up of the workers.
        if len(samples) > 3 and samples[-1][0] - samples[-2][0] < _SAMPLE_S:
            samples[-1] = sample
        else:
            samples.append(sample)
        if len(samples) > _MAX_SAMPLES:
            recent = _MAX_SAMPLES // 2
            self._samples = samples[:2] + samples[2:-recent:2] + samples[-recent:]

    def rates(self, now_s: float, window_s: float = math.inf) -> tuple[float, ...]:
        """Return amounts per second, over the last `window_s` or since the start."""
        return self._rates_since(now_s - window_s, now_s)

    def left_s(self, index: int, remaining: float, now_s: float) -> float:
        """Return the seconds that the rest of one amount takes; infinity before the first result.

        The estimate uses the rate of the last minute, or of the last quarter of the run where that is longer. Once the
        first result is some seconds old, the time before the first result, in which workers start, is left out.
        """
        if remaining <= 0:
            return 0.0
        start_s, first_s = self._samples[0][0], self._samples[:2][-1][0]
        since_s = now_s - max(_WINDOW_S, (now_s - start_s) / 4)
        if now_s - first_s >= _WARM_UP_S:
            since_s = max(since_s, first_s)
        rate = self._rates_since(since_s, now_s)[index] or self.rates(now_s)[index]
        return remaining / rate if rate > 0 else math.inf

    def _rates_since(self, since_s: float, now_s: float) -> tuple[float, ...]:
        """Return amounts per second, from the last sample at or before `since_s` (else the first) until now."""
        number = bisect_right(self._samples, since_s, key=lambda sample: sample[0]) - 1
        began_s, before = self._samples[max(0, number)]
        elapsed_s = max(now_s - began_s, 1e-9)
        return tuple((b - a) / elapsed_s for a, b in zip(before, self._samples[-1][1], strict=True))
