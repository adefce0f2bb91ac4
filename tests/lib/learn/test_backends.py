"""Keras's other backends train and label, without loading TensorFlow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from hubbub.models.bundle import load_bundle

TRAINING = """
import json, sys
import numpy as np
import hubbub
from hubbub.models.backends import import_keras
keras = import_keras()
from hubbub.learn.train import train
from hubbub.models.bundle import load_bundle
store, out = sys.argv[1:]
seen = []
for name in ("one", "two"):
    found = train(store, f"{out}/{name}", test_fold=1, epochs=2, seed=3)
    model = keras.saving.load_model(f"{out}/{name}/model.keras", compile=False)
    seen.append([found.history[-1]["loss"], *(float(np.abs(values).sum()) for values in model.get_weights())])
scores = hubbub.evaluate(f"{out}/one", store)
rows = np.stack(list(hubbub.open_store(store).read_rows(range(24)))).astype(np.float32)
np.save(f"{out}/scores.npy", load_bundle(f"{out}/one").predict(rows))
print(json.dumps({
    "loaded": "tensorflow" in sys.modules,
    "same": seen[0] == seen[1],
    "clips": len(scores.predictions),
    "backend": json.load(open(f"{out}/one/bundle.json"))["provenance"]["backend"],
}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_train_the_same_twice_without_loading_tensorflow(backend, tiny_store, tmp_path):
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    # JAX compiles the second training's functions from the first one's, which are the same.
    compiled = {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
    }
    known = os.environ | compiled | {"KERAS_BACKEND": backend}
    command = [sys.executable, "-c", TRAINING, str(tiny_store.path), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=known)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found == {"loaded": False, "same": True, "clips": 6, "backend": backend}
    assert list((tmp_path / "one" / "logs").glob("events.*"))
    # A network is its weights: what one backend trained, another labels with.
    rows = np.stack(list(tiny_store.read_rows(range(24)))).astype(np.float32)
    np.testing.assert_allclose(np.load(tmp_path / "scores.npy"), load_bundle(tmp_path / "one").predict(rows), atol=1e-4)
