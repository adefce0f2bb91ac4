"""Build or grow a store from a clip table: read, plan, run, settle. What ``hubbub features`` and `embed` share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pandas as pd
import pyarrow as pa

from hubbub.audio.windows import window_grid
from hubbub.clips.examples import expand_examples
from hubbub.clips.table import ClipTable
from hubbub.config import Settings
from hubbub.config.variants import Variants
from hubbub.errors import StoreError
from hubbub.io.folders import sweep_partials
from hubbub.io.lock import WriteLock, write_lock
from hubbub.io.paths import StoragePath
from hubbub.io.text import count_noun
from hubbub.pipelines.execution import describe_plan, report_result, run_plan
from hubbub.pipelines.json_log import JsonLog
from hubbub.pipelines.reporting import Reporter
from hubbub.pipelines.run_folder import ClusterOptions, Run, open_run
from hubbub.pipelines.run_summary import RunSummary
from hubbub.planning.plan import Plan, plan_features
from hubbub.planning.sizes import choose_layout, count_windows, row_bytes
from hubbub.store.features import FeatureStore
from hubbub.store.opening import create_store, is_store, open_store, require_settings
from hubbub.store.rows import row_schema
from hubbub.tasks.extract import ExtractTask


@dataclass(frozen=True)
class StoreResult:
    """A run over a clip table.

    Attributes
    ----------
    store
        The store; None after a dry run that found none.
    plan
        What was to do.
    clips, ok, failed
        Of the whole clip table, as the store has them now.
    is_stopped
        Whether Ctrl-C drained the run before it was done.
    """

    store: FeatureStore | None
    plan: Plan
    clips: int = 0
    ok: int = 0
    failed: int = 0
    is_stopped: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether every clip of the table has its rows."""
        return self.ok == self.clips


@dataclass(frozen=True, kw_only=True)
class StoreRequest:
    """What a command asks for.

    Attributes
    ----------
    job
        Name of the command.
    table, source
        The clips, and where they come from, for the record.
    output
        The store.
    settings, variants
        None where the caller names none.
    retry_failed
        Whether clips that failed before are tried again.
    refuse_store
        Raises `StoreError` for a store that this command does not build.
    check_settings
        Called with the settings of a run that has something to do; raises what is wrong with them.
    prepare_store
        Called with the store, of which nobody else writes, before units are run.
    make_task
        Makes the task from the store, the root of uris and the schema of row parts.
    """

    job: str
    table: ClipTable
    source: str
    output: StoragePath
    settings: Settings | None
    variants: Variants | None = None
    retry_failed: bool = False
    refuse_store: Callable[[FeatureStore], None]
    check_settings: Callable[[Settings], None] = lambda settings: None
    prepare_store: Callable[[FeatureStore], None] = lambda store: None
    make_task: Callable[[FeatureStore, StoragePath, pa.Schema], ExtractTask]

    def choose_settings(self, store: FeatureStore | None) -> Settings | None:
        """Return the settings that the caller names; where it names variants alone, all others are the store's."""
        if self.settings is None and self.variants is None:
            return None
        named = self.settings or (store.settings if store else Settings())
        return named if self.variants is None else named.model_copy(update={"variants": self.variants})


@dataclass(frozen=True)
class StoreRun:
    """A planned run; `store` is None where it is to be created."""

    request: StoreRequest
    store: FeatureStore | None
    settings: Settings
    row_index: pd.DataFrame | None
    plan: Plan
    committed: tuple[int, ...]

    @property
    def bytes_to_store(self) -> int:
        """Bytes of the rows to compute, before compression."""
        return self.plan.windows * row_bytes(self.settings)

    @property
    def is_stale(self) -> bool:
        """Whether the store has other shards now than when the run was planned."""
        output = self.request.output
        now = tuple(open_store(output).committed()) if is_store(output) else ()
        return now != self.committed


def build_store(
    request: StoreRequest, options: ClusterOptions, log: JsonLog, reporter: Reporter, *, dry_run: bool
) -> StoreResult:
    """Build or grow a store, or show what that would do."""
    run = prepare_run(request)
    _show_plan(run, reporter)
    if dry_run:
        return StoreResult(run.store, run.plan)
    _refuse_other_archive(run)
    with write_lock(request.output, request.job, notice=reporter.warn) as lock:
        if run.is_stale:  # another run wrote to the store since it was planned
            run = prepare_run(request)
        return _run(run, lock, options, log, reporter)


def prepare_run(request: StoreRequest) -> StoreRun:
    """Read the store, where there is one, and plan the run."""
    table, output = request.table, request.output
    store = open_store(output) if is_store(output) else None
    named = request.choose_settings(store)
    if store is not None and named is not None and not store.committed():
        store = None  # an empty store, of a run that failed early, does not decide the settings
    if store is not None:
        request.refuse_store(store)
    settings = _resolve_settings(table, store, named)
    store = store and replace(store, settings=settings)
    row_index = None if store is None else store.progress()
    committed, first = (store.committed(), store.first_free_shard) if store else ([], 0)
    retry_failed = request.retry_failed
    plan = plan_features(table, settings, row_index, committed, retry_failed=retry_failed, first_shard=first)
    if len(plan):
        request.check_settings(settings)
    return StoreRun(request, store, settings, row_index, plan, tuple(committed))


def _resolve_settings(table: ClipTable, store: FeatureStore | None, named: Settings | None) -> Settings:
    """Return the settings of a run: the store's where there is one, else the named ones with a layout."""
    if store is not None:
        if named is not None:
            require_settings(store, named)
        # The same policy may lie in another folder now.
        variants = named.variants if named is not None else None
        return store.settings.model_copy(update={"variants": variants}) if variants else store.settings
    wanted = named or Settings()
    examples = expand_examples(table.rows, wanted)
    windows = count_windows(examples.rows, window_grid(wanted), wanted.frontend.sample_rate)
    return choose_layout(wanted, int(windows.sum()))


def _show_plan(run: StoreRun, reporter: Reporter) -> None:
    described = describe_plan(run.plan, bytes_to_store=run.bytes_to_store)
    reporter.show_table(f"{run.request.job}: the plan", described)
    if run.plan.missing_clips:
        reporter.warn(
            f"{count_noun(run.plan.missing_clips, 'clip')} of the store missing from this clip table: marked `retired` "
            "and excluded, until a clip table has them again"
        )


def _refuse_other_archive(run: StoreRun) -> None:
    """Refuse the clip table of another archive, which would retire all rows of the store.

    Raises
    ------
    StoreError
        No clip of the store is in the table; or clips of the same names under another root have other content.
    """
    if run.store is None or run.row_index is None or run.row_index.empty:
        return
    table = run.request.table
    stored = set(run.row_index["clip_id"])
    if not stored.intersection(table.rows["clip_id"].to_pylist()):
        raise StoreError(
            f"none of the {count_noun(len(stored), 'clip')} of {run.request.output} is in this clip table. Another "
            "archive needs another store: give another -o, or index a folder that holds both"
        )
    held, root = run.store.provenance.get("root"), str(table.root)
    others = stored.intersection(run.plan.todo["clip_id"].to_pylist()) if held not in (None, root) else set()
    if others:
        raise StoreError(
            f"the store was built from clips under {held}; {count_noun(len(others), 'clip')} under {root} have the "
            "same names and other content. Give another -o, or index a folder that holds both"
        )


def _run(run: StoreRun, lock: WriteLock, options: ClusterOptions, log: JsonLog, reporter: Reporter) -> StoreResult:
    """Create the store where there is none, compute what is missing, and settle."""
    request, job = run.request, run.request.job
    store = run.store or create_store(request.output, run.settings, source=request.source, root=request.table.root)
    store = replace(store, holder=lock.holder)
    if store.provenance.get("clips") != run.plan.clips:
        store.note(clips=run.plan.clips)  # by which verify tells a broken-off run from a whole one
    request.prepare_store(store)
    if not len(run.plan):
        return _settle(run, store, Run(job, options, log, reporter), RunSummary())
    plan = describe_plan(run.plan, bytes_to_store=run.bytes_to_store)
    with open_run(job, options, log, reporter, output=store.path, plan=plan) as this:
        return _settle(run, store, this, _compute_missing(run, store, this))


def _compute_missing(run: StoreRun, store: FeatureStore, this: Run) -> RunSummary:
    store.grow(run.plan.n_shards)
    table = run.request.table
    task = run.request.make_task(store.with_absolute_path(), table.root, row_schema(table.rows.schema))
    summary = run_plan(this, run.plan, task, root=table.root)
    sweep_partials(store.path)  # of workers that were killed
    return summary


def _settle(run: StoreRun, store: FeatureStore, this: Run, summary: RunSummary) -> StoreResult:
    """Bring the rows of earlier runs up to date with the clip table, and report what the store holds."""
    table = run.request.table
    if run.store is not None and (update := store.update_rows(table.rows)).parts:
        clips = count_noun(update.clips, "clip")
        this.reporter.say(f"rows of {clips} updated: other labels or columns in the clip table, or retired or restored")
    now = plan_features(table, run.settings, store.progress(), store.committed(), first_shard=store.first_free_shard)
    counts = {"clips": now.clips, "ok": now.done, "failed": now.failed_before}
    report_result(this, summary, **counts, result=store.path, reasons=store.rows_folder)
    return StoreResult(store, run.plan, **counts, is_stopped=this.is_stopped)
