"""Training and evaluation on a store that has rotted: refused by row, with what to type, and never a wrong number."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from hubbub.errors import TrainingError
from hubbub.learn.checksummed_store import ChecksummedStore
from hubbub.store.features import FeatureStore
from hubbub.store.opening import open_store

pytest.importorskip("keras")

from hubbub.learn.train import train  # noqa: E402
from hubbub.pipelines.evaluate import evaluate  # noqa: E402


def shard_file(store: FeatureStore, shard: int):
    return store.path / "features.zarr" / "features" / "c" / str(shard) / "0" / "0"


@pytest.fixture
def store(tiny_store, tmp_path) -> FeatureStore:
    shutil.copytree(tiny_store.path, tmp_path / "store")
    return open_store(tmp_path / "store")


def vanish(store: FeatureStore, shard: int) -> str:
    shard_file(store, shard).unlink()
    return "is missing: its shard has vanished"


def swap(store: FeatureStore, shard: int) -> str:
    """Put another shard, sound in itself, in its place."""
    shutil.copy(shard_file(store, (shard + 1) % 3), shard_file(store, shard))
    return "does not hold what was written: its checksum differs"


DAMAGES = pytest.mark.parametrize("damage", [vanish, swap])


@DAMAGES
def test_rows_are_compared_with_their_checksums(store, damage):
    reads = ChecksummedStore(store, store.rows())
    np.testing.assert_array_equal(reads.read_shard(1), store.read_shard(1))
    said = damage(store, 1)
    fresh = ChecksummedStore(open_store(store.path), store.rows())
    with pytest.raises(TrainingError, match=rf"row 8 of the store \(.*wav\) {said}; run: hubbub verify .* --repair"):
        fresh.read_shard(1)
    fresh.read_shard(2)
    ChecksummedStore(open_store(store.path), store.rows().iloc[:8]).read_shard(
        1
    )  # of none of its rows anything was asked


@DAMAGES
def test_training_refuses_rows_that_are_not_what_was_written(store, tmp_path, damage):
    said = damage(store, 2)
    with pytest.raises(TrainingError, match=f"{said}; run: hubbub verify"):
        train(store.path, tmp_path / "bundle", model="seed-cnn", test_fold=1, epochs=1)
    assert not (tmp_path / "bundle").exists()


def test_training_that_goes_on_looks_at_its_rows_again(store, tmp_path):
    def stop(line):
        raise KeyboardInterrupt

    ask = {"model": "seed-cnn", "test_fold": 1, "epochs": 2}
    with pytest.raises(KeyboardInterrupt):
        train(store.path, tmp_path / "bundle", **ask, on_epoch=stop)
    swap(store, 2)
    with pytest.raises(TrainingError, match="its checksum differs"):
        train(store.path, tmp_path / "bundle", **ask)


@DAMAGES
def test_a_shard_that_goes_bad_while_training_stops_it(store, tmp_path, damage):
    def harm(line):
        damage(store, 2)

    with pytest.raises(TrainingError, match=r"row \d+ of the store.*run: hubbub verify .* --repair"):
        train(store.path, tmp_path / "bundle", model="seed-cnn", test_fold=1, epochs=3, on_epoch=harm)


@DAMAGES
def test_evaluation_refuses_them_too(store, tmp_path, damage):
    train(store.path, tmp_path / "bundle", model="seed-cnn", test_fold=1, epochs=1)
    said = damage(store, 0)
    with pytest.raises(TrainingError, match=f"{said}; run: hubbub verify"):
        evaluate(tmp_path / "bundle", store.path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
