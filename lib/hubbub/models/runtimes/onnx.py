"""ONNX through ONNX Runtime, which is there in a tenth of a second, where Keras and its backend take several.

Files of others are looked at before they are opened: operations that only code outside could compute are refused, and
weights that lie outside the file must lie beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from hubbub.errors import BundleError
from hubbub.io.text import make_visible
from hubbub.models.gpu import list_providers
from hubbub.models.runtimes import Network, Port, count_threads, say_error

_DTYPES = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16"}


_DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc"}
"""Domains whose operations ONNX Runtime has; those of any other come from code outside the file."""


def has_onnx_runtime() -> bool:
    """Whether ONNX Runtime is installed."""
    return find_spec("onnxruntime") is not None


class OnnxNetwork:
    """A network in ONNX Runtime; see `hubbub.models.runtimes.Network`."""

    def __init__(self, path: Path, session: Any) -> None:
        self._path, self._session = path, session
        self.inputs: Sequence[Port] = [_make_port(value) for value in session.get_inputs()]
        self.outputs: Sequence[Port] = [_make_port(value) for value in session.get_outputs()]

    def find_inner(self, name: str) -> Port | None:
        """See `Network`; ONNX Runtime gives a graph's outputs alone."""
        return None

    def run(self, values: Mapping[str, npt.NDArray[np.float32]], outputs: Sequence[str]) -> list[np.ndarray]:
        """See `Network`."""
        try:
            return self._session.run(list(outputs), dict(values))
        except Exception as error:  # ONNX Runtime has a class for each of its reasons
            raise BundleError(f"{self._path} cannot take these values: {say_error(error)}") from None

    def run_first(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Compute the first output of the first input."""
        return self.run({self.inputs[0].name: values}, [self.outputs[0].name])[0]


def open_onnx(path: Path, *, threads: int | None = None) -> OnnxNetwork:
    """Open a network for ONNX Runtime.

    Parameters
    ----------
    path
        The file.
    threads
        That compute; None: `count_threads`.

    Raises
    ------
    BundleError
        The file cannot be loaded.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or count_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is an exception
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=list_providers())
    except Exception as error:
        raise BundleError(f"{path} cannot be loaded: {say_error(error)}") from None
    return OnnxNetwork(path, session)


def open_checked_onnx(path: Path, *, signature: str, threads: int) -> Network:
    """Open a file of others; see `hubbub.models.runtimes.open_network`."""
    import onnxruntime  # noqa: F401  where it is missing, that is what is told

    model = _read_proto(path)
    _refuse_custom(model, path)
    _external_names(model, path)
    return open_onnx(path, threads=threads)


def list_external_files(path: Path) -> list[str]:
    """Names of the files beside an ONNX file that hold its weights, relative to its folder.

    Raises
    ------
    BundleError
        It is no ONNX file, names a file outside its folder, or the package onnx is not installed.
    """
    return _external_names(_read_proto(path), path)


def _read_proto(path: Path) -> Any:
    """The description of a network, without the weights that lie outside it."""
    try:
        import onnx
    except ImportError as error:
        raise BundleError(f"{path} needs onnx, not installed here ({error}): pip install 'hubbub[onnx]'") from None
    try:
        return onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's own
        raise BundleError(
            f"{path} is no ONNX file, or damaged ({say_error(error)}); export the network again (pickles such as .pt "
            "are not opened: they may hold code)"
        ) from None


def _refuse_custom(model: Any, path: Path) -> None:
    own = {(function.domain, function.name) for function in model.functions}
    nodes = [node for nodes, _ in _bodies(model) for node in nodes]
    custom = {
        f"{node.domain}.{node.op_type}"
        for node in nodes
        if node.domain not in _DOMAINS and (node.domain, node.op_type) not in own
    }
    if custom:
        raise BundleError(
            f"{path} needs operations of its own, which are code and not data: "
            f"{', '.join(map(make_visible, sorted(custom)))}; export the network with ONNX's operations only"
        )


def _external_names(model: Any, path: Path) -> list[str]:
    found = set()
    for tensor in _tensors(model):
        if tensor.data_location == tensor.EXTERNAL:
            found |= {entry.value for entry in tensor.external_data if entry.key == "location"}
    for name in found:
        parts = PurePosixPath(name.replace("\\", "/"))
        if not name or parts.is_absolute() or ".." in parts.parts:
            raise BundleError(
                f"{path} names weights outside its folder, {make_visible(name)!r}; they must lie beside the file"
            )
    return sorted(found)


def _tensors(model: Any) -> Iterator[Any]:
    """All tensors of a model, those of subgraphs and of operations' attributes too."""
    for nodes, tensors in _bodies(model):
        yield from tensors
        for attribute in (each for node in nodes for each in node.attribute):
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)


def _bodies(model: Any) -> Iterator[tuple[Any, list[Any]]]:
    """Nodes and weights of the graph, of its subgraphs and of functions."""
    waiting: list[Any] = [model.graph, *model.functions]
    while waiting:
        body = waiting.pop()
        sparse = [part for each in getattr(body, "sparse_initializer", ()) for part in (each.values, each.indices)]
        yield body.node, [*getattr(body, "initializer", ()), *sparse]
        waiting += [graph for node in body.node for each in node.attribute for graph in (each.g, *each.graphs)]


def _make_port(value: Any) -> Port:
    lengths = tuple(length if isinstance(length, int) and length > 0 else None for length in value.shape)
    return Port(value.name, lengths, _DTYPES.get(value.type, value.type))
