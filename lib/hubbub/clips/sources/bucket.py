"""Listings of a bucket for the readers of folders; keys are paths, letter by letter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hubbub.audio.remote import quote_etag
from hubbub.io.paths import StoragePath, remote_path

if TYPE_CHECKING:
    from upath import UPath


@dataclass(frozen=True)
class Object:
    """One object of a bucket.

    Attributes
    ----------
    name
        What follows the folder and its slash in the key.
    version
        Its ETag, in quotes.
    size_bytes
        How large it is.
    """

    name: str
    version: str
    size_bytes: int


def is_folder(place: UPath) -> bool:
    """Whether it is a bucket, or objects lie under it. Asks for one of them; s3fs would list all. Errors of s3fs."""
    return "/" not in place.path.strip("/") or bool(next(_pages(place, MaxKeys=1)).get("Contents"))


def list_objects(folder: UPath) -> Iterator[Object]:
    """Everything under a folder, as the server lists it. Errors of s3fs."""
    prefix = _prefix(folder)
    for page in _pages(folder):
        for held in page.get("Contents", []):
            yield Object(held["Key"][len(prefix) :], quote_etag(held["ETag"]), int(held["Size"]))


def list_names(folder: UPath) -> Iterator[str]:
    """Names of the objects in a folder itself that are not hidden. Errors of s3fs."""
    prefix = _prefix(folder)
    for page in _pages(folder, Delimiter="/"):
        names = (held["Key"][len(prefix) :] for held in page.get("Contents", []))
        yield from (name for name in names if name and not _is_hidden(name))


def list_files(folder: UPath) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names of what is not hidden under a folder, with version and size, as the server lists them.

    A name that would be taken for an address of another kind, ``odd://name.wav``, has its whole address for `uri`.
    """
    for held in list_objects(folder):
        stands_for_folder = held.name.endswith("/")
        if held.name and not stands_for_folder and not _is_hidden(held.name):
            whole = {"uri": f"s3://{folder.path.rstrip('/')}/{held.name}"} if "://" in held.name else {}
            yield held.name, {"version": held.version, "size_bytes": held.size_bytes, **whole}


def find_folders_beside(source: UPath, names: Sequence[str]) -> list[StoragePath]:
    """Folders seen from a file, such as ``.``, ``audio`` and ``../audio``, as far as its bucket has them."""
    bucket, *folders = source.path.split("/")[:-1]
    found: list[StoragePath] = []
    for name in names:
        parts = list(folders)
        for part in name.split("/"):
            if part == "..":
                if not parts:
                    break
                parts.pop()
            elif part != ".":
                parts.append(part)
        else:
            found.append(remote_path("/".join([bucket, *parts])))
    return found


def _pages(folder: UPath, **options: str | int) -> Iterator[dict[str, Any]]:
    where = {"Bucket": folder.path.partition("/")[0], "Prefix": _prefix(folder), **options}
    page = folder.fs.call_s3("list_objects_v2", **where)
    yield page
    while page.get("IsTruncated"):
        page = folder.fs.call_s3("list_objects_v2", **where, ContinuationToken=page["NextContinuationToken"])
        yield page


def _prefix(folder: UPath) -> str:
    key = folder.path.partition("/")[2].rstrip("/")
    return f"{key}/" if key else ""


def _is_hidden(name: str) -> bool:
    """Whether a name on a disk would be hidden. Parts ``.`` and ``..`` are plain letters in a key."""
    return any(part.startswith(".") and part not in (".", "..") for part in name.split("/"))
