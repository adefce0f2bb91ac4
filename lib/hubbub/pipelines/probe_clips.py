"""Read the headers of listed clips on an engine: what `hubbub.clips.index` does in threads of this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import tzinfo
from itertools import islice
from operator import itemgetter

from hubbub.clips.index import MOST_LINES, ProbeNotes
from hubbub.clips.sources import Listing
from hubbub.clips.table import resolve_uri
from hubbub.clips.table_parts import TableParts
from hubbub.errors import RunStopped
from hubbub.io.paths import absolute_path, is_local
from hubbub.io.text import count_noun
from hubbub.pipelines.execution import run_units
from hubbub.pipelines.progress import Goal
from hubbub.pipelines.run_folder import Run, make_path_checks
from hubbub.tasks.probe import (
    CLIPS_A_UNIT,
    ProbeResult,
    ProbeTask,
    ProbeUnit,
    add_nothing,
    group_listed,
    merge_probed,
)
from hubbub.tasks.result import UnitLost, UnitResult

_BUCKET_THREADS = 8  # of a worker; requests to a bucket wait more than they compute


def probe_listing(
    run: Run,
    listing: Listing,
    parts: TableParts,
    *,
    timezone: tzinfo | None = None,
    notes: ProbeNotes,
    clips_a_unit: int = CLIPS_A_UNIT,
) -> None:
    """Probe every listed clip on the engine of a run.

    Parameters
    ----------
    run
        Says where, and shows the progress.
    listing, parts, timezone, notes
        As in `hubbub.clips.index.probe_parts`.
    clips_a_unit
        Clips that a worker takes at once.

    Raises
    ------
    BucketError
        When a bucket cannot be read at all.
    ClipTableError
        For clips that break the contract of clip tables.
    RunStopped
        When Ctrl-C drained the run.
    """
    n_clips, root = len(listing.clips), absolute_path(listing.root)
    in_flight: dict[int, ProbeUnit] = {}
    unreadable: list[tuple[int, str]] = []  # with the number of the unit, since units end in any order

    def take_units() -> Iterator[ProbeUnit]:
        for unit in group_listed(listing.clips, clips_a_unit=clips_a_unit):
            in_flight[unit.index] = unit
            yield unit

    def convert(result: ProbeResult | UnitLost) -> UnitResult | UnitLost:
        unit = in_flight.pop(result.unit)
        if isinstance(result, UnitLost):
            reason = f"could not be read: {result.reason}"
            pairs = [add_nothing(item.listed, reason) for item in unit.items]
        else:
            notes.merge(result.notes)
            pairs = list(zip(merge_probed(unit.items, result), result.complaints, strict=True))
        parts.add(unit.index, [clip for clip, _ in pairs])
        lines = [(unit.index, complaint) for _, complaint in pairs if complaint is not None]
        unreadable.extend(lines[: MOST_LINES - len(unreadable)])
        notes.n_unreadable += len(lines)
        if isinstance(result, UnitLost):
            return result
        return UnitResult(**{name: getattr(result, name) for name in UnitResult.__dataclass_fields__})

    before = parts.summary.clips
    run_units(
        run,
        "index",
        take_units(),
        ProbeTask(root, 1 if is_local(root) else _BUCKET_THREADS, timezone, listing.has_recorder_names),
        Goal(n_clips, -(-n_clips // clips_a_unit), counted="clips"),
        path_checks=make_path_checks("the recordings", *(resolve_uri(uri, root) for uri in _find_ends(listing))),
        convert=convert,
    )
    notes.unreadable += [line for _, line in sorted(unreadable, key=itemgetter(0))]
    if run.is_stopped:
        done = parts.summary.clips - before
        raise RunStopped(f"stopped: {done} of {count_noun(n_clips, 'clip')} indexed; run it again")


def _find_ends(listing: Listing) -> list[str]:
    """Uris of the first clip and the last."""
    first = [clip["uri"] for clip in islice(listing.clips, 1)]
    return first + [clip["uri"] for clip in deque(listing.clips, maxlen=1)]
