"""ONNX through ONNX Runtime, which is there in a tenth of a second, where Keras and its backend take several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hubbub.errors import BundleError
from hubbub.models.runtimes import Network, Port, count_threads

_DTYPES = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16"}


def has_onnx_runtime() -> bool:
    """Whether ONNX Runtime is installed."""
    return find_spec("onnxruntime") is not None


class OnnxNetwork:
    """A network in ONNX Runtime; see `hubbub.models.runtimes.Network`."""

    def __init__(self, path: Path, session: Any) -> None:
        self._path, self._session = path, session
        self.inputs: Sequence[Port] = [_make_port(value) for value in session.get_inputs()]
        self.outputs: Sequence[Port] = [_make_port(value) for value in session.get_outputs()]

    def run(self, values: Mapping[str, npt.NDArray[np.float32]], outputs: Sequence[str]) -> list[np.ndarray]:
        """See `Network`."""
        try:
            return self._session.run(list(outputs), dict(values))
        except Exception as error:  # ONNX Runtime has a class for each of its reasons
            raise BundleError(f"{self._path} cannot take these values: {str(error).splitlines()[0]}") from None

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
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise BundleError(f"{path} cannot be loaded: {str(error).splitlines()[0]}") from None
    return OnnxNetwork(path, session)


def open_checked_onnx(path: Path, *, signature: str, threads: int) -> Network:
    """Open the file of others; see `hubbub.models.runtimes.open_network`."""
    return open_onnx(path, threads=threads)


def _make_port(value: Any) -> Port:
    lengths = tuple(length if isinstance(length, int) and length > 0 else None for length in value.shape)
    return Port(value.name, lengths, _DTYPES.get(value.type, value.type))
