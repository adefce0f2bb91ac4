"""LiteRT (.tflite) through ai-edge-litert. Files that need operations of TensorFlow, or code of others, are refused."""

from __future__ import annotations

import struct
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hubbub.errors import BundleError
from hubbub.io.text import make_visible
from hubbub.models.backends import hushed_stderr
from hubbub.models.runtimes import Network, Port, say_error

_CUSTOM = 32
"""Code of the builtin operation that stands for any other, by name."""

_BUILT_IN = {"NumericVerify", "Mfcc", "AudioSpectrogram", "TFLite_Detection_PostProcess"}
"""Operations by name that the interpreter has."""

_FLEX = "Flex"
"""Names of TensorFlow's own operations begin so."""

_DTYPES = ("float32", "float16", "int32", "uint8", "int64", "str", "bool", "int16", "complex64", "int8", "float64")
"""By the numbers that the format gives them."""

_UNREADABLE = (struct.error, IndexError, ValueError, TypeError, AttributeError, OverflowError)
"""What reading a damaged FlatBuffer raises."""


class _File:
    """What stands in a .tflite file, read off its FlatBuffer: nothing of it runs.

    Attributes
    ----------
    inputs, outputs, tensors
        Port -> number of its tensor. Inputs and outputs are named by the signature, where there is one; tensors, which
        are all, by the graph.
    """

    def __init__(self, path: Path, signature: str) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.data = path.read_bytes()
        if self.data[4:8] != b"TFL3":
            raise BundleError(f"{path} is no LiteRT file: it does not have the mark TFL3; expected a .tflite file")
        try:
            self._model = schema.Model.GetRootAs(self.data, 0)
            self._graph = self._model.Subgraphs(0)
            self.custom = sorted({name for name in self._operations() if name is not None})
            self.tensors = {_make_port(self._graph.Tensors(n)): n for n in range(self._graph.TensorsLength())}
            named = self._read_signature(path, signature)
            self.inputs = self._name(named[0], [self._graph.Inputs(n) for n in range(self._graph.InputsLength())])
            self.outputs = self._name(named[1], [self._graph.Outputs(n) for n in range(self._graph.OutputsLength())])
        except _UNREADABLE as error:
            raise BundleError(f"{path} is a damaged LiteRT file ({error}); copy it again") from None

    def _operations(self) -> list[str | None]:
        codes = [self._model.OperatorCodes(n) for n in range(self._model.OperatorCodesLength())]
        return [
            (code.CustomCode() or b"").decode("utf-8", "replace")
            if max(code.BuiltinCode(), code.DeprecatedBuiltinCode()) == _CUSTOM
            else None
            for code in codes
        ]

    def _read_signature(self, path: Path, signature: str) -> tuple[dict[int, str], dict[int, str]]:
        """Names of inputs and outputs by their tensors; none where the file has no signature."""
        found = [self._model.SignatureDefs(n) for n in range(self._model.SignatureDefsLength())]
        names = [make_visible((held.SignatureKey() or b"").decode("utf-8", "replace")) for held in found]
        if not found:
            return {}, {}
        if signature not in names and len(found) > 1:
            raise BundleError(f"{path} has no signature '{signature}'; give one of its own: {', '.join(names)}")
        held = found[names.index(signature) if signature in names else 0]
        if held.SubgraphIndex() != 0:
            raise BundleError(
                f"{path}: signature '{signature}' is not the first graph of the file; export a file with that one only"
            )
        maps = (
            [held.Inputs(n) for n in range(held.InputsLength())],
            [held.Outputs(n) for n in range(held.OutputsLength())],
        )
        by_tensor = [{each.TensorIndex(): each.Name().decode("utf-8", "replace") for each in one} for one in maps]
        return by_tensor[0], by_tensor[1]

    def _name(self, names: Mapping[int, str], tensors: Sequence[int]) -> dict[Port, int]:
        ports = {number: _make_port(self._graph.Tensors(number)) for number in tensors}
        return {Port(names.get(n, port.name), port.shape, port.dtype): n for n, port in ports.items()}

    def with_outputs(self, tensors: Sequence[int]) -> bytes:
        """The file with these tensors as its outputs: a new list at its end, to which the graph points."""
        own = [self._graph.Outputs(n) for n in range(self._graph.OutputsLength())]
        data = bytearray(self.data) + b"\0" * (-len(self.data) % 4)
        numbers = list(dict.fromkeys([*own, *tensors]))
        table = self._graph._tab
        at = table.Pos + table.Offset(8)  # the field `outputs` holds how far on its list lies
        struct.pack_into("<I", data, at, len(data) - at)
        return bytes(data + struct.pack(f"<I{len(numbers)}i", len(numbers), *numbers))


class LiteRtNetwork:
    """A network in the LiteRT interpreter; see `hubbub.models.runtimes.Network`."""

    def __init__(self, path: Path, file: _File, threads: int) -> None:
        self._path, self._file, self._threads = path, file, threads
        self.inputs: Sequence[Port] = list(file.inputs)
        self.outputs: Sequence[Port] = list(file.outputs)
        self._places = {port.name: number for ports in (file.tensors, file.outputs) for port, number in ports.items()}
        self._also: list[int] = []
        self._alone = threading.Lock()  # an interpreter serves one thread at a time
        self._interpreter = self._open()
        self._shapes: dict[int, tuple[int, ...]] = {}

    def find_inner(self, name: str) -> Port | None:
        """See `Network`; a tensor of the graph, which becomes one more output."""
        port = next((port for port in self._file.tensors if port.name == name), None)
        if port is not None and (number := self._file.tensors[port]) not in self._file.outputs.values():
            self._also.append(number)
            self._interpreter, self._shapes = self._open(), {}
        return port

    def run(self, values: Mapping[str, npt.NDArray[np.float32]], outputs: Sequence[str]) -> list[np.ndarray]:
        """See `Network`."""
        numbers = {port.name: number for port, number in self._file.inputs.items()}
        held = {numbers[name]: value for name, value in values.items()}
        with self._alone:
            return self._run(held, [self._places[name] for name in outputs])

    def _run(self, held: Mapping[int, npt.NDArray[np.float32]], outputs: Sequence[int]) -> list[np.ndarray]:
        try:
            self._resize({number: value.shape for number, value in held.items()})
            for number, value in held.items():
                self._interpreter.set_tensor(number, value)
            self._interpreter.invoke()
            return [self._interpreter.get_tensor(number) for number in outputs]
        except (RuntimeError, ValueError) as error:
            self._shapes = {}
            shapes = ", ".join(str(list(value.shape)) for value in held.values())
            raise BundleError(f"{self._path} cannot take {shapes}: {say_error(error)}") from None

    def _resize(self, shapes: dict[int, tuple[int, ...]]) -> None:
        if shapes == self._shapes:
            return
        for number, shape in shapes.items():
            self._interpreter.resize_tensor_input(number, shape)
        self._interpreter.allocate_tensors()
        self._shapes = shapes

    def _open(self) -> Any:
        from ai_edge_litert.interpreter import Interpreter

        data = self._file.with_outputs(self._also) if self._also else None
        path = str(self._path) if data is None else None
        try:
            with hushed_stderr():  # on which it greets
                interpreter = Interpreter(model_path=path, model_content=data, num_threads=self._threads)
                interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise BundleError(f"{self._path} cannot be loaded: {say_error(error)}; export it again") from None
        return interpreter


def open_litert(path: Path, *, signature: str, threads: int) -> Network:
    """Open a LiteRT file; see `hubbub.models.runtimes.open_network`."""
    import ai_edge_litert.interpreter  # noqa: F401  where it is missing, that is what is told

    file = _File(path, signature)
    if flex := [name for name in file.custom if name.startswith(_FLEX)]:
        raise BundleError(
            f"{path} needs operations of TensorFlow (Flex), which LiteRT does not have: {_list(flex)}; "
            "export the network with LiteRT's own operations only, or as a SavedModel or ONNX file"
        )
    if unknown := [name for name in file.custom if name not in _BUILT_IN]:
        raise BundleError(
            f"{path} needs custom operations, which are code and not data: {_list(unknown)}; "
            "export the network with LiteRT's own operations only"
        )
    return LiteRtNetwork(path, file, threads)


def _list(names: Sequence[str]) -> str:
    return ", ".join(make_visible(name) or "one without a name" for name in names)


def _make_port(tensor: Any) -> Port:
    if not tensor.ShapeIsNone() and tensor.ShapeLength():
        shape = [tensor.Shape(n) for n in range(tensor.ShapeLength())]
    else:
        shape = []
    if tensor.ShapeSignatureLength() == len(shape):
        open_ = [tensor.ShapeSignature(n) < 0 for n in range(len(shape))]
    else:
        open_ = [False] * len(shape)
    lengths = tuple(None if any_ else length for any_, length in zip(open_, shape, strict=True))
    number = tensor.Type()
    dtype = _DTYPES[number] if number < len(_DTYPES) else f"type {number}"
    return Port((tensor.Name() or b"").decode("utf-8", "replace"), lengths, dtype)
