"""Geometry of the page's charts and axes: lines, heat maps, histograms, maps; the templates draw it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hubbub.audio.ticks import Tick, round_ticks
from hubbub.io.text import count_noun
from hubbub.labels.coverage import DayHours
from hubbub.labels.overview import SCORE_BINS, MapPoint, ScoreHistogram

Place = Callable[[float], float]

WIDTH, HEIGHT = 520, 270
LEFT, RIGHT, TOP, BOTTOM = 48, 508, 14, 232
"""Edges of the plot within the picture, in its own units."""


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


LEVELS = 5
"""Sizes of squares in a heat map."""

_ROW = 9  # height of an hour in a heat map


@dataclass(frozen=True)
class Level:
    """Squares of one size: cells whose amount is within the same fifth of the highest."""

    number: int
    """1 to `LEVELS`."""
    path: str
    most: float
    """The amount up to which a square has this size; whole where all amounts are."""


@dataclass(frozen=True)
class HeatMap:
    """Amounts by day (to the right) and hour (downwards): the larger a square, the more. Empty cells have none."""

    height: float
    covered: str
    """SVG path of the cells in which there was audio; empty where that is what is shown."""
    levels: tuple[Level, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    highest: float
    highest_at: str
    """Day and hour of the highest amount, as text."""


def heat_map(amounts: DayHours, covered: npt.NDArray[np.bool_] | None = None) -> HeatMap | None:
    """Lay out amounts by day and hour; None where there is none.

    Parameters
    ----------
    amounts
        What is shown.
    covered
        bool [column, hour]: the cells in which there was audio.
    """
    values, days = amounts.values, amounts.days
    highest = float(values.max(initial=0.0))
    if highest <= 0:
        return None
    column_width = min((RIGHT - LEFT) / days.columns, 2.0 * _ROW)
    level = np.ceil(LEVELS * values / highest - 1e-9).astype(np.int64)
    whole = bool((values == values.round()).all())
    tops = [highest * number / LEVELS for number in range(1, LEVELS + 1)]
    levels = tuple(
        Level(number, _cells(level == number, column_width, 0.28 + 0.62 * number / LEVELS), top // 1 if whole else top)
        for number, top in enumerate(tops, start=1)
        if (level == number).any()
    )
    peak = np.unravel_index(int(values.argmax()), values.shape)
    every = -(-days.columns // max(1, int(column_width * days.columns / 78)))
    return HeatMap(
        TOP + 24 * _ROW + 22,
        "" if covered is None else _cells(covered, column_width, 1.0),
        levels,
        tuple(Tick(LEFT + (c + 0.5) * column_width, days.names[c]) for c in range(0, days.columns, every)),
        tuple(Tick(TOP + (hour + 0.5) * _ROW, f"{hour:02d}:00") for hour in range(0, 24, 3)),
        highest,
        f"{days.names[peak[0]]}, {peak[1]:02d}:00",
    )


def _cells(wanted: npt.NDArray[np.bool_], width: float, share: float) -> str:
    """SVG path of rectangles in the middle of cells, whose sides are a share of the cells'."""
    w, h = width * share, _ROW * share
    return "".join(
        f"M{LEFT + (c + 0.5) * width - w / 2:.1f} {TOP + (hour + 0.5) * _ROW - h / 2:.1f}h{w:.1f}v{h:.1f}h-{w:.1f}z"
        for c, hour in np.argwhere(wanted).tolist()
    )


@dataclass(frozen=True)
class ScoreChart:
    """How scores of one label are spread: bars of events, a line of clips, a mark at the threshold."""

    bars: str
    """SVG path."""
    line: str
    """SVG path; empty where no clip's score is known."""
    threshold: float | None
    """Where on the x axis."""
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


SCORE_WIDTH, SCORE_HEIGHT = 340, 150
_SCORE_EDGES = (44, 332, 10, 116)  # left, right, top, bottom


def score_chart(scores: ScoreHistogram, threshold: float | None) -> ScoreChart | None:
    """Lay out a histogram of scores from 0 to 1; None where there is no score."""
    left, right, top, bottom = _SCORE_EDGES
    most = max(*scores.events, *scores.clips)
    if not most:
        return None
    width, scale = (right - left) / SCORE_BINS, (bottom - top) / most
    bars = "".join(
        f"M{left + number * width + 1:.1f} {bottom}v-{count * scale:.1f}h{width - 2:.1f}v{count * scale:.1f}z"
        for number, count in enumerate(scores.events)
        if count
    )
    steps = "".join(f"V{bottom - count * scale:.1f}h{width:.1f}" for count in scores.clips)
    y_values = [value for value in round_ticks(0, most, at_most=4) if value == int(value)]
    return ScoreChart(
        bars,
        f"M{left} {bottom}{steps}V{bottom}" if any(scores.clips) else "",
        None if threshold is None else left + (right - left) * min(max(threshold, 0.0), 1.0),
        tuple(Tick(left + (right - left) * value, f"{value:g}") for value in (0, 0.25, 0.5, 0.75, 1)),
        tuple(Tick(bottom - value * scale, f"{value:g}") for value in y_values),
    )


@dataclass(frozen=True)
class Circle:
    """A place on a map; the larger, the more recordings."""

    x: float
    y: float
    r: float
    text: str
    """What a pointer resting on it is told."""


@dataclass(frozen=True)
class MapChart:
    """Places in their true proportions, north up, with a bar that says how far is far."""

    circles: tuple[Circle, ...]
    x_ticks: tuple[Tick, ...]
    """Longitudes."""
    y_ticks: tuple[Tick, ...]
    """Latitudes."""
    bar_width: float
    bar_text: str


_MAP_EDGES = (70, 500, 20, 450)  # left, right, top, bottom
_KM_A_DEGREE = 111.195
"""Of latitude: a sphere of 6371 km."""


def map_chart(points: Sequence[MapPoint]) -> MapChart | None:
    """Lay out places on an equirectangular map around their middle; None where there is none.

    A degree of longitude is as long as at the middle latitude; places on both sides of 180 degrees lie side by side.
    """
    if not points:
        return None
    left, right, top, bottom = _MAP_EDGES
    latitude = np.array([point.latitude for point in points])
    longitude = _unwrap(np.array([point.longitude for point in points]))
    middle = (latitude.min() + latitude.max()) / 2, (longitude.min() + longitude.max()) / 2
    stretch = max(math.cos(math.radians(middle[0])), 0.01)
    extent_deg = 1.1 * max(np.ptp(latitude), np.ptp(longitude) * stretch, 0.01)  # a kilometre at least
    scale = (right - left) / extent_deg
    x = (left + right) / 2 + (longitude - middle[1]) * stretch * scale
    y = (top + bottom) / 2 - (latitude - middle[0]) * scale
    most = max(point.recordings for point in points)
    order = sorted(range(len(points)), key=lambda number: -points[number].recordings)  # small ones above
    widest = 11 if len(points) <= 40 else 5
    circles = tuple(
        Circle(float(x[n]), float(y[n]), 3 + widest * math.sqrt(points[n].recordings / most), _place_text(points[n]))
        for n in order
    )
    half = extent_deg / 2
    eastings = round_ticks(middle[1] - half / stretch, middle[1] + half / stretch, at_most=4)
    northings = round_ticks(middle[0] - half, middle[0] + half, at_most=6)
    km = _round_down(extent_deg * _KM_A_DEGREE / 3)
    return MapChart(
        circles,
        tuple(
            Tick((left + right) / 2 + (value - middle[1]) * stretch * scale, f"{(value + 180) % 360 - 180:.6g}")
            for value in eastings
        ),
        tuple(
            Tick((top + bottom) / 2 - (value - middle[0]) * scale, f"{value:.6g}")
            for value in northings
            if -90 <= value <= 90
        ),
        km / _KM_A_DEGREE * scale,
        f"{km:g} km" if km >= 1 else f"{1000 * km:g} m",
    )


def _round_down(value: float) -> float:
    """Return 1, 2 or 5 times a power of ten, the largest up to `value`."""
    scale = 10.0 ** math.floor(math.log10(value))
    return max(factor * scale for factor in (1, 2, 5) if factor * scale <= value * (1 + 1e-9))


def _unwrap(longitude: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Turn longitudes so that the widest gap between neighbours is outside the map."""
    ring = np.unique(longitude)
    gaps = np.diff([*ring, ring[0] + 360])
    start = ring[(int(gaps.argmax()) + 1) % len(ring)]
    return np.where(longitude < start, longitude + 360, longitude)


def _place_text(point: MapPoint) -> str:
    return (
        f"{point.latitude:.5f}, {point.longitude:.5f}: {count_noun(point.recordings, 'recording')}, "
        f"{count_noun(point.events, 'event')}"
    )


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
