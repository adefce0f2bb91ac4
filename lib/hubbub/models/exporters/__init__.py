"""Exporters: a Keras network to a file that another runtime computes. One format a file, all on one template.

`hubbub.models.exporters.folder` puts beside the file what people and programs need to use it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hubbub.errors import BundleError, UsageError, suggest_nearest
from hubbub.io.text import make_visible
from hubbub.models.backends import computes_on_tensorflow, hushed_stderr

SCORES = "scores"
"""Name of the scores in every file."""


@dataclass(frozen=True)
class Exporter:
    """What writes a format."""

    format: str
    """As a user types it; also the kind that a model's YAML file names (`hubbub.config.foreign.Kind`)."""

    file: str
    """Name of the network's file."""

    function: str
    """The function that writes it: a file here, a dot, its name."""

    packages: Mapping[str, str]
    """Modules that write the file and open it again -> the extra that installs them."""

    def require_packages(self) -> None:
        """Refuse to begin where a package is missing; raises `BundleError`, which says what to install."""
        missing = {module: extra for module, extra in self.packages.items() if find_spec(module) is None}
        if missing:
            extras = ",".join(sorted(set(missing.values())))
            raise BundleError(
                f"--format {self.format} needs {' and '.join(missing)}, not installed here: "
                f"pip install 'hubbub[{extras}]'"
            )

    def require_tensorflow(self) -> None:
        """Refuse another backend of Keras; raises `BundleError`, which says what to set."""
        if not computes_on_tensorflow():
            import keras

            raise BundleError(
                f"networks are exported by TensorFlow, and Keras computes on {keras.config.backend()} here; set "
                "KERAS_BACKEND=tensorflow, with pip install 'hubbub[cpu]' (a bundle does not depend on the backend)"
            )

    def write(self, model: Any, path: Path, n_frames: int, *, output: str = SCORES) -> None:
        """Write a network.

        Parameters
        ----------
        model
            A `keras.Model` with one input [row, frame, band], or [row, band], and one output.
        path
            The file, new.
        n_frames
            Frames that it takes at a time, for formats that fix them.
        output
            What the file calls its output.

        Raises
        ------
        BundleError
            The format does not have what the network computes.
        """
        module, _, name = self.function.partition(".")
        write: Callable[..., None] = getattr(import_module(f"{__name__}.{module}"), name)
        try:
            with _silence():
                write(_name_output(model, output), path, n_frames)
        except OSError:
            raise  # a full disk, which is told as one
        except Exception as error:  # exporters fail in ways of their own
            reason = make_visible((str(error).strip().splitlines() or [type(error).__name__])[0])
            raise BundleError(
                f"the network cannot be written as {self.format}: {reason}; try another --format ({self.list_others()})"
            ) from error

    def list_others(self) -> str:
        """Write the other formats for a message."""
        return ", ".join(name for name in EXPORTERS if name != self.format)


EXPORTERS = {
    exporter.format: exporter
    for exporter in (
        Exporter("onnx", "model.onnx", "onnx.write_onnx", {"tf2onnx": "cpu", "onnx": "onnx"}),
        Exporter("litert", "model.tflite", "litert.write_litert", {"ai_edge_litert": "litert"}),
        Exporter("openvino", "model.xml", "openvino.write_openvino", {"openvino": "openvino"}),
    )
}
"""By the format that a user names."""


def find_exporter(format: str) -> Exporter:
    """Return what writes a format.

    Raises
    ------
    UsageError
        There is no such format; says the nearest.
    """
    if format not in EXPORTERS:
        raise UsageError(f"--format {format}: {suggest_nearest(format, EXPORTERS)}")
    return EXPORTERS[format]


def _name_output(model: Any, output: str) -> Any:
    """The same network, whose output has a name in every format."""
    import keras

    return keras.Model(model.inputs[0], {output: model.outputs[0]}, name=model.name)


@contextmanager
def _silence() -> Iterator[None]:
    """Keep what exporters print and warn of to themselves."""
    with hushed_stderr(), open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
