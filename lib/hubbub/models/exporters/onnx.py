"""ONNX: any number of rows, and of frames where the network takes any."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def write_onnx(model: Any, path: Path, n_frames: int) -> None:
    """Write a network by tf2onnx; see `hubbub.models.exporters.Exporter.write`."""
    import onnx

    _, *rest = model.inputs[0].shape
    model(np.zeros((1, *(length or n_frames for length in rest)), np.float32))  # Keras exports what was called
    model.export(path, format="onnx", verbose=False)
    nodes = onnx.load(str(path), load_external_data=False).graph.node  # tf2onnx only warns of what it cannot convert
    if unknown := sorted({node.op_type for node in nodes if not node.domain and not onnx.defs.has(node.op_type)}):
        raise RuntimeError(f"ONNX has no operations {', '.join(unknown)}")
