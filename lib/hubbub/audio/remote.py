"""Local copies of recordings in buckets, kept as long as they are read.

Decoders read files, so a recording is fetched whole. Each process keeps those it fetched last, up to `CACHE_BYTES`: the
many units of a long recording then fetch it once a worker. Copies lie in the folder for temporary files (``TMPDIR``);
they go when the process ends, and those of a process that was killed go when the next one begins.

What is fetched has the ETag that the clip table's version says, or it is refused: the server is asked for that content
alone, block by block.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from multiprocessing.util import Finalize
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubbub.errors import DecodeError, FileChanged, UsageError
from hubbub.io.paths import StoragePath, is_local
from hubbub.io.storage_options import REQUEST_ATTEMPTS, explain_storage_error

if TYPE_CHECKING:
    from upath import UPath

BLOCK_BYTES = 8 * 2**20
"""Asked for at once."""

CACHE_BYTES = 2 * 2**30
"""Copies that are kept in a process when nobody reads them."""

_SPARE_BYTES = 64 * 2**20  # left free on the disk for others
_LONGEST_NAME_BYTES = 200
_PREFIX = "hubbub-recordings-"
_ETAG = re.compile(r'(W/)?"[^"]*"')
_NOT_YET_S = 0.2  # before a block that broke off is asked for again; longer each time

# What one key alone is to blame for; anything else would happen to every clip.
_OF_ONE_KEY = {
    "NoSuchKey": "no such key",
    "404": "no such key",
    "MethodNotAllowed": "it was deleted",
    "InvalidObjectState": "it is archived; restore it first",
    "KeyTooLongError": "the key is too long",
    "InvalidURI": "the server takes no such key",
}
_CHANGED = {"PreconditionFailed", "412", "InvalidRange", "416"}
_DENIED = {"AccessDenied", "403"}


class BucketError(UsageError):
    """The recordings of a bucket cannot be had: no clip's own failure, so a run stops and leaves no failed rows."""


@dataclass(frozen=True)
class Copy:
    """A recording that was fetched.

    Attributes
    ----------
    path
        Where it lies; its name is the last part of the key.
    version
        Its ETag, in the quotes that belong to it.
    size_bytes
        How large it is.
    """

    path: Path
    version: str
    size_bytes: int


@contextlib.contextmanager
def local_copy(source: StoragePath, version: str | None = None) -> Iterator[Path]:
    """Give a recording as a file of this machine; one that is on this machine is given itself.

    Parameters
    ----------
    source
        Where it lies.
    version
        What the clip table says; content of another ETag is refused. Null, or no ETag: whatever lies there now.

    Raises
    ------
    DecodeError
        There is no such key, or no room for it on this machine.
    FileChanged
        The content is another than `version`, or changed while it was fetched.
    BucketError
        The bucket is not there, cannot be reached or lets nobody in.
    """
    if is_local(source):
        yield source
        return
    with _cache_of_process(os.getpid()).held(source, version) as path:
        yield path


def cached_copy(source: StoragePath, version: str | None = None) -> Path:
    """The same without an end: it is there until others are fetched. Arguments and errors of `local_copy`."""
    with local_copy(source, version) as path:
        return path


@contextlib.contextmanager
def temporary_copy(source: UPath) -> Iterator[Copy]:
    """Fetch a recording for once; errors of `local_copy`."""
    with tempfile.TemporaryDirectory(prefix="hubbub-") as folder:
        yield fetch(source, Path(folder))


def parse_etag(version: str | None) -> str | None:
    """The ETag that a version is, if it is one: text in quotes."""
    return version if version is not None and _ETAG.fullmatch(version) else None


def quote_etag(etag: str) -> str:
    """An ETag as HTTP writes it; some servers leave its quotes out in listings."""
    return etag if _ETAG.fullmatch(etag) else f'"{etag}"'


class CopyCache:
    """Copies of recordings in one folder, the oldest of which go when there are too many bytes."""

    def __init__(self, folder: Path, kept_bytes: int = CACHE_BYTES) -> None:
        self._folder, self._kept_bytes = folder, kept_bytes
        self._lock = threading.Lock()
        self._entries: OrderedDict[tuple[str, str | None], _Entry] = OrderedDict()

    @contextlib.contextmanager
    def held(self, source: UPath, version: str | None) -> Iterator[Path]:
        """Give a copy that stays while the context lasts; arguments and errors of `local_copy`."""
        what = (str(source), parse_etag(version))
        with self._lock:
            entry = self._entries.setdefault(what, _Entry())
            self._entries.move_to_end(what)
            entry.users += 1
        try:
            with entry.lock:
                if entry.copy is None or not _is_unchanged(entry.copy, source, version):
                    entry.copy = fetch(source, self._folder, version, make_room=self._make_room)
                path = entry.copy.path
            yield path
        finally:
            with self._lock:
                entry.users -= 1
            self._make_room(0)

    def _make_room(self, size_bytes: int) -> None:
        """Remove the oldest copies that nobody reads, until there is room for one more of this size."""
        with self._lock:
            held = sum(entry.copy.size_bytes for entry in self._entries.values() if entry.copy)
            for what, entry in list(self._entries.items()):
                too_much = held + size_bytes > self._kept_bytes
                if entry.users == 0 and (entry.copy is None or too_much):
                    del self._entries[what]
                    if entry.copy is not None:
                        held -= entry.copy.size_bytes
                        shutil.rmtree(entry.copy.path.parent, ignore_errors=True)


@dataclass
class _Entry:
    copy: Copy | None = None
    users: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


@lru_cache(maxsize=1)
def _cache_of_process(process: int) -> CopyCache:
    """The copies of this process, which go with it."""
    _sweep()
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        with contextlib.suppress(FileNotFoundError):
            # Held until the process ends, however it ends: what nobody holds, nobody reads.
            fcntl.flock(os.open(folder, os.O_RDONLY | os.O_CLOEXEC), fcntl.LOCK_SH)
            if folder.exists():  # else another process swept it before we held it
                Finalize(None, shutil.rmtree, args=(folder, True), exitpriority=0)
                return CopyCache(folder)


def _sweep() -> None:
    """Remove copies of processes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            held = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(held)


def fetch(
    source: UPath, folder: Path, version: str | None = None, *, make_room: Callable[[int], None] = lambda _: None
) -> Copy:
    """Fetch a recording into a new folder below `folder`.

    Parameters
    ----------
    make_room
        Called with the recording's bytes before they are written.

    Raises
    ------
    DecodeError, FileChanged, BucketError
        As `local_copy` says.
    """
    path = Path(tempfile.mkdtemp(dir=folder)) / _file_name(source.name)
    try:
        with explain_bucket_errors(source):
            etag, size_bytes, block = read_range(source, 0, parse_etag(version))
            make_room(size_bytes)
            _refuse_without_room(path, size_bytes)
            with open(path, "wb") as file:
                file.write(block)
                while (position := file.tell()) < size_bytes:
                    file.write(read_range(source, position, etag)[2])
        return Copy(path, etag, size_bytes)
    except BaseException:
        shutil.rmtree(path.parent, ignore_errors=True)
        raise


def _file_name(name: str) -> str:
    """A key's last part as a name that files may have."""
    short = name.encode(errors="surrogateescape")[-_LONGEST_NAME_BYTES:].decode(errors="ignore").replace("\0", "_")
    return f"{short}_" if short in ("", ".", "..") else short


def _refuse_without_room(path: Path, size_bytes: int) -> None:
    free = shutil.disk_usage(path.parent).free - _SPARE_BYTES
    if size_bytes > free:
        raise DecodeError(
            _describe_full_disk(path, f"{size_bytes / 2**20:.0f} MiB, and there is room for {max(0, free) >> 20}")
        )


def _describe_full_disk(path: Path, how: str) -> str:
    return f"{path.name} cannot be fetched to {tempfile.gettempdir()}: {how}; set TMPDIR to a larger disk"


def read_range(source: UPath, begin: int, etag: str | None, count: int | None = None) -> tuple[str, int, bytes]:
    """ETag and size of an object, and `count` bytes (`BLOCK_BYTES`) from `begin` on; tried again where they break off.

    Raises whatever the request does; `explain_bucket_errors` says it in words.
    """
    count = BLOCK_BYTES if count is None else count
    from s3fs.core import S3_RETRYABLE_ERRORS

    for attempt in range(REQUEST_ATTEMPTS):
        try:
            found, size_bytes, block = _request_range(source, begin, etag, count)
        except S3_RETRYABLE_ERRORS:
            if attempt == REQUEST_ATTEMPTS - 1:
                raise
        else:
            if etag is not None and found != etag:
                raise FileChanged("changed since it was indexed; index it again")
            if len(block) == min(count, size_bytes - begin):
                return found, size_bytes, block
        time.sleep(_NOT_YET_S * 2**attempt)
    raise BucketError(f"{source} cannot be read: the server sends fewer bytes than it says, {REQUEST_ATTEMPTS} times")


def _request_range(source: UPath, begin: int, etag: str | None, count: int) -> tuple[str, int, bytes]:
    """One request. The key goes there letter by letter: s3fs's own files would take ``?versionId=`` in it for more."""
    from fsspec.asyn import sync

    bucket, _, key = source.path.partition("/")
    only = {} if etag is None or etag.startswith("W/") else {"IfMatch": etag}
    span = f"bytes={begin}-{begin + count - 1}"
    try:
        answer = source.fs.call_s3("get_object", Bucket=bucket, Key=key, Range=span, **only)
    except OSError as error:
        if begin or _code(error) not in ("InvalidRange", "416"):
            raise
        answer = source.fs.call_s3("head_object", Bucket=bucket, Key=key)  # an empty object has no bytes to ask for
        return quote_etag(answer["ETag"]), int(answer["ContentLength"]), b""
    try:
        block = sync(source.fs.loop, answer["Body"].read)
    finally:
        answer["Body"].close()
    total = answer.get("ContentRange", "").rpartition("/")[2] or answer["ContentLength"]
    return quote_etag(answer["ETag"]), int(total), block


def _is_unchanged(copy: Copy, source: UPath, version: str | None) -> bool:
    """Whether a copy is what lies there; asked only where no version says it."""
    if parse_etag(version) is not None:
        return True
    bucket, _, key = source.path.partition("/")
    with explain_bucket_errors(source):
        return quote_etag(source.fs.call_s3("head_object", Bucket=bucket, Key=key)["ETag"]) == copy.version


@contextlib.contextmanager
def explain_bucket_errors(source: UPath) -> Iterator[None]:
    """Tell what is a clip's own failure from what would befall all clips of its bucket."""
    try:
        yield
    except (DecodeError, FileChanged, BucketError):
        raise
    except Exception as error:
        code, name = _code(error), source.name
        bucket, _, key = source.path.partition("/")
        if isinstance(error, OSError) and code is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DecodeError(_describe_full_disk(Path(name), error.strerror or "no room")) from None
        if code in _CHANGED:
            raise FileChanged("changed since it was indexed; index it again") from None
        if code in _OF_ONE_KEY:
            raise DecodeError(f"{name} cannot be opened ({_OF_ONE_KEY[code]}: {key} in bucket {bucket})") from None
        if code in _DENIED and _may_list(source):
            raise DecodeError(f"{name} cannot be opened (no permission for {key} in bucket {bucket})") from None
        raise BucketError(_describe_unreachable(source, error)) from None


def _describe_unreachable(source: UPath, error: Exception) -> str:
    bucket = source.path.partition("/")[0]
    if _code(error) == "NoSuchBucket":
        return f"cannot read {source}: there is no bucket {bucket}"
    hint = ""
    if _code(error) in _DENIED:
        hint = "; or there is no such key, which a server tells only to those who may list the bucket"
    return f"cannot read {source}: {explain_storage_error(error) or f'{type(error).__name__}: {error}'}{hint}"


def _may_list(source: UPath) -> bool:
    """Whether the bucket lets us in, so that a refusal is about one key."""
    bucket = source.path.partition("/")[0]
    try:
        source.fs.call_s3("list_objects_v2", Bucket=bucket, MaxKeys=1)
    except Exception:  # whatever it is, we were not let in
        return False
    return True


def _code(error: BaseException) -> str | None:
    """The code that an S3 server gave with its refusal."""
    for said in (error, error.__cause__, error.__context__):
        response: Any = getattr(said, "response", None)
        if isinstance(response, dict):
            return response.get("Error", {}).get("Code")
    return None
