"""Balanced sampling: as many rows as there are, every label as often as others, none repeated too often."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.learn.balance import MOST_REPEATS, needs_balance, sample_balanced


@given(st.lists(st.integers(1, 60), min_size=2, max_size=6), st.integers(0, 5), st.integers(0, 5))
def test_labels_are_shown_as_often_as_others(counts: list[int], seed: int, epoch: int):
    targets = np.repeat(np.arange(len(counts)), counts)
    places = sample_balanced(targets, seed=seed, epoch=epoch)
    assert len(places) == len(targets)
    repeats = np.bincount(places, minlength=len(targets))
    shown = np.bincount(targets[places], minlength=len(counts))
    for label, count in enumerate(counts):
        own = repeats[targets == label]
        assert own.max() - own.min() <= 1
        capped = shown[label] == MOST_REPEATS * count
        assert capped or shown[label] >= len(targets) // len(counts) - 1
    assert (np.sort(places) == np.sort(sample_balanced(targets, seed=seed, epoch=epoch))).all()


def test_every_epoch_draws_others():
    targets = np.repeat([0, 1], [50, 10])
    seen = {place for epoch in range(10) for place in sample_balanced(targets, seed=1, epoch=epoch).tolist()}
    assert seen == set(range(60))


@pytest.mark.parametrize(
    ("counts", "balance", "expected"),
    [
        ((30, 10), "auto", True),
        ((29, 10), "auto", False),
        ((30, 10), "none", False),
        ((10, 10), "sampling", True),
    ],
)
def test_when_rows_are_balanced(counts: tuple[int, int], balance: str, expected: bool):
    assert needs_balance(np.repeat([0, 1], counts), balance) == expected
