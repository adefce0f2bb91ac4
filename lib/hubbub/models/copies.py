"""Copies of models: a store of embeddings keeps the model that made them, a head's bundle its backbone.

The file that describes a model is copied last, so that half a copy is none.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from hubbub.errors import BundleError
from hubbub.io.atomic import atomic_write, local_file, write_bytes
from hubbub.io.folders import list_names, remove_file
from hubbub.io.paths import StoragePath
from hubbub.models import bundle, embedding
from hubbub.models.foreign_files import is_foreign, read_foreign
from hubbub.models.onnx_export import can_export
from hubbub.models.opening import find_model, read_description


def copy_model(source: StoragePath, folder: StoragePath, *, export: bool = False) -> StoragePath:
    """Copy a model into a folder of its own.

    Parameters
    ----------
    source
        A bundle, or the YAML file of a model of others; here or in a bucket, as `folder`.
    export
        Add to a bundle the network that embeds, for ONNX Runtime, where what writes it is installed; loads Keras.

    Returns
    -------
    path
        The copy, as `hubbub.models.opening` takes it.

    Raises
    ------
    BundleError
        A file of the model is missing.
    StorageError
        The copy cannot be written.
    """
    if is_foreign(source):
        described, *others = read_foreign(source).names
        for name in list_names(folder):  # a copy made under another name, which is not whole
            if name != described and is_foreign(folder / name):
                remove_file(folder / name)
        for name in (*others, described):
            _copy_file(source.parent / name, folder / name)
    else:
        _copy_bundle(source, folder, export=export)
    return find_model(folder)


def _copy_bundle(source: StoragePath, folder: StoragePath, *, export: bool) -> None:
    description, held = bundle.read_description(source), set(list_names(source))
    for name in (bundle.MODEL, bundle.ONNX, embedding.FILE, bundle.CARD):
        if name in held:
            _copy_file(source / name, folder / name)
    if export and not description.get(embedding.ENTRY) and can_export():
        with tempfile.TemporaryDirectory(prefix="hubbub-") as workshop:
            local = Path(workshop) / embedding.FILE
            opened = bundle.read_bundle(source)
            if (found := embedding.export_embedding(opened, opened.network, local)) is not None:
                _copy_file(local, folder / embedding.FILE)
                description[embedding.ENTRY] = found
    write_bytes(folder / bundle.DESCRIPTION, (json.dumps(description, indent=2, allow_nan=False) + "\n").encode())


def _copy_file(source: StoragePath, target: StoragePath) -> None:
    try:
        with local_file(source) as local, atomic_write(target) as partial:
            shutil.copyfile(local, partial)
    except FileNotFoundError:
        raise BundleError(f"{source} is missing; copy the model again") from None


def check_copy(folder: StoragePath, model_hash: str) -> StoragePath:
    """Return the copy in a folder, as `open_model` takes it; hashes all of its files.

    Raises
    ------
    BundleError
        There is none, or half one, or one of another hash.
    """
    path = find_model(folder)
    held = read_description(path)["model_hash"]
    if held != model_hash:
        raise BundleError(f"{path} has the hash {held}, expected {model_hash}")
    if not is_foreign(path):  # which are hashed where they are read
        bundle.check_model(path)
        embedding.check_exported(path, bundle.read_description(path))
    return path
