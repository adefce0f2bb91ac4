"""Keras's other backends train and label, without loading TensorFlow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

TRAINING = """
import json, sys
import numpy as np
import hubbub
from hubbub.models.backends import import_keras
keras = import_keras()
from hubbub.learn.train import train
store, out = sys.argv[1:]
seen = []
for name in ("one", "two"):
    found = train(store, f"{out}/{name}", test_fold=1, epochs=2, seed=3)
    seen.append([found.history[-1]["loss"], *(float(np.abs(w).sum()) for w in load_bundle(found.bundle).model.weights)])
scores = hubbub.evaluate(f"{out}/one", store)
print(json.dumps({
    "loaded": "tensorflow" in sys.modules,
    "same": seen[0] == seen[1],
    "clips": len(scores.predictions),
    "backend": json.load(open(f"{out}/one/bundle.json"))["provenance"]["backend"],
}))
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_train_the_same_twice_without_loading_tensorflow(backend, tiny_store, tmp_path):
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    known = os.environ | {"KERAS_BACKEND": backend}
    command = [sys.executable, "-c", TRAINING, str(tiny_store.path), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=known)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found == {"loaded": False, "same": True, "clips": 6, "backend": backend}
    assert list((tmp_path / "one" / "logs").glob("events.*"))


def test_a_bundle_of_another_backend_gives_the_same_scores_here(tiny_store, tmp_path):
    """A network is its weights: who trains on JAX labels on TensorFlow."""
    if find_spec("jax") is None:
        pytest.skip("jax is not installed")
    import numpy as np

    from hubbub.learn.train import train
    from hubbub.models.bundle import load_bundle

    bundle = train(tiny_store, tmp_path / "bundle", test_fold=1, epochs=1).bundle
    rows = np.stack(list(tiny_store.read_rows(range(24)))).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    code = (
        "import sys, numpy as np\n"
        "from hubbub.models.bundle import load_bundle\n"
        "np.save(sys.argv[3], load_bundle(sys.argv[1]).predict(np.load(sys.argv[2])))\n"
    )
    scores = tmp_path / "scores.npy"
    command = [sys.executable, "-c", code, str(bundle), str(tmp_path / "rows.npy"), str(scores)]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | {"KERAS_BACKEND": "jax"})
    np.testing.assert_allclose(np.load(scores), load_bundle(bundle).predict(rows), atol=1e-5)
