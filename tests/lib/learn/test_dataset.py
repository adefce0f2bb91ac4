"""The loader: every row once, shuffled the same way for the same seed, and statistics as NumPy's."""

from __future__ import annotations

import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubbub.errors import TrainingError
from hubbub.learn.crops import Crops
from hubbub.learn.dataset import band_statistics, iterate_batches
from tests.examples import count_examples


class Shards:
    path, settings, n_bands = Path("STORE"), SimpleNamespace(dtype="float16"), 3

    """Rows whose values tell their number, and a memory of what was read."""

    def __init__(self, n_rows: int, rows_per_shard: int, n_frames: int = 2) -> None:
        self.rows_per_shard, self.n_frames = rows_per_shard, n_frames
        self.values = np.random.default_rng(n_rows).normal(size=(n_rows, n_frames, 3)).astype(np.float16) * 20 - 40
        self.values[:, 0, 0] = np.arange(n_rows)
        self.reads: list[int] = []

    def read_shard(self, shard: int) -> np.ndarray:
        self.reads.append(shard)
        whole = np.full((self.rows_per_shard, *self.values.shape[1:]), np.nan, self.values.dtype)
        part = self.values[shard * self.rows_per_shard : (shard + 1) * self.rows_per_shard]
        whole[: len(part)] = part
        return whole


cases = st.tuples(st.integers(1, 60), st.integers(1, 9), st.integers(1, 12), st.integers(0, 9), st.integers(0, 2**31))


@settings(max_examples=count_examples(80), deadline=None)
@given(case=cases, epoch=st.integers(0, 3), drop_last=st.booleans(), shuffled=st.booleans())
def test_every_row_comes_once_with_its_own_values_and_target(case, epoch, drop_last, shuffled):
    n_rows, rows_per_shard, batch_rows, budget, seed = case
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
            memory_bytes=budget * store.rows_per_shard * 12,
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
    batches = iterate_batches(Shards(40, 5), rows, rows, batch_rows=8, seed=seed, epoch=epoch, memory_bytes=4 * 60)
    return [int(row) for batch in batches for row in batch.rows]


def test_the_order_depends_on_seed_and_epoch_alone():
    assert order(1, 0) == order(1, 0)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (0, 1)}) == 4


def test_no_more_is_read_than_the_budget_holds():
    store = Shards(100, 5)
    rows = np.arange(100)
    batches = iterate_batches(
        store, rows, rows, batch_rows=4, seed=0, memory_bytes=6 * 60
    )  # of 5 rows of 2 x 3 float16
    first = next(batches)
    time.sleep(0.1)
    assert len(store.reads) <= 6 + 4  # what is held, and what came into the room of what was served
    assert len(first.rows) + sum(len(batch.rows) for batch in batches) == 100
    assert sorted(store.reads) == list(range(20))


def test_rows_of_different_shards_meet_in_a_batch():
    first = order(3, 0)[:8]
    assert len({row // 5 for row in first}) >= 2


@settings(max_examples=count_examples(40), deadline=None)
@given(n_rows=st.integers(1, 600), rows_per_shard=st.integers(1, 300), seed=st.integers(0, 99))
def test_statistics_are_those_of_all_frames_at_once(n_rows, rows_per_shard, seed):
    store = Shards(n_rows, rows_per_shard)
    wanted = np.unique(np.random.default_rng(seed).integers(n_rows, size=n_rows))
    got = band_statistics(store, wanted)
    frames = store.values[wanted].astype(np.float64).reshape(-1, 3)
    np.testing.assert_allclose(got.mean, frames.mean(axis=0), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(got.std, np.maximum(frames.std(axis=0), 0.1), rtol=1e-7)


@settings(max_examples=count_examples(40), deadline=None)
@given(n_rows=st.integers(1, 100), seed=st.integers(0, 99), is_db=st.booleans())
def test_statistics_are_those_of_valid_frames_alone(n_rows, seed, is_db):
    store, rng = Shards(n_rows, 7, n_frames=5), np.random.default_rng(seed)
    rows, valid = rng.permutation(n_rows), rng.integers(1, 6, n_rows)
    frames = np.concatenate([store.values[row, :count] for row, count in zip(rows, valid, strict=True)])
    for row, count in zip(rows, valid, strict=True):
        store.values[row, count:] = -1000
    got = band_statistics(store, rows, valid, is_db=is_db)
    np.testing.assert_allclose(got.mean, frames.astype(np.float64).mean(axis=0), rtol=1e-9, atol=1e-9)
    rms = np.sqrt((frames.astype(np.float64) ** 2).mean(axis=0))
    least = 0.1 if is_db else np.maximum(1e-3 * rms, 1e-9 * rms.max())
    np.testing.assert_allclose(got.std, np.maximum(frames.astype(np.float64).std(axis=0), least), rtol=1e-7)


def test_short_clips_in_long_windows_are_not_drowned_by_their_padding():
    """A bark of 10 frames in a window of 1,000: with the padding the mean would read -99 dB."""
    store = Shards(6, 2, n_frames=1000)
    store.values = np.full((6, 1000, 3), -100, np.float16)
    store.values[:, :10] = np.random.default_rng(0).normal(-30, 5, (6, 10, 3))
    got = band_statistics(store, np.arange(6), np.full(6, 10))
    np.testing.assert_allclose(got.mean, -30, atol=3)
    np.testing.assert_allclose(got.std, 5, atol=1.5)


def test_statistics_of_crops_are_of_what_they_hold():
    store = Shards(8, 3, n_frames=6)
    rows, begin, valid = np.array([1, 1, 4]), np.array([0, 3, 2]), np.array([3, 2, 3])
    frames = np.concatenate([store.values[1, 0:3], store.values[1, 3:5], store.values[4, 2:5]]).astype(np.float64)
    got = band_statistics(store, rows, valid, crops=Crops(begin, 3))
    np.testing.assert_allclose(got.mean, frames.mean(axis=0))
    np.testing.assert_allclose(got.std, frames.std(axis=0))


def test_bands_that_hardly_change_are_not_blown_up_whatever_their_unit():
    store = Shards(4, 2, n_frames=50)
    noise = np.random.default_rng(0).normal(size=(4, 50))
    bands = [
        noise * 1e-6,  # power of quiet sound: small, and all there is to know of it
        np.ones((4, 50)),  # never changes
        np.zeros((4, 50)),  # never there
        100 + noise * 100,  # the largest, of another unit
        noise * 1e-12,  # what a transform rounds to
    ]
    store.values, store.n_bands = np.stack(bands, axis=2), 5
    store.settings = SimpleNamespace(dtype="float64")
    std = band_statistics(store, np.arange(4), is_db=False).std
    largest = float(np.sqrt((bands[3] ** 2).mean()))
    np.testing.assert_allclose(std[[0, 3]], [bands[0].std(), bands[3].std()], rtol=1e-5)
    np.testing.assert_allclose(std[[1, 2, 4]], [1e-3, 1e-9 * largest, 1e-9 * largest], rtol=1e-5)
    store.values, store.n_bands = np.zeros((4, 50, 2)), 2
    np.testing.assert_array_equal(band_statistics(store, np.arange(4), is_db=False).std, [1.0, 1.0])


def test_statistics_take_no_more_memory_for_more_rows():
    def peak(n_shards: int) -> int:
        class Endless:
            path, settings = "STORE", SimpleNamespace(dtype="float16")
            rows_per_shard, n_frames, n_bands = 16, 200, 40

            def read_shard(self, shard: int) -> np.ndarray:
                return np.full((16, 200, 40), shard % 7, np.float16)

        rows = np.arange(n_shards * 16)
        tracemalloc.start()
        band_statistics(Endless(), rows, rows % 200 + 1)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    few = peak(20)  # first: what is loaded once counts there; as many shards are read ahead as there ever are
    assert peak(80) < 1.2 * few  # 60 shards more are 15 MB


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
        "    path, rows_per_shard, n_frames, n_bands = 'S', 2, 3, 4\n"
        "    class settings: dtype = 'float16'\n"
        "    def read_shard(self, shard): return np.zeros((2, 3, 4), np.float16)\n"
        "assert len(list(iterate_batches(S(), np.arange(4), np.arange(4), batch_rows=2, seed=1))) == 2\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
