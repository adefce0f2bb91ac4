"""The ONNX file of a bundle whose network scores frames: written at training, and compared with Keras there."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hubbub.models.backends import computes_on_tensorflow
from hubbub.models.exporters import SCORES, find_exporter
from hubbub.models.runtimes.onnx import has_onnx_runtime, open_onnx

MOST_DIFFERENCE = 1e-4
"""Largest difference of a score that is taken for rounding."""


def can_export() -> bool:
    """Whether what writes ONNX files is installed, and ONNX Runtime; loads nothing."""
    return has_onnx_runtime() and find_spec("tf2onnx") is not None


def export_onnx(
    model: Any,
    path: Path,
    features: npt.NDArray[np.float32],
    *,
    output: str = SCORES,
    most_difference: float = MOST_DIFFERENCE,
) -> dict[str, Any] | None:
    """Write a Keras network for ONNX Runtime, where what writes it is installed, and compare the two.

    Parameters
    ----------
    model
        A `keras.Model` of any number of frames.
    path
        The file.
    features
        float32 [row, frame, band], on which they are compared.
    output
        What the file calls its output.
    most_difference
        Largest difference of a value that is taken for rounding.

    Returns
    -------
    found
        `max_difference` of any value; None where there is no exporter or no runtime, or the two differ: there is then
        no file, and Keras scores.
    """
    if not (has_onnx_runtime() and computes_on_tensorflow()):  # other backends' exporters would load TensorFlow
        return None
    try:
        find_exporter("onnx").write(model, path, features.shape[1], output=output)
        exported = open_onnx(path)
        expected = np.asarray(model.predict_on_batch(features))
        difference = float(np.abs(exported.run_first(features) - expected).max())
    except Exception:  # exporters fail in ways of their own; Keras still scores
        path.unlink(missing_ok=True)
        return None
    if not difference <= most_difference:
        path.unlink(missing_ok=True)
        return None
    return {"max_difference": difference}
