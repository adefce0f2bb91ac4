"""Make a clip table from listed clips: read each file's version, header and recorder's notes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from itertools import islice
from typing import Any

from hubbub.audio.decode import AudioInfo, read_audio_info
from hubbub.audio.recorders import HeaderNotes, RecordingFacts, describe_recording, read_header_notes
from hubbub.audio.remote_header import read_remote_header
from hubbub.clips.ids import ClipIds
from hubbub.clips.sources import Listing
from hubbub.clips.sources.template import StreamedClips
from hubbub.clips.table import ClipTable, clip_id, content_version, read_parts, resolve_uri
from hubbub.clips.table_parts import TableParts
from hubbub.errors import AudioError
from hubbub.io.paths import StoragePath, is_local

_LOCAL_THREADS = 2  # one waits for the disk while the other computes; more contend for the interpreter's lock
_BUCKET_THREADS = 8  # requests wait more than they compute
_AHEAD = 1000  # clips that are given to threads at once
MOST_LINES = 1000
"""Sentences of a kind that are kept; more say nothing new."""


@dataclass
class ProbeNotes:
    """What was odd about recordings while their headers were read.

    Attributes
    ----------
    unreadable
        A line for each clip whose header cannot be read, a thousand lines at most. Such clips stay in the table, with
        null duration, so that they end as failed rows and not in silence.
    n_unreadable
        How many such clips there are.
    timed, local
        Clips whose recorder tells when they begin: with a time zone, and without one.
    problems
        Sentences about times that cannot be, or disagree.
    """

    unreadable: list[str] = field(default_factory=list)
    n_unreadable: int = 0
    timed: int = 0
    local: int = 0
    problems: list[str] = field(default_factory=list)

    def add(self, uri: str, facts: RecordingFacts) -> None:
        """Count what a recorder tells of one clip."""
        self.timed += facts.recorded_at is not None
        self.local += facts.local_time is not None
        if facts.problem is not None and len(self.problems) < MOST_LINES:
            self.problems.append(f"{uri}: {facts.problem}")

    def add_unreadable(self, line: str) -> None:
        """Count a clip whose header cannot be read."""
        self.n_unreadable += 1
        if len(self.unreadable) < MOST_LINES:
            self.unreadable.append(line)

    def merge(self, other: ProbeNotes) -> None:
        """Add what recorders told of other recordings."""
        self.timed, self.local = self.timed + other.timed, self.local + other.local
        self.problems = (self.problems + other.problems)[:MOST_LINES]


def index_listing(
    listing: Listing,
    *,
    timezone: tzinfo | None = None,
    notes: ProbeNotes | None = None,
    on_clip: Callable[[], object] = lambda: None,
) -> tuple[ClipTable, list[str]]:
    """Probe every listed clip and make the table in memory.

    Parameters
    ----------
    listing, timezone, notes, on_clip
        As in `probe_parts`.

    Returns
    -------
    table, unreadable
        `unreadable`: see `ProbeNotes`.

    Raises
    ------
    ClipTableError
        For clips that break the contract of clip tables.
    BucketError
        When a bucket cannot be read at all.
    """
    notes = ProbeNotes() if notes is None else notes
    parts = TableParts(listing.root)
    probe_parts(listing, parts, timezone=timezone, notes=notes, on_clip=on_clip)
    return parts.make_table(), notes.unreadable


def probe_parts(
    listing: Listing,
    parts: TableParts,
    *,
    timezone: tzinfo | None = None,
    notes: ProbeNotes,
    on_clip: Callable[[], object] = lambda: None,
) -> None:
    """Probe every listed clip in threads of this process.

    Parameters
    ----------
    listing
        What a source reader found.
    parts
        Gets the clips, some at a time.
    timezone
        Of recorders whose names and headers tell none; None: unknown, such times are not used.
    notes
        Gets what was odd.
    on_clip
        Called after each clip.

    Raises
    ------
    ClipTableError
        For clips that break the contract of clip tables.
    BucketError
        When a bucket cannot be read at all.
    """

    def probe(clip: Mapping[str, Any]) -> tuple[dict[str, Any], str | None, RecordingFacts]:
        return probe_clip(clip, listing.root, timezone, has_recorder_names=listing.has_recorder_names)

    with ThreadPoolExecutor(_LOCAL_THREADS if is_local(listing.root) else _BUCKET_THREADS) as pool:
        for number, listed in enumerate(_take_parts(listing)):
            clips = []
            for clip, complaint, facts in pool.map(probe, listed):
                clips.append(clip)
                notes.add(clip["uri"], facts)
                if complaint is not None:
                    notes.add_unreadable(complaint)
                on_clip()
            parts.add(number, clips)


def _take_parts(listing: Listing) -> Iterator[list[dict[str, Any]]]:
    left = iter(listing.clips)
    while part := list(islice(left, _AHEAD)):
        yield part


def adopt_root(listing: Listing, table: StoragePath) -> Listing:
    """Give listed clips the root of a table that they are added to, where their uris mean the same below any root.

    Errors of `read_parts`.
    """
    root = next(read_parts(table)).root
    is_here = is_local(root) and is_local(listing.root)
    if all("://" in clip["uri"] or (is_here and clip["uri"].startswith("/")) for clip in listing.clips):
        return replace(listing, root=root)
    return listing


def leave_out_known(listing: Listing, known: ClipIds) -> Listing:
    """Leave clips out that a table has already."""

    def list_new() -> Iterator[dict[str, Any]]:
        for part in _take_parts(listing):
            is_known = known.contain([_clip_id(clip) for clip in part])
            yield from (clip for clip, there in zip(part, is_known, strict=True) if not there)

    return replace(listing, clips=StreamedClips(sum(1 for _ in list_new()), list_new))


def _clip_id(listed: Mapping[str, Any]) -> str:
    return clip_id(listed["uri"], listed.get("start_s"), listed.get("end_s"))


def probe_clip(
    listed: Mapping[str, Any],
    root: StoragePath,
    timezone: tzinfo | None = None,
    *,
    has_recorder_names: bool = True,
) -> tuple[dict[str, Any], str | None, RecordingFacts]:
    """Read the header of one listed clip.

    Parameters
    ----------
    listed
        As a source reader gives it.
    root
        What its uri is relative to.
    timezone
        As in `index_listing`.
    has_recorder_names
        As in `Listing`.

    Returns
    -------
    clip, complaint, facts
        The listed clip with what its header says; a line where it cannot be read, else None; what its recorder tells,
        of a recording that cannot be read by its name.

    Raises
    ------
    BucketError
        When a bucket cannot be read at all.
    """
    uri, info, notes, complaint = listed["uri"], None, None, None
    clip = {"clip_id": _clip_id(listed), **listed}
    try:
        info, notes = _read_header(resolve_uri(uri, root), clip)
    except (OSError, ValueError) as error:  # ValueError: a CSV may give names that no file has, with a null byte
        complaint = f"{uri}: {getattr(error, 'strerror', None) or error}"
    except AudioError as error:
        complaint = f"{uri}: {error}"
    facts = describe_recording(uri, notes, timezone) if has_recorder_names else RecordingFacts()
    if listed.get("recorded_at") is not None:
        facts = replace(facts, local_time=None)  # nobody has to say its zone
    return _describe(clip, info, facts), complaint, facts


def _read_header(source: StoragePath, clip: dict[str, Any]) -> tuple[AudioInfo, HeaderNotes]:
    """What a recording's header says; its version and size go into `clip`, whatever the header is like."""
    if is_local(source):
        stat = source.stat()
        clip |= {"version": content_version(stat), "size_bytes": stat.st_size}
        return read_audio_info(source), read_header_notes(source)
    header = read_remote_header(source)
    clip |= {"version": header.version, "size_bytes": header.size_bytes}
    if isinstance(header.info, AudioError):
        raise header.info
    return header.info, header.notes


def _describe(clip: dict[str, Any], info: AudioInfo | None, facts: RecordingFacts) -> dict[str, Any]:
    """Add what header and recorder tell to a clip; what its source tells has precedence."""
    told = facts.columns() | ({} if facts.recorded_at is None else {"recorded_at": facts.recorded_at})
    header = {} if info is None else vars(info)
    return {**clip, **{name: value for name, value in told.items() if name not in clip}, **header}
