"""The files of a model of others: its YAML file, and what that names beside it. Read and hashed, not opened."""

from __future__ import annotations

import csv
import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hubbub.config import canonical_hash
from hubbub.config.foreign import ForeignSettings, LabelsFile, check_labels, parse_foreign
from hubbub.errors import BundleError, suggest_nearest
from hubbub.io.atomic import explain_read_errors, read_bytes
from hubbub.io.folders import list_sizes
from hubbub.io.paths import StoragePath, is_local
from hubbub.io.text import make_visible
from hubbub.models.refusals import refuse_pickle

SUFFIXES = (".yaml", ".yml")

MOST_YAML_BYTES = 16 * 2**20
"""A list of labels may stand in it."""

MOST_LABELS_BYTES = 64 * 2**20


@dataclass(frozen=True)
class ForeignFiles:
    """What the files of a model say."""

    path: StoragePath
    """The YAML file."""

    given: ForeignSettings
    """What stands in it."""

    labels: tuple[str, ...]
    """In the order of the scores; empty for a model without."""

    names: tuple[str, ...]
    """All files, relative to the folder of the YAML file, which is the first: what a copy must hold."""

    model_hash: str
    """16 hex digits over all that decides scores and embeddings: the bytes of the network's files and the meaning of
    the YAML file; event rules, the hop and names of files do not count."""


def is_foreign(path: StoragePath) -> bool:
    """Whether a path is the YAML file of a model of others."""
    return path.suffix.lower() in SUFFIXES


def read_foreign(path: StoragePath) -> ForeignFiles:
    """Read a model's YAML file, its labels, and the bytes of its network.

    Raises
    ------
    BundleError
        A file is missing, damaged or not what it should be.
    UsageError
        When its bucket cannot be reached, or does not let us in.
    """
    with open_files(path) as (files, _):
        return files


@contextmanager
def open_files(path: StoragePath) -> Iterator[tuple[ForeignFiles, Path]]:
    """Give what a model's files say, and its YAML file on this machine, beside which are the files that were hashed.

    Errors of `read_foreign`.
    """
    with local_model(path) as local:
        yield _read_local(path, local), local


@contextmanager
def local_model(path: StoragePath) -> Iterator[Path]:
    """Give the YAML file on this machine, with the files it names beside it, for as long as the context lasts."""
    if is_local(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="hubbub-") as folder, explain_read_errors(path):
        local = Path(folder) / path.name
        local.write_bytes(_read_yaml(path))
        given = parse_foreign(local.read_bytes(), str(path))
        _fetch(path.parent, local.parent, [given.file, *_labels_file(given)])
        _fetch(path.parent, local.parent, _list_external(local.parent, given))
        yield local


def _fetch(source: StoragePath, folder: Path, names: list[str]) -> None:
    """Copy files, and folders with what they hold, that lie in a bucket."""
    assert not is_local(source)
    for name in names:
        held = [f"{name}/{inner}" for inner in list_sizes(source / name)] or [name]
        for each in held:
            target = folder / each
            if not target.resolve().is_relative_to(folder.resolve()):
                raise BundleError(f"{source / each} has a name that leads out of its folder; rename it")
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                source.fs.get_file((source / each).path, str(target))
            except FileNotFoundError:
                raise BundleError(f"{source / each} is missing; copy it there, beside the YAML file") from None


def _read_local(path: StoragePath, local: Path) -> ForeignFiles:
    given = parse_foreign(_read_yaml(local), str(path))
    labels = _read_labels(local.parent, given, path)
    for label in given.rules:
        if label not in labels:
            raise BundleError(f"{path}: rules.{label}: no such label: {suggest_nearest(label, labels)}")
    network = _list_network(local.parent, given, path)
    names = (path.name, *network, *_labels_file(given))
    hashes = {name: _hash_file(local.parent / name) for name in network}
    return ForeignFiles(path, given, labels, tuple(dict.fromkeys(names)), _hash_model(given, labels, hashes))


def _read_yaml(path: StoragePath) -> bytes:
    try:
        data = read_bytes(path)
    except (FileNotFoundError, NotADirectoryError):
        raise BundleError(
            f"{path} does not exist; expected the YAML file of a model, or the folder of a bundle"
        ) from None
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error}; expected the YAML file of a model") from None
    if len(data) > MOST_YAML_BYTES:
        raise BundleError(f"{path} has {len(data)} bytes; expected a YAML file of {MOST_YAML_BYTES} at most")
    return data


def _labels_file(given: ForeignSettings) -> list[str]:
    return [given.labels.file] if isinstance(given.labels, LabelsFile) else []


def _list_network(folder: Path, given: ForeignSettings, path: StoragePath) -> list[str]:
    """The network's files, sorted, relative to the folder."""
    whole = folder / given.file
    where = path.parent / given.file
    if given.kind == "saved-model":
        if not (whole / "saved_model.pb").is_file():
            raise BundleError(
                f"{where} holds no saved_model.pb; expected the folder of a TensorFlow SavedModel beside {path.name}"
            )
        return sorted(f"{given.file.rstrip('/')}/{name}" for name in list_sizes(whole))
    if not whole.is_file():
        what = "is a folder" if whole.is_dir() else "is missing"
        raise BundleError(f"{where} {what}; expected the network, one file, beside {path.name}")
    refuse_pickle(whole, where)
    external = _list_external(folder, given)
    for name in external:
        if not (folder / name).is_file():
            raise BundleError(
                f"{where} has weights in a file of their own, {make_visible(name)}, which is missing; copy it there"
            )
    return [given.file, *external]


def _list_external(folder: Path, given: ForeignSettings) -> list[str]:
    """Files beside an ONNX or OpenVINO file that hold its weights; none of other formats."""
    if given.kind == "openvino":
        return [str(PurePosixPath(given.file).with_suffix(".bin"))]
    if given.kind != "onnx":
        return []
    from hubbub.models.runtimes.onnx import list_external_files

    below = PurePosixPath(given.file).parent
    return [str(below / name) for name in list_external_files(folder / given.file)]


def _read_labels(folder: Path, given: ForeignSettings, path: StoragePath) -> tuple[str, ...]:
    if not isinstance(given.labels, LabelsFile):
        return given.labels or ()
    where = path.parent / given.labels.file
    file = folder / given.labels.file
    try:
        if file.stat().st_size > MOST_LABELS_BYTES:
            raise BundleError(
                f"{where} has {file.stat().st_size} bytes; expected labels, of {MOST_LABELS_BYTES} at most"
            )
        text = file.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, IsADirectoryError):
        raise BundleError(f"{where} is missing; expected the labels' file beside {path.name}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{where} cannot be read: {error}; expected labels in UTF-8") from None
    column = given.labels.column
    labels = _read_lines(text) if column is None else _read_column(text, column, str(where))
    if column is None and file.suffix.lower() == ".csv":
        first = next(csv.reader(text.splitlines()[:1]), [])
        raise BundleError(f"{where} is a CSV: give the labels' column, one of {', '.join(map(make_visible, first))}")
    try:
        check_labels(labels, str(where))
    except ValueError as error:
        raise BundleError(f"{error}") from None
    return labels


def _read_lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.rstrip().splitlines())


def _read_column(text: str, column: str, where: str) -> tuple[str, ...]:
    try:
        reader = csv.DictReader(text.splitlines(keepends=True), strict=True)
        names = [name.strip() for name in reader.fieldnames or []]
        reader.fieldnames = names
        if column not in names:
            raise BundleError(f"{where} has no column {column!r}: {suggest_nearest(column, map(make_visible, names))}")
        return tuple((row[column] or "").strip() for row in reader)
    except csv.Error as error:
        raise BundleError(f"{where} cannot be read as a CSV: {error}; expected a header and a line a label") from None


def _hash_model(given: ForeignSettings, labels: tuple[str, ...], hashes: dict[str, str]) -> str:
    """Hash what decides scores: the order of a network's files counts, their names do not."""
    meaning = given.model_dump(mode="json", include={"kind", "signature", "input", "outputs"})
    (meaning["outputs"]["scores"] or {}).pop("exclusive", None)  # says what scores mean, and changes none
    heard = given.settings.values
    return canonical_hash([meaning, heard, labels, list(hashes.values())])


def _hash_file(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error}; check its permissions, or copy it again") from None
