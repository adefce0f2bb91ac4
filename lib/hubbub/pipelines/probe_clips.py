"""Read the headers of listed clips on an engine: what `hubbub.clips.index` does in threads of this process."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

from hubbub.clips.index import ProbeNotes
from hubbub.clips.sources import Listing
from hubbub.clips.table import resolve_uri
from hubbub.errors import RunStopped
from hubbub.io.paths import absolute_path, is_local
from hubbub.io.text import count_noun
from hubbub.pipelines.execution import run_units
from hubbub.pipelines.progress import Goal
from hubbub.pipelines.run_folder import Run, make_path_checks
from hubbub.tasks.probe import (
    CLIPS_A_UNIT,
    ProbeItem,
    ProbeResult,
    ProbeTask,
    add_nothing,
    group_listed,
    merge_probed,
)
from hubbub.tasks.result import UnitLost, UnitResult

_BUCKET_THREADS = 8  # of a worker; requests to a bucket wait more than they compute


def probe_listing(
    run: Run,
    listing: Listing,
    *,
    timezone: tzinfo | None = None,
    notes: ProbeNotes | None = None,
    clips_a_unit: int = CLIPS_A_UNIT,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Probe every listed clip on the engine of a run.

    Parameters
    ----------
    run
        Says where, and shows the progress.
    listing
        What a source reader found.
    timezone, notes
        As in `hubbub.clips.index.index_listing`.
    clips_a_unit
        Clips that a worker takes at once.

    Returns
    -------
    clips, unreadable
        One mapping a clip for `hubbub.clips.table.make_table`, in the order of the listing; and a line for each clip
        whose header cannot be read. Such clips stay, without a duration.

    Raises
    ------
    BucketError
        When a bucket cannot be read at all.
    RunStopped
        When Ctrl-C drained the run.
    """
    listed, root = listing.clips, absolute_path(listing.root)
    clips: list[dict[str, Any] | None] = [None] * len(listed)
    complaints: list[str | None] = [None] * len(listed)

    def convert(result: ProbeResult | UnitLost) -> UnitResult | UnitLost:
        first = result.unit * clips_a_unit
        part = listed[first : first + clips_a_unit]
        if isinstance(result, UnitLost):
            reason = f"could not be read: {result.reason}"
            pairs = [add_nothing(clip, reason) for clip in part]
        else:
            if notes is not None:
                notes.merge(result.notes)
            pairs = list(zip(merge_probed([ProbeItem(clip) for clip in part], result), result.complaints, strict=True))
        clips[first : first + len(part)] = [clip for clip, _ in pairs]
        complaints[first : first + len(part)] = [complaint for _, complaint in pairs]
        if isinstance(result, UnitLost):
            return result
        return UnitResult(**{name: getattr(result, name) for name in UnitResult.__dataclass_fields__})

    ends = [listed[at]["uri"] for at in (0, -1)] if listed else []
    run_units(
        run,
        "index",
        group_listed(listed, clips_a_unit=clips_a_unit),
        ProbeTask(root, 1 if is_local(root) else _BUCKET_THREADS, timezone),
        Goal(len(listed), -(-len(listed) // clips_a_unit), counted="clips"),
        path_checks=make_path_checks("the recordings", *(resolve_uri(uri, root) for uri in ends)),
        convert=convert,
    )
    if run.is_stopped:
        done = sum(clip is not None for clip in clips)
        raise RunStopped(f"stopped: {done} of {count_noun(len(listed), 'clip')} indexed; run it again")
    return [clip for clip in clips if clip is not None], [complaint for complaint in complaints if complaint]
