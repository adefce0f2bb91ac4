"""Files of weights: HDF5 as Keras writes it, ``.h5`` and ``.weights.h5``, or that within a ``.keras`` archive.

They are data from anywhere. Nothing of a file is run, and no layer is made of what it describes: arrays of known names
and shapes are read, and nothing else. Links to other files, and arrays that claim to be huge, are refused.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hubbub.errors import TrainingError
from hubbub.io.text import count_noun, make_visible

MOST_BYTES, MOST_OBJECTS, DEEPEST = 2**30, 20_000, 20
"""Of a file and of all its arrays; of groups and arrays; of groups within groups."""

_HDF5, _ZIP, _MEMBER = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", "model.weights.h5"
SUFFIXES = ".h5, .weights.h5 or .keras"
_KINDS = f"a file of Keras, {SUFFIXES}"
_CONTAINERS = ("layers", "_layer_checkpoint_dependencies")  # the second of Keras 2.13

Arrays = list[npt.NDArray[np.floating]]


@dataclass(frozen=True)
class WantedLayer:
    """A layer whose weights are looked for."""

    name: str
    """Its own."""

    path: str
    """Its name among its network's layers in files of Keras 3: the class and a number, ``batch_normalization_3``."""

    shapes: tuple[tuple[int, ...], ...]
    """Of its arrays; empty: it has none."""


def list_wanted(layers: Sequence[Any], classes: dict[str, str] | None = None) -> list[WantedLayer]:
    """Describe the layers of a network, in their order.

    Parameters
    ----------
    layers
        Of Keras.
    classes
        Classes of layers that files know by another one, by the layers' names.
    """
    used: dict[str, int] = {}
    wanted = []
    for layer in layers:
        path = _to_snake_case((classes or {}).get(layer.name, type(layer).__name__))
        number = used[path] = used.get(path, -1) + 1
        shapes = tuple(tuple(one.shape) for one in layer.weights)
        wanted.append(WantedLayer(layer.name, f"{path}_{number}" if number else path, shapes))
    return wanted


def _to_snake_case(name: str) -> str:
    """As Keras names layers in files: ``DepthwiseConv2D`` is ``depthwise_conv2d``."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def is_weights(path: Path) -> bool:
    """Whether a file begins as files of weights do."""
    with open(path, "rb") as file:
        return file.read(8).startswith((_HDF5, _ZIP))


@contextmanager
def open_weights(path: Path) -> Iterator[WeightsFile]:
    """Open a file of weights.

    Raises
    ------
    TrainingError
        It is no such file, is damaged, too large, or refers to other files.
    """
    import h5py

    try:
        if (size := path.stat().st_size) > MOST_BYTES:
            raise TrainingError(f"{path} has {size} bytes; expected at most {MOST_BYTES}, for weights of a network")
        with _open_hdf5(path) as source, h5py.File(source, "r") as file:
            yield WeightsFile(path, file)
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, zipfile.BadZipFile) as error:
        told = make_visible(str(error).splitlines()[0]) if str(error) else type(error).__name__
        raise TrainingError(f"{path} cannot be read as weights ({told}); expected {_KINDS}") from None


@contextmanager
def _open_hdf5(path: Path) -> Iterator[Any]:
    with open(path, "rb") as file:
        head = file.read(8)
        if head == _HDF5:
            file.seek(0)
            yield file
            return
        if not head.startswith(_ZIP):
            raise TrainingError(f"{path} is no file of weights; expected {_KINDS}")
    with zipfile.ZipFile(path) as archive:
        if (size := archive.getinfo(_MEMBER).file_size) > MOST_BYTES:
            raise TrainingError(f"{path} unpacks to {size} bytes; expected at most {MOST_BYTES}")
        with archive.open(_MEMBER) as member:
            yield io.BytesIO(member.read(MOST_BYTES))


class WeightsFile:
    """An open file of weights.

    Parameters
    ----------
    path
        Where it is, for messages.
    file
        Of h5py.
    """

    def __init__(self, path: Path, file: Any) -> None:
        self.path, self._file = path, file
        self._arrays = _list_arrays(path, file)

    def find(self, wanted: Sequence[WantedLayer]) -> dict[str, Arrays] | None:
        """Return the arrays of each layer that has any, by its name; None where the file has not all of them.

        A layer may have more arrays in the file than are wanted, and the file more layers behind the last.

        Raises
        ------
        TrainingError
            A value is not finite.
        """
        having = [layer for layer in wanted if layer.shapes]
        in_order = self._layers_in_order()
        if in_order is not None:
            return self._read(having, [paths for _, paths in in_order[: len(having)]])
        for root in self._roots():
            found = self._read(having, [self._list_variables(f"{root}{layer.path}") for layer in having])
            if found is not None:
                return found
        return None

    def describe(self) -> str:
        """Say what the file holds: ``105 layers with 2,223,872 values, the first block1_conv (3 x 3 x 3 x 32)``."""
        in_order = self._layers_in_order()
        if in_order is None:
            layers = dict.fromkeys(path.rpartition("/vars/")[0] for path in self._arrays)
            in_order = [
                (name.rpartition("/")[2], [p for p in self._arrays if p.startswith(f"{name}/")]) for name in layers
            ]
        values = sum(array.size for array in self._arrays.values())
        text = f"{count_noun(len(in_order), 'layer')} with {values:,} values"
        if in_order and in_order[0][1]:
            name, paths = in_order[0]
            shape = " x ".join(map(str, self._arrays[paths[0]].shape))
            text += f", the first {make_visible(name)} ({shape})"
        return text

    @property
    def n_kernels(self) -> int:
        """Kernels of convolutions over images that it holds."""
        return sum(array.ndim == 4 for array in self._arrays.values())

    def _layers_in_order(self) -> list[tuple[str, list[str]]] | None:
        """Layers that have weights, with the paths of these, in the older form; None for a file of the newer one."""
        at = "model_weights/" if "model_weights" in self._file else ""
        group = self._file[at] if at else self._file
        names = _read_names(group, "layer_names")
        if names is None:
            return None
        layers = []
        for name in names:
            inner = _read_names(group[name], "weight_names") or []
            paths = [f"{at}{name}/{one}" for one in inner]
            if paths and all(path in self._arrays for path in paths):
                layers.append((name, paths))
        return layers

    def _roots(self) -> list[str]:
        """Paths of groups that hold the layers of a network, the outermost first."""
        found = {
            path[: match.end()]: None
            for path in self._arrays
            for match in re.finditer(rf"(?:^|/)(?:{'|'.join(_CONTAINERS)})/", path)
        }
        return sorted(found, key=lambda root: (root.count("/"), root))

    def _list_variables(self, layer: str) -> list[str]:
        """Paths of a layer's arrays, in their order."""
        paths: list[str] = []
        while (path := f"{layer}/vars/{len(paths)}") in self._arrays:
            paths.append(path)
        return paths

    def _read(self, layers: Sequence[WantedLayer], paths: Sequence[Sequence[str]]) -> dict[str, Arrays] | None:
        if len(paths) != len(layers):
            return None
        for layer, own in zip(layers, paths, strict=True):
            if tuple(self._arrays[path].shape for path in own[: len(layer.shapes)]) != layer.shapes:
                return None
        return {
            layer.name: [self._read_array(path) for path in own[: len(layer.shapes)]]
            for layer, own in zip(layers, paths, strict=True)
        }

    def _read_array(self, path: str) -> npt.NDArray[np.floating]:
        array = np.asarray(self._arrays[path][()], np.float32)
        if not np.isfinite(array).all():
            raise TrainingError(f"{self.path} holds values that are not finite, in {make_visible(path)}; give others")
        return array


def _read_names(group: Any, name: str) -> list[str] | None:
    """A list of names among a group's attributes, where long ones are parted: ``layer_names0``, ``layer_names1``."""
    attributes = group.attrs
    if name in attributes:
        parts = [attributes[name]]
    elif f"{name}0" in attributes:
        parts = []
        while f"{name}{len(parts)}" in attributes:
            parts.append(attributes[f"{name}{len(parts)}"])
    else:
        return None
    return [one.decode("utf-8") if isinstance(one, bytes) else str(one) for part in parts for one in part]


def _list_arrays(path: Path, file: Any) -> dict[str, Any]:
    """Every array of numbers by its path, after a look at what each claims to be."""
    import h5py

    arrays: dict[str, Any] = {}
    total, left = 0, [("", file, 0)]
    n_objects = 0
    while left:
        at, group, depth = left.pop()
        for name in group:
            n_objects += 1
            inner = f"{at}{name}"
            if n_objects > MOST_OBJECTS or depth > DEEPEST:
                raise TrainingError(f"{path} holds more than the weights of a network; expected {_KINDS}")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise TrainingError(f"{path} refers to another place, by {make_visible(inner)}; expected weights alone")
            item = group[name]
            if isinstance(item, h5py.Group):
                left.append((f"{inner}/", item, depth + 1))
            elif isinstance(item, h5py.Dataset):
                if item.external or item.is_virtual:
                    raise TrainingError(
                        f"{path} refers to other files, in {make_visible(inner)}; expected weights alone"
                    )
                if item.dtype.kind in "fiu" and item.shape is not None:
                    arrays[inner] = item
                    total += item.size * item.dtype.itemsize
    if total > MOST_BYTES:
        raise TrainingError(f"{path} claims to hold {total} bytes of weights; expected at most {MOST_BYTES}")
    return arrays
