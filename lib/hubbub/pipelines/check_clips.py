"""Check a clip table and its recordings before training. What ``hubbub index --check`` does.

Training would be wrong, and the check fails, where

- a recording is missing, cannot be decoded to its end, holds samples that are no numbers, breaks off before the length
  of its header, has changed or has another length than indexed, or could not be checked;
- a segment begins after its recording's end;
- one stretch of one recording, or two recordings with the same samples, carry different labels;
- a group, a recording, or two recordings with the same samples lie in several folds, splits or groups, or could come to
  lie on two sides of a split that training draws (`check_leakage`);
- labels differ in case, blanks, hyphens or underscores only;
- some labelled clips have no fold or split while others have one, or have an unknown split.

All else is a warning: silent, clipped, very short and offset recordings, identical ones on one side of every split,
clips without labels, labels with few clips, segments that end late or overlap. Different sample rates and channels are
notes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from hubbub.clips.table import IS_EVENT, ClipTable, resolve_uri
from hubbub.errors import RunStopped, UsageError
from hubbub.io.paths import absolute_path
from hubbub.io.text import count_noun
from hubbub.pipelines.check_facts import describe_formats, find_poor, find_unreadable
from hubbub.pipelines.check_labels import (
    describe_balance,
    find_assignment_problems,
    find_label_problems,
    find_label_warnings,
    find_segment_problems,
)
from hubbub.pipelines.check_leakage import find_copies, find_shared_groups
from hubbub.pipelines.execution import run_units
from hubbub.pipelines.findings import Finding
from hubbub.pipelines.inputs import as_clips
from hubbub.pipelines.json_log import JsonLog
from hubbub.pipelines.label_bars import draw_label_bars
from hubbub.pipelines.progress import Goal
from hubbub.pipelines.quantities import format_duration, format_size
from hubbub.pipelines.reporting import Reporter, choose_reporter
from hubbub.pipelines.run_folder import ClusterOptions, Run, make_path_checks
from hubbub.pipelines.run_summary import RunSummary
from hubbub.tasks.check import FACT_SCHEMA, CheckItem, CheckResult, CheckTask, CheckUnit, group_recordings
from hubbub.tasks.result import UnitLost, UnitResult

if TYPE_CHECKING:
    from distributed import Client

    from hubbub.pipelines.inputs import PathLike

SHORTEST_S = 0.1
"""Recordings shorter than this are warned of, unless the caller gives another limit."""

_RECORDING_S = 0.0005  # to open one and to begin a decoder
_SAMPLES_A_SECOND = 20e6  # Ogg Vorbis on one core; WAV and FLAC are faster
_SAMPLE_RATE, _BYTES_A_SAMPLE = 44_100, 2  # of a recording whose header is unknown
_CLUSTER_WORTH_S = 8.0
"""Seconds of work from which a local cluster saves more time than its start takes."""


@dataclass(frozen=True)
class ClipCheck:
    """What a check found.

    Attributes
    ----------
    problems
        What would make training wrong; empty where it would be right.
    warnings
        What is worth a look.
    notes
        What is worth knowing.
    facts
        One row a recording, in the order of the clip table; columns as in `hubbub.tasks.check.FACT_SCHEMA`.
    labels
        Clips a label, the most frequent first.
    """

    problems: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    notes: tuple[Finding, ...]
    facts: pa.Table
    labels: pd.Series

    @property
    def is_ok(self) -> bool:
        """Whether nothing would make training wrong."""
        return not self.problems

    def __repr__(self) -> str:
        """Describe the check in one line."""
        found = f"{count_noun(len(self.problems), 'problem')}, {count_noun(len(self.warnings), 'warning')}"
        return f"<ClipCheck: {count_noun(len(self.facts), 'recording')}, {found}>"


def check_clips(
    clips: PathLike | ClipTable,
    *,
    shortest_s: float = SHORTEST_S,
    cluster: str | None = None,
    workers: int | None = None,
    client: Client | None = None,
    ship: bool = False,
    dry_run: bool = False,
    log_json: str | os.PathLike[str] | None = None,
    progress: bool = False,
    reporter: Reporter | None = None,
) -> ClipCheck | None:
    """Decode every recording of a clip table once, and say what would make training wrong.

    Parameters
    ----------
    clips
        A clip table, or the path of one.
    shortest_s
        Recordings shorter than this, s, are warned of.
    cluster, workers, client, ship
        Where to run (`ClusterOptions`); without any, in this process where little is to be read, else on a local
        cluster.
    dry_run
        Whether to show the plan only.
    log_json
        A file to which events are appended as JSON lines.
    progress, reporter
        Whether to print; what to print with.

    Returns
    -------
    ClipCheck, or None for a dry run.

    Raises
    ------
    ClipTableError
        The clip table cannot be read.
    UsageError
        `shortest_s` is no length; or a bucket cannot be read at all.
    RunStopped
        Ctrl-C drained the run: what was not decoded cannot be judged.
    """
    reporter = choose_reporter(reporter, progress=progress)
    options = ClusterOptions(cluster, workers, ship, client)
    options.check()
    if not 0 <= shortest_s < float("inf"):
        raise UsageError(f"shortest_s is {shortest_s}; expected seconds, 0 or more, such as {SHORTEST_S}")
    table = as_clips(clips)
    log = JsonLog(None if log_json is None else Path(log_json), "check", reporter.warn)
    plan = _plan(table)
    reporter.show_table("check: the plan", plan.describe())
    if dry_run:
        return None
    run = Run("check", _choose_cluster(options, plan), log, reporter)
    facts, summary = _gather_facts(run, plan)
    found = judge(table, facts, shortest_s=shortest_s)
    _report(found, table, summary, log, reporter)
    return found


@dataclass(frozen=True)
class _Plan:
    """The recordings of a clip table, each once: columns uri, version, size_bytes, duration_s."""

    table: ClipTable
    recordings: pa.Table
    work_s: float

    def units(self) -> Iterator[CheckUnit]:
        return group_recordings(
            CheckItem(row["uri"], row["version"], row["size_bytes"])
            for batch in self.recordings.to_batches(max_chunksize=4096)
            for row in batch.select(["uri", "version", "size_bytes"]).to_pylist()
        )

    def describe(self) -> dict[str, Any]:
        durations = pc.sum(self.recordings["duration_s"]).as_py() or 0.0
        size_bytes = pc.sum(self.recordings["size_bytes"]).as_py() or 0
        return {
            "clips": len(self.table),
            "recordings": len(self.recordings),
            "to decode": f"{format_size(size_bytes)}, {format_duration(durations)} of audio as indexed",
            "time": f"some {format_duration(self.work_s)} of one core",
        }


def _plan(table: ClipTable) -> _Plan:
    first = pa.array(np.flatnonzero(~table.rows["uri"].to_pandas().duplicated().to_numpy()))
    recordings = table.rows.select(["uri", "version", "size_bytes", "duration_s", "sample_rate", "channels"]).take(
        first
    )
    known = pc.multiply(recordings["duration_s"], pc.cast(recordings["sample_rate"], pa.float64()))
    samples = pc.multiply(known, pc.cast(recordings["channels"], pa.float64()))
    guessed = pc.divide(pc.cast(pc.fill_null(recordings["size_bytes"], 0), pa.float64()), _BYTES_A_SAMPLE)
    total = pc.sum(pc.coalesce(samples, guessed)).as_py() or 0.0
    return _Plan(table, recordings, len(recordings) * _RECORDING_S + total / _SAMPLES_A_SECOND)


def _choose_cluster(options: ClusterOptions, plan: _Plan) -> ClusterOptions:
    """Return the cluster that the caller names, else one that suits the work."""
    if options.cluster is not None or options.workers is not None or options.client is not None:
        return options
    return ClusterOptions("serial" if plan.work_s < _CLUSTER_WORTH_S else "local")


def _gather_facts(run: Run, plan: _Plan) -> tuple[pa.Table, RunSummary]:
    """Check every recording on an engine; return the facts in the order of the recordings.

    Raises
    ------
    RunStopped
        When Ctrl-C drained the run.
    """
    units, root = sum(1 for _ in plan.units()), absolute_path(plan.table.root)
    parts: dict[int, pa.RecordBatch] = {}

    def convert(result: CheckResult | UnitLost) -> UnitResult | UnitLost:
        if isinstance(result, UnitLost):
            return result
        parts[result.unit] = result.facts
        return UnitResult(**{name: getattr(result, name) for name in UnitResult.__dataclass_fields__})

    uris = plan.recordings["uri"]
    summary = run_units(
        run,
        "check",
        plan.units(),
        CheckTask(root),
        Goal(len(uris), units, counted="recordings"),
        path_checks=make_path_checks("the recordings", *(resolve_uri(uris[at].as_py(), root) for at in (0, -1))),
        convert=convert,
    )
    if run.is_stopped:
        done = sum(len(part) for part in parts.values())
        raise RunStopped(f"stopped: {done} of {count_noun(len(uris), 'recording')} checked; run it again")
    lost = {} if len(parts) == units else {unit.index: _unchecked(unit) for unit in plan.units()}
    return pa.Table.from_batches([parts.get(index, lost.get(index)) for index in range(units)], FACT_SCHEMA), summary


def _unchecked(unit: CheckUnit) -> pa.RecordBatch:
    """Facts of a unit that no worker finished."""
    rows = [{"uri": item.uri, "status": "unchecked", "error": "no worker finished its unit"} for item in unit.items]
    return pa.RecordBatch.from_pylist(rows, schema=FACT_SCHEMA)


def judge(table: ClipTable, facts: pa.Table, *, shortest_s: float = SHORTEST_S) -> ClipCheck:
    """Find what is wrong, from a clip table and the facts of its recordings.

    Parameters
    ----------
    table, facts
        The facts have one row for each recording of the table, as `CheckTask` makes them.
    shortest_s
        Recordings shorter than this, s, are warned of.
    """
    known = facts.select(["uri", "duration_s", "swing", "content_hash", "audio_hash"]).to_pandas()
    clips = _frame_clips(table, known)
    carried = table.rows["labels"].combine_chunks()
    pairs = pd.DataFrame({"label": pc.list_flatten(carried).to_pandas(), "clip": pc.list_parent_indices(carried)})
    pairs = pairs.drop_duplicates()
    pairs["fold"] = clips["fold"].to_numpy()[pairs["clip"].to_numpy()]
    copies_problems, copies_warnings = find_copies(clips, known)
    segment_problems, segment_warnings = find_segment_problems(clips)
    counts = pairs["label"].value_counts(sort=False).sort_index().sort_values(ascending=False, kind="stable")
    return ClipCheck(
        problems=(
            *find_unreadable(facts),
            *segment_problems,
            *find_shared_groups(clips),
            *copies_problems,
            *find_label_problems(pairs),
            *find_assignment_problems(clips),
        ),
        warnings=(
            *find_poor(facts, shortest_s),
            *copies_warnings,
            *segment_warnings,
            *find_label_warnings(pairs, clips),
        ),
        notes=tuple(describe_formats(facts)),
        facts=facts,
        labels=counts,
    )


def _frame_clips(table: ClipTable, facts: pd.DataFrame) -> pd.DataFrame:
    """The clip table as findings need it: no null in segments, labels as one text, lengths as indexed and decoded."""
    rows = table.rows
    clips = rows.select(["uri", "start_s", "end_s", "fold", "split", "group"]).to_pandas()
    clips["indexed_s"] = rows["duration_s"].to_pandas()
    clips["start_s"], clips["end_s"] = clips["start_s"].fillna(0.0), clips["end_s"].fillna(np.inf)
    clips["names"] = ["\n".join(sorted(set(names))) for names in rows["labels"].to_pylist()]
    has_events = IS_EVENT in rows.column_names and pa.types.is_boolean(rows[IS_EVENT].type)
    clips["is_event"] = rows[IS_EVENT].fill_null(False).to_pandas() if has_events else False
    clips["length_s"] = clips["uri"].map(facts.set_index("uri")["duration_s"])
    return clips


def _describe_outcome(check: ClipCheck) -> str:
    if not check.is_ok:
        return "training would be wrong"
    return "right for training" if len(check.labels) > 1 else "right for labelling"


def _report(check: ClipCheck, table: ClipTable, summary: RunSummary, log: JsonLog, reporter: Reporter) -> None:
    for line in draw_label_bars(check.labels):
        reporter.say(line)
    for kind, findings in (("problem", check.problems), ("warning", check.warnings), ("note", check.notes)):
        for one in findings:
            log.write(kind, kind=one.kind, count=one.count, text=str(one))
            (reporter.say if kind == "note" else reporter.warn)(f"{kind}: {one}")
    n_labelled = int((pc.list_value_length(table.rows["labels"]).to_numpy() > 0).sum())
    balance = (
        describe_balance(check.labels, len(table) - n_labelled) if len(check.labels) else "none; training needs labels"
    )
    reporter.show_table(
        f"check: {_describe_outcome(check)}",
        {
            "recordings": f"{len(check.facts)}, {format_duration(summary.audio_s)} of audio",
            "labels": balance,
            "problems": len(check.problems),
            "warnings": len(check.warnings),
            "time": format_duration(summary.wall_s),
        },
    )
    log.write("end", problems=len(check.problems), warnings=len(check.warnings), wall_s=round(summary.wall_s, 3))
