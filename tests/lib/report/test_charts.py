"""Geometry of heat maps, histograms and maps: everything is drawn once and lies within its chart."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubbub.labels.coverage import DayHours, Days
from hubbub.labels.overview import SCORE_BINS, MapPoint, ScoreHistogram
from hubbub.report.charts import LEVELS, heat_map, map_chart, score_chart
from tests.examples import count_examples


def amounts(values):
    values = np.asarray(values, np.float64)
    return DayHours(Days(20_000, 1, len(values)), values, 0)


def squares(path):
    """Middle and width of each square of a path."""
    found = re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)v([\d.]+)", path)
    return [(float(x) + float(w) / 2, float(y) + float(h) / 2, float(w)) for x, y, w, h in found]


@given(st.integers(1, 60), st.integers(0, 2**31), st.sampled_from([1, 1000]))
@settings(max_examples=count_examples(30), deadline=None)
def test_every_amount_is_one_square_and_more_is_larger(columns, seed, scale):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 9, (columns, 24)) * rng.integers(0, 2, (columns, 24)) * scale
    chart = heat_map(amounts(values))
    if not values.any():
        assert chart is None
        return
    drawn = [square for level in chart.levels for square in squares(level.path)]
    assert len(drawn) == np.count_nonzero(values)
    assert all(48 <= x - w / 2 and x + w / 2 <= 508.2 and 0 <= y <= chart.height for x, y, w in drawn)
    widths = [squares(level.path)[0][2] for level in chart.levels]
    assert widths == sorted(widths)
    for level in chart.levels:
        low = values.max() * (level.number - 1) / LEVELS
        assert len(squares(level.path)) == np.count_nonzero((values > low + 1e-9) & (values <= level.most + 1e-9))
    assert chart.highest == values.max()


def test_the_highest_amount_is_named():
    values = np.zeros((3, 24))
    values[2, 7] = 5
    assert heat_map(amounts(values)).highest_at == "2024-10-06, 07:00"
    assert heat_map(amounts(np.zeros((3, 24)))) is None


def test_the_mark_of_the_threshold_stands_between_its_bins():
    counts = (0,) * 10 + (4,) + (0,) * 9
    chart = score_chart(ScoreHistogram("dog", counts, (0,) * SCORE_BINS), 0.5)
    (bar,) = re.findall(r"M([\d.]+) 116v-([\d.]+)", chart.bars)
    assert float(bar[0]) == pytest.approx(chart.threshold + 1)
    assert float(bar[1]) == pytest.approx(106)
    assert chart.line == ""
    assert score_chart(ScoreHistogram("dog", (0,) * SCORE_BINS, (0,) * SCORE_BINS), 0.5) is None


def place(latitude, longitude, recordings=1):
    return MapPoint(latitude, longitude, recordings, 60.0, 2)


degrees = st.tuples(st.floats(-90, 90), st.floats(-180, 180), st.integers(1, 10**6))


@given(st.lists(degrees, min_size=1, max_size=30))
@settings(max_examples=count_examples(60), deadline=None)
def test_places_lie_on_the_map(points):
    chart = map_chart([place(*point) for point in points])
    assert len(chart.circles) == len(points)
    for circle in chart.circles:
        assert 70 <= circle.x <= 500
        assert 20 <= circle.y <= 450
        assert 0 < circle.r <= 14
    assert 0 < chart.bar_width <= 430 / 3 * 1.1


def test_the_scale_is_true():
    chart = map_chart([place(47.0, 8.0), place(48.0, 8.0)])
    one, two = sorted(circle.y for circle in chart.circles)
    km_a_unit = 111.195 / (two - one)
    assert chart.bar_text == "20 km"
    assert chart.bar_width * km_a_unit == pytest.approx(20)
    east = map_chart([place(60.0, 8.0), place(60.0, 10.0)])  # two degrees of longitude there are one of latitude
    west, right = sorted(circle.x for circle in east.circles)
    assert east.bar_text == "20 km"
    assert (right - west) * 20 / east.bar_width == pytest.approx(111.195, rel=0.01)


def test_places_on_both_sides_of_the_date_line_are_neighbours():
    chart = map_chart([place(-17.0, 179.9), place(-17.0, -179.9), place(-17.1, 180.0)])
    assert "km" in chart.bar_text
    assert float(chart.bar_text.split()[0]) <= 10
    assert {tick.text.lstrip("-")[:3] for tick in chart.x_ticks} <= {"179", "180"}
    xs = {circle.text.split(":")[0]: circle.x for circle in chart.circles}
    assert xs["-17.00000, 179.90000"] < xs["-17.10000, 180.00000"] < xs["-17.00000, -179.90000"]
