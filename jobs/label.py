"""``hubbub label``: recordings of any length to label tables, on Dask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from hubbub.io.paths import StoragePath, absolute_path, parse_path

from . import options

if TYPE_CHECKING:
    from hubbub.clips.table import ClipTable
    from hubbub.config import Settings
    from hubbub.labels.events import EventRule
    from hubbub.labels.tables import LabelTables
    from hubbub.planning.plan import Plan
    from hubbub.tasks.result import UnitLost, UnitResult

    from .console import JsonLog
    from .fanout import Tally
    from .runs import Run, Where


def label(
    source: Annotated[
        StoragePath,
        typer.Argument(
            parser=parse_path,
            help="A clip table, a folder of recordings, or one recording; also s3://….",
            metavar="CLIPS|FOLDER|FILE",
        ),
    ],
    model: options.Bundle,
    output: Annotated[
        StoragePath,
        typer.Option("--output", "-o", parser=parse_path, help="The tables: new, or to go on with.", metavar="LABELS"),
    ],
    hop: Annotated[
        float | None, typer.Option(help="From one window to the next. Default: a fifth of a window.", metavar="S")
    ] = None,
    threshold: options.Threshold = None,
    release: options.Release = None,
    min_duration: options.MinDuration = None,
    merge_gap: options.MergeGap = None,
    cluster: options.Cluster = "local",
    workers: options.Workers = None,
    ship: options.Ship = False,
    dry_run: options.DryRun = False,
    retry_failed: options.RetryFailed = False,
    log_json: options.LogJson = None,
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Label recordings: every window's scores, and events made from them.

    What is labelled already is not done again: run the same command after a crash, or with a grown archive.
    """
    from hubbub.io.lock import write_lock
    from hubbub.labels.tables import check_labels_path

    from . import console
    from .fanout import show_plan
    from .runs import Where

    where = Where(cluster, workers, ship)
    where.check()
    check_labels_path(output)
    log = console.JsonLog(log_json, "label")
    asked = _Rules(threshold or [], release, min_duration, merge_gap)
    run = _prepared(source, model, output, hop, asked, retry_failed=retry_failed)
    show_plan("label", run.plan)
    if dry_run:
        return
    with write_lock(output, "label", notice=console.warn):
        _refuse_other_writer(run)
        code = _done(run, source, where, log)
    raise typer.Exit(code)


class _Rules(NamedTuple):
    """What the command says of events; None and empty: as they were, or the model's."""

    thresholds: list[str]
    release: float | None
    min_duration_s: float | None
    merge_gap_s: float | None


@dataclass(frozen=True)
class _Run:
    """A run, decided and not begun; `tables` is None where they are to be made."""

    table: ClipTable
    model: StoragePath
    output: StoragePath
    tables: LabelTables | None
    document: dict[str, Any]
    settings: Settings
    plan: Plan
    committed: list[int]


def _prepared(
    source: StoragePath,
    model: StoragePath,
    output: StoragePath,
    hop: float | None,
    asked: _Rules,
    *,
    retry_failed: bool,
) -> _Run:
    """Look at what is there, and decide what is to be done."""
    from hubbub.config import parse_settings
    from hubbub.labels.tables import is_labels, open_labels, require_run
    from hubbub.models.bundle import check_model, read_description
    from hubbub.planning.plan import plan_labels

    description = read_description(model)
    settings = parse_settings(description["settings"], where=str(model))
    check_model(model)
    tables = open_labels(output) if is_labels(output) else None
    hop_s = _hop_s(hop, tables, settings)
    rules = _rules(asked, tables, description)
    table = _table(source)
    document = _document(description, hop_s, rules, table)
    if tables is not None:
        require_run(tables, document)
    files, committed = (tables.files(), tables.committed()) if tables else (None, [])
    plan = plan_labels(table, settings, hop_s, files, committed, retry_failed=retry_failed)
    return _Run(table, model, output, tables, document, settings, plan, committed)


def _hop_s(hop: float | None, tables: LabelTables | None, settings: Settings) -> float:
    """The hop asked for; what is not asked for goes on as it was begun."""
    from hubbub.errors import UsageError

    window_s = settings.windows.input_s
    begun = None if tables is None else tables.run["hop_s"]
    hop_s = hop if hop is not None else begun or window_s / 5
    if not 0 < hop_s <= window_s:
        raise UsageError(f"--hop {hop_s:g}: expected more than 0 and at most the model's window, {window_s:g} s")
    return hop_s


def _rules(asked: _Rules, tables: LabelTables | None, description: dict[str, Any]) -> dict[str, EventRule]:
    from .rules import changed_rules, rules_from

    begun = rules_from(description["thresholds"]) if tables is None else tables.rules
    return changed_rules(begun, **asked._asdict())


def _refuse_other_writer(run: _Run) -> None:
    from hubbub.errors import LabelsError
    from hubbub.labels.tables import is_labels, open_labels

    if (open_labels(run.output).committed() if is_labels(run.output) else []) != run.committed:
        raise LabelsError(f"{run.output} has just been written to by another run; run the same command again")


def _done(run: _Run, source: StoragePath, where: Where, log: JsonLog) -> int:
    """Do the run, and say what happened; returns the exit code."""
    from hubbub.labels.tables import create_labels

    from . import console
    from .fanout import Tally, plan_lines
    from .runs import Run, begun

    command = {"command": _command(source, run.model, run.document["hop_s"]), "bundle": str(run.model)}
    tables = run.tables or create_labels(run.output, run.document | command)
    if not len(run.plan):
        return _settled(run, tables, Run("label", where, log), Tally())
    with begun("label", where, log, run.output, plan_lines(run.plan)) as doing:
        tables = tables.begin(run.plan.clips)
        tally = _labelled(run, tables, doing)
        console.say(_heard(tally))
        return _settled(run, tables, doing, tally)


def _labelled(run: _Run, tables: LabelTables, doing: Run) -> Tally:
    """Score pieces of long recordings and label all others; then put the long ones together."""
    from hubbub.tasks.label import LabelTask
    from hubbub.tasks.result import UnitLost

    from .fanout import Goal, Tally, recordings, run_units

    def seen(result: UnitResult | UnitLost) -> UnitResult | UnitLost | None:
        """All but pieces that no worker brought to their end: these lose no recording."""
        return None if isinstance(result, UnitLost) and result.unit >= plan.n_shards else result

    plan, phases, tally = run.plan, run.plan.phases(), Tally()
    tables.sweep_segments(_pieces(plan, tables))
    task = LabelTask(tables.with_absolute_path(), absolute_path(run.model), run.table.rows.schema)
    goal = Goal(plan.windows, sum(map(len, phases)), plan.todo_clips)
    doing.log.write("plan", clips=plan.clips, done=plan.done, todo=goal.clips, windows=goal.windows, units=goal.units)
    for stage, phase in zip(("label", "put together"), phases, strict=False):
        path_checks = recordings(plan, run.table.root)
        run_units(doing, stage, phase.units(), task, goal, path_checks=path_checks, see=seen, tally=tally)
    return tally


def _settled(run: _Run, tables: LabelTables, doing: Run, tally: Tally) -> int:
    """Remove what nobody needs any more, and say what is there now; returns the exit code."""
    from hubbub.planning.plan import plan_labels

    from .fanout import tell

    now = plan_labels(run.table, run.settings, run.document["hop_s"], tables.files(), tables.committed())
    tables.sweep_segments(_pieces(now, tables))
    ok, failed, reasons = now.done, now.failed_before, run.output / "files"
    return tell(doing, tally, clips=now.clips, ok=ok, failed=failed, result=run.output, reasons=reasons)


def _pieces(plan: Plan, tables: LabelTables) -> set[int]:
    """Numbers of all pieces that a plan has."""
    from hubbub.planning.plan import split_into_segments
    from hubbub.tasks.segments import describe_segment

    long = (item for phase in plan.phases()[1:] for unit in phase.units() for item in unit.items)
    return {tables.segment_number(describe_segment(piece)) for item in long for piece in split_into_segments(item)}


def _table(source: StoragePath) -> ClipTable:
    """The clip table of what is to be labelled; folders and files are indexed on the way, without labels."""
    from hubbub.clips.index import index_listing
    from hubbub.clips.sources import Columns, Listing, list_source
    from hubbub.clips.sources.folder import is_audio
    from hubbub.clips.table import read_table
    from hubbub.errors import ClipTableError
    from hubbub.io.atomic import explain_read_errors

    from . import console

    with explain_read_errors(source):
        there, is_file, is_folder = source.exists(), source.is_file(), source.is_dir()
    if not there:
        raise ClipTableError(
            f"{source} does not exist; expected a clip table, a folder of recordings, or one recording"
        )
    if source.suffix == ".csv":
        raise ClipTableError(
            f"{source} is a CSV; make a clip table of it first: hubbub index {source} -o clips.parquet"
        )
    if is_file and is_audio(source.name):
        listing = Listing(absolute_path(source).parent, [{"uri": source.name, "labels": []}])
    elif is_folder:
        listing = list_source(source, "flat", Columns())
    else:
        return read_table(source)
    with console.progress("index", len(listing.clips), "files") as advance:
        return index_listing(listing, on_clip=lambda: advance(1))[0]


def _document(
    description: dict[str, Any], hop_s: float, rules: dict[str, EventRule], table: ClipTable
) -> dict[str, Any]:
    """The entries of run.json that a later run has to share."""
    return {
        "model_hash": description["model_hash"],
        "settings_hash": description["settings_hash"],
        "settings": description["settings"],
        "labels": description["labels"],
        "window_s": description["window_s"],
        "hop_s": hop_s,
        "rules": {name: vars(rule) for name, rule in rules.items()},
        "root": str(table.root),
    }


def _command(source: StoragePath, model: StoragePath, hop_s: float) -> str:
    return f"hubbub label {source} --model {model} --hop {hop_s:g}"


def _heard(tally: Tally) -> str:
    counts = sorted(tally.heard.items(), key=lambda item: -item[1])
    return "heard: " + (", ".join(f"{name} {count}" for name, count in counts) or "nothing above the thresholds")
