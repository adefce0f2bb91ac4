"""One unit of `index` on a cluster: read the headers of some thousand listed clips."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import tzinfo
from itertools import count, islice
from typing import Any, ClassVar

from hubbub.audio.recorders import RecordingFacts
from hubbub.clips.index import ProbeNotes, probe_clip
from hubbub.clips.table import clip_id
from hubbub.errors import UsageError
from hubbub.io.paths import StoragePath
from hubbub.tasks.file_units import FileItem, FileUnit, count_items
from hubbub.tasks.item_observer import announce_items, is_observed
from hubbub.tasks.result import UnitResult, describe_failure

CLIPS_A_UNIT = 1000

Probed = tuple[dict[str, Any], str | None]
"""A listed clip with what its header says, and a line about it where it cannot be read."""


@dataclass(frozen=True)
class ProbeItem(FileItem):
    """One listed clip.

    Attributes
    ----------
    listed
        As a source reader gives it: uri, labels and more.
    """

    listed: Mapping[str, Any]
    time_limit_windows: ClassVar[int] = 40
    """Ten seconds, since the length of some files is counted by decoding them."""

    @property
    def bytes_to_read(self) -> int:
        """Size of the recording; 0 where that is unknown."""
        return self.listed.get("size_bytes") or 0


ProbeUnit = FileUnit[ProbeItem]
"""Some listed clips."""


@dataclass(frozen=True)
class ProbeResult(UnitResult):
    """One unit, probed.

    Attributes
    ----------
    columns
        What the headers add to the listed clips, one value a clip in the unit's order: clip_id, version, size_bytes,
        duration_s, sample_rate, channels. None: nothing is added.
    complaints
        A line for each clip that cannot be read; None for others.
    notes
        What recorders tell.
    """

    columns: dict[str, list[Any]] = field(default_factory=dict)
    complaints: tuple[str | None, ...] = ()
    notes: ProbeNotes = field(default_factory=ProbeNotes)


@dataclass(frozen=True)
class ProbeTask:
    """Probes units; plain data, so that any engine can send it anywhere.

    Attributes
    ----------
    root
        The folder that relative uris start from.
    threads
        Clips that are read at once: more than one where each takes a request to a bucket.
    timezone
        Of recorders whose names and headers tell none; None: unknown.
    has_recorder_names
        As in `Listing`.
    """

    root: StoragePath
    threads: int = 1
    timezone: tzinfo | None = None
    has_recorder_names: bool = True

    def __call__(self, unit: ProbeUnit) -> ProbeResult:
        """Probe the unit's clips; one that cannot be read stays, with a complaint.

        Raises
        ------
        BucketError
            When a bucket cannot be read at all.
        """
        started = time.perf_counter()
        found, notes = list(self._probe_all(unit.items)), ProbeNotes()
        for clip, _, facts in found:
            notes.add(clip["uri"], facts)
        return ProbeResult(
            **count_items(unit, [(clip["uri"], complaint) for clip, complaint, _ in found if complaint is not None]),
            audio_s=0.0,
            bytes_read=0,
            seconds={"probe": time.perf_counter() - started},
            columns=_find_added(unit.items, [clip for clip, _, _ in found]),
            complaints=tuple(complaint for _, complaint, _ in found),
            notes=notes,
        )

    def _probe_all(self, items: Sequence[ProbeItem]) -> Iterator[tuple[dict[str, Any], str | None, RecordingFacts]]:
        if self.threads == 1 or is_observed():
            yield from map(self._probe, announce_items(items))
            return
        with ThreadPoolExecutor(self.threads) as pool:
            yield from pool.map(self._probe, items)

    def _probe(self, item: ProbeItem) -> tuple[dict[str, Any], str | None, RecordingFacts]:
        listed = item.listed
        if item.failure is None:
            try:
                return probe_clip(listed, self.root, self.timezone, has_recorder_names=self.has_recorder_names)
            except UsageError:  # a bucket that cannot be read: all other clips would fail as well
                raise
            except Exception as error:  # whatever a strange file makes a library raise costs that file alone
                return *add_nothing(listed, describe_failure(error)), RecordingFacts()
        return *add_nothing(listed, item.failure), RecordingFacts()


def add_nothing(listed: Mapping[str, Any], reason: str) -> Probed:
    """Return a listed clip whose header nobody could read."""
    uri = listed["uri"]
    return {"clip_id": clip_id(uri, listed.get("start_s"), listed.get("end_s")), **listed}, f"{uri}: {reason}"


def group_listed(clips: Iterable[Mapping[str, Any]], *, clips_a_unit: int = CLIPS_A_UNIT) -> Iterator[ProbeUnit]:
    """Group listed clips into units, in order."""
    left = iter(clips)
    for index in count():
        items = tuple(ProbeItem(listed) for listed in islice(left, clips_a_unit))
        if not items:
            return
        yield ProbeUnit(index, items)


def merge_probed(items: Sequence[ProbeItem], result: ProbeResult) -> list[dict[str, Any]]:
    """Return the listed clips of a unit with what their headers add."""
    clips = [dict(item.listed) for item in items]
    for name, values in result.columns.items():
        for clip, value in zip(clips, values, strict=True):
            if value is not None:
                clip[name] = value
    return clips


def _find_added(items: Sequence[ProbeItem], clips: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """What clips have that was not listed, by columns: the rest the driver has already."""
    columns: dict[str, list[Any]] = {}
    for number, (item, clip) in enumerate(zip(items, clips, strict=True)):
        for name, value in clip.items():
            if value is not None and item.listed.get(name) != value:
                columns.setdefault(name, [None] * len(clips))[number] = value
    return columns
