"""LiteRT: one row at a time, of so many frames; interpreters compute fixed shapes fastest, and some nothing else.

Operations that LiteRT lacks become TensorFlow's own (Flex), with which `hubbub.models.runtimes` refuses the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def write_litert(model: Any, path: Path, n_frames: int) -> None:
    """Write a network by TensorFlow's converter; see `hubbub.models.exporters.Exporter.write`."""
    import keras

    row = model.inputs[0]
    _, *rest = row.shape
    shape = (1, *(n_frames if length is None else length for length in rest))
    signature = [keras.InputSpec(shape=shape, dtype="float32", name=row.name)]
    model.export(path, format="litert", verbose=False, input_signature=signature)
