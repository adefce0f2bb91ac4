"""Rewrite a feature store with holes or tiny row parts into full shards. What ``hubbub compact`` does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubbub.errors import RunStopped, UnitsLost
from hubbub.io.lock import WriteLock, write_lock
from hubbub.io.text import count_noun
from hubbub.pipelines.execution import run_units
from hubbub.pipelines.inputs import as_store
from hubbub.pipelines.json_log import JsonLog
from hubbub.pipelines.progress import Goal
from hubbub.pipelines.quantities import format_duration, format_size
from hubbub.pipelines.reporting import Reporter, choose_reporter
from hubbub.pipelines.run_folder import ClusterOptions, open_run
from hubbub.store.compaction import (
    Compaction,
    begin_compaction,
    find_prunable_shards,
    list_old_parts,
    plan_compaction,
    prune_shards,
    remove_old_parts,
    swap_shards,
)
from hubbub.store.features import FeatureStore
from hubbub.store.opening import open_store
from hubbub.tasks.compact import CompactTask

if TYPE_CHECKING:
    from distributed import Client

    from hubbub.pipelines.inputs import PathLike


def compact(
    store: PathLike | FeatureStore,
    *,
    prune: bool = False,
    cluster: str | None = None,
    workers: int | None = None,
    client: Client | None = None,
    ship: bool = False,
    dry_run: bool = False,
    log_json: str | os.PathLike[str] | None = None,
    progress: bool = False,
    reporter: Reporter | None = None,
) -> FeatureStore:
    """Compact a store; see `hubbub.compact`."""
    reporter = choose_reporter(reporter, progress=progress)
    options = ClusterOptions(cluster, workers, ship, client)
    options.check()
    store = as_store(store)
    log = JsonLog(None if log_json is None else Path(log_json), "compact", reporter.warn)
    if dry_run:
        reporter.show_table("compact: the plan", _describe(plan_compaction(store)))
        reporter.say(f"--prune would free {format_size(sum(find_prunable_shards(store).values()))} now")
        return store
    with write_lock(store.path, "compact", notice=reporter.warn) as lock:
        _compact(open_store(store.path), lock, options, log, reporter)
        _prune(open_store(store.path), lock, log, reporter, wanted=prune)
    return open_store(store.path)


def _compact(store: FeatureStore, lock: WriteLock, options: ClusterOptions, log: JsonLog, reporter: Reporter) -> None:
    """Compact a locked store, if that makes fewer row parts."""
    if old := list_old_parts(store):
        reporter.say(f"an earlier run stopped before its last step: removing {count_noun(len(old), 'old row part')}")
        remove_old_parts(store)
    plan = plan_compaction(store)
    reporter.show_table("compact: the plan", _describe(plan))
    log.write("plan", rows=len(plan.live), todo=len(plan.todo), units=len(plan), parts=plan.parts)
    if not plan.is_needed:
        reporter.say("nothing to do: the store would keep as many row parts as it has")
        return
    store = begin_compaction(store, plan, lock)
    wall_s = _rewrite(store, plan, options, log, reporter)
    swap_shards(store, plan, lock)
    log.write("end", rows=len(plan.live), parts=plan.parts_after, wall_s=round(wall_s, 3))
    reporter.show_table(
        "compact: done",
        {
            "rows": len(plan.live),
            "row parts": f"{plan.parts_after}, were {plan.parts}",
            "time": format_duration(wall_s),
            "result": store.path,
        },
    )


def _describe(plan: Compaction) -> dict[str, Any]:
    """Describe a compaction, as names and values for people."""
    done = len(plan.live) - len(plan.todo)
    todo = f"{count_noun(len(plan.todo), 'row')} in {count_noun(len(plan), 'unit')}"
    return {
        "current rows": len(plan.live),
        **({"done already": f"{count_noun(done, 'row')}, by an earlier run"} if plan.is_begun else {}),
        "row parts": f"{plan.parts} now, {plan.parts_after} after",
        "to do": todo if plan.is_needed else "nothing",
        "to read and write": f"{format_size(plan.bytes_to_move if plan.is_needed else 0)} before compression",
        "memory a task": f"{format_size(plan.peak_bytes)} at most, beside the worker's own",
    }


def _rewrite(store: FeatureStore, plan: Compaction, options: ClusterOptions, log: JsonLog, reporter: Reporter) -> float:
    """Run every unit; return the seconds taken.

    Raises
    ------
    RunStopped, UnitsLost
        The store is then as it was.
    """
    if not len(plan):
        return 0.0
    with open_run("compact", options, log, reporter, output=store.path, plan=_describe(plan)) as run:
        goal = Goal(len(plan.todo), len(plan), counted="rows")
        summary = run_units(run, "compact", plan.units(), CompactTask(store.with_absolute_path()), goal)
        for unit in summary.lost:
            reporter.warn(f"lost: shard {unit.unit}: {unit.reason}")
        units = f"of {count_noun(len(plan), 'unit')}"
        if run.is_stopped:
            raise RunStopped(f"{summary.units} {units} rewritten; the store is as it was: the same command resumes")
        if lost := summary.lost_units:
            raise UnitsLost(f"{lost} {units} lost: the store is as it was; run the same command again")
    return summary.wall_s


def _prune(store: FeatureStore, lock: WriteLock, log: JsonLog, reporter: Reporter, *, wanted: bool) -> None:
    """Remove the old shards, or say how much that would free."""
    if not wanted:
        if old := find_prunable_shards(store):
            size, shards = format_size(sum(old.values())), count_noun(len(old), "old shard")
            reporter.say(f"{shards} kept for open readers; hubbub compact {store.path} --prune frees {size}")
        return
    lock.check()
    freed = prune_shards(store)
    log.write("prune", bytes=freed)
    reporter.say(f"{format_size(freed)} freed: the shards from before the last compaction are removed")
