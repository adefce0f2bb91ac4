"""BirdNET 2.4, where a person gives its files: they are not for commercial use, and neither shipped nor fetched here.

HUBBUB_BIRDNET is the path of docs/models/birdnet-2.4.yaml, copied beside the network and its labels.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

MODEL = os.environ.get("HUBBUB_BIRDNET")

pytestmark = pytest.mark.skipif(MODEL is None, reason="needs BirdNET's files: HUBBUB_BIRDNET=birdnet-2.4.yaml")


def test_birdnet_scores_and_embeds():
    pytest.importorskip("ai_edge_litert")
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    from hubbub.models.foreign import ForeignModel
    from hubbub.models.opening import open_model

    model = open_model(str(MODEL))
    assert isinstance(model, ForeignModel)
    assert (len(model.labels), model.dimension) == (6522, 1024)
    windows = np.random.default_rng(0).normal(0, 0.1, (2, 144_000)).astype(np.float32)
    features = model.prepare(windows)
    # Without the fast kernels, the tensor before the last is there to be read.
    interpreter = Interpreter(
        str(model.path.parent / model.given.file),
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    output = interpreter.get_output_details()[0]["index"]
    for window, scores, embedding in zip(windows, model.predict(features), model.embed(features), strict=True):
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], window[None])
        interpreter.invoke()
        logits = interpreter.get_tensor(output)[0].astype(np.float64)
        np.testing.assert_allclose(scores, 1 / (1 + np.exp(-logits)), atol=1e-4)
        np.testing.assert_allclose(embedding, interpreter.get_tensor(output - 1)[0], atol=1e-4)
