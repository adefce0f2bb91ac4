"""Windows: what `split_windows` makes of a stream is what `count` says, however the stream comes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.audio.windows import WindowGrid, split_windows, window_grid
from hubbub.config import Settings, load_settings

DEFAULT = WindowGrid(window=110_250, hop=110_250, min_tail=512)


@st.composite
def grids(draw: st.DrawFn) -> WindowGrid:
    window = draw(st.integers(1, 12))
    hop = draw(st.integers(1, window))
    return WindowGrid(window, hop, min_tail=draw(st.integers(1, window)), only_first=draw(st.booleans()))


@st.composite
def streams(draw: st.DrawFn) -> list[np.ndarray]:
    lengths = draw(st.lists(st.integers(0, 17), max_size=8))
    samples = np.arange(1, 1 + sum(lengths), dtype=np.float32)
    return np.split(samples, np.cumsum(lengths)[:-1]) if lengths else []


def cut_slowly(samples: np.ndarray, grid: WindowGrid) -> list[tuple[int, list[float], int]]:
    """The definition: the first window always, then each one that brings `min_tail` samples no earlier one holds."""
    windows, held_until = [], 0
    for number in range(1 if grid.only_first else len(samples) + 1):
        start = number * grid.hop
        end = min(start + grid.window, len(samples))
        if number and len(samples) - held_until < grid.min_tail:
            break
        if end <= start:
            break
        sound = samples[start:end].tolist()
        windows.append((number, sound + [0.0] * (grid.window - len(sound)), len(sound)))
        held_until = max(held_until, end)
    return windows


@given(streams(), grids())
def test_cut_equals_the_slow_definition_and_the_count(blocks: list[np.ndarray], grid: WindowGrid):
    samples = np.concatenate(blocks) if blocks else np.empty(0, np.float32)
    windows = [(window.number, window.samples.tolist(), window.valid) for window in split_windows(iter(blocks), grid)]
    assert windows == cut_slowly(samples, grid)
    assert len(windows) == grid.count(len(samples))


@given(grids(), st.integers(0, 200))
def test_no_more_than_a_tail_is_left_out(grid: WindowGrid, n_samples: int):
    if grid.only_first or not n_samples:
        return
    last = grid.count(n_samples) - 1
    held_until = min(grid.start(last) + grid.window, n_samples)
    assert n_samples - held_until < grid.min_tail


@given(grids(), st.integers(0, 100))
def test_more_sound_never_makes_fewer_windows(grid: WindowGrid, n_samples: int):
    assert grid.count(n_samples) <= grid.count(n_samples + 1) <= grid.count(n_samples) + 1


@pytest.mark.parametrize(
    ("grid", "n_samples", "windows"),
    [
        (DEFAULT, 0, 0),  # an empty clip has none
        (DEFAULT, 1, 1),  # anything else has one
        (DEFAULT, 110_250, 1),  # 5 s
        (DEFAULT, 110_250 + 511, 1),  # 5.02 s: less than a hop of the frontend more, not a window of padding
        (DEFAULT, 110_250 + 512, 2),
        (DEFAULT, 220_500, 2),
        (DEFAULT, 220_500 + 512, 3),
        (WindowGrid(4, 2), 9, 4),  # the drawing at the top of the module
        (WindowGrid(4, 2), 8, 3),
        (WindowGrid(4, 2, only_first=True), 9, 1),
        (WindowGrid(110_250, 22_050, min_tail=512), 22_050 * 3600, 3596),  # an hour at a hop of a second
    ],
)
def test_count(grid: WindowGrid, n_samples: int, windows: int):
    assert grid.count(n_samples) == windows


@given(streams(), st.integers(0, 1000))
def test_numbers_go_on_from_the_first(blocks: list[np.ndarray], first: int):
    grid = WindowGrid(5, 5)
    numbers = [window.number for window in split_windows(iter(blocks), grid, first=first)]
    assert numbers == list(range(first, first + len(numbers)))


@given(streams(), grids(), st.integers(1, 10))
def test_a_stream_taken_up_in_the_middle_makes_the_windows_of_the_whole(
    blocks: list[np.ndarray], grid: WindowGrid, first: int
):
    """Invariant 7: where a unit takes up a clip does not change what the clip's windows are."""
    samples = np.concatenate(blocks) if blocks else np.empty(0, np.float32)
    whole = [(w.number, w.samples.tolist(), w.valid) for w in split_windows([samples], grid) if w.number >= first]
    piece = [
        (w.number, w.samples.tolist(), w.valid)
        for w in split_windows([samples[grid.start(first) :]], grid, first=first)
    ]
    assert grid.only_first or piece == whole


def test_a_window_is_its_own_copy():
    block = np.ones(8, np.float32)
    one, two = split_windows([block], WindowGrid(4, 4))
    one.samples[:] = 9
    assert two.samples.tolist() == [1, 1, 1, 1]
    assert block.tolist() == [1] * 8


def test_cut_holds_one_window_and_one_block():
    """A window comes out as soon as its samples are there, so nothing piles up."""
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield np.zeros(3, np.float32)

    windows = split_windows(endless(), WindowGrid(6, 6))
    for number in range(1, 50):
        next(windows)
        assert len(taken) == 2 * number


def test_only_the_first_window_reads_no_further():
    def one_block_then_never():
        yield np.zeros(6, np.float32)
        raise AssertionError("read on")

    assert len(list(split_windows(one_block_then_never(), WindowGrid(6, 6, only_first=True)))) == 1


@pytest.mark.parametrize(
    ("assignments", "hop_s", "grid"),
    [
        ([], None, WindowGrid(110_250, 110_250, 512, only_first=True)),
        (["windows.mode=all"], None, WindowGrid(110_250, 110_250, 512)),
        (["windows.mode=all", "windows.hop_s=1"], None, WindowGrid(110_250, 22_050, 512)),
        ([], 1.0, WindowGrid(110_250, 22_050, 512)),  # labelling asks for all windows, whatever training took
        (
            ["windows.duration_s=0.01"],
            None,
            WindowGrid(220, 220, 220, only_first=True),
        ),  # shorter than the frontend's hop
        (["frontend.sample_rate=11025", "windows.duration_s=0.5"], None, WindowGrid(5512, 5512, 512, only_first=True)),
    ],
)
def test_grid_of_settings(assignments: list[str], hop_s: float | None, grid: WindowGrid):
    assert window_grid(load_settings(None, assignments), hop_s=hop_s) == grid


def test_the_default_grid_is_five_seconds():
    assert window_grid(Settings()).window == 5 * 22050
