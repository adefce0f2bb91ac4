"""``hubbub features``: a clip table to a feature store, on Dask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hubbub.io.paths import StoragePath, parse_path

from . import options

if TYPE_CHECKING:
    import pandas as pd

    from hubbub.clips.table import ClipTable
    from hubbub.config import Settings
    from hubbub.io.lock import WriteLock
    from hubbub.planning.plan import Plan
    from hubbub.store.features import FeatureStore

    from .console import JsonLog
    from .fanout import Tally
    from .runs import Run, Where


def features(
    clips: Annotated[
        StoragePath, typer.Argument(parser=parse_path, help="A clip table, made by hubbub index.", metavar="CLIPS")
    ],
    output: Annotated[
        StoragePath,
        typer.Option(
            "--output", "-o", parser=parse_path, help="The store: new, or one to go on with.", metavar="STORE"
        ),
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
    ship: options.Ship = False,
    dry_run: options.DryRun = False,
    retry_failed: options.RetryFailed = False,
    log_json: options.LogJson = None,
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Turn clips into spectrograms, or other features, in a feature store, on a disk or in a bucket.

    What is in the store already is not done again: run the same command after a crash, or with a clip table that has
    grown, changed or shrunk. Clips that changed are made anew, those that left the table are counted out.
    """
    from hubbub.clips.table import read_table
    from hubbub.io.lock import write_lock
    from hubbub.store.features import check_store_path
    from hubbub.store.summary import SUMMARY, write_summary

    from . import console
    from .runs import INTERRUPTED, Where

    where = Where(cluster, workers, ship)
    where.check()
    _check_summary(summary)
    check_store_path(output)
    log = console.JsonLog(log_json, "features")
    table = read_table(clips)

    def asked(store: FeatureStore | None) -> Settings | None:
        return _asked(store, settings, set_ or [], variants)

    run = _prepared(table, output, asked, retry_failed=retry_failed)
    _show(run)
    if dry_run:
        return
    _refuse_other_archive(run)
    with write_lock(output, "features", notice=console.warn) as claim:
        if run.is_stale:  # another builder was here since it was planned
            run = _prepared(table, output, asked, retry_failed=retry_failed)
        store, code = _done(run, clips, claim, where, log)
    if summary and code != INTERRUPTED:
        lines = write_summary(store, store.path / SUMMARY)
        console.say(f"the means of {lines} examples are in {store.path / SUMMARY}")
    raise typer.Exit(code)


@dataclass(frozen=True)
class _Run:
    """A run, decided and not begun; `store` is None where it is to be made."""

    table: ClipTable
    output: StoragePath
    store: FeatureStore | None
    settings: Settings
    row_index: pd.DataFrame | None
    plan: Plan
    committed: tuple[int, ...]

    @property
    def bytes_to_store(self) -> int:
        """Bytes of the rows that it makes, before compression."""
        from hubbub.planning.plan import row_bytes

        return self.plan.windows * row_bytes(self.settings)

    @property
    def is_stale(self) -> bool:
        """Whether the store has other shards by now than those it was planned on."""
        from hubbub.store.features import is_store, open_store

        now = tuple(open_store(self.output).committed()) if is_store(self.output) else ()
        return now != self.committed


def _prepared(
    table: ClipTable,
    output: StoragePath,
    asked: Callable[[FeatureStore | None], Settings | None],
    *,
    retry_failed: bool,
) -> _Run:
    """Look at what is there, and decide what is to be done."""
    from hubbub.planning.plan import plan_features
    from hubbub.store.features import is_store, open_store

    store = open_store(output) if is_store(output) else None
    wanted = asked(store)
    if store is not None and wanted is not None and not store.committed():
        store = None  # a run that failed before it made anything does not decide the settings of the next
    settings = _settings(table, store, wanted)
    store = store and replace(store, settings=settings)
    row_index = None if store is None else store.progress()
    committed, first = (store.committed(), store.first_free_shard) if store else ([], 0)
    plan = plan_features(table, settings, row_index, committed, retry_failed=retry_failed, first_shard=first)
    if len(plan):
        _check_variants(table, settings)
    return _Run(table, output, store, settings, row_index, plan, tuple(committed))


def _show(run: _Run) -> None:
    """Print what a run will do, and name what is odd about it."""
    from . import console
    from .fanout import show_plan

    show_plan("features", run.plan, to_store=run.bytes_to_store)
    if run.plan.missing_clips:
        console.warn(
            f"{run.plan.missing_clips} clips of the store are not in this clip table: their rows are retired, which "
            "counts them out; they come back with the clip table that has them"
        )


def _done(run: _Run, source: StoragePath, claim: WriteLock, where: Where, log: JsonLog) -> tuple[FeatureStore, int]:
    """Do the run, and say what happened; returns the store and the exit code."""
    from hubbub.store.features import create_store

    from .fanout import Tally, plan_lines
    from .runs import Run, begun

    made = run.store or create_store(run.output, run.settings, source=str(source), root=run.table.root)
    store = replace(made, holder=claim.holder)
    if store.provenance.get("clips") != run.plan.clips:
        store.note(clips=run.plan.clips)  # a run that breaks off can then be told from a whole one
    if not len(run.plan):
        return store, _settled(run, store, Run("features", where, log), Tally())
    with begun("features", where, log, store.path, plan_lines(run.plan, to_store=run.bytes_to_store)) as doing:
        tally = _extracted(run, store, doing)
        return store, _settled(run, store, doing, tally)


def _extracted(run: _Run, store: FeatureStore, doing: Run) -> Tally:
    """Make what is missing."""
    from hubbub.io.atomic import sweep_partials
    from hubbub.store.rows import row_schema
    from hubbub.tasks.extract import ExtractTask

    from .fanout import run_plan

    store.grow(run.plan.n_shards)
    task = ExtractTask(store.with_absolute_path(), run.table.root, row_schema(run.table.rows.schema))
    tally = run_plan(doing, run.plan, task, root=run.table.root)
    sweep_partials(store.path)  # of workers that were killed
    return tally


def _settled(run: _Run, store: FeatureStore, doing: Run, tally: Tally) -> int:
    """Bring rows of before up to the clip table, and say what is there now; returns the exit code."""
    from hubbub.planning.plan import plan_features

    from . import console
    from .fanout import tell

    table = run.table
    if run.store is not None and (settled := store.update_rows(table.rows)).parts:
        console.say(
            f"{settled.clips} clips have other labels, columns or rows by the clip table: the store has them too"
        )
    now = plan_features(table, run.settings, store.progress(), store.committed(), first_shard=store.first_free_shard)
    ok, failed = now.done, now.failed_before
    return tell(doing, tally, clips=now.clips, ok=ok, failed=failed, result=store.path, reasons=store.rows_folder)


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
    from hubbub.audio.effects import check_effect_recordings

    check_effect_recordings(settings.variants, sample_rate=settings.frontend.sample_rate)
    there = sorted({label for labels in table.rows["labels"].to_pylist() for label in labels})
    for name in settings.variants.unmatched(there):
        console.warn(f"the policy names '{name}', which no clip is labelled: {nearest(name, there)}")


def _refuse_other_archive(run: _Run) -> None:
    """A grown, thinned or moved archive is welcome; another one would push the first one's rows out.

    Raises
    ------
    StoreError
        The store holds clips, and none of them is in the table; or clips of the same names under another root have
        other content.
    """
    from hubbub.errors import StoreError

    if run.store is None or run.row_index is None or run.row_index.empty:
        return
    there = set(run.row_index["clip_id"])
    if not there.intersection(run.table.rows["clip_id"].to_pylist()):
        raise StoreError(
            f"none of the {len(there)} clips of {run.output} is in this clip table. Another archive is a new store: "
            "give another -o, or index a folder that holds both"
        )
    held, root = run.store.provenance.get("root"), str(run.table.root)
    others = there.intersection(run.plan.todo["clip_id"].to_pylist()) if held not in (None, root) else set()
    if others:
        raise StoreError(
            f"the store was built from clips under {held}; {len(others)} clips under {root} have the same names "
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
    from hubbub.audio.windows import window_grid
    from hubbub.clips.examples import expand_examples
    from hubbub.config import Settings
    from hubbub.planning.plan import choose_layout, count_windows
    from hubbub.store.features import require_settings

    if store is not None:
        if asked is not None:
            require_settings(store, asked)
        # The same policy may lie elsewhere by now.
        found = asked.variants if asked is not None else None
        return store.settings.model_copy(update={"variants": found}) if found else store.settings
    wanted = asked or Settings()
    takes = expand_examples(table.rows, wanted)
    return choose_layout(wanted, int(count_windows(takes.rows, window_grid(wanted), wanted.frontend.sample_rate).sum()))
