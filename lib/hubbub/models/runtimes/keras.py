"""Keras (.keras) in safe mode. Layers that are code, or not Keras's own, are refused before Keras opens the file."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hubbub.errors import BundleError
from hubbub.io.text import make_visible
from hubbub.models.backends import import_keras
from hubbub.models.runtimes import Network, Port, say_error

_CONFIG = "config.json"
_MOST_CONFIG_BYTES = 256 * 2**20

_DATA = re.compile(
    r"keras|keras(\.src)?\.(layers|models|initializers|regularizers|constraints|activations|ops|dtype_policies|"
    r"mixed_precision|quantizers|random)(\.[a-z0-9_.]+)?"
)
"""Modules of Keras whose objects a network is made of."""

_RUNS = {"Lambda", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer"}
"""Layers of Keras that bring code of their own."""

_READS = {"StringLookup", "IntegerLookup", "TextVectorization"}
"""Layers of Keras that may read any file."""

_HISTORY = "_keras_history"


class KerasNetwork:
    """A network in Keras; see `hubbub.models.runtimes.Network`."""

    def __init__(self, path: Path, model: Any) -> None:
        self._path, self._model = path, model
        self._tensors = {_name_of(tensor): tensor for tensor in model.outputs}
        self._parts: dict[tuple[str, ...], Any] = {}
        self.inputs: Sequence[Port] = [_make_port(tensor.name, tensor) for tensor in model.inputs]
        self.outputs: Sequence[Port] = [_make_port(name, tensor) for name, tensor in self._tensors.items()]

    def find_inner(self, name: str) -> Port | None:
        """See `Network`; what a layer gives."""
        found = next((layer for layer in self._model.layers if layer.name == name), None)
        if found is None or not hasattr(found.output, "shape"):
            return None
        self._tensors[name] = found.output
        return _make_port(name, found.output)

    def run(self, values: Mapping[str, npt.NDArray[np.float32]], outputs: Sequence[str]) -> list[np.ndarray]:
        """See `Network`."""
        part = self._part(tuple(outputs))
        ordered = [values[port.name] for port in self.inputs]
        try:
            held = part.predict_on_batch(ordered)
            return [np.asarray(each) for each in (held if isinstance(held, list) else [held])]
        except Exception as error:  # Keras raises what its backend does
            shapes = ", ".join(str(list(value.shape)) for value in values.values())
            raise BundleError(f"{self._path} cannot take {shapes}: {say_error(error)}") from None

    def _part(self, outputs: tuple[str, ...]) -> Any:
        """The network up to these outputs, in this order."""
        if outputs not in self._parts:
            import keras

            self._parts[outputs] = keras.Model(self._model.inputs, [self._tensors[name] for name in outputs])
        return self._parts[outputs]


def open_keras(path: Path, *, signature: str, threads: int) -> Network:
    """Open a Keras file; see `hubbub.models.runtimes.open_network`. Threads are those of Keras's backend."""
    _refuse_code(path)
    keras = import_keras()
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises what its layers do
        raise BundleError(f"{path} cannot be loaded: {say_error(error)}; save it again with model.save()") from None
    if not getattr(model, "inputs", None) or not getattr(model, "outputs", None):
        raise BundleError(f"{path} has no fixed inputs and outputs; save a functional or sequential model, once called")
    return KerasNetwork(path, model)


def _refuse_code(path: Path) -> None:
    """Refuse a file with layers that would run code; reads its description alone."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(_CONFIG).file_size > _MOST_CONFIG_BYTES:
                raise BundleError(f"{path}: {_CONFIG} is too long to be a network's; expected a file of model.save()")
            config = json.loads(archive.read(_CONFIG))
    except (zipfile.BadZipFile, KeyError, ValueError, RecursionError, OSError, NotImplementedError, RuntimeError):
        raise BundleError(
            f"{path} is no Keras 3 file, or damaged (pickles and .h5 files are not opened: they may hold code); "
            "save it with model.save('model.keras')"
        ) from None
    found = sorted({why for item in _objects(config) if (why := _find_code(item)) is not None})
    if found:
        raise BundleError(
            f"{path} holds {'; '.join(found)}; a model is data, of which only Keras's own layers run: rebuild it with "
            "those, or export it as a SavedModel or ONNX file"
        )


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """All that Keras would make from a description: what names a class. How it was trained is not loaded."""
    waiting = [config]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if "class_name" in item:
                yield item
            waiting += [value for key, value in item.items() if key != "compile_config"]
        elif isinstance(item, list):
            waiting += item


def _find_code(item: dict[str, Any]) -> str | None:
    """Say what of an object is code; None where it is data."""
    name, module = str(item["class_name"]), item.get("module")
    shown = make_visible(f"{module}.{name}" if module else name)
    if name in _RUNS:
        return f"a {name} layer, which is code"
    if name in _READS:
        return f"a {name} layer, which may read any file"
    if name == "__lambda__":
        return "the code of a lambda"
    if name == "function":
        function = make_visible(str(item.get("config")))
        is_known = module in ("keras.activations", "builtins") and function in _activations()
        return None if is_known else f"the function {function}"
    if module is None:  # tuples, tensors and the like, ``__tuple__``; or what is registered by its name alone
        return None if item.get("registered_name") is None else f"the custom class {shown}"
    return None if isinstance(module, str) and _DATA.fullmatch(module) else f"the custom class {shown}"


def _activations() -> set[str]:
    return {name for name in dir(import_keras().activations) if not name.startswith("_")}


def _name_of(tensor: Any) -> str:
    return getattr(tensor, _HISTORY).operation.name


def _make_port(name: str, tensor: Any) -> Port:
    return Port(name, tuple(tensor.shape), str(tensor.dtype))
