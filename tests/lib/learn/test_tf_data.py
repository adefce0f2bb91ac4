"""The loader in a graph: the NumPy core's rows in its order, from any position on, and refusals that reach the user."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from hubbub.errors import TrainingError
from hubbub.learn.augment import Scale, mixup
from hubbub.learn.crops import random_crops
from hubbub.learn.dataset import Pass
from hubbub.learn.order import Partition, Position
from hubbub.learn.reader import ReadAhead
from hubbub.store.features import FeatureStore

tf = pytest.importorskip("tensorflow")

from hubbub.learn.tf_data import Failures, Parallel, as_tf_data, partition_of  # noqa: E402

BUDGET = 10**9


def pass_of(store: FeatureStore, *, crops: bool = False, **changes) -> Pass:
    frame = store.rows()
    rows, epoch = frame["row"].to_numpy(np.int64), changes.get("epoch", 0)
    one = Pass(store, rows, rows * 7, batch_rows=5, seed=3, memory_bytes=BUDGET)
    return replace(one, crops=random_crops(store.settings, frame, seed=3, epoch=epoch) if crops else None, **changes)


def served(one: Pass, **options) -> list[tuple[np.ndarray, np.ndarray]]:
    return list(as_tf_data(one, **options).as_numpy_iterator())


def assert_same(batches, expected) -> None:
    assert len(batches) == len(expected)
    for (features, targets), batch in zip(batches, expected, strict=True):
        assert features.dtype == np.float32
        np.testing.assert_array_equal(features, batch.features)
        np.testing.assert_array_equal(targets, batch.targets)


PARALLEL = [
    Parallel(),
    Parallel(ReadAhead(1), batches_at_once=1, prefetch_batches=1, threads=1),
    Parallel(ReadAhead(8), batches_at_once=4, prefetch_batches=8),
]


@pytest.mark.parametrize("parallel", PARALLEL)
@pytest.mark.parametrize("changes", [{}, {"epoch": 2}, {"seed": None}, {"drop_last": True}, {"share": Partition(1, 2)}])
def test_the_graph_gives_the_same_rows_in_the_same_order(tiny_store, changes, parallel):
    one = pass_of(tiny_store, **changes)
    batches = served(one, parallel=parallel)
    assert_same(batches, list(one.batches()))
    assert len(batches) == one.n_batches
    for features, targets in batches:
        np.testing.assert_array_equal(features, tiny_store.read_rows(targets // 7))


def test_crops_are_cut_and_floored_alike(cropped_store):
    for epoch in range(3):
        one = pass_of(cropped_store, crops=True, epoch=epoch)
        assert one.crops.scale is not None
        assert_same(served(one), list(one.batches()))


@pytest.mark.parametrize(
    "scale", [Scale(-38.0, None, 0.0, False), Scale(-100.0, 6.0, 0.0, False), Scale(-38.0, 6.0, 0.0, True)]
)
def test_every_kind_of_floor_is_that_of_the_core(cropped_store, scale):
    one = pass_of(cropped_store, crops=True)
    one = replace(one, crops=replace(one.crops, scale=scale))
    assert_same(served(one), list(one.batches()))


def test_a_dataset_can_be_gone_through_again_and_broken_off(tiny_store):
    one = pass_of(tiny_store)
    dataset = as_tf_data(one)
    for _ in range(3):
        next(iter(dataset))
    for _ in range(2):
        assert_same(list(dataset.as_numpy_iterator()), list(one.batches()))


class Noted:
    """A store that remembers which chunks were read."""

    def __init__(self, store: FeatureStore) -> None:
        self.path, self.settings, self.rows_per_shard = store.path, store.settings, store.rows_per_shard
        self.n_frames, self.n_bands, self._store = store.n_frames, store.n_bands, store
        self.rows_per_chunk, self.read = store.rows_per_chunk, list[int]()

    def read_into(self, first: int, into: np.ndarray) -> None:
        self.read += range(first // self.rows_per_chunk, (first + len(into)) // self.rows_per_chunk)
        self._store.read_into(first, into)


@pytest.mark.parametrize("budget", [0, BUDGET])
@pytest.mark.parametrize("batch", range(5))
def test_a_position_gives_exactly_what_was_left_and_reads_nothing_before_it(tiny_store, batch, budget):
    whole = served(pass_of(tiny_store, epoch=1, memory_bytes=budget))
    said = pass_of(tiny_store, epoch=1, memory_bytes=budget).position(batch).to_json()
    noted = Noted(tiny_store)
    again = replace(pass_of(tiny_store, epoch=Position.from_json(said).epoch, memory_bytes=budget), store=noted)
    begin = again.first_batch(Position.from_json(said))
    left = served(again, first_batch=begin)
    for one, other in zip(left, whole[batch:], strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
    rows = np.concatenate([targets for _, targets in whole[batch:]]) // 7
    assert sorted(noted.read) == np.unique(rows // noted.rows_per_chunk).tolist()


@pytest.mark.parametrize(
    "changes", [{"epoch": 2}, {"seed": 4}, {"batch_rows": 6}, {"share": Partition(0, 2)}, {"rows": np.arange(4)}]
)
def test_a_position_of_something_else_is_refused(tiny_store, changes):
    position = pass_of(tiny_store, epoch=1).position(2)
    with pytest.raises(TrainingError, match="no place in epoch"):
        replace(pass_of(tiny_store, epoch=1), **changes).first_batch(position)


def test_augmentation_depends_on_seed_epoch_and_batch_alone(tiny_store):
    def policy(features, targets, rng):
        return mixup(features, targets, rng, alpha=0.4, share=1.0)

    one = replace(pass_of(tiny_store), targets=np.arange(24) % 3)
    whole = served(one, n_labels=3, augment=policy, parallel=Parallel(batches_at_once=4))
    for number, batch in enumerate(one.batches()):
        one_hot = np.eye(3, dtype=np.float32)[batch.targets]
        expected = policy(batch.features, one_hot, np.random.default_rng([3, 0, number]))
        np.testing.assert_array_equal(whole[number][0], expected[0])
        np.testing.assert_array_equal(whole[number][1], expected[1])
    for mine, theirs in zip(served(one, n_labels=3, augment=policy, first_batch=2), whole[2:], strict=True):
        np.testing.assert_array_equal(mine[0], theirs[0])


def test_a_table_says_what_targets_mean(tiny_store):
    table = np.array([[0.9, 0.1, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.2, 0.3, 0.5]], np.float32)
    one = replace(pass_of(tiny_store), targets=np.arange(24) % 4)
    for (_, targets), batch in zip(served(one, target_table=table), one.batches(), strict=True):
        assert targets.dtype == np.float32
        np.testing.assert_array_equal(targets, table[batch.targets])
    identity = served(one, target_table=np.eye(4))
    for (_, targets), (_, expected) in zip(served(one, n_labels=4), identity, strict=True):
        np.testing.assert_array_equal(targets, expected)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"target_table": np.eye(3)}, "targets from 0 to 3; expected 0 to 2"),
        ({"target_table": np.zeros(4)}, r"a target table of shape \[4\]; expected \[kind, label\]"),
        ({"target_table": np.eye(4), "n_labels": 5}, r"shape \[4, 4\]; expected \[kind, 5\]"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tiny_store, options, said):
    with pytest.raises(TrainingError, match=said):
        as_tf_data(replace(pass_of(tiny_store), targets=np.arange(24) % 4), **options)


def test_workers_under_tf_distribute_share_the_rows(tiny_store):
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    seen = []

    def make(context):
        seen.append(partition_of(context))
        return as_tf_data(pass_of(tiny_store, share=partition_of(context)))

    distributed = strategy.distribute_datasets_from_function(make)
    rows = [int(row) for _, targets in distributed for row in targets.numpy() // 7]
    assert seen == [Partition(0, 1)]
    assert sorted(rows) == list(range(24))
    parts = [served(pass_of(tiny_store, share=Partition(index, 3))) for index in range(3)]
    assert {len(part) for part in parts} == {2}
    assert sorted(int(row) for part in parts for _, targets in part for row in targets // 7) == list(range(24))


MIRRORED = """
import sys
import numpy as np
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
import keras
from hubbub.learn.dataset import Pass
from hubbub.learn.tf_data import as_tf_data
from hubbub.store.opening import open_store
store = open_store(sys.argv[1])
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2

def batches():
    return as_tf_data(Pass(store, np.arange(24), np.arange(24) % 3, 8, seed=1), n_labels=3)

seen = [[], []]
for features, targets in strategy.experimental_distribute_dataset(batches()):
    for replica, part in enumerate(strategy.experimental_local_results(features)):
        seen[replica].append(part.numpy())
whole = np.concatenate([features.numpy() for features, _ in batches()])
both = np.concatenate([np.concatenate(pair) for pair in zip(*seen)])
assert [len(part) for part in seen[0]] == [4, 4, 4], seen
np.testing.assert_array_equal(both, whole)

def losses(scope):
    keras.utils.set_random_seed(0)
    with scope:
        network = keras.Sequential([keras.Input((store.n_frames, store.n_bands)), keras.layers.Flatten()])
        network.add(keras.layers.Dense(3, "softmax"))
        network.compile(keras.optimizers.SGD(1e-5), "categorical_crossentropy")
    return network.fit(batches(), epochs=2, shuffle=False, verbose=0).history["loss"]

import contextlib
np.testing.assert_allclose(losses(strategy.scope()), losses(contextlib.nullcontext()), rtol=1e-4)
print("two replicas")
"""


@pytest.mark.slow  # test_devices trains on two through `train` itself
def test_two_devices_of_a_mirrored_strategy_share_batches_and_train_as_one(tiny_store):
    done = subprocess.run([sys.executable, "-c", MIRRORED, str(tiny_store.path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "two replicas"


def copied(store: FeatureStore, place) -> FeatureStore:
    from hubbub.store.opening import open_store

    shutil.copytree(store.path, place)
    return open_store(place)


def shard_file(store: FeatureStore, shard: int):
    return store.path / "features.zarr" / "features" / "c" / str(shard) / "0" / "0"


def test_a_shard_that_vanishes_in_the_middle_is_an_error_of_ours(tiny_store, tmp_path):
    store = copied(tiny_store, tmp_path / "store")
    shard_file(store, 1).unlink()
    for gone_through in (lambda one: list(one.batches()), served):
        with pytest.raises(Exception, match=r"row \d+ of the store holds no features: its shard 1 has vanished"):
            gone_through(pass_of(store))
    failures = Failures()
    with pytest.raises(TrainingError, match=rf"run: hubbub verify {store.path} --repair"), failures.raised():
        served(pass_of(store), failures=failures)


def test_a_shard_cut_short_is_an_error_of_ours(tiny_store, tmp_path):
    store = copied(tiny_store, tmp_path / "store")
    whole = shard_file(store, 2).read_bytes()
    shard_file(store, 2).write_bytes(whole[:-100])
    failures = Failures()
    with pytest.raises(TrainingError, match="shard 2 of the store cannot be read.*--repair"), failures.raised():
        served(pass_of(store), failures=failures)


def test_an_epoch_that_is_over_leaves_nothing_behind(tiny_store):
    """TensorFlow keeps functions of graphs for ever; rows and threads of earlier epochs must not be kept by them."""
    import gc
    import time

    from hubbub.learn.reader import Reader

    gc.collect()
    before = sum(type(one) is Reader for one in gc.get_objects())
    rows = np.arange(24)
    for epoch in range(3):
        for _ in as_tf_data(Pass(tiny_store, rows, rows % 3, 4, seed=0, epoch=epoch), n_labels=3).take(3):
            pass
    for _ in range(50):  # a batch that was being put together ahead of need ends first
        gc.collect()
        if (left := sum(type(one) is Reader for one in gc.get_objects())) <= before:
            break
        time.sleep(0.1)
    assert left <= before
