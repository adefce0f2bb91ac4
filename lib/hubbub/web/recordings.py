"""Recordings as the page names them: no path of the disk, only what the tables hold."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from hubbub.audio.decode import AudioInfo, read_audio_info
from hubbub.audio.remote import cached_copy
from hubbub.clips.table import resolve_uri
from hubbub.errors import DecodeError, UsageError
from hubbub.io.paths import StoragePath, is_local
from hubbub.web.archive import Archive


@dataclass(frozen=True)
class Recording:
    """One recording of the tables.

    Attributes
    ----------
    file
        What the page calls it: 16 hex digits of a hash of its uri.
    uri
        As the tables have it.
    clips
        Its rows of `clips`, as dictionaries: the whole of it, or its segments.
    root
        What a relative uri starts at.
    """

    file: str
    uri: str
    clips: tuple[dict[str, Any], ...]
    root: StoragePath

    @property
    def version(self) -> str | None:
        """What tells changed content."""
        return self.clips[0]["version"]

    @cached_property
    def path(self) -> Path:
        """Where it lies on this machine; one in a bucket is fetched.

        Raises
        ------
        AudioError, UsageError
            It is not there, or its bucket cannot be reached.
        """
        place = resolve_uri(self.uri, self.root)
        if is_local(place) and not place.is_file():
            raise DecodeError(
                f"{self.uri} is not at {place.parent}: it moved or was removed; --root DIR says where the recordings "
                "lie now"
            )
        return cached_copy(place, self.version)

    @cached_property
    def info(self) -> AudioInfo:
        """Rate, channels and duration, from its header; errors of `path`."""
        return read_audio_info(self.path)

    @property
    def held_s(self) -> float:
        """Seconds up to which the tables know it; 0 where they know nothing."""
        ends = [(row["clip_start_s"] or 0.0) + (row["duration_s"] or 0.0) for row in self.clips]
        return max(ends, default=0.0)


def find_recording(archive: Archive, file: str, root: StoragePath | None) -> Recording:
    """Look up a recording by the name that the page has for it.

    Parameters
    ----------
    root
        Where the recordings lie now; None: where the tables say.

    Raises
    ------
    UsageError
        The tables hold no such recording.
    """
    rows = tuple(archive.ask_rows("SELECT * FROM clips WHERE file = ? ORDER BY coalesce(clip_start_s, 0)", [file]))
    if not rows:
        raise UsageError(f"the tables hold no recording {file[:32]!r}; expected one that the page lists")
    uri, held = rows[0]["uri"], archive.tables.root
    if root is not None:
        uri_path = PurePosixPath(uri)
        if uri_path.is_absolute() and is_local(held) and uri_path.is_relative_to(PurePosixPath(str(held))):
            return Recording(file, str(uri_path.relative_to(str(held))), rows, root)
    return Recording(file, uri, rows, held if root is None else root)
