"""OpenVINO: an .xml, and its weights in a .bin; float32.

It is made of the ONNX file, which OpenVINO reads by itself. Its converter of Keras networks reports to its makers what
it is used for, unless somebody has switched that off.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hubbub.models.exporters.onnx import write_onnx


def write_openvino(model: Any, path: Path, n_frames: int) -> None:
    """Write a network by way of ONNX; see `hubbub.models.exporters.Exporter.write`."""
    import openvino

    with tempfile.TemporaryDirectory(prefix="hubbub-") as folder:
        onnx = Path(folder) / "model.onnx"
        write_onnx(model, onnx, n_frames)
        openvino.serialize(openvino.Core().read_model(onnx), path, path.with_suffix(".bin"))
