"""Build a feature store from a clip table: read, plan, run, settle. What ``hubbub features`` does."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from hubbub.audio.windows import window_grid
from hubbub.clips.examples import expand_examples
from hubbub.clips.table import ClipTable
from hubbub.config import Settings
from hubbub.config.variants import Variants
from hubbub.errors import StoreError, UsageError, suggest_nearest
from hubbub.io.folders import sweep_partials
from hubbub.io.lock import WriteLock, write_lock
from hubbub.io.paths import StoragePath
from hubbub.io.text import count_noun
from hubbub.pipelines.execution import describe_plan, report_result, run_plan
from hubbub.pipelines.inputs import as_clips, as_path, as_settings, as_variants
from hubbub.pipelines.json_log import JsonLog
from hubbub.pipelines.reporting import Reporter, choose_reporter
from hubbub.pipelines.run_folder import ClusterOptions, Run, open_run
from hubbub.pipelines.run_summary import RunSummary
from hubbub.planning.plan import Plan, plan_features
from hubbub.planning.sizes import choose_layout, count_windows, row_bytes
from hubbub.store.features import FeatureStore
from hubbub.store.opening import check_store_path, create_store, is_store, open_store, require_settings
from hubbub.store.rows import row_schema
from hubbub.store.summary import SUMMARY, write_summary
from hubbub.tasks.extract import ExtractTask

if TYPE_CHECKING:
    from distributed import Client

    from hubbub.pipelines.inputs import PathLike


@dataclass(frozen=True)
class FeaturesResult:
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


def build_features(
    clips: PathLike | ClipTable,
    out: PathLike,
    *,
    settings: Settings | Mapping[str, Any] | PathLike | None = None,
    variants: Variants | PathLike | None = None,
    summary: str | None = None,
    cluster: str | None = None,
    workers: int | None = None,
    client: Client | None = None,
    ship: bool = False,
    retry_failed: bool = False,
    dry_run: bool = False,
    log_json: str | os.PathLike[str] | None = None,
    progress: bool = False,
    reporter: Reporter | None = None,
) -> FeaturesResult:
    """Build or grow a feature store; see `hubbub.build_features`, which returns the store alone."""
    reporter = choose_reporter(reporter, progress=progress)
    options = ClusterOptions(cluster, workers, ship, client)
    options.check()
    if summary not in (None, "csv"):
        raise UsageError(f"--summary '{summary}': expected csv")
    output, table = as_path(out, "out"), as_clips(clips)
    check_store_path(output)
    log = JsonLog(None if log_json is None else Path(log_json), "features", reporter.warn)
    request = _Request(table, output, as_settings(settings), as_variants(variants), retry_failed)
    run = prepare_run(request, reporter)
    _show_plan(run, reporter)
    if dry_run:
        return FeaturesResult(run.store, run.plan)
    _refuse_other_archive(run)
    source = str(clips) if not isinstance(clips, ClipTable) else str(clips.source or "a clip table in memory")
    with write_lock(output, "features", notice=reporter.warn) as lock:
        if run.is_stale:  # another run wrote to the store since it was planned
            run = prepare_run(request, reporter)
        result = _run(run, source, lock, options, log, reporter)
    if summary and result.store is not None and not result.is_stopped:
        lines = write_summary(result.store, result.store.path / SUMMARY)
        reporter.say(f"the means of {count_noun(lines, 'example')} are in {result.store.path / SUMMARY}")
    return result


@dataclass(frozen=True)
class _Request:
    """What the caller asks for; `settings` and `variants` are None where the caller names none."""

    table: ClipTable
    output: StoragePath
    settings: Settings | None
    variants: Variants | None
    retry_failed: bool

    def choose_settings(self, store: FeatureStore | None) -> Settings | None:
        """Return the settings that the caller names; where it names variants alone, all others are the store's."""
        if self.settings is None and self.variants is None:
            return None
        named = self.settings or (store.settings if store else Settings())
        return named if self.variants is None else named.model_copy(update={"variants": self.variants})


@dataclass(frozen=True)
class FeaturesRun:
    """A planned run; `store` is None where it is to be created."""

    table: ClipTable
    output: StoragePath
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
        now = tuple(open_store(self.output).committed()) if is_store(self.output) else ()
        return now != self.committed


def prepare_run(request: _Request, reporter: Reporter) -> FeaturesRun:
    """Read the store, where there is one, and plan the run."""
    table, output = request.table, request.output
    store = open_store(output) if is_store(output) else None
    named = request.choose_settings(store)
    if store is not None and named is not None and not store.committed():
        store = None  # an empty store, of a run that failed early, does not decide the settings
    settings = _resolve_settings(table, store, named)
    store = store and replace(store, settings=settings)
    row_index = None if store is None else store.progress()
    committed, first = (store.committed(), store.first_free_shard) if store else ([], 0)
    plan = plan_features(table, settings, row_index, committed, retry_failed=request.retry_failed, first_shard=first)
    if len(plan):
        _check_variants(table, settings, reporter)
    return FeaturesRun(table, output, store, settings, row_index, plan, tuple(committed))


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


def _check_variants(table: ClipTable, settings: Settings, reporter: Reporter) -> None:
    """Refuse noise and room recordings that cannot be read; warn of labels in the policy that no clip has."""
    if settings.variants is None:
        return
    from hubbub.audio.effects import check_effect_recordings  # a second of imports that only variants need

    check_effect_recordings(settings.variants, sample_rate=settings.frontend.sample_rate)
    known = sorted({label for labels in table.rows["labels"].to_pylist() for label in labels})
    for name in settings.variants.list_unknown_labels(known):
        reporter.warn(f"the policy names '{name}', which no clip is labelled: {suggest_nearest(name, known)}")


def _show_plan(run: FeaturesRun, reporter: Reporter) -> None:
    reporter.show_table("features: the plan", describe_plan(run.plan, bytes_to_store=run.bytes_to_store))
    if run.plan.missing_clips:
        reporter.warn(
            f"{count_noun(run.plan.missing_clips, 'clip')} of the store missing from this clip table: marked `retired` "
            "and excluded, until a clip table has them again"
        )


def _refuse_other_archive(run: FeaturesRun) -> None:
    """Refuse the clip table of another archive, which would retire all rows of the store.

    Raises
    ------
    StoreError
        No clip of the store is in the table; or clips of the same names under another root have other content.
    """
    if run.store is None or run.row_index is None or run.row_index.empty:
        return
    stored = set(run.row_index["clip_id"])
    if not stored.intersection(run.table.rows["clip_id"].to_pylist()):
        raise StoreError(
            f"none of the {count_noun(len(stored), 'clip')} of {run.output} is in this clip table. Another archive "
            "needs another store: give another -o, or index a folder that holds both"
        )
    held, root = run.store.provenance.get("root"), str(run.table.root)
    others = stored.intersection(run.plan.todo["clip_id"].to_pylist()) if held not in (None, root) else set()
    if others:
        raise StoreError(
            f"the store was built from clips under {held}; {count_noun(len(others), 'clip')} under {root} have the "
            "same names and other content. Give another -o, or index a folder that holds both"
        )


def _run(
    run: FeaturesRun, source: str, lock: WriteLock, options: ClusterOptions, log: JsonLog, reporter: Reporter
) -> FeaturesResult:
    """Create the store where there is none, compute what is missing, and settle."""
    store = run.store or create_store(run.output, run.settings, source=source, root=run.table.root)
    store = replace(store, holder=lock.holder)
    if store.provenance.get("clips") != run.plan.clips:
        store.note(clips=run.plan.clips)  # by which verify tells a broken-off run from a whole one
    if not len(run.plan):
        return _settle(run, store, Run("features", options, log, reporter), RunSummary())
    plan = describe_plan(run.plan, bytes_to_store=run.bytes_to_store)
    with open_run("features", options, log, reporter, output=store.path, plan=plan) as this:
        return _settle(run, store, this, _compute_missing(run, store, this))


def _compute_missing(run: FeaturesRun, store: FeatureStore, this: Run) -> RunSummary:
    store.grow(run.plan.n_shards)
    task = ExtractTask(store.with_absolute_path(), run.table.root, row_schema(run.table.rows.schema))
    summary = run_plan(this, run.plan, task, root=run.table.root)
    sweep_partials(store.path)  # of workers that were killed
    return summary


def _settle(run: FeaturesRun, store: FeatureStore, this: Run, summary: RunSummary) -> FeaturesResult:
    """Bring the rows of earlier runs up to date with the clip table, and report what the store holds."""
    table = run.table
    if run.store is not None and (update := store.update_rows(table.rows)).parts:
        clips = count_noun(update.clips, "clip")
        this.reporter.say(f"rows of {clips} updated: other labels or columns in the clip table, or retired or restored")
    now = plan_features(table, run.settings, store.progress(), store.committed(), first_shard=store.first_free_shard)
    counts = {"clips": now.clips, "ok": now.done, "failed": now.failed_before}
    report_result(this, summary, **counts, result=store.path, reasons=store.rows_folder)
    return FeaturesResult(store, run.plan, **counts, is_stopped=this.is_stopped)
