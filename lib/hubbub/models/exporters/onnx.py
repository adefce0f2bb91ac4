"""ONNX: any number of rows, and of frames where the network takes any."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def write_onnx(model: Any, path: Path, n_frames: int) -> None:
    """Write a network by tf2onnx; see `hubbub.models.exporters.Exporter.write`."""
    import numpy as np

    _, *rest = model.inputs[0].shape
    model(np.zeros((1, *(n_frames if length is None else length for length in rest)), np.float32))  # Keras asks for it
    model.export(path, format="onnx", verbose=False)
