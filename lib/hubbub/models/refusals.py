"""Files that are no model a person can give: pickles, whose opening runs code, and networks without a description."""

from __future__ import annotations

import zipfile
from pathlib import Path

from hubbub.errors import BundleError
from hubbub.io.paths import StoragePath, is_local

_PICKLED = {".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".sav", ".dill"}
_NETWORKS = {".keras": "keras", ".onnx": "onnx", ".tflite": "litert", ".litert": "litert", ".pb": "saved-model"}
_OLD_KERAS = {".h5", ".hdf5"}

_PICKLE_MARKS = tuple(bytes([0x80, version]) for version in range(2, 6))
_HDF5_MARK = b"\x89HDF\r\n\x1a\n"


def refuse_pickle(path: Path, where: StoragePath) -> None:
    """Refuse a file that is a pickle, whatever it is called, or Keras's old format; `where` names it in messages.

    Raises
    ------
    BundleError
        With the reason, and what to export.
    """
    with open(path, "rb") as file:
        head = file.read(8)
    if head.startswith(_PICKLE_MARKS) or path.suffix.lower() in _PICKLED or _holds_pickle(path):
        raise BundleError(
            f"{where} is a pickle, whose opening runs whatever code it holds; a model is data: export it as an ONNX "
            "file, such as with torch.onnx.export, or as a SavedModel, .keras or .tflite file"
        )
    if head == _HDF5_MARK or path.suffix.lower() in _OLD_KERAS:
        raise BundleError(
            f"{where} is an HDF5 file of Keras 2, which may hold code; load it where it was made, and save it with "
            "model.save('model.keras') or as a SavedModel"
        )


def refuse_network(path: StoragePath) -> None:
    """Refuse a network where a model is expected: it needs a description; raises `BundleError` with what to write."""
    if not is_local(path):
        return
    suffix = path.suffix.lower()
    if suffix in _PICKLED | _OLD_KERAS and path.is_file():
        raise BundleError(
            f"{path} may hold code, which runs when it is opened; a model is data: export it as an ONNX file, and give "
            "a YAML file that describes it"
        )
    kind = _NETWORKS.get(suffix)
    if kind is None and (path / "saved_model.pb").is_file():
        kind = "saved-model"
    if kind is not None:
        raise BundleError(
            f"{path} is a network without a description; write a YAML file beside it, kind: {kind}, file: {path.name}, "
            "with its sample_rate, window, outputs and labels, and give that"
        )


def _holds_pickle(path: Path) -> bool:
    """Whether a file is an archive with a pickle in it, as PyTorch saves them."""
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(".pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return False
