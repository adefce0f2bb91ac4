"""Atomic writes and other operations on files, folders and objects, on a disk and in a bucket."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from hubbub.errors import StorageError, StoreError, UsageError
from hubbub.io.paths import StoragePath, explain_storage_error, is_local

if TYPE_CHECKING:
    from upath import UPath

_P = TypeVar("_P", bound=StoragePath)
_REMOVALS_AT_ONCE = 16  # objects removed at a time


@contextlib.contextmanager
def explain_write_errors(path: StoragePath) -> Iterator[None]:
    """Turn failures to write at `path` into `StorageError`, said in the user's words."""
    try:
        yield
    except Exception as error:
        if (why := explain_storage_error(error)) is not None:
            raise StorageError(f"cannot write {path}: {why}") from error
        if not isinstance(error, OSError):
            raise
        hint = {
            errno.ENOSPC: "free some space, then run the same command again: what is committed is kept",
            errno.EDQUOT: "the quota is used up; free some space, then run the same command again",
            errno.EACCES: "there is no permission to write there",
            errno.EPERM: "there is no permission to write there",
            errno.EROFS: "it is mounted read-only",
        }.get(error.errno or 0, "run the same command again once it can be written")
        raise StorageError(f"cannot write {path}: {error.strerror or error}; {hint}") from error


@contextlib.contextmanager
def explain_read_errors(path: StoragePath) -> Iterator[None]:
    """Turn what keeps a bucket from being read into `UsageError`; errors of this machine's files pass as they are."""
    try:
        yield
    except Exception as error:
        if isinstance(error, FileNotFoundError) or (why := explain_storage_error(error)) is None:
            raise
        raise UsageError(f"cannot read {path}: {why}") from error


@contextlib.contextmanager
def atomic_write(path: StoragePath) -> Iterator[Path]:
    """Give a local name to write to; what is written there takes the place of `path` when the context ends well.

    Folders are made on the way. After an error, or a kill, `path` is as it was.

    Raises
    ------
    StorageError
        For a folder that cannot be made, no permission, a full disk, a bucket that cannot be written.
    """
    if not is_local(path):
        with tempfile.TemporaryDirectory(prefix="hubbub-") as folder:
            partial = Path(folder) / "partial"
            yield partial
            with explain_write_errors(path):
                path.fs.put_file(str(partial), path.path)
        return
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}-{threading.get_ident()}")
    with explain_write_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            os.replace(partial, path)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise


def read_bytes(path: StoragePath) -> bytes:
    """A whole file, or object, as it is at one moment.

    `UPath.read_bytes` asks a bucket twice, and fails where others write the object anew in between.
    """
    return path.read_bytes() if is_local(path) else bytes(path.fs.cat_file(path.path))


def write_bytes(path: StoragePath, data: bytes) -> None:
    """Write bytes whole or not at all; on a disk they survive a power cut. Errors of `atomic_write`."""
    if not is_local(path):
        with explain_write_errors(path):
            path.fs.pipe_file(path.path, data)
        return
    with atomic_write(path) as partial, open(partial, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def create_if_absent(path: StoragePath, data: bytes) -> bool:
    """Write bytes if nothing is there; of several who try, one succeeds. Errors of `atomic_write`.

    Returns
    -------
    bool
        Whether they were written. On S3 a request whose answer was lost may have written them all the same: compare
        what is there.
    """
    with explain_write_errors(path):
        if not is_local(path):
            return _create_object(path, data)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial-{os.getpid()}-{threading.get_ident()}")
        try:
            partial.write_bytes(data)
            try:
                os.link(partial, path)  # which fails where there is something; a rename would replace it
            except PermissionError:  # a drive without links, such as exFAT: there a kill may leave half a file
                with open(path, "xb") as file:
                    file.write(data)
        except FileExistsError:
            return False
        finally:
            partial.unlink(missing_ok=True)
        return True


def _create_object(path: UPath, data: bytes) -> bool:
    for again in (True, False):
        try:
            path.fs.pipe_file(path.path, data, mode="create")
            return True
        except FileExistsError:
            return False
        except OSError as error:  # Amazon's answer to two who create at once; one of them then finds it there
            if not (again and "ConditionalRequestConflict" in str(error.__cause__)):
                raise
    raise AssertionError  # the loop returns or raises


def write_text(path: _P, text: str) -> _P:
    """Write UTF-8 text whole or not at all; errors of `atomic_write`."""
    write_bytes(path, text.encode())
    return path


def write_json(path: _P, data: Any) -> _P:
    """Write JSON whole or not at all; errors of `atomic_write`."""
    return write_text(path, json.dumps(data, indent=2) + "\n")


def list_names(folder: StoragePath) -> list[str]:
    """Names of what lies in a folder, in no order; none where there is no such folder."""
    try:
        if is_local(folder):
            return os.listdir(folder)
        listed = folder.fs.ls(folder.path, detail=False, refresh=True)
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = {PurePosixPath(key).name for key in listed if key.rstrip("/") != folder.path.rstrip("/")}
    return sorted(found)


def list_sizes(folder: StoragePath) -> dict[str, int]:
    """Bytes of every file under a folder, by its path within it, with slashes."""
    if not is_local(folder):
        try:
            found = folder.fs.find(folder.path, detail=True, withdirs=False)
        except FileNotFoundError:
            return {}
        head = len(folder.path.rstrip("/")) + 1
        return {key[head:]: int(info["size"]) for key, info in found.items()}
    held: dict[str, int] = {}
    for root, _, files in os.walk(folder):
        for path in (Path(root) / name for name in files):
            with contextlib.suppress(FileNotFoundError):  # gone meanwhile, as what a run writes anew is
                held[path.relative_to(folder).as_posix()] = path.stat().st_size
    return held


def remove_file(path: StoragePath) -> None:
    """Remove a file, if it is there; errors of `atomic_write`."""
    with explain_write_errors(path), contextlib.suppress(FileNotFoundError):
        path.unlink() if is_local(path) else path.fs.rm_file(path.path)


def remove_tree(path: StoragePath) -> None:
    """Remove a folder with all that it holds, if it is there; errors of `atomic_write`."""
    with explain_write_errors(path), contextlib.suppress(FileNotFoundError):
        if is_local(path):
            shutil.rmtree(path)
            return
        # Key by key: s3fs would take a name with * or [ for a pattern, and remove its neighbours too.
        keys = [f"{path.path.rstrip('/')}/{name}" for name in list_sizes(path)]
        with ThreadPoolExecutor(_REMOVALS_AT_ONCE) as pool:
            list(pool.map(path.fs.rm_file, keys))


@contextlib.contextmanager
def local_file(path: StoragePath) -> Iterator[Path]:
    """Give a local file with what is at `path`, for as long as the context lasts; a local one is given itself."""
    if is_local(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="hubbub-") as folder:
        local = Path(folder) / path.name
        with explain_read_errors(path):
            path.fs.get_file(path.path, str(local))
        yield local


def sweep_partials(folder: StoragePath) -> None:
    """Remove what killed writers left half-written under a folder. Only for the one who starts a run."""
    if not is_local(folder):
        return  # an object is there whole or not at all
    for pattern in ("*.partial*", ".*.partial-*"):
        for path in folder.rglob(pattern):
            if path.is_file() and not path.parent.name.startswith("."):  # in .claims a beat may be on its way
                path.unlink(missing_ok=True)


def refuse_foreign_folder(path: StoragePath, mark: str, what: str) -> None:
    """Refuse to put a new `what` on something else.

    Empty folders are no thing: a run that was killed before it wrote anything leaves some.

    Raises
    ------
    StoreError
        Where `path` is a file, or a folder that holds something and not `mark`.
    """
    with explain_read_errors(path):
        if not path.exists() or (path / mark).exists():
            return
        if path.is_file():
            raise StoreError(f"{path} is a file; expected a folder for {what}, new or made by an earlier run")
        held = sorted(name for name in list_names(path) if _holds_anything(path / name))
    if held:
        some = ", ".join(held[:3]) + (", …" if len(held) > 3 else "")
        raise StoreError(f"{path} holds something else ({some}); give a new folder for {what}")


def refuse_foreign_file(path: StoragePath, begins: bytes, what: str) -> None:
    """Refuse to put `what` in the place of something else.

    Raises
    ------
    StoreError
        Where `path` is a folder, or a file that does not begin as `what` does.
    """
    with explain_read_errors(path):
        if path.is_dir():
            raise StoreError(f"{path} is a folder; give a file for {what}")
        if path.is_file():
            with path.open("rb") as file:
                if file.read(len(begins)) != begins:
                    raise StoreError(f"{path} is something else than {what}, and is not overwritten; give another name")


def _holds_anything(path: StoragePath) -> bool:
    if path.name.startswith("."):
        return False
    return not (path.is_dir() and not list_names(path))
