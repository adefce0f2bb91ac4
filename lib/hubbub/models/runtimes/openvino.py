"""OpenVINO (.xml, its weights in the .bin of the same name), on the processor, in float32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hubbub.errors import BundleError
from hubbub.io.text import make_visible
from hubbub.models.runtimes import Network, Port

_HEAD = 200
"""Bytes in which the mark of the format stands."""

_PREFACES = ("Exception from", "Check ", "[ GENERAL_ERROR", "FrontEnd API failed", "Model wasn't", "Summary:")
"""How lines begin that come before the reason."""


class OpenVinoNetwork:
    """A network in OpenVINO; see `hubbub.models.runtimes.Network`."""

    def __init__(self, path: Path, compiled: Any) -> None:
        self._path, self._compiled = path, compiled
        self.inputs: Sequence[Port] = [_make_port(value) for value in compiled.inputs]
        self.outputs: Sequence[Port] = [_make_port(value) for value in compiled.outputs]

    def find_inner(self, name: str) -> Port | None:
        """See `Network`; OpenVINO gives a graph's outputs alone."""
        return None

    def run(self, values: Mapping[str, npt.NDArray[np.float32]], outputs: Sequence[str]) -> list[np.ndarray]:
        """See `Network`."""
        held = [values[port.name] for port in self.inputs]
        try:
            found = self._compiled(held)
        except Exception as error:  # OpenVINO raises RuntimeError, and others of its own
            shapes = ", ".join(str(list(value.shape)) for value in held)
            raise BundleError(f"{self._path} cannot take {shapes}: {explain_failure(error)}") from None
        places = {port.name: number for number, port in enumerate(self.outputs)}
        return [np.array(found[places[name]]) for name in outputs]


def open_openvino(path: Path, *, signature: str, threads: int) -> Network:
    """Open an OpenVINO file; see `hubbub.models.runtimes.open_network`.

    Operations that OpenVINO does not have would come from libraries that somebody loads: none are loaded here, and
    OpenVINO refuses the file.
    """
    import openvino

    with open(path, "rb") as file:
        if b"<net" not in file.read(_HEAD):  # OpenVINO would try the formats of others
            raise BundleError(f"{path} is no OpenVINO file: it does not begin with <net>; expected an .xml file")
    options = {
        # Some processors would compute in bfloat16, which has two digits.
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    try:
        core = openvino.Core()
        return OpenVinoNetwork(path, core.compile_model(core.read_model(path), "CPU", options))
    except Exception as error:
        raise BundleError(f"{path} cannot be loaded: {explain_failure(error)}; export the network again") from None


def explain_failure(error: Exception) -> str:
    """Write the reason of an error, which OpenVINO says after the places in its source that it passed."""
    lines = [line.strip().removeprefix("-- ") for line in str(error).splitlines()]
    reasons = [line for line in lines if line and not line.startswith(_PREFACES)]
    return make_visible((reasons or [type(error).__name__])[0])


def _make_port(value: Any) -> Port:
    lengths = tuple(None if each.is_dynamic else int(each.get_length()) for each in value.partial_shape)
    name = value.any_name if value.names else value.node.friendly_name
    return Port(name, lengths, str(value.element_type.to_dtype()))
