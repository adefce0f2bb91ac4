"""Listed clips to a clip table: each file's version, and what its header says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hubbub.audio.decode import probe
from hubbub.clips.sources import Listing
from hubbub.clips.table import ClipTable, clip_id, make_table, resolve, version_of
from hubbub.errors import AudioError

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
    """
    unreadable: list[str] = []
    clips: list[dict[str, Any]] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for clip, complaint in pool.map(lambda listed: _probed(listed, listing.root), listing.clips):
            clips.append(clip)
            unreadable += [complaint] if complaint else []
            on_clip()
    return make_table(clips, listing.root), unreadable


def _probed(listed: Mapping[str, Any], root: Path) -> tuple[dict[str, Any], str | None]:
    uri = listed["uri"]
    clip = {"clip_id": clip_id(uri, listed.get("start_s"), listed.get("end_s")), **listed}
    path = resolve(uri, root)
    try:
        stat = path.stat()
        clip |= {"version": version_of(stat), "size_bytes": stat.st_size}
        info = probe(path)
    except (OSError, ValueError) as error:  # ValueError: a CSV may give names that no file has, with a null byte
        return clip, f"{uri}: {getattr(error, 'strerror', None) or error}"
    except AudioError as error:
        return clip, f"{uri}: {error}"
    return clip | vars(info), None
