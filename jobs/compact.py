"""``hubbub compact``: a store with holes or tiny row parts into full shards, beside the old ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hubbub.io.paths import StoragePath, parse_path

from . import options

if TYPE_CHECKING:
    from hubbub.io.lock import WriteLock
    from hubbub.store.compaction import Compaction
    from hubbub.store.features import FeatureStore

    from .console import JsonLog
    from .runs import Where


def compact(
    path: Annotated[StoragePath, typer.Argument(parser=parse_path, help="A feature store.", metavar="STORE")],
    prune_shards: Annotated[
        bool,
        typer.Option(
            "--prune",
            help="Then remove the shards of before; only when nothing reads the store as it was before any more.",
        ),
    ] = False,
    cluster: options.Cluster = "local",
    workers: options.Workers = None,
    ship: options.Ship = False,
    dry_run: options.DryRun = False,
    log_json: options.LogJson = None,
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Rewrite a feature store into full shards, without rows that no longer count.

    Whoever opened the store before goes on reading the old shards. A run that was killed is gone on with by the same
    command.
    """
    from hubbub.io.lock import write_lock
    from hubbub.store.compaction import find_prunable_shards, plan_compaction
    from hubbub.store.features import open_store

    from . import console
    from .runs import Where

    where = Where(cluster, workers, ship)
    where.check()
    store = open_store(path)
    log = console.JsonLog(log_json, "compact")
    if dry_run:
        console.summary("compact: the plan", _lines(plan_compaction(store)))
        console.say(f"--prune would free {console.size(sum(find_prunable_shards(store).values()))} now")
        return
    with write_lock(store.path, "compact", notice=console.warn) as claim:
        _compact(path, claim, where, log)
        _prune(open_store(path), claim, log, wanted=prune_shards)


def _compact(path: StoragePath, claim: WriteLock, where: Where, log: JsonLog) -> None:
    """Compact a store that is held, if that is of use."""
    from hubbub.store.compaction import begin_compaction, list_old_parts, plan_compaction, remove_old_parts, swap_shards
    from hubbub.store.features import open_store

    from . import console

    store = open_store(path)  # as the builder before left it
    if left := list_old_parts(store):
        console.say(f"an earlier run was stopped at its end: removing the {len(left)} row parts that it replaced")
        remove_old_parts(store)
    plan = plan_compaction(store)
    console.summary("compact: the plan", _lines(plan))
    log.write("plan", rows=len(plan.live), todo=len(plan.todo), units=len(plan), parts=plan.parts)
    if not plan.is_needed:
        console.say("there is nothing to do: the store would have as many row parts as it has")
        return
    store = begin_compaction(store, plan, claim)
    wall_s = _rewritten(store, plan, where, log)
    swap_shards(store, plan, claim)
    log.write("end", rows=len(plan.live), parts=plan.parts_after, wall_s=round(wall_s, 3))
    console.summary(
        "compact: done",
        {
            "rows": len(plan.live),
            "row parts": f"{plan.parts_after}, were {plan.parts}",
            "time": console.duration(wall_s),
            "result": store.path,
        },
    )


def _lines(plan: Compaction) -> dict[str, Any]:
    """What a compaction will do, for people."""
    from . import console

    done = len(plan.live) - len(plan.todo)
    return {
        "rows that count": len(plan.live),
        **({"done already": f"{done} rows, by an earlier run"} if plan.is_begun else {}),
        "row parts": f"{plan.parts} now, {plan.parts_after} after",
        "to do": f"{len(plan.todo)} rows in {len(plan)} units" if plan.is_needed else "nothing",
        "to read and write": f"{console.size(plan.bytes_to_move if plan.is_needed else 0)} before compression",
        "memory a task": f"{console.size(plan.peak_bytes)} at most, beyond what a worker takes to start",
    }


def _rewritten(store: FeatureStore, plan: Compaction, where: Where, log: JsonLog) -> float:
    """Do every unit; returns the seconds that takes.

    Raises
    ------
    typer.Exit
        When a unit was lost, or the run was stopped.
    """
    from hubbub.tasks.compact import CompactTask

    from . import console
    from .fanout import Goal, run_units
    from .runs import INTERRUPTED, begun

    if not len(plan):
        return 0.0
    with begun("compact", where, log, store.path, _lines(plan)) as run:
        goal = Goal(len(plan.todo), len(plan), counted="rows")
        tally = run_units(run, "compact", plan.units(), CompactTask(store.with_absolute_path()), goal)
        for unit in tally.lost:
            console.warn(f"lost: shard {unit.unit}: {unit.reason}")
        if run.is_stopped:
            console.warn(f"{tally.units} of {len(plan)} units are rewritten; the store is as it was")
            raise typer.Exit(INTERRUPTED)
        if lost := tally.lost_units:
            console.warn(f"{lost} of {len(plan)} units were lost: the store is as it was; run the same command again")
            raise typer.Exit(1)
    return tally.wall_s


def _prune(store: FeatureStore, claim: WriteLock, log: JsonLog, *, wanted: bool) -> None:
    """Remove the shards of before, or say what that would free."""
    from hubbub.store.compaction import find_prunable_shards, prune_shards

    from . import console

    if not wanted:
        if held := find_prunable_shards(store):
            size = console.size(sum(held.values()))
            console.say(f"{len(held)} old shards stay for readers; hubbub compact {store.path} --prune frees {size}")
        return
    claim.check()
    freed = prune_shards(store)
    log.write("prune", bytes=freed)
    console.say(f"{console.size(freed)} freed: the shards of before the last compaction are removed")
