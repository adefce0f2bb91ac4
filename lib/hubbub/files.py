"""Files that appear whole or not at all, in folders that hold what they should."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hubbub.errors import StorageError, StoreError


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn failures to write at `path` into `StorageError`, said in the user's words."""
    try:
        yield
    except OSError as error:
        hint = {
            errno.ENOSPC: "free some space, then run the same command again: what is committed is kept",
            errno.EDQUOT: "the quota is used up; free some space, then run the same command again",
            errno.EACCES: "there is no permission to write there",
            errno.EPERM: "there is no permission to write there",
            errno.EROFS: "it is mounted read-only",
        }.get(error.errno or 0, "run the same command again once it can be written")
        raise StorageError(f"cannot write {path}: {error.strerror or error}; {hint}") from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a name to write to beside `path`; what is written there takes its place when the context ends well.

    Folders are made on the way. After an error, or a kill, `path` is as it was.

    Raises
    ------
    StorageError
        For a folder that cannot be made, no permission, a full disk.
    """
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    with writing(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            os.replace(partial, path)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise


def write_text(path: Path, text: str) -> Path:
    """Write UTF-8 text whole or not at all; errors of `replacing`."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")
    return path


def write_json(path: Path, data: Any) -> Path:
    """Write JSON whole or not at all; errors of `replacing`."""
    return write_text(path, json.dumps(data, indent=2) + "\n")


def sweep_partials(folder: Path) -> None:
    """Remove what killed writers left half-written under a folder. Only for the one who starts a run."""
    for pattern in ("*.partial*", ".*.partial-*"):
        for path in folder.rglob(pattern):
            if path.is_file():
                path.unlink(missing_ok=True)


def refuse_foreign_folder(path: Path, mark: str, what: str) -> None:
    """Refuse to put a new `what` on something else.

    Empty folders are no thing: a run that was killed before it wrote anything leaves some.

    Raises
    ------
    StoreError
        Where `path` is a file, or a folder that holds something and not `mark`.
    """
    if not path.exists() or (path / mark).exists():
        return
    if not path.is_dir():
        raise StoreError(f"{path} is a file; expected a folder for {what}, new or made by an earlier run")
    with os.scandir(path) as entries:
        held = sorted(entry.name for entry in entries if _is_something(entry))
    if held:
        some = ", ".join(held[:3]) + (", …" if len(held) > 3 else "")
        raise StoreError(f"{path} holds something else ({some}); give a new folder for {what}")


def refuse_foreign_file(path: Path, begins: bytes, what: str) -> None:
    """Refuse to put `what` in the place of something else.

    Raises
    ------
    StoreError
        Where `path` is a folder, or a file that does not begin as `what` does.
    """
    if path.is_dir():
        raise StoreError(f"{path} is a folder; give a file for {what}")
    if path.is_file():
        with open(path, "rb") as file:
            if file.read(len(begins)) != begins:
                raise StoreError(f"{path} is something else than {what}, and is not overwritten; give another name")


def _is_something(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith("."):
        return False
    return not (entry.is_dir() and not os.listdir(entry.path))
