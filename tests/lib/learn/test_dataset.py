"""The loader: every row once, shuffled the same way for the same seed, and statistics as NumPy's."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubbub.errors import TrainingError
from hubbub.learn.dataset import band_statistics, iterate_batches


class Shards:
    """Rows whose values tell their number, and a memory of what was read."""

    def __init__(self, n_rows: int, rows_per_shard: int) -> None:
        self.rows_per_shard = rows_per_shard
        self.values = np.random.default_rng(n_rows).normal(size=(n_rows, 2, 3)).astype(np.float16) * 20 - 40
        self.values[:, 0, 0] = np.arange(n_rows)
        self.reads: list[int] = []

    def read_shard(self, shard: int) -> np.ndarray:
        self.reads.append(shard)
        whole = np.full((self.rows_per_shard, 2, 3), np.nan, np.float16)
        part = self.values[shard * self.rows_per_shard : (shard + 1) * self.rows_per_shard]
        whole[: len(part)] = part
        return whole


cases = st.tuples(st.integers(1, 60), st.integers(1, 9), st.integers(1, 12), st.integers(1, 4), st.integers(0, 2**31))


@settings(max_examples=80, deadline=None)
@given(case=cases, epoch=st.integers(0, 3), drop_last=st.booleans(), shuffled=st.booleans())
def test_every_row_comes_once_with_its_own_values_and_target(case, epoch, drop_last, shuffled):
    n_rows, rows_per_shard, batch_rows, mix, seed = case
    store = Shards(n_rows, rows_per_shard)
    wanted = np.flatnonzero(np.random.default_rng(seed).random(n_rows) < 0.7)
    batches = list(
        iterate_batches(
            store,
            wanted,
            wanted * 7,
            batch_rows=batch_rows,
            seed=seed if shuffled else None,
            epoch=epoch,
            mix_shards=mix,
            drop_last=drop_last,
        )
    )
    got = [int(row) for batch in batches for row in batch.rows]
    left_out = len(wanted) % batch_rows if drop_last else 0
    assert len(set(got)) == len(got) == len(wanted) - left_out
    assert set(got) <= set(wanted.tolist())
    assert shuffled or got == sorted(got)
    for batch in batches:
        assert batch.features.dtype == np.float32
        np.testing.assert_array_equal(batch.features, store.values[batch.rows])
        np.testing.assert_array_equal(batch.targets, batch.rows * 7)
    assert all(len(batch.rows) == batch_rows for batch in batches[:-1])
    assert len(store.reads) == len(set(store.reads))  # each shard is read once, whole


def order(seed: int, epoch: int) -> list[int]:
    rows = np.arange(40)
    batches = iterate_batches(Shards(40, 5), rows, rows, batch_rows=8, seed=seed, epoch=epoch, mix_shards=2)
    return [int(row) for batch in batches for row in batch.rows]


def test_the_order_depends_on_seed_and_epoch_alone():
    assert order(1, 0) == order(1, 0)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (0, 1)}) == 4


def test_only_a_few_shards_are_in_memory():
    store = Shards(100, 5)
    rows = np.arange(100)
    batches = iterate_batches(store, rows, rows, batch_rows=4, seed=0, mix_shards=3)
    next(batches)
    assert len(store.reads) == 3


def test_rows_of_different_shards_meet_in_a_batch():
    first = order(3, 0)[:8]
    assert len({row // 5 for row in first}) == 2


@settings(max_examples=40, deadline=None)
@given(n_rows=st.integers(1, 600), rows_per_shard=st.integers(1, 300), seed=st.integers(0, 99))
def test_statistics_are_those_of_all_frames_at_once(n_rows, rows_per_shard, seed):
    store = Shards(n_rows, rows_per_shard)
    wanted = np.unique(np.random.default_rng(seed).integers(n_rows, size=n_rows))
    got = band_statistics(store, wanted)
    frames = store.values[wanted].astype(np.float64).reshape(-1, 3)
    np.testing.assert_allclose(got.mean, frames.mean(axis=0), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(got.std, np.maximum(frames.std(axis=0), 0.1), rtol=1e-7)


def test_statistics_see_only_the_rows_asked_for():
    store = Shards(10, 4)
    before = band_statistics(store, np.arange(5))
    store.values[5:] = 1000
    after = band_statistics(store, np.arange(5))
    np.testing.assert_array_equal(before.mean, after.mean)


def test_values_that_are_not_finite_are_refused_by_row():
    store = Shards(10, 4)
    store.values[6, 1, 1] = np.inf
    with pytest.raises(TrainingError, match="row 6 of the store"):
        band_statistics(store, np.arange(10))


def test_the_core_works_without_tensorflow():
    code = (
        "import sys, numpy as np\n"
        "from hubbub.learn.dataset import iterate_batches\n"
        "class S:\n"
        "    rows_per_shard = 2\n"
        "    def read_shard(self, shard): return np.zeros((2, 3, 4), np.float16)\n"
        "assert len(list(iterate_batches(S(), np.arange(4), np.arange(4), batch_rows=2, seed=1))) == 2\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_tf_data_gives_the_same_batches():
    pytest.importorskip("tensorflow")
    from hubbub.learn.dataset import as_tf_data

    store, rows = Shards(20, 6), np.arange(20)

    def stream():
        for batch in iterate_batches(store, rows, rows, batch_rows=8, seed=4):
            yield batch.features, np.eye(20, dtype=np.float32)[batch.targets]

    wrapped = as_tf_data(stream, n_batches=3, n_frames=2, n_bands=3, n_labels=20)
    assert wrapped.cardinality().numpy() == 3
    for (features, targets), (expected, one_hot) in zip(wrapped.as_numpy_iterator(), stream(), strict=True):
        np.testing.assert_array_equal(features, expected)
        np.testing.assert_array_equal(targets, one_hot)
