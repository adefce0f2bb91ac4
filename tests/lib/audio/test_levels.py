"""Levels of recordings: what counts as clipped, silent or offset, however the samples are cut into blocks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.audio.levels import FULL_SCALE, LevelMeter, Levels

NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, 1000).astype(np.float32)


def measure(*blocks: npt.ArrayLike) -> Levels:
    """Levels of blocks, each [frames] or [frames, channels]."""
    arrays = [np.asarray(block, np.float32) for block in blocks]
    arrays = [array[:, None] if array.ndim == 1 else array for array in arrays]
    meter = LevelMeter(arrays[0].shape[1])
    for array in arrays:
        meter.add(array)
    return meter.levels()


def with_values(*values: float, at: int = 500) -> npt.NDArray[np.float32]:
    """Noise in which some samples are replaced."""
    samples = NOISE.copy()
    samples[at : at + len(values)] = values
    return samples


@pytest.mark.parametrize(
    ("samples", "clipped", "why"),
    [
        (NOISE, 0, "noise touches its own extremes once"),
        (with_values(1, 1, 1), 3, "three in a row at full scale"),
        (with_values(1, 1), 0, "two in a row: a loud crest"),
        (with_values(1, 1, 0, 1, 1), 0, "twice two in a row"),
        (with_values(-1, -1, -1, -1), 4, "the lower side, which reaches one step further in 16 bits"),
        (with_values(1, -1, 1, -1, 1, -1), 0, "from side to side, never three on one"),
        (with_values(FULL_SCALE, 1.3, 1.1), 3, "a lossy codec overshoots full scale"),
        (
            np.tile([0, 0.3, 0.3, 0.3, 0.3, 0, -0.3, -0.1], 125),
            500,
            "clipped, and made softer: flat tops below full scale",
        ),
        (
            np.tile([0, 0.09, 0.09, 0.09, 0.09, 0, -0.09, -0.1], 125),
            0,
            "flat tops too soft to tell from the steps of 8 bits",
        ),
        (np.zeros(1000), 0, "silence"),
        (np.full(1000, 0.05), 0, "a constant below the least rail"),
    ],
)
def test_clipping(samples: npt.NDArray[np.float32], clipped: int, why: str) -> None:
    assert round(measure(samples).clipped_share * len(samples)) == clipped, why


def test_channels_are_measured_by_themselves() -> None:
    levels = measure(np.stack([with_values(1, 1, 1), np.full(1000, -0.25)], axis=1))
    assert levels.clipped_share == pytest.approx((3 + 1000) / 2000)  # the constant is one long flat top
    assert levels.offset == -0.25
    assert levels.peak == 1
    assert levels.swing == pytest.approx((1 - NOISE.min()) / 2)


def test_a_flat_top_is_none_where_the_next_block_is_louder() -> None:
    assert measure([0, 0.3, 0.3, 0.3, 0], [0, 0.5, 0]).clipped_share == 0
    assert measure([0, 0.5, 0], [0, 0.3, 0.3, 0.3, 0]).clipped_share == 0
    assert measure([0, 0.3, 0.3, 0.3], [0, 0.3, 0.3, 0.3]).clipped_share == 0.75


def test_a_constant_has_no_swing() -> None:
    assert measure(np.full(100, 0.5)).swing == 0


def test_samples_that_are_no_numbers_are_counted_and_else_left_out() -> None:
    levels = measure(with_values(np.nan, np.inf, -np.inf, 1e12))
    clean = measure(with_values(0, 0, 0, 0))
    assert levels.bad_samples == 4
    assert (levels.peak, levels.swing, levels.offset) == (clean.peak, clean.swing, clean.offset)


def slow_share(samples: npt.NDArray[np.float32]) -> float:
    """Share of clipped samples, one sample after the other."""
    clipped = 0
    for side in (samples, -samples):
        rail = min(float(side.max()), float(FULL_SCALE))
        run = 0
        for value in [*side, -np.inf]:
            if value >= rail >= 0.1:
                run += 1
                continue
            clipped += run if run >= 3 else 0
            run = 0
    return clipped / len(samples)


@given(st.lists(st.sampled_from([-1.2, -1.0, -0.5, 0.0, 0.05, 0.5, 1.0, 1.2]), min_size=1, max_size=60))
def test_the_share_is_that_of_the_slow_loop(values: list[float]) -> None:
    samples = np.array(values, np.float32)
    assert measure(samples).clipped_share == pytest.approx(slow_share(samples))


@given(st.integers(1, 999))
def test_blocks_change_nothing_but_runs_that_are_cut(cut: int) -> None:
    samples = with_values(1, 1, 1, 1)
    whole, parts = measure(samples), measure(samples[:cut], samples[cut:])
    assert parts.offset == pytest.approx(whole.offset)
    assert (parts.peak, parts.swing) == (whole.peak, whole.swing)
    expected = {501: 3, 502: 0, 503: 3}.get(cut, 4)
    assert round(parts.clipped_share * 1000) == expected
