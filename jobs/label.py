"""``hubbub label``: recordings of any length to label tables, on Dask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hubbub.places import Place, absolute, place

from . import options

if TYPE_CHECKING:
    from hubbub.clips.table import ClipTable

    from .fanout import Tally


def label(
    source: Annotated[
        Place,
        typer.Argument(
            parser=place,
            help="A clip table, a folder of recordings, or one recording; also s3://….",
            metavar="CLIPS|FOLDER|FILE",
        ),
    ],
    model: options.Bundle,
    output: Annotated[
        Place,
        typer.Option("--output", "-o", parser=place, help="The tables: new, or to go on with.", metavar="LABELS"),
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
    dry_run: options.DryRun = False,
    retry_failed: options.RetryFailed = False,
    log_json: options.LogJson = None,
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Label recordings: every window's scores, and events made from them.

    What is labelled already is not done again: run the same command after a crash, or with a grown archive.
    """
    from hubbub.config import settings_from
    from hubbub.engine.cluster import check_cluster
    from hubbub.errors import LabelsError, UsageError
    from hubbub.plan import plan_labels
    from hubbub.store.bundle import check_model, read_description
    from hubbub.store.claim import claimed
    from hubbub.store.tables import check_place, create_labels, is_labels, open_labels, require_run
    from hubbub.tasks.label import LabelTask

    from . import console
    from .fanout import Tally, run_plan, show_plan, tell
    from .rules import changed_rules, rules_from

    check_cluster(cluster, workers)
    check_place(output)
    log = console.JsonLog(log_json, "label")
    description = read_description(model)
    settings = settings_from(description["settings"], where=str(model))
    check_model(model)
    tables = open_labels(output) if is_labels(output) else None
    window_s = settings.windows.heard_s
    # What is not asked for goes on as it was begun.
    begun = None if tables is None else tables.run["hop_s"]
    hop_s = hop if hop is not None else begun or window_s / 5
    if not 0 < hop_s <= window_s:
        raise UsageError(f"--hop {hop_s:g}: expected more than 0 and at most the model's window, {window_s:g} s")
    rules = changed_rules(
        rules_from(description["thresholds"]) if tables is None else tables.rules,
        thresholds=threshold or [],
        release=release,
        min_duration_s=min_duration,
        merge_gap_s=merge_gap,
    )
    table = _table(source)
    run = _run(description, hop_s, rules, table)
    if tables is not None:
        require_run(tables, run)
    files = None if tables is None else tables.files()
    committed = [] if tables is None else tables.committed()
    plan = plan_labels(table, settings, hop_s, files, committed, retry_failed=retry_failed)
    show_plan("label", plan)
    if dry_run:
        return
    with claimed(output, "label", notice=console.warn):
        if (open_labels(output).committed() if is_labels(output) else []) != committed:
            raise LabelsError(f"{output} has just been written to by another run; run the same command again")
        command = {"command": _command(source, model, hop_s), "bundle": str(model)}
        tables = tables or create_labels(output, run | command)
        tally = Tally()
        if len(plan):
            tables = tables.begin(plan.clips)
            task = LabelTask(tables, absolute(model), table.rows.schema)
            tally = run_plan("label", plan, task, cluster=cluster, workers=workers, log=log)
        now = plan_labels(table, settings, hop_s, tables.files(), tables.committed())
        if len(plan):
            console.say(_heard(tally))
        code = tell(
            "label",
            tally,
            clips=now.clips,
            ok=now.done,
            failed=now.failed_before,
            result=output,
            reasons=output / "files",
            log=log,
        )
    raise typer.Exit(code)


def _table(source: Place) -> ClipTable:
    """The clip table of what is to be labelled; folders and files are indexed on the way, without labels."""
    from hubbub.clips.index import index_listing
    from hubbub.clips.sources import Columns, Listing, list_source
    from hubbub.clips.sources.folder import is_audio
    from hubbub.clips.table import read_table
    from hubbub.errors import ClipTableError
    from hubbub.files import reaching

    from . import console

    with reaching(source):
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
        listing = Listing(absolute(source).parent, [{"uri": source.name, "labels": []}])
    elif is_folder:
        listing = list_source(source, "flat", Columns())
    else:
        return read_table(source)
    with console.progress("index", len(listing.clips), "files") as advance:
        return index_listing(listing, on_clip=lambda: advance(1))[0]


def _run(description: dict[str, Any], hop_s: float, rules: dict[str, Any], table: ClipTable) -> dict[str, Any]:
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


def _command(source: Place, model: Place, hop_s: float) -> str:
    return f"hubbub label {source} --model {model} --hop {hop_s:g}"


def _heard(tally: Tally) -> str:
    counts = sorted(tally.heard.items(), key=lambda item: -item[1])
    return "heard: " + (", ".join(f"{name} {count}" for name, count in counts) or "nothing above the thresholds")
