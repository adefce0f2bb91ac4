"""Inference runtimes: what computes a network that lies in a file. One format a file, all on one small interface.

A model is data: nothing of it runs but its graph. What a format could carry besides, code above all, is refused by the
file that opens the format.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from hubbub.errors import BundleError
from hubbub.io.text import make_visible

MOST_LISTED = 12
"""Inputs and outputs that a message lists."""


@dataclass(frozen=True)
class Port:
    """An input or output of a network."""

    name: str
    """As the file has it."""

    shape: tuple[int | None, ...] | None
    """Lengths of its dimensions, None where any may come; None where even their number is open."""

    dtype: str
    """As NumPy writes it, such as ``float32``."""

    def __str__(self) -> str:
        """Write name, shape and type, ``'scores' [batch?, 521] float32``."""
        if self.shape is None:
            return f"'{make_visible(self.name)}' of any shape, {self.dtype}"
        lengths = ", ".join("?" if length is None else str(length) for length in self.shape)
        return f"'{make_visible(self.name)}' [{lengths}] {self.dtype}"


class Network(Protocol):
    """What every runtime offers.

    Attributes
    ----------
    inputs, outputs
        What the file takes and gives, in its own order.
    """

    inputs: Sequence[Port]
    outputs: Sequence[Port]

    def find_inner(self, name: str) -> Port | None:
        """Find a layer or tensor inside the network, so that `run` gives it; None: there is none, or it cannot be."""

    def run(self, values: Mapping[str, npt.NDArray[np.float32]], outputs: Sequence[str]) -> list[np.ndarray]:
        """Compute outputs, in the order of their names, for inputs by name.

        Raises
        ------
        BundleError
            The network cannot take values of this shape.
        """


@dataclass(frozen=True)
class _Format:
    """A format of networks: the file here that opens it, the packages that it needs, and the extra with those."""

    opens: str
    packages: tuple[str, ...]
    extra: str


FORMATS = {
    "keras": _Format("keras.open_keras", ("keras",), "cpu"),
    "saved-model": _Format("saved_model.open_saved_model", ("tensorflow",), "cpu"),
    "onnx": _Format("onnx.open_checked_onnx", ("onnxruntime", "onnx"), "onnx"),
    "litert": _Format("litert.open_litert", ("ai-edge-litert",), "litert"),
    "openvino": _Format("openvino.open_openvino", ("openvino",), "openvino"),
}
"""By the kind that the YAML file of a model names (`hubbub.config.foreign.Kind`)."""


def needed_packages(kind: str, *, is_foreign: bool) -> tuple[str, ...]:
    """Packages that open a format, by the names they are installed by; bundles of hubbub's own are not looked at."""
    return FORMATS[kind].packages if is_foreign or kind != "onnx" else ("onnxruntime",)


def open_network(kind: str, path: Path, *, signature: str = "serving_default", threads: int | None = None) -> Network:
    """Open a network for its runtime.

    Parameters
    ----------
    kind
        Of `FORMATS`.
    path
        The file, or the folder of a SavedModel.
    signature
        Which of a SavedModel's, or LiteRT file's, where it has several.
    threads
        That compute; None: `count_threads`.

    Raises
    ------
    BundleError
        The runtime is not installed (says the extra), or the file is refused, with the reason.
    """
    opened = FORMATS[kind]
    module, _, name = opened.opens.partition(".")
    opens: Callable[..., Network] = getattr(import_module(f"{__name__}.{module}"), name)
    try:
        return opens(path, signature=signature, threads=threads or count_threads())
    except ImportError as error:
        raise BundleError(
            f"{path} needs {' and '.join(opened.packages)}, not installed here ({error}): "
            f"pip install 'hubbub[{opened.extra}]'"
        ) from None


def count_threads() -> int:
    """Threads that compute a network: as many as OMP_NUM_THREADS says, which workers set, else one.

    Of a list, which OpenMP takes for nested loops, the first number counts.
    """
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return max(1, int(first)) if first.isdecimal() else 1


def say_error(error: Exception) -> str:
    """Write the first line of what a runtime said, control characters as escapes."""
    return make_visible((str(error).splitlines() or [type(error).__name__])[0])


def list_ports(ports: Sequence[Port]) -> str:
    """Write inputs or outputs for a message, the first few."""
    listed = "; ".join(map(str, ports[:MOST_LISTED])) or "none"
    return f"{listed}; …" if len(ports) > MOST_LISTED else listed
