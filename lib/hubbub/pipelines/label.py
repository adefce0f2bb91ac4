"""Label recordings of any length: read, plan, run, settle. What ``hubbub label`` does."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubbub.clips.table import ClipTable
from hubbub.config import Settings, canonical_hash, parse_settings
from hubbub.errors import BundleError, LabelsError, UsageError
from hubbub.io.lock import write_lock
from hubbub.io.paths import StoragePath, absolute_path
from hubbub.labels.events import EventRule
from hubbub.labels.frames import FrameScores
from hubbub.labels.run_check import require_run
from hubbub.labels.tables import (
    LabelTables,
    check_labels_path,
    create_labels,
    is_labels,
    open_labels,
)
from hubbub.models.bundle import Bundle
from hubbub.models.foreign import ForeignModel
from hubbub.models.frames import FrameLayout
from hubbub.models.heads import is_head
from hubbub.models.opening import check_model, choose_runtime, list_needs, read_description
from hubbub.models.precision import PRECISIONS
from hubbub.models.stream import StreamLayout
from hubbub.pipelines.event_rules import RuleChanges, make_rules
from hubbub.pipelines.execution import check_recordings, describe_plan, report_result, run_units
from hubbub.pipelines.inputs import as_model_path, as_path
from hubbub.pipelines.json_log import JsonLog
from hubbub.pipelines.progress import Goal
from hubbub.pipelines.recordings import read_recordings
from hubbub.pipelines.reporting import Reporter, choose_reporter
from hubbub.pipelines.run_folder import ClusterOptions, Run, open_run
from hubbub.pipelines.run_summary import RunSummary
from hubbub.planning.plan import Plan, plan_labels
from hubbub.planning.units import split_into_segments
from hubbub.tasks.result import UnitLost, UnitResult
from hubbub.tasks.segments import describe_segment

if TYPE_CHECKING:
    from distributed import Client

    from hubbub.pipelines.inputs import PathLike


MOST_COUNTED = 40
"""Labels whose events are counted on the screen, those with the most."""


@dataclass(frozen=True)
class LabelResult:
    """A run over recordings.

    Attributes
    ----------
    labels
        The label tables; None after a dry run that found none.
    plan
        What was to do.
    clips, ok, failed
        Of all recordings, as the label tables have them now.
    is_stopped
        Whether Ctrl-C drained the run before it was done.
    """

    labels: LabelTables | None
    plan: Plan
    clips: int = 0
    ok: int = 0
    failed: int = 0
    is_stopped: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether every recording is labelled."""
        return self.ok == self.clips


def label(
    source: PathLike | ClipTable,
    bundle: PathLike | Bundle | ForeignModel,
    out: PathLike,
    *,
    hop_s: float | None = None,
    thresholds: float | Mapping[str, float] | Sequence[str] | None = None,
    release: float | None = None,
    min_duration_s: float | None = None,
    merge_gap_s: float | None = None,
    precision: str | None = None,
    cluster: str | None = None,
    workers: int | None = None,
    client: Client | None = None,
    ship: bool = False,
    retry_failed: bool = False,
    dry_run: bool = False,
    log_json: str | os.PathLike[str] | None = None,
    progress: bool = False,
    reporter: Reporter | None = None,
) -> LabelResult:
    """Label recordings; see `hubbub.label`, which returns the label tables alone."""
    reporter = choose_reporter(reporter, progress=progress)
    options = ClusterOptions(cluster, workers, ship, client)
    options.check()
    model, output = as_model_path(bundle), as_path(out, "out")
    recordings = source if isinstance(source, ClipTable) else as_path(source, "source")
    check_labels_path(output)
    log = JsonLog(None if log_json is None else Path(log_json), "label", reporter.warn)
    changes = RuleChanges(thresholds, release, min_duration_s, merge_gap_s)
    run = _prepare_run(recordings, model, output, hop_s, precision, changes, reporter, retry_failed=retry_failed)
    reporter.show_table("label: the plan", _describe(run))
    if dry_run:
        return LabelResult(run.tables, run.plan)
    with write_lock(output, "label", notice=reporter.warn):
        _refuse_other_writer(run)
        return _run(run, recordings, options, log, reporter)


@dataclass(frozen=True)
class _LabelRun:
    """A planned run.

    Attributes
    ----------
    tables
        None where they are to be created.
    document
        Entries of run.json that a later run must share.
    made_by
        More entries: `activation` of the scores; `model_rules`, a hash of the model's own event rules; of a model of
        others `model`, with its kind and file; of a head `needs`, packages of workers.
    """

    table: ClipTable
    model: StoragePath
    output: StoragePath
    tables: LabelTables | None
    document: dict[str, Any]
    settings: Settings
    chosen: Grid
    plan: Plan
    committed: list[int]
    made_by: dict[str, Any]


def _prepare_run(
    source: StoragePath | ClipTable,
    model: StoragePath,
    output: StoragePath,
    hop_s: float | None,
    precision: str | None,
    changes: RuleChanges,
    reporter: Reporter,
    *,
    retry_failed: bool,
) -> _LabelRun:
    """Read the model, and the label tables where there are some, and plan the run."""
    description = read_description(model)
    settings = parse_settings(description["settings"], where=str(model))
    if not description["labels"]:
        raise BundleError(f"{model} gives embeddings and no scores; train a head on them: hubbub embed, hubbub train")
    check_model(model)
    tables = open_labels(output) if is_labels(output) else None
    _check_precision(precision, description, settings)
    chosen = choose_grid(hop_s, tables, settings, description, precision)
    before = make_rules(description) if tables is None else tables.rules
    table = source if isinstance(source, ClipTable) else read_recordings(source, reporter)
    document = make_document(description, chosen, changes.apply(before), str(table.root))
    if chosen.runtime is not None or (tables is not None and "runtime" in tables.run):
        document["runtime"] = chosen.runtime
    own_rules = canonical_hash({name: rule.to_dict() for name, rule in make_rules(description).items()})
    if tables is not None:
        require_run(tables, document)
        if tables.run.get("model_rules") not in (None, own_rules):
            reporter.warn(
                f"{model} has other thresholds or event rules than when {output} was begun, which keeps its own; to "
                f"find events by others: hubbub events {output} --threshold …"
            )
    files, committed = (tables.files(), tables.committed()) if tables else (None, [])
    plan = plan_labels(table, settings, chosen.hop_s, files, committed, retry_failed=retry_failed, **chosen.stream)
    made_by: dict[str, Any] = {"activation": description.get("activation"), "model_rules": own_rules}
    if "kind" in description:
        made_by |= {"model": {name: description[name] for name in ("kind", "file")}}
    elif is_head(settings):
        made_by |= {"needs": list_needs(model)}
    return _LabelRun(table, model, output, tables, document, settings, chosen, plan, committed, made_by)


@dataclass(frozen=True)
class Grid:
    """What is scored and stored: windows at a hop, or the chunks of a stream.

    Attributes
    ----------
    window_s, hop_s
        As run.json has them.
    stream
        Of a stream, `chunks` and `block_samples` as `plan_labels` takes them.
    frames
        What run.json says of a stream's frames.
    runtime
        What computes a bundle of windows, where that was asked for.
    """

    window_s: float
    hop_s: float
    stream: dict[str, Any] = field(default_factory=dict)
    frames: dict[str, Any] | None = None
    runtime: str | None = None


def _check_precision(precision: str | None, description: dict[str, Any], settings: Settings) -> None:
    if precision not in (None, *PRECISIONS):
        raise UsageError(f"--precision {precision}: expected {' or '.join(PRECISIONS)}")
    if precision not in (None, "float32") and ("kind" in description or is_head(settings)):
        what = "model of others, which computes as its file says" if "kind" in description else "head on embeddings"
        raise UsageError(f"--precision {precision}: {description['model']} is a {what}; leave --precision out")


def choose_grid(
    hop_s: float | None,
    tables: LabelTables | None,
    settings: Settings,
    description: dict[str, Any],
    precision: str | None,
) -> Grid:
    """Choose what is scored and stored; `tables` are those that grow, or None.

    Raises
    ------
    UsageError
        For a hop that does not fit the model.
    """
    held = description.get("frames")
    if held is None:
        chosen_s = _choose_hop_s(hop_s, tables, settings, description.get("hop_s"))
        before = None if tables is None else tables.run.get("runtime")
        asked = None if precision in (None, "float32") else choose_runtime(description, precision)
        return Grid(description["window_s"], chosen_s, runtime=before if precision is None else asked)
    layout = StreamLayout.of(settings, FrameLayout(**held))
    if hop_s is not None:
        raise UsageError(
            f"--hop {hop_s:g}: a {description['model']} model hears recordings in a stream and scores every "
            f"{layout.frame_s:.3g} s; leave --hop out"
        )
    chunk_s = layout.chunk_samples / layout.sample_rate
    if tables is not None and precision is None:
        runtime = tables.run["frames"]["runtime"]
    else:
        runtime = choose_runtime(description, precision or "float32")
    scores = FrameScores(layout.scores_each, layout.frame_s)
    frames = asdict(scores) | {"layout": held, "runtime": runtime}
    stream = {"chunks": layout.chunk_grid, "block_samples": layout.block_grid.window}
    return Grid(chunk_s, chunk_s, stream, frames)


def _choose_hop_s(given: float | None, tables: LabelTables | None, settings: Settings, models: float | None) -> float:
    """Return the given hop, else that of the label tables, else what a model's YAML file says, else a fifth."""
    window_s = settings.windows.input_s
    before = None if tables is None else tables.run["hop_s"]
    hop_s = given if given is not None else before or models or window_s / 5
    if not 0 < hop_s <= window_s:
        raise UsageError(f"--hop {hop_s:g}: expected more than 0 and at most the model's window, {window_s:g} s")
    return hop_s


def make_document(description: dict[str, Any], chosen: Grid, rules: dict[str, EventRule], root: str) -> dict[str, Any]:
    """Make the entries of run.json that a later run must share."""
    return {
        "model_hash": description["model_hash"],
        "settings_hash": description["settings_hash"],
        "settings": description["settings"],
        "labels": description["labels"],
        "window_s": chosen.window_s,
        "hop_s": chosen.hop_s,
        **({} if chosen.frames is None else {"frames": chosen.frames}),
        "rules": {name: rule.to_dict() for name, rule in rules.items()},
        "root": root,
    }


def _refuse_other_writer(run: _LabelRun) -> None:
    if (open_labels(run.output).committed() if is_labels(run.output) else []) != run.committed:
        raise LabelsError(f"{run.output} has just been written to by another run; run the same command again")


def _run(
    run: _LabelRun,
    source: StoragePath | ClipTable,
    options: ClusterOptions,
    log: JsonLog,
    reporter: Reporter,
) -> LabelResult:
    """Create the label tables where there are none, label what is missing, and settle."""
    named = source if not isinstance(source, ClipTable) else source.source or "CLIPS"
    hop = "" if run.chosen.frames else f" --hop {run.chosen.hop_s:g}"
    command = f"hubbub label {named} --model {run.model}{hop}"
    made_by = {"command": command, "bundle": str(run.model)} | run.made_by
    tables = run.tables or create_labels(run.output, run.document | made_by)
    if not len(run.plan):
        return _settle(run, tables, Run("label", options, log, reporter), RunSummary())
    with open_run("label", options, log, reporter, output=run.output, plan=_describe(run)) as this:
        tables = tables.begin(run.plan.clips)
        summary = _label_missing(run, tables, this)
        counts = sorted(summary.event_counts.items(), key=lambda item: -item[1])
        found = ", ".join(f"{name} {count}" for name, count in counts[:MOST_COUNTED])
        found += f", … {len(counts)} labels in all" if len(counts) > MOST_COUNTED else ""
        reporter.say(f"events: {found or 'none above the thresholds'}")
        return _settle(run, tables, this, summary)


def _describe(run: _LabelRun) -> dict[str, Any]:
    """The plan, and what its scores take: a byte a frame and label, or float16 a window and label."""
    chosen, labels = run.chosen, len(run.document["labels"])
    if chosen.frames is None:
        a_window = 2 * labels
        when = f"windows of {chosen.window_s:g} s every {chosen.hop_s:g} s"
        if "model" not in run.made_by and "needs" not in run.made_by:  # it is one that was trained here
            when += "; train --model detector to know when in them"
    else:
        a_window = labels * chosen.frames["per_window"]
        when = f"every {chosen.frames['frame_s']:.3g} s"
    return describe_plan(run.plan, bytes_to_store=run.plan.windows * a_window) | {"scores": when}


def _label_missing(run: _LabelRun, tables: LabelTables, this: Run) -> RunSummary:
    """Score segments of long recordings and label all others; then join the segments."""
    from hubbub.tasks.label import LabelTask  # after the plan: it compiles loops

    def drop_lost_segments(result: UnitResult | UnitLost) -> UnitResult | UnitLost | None:
        """Leave out segments that no worker finished: the recording's own unit scores them."""
        return None if isinstance(result, UnitLost) and result.unit >= plan.n_shards else result

    plan, phases, summary = run.plan, run.plan.phases(), RunSummary()
    tables.sweep_segments(_list_segments(plan, tables))
    task = LabelTask(tables.with_absolute_path(), absolute_path(run.model), run.table.rows.schema)
    goal = Goal(plan.windows, sum(map(len, phases)), plan.todo_clips)
    this.log.write("plan", clips=plan.clips, done=plan.done, todo=goal.clips, windows=goal.windows, units=goal.units)
    for stage, phase in zip(("label", "join segments"), phases, strict=False):
        run_units(
            this,
            stage,
            phase.units(),
            task,
            goal,
            path_checks=check_recordings(plan, run.table.root),
            convert=drop_lost_segments,
            summary=summary,
        )
    return summary


def _settle(run: _LabelRun, tables: LabelTables, this: Run, summary: RunSummary) -> LabelResult:
    """Remove segments that no later run needs, and report what the label tables hold."""
    held = (tables.files(), tables.committed())
    now = plan_labels(run.table, run.settings, run.chosen.hop_s, *held, **run.chosen.stream)
    tables.sweep_segments(_list_segments(now, tables))
    counts = {"clips": now.clips, "ok": now.done, "failed": now.failed_before}
    report_result(this, summary, **counts, result=run.output, reasons=run.output / "files")
    return LabelResult(open_labels(run.output), run.plan, **counts, is_stopped=this.is_stopped)


def _list_segments(plan: Plan, tables: LabelTables) -> set[int]:
    """Return the numbers of all segments of a plan."""
    long = (item for phase in plan.phases()[1:] for unit in phase.units() for item in unit.items)
    return {tables.segment_number(describe_segment(part)) for item in long for part in split_into_segments(item)}
