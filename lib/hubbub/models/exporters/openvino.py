"""OpenVINO: an .xml, and its weights in a .bin; float32; any number of rows, and of frames where the network takes any.

OpenVINO reads a SavedModel by itself. Its Python converter would do the same, and report to its makers that it did.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hubbub.models.runtimes.openvino import explain_failure


def write_openvino(model: Any, path: Path, n_frames: int) -> None:
    """Write a network by way of a SavedModel; see `hubbub.models.exporters.Exporter.write`."""
    import openvino

    with tempfile.TemporaryDirectory(prefix="hubbub-") as folder:
        model.export(folder, format="tf_saved_model", verbose=False)
        try:
            graph = openvino.Core().read_model(folder)
        except Exception as error:
            raise RuntimeError(explain_failure(error)) from None
        openvino.serialize(graph, path, path.with_suffix(".bin"))
