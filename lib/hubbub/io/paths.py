"""Paths and URLs: a path, ``file://`` or ``s3://bucket/prefix`` as an object with the methods of `pathlib.Path`.

A local path is a plain `pathlib.Path`; a path in a bucket is a `upath.UPath`, which has the same methods on s3fs.
`hubbub.io.storage_options` says how buckets are reached.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from hubbub.errors import UsageError
from hubbub.io.storage_options import check_endpoint, request_options, s3_endpoint

if TYPE_CHECKING:
    from typing_extensions import TypeIs
    from upath import UPath

    StoragePath = Path | UPath
else:
    StoragePath = Path  # what Typer reads; upath costs a tenth of a second that only buckets need pay


def parse_path(text: str | StoragePath) -> StoragePath:
    """Parse what a person typed.

    Parameters
    ----------
    text
        A local path; ``file://`` with the escapes of addresses; or ``s3://bucket/prefix``, taken letter by letter: keys
        may hold blanks, ``#`` and ``?``.

    Raises
    ------
    UsageError
        For another scheme, an address without a bucket, or a prefix with an empty, ``.`` or ``..`` part, which keys may
        have but folders cannot.
    """
    if not isinstance(text, str):
        return text
    if "://" not in text:
        return Path(text)
    scheme, _, rest = text.partition("://")
    if scheme == "file":
        return Path(unquote(urlsplit(text.replace("#", "%23").replace("?", "%3F")).path))
    if scheme != "s3":
        raise UsageError(f"{text}: {scheme}:// is not read or written; expected a local path or s3://bucket/prefix")
    bucket, *parts = rest.rstrip("/").split("/")
    if not bucket:
        raise UsageError(f"{text}: names no bucket; expected s3://bucket/prefix")
    if bad := {"", ".", ".."}.intersection(parts):
        raise UsageError(f"{text}: has the part '{bad.pop()}', which no folder can have; expected s3://bucket/prefix")
    if "?versionId=" in rest:  # s3fs would cut it off, and what follows
        raise UsageError(
            f"{text}: names one version (?versionId=) of an object; expected s3://bucket/prefix without it"
        )
    if (address := s3_endpoint()) is not None:
        check_endpoint(address)
    return remote_path("/".join([bucket, *parts]))


def remote_path(key: str) -> UPath:
    """Return the path in a bucket with this key, ``bucket/prefix/name``, taken letter by letter."""
    from upath import UPath

    return UPath(f"s3://{key}", **request_options())


def is_local(path: StoragePath) -> TypeIs[Path]:
    """Tell whether a path is on this machine."""
    return isinstance(path, Path)


def absolute_path(path: StoragePath) -> StoragePath:
    """Return a path that means the same in every process."""
    return path.resolve() if is_local(path) else path
