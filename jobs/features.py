"""``hubbub features``: a clip table to a feature store, on Dask."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hubbub.places import Place, place

from . import options

if TYPE_CHECKING:
    import pandas as pd

    from hubbub.clips.table import ClipTable
    from hubbub.config import Settings
    from hubbub.plan import Plan
    from hubbub.store.features import FeatureStore


def features(
    clips: Annotated[
        Place, typer.Argument(parser=place, help="A clip table, made by hubbub index.", metavar="CLIPS")
    ],
    output: Annotated[
        Place,
        typer.Option("--output", "-o", parser=place, help="The store: new, or one to go on with.", metavar="STORE"),
    ],
    settings: Annotated[
        Path | None, typer.Option(help="Settings (YAML); hubbub settings prints all there are.", metavar="FILE")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="One setting, such as frontend.name=mfcc or windows.mode=all; repeat for more.",
            metavar="KEY=VALUE",
        ),
    ] = None,
    variants: Annotated[
        Path | None,
        typer.Option(help="A policy (YAML): which classes are stored again, augmented, and how.", metavar="FILE"),
    ] = None,
    summary: Annotated[
        str | None,
        typer.Option(help="csv: also write STORE/summary.csv, the mean of each band, a line a clip.", metavar="csv"),
    ] = None,
    cluster: options.Cluster = "local",
    workers: options.Workers = None,
    dry_run: options.DryRun = False,
    retry_failed: options.RetryFailed = False,
    log_json: options.LogJson = None,
    debug: options.Debug = False,
) -> None:
    """Turn clips into spectrograms, or other features, in a feature store.

    What is in the store already is not done again: run the same command after a crash, or with a grown clip table.
    """
    from hubbub.clips.table import read_table
    from hubbub.engine.cluster import check_cluster
    from hubbub.plan import plan_features, row_bytes
    from hubbub.store.features import check_place, create_store, is_store, open_store
    from hubbub.store.rows import row_schema
    from hubbub.store.summary import SUMMARY, write_summary
    from hubbub.tasks.extract import ExtractTask

    from . import console
    from .fanout import Tally, run_plan, show_plan, tell

    check_cluster(cluster, workers)
    _check_summary(summary)
    check_place(output)
    log = console.JsonLog(log_json, "features")
    table = read_table(clips)
    store = open_store(output) if is_store(output) else None
    asked = _asked(store, settings, set_ or [], variants)
    if store is not None and asked is not None and not store.committed():
        store = None  # a run that failed before it made anything does not decide the settings of the next
    wanted = _settings(table, store, asked)
    store = store and replace(store, settings=wanted)
    ledger = None if store is None else store.progress()
    plan = plan_features(table, wanted, ledger, store.committed() if store else [], retry_failed=retry_failed)
    if len(plan):
        _check_variants(table, wanted)
    show_plan("features", plan, to_store=plan.windows * row_bytes(wanted))
    _say_what_stays(table, ledger)
    if dry_run:
        return
    _refuse_other_root(store, table, plan, ledger)
    if store is not None and (stale := store.refresh_clips(table.rows)):
        console.say(f"{stale} clips have other labels or columns in the clip table now: the store has them too")
    store = store or create_store(output, wanted, source=str(clips), root=table.root)
    tally = Tally()
    if len(plan):
        store.grow(plan.n_shards, clips=plan.clips)
        task = ExtractTask(store, table.root, row_schema(table.rows.schema))
        tally = run_plan("features", plan, task, cluster=cluster, workers=workers, log=log)
    now = plan_features(table, wanted, store.progress(), store.committed())
    code = tell(
        "features",
        tally,
        clips=now.clips,
        ok=now.done,
        failed=now.failed_before,
        result=store.path,
        reasons=store.rows_folder,
        log=log,
    )
    if summary:
        lines = write_summary(store, store.path / SUMMARY)
        console.say(f"the means of {lines} examples are in {store.path / SUMMARY}")
    raise typer.Exit(code)


def _say_what_stays(table: ClipTable, ledger: pd.DataFrame | None) -> None:
    """A clip that left the table, or a whole other archive, stays in the store and would train in silence."""
    from . import console

    if ledger is not None and (gone := set(ledger["clip_id"]) - set(table.rows["clip_id"].to_pylist())):
        console.warn(f"{len(gone)} clips of the store are not in this clip table; they stay in the store")


def _check_summary(summary: str | None) -> None:
    from hubbub.errors import UsageError

    if summary not in (None, "csv"):
        raise UsageError(f"--summary '{summary}': expected csv")


def _check_variants(table: ClipTable, settings: Settings) -> None:
    """Refuse recordings of noise and rooms that cannot be read; warn of classes named that no clip has."""
    from hubbub.errors import nearest

    from . import console

    if settings.variants is None:
        return
    from hubbub.audio.augment import check_sounds

    check_sounds(settings.variants, sample_rate=settings.frontend.sample_rate)
    there = sorted({label for labels in table.rows["labels"].to_pylist() for label in labels})
    for name in settings.variants.unmatched(there):
        console.warn(f"the policy names '{name}', which no clip is labelled: {nearest(name, there)}")


def _refuse_other_root(store: FeatureStore | None, table: ClipTable, plan: Plan, ledger: pd.DataFrame | None) -> None:
    """A moved archive is welcome; another one whose files have the same names would push the first one's rows out."""
    from hubbub.errors import StoreError

    held = None if store is None else store.provenance.get("root")
    if held is None or ledger is None or held == str(table.root):
        return
    others = set(plan.todo["clip_id"].to_pylist()) & set(ledger["clip_id"])
    if others:
        raise StoreError(
            f"the store was built from clips under {held}; {len(others)} clips under {table.root} have the same names "
            "and other content. Give another -o, or index a folder that holds both"
        )


def _asked(
    store: FeatureStore | None, file: Path | None, assignments: list[str], variants: Path | None
) -> Settings | None:
    """The settings that the command names, what it leaves open being as the store has it; None when it names none."""
    from hubbub.config import load_settings
    from hubbub.config.variants import load_variants

    if file is None and not assignments and variants is None:
        return None
    asked = store.settings if store and file is None and not assignments else load_settings(file, assignments)
    return asked if variants is None else asked.model_copy(update={"variants": load_variants(variants)})


def _settings(table: ClipTable, store: FeatureStore | None, asked: Settings | None) -> Settings:
    """The settings of a run: those asked for, or those of the store to go on with."""
    from hubbub.audio.windows import grid_of
    from hubbub.config import Settings
    from hubbub.plan import resolved, windows_of
    from hubbub.store.features import require_settings
    from hubbub.takes import takes_of

    if store is not None:
        if asked is not None:
            require_settings(store, asked)
        # The same policy may lie elsewhere by now.
        found = asked.variants if asked is not None else None
        return store.settings.model_copy(update={"variants": found}) if found else store.settings
    wanted = asked or Settings()
    takes = takes_of(table.rows, wanted)
    return resolved(wanted, int(windows_of(takes.rows, grid_of(wanted), wanted.frontend.sample_rate).sum()))
