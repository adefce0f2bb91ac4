"""Geometry of the page's line charts and axes; the templates draw it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Place = Callable[[float], float]

WIDTH, HEIGHT = 520, 270
LEFT, RIGHT, TOP, BOTTOM = 48, 508, 14, 232
"""Edges of the plot within the picture, in its own units."""


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where (in the chart's units, or percent of an axis), and its text."""

    at: float
    text: str


@dataclass(frozen=True)
class Curve:
    """One line: its name, its SVG path, its last value."""

    name: str
    path: str
    last: float


@dataclass(frozen=True)
class LineChart:
    """A chart with one x axis of whole numbers."""

    title: str
    curves: tuple[Curve, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def line_chart(
    title: str, x: Sequence[int], series: Mapping[str, Sequence[float | None]], *, top: float | None = None
) -> LineChart | None:
    """Lay out curves over common axes that begin at 0; None where there is nothing to draw.

    Parameters
    ----------
    title
        Heading of the chart.
    x
        Positions, rising.
    series
        Values by name, as many as `x`; where one is None or not finite the line is broken.
    top
        Upper end of the y axis; None: above the highest value.
    """
    cleaned = {name: [_finite(value) for value in values] for name, values in series.items()}
    known = {name: values for name, values in cleaned.items() if any(v is not None for v in values)}
    if not known or not x:
        return None
    highest = max(value for values in known.values() for value in values if value is not None)
    y_values = round_ticks(0.0, top if top is not None else max(highest, 1e-9), at_most=6)
    y_top = top if top is not None else max(y_values[-1], highest)
    x_low, x_high = x[0], max(x[-1], x[0] + 1)

    def place_x(value: float) -> float:
        return LEFT + (RIGHT - LEFT) * (value - x_low) / (x_high - x_low)

    def place_y(value: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * min(value, y_top) / y_top

    x_values = [value for value in round_ticks(x_low, x_high, at_most=8) if value == int(value)]
    return LineChart(
        title,
        tuple(Curve(name, _path(x, values, place_x, place_y), _last(values)) for name, values in known.items()),
        tuple(Tick(place_x(value), f"{value:g}") for value in x_values),
        tuple(Tick(place_y(value), f"{value:g}") for value in y_values if value <= y_top),
    )


def round_ticks(low: float, high: float, *, at_most: int) -> list[float]:
    """Return round numbers from `low` to `high`, a step of 1, 2 or 5 times a power of ten apart."""
    raw = (high - low) / at_most
    scale = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * scale for factor in (1, 2, 5, 10) if factor * scale >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _last(values: Sequence[float | None]) -> float:
    return next(value for value in reversed(values) if value is not None)


def _path(x: Sequence[int], values: Sequence[float | None], place_x: Place, place_y: Place) -> str:
    steps, pen = [], "M"
    for position, value in zip(x, values, strict=True):
        if value is None:
            pen = "M"
            continue
        steps.append(f"{pen}{place_x(position):.1f} {place_y(value):.1f}")
        pen = "L"
    return "".join(steps)
