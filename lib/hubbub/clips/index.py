"""Make a clip table from listed clips: read each file's version and header."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hubbub.audio.decode import AudioInfo, read_audio_info
from hubbub.audio.remote import temporary_copy
from hubbub.clips.sources import Listing
from hubbub.clips.table import ClipTable, clip_id, content_version, make_table, resolve_uri
from hubbub.errors import AudioError
from hubbub.io.paths import StoragePath, is_local

_THREADS = 8  # headers are read from disk or network, which waits more than it computes


def index_listing(listing: Listing, *, on_clip: Callable[[], object] = lambda: None) -> tuple[ClipTable, list[str]]:
    """Probe every listed clip and make the table.

    Parameters
    ----------
    listing
        What a source reader found.
    on_clip
        Called after each clip.

    Returns
    -------
    table, unreadable
        `unreadable`: a line for each clip whose header cannot be read. Such clips stay in the table, with null
        duration, so that they end as failed rows and not in silence.

    Raises
    ------
    ClipTableError
        For clips that break the contract of clip tables.
    BucketError
        When a bucket cannot be read at all.
    """
    unreadable: list[str] = []
    clips: list[dict[str, Any]] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for clip, complaint in pool.map(lambda listed: _probe_clip(listed, listing.root), listing.clips):
            clips.append(clip)
            unreadable += [complaint] if complaint else []
            on_clip()
    return make_table(clips, listing.root), unreadable


def _probe_clip(listed: Mapping[str, Any], root: StoragePath) -> tuple[dict[str, Any], str | None]:
    uri = listed["uri"]
    clip = {"clip_id": clip_id(uri, listed.get("start_s"), listed.get("end_s")), **listed}
    source = resolve_uri(uri, root)
    try:
        info = _read_header(source, clip)
    except (OSError, ValueError) as error:  # ValueError: a CSV may give names that no file has, with a null byte
        return clip, f"{uri}: {getattr(error, 'strerror', None) or error}"
    except AudioError as error:
        return clip, f"{uri}: {error}"
    return clip | vars(info), None


def _read_header(source: StoragePath, clip: dict[str, Any]) -> AudioInfo:
    """What a recording's header says; its version and size go into `clip`, whatever the header is like."""
    if is_local(source):
        stat = source.stat()
        clip |= {"version": content_version(stat), "size_bytes": stat.st_size}
        return read_audio_info(source)
    with temporary_copy(source) as copy:
        clip |= {"version": copy.version, "size_bytes": copy.size_bytes}
        return read_audio_info(copy.path)
