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
    written = onnx.load(str(path))
    _refuse_unknown(written.graph)
    if _raise_scales(written.graph):
        onnx.save(written, str(path))


def _refuse_unknown(graph: Any) -> None:
    """Refuse what tf2onnx could not convert, of which it only warns."""
    import onnx

    if unknown := sorted({node.op_type for node in graph.node if not node.domain and not onnx.defs.has(node.op_type)}):
        raise RuntimeError(f"ONNX has no operations {', '.join(unknown)}")


def _raise_scales(graph: Any) -> bool:
    """Raise the scales of resized pictures by a rounding step; whether there were some.

    tf2onnx writes a size of 32 of 81 as a scale in float32, which makes 31.999998, of which ONNX takes the whole part.
    """
    from onnx import numpy_helper

    names = {node.input[2] for node in graph.node if node.op_type == "Resize" and len(node.input) > 2}
    found = [held for held in graph.initializer if held.name in names]
    for held in found:
        scales = numpy_helper.to_array(held)
        raised = np.where(scales == 1, scales, np.nextafter(scales, np.float32(np.inf), dtype=np.float32))
        held.CopyFrom(numpy_helper.from_array(raised.astype(scales.dtype), held.name))
    return bool(found)
