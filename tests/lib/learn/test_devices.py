"""Several devices share the batches of a training."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

TRAINING = """
import json, sys
from hubbub.models.backends import import_keras
import_keras()
import tensorflow as tf
halves = [tf.config.LogicalDeviceConfiguration()] * 2  # two devices that compute as one does
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], halves)
import hubbub
import hubbub.learn.train as training
from hubbub.learn import devices
devices.LEAST_ROWS = 4
store, out = sys.argv[1:]
counts, losses = [], []
fit = training.fit_epochs

def count_and_fit(job, state, model, *rest):
    counts.append(devices.count_replicas(model))
    return fit(job, state, model, *rest)

training.fit_epochs = count_and_fit
settings = {"model.dropout": 0.0, "train.batch_rows": 8, "train.validation_share": 0.2}
for found in ([], ["CPU:0", "CPU:1"]):
    devices.list_gpus = lambda: found
    bundle = f"{out}/{len(counts)}"
    done = training.train(store, bundle, model="seed-cnn", test_fold=1, epochs=2, seed=3, settings=settings)
    losses.append([line["loss"] for line in done.history])
print(json.dumps({"counts": counts, "losses": losses, "accuracy": hubbub.evaluate(bundle, store).accuracy}))
"""


@pytest.mark.parametrize(
    ("batch_rows", "n_found", "n_chosen"),
    [
        (32, 0, 0),
        (32, 1, 0),  # one GPU needs no sharing
        (32, 2, 2),
        (32, 8, 4),  # eight would have four rows each
        (36, 8, 4),
        (30, 4, 3),  # four do not divide it
        (31, 4, 0),
        (15, 2, 0),
        (256, 8, 8),
    ],
)
def test_as_many_devices_as_can_share_a_batch(batch_rows: int, n_found: int, n_chosen: int) -> None:
    from hubbub.learn.devices import choose_devices

    found = [f"GPU:{number}" for number in range(n_found)]
    assert choose_devices(batch_rows, found) == tuple(found[:n_chosen])


@pytest.mark.slow
def test_two_devices_train_as_one_does(tiny_store, tmp_path) -> None:
    command = [sys.executable, "-c", TRAINING, str(tiny_store.path), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["counts"] == [1, 2]
    one, two = found["losses"]
    # seed-cnn has no layer that looks at a batch as a whole, so the halves of a batch add up to the batch but for its
    # dropout, which each device draws by itself.
    assert two == pytest.approx(one, rel=0.05)
    assert found["accuracy"] > 0
