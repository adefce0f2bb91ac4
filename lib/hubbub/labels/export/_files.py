"""Files of the exports: their names, and writing them."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hubbub.io.atomic import atomic_write, write_text
from hubbub.io.paths import StoragePath
from hubbub.labels.export._source import ExportSource

ROWS_AT_ONCE = 20_000
"""Rows of a table that are text at once."""

_RECORDINGS_AT_ONCE = 256  # whose texts are held
_WRITES_AT_ONCE = 8  # a disk and a bucket are waited for, one file at a time else

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# What Windows forbids in names, and control characters.
_UNSAFE = re.compile(rf'[<>:"|?*\\]|{_CONTROL.pattern}')
_LONGEST_BYTES = 120


def recording_names(uris: Iterable[str], *, suffix: str) -> dict[str, str]:
    """Give each recording a file name of its own, relative to the folder of the export.

    Folders are kept, and the recording's extension, so ``site/a.wav`` and ``site/a.flac`` both find their
    place; a name that is no plain path (``..``, ``s3://…``, characters that some file systems refuse), or
    that differs from another only by case, gets eight digits of the uri's hash. So names stay the same
    when an archive grows.

    Parameters
    ----------
    uris
        Paths or URLs; doubles are given once.
    suffix
        Added to each name, with its point; no uri's folder can be mistaken for a file with it.
    """
    plain = {uri: _plain(uri, suffix) for uri in uris}
    taken = Counter(_as_seen(name) for name, _ in plain.values())
    return {
        uri: name + (f"-{_digits(uri)}" if altered or taken[_as_seen(name)] > 1 else "") + suffix
        for uri, (name, altered) in plain.items()
    }


@dataclass(frozen=True)
class Recording:
    """A recording with its events.

    Attributes
    ----------
    uri
        As in the tables.
    events
        Its events, sorted by onset; no rows where nothing was found.
    duration_s, sample_rate
        Seconds, Hz; None where they are not known.
    """

    uri: str
    events: pd.DataFrame
    duration_s: float | None
    sample_rate: float | None


def iterate_recordings(source: ExportSource) -> Iterator[Recording]:
    """Yield the recordings that were analysed or have events, sorted by uri; those without events, too."""
    uris = source.events["uri"].to_numpy(object)
    starts = np.flatnonzero(np.append(True, uris[1:] != uris[:-1])) if len(uris) else np.empty(0, np.int64)
    ends = np.append(starts[1:], len(uris)) if len(starts) else starts
    spans = {str(uris[begin]): (int(begin), int(end)) for begin, end in zip(starts, ends, strict=True)}
    known = source.recordings.reindex(columns=["uri", "duration_s", "sample_rate"])
    told = {
        str(uri): (_known(duration_s), _known(rate))
        for uri, duration_s, rate in known.itertuples(index=False, name=None)
    }
    for uri in sorted({*told, *spans}):
        begin, end = spans.get(uri, (0, 0))
        yield Recording(uri, source.events.iloc[begin:end], *told.get(uri, (None, None)))


def write_each(
    source: ExportSource, folder: StoragePath, suffix: str, make: Callable[[Recording], str]
) -> list[StoragePath]:
    """Write the text that `make` returns for each recording; return the files, sorted by the recordings' uri."""
    uris = sorted({*map(str, source.recordings["uri"]), *map(str, source.events["uri"].unique())})
    names = recording_names(uris, suffix=suffix)
    paths: list[StoragePath] = []
    recordings = iterate_recordings(source)
    with (
        source.show_progress("export", len(uris), "recordings") as advance,
        ThreadPoolExecutor(_WRITES_AT_ONCE) as pool,
    ):
        while some := list(itertools.islice(recordings, _RECORDINGS_AT_ONCE)):
            texts = [make(recording) for recording in some]
            paths += pool.map(write_text, [folder / names[recording.uri] for recording in some], texts)
            advance(len(some))
    return paths


def write_parts(path: StoragePath, parts: Iterable[str]) -> StoragePath:
    """Write text part by part, whole or not at all; errors of `atomic_write`."""
    with atomic_write(path) as partial, open(partial, "w", encoding="utf-8", newline="") as file:
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())
    return path


def split_rows(
    source: ExportSource, table: pd.DataFrame, unit: str, *, at_once: int = ROWS_AT_ONCE
) -> Iterator[pd.DataFrame]:
    """Yield a table some rows at a time, with progress; one part without rows where it has none."""
    with source.show_progress("export", len(table), unit) as advance:
        for begin in range(0, max(1, len(table)), at_once):
            part = table.iloc[begin : begin + at_once]
            yield part
            advance(len(part))


def one_line(text: str) -> str:
    """Return text that fits a cell of a line: tabs, line ends and other control characters become spaces."""
    return _CONTROL.sub(" ", str(text))


def _known(value: float) -> float | None:
    return None if pd.isna(value) else float(value)


def _plain(uri: str, suffix: str) -> tuple[str, bool]:
    """Return the uri as a path of safe parts, and whether it differs from the uri."""
    parts = [_part(part) for part in uri.split("/")]
    *folders, last = [part for part in parts if part] or ["_"]
    # A folder 'a.labels.txt' would lie where the file of recording 'a' goes.
    folders = [part.replace(".", "_") if suffix.lower() in part.lower() else part for part in folders]
    name = "/".join([*folders, last])
    return name, name != uri


def _part(part: str) -> str:
    safe = _UNSAFE.sub("_", part).rstrip(". ")
    return safe.encode()[:_LONGEST_BYTES].decode(errors="ignore").rstrip(". ")


def _as_seen(name: str) -> str:
    """Return what a file system that ignores case and Unicode forms takes for the name."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _digits(uri: str) -> str:
    return hashlib.sha256(uri.encode()).hexdigest()[:8]
