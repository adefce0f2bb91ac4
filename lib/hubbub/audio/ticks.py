"""Marks on the axes of pictures and charts."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where (in the chart's units, or percent of an axis), and its text."""

    at: float
    text: str


def round_ticks(low: float, high: float, *, at_most: int) -> list[float]:
    """Return round numbers from `low` to `high`, a step of 1, 2 or 5 times a power of ten apart."""
    raw = (high - low) / at_most
    scale = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * scale for factor in (1, 2, 5, 10) if factor * scale >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]
