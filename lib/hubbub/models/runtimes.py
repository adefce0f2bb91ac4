"""Inference runtimes for networks that score frames: ONNX Runtime where the bundle holds such a file, else Keras.

ONNX Runtime is there in a tenth of a second, where Keras and its backend take several, and computes on the threads that
its worker has. The file is written at training, and compared with Keras there (`export_onnx`).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hubbub.errors import BundleError
from hubbub.models.backends import computes_on_tensorflow

ONNX = "model.onnx"

Runtime = Literal["onnx", "keras"]
"""What scores the frames of a bundle."""

MOST_DIFFERENCE = 1e-4
"""Largest difference of a score that is taken for rounding."""

Scores = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]
"""Scores [row, frame, band] as [row, score, label]."""


def has_onnx_runtime() -> bool:
    """Whether ONNX Runtime is installed."""
    from importlib.util import find_spec

    return find_spec("onnxruntime") is not None


def open_onnx(path: Path, *, threads: int | None = None) -> Scores:
    """Open a network for ONNX Runtime.

    Parameters
    ----------
    path
        The file.
    threads
        That compute; None: as many as OMP_NUM_THREADS says, which workers set, else one.

    Raises
    ------
    BundleError
        The file cannot be loaded.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or int(os.environ.get("OMP_NUM_THREADS") or 1)
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise BundleError(f"{path} cannot be loaded: {str(error).splitlines()[0]}") from None
    name = session.get_inputs()[0].name

    def score(features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return session.run(None, {name: features})[0]

    return score


def export_onnx(model: Any, path: Path, features: npt.NDArray[np.float32]) -> dict[str, Any] | None:
    """Write a Keras network for ONNX Runtime, where what writes it is installed, and compare the two.

    Parameters
    ----------
    model
        A `keras.Model` of any number of frames.
    path
        The file.
    features
        float32 [row, frame, band], on which they are compared.

    Returns
    -------
    found
        `max_difference` of any score; None where there is no exporter or no runtime, or the two differ: there is then
        no file, and Keras scores.
    """
    if not (has_onnx_runtime() and computes_on_tensorflow()):  # other backends' exporters would load TensorFlow
        return None
    try:
        with warnings.catch_warnings(), open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
            warnings.simplefilter("ignore")
            model(features[:1])  # Keras exports what was called
            model.export(path, format="onnx", verbose=False)
        exported = open_onnx(path)
        expected = np.asarray(model.predict_on_batch(features))
        difference = float(np.abs(exported(features) - expected).max())
    except Exception:  # exporters fail in ways of their own; Keras still scores
        path.unlink(missing_ok=True)
        return None
    if not difference <= MOST_DIFFERENCE:
        path.unlink(missing_ok=True)
        return None
    return {"max_difference": difference}
