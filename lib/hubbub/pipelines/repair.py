"""Repair a feature store: compute broken clips again, rewrite metadata, remove leftovers of runs that broke off."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hubbub.clips.table import ClipTable, read_table
from hubbub.errors import HubbubError, RunStopped
from hubbub.io.lock import write_lock
from hubbub.io.paths import parse_path
from hubbub.io.text import count_noun
from hubbub.pipelines.execution import describe_plan, run_plan
from hubbub.pipelines.run_folder import open_run
from hubbub.pipelines.verify import Verification, Verifier, check_store, list_current_shards, report_problems
from hubbub.planning.sizes import row_bytes
from hubbub.store.compaction import remove_old_parts
from hubbub.store.features import FeatureStore
from hubbub.store.opening import open_store
from hubbub.store.problems import BROKEN
from hubbub.store.rows import row_schema
from hubbub.tasks.embed import make_store_task
from hubbub.tasks.verify import (
    KnownClips,
    collect_known_clips,
    find_recordings_root,
    list_failed_clips,
    move_broken_shards,
    plan_repair,
    record_dropped_clips,
    remove_broken_folder,
    repair_clips,
    write_descriptions,
)

_WINDOW_S = 0.02  # to decode and transform one window


@dataclass(frozen=True)
class _Recomputed:
    """Shards that a repair computed, and the number of units that no worker finished."""

    shards: tuple[int, ...]
    lost: int


def repair_store(verifier: Verifier, store: FeatureStore, table: ClipTable | None) -> Verification:
    """Verify a store, repair it, and verify it again."""
    with write_lock(verifier.path, "verify --repair", notice=verifier.reporter.warn) as lock:
        found = check_store(verifier, store, table, list_current_shards(store))
        report_problems(verifier, found, "shards")
        if not found.problems:
            return replace(found, is_repaired=True)
        return _repair(verifier, replace(store, holder=lock.holder), table, found)


def _repair(verifier: Verifier, store: FeatureStore, given: ClipTable | None, found: Verification) -> Verification:
    table = given or _find_clip_table(verifier, store, found)
    remove_old_parts(store)  # which a compaction replaced: the new parts are repaired
    if found.mends("write"):
        write_descriptions(store, found.problems)
    if found.broken:
        move_broken_shards(store, found.broken, found.document, find_recordings_root(store, table))
    store.grow(max(store.committed(), default=-1) + 1)
    known = collect_known_clips(store)
    needs_clips = found.broken or found.mends("run")
    recomputed = _recompute(verifier, store, known, table) if needs_clips else _Recomputed((), 0)
    record_dropped_clips(store, known)
    after = open_store(verifier.path)
    doubtful = {problem.unit for problem in found.problems} | set(recomputed.shards)
    now = check_store(verifier, after, given, [shard for shard in after.committed() if shard in doubtful])
    unknown = known.torn if table is None and any("a run broke off" in p.what for p in now.problems) else ()
    if not recomputed.lost and not unknown:
        remove_broken_folder(store)
        now = replace(now, problems=tuple(problem for problem in now.problems if problem.where != BROKEN))
    report_problems(verifier, now, "shards", "repair: done" if not now.problems else "repair: not finished")
    if unknown:
        verifier.reporter.warn(_describe_unknown_clips(verifier, store, len(unknown)))
    if failed := list_failed_clips(collect_known_clips(after)) - list_failed_clips(known):
        clips = count_noun(len(failed), "clip")
        verifier.reporter.warn(f"{clips} could not be computed again: failed rows hold the reasons")
    return replace(now, is_repaired=not now.problems and not failed)


def _describe_unknown_clips(verifier: Verifier, store: FeatureStore, torn: int) -> str:
    return (
        f"the clips of {count_noun(torn, 'truncated or foreign row part')} are unknown, and the clip table that the "
        f"store was built from, {store.provenance.get('source')}, is missing or has changed. Compute the clips again "
        f"with: hubbub features CLIPS -o {verifier.path}, then: hubbub verify {verifier.path} --repair"
    )


def _find_clip_table(verifier: Verifier, store: FeatureStore, found: Verification) -> ClipTable | None:
    """Read the clip table that the store was built from, where row parts are truncated or clips have no row."""
    needed = any(p.mend == "run" or (p.mend == "recompute" and not p.clips) for p in found.problems)
    source, root = store.provenance.get("source"), store.provenance.get("root")
    if not needed or not source:
        return None
    try:
        table = read_table(parse_path(source))
    except (HubbubError, OSError):
        return None
    if root is not None and str(table.root) != root:
        return None  # another table of the same name
    verifier.reporter.say(f"clips that no row part names are taken from {source}")
    return table


def _recompute(verifier: Verifier, store: FeatureStore, known: KnownClips, table: ClipTable | None) -> _Recomputed:
    """Compute missing rows, as ``hubbub features`` does."""
    clips = repair_clips(known, table, find_recordings_root(store, table))
    if clips is None:
        return _Recomputed((), 0)
    plan = plan_repair(store, known, clips)
    described = describe_plan(plan, bytes_to_store=plan.windows * row_bytes(store.settings))
    verifier.reporter.show_table("repair: the plan", described)
    if not len(plan):
        return _Recomputed((), 0)
    if store.settings.variants is not None:
        from hubbub.audio.effects import check_effect_recordings

        check_effect_recordings(store.settings.variants, sample_rate=store.settings.frontend.sample_rate)
    store.grow(plan.n_shards)
    task = make_store_task(store.with_absolute_path(), clips.root, row_schema(clips.rows.schema))
    cluster = verifier.choose_cluster(plan.windows * _WINDOW_S)
    with open_run("repair", cluster, verifier.log, verifier.reporter, output=store.path, plan=described) as run:
        summary = run_plan(run, plan, task, root=clips.root)
        if run.is_stopped:
            raise RunStopped(
                f"stopped: {summary.units} of {count_noun(len(plan), 'unit')} are computed; the same command resumes"
            )
    for uri, reason in summary.reasons:
        verifier.reporter.warn(f"failed: {uri}: {reason}")
    return _Recomputed(plan.indices, summary.lost_units)
