"""Atomic writes, and reads, of files and objects, on a disk and in a bucket."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hubbub.errors import StorageError, UsageError
from hubbub.io.paths import StoragePath, is_local
from hubbub.io.storage_options import explain_storage_error

if TYPE_CHECKING:
    from upath import UPath


_P = TypeVar("_P", bound=StoragePath)


_IN_THE_WAY = "a file lies where a folder is expected; give another folder"


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
            errno.EEXIST: _IN_THE_WAY,
            errno.ENOTDIR: _IN_THE_WAY,
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


def hash_file(path: StoragePath) -> str:
    """16 hex digits of SHA-256 over a file's bytes."""
    with local_file(path) as local, open(local, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
