"""One unit of the check of a data set: decode some recordings whole, and say what each is like.

A recording is read once: its bytes are hashed just ahead of the decoder, so that the disk gives each of them once,
whatever the recording's length, and memory holds one block of samples.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hubbub.audio import decode
from hubbub.audio.levels import LevelMeter
from hubbub.audio.remote import local_copy
from hubbub.clips.table import has_changed, resolve_uri
from hubbub.errors import DecodeError, EmptyAudio, FileChanged, UsageError
from hubbub.io.paths import StoragePath, is_local
from hubbub.io.retry import retry_with_backoff
from hubbub.tasks.file_units import FileItem, FileUnit, count_items
from hubbub.tasks.item_observer import announce_items
from hubbub.tasks.result import UnitResult, describe_failure

FACT_SCHEMA = pa.schema(
    [
        pa.field("uri", pa.string(), nullable=False),
        # ok; missing; failed: cannot be decoded to its end; changed: no longer the file that was indexed; unchecked
        pa.field("status", pa.string(), nullable=False),
        ("error", pa.string()),
        ("size_bytes", pa.int64()),
        ("sample_rate", pa.int32()),
        ("channels", pa.int32()),
        ("duration_s", pa.float64()),  # as decoded
        ("lost_s", pa.float64()),  # what the header promises beyond that
        ("peak", pa.float32()),
        ("swing", pa.float32()),
        ("offset", pa.float32()),
        ("clipped_share", pa.float32()),
        ("bad_samples", pa.int64()),
        ("content_hash", pa.binary(16)),  # of the file's bytes
        ("audio_hash", pa.binary(16)),  # of rate, channels and samples: the same in WAV and in FLAC
    ]
)
"""Columns of the facts, one row a recording; `hubbub.audio.levels.Levels` says what the levels are."""

RECORDINGS_A_UNIT = 64
UNIT_BYTES = 16 * 2**20
"""A unit holds at most so many recordings, and no further one once it has so many bytes."""

_HASH_BYTES = 16  # of SHA-256, as in clip ids: no two of a thousand million recordings share them by chance
_READ_BYTES = 2**20
_LEAST_UNKNOWN_FRAMES = 2**40
"""Frames from which a header's length means unknown; 200 days at 48 kHz."""


@dataclass(frozen=True)
class CheckItem(FileItem):
    """One recording.

    Attributes
    ----------
    uri, version, size_bytes
        As the clip table has them; the last two may be null.
    """

    uri: str
    version: str | None
    size_bytes: int | None

    @property
    def bytes_to_read(self) -> int:
        """Size of the recording; 0 where that is unknown."""
        return self.size_bytes or 0


CheckUnit = FileUnit[CheckItem]
"""Some recordings."""


@dataclass(frozen=True)
class CheckResult(UnitResult):
    """One unit, checked.

    Attributes
    ----------
    facts
        Its recordings in the unit's order, columns as in `FACT_SCHEMA`.
    """

    facts: pa.RecordBatch = field(default_factory=lambda: pa.RecordBatch.from_pylist([], schema=FACT_SCHEMA))


@dataclass(frozen=True)
class CheckTask:
    """Checks units; plain data, so that any engine can send it anywhere.

    Attributes
    ----------
    root
        The folder that relative uris start from.
    """

    root: StoragePath

    def __call__(self, unit: CheckUnit) -> CheckResult:
        """Check the unit's recordings; each gives one row of facts, whatever becomes of it.

        Raises
        ------
        BucketError
            When a bucket of recordings cannot be read at all.
        """
        started = time.perf_counter()
        rows = [check_recording(item, self.root) for item in announce_items(unit.items)]
        return CheckResult(
            **count_items(unit, [(row["uri"], row["error"]) for row in rows if row["status"] != "ok"]),
            audio_s=sum(row.get("duration_s") or 0.0 for row in rows),
            bytes_read=sum(row.get("size_bytes") or 0 for row in rows),
            seconds={"check": time.perf_counter() - started},
            facts=pa.RecordBatch.from_pylist(rows, schema=FACT_SCHEMA),
        )


def group_recordings(items: Iterable[CheckItem]) -> Iterator[CheckUnit]:
    """Group recordings into units, in order."""
    held: list[CheckItem] = []
    index = size_bytes = 0
    for item in items:
        if held and (len(held) >= RECORDINGS_A_UNIT or size_bytes >= UNIT_BYTES):
            yield CheckUnit(index, tuple(held))
            held, index, size_bytes = [], index + 1, 0
        held.append(item)
        size_bytes += item.bytes_to_read
    if held:
        yield CheckUnit(index, tuple(held))


def check_recording(item: CheckItem, root: StoragePath) -> dict[str, Any]:
    """Decode one recording whole; return its row of facts.

    Raises
    ------
    BucketError
        When its bucket cannot be read at all.
    """
    row: dict[str, Any] = {"uri": item.uri, "size_bytes": item.size_bytes}
    if item.failure is not None:
        return row | {"status": "failed", "error": item.failure}
    source = resolve_uri(item.uri, root)
    try:
        found = retry_with_backoff(lambda: _read(item, source))
    except UsageError:  # a bucket that cannot be read: every other recording would fail as well
        raise
    except FileChanged as error:
        return row | {"status": "changed", "error": error.reason}
    except Exception as error:  # whatever a strange file makes a library raise costs that file alone
        return row | {"status": _status(source), "error": describe_failure(error)}
    if has_changed(source, item.version):
        found |= {"status": "changed", "error": FileChanged("changed since it was indexed; index it again").reason}
    return row | found


def _status(source: StoragePath) -> str:
    try:
        return "missing" if is_local(source) and not source.exists() else "failed"
    except (OSError, ValueError):  # a name that no file can have, with a null byte or too long a one
        return "missing"


def _read(item: CheckItem, source: StoragePath) -> dict[str, Any]:
    with local_copy(source, item.version) as path, decode.read_channels(path) as stream, _opened(path) as file:
        size_bytes = path.stat().st_size
        content, audio = (
            _ContentHash(file, size_bytes),
            hashlib.sha256(b"%d %d " % (stream.sample_rate, stream.channels)),
        )
        meter, frames = LevelMeter(stream.channels), 0
        # Ahead of the decoder by its share of the file: where they read, the disk is read once.
        for block in _hash_ahead(stream, content):
            frames += len(block)
            audio.update(np.ascontiguousarray(block).data)
            meter.add(block)
        if not frames:
            raise EmptyAudio(f"{path.name} holds no samples")
        return {
            "status": "ok",
            "size_bytes": size_bytes,
            "sample_rate": stream.sample_rate,
            "channels": stream.channels,
            "duration_s": frames / stream.sample_rate,
            "lost_s": _lost_frames(stream, frames) / stream.sample_rate,
            **vars(meter.levels()),
            "content_hash": content.digest(),
            "audio_hash": audio.digest()[:_HASH_BYTES],
        }


def _opened(path: Path) -> AbstractContextManager[BinaryIO]:
    try:
        return open(path, "rb", buffering=0)
    except OSError as error:
        raise DecodeError(f"{path.name} cannot be opened ({error.strerror})") from None


def _hash_ahead(stream: decode.ChannelStream, content: _ContentHash) -> Iterator[npt.NDArray[np.float32]]:
    is_known = 0 < stream.header_frames < _LEAST_UNKNOWN_FRAMES
    block_frames, frames = decode.BLOCK_VALUES // stream.channels, 0
    blocks = iter(stream.blocks)
    while True:
        content.read_to(min(1.0, (frames + block_frames) / stream.header_frames) if is_known else 0.0)
        block = next(blocks, None)
        if block is None:
            return
        yield block
        frames += len(block)


class _ContentHash:
    """SHA-256 of a file's bytes, read as far as asked."""

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self._file, self._size_bytes, self._hash, self._read = file, size_bytes, hashlib.sha256(), 0

    def read_to(self, share: float) -> None:
        """Read on to a share of the file, 0…1."""
        end = math.ceil(share * self._size_bytes)
        while self._read < end and (part := self._file.read(_READ_BYTES)):
            self._hash.update(part)
            self._read += len(part)

    def digest(self) -> bytes:
        """Read what is left, and return the hash of all."""
        self.read_to(1.0)
        return self._hash.digest()[:_HASH_BYTES]


def _lost_frames(stream: decode.ChannelStream, frames: int) -> float:
    """How many frames the header promises beyond those that were decoded."""
    if stream.lost_share:
        return frames * stream.lost_share / max(1e-9, 1 - stream.lost_share)
    return max(0.0, stream.header_frames - frames) if stream.header_frames < _LEAST_UNKNOWN_FRAMES else 0.0
