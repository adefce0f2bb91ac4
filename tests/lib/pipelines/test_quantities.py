"""Durations, rates and sizes as text."""

from __future__ import annotations

import pytest

from hubbub.pipelines.quantities import format_rate


@pytest.mark.parametrize(
    ("rate", "text"),
    [(0.0, "0"), (0.12345, "0.123"), (45.67, "45.7"), (999.7, "1000"), (5048.2, "5048"), (1e6, "1000000")],
)
def test_rates_have_no_powers_of_ten(rate: float, text: str):
    assert format_rate(rate) == text
