"""A model that embeds sounds by the power in their bands: a little ONNX, and no Keras."""

from __future__ import annotations

from pathlib import Path

import numpy as np

RATE, WINDOW, FRAME, BANDS = 8000, 4000, 200, 16


def write_tone_model(folder: Path, *, least: float = 1e-4) -> Path:
    """Write the network, float32 [batch, 4000] at 8 kHz to embeddings [batch, 16], and its YAML file; return that."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    hz = np.linspace(200, 3800, BANDS)
    phase = 2 * np.pi * np.arange(FRAME)[:, None] * hz / RATE
    held = {
        "frames": np.array([-1, WINDOW // FRAME, FRAME], np.int64),
        "cosines": (np.cos(phase) * np.hanning(FRAME)[:, None]).astype(np.float32),
        "sines": (np.sin(phase) * np.hanning(FRAME)[:, None]).astype(np.float32),
        "least": np.array(least, np.float32),
        "axes": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Reshape", ["waveform", "frames"], ["cut"]),
        helper.make_node("MatMul", ["cut", "cosines"], ["real"]),
        helper.make_node("MatMul", ["cut", "sines"], ["imaginary"]),
        helper.make_node("Mul", ["real", "real"], ["real2"]),
        helper.make_node("Mul", ["imaginary", "imaginary"], ["imaginary2"]),
        helper.make_node("Add", ["real2", "imaginary2"], ["power"]),
        helper.make_node("ReduceMean", ["power", "axes"], ["mean"], keepdims=0),
        helper.make_node("Add", ["mean", "least"], ["kept"]),
        helper.make_node("Log", ["kept"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tones",
        [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["batch", WINDOW])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", BANDS])],
        [numpy_helper.from_array(values, name) for name, values in held.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "tones.onnx")
    path = folder / "tones.yaml"
    path.write_text(
        f"kind: onnx\nfile: tones.onnx\nsample_rate: {RATE}\nwindow_samples: {WINDOW}\nhop_s: {WINDOW / RATE}\n"
        "outputs: {embeddings: {name: embedding}}\n"
    )
    return path
