"""Folders on a disk and in a bucket: listings, removal, and refusal of folders that hold something else."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from hubbub.errors import StoreError
from hubbub.io.atomic import explain_read_errors, explain_write_errors
from hubbub.io.paths import StoragePath, is_local

_REMOVALS_AT_ONCE = 16  # objects removed at a time


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
def new_folder(folder: StoragePath) -> Iterator[StoragePath]:
    """Give a folder beside `folder`, which gets its name when the context ends well, and is removed when not.

    A folder in a bucket is given itself: nothing is renamed there. Where `folder` is there, it is to be empty. Errors
    of `atomic_write`.
    """
    if not is_local(folder):
        yield folder
        return
    draft = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    with explain_write_errors(folder):
        draft.mkdir(parents=True)
        try:
            yield draft
            if folder.is_dir():
                folder.rmdir()
            os.rename(draft, folder)
        except BaseException:
            remove_tree(draft)
            raise


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


def refuse_foreign_file(path: StoragePath, begins: bytes, what: str, ending: str | None = None) -> None:
    """Refuse to put `what` in the place of something else, or where no file can be.

    Parameters
    ----------
    begins
        The first bytes of such a file.
    ending
        What its name has to end in, where readers go by that.

    Raises
    ------
    StoreError
        Where `path` is a folder, a file that does not begin as `what` does, or within a file; or has another ending.
    """
    with explain_read_errors(path):
        if ending is not None and path.suffix.lower() != ending and not path.is_dir():
            raise StoreError(f"{path}: {what} is a {ending} file; give a name such as {path.stem}{ending}")
        if is_local(path) and (held := next((folder for folder in path.parents if folder.exists()), Path())).is_file():
            raise StoreError(f"{path}: {held} is a file; give a folder for {what}")
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
