"""Files of the exports: their names, and writing them."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator

import pandas as pd

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


def write_per_recording(
    events: pd.DataFrame, files: pd.DataFrame, *, suffix: str
) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield uri, file name and events of each recording, sorted by uri, those without events too."""
    with_events = {str(uri): own for uri, own in events.groupby("uri", sort=False)}
    names = recording_names(sorted({*files["uri"], *with_events}), suffix=suffix)
    for uri, name in names.items():
        yield uri, name, with_events.get(uri, events.iloc[:0])


def one_line(text: str) -> str:
    """Return text that fits a cell of a line: tabs, line ends and other control characters become spaces."""
    return _CONTROL.sub(" ", str(text))


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
