"""Tiny networks of others as ONNX files with their YAML files: what they compute can be redone by hand in NumPy.

A network of windows scores each label by one dot product with the samples; one of frames by a convolution over time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

RATE = 2000
WINDOW = 400
"""Samples: a fifth of a second."""

LABELS = ["dog", "rain", "siren"]
STRIDE, KERNEL = 20, 60
"""Of the convolution, in samples: a frame hears itself and one frame to either side."""

FRAMES = WINDOW // STRIDE


def weights(n_labels: int = 3, length: int = WINDOW) -> np.ndarray:
    """Weights of the dot products, float32 [sample, label]."""
    return np.random.default_rng(7).normal(0, 3 / np.sqrt(length), (length, n_labels)).astype(np.float32)


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values.astype(np.float64)))


def describe(**changed: Any) -> dict[str, Any]:
    """What stands in the YAML file of a network of windows; None takes an entry out."""
    entries = {
        "kind": "onnx",
        "file": "net.onnx",
        "sample_rate": RATE,
        "window_samples": WINDOW,
        "outputs": {"scores": {"name": "scores"}},
        "labels": LABELS,
        **changed,
    }
    return {key: value for key, value in entries.items() if value is not None}


def write_yaml(folder: Path, **changed: Any) -> Path:
    """Write a model's YAML file; `changed` are entries of it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.yaml"
    path.write_text(yaml.safe_dump(describe(**changed), sort_keys=False), encoding="utf-8")
    return path


def write_windows(
    folder: Path,
    *,
    shape: tuple[Any, ...] = ("n", WINDOW),
    n_labels: int = 3,
    activation: str | None = "Sigmoid",
    nan_in_silence: bool = False,
    **changed: Any,
) -> Path:
    """Write a network that scores windows, and its YAML file.

    Parameters
    ----------
    shape
        Of its input: `WINDOW` and any lengths of 1; a name for a length that is left open. Without one it has no batch.
    nan_in_silence
        Whether it divides by the loudest sample, so that silence has no scores.
    """
    from onnx import helper

    has_batch = any(isinstance(length, str) for length in shape)
    target = [-1, WINDOW] if has_batch else [1, WINDOW]
    nodes = [
        helper.make_node("Reshape", ["audio", "target"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["embedding"]),
        helper.make_node(activation or "Identity", ["embedding"], ["whole"]),
    ]
    if nan_in_silence:
        nodes += [
            helper.make_node("ReduceMax", ["flat"], ["loudest"], axes=[1], keepdims=1),
            helper.make_node("Div", ["loudest", "loudest"], ["one"]),
            helper.make_node("Mul", ["whole", "one"], ["scaled"]),
        ]
    last = "scaled" if nan_in_silence else "whole"
    given: list[Any] = ["n" if has_batch else 1, n_labels]
    if not has_batch:
        nodes.append(helper.make_node("Squeeze", [last, "first"], ["scores"]))
        given = [n_labels]
    else:
        nodes.append(helper.make_node("Identity", [last], ["scores"]))
    held = {"target": np.array(target, np.int64), "weights": weights(n_labels), "first": np.array([0], np.int64)}
    outputs = {"scores": given, "embedding": ["n" if has_batch else 1, n_labels]}
    save_onnx(folder / "net.onnx", nodes, {"audio": list(shape)}, outputs, held)
    return write_yaml(folder, **changed)


def write_external(folder: Path, name: str) -> Path:
    """A network of windows whose weights lie in a file of their own."""
    import onnx

    path = write_windows(folder)
    model = onnx.load(str(folder / "net.onnx"))
    tensor = next(each for each in model.graph.initializer if each.name == "weights")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", name), ("offset", "0"), ("length", str(weights().nbytes))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    return path


def write_frames(folder: Path, *, nan_in_silence: bool = False, is_padded: bool = True, **changed: Any) -> Path:
    """Write a network that scores frames, [batch, sample] -> [batch, frame, label], and its YAML file.

    With `nan_in_silence` it divides by a window's loudest sample, so that a window of silence has no scores.
    Where it is not padded, the first and the last frame of a window are missing.
    """
    from onnx import helper

    pads = [STRIDE, STRIDE] if is_padded else [0, 0]
    nodes = [
        helper.make_node("Unsqueeze", ["audio", "middle"], ["image"]),
        helper.make_node("Conv", ["image", "kernels"], ["sums"], kernel_shape=[KERNEL], strides=[STRIDE], pads=pads),
        helper.make_node("Transpose", ["sums"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("Sigmoid", ["turned"], ["whole" if nan_in_silence else "scores"]),
    ]
    if nan_in_silence:
        nodes += [
            helper.make_node("ReduceMax", ["image"], ["loudest"], axes=[2], keepdims=1),
            helper.make_node("Div", ["loudest", "loudest"], ["one"]),
            helper.make_node("Mul", ["whole", "one"], ["scores"]),
        ]
    count = FRAMES if is_padded else FRAMES - 2
    held = {"kernels": kernels(), "middle": np.array([1], np.int64)}
    save_onnx(folder / "net.onnx", nodes, {"audio": ["n", WINDOW]}, {"scores": ["n", count, 3]}, held)
    scores = {"name": "scores", "layout": ["batch", "frame", "label"], "frame_s": STRIDE / RATE, "halo_frames": 2}
    return write_yaml(folder, **{"outputs": {"scores": scores}} | changed)


def kernels() -> np.ndarray:
    """Weights of the convolution, float32 [label, 1, sample]."""
    return weights(3, KERNEL).T[:, None]


def score_frames(samples: np.ndarray) -> np.ndarray:
    """What `write_frames` scores of a whole recording with silence around it, float64 [frame, label]."""
    count = -(-len(samples) // STRIDE)
    padded = np.zeros(STRIDE + count * STRIDE + KERNEL)
    padded[STRIDE : STRIDE + len(samples)] = samples
    heard = np.stack([padded[frame * STRIDE :][:KERNEL] for frame in range(count)])
    return sigmoid(heard @ kernels()[:, 0].T.astype(np.float64))


def save_onnx(
    path: Path,
    nodes: list[Any],
    inputs: dict[str, list[Any]],
    outputs: dict[str, list[Any]],
    held: dict[str, np.ndarray],
    **more: Any,
) -> Any:
    """Save a graph; `more` goes to `onnx.helper.make_model`."""
    from onnx import TensorProto, helper, numpy_helper

    def ports(named: dict[str, list[Any]]) -> list[Any]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in named.items()]

    tensors = [numpy_helper.from_array(value, name) for name, value in held.items()]
    graph = helper.make_graph(nodes, "net", ports(inputs), ports(outputs), tensors)
    options = {"opset_imports": [helper.make_opsetid("", 13)], "ir_version": 8} | more
    model = helper.make_model(graph, **options)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return model
