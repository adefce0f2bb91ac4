"""``hubbub verify``: every row accounted for, every checksum right; ``--repair`` makes again what is broken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hubbub.io.paths import StoragePath, parse_path

from . import options

if TYPE_CHECKING:
    from hubbub.clips.table import ClipTable
    from hubbub.labels.tables import LabelTables
    from hubbub.store.features import FeatureStore
    from hubbub.store.verify import Problem
    from hubbub.tasks.verify import KnownClips

    from .console import JsonLog
    from .runs import Where

_SHOWN = 100
_BYTES_A_SECOND = 400e6  # of one process, decoding and adding up
_SHARD_S, _REMOTE_SHARD_S = 0.003, 0.05  # to read a row part and begin with a shard, on a disk and in a bucket
_UNIT_S = 0.02  # to read the three parts of a unit of label tables
_WINDOW_S = 0.02  # to decode and transform one window
_CLUSTER_STARTS_S = 4.0
"""Seconds of work from which two processes more are worth the wait for them."""


def verify(
    path: Annotated[
        StoragePath, typer.Argument(parser=parse_path, help="A feature store or label tables.", metavar="STORE|LABELS")
    ],
    clips: Annotated[
        StoragePath | None,
        typer.Option(
            parser=parse_path,
            help="Check as well that each clip of this table is in the store; --repair then makes those that are not.",
            metavar="CLIPS",
        ),
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Make broken clips again from their recordings, and remove what is left.")
    ] = False,
    cluster: options.ClusterIfAny = None,
    workers: options.Workers = None,
    ship: options.Ship = False,
    log_json: options.LogJson = None,
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Check a feature store or label tables against their own records, on a disk or in a bucket."""
    from hubbub.clips.table import read_table
    from hubbub.errors import StoreError, UsageError
    from hubbub.labels.tables import is_labels, open_labels
    from hubbub.store.features import is_store, open_store

    from . import console
    from .runs import Where

    Where(cluster or "local", workers).check()
    run = _Run(path, cluster, workers, ship, console.JsonLog(log_json, "verify"))
    if is_store(path):
        store, table = open_store(path), None if clips is None else read_table(clips)
        code = _store(run, store, table, repair=repair)
    elif is_labels(path):
        if clips is not None:
            raise UsageError(f"--clips {clips} goes with a feature store; {path} holds label tables")
        code = _labels(run, open_labels(path), repair=repair)
    else:
        raise StoreError(f"{path} is neither a feature store nor label tables; expected a folder that hubbub made")
    raise typer.Exit(code)


@dataclass(frozen=True)
class _Run:
    """Where a check runs, and what it is of."""

    path: StoragePath
    cluster: str | None
    workers: int | None
    ship: bool
    log: JsonLog

    def where(self, work_s: float) -> Where:
        """Where it was asked for; else what suits so many seconds of work."""
        from .runs import Where

        if self.cluster is not None or self.workers is not None:
            return Where(self.cluster or "local", self.workers, self.ship)
        return Where("serial" if work_s < _CLUSTER_STARTS_S else "local")


@dataclass(frozen=True)
class _Found:
    """What a check found."""

    checked: int
    rows: int
    size_bytes: int
    document: bytes
    problems: tuple[Problem, ...]

    @property
    def broken(self) -> list[int]:
        """Numbers of the shards, or units, that are to be made again."""
        return sorted({p.unit for p in self.problems if p.mend == "recompute" and p.unit is not None})

    def mends(self, how: str) -> bool:
        """Whether any problem is mended in this way."""
        return any(problem.mend == how for problem in self.problems)


def _store(run: _Run, store: FeatureStore, table: ClipTable | None, *, repair: bool) -> int:
    from hubbub.io.lock import write_lock

    from . import console

    if not repair:
        found = _calm(run, _check_store(run, store, table, _counting(store)))
        _tell(run, found, "shards")
        if any(problem.mend for problem in found.problems):
            console.warn(f"hubbub verify {run.path} --repair mends what can be mended")
        return 1 if found.problems else 0
    with write_lock(run.path, "verify --repair", notice=console.warn) as claim:
        found = _check_store(run, store, table, _counting(store))
        _tell(run, found, "shards")
        if not found.problems:
            return 0
        store = replace(store, holder=claim.holder)
        return _repair_store(run, store, table, found)


def _counting(store: FeatureStore) -> list[int]:
    """Numbers of the committed shards, without those that a compaction replaced."""
    return [shard for shard in store.committed() if shard >= store.first_shard]


def _check_store(run: _Run, store: FeatureStore, table: ClipTable | None, shards: Sequence[int]) -> _Found:
    """Check some committed shards, and everything else about a store."""
    from hubbub.io.paths import is_local
    from hubbub.planning.plan import row_bytes
    from hubbub.store.verify import verify_array, verify_clips, verify_objects
    from hubbub.tasks.verify import VerifyTask

    document, problems = verify_array(store)
    problems += verify_objects(store)
    shard_s = _SHARD_S if is_local(store.path) else _REMOTE_SHARD_S
    work_s = len(shards) * (shard_s + store.rows_per_shard * row_bytes(store.settings) / _BYTES_A_SECOND)
    found = _check(run, VerifyTask(store.with_absolute_path(), document), shards, "shards", store.rows_folder, work_s)
    every = (*problems, *found.problems, *verify_clips(store, table))
    return replace(found, document=document, problems=every)


def _check(run: _Run, task: Any, numbers: Sequence[int], what: str, parts: StoragePath, work_s: float) -> _Found:
    """Check shards or units, by their numbers, on an engine; `parts` is the folder of their commit records.

    Raises
    ------
    typer.Exit
        When it was stopped.
    """
    from hubbub.store.parts import part_path
    from hubbub.store.verify import Problem
    from hubbub.tasks.result import UnitLost, UnitResult
    from hubbub.tasks.verify import VerifyResult, group_units

    from . import console
    from .fanout import Goal, run_units
    from .runs import INTERRUPTED, Run, make_path_checks

    rows = size_bytes = checked = 0
    problems: list[Problem] = []

    def see(result: VerifyResult | UnitLost) -> UnitResult | UnitLost:
        nonlocal rows, size_bytes, checked
        if isinstance(result, UnitLost):
            problems.append(Problem(what, f"{result.clips} could not be checked: {result.reason}"))
            return result
        problems.extend(result.problems)
        rows, size_bytes, checked = rows + result.rows, size_bytes + result.size_bytes, checked + result.checked
        return UnitResult(result.unit, 0, 0, result.checked, result.rows, 0.0, result.size_bytes)

    units, path_checks = (
        group_units(numbers),
        make_path_checks("what is checked", *(part_path(parts, n) for n in numbers[:1])),
    )
    checking = Run("verify", run.where(work_s), console.JsonLog(None, "verify"))  # the log has problems, not units
    run_units(checking, "verify", units, task, Goal(len(numbers), counted=what), path_checks=path_checks, see=see)
    if checking.stop.is_set() and checked < len(numbers):
        console.warn(f"{checked} of {len(numbers)} {what} are checked, {len(problems)} problems found among them")
        raise typer.Exit(INTERRUPTED)
    problems.sort(key=lambda problem: (problem.unit is None, problem.unit or 0))
    return _Found(checked, rows, size_bytes, b"", tuple(problems))


def _calm(run: _Run, found: _Found) -> _Found:
    """What was found, without what a run that is under way explains."""
    from hubbub.io.lock import read_holder

    from . import console

    in_flight = [problem for problem in found.problems if problem.in_flight]
    holder = read_holder(run.path) if in_flight else None
    if holder is None:
        return found
    console.warn(f"a run is under way: {holder}; {len(in_flight)} things that it has in hand are left out")
    return replace(found, problems=tuple(problem for problem in found.problems if not problem.in_flight))


def _tell(run: _Run, found: _Found, what: str, title: str = "verify: done") -> None:
    """Name every problem, and print the summary table."""
    from . import console

    for problem in found.problems:
        run.log.write("problem", **asdict(problem))
    for problem in found.problems[:_SHOWN]:
        console.say(str(problem))
    if len(found.problems) > _SHOWN:
        console.say(f"… and {len(found.problems) - _SHOWN} more; --log-json FILE has them all")
    checked = {"checked": f"{found.checked} {what}"}
    if found.rows:
        checked |= {"checksums": f"of {found.rows} rows, {console.size(found.size_bytes)} as stored"}
    console.summary(title, {**checked, "problems": len(found.problems)})
    run.log.write("end", checked=found.checked, rows=found.rows, problems=len(found.problems))


def _repair_store(run: _Run, store: FeatureStore, given: ClipTable | None, found: _Found) -> int:
    """Mend what can be mended, check it, and say what is right now; returns the exit code."""
    from hubbub.store.compaction import remove_old_parts
    from hubbub.store.features import open_store
    from hubbub.store.verify import BROKEN
    from hubbub.tasks.verify import (
        collect_known_clips,
        find_recordings_root,
        list_failed_clips,
        move_broken_shards,
        record_dropped_clips,
        remove_broken_folder,
        write_descriptions,
    )

    from . import console

    table = given or _source(store, found)
    remove_old_parts(store)  # of which a compaction made others: those count, and are what is mended
    if found.mends("write"):
        write_descriptions(store, found.problems)
    if found.broken:
        move_broken_shards(store, found.broken, found.document, find_recordings_root(store, table))
    store.grow(max(store.committed(), default=-1) + 1)
    known = collect_known_clips(store)
    made = _remake(run, store, known, table) if found.broken or found.mends("run") else _Made((), 0)
    record_dropped_clips(store, known)
    after = open_store(run.path)
    doubtful = {problem.unit for problem in found.problems} | set(made.shards)
    again = [shard for shard in after.committed() if shard in doubtful]
    now = _check_store(run, after, given, again)
    unknown = known.torn if table is None and any("a run broke off" in p.what for p in now.problems) else ()
    if not made.lost and not unknown:
        remove_broken_folder(store)
        now = replace(now, problems=tuple(problem for problem in now.problems if problem.where != BROKEN))
    _tell(run, now, "shards", "repair: done" if not now.problems else "repair: not finished")
    if unknown:
        console.warn(_what_to_type(run, store, len(unknown)))
    if failed := list_failed_clips(collect_known_clips(after)) - list_failed_clips(known):
        console.warn(f"{len(failed)} clips could not be made again and are failed rows now")
    return 1 if now.problems or failed else 0


def _what_to_type(run: _Run, store: FeatureStore, torn: int) -> str:
    return (
        f"which clips {torn} torn or foreign row parts held is not known, and {store.provenance.get('source')}, which "
        f"the store was made from, is not there or another table by now. Make its clips again with: "
        f"hubbub features CLIPS -o {run.path}, then: hubbub verify {run.path} --repair"
    )


def _source(store: FeatureStore, found: _Found) -> ClipTable | None:
    """The clip table that the store was made from, where it is needed: parts are torn, or clips have no row at all."""
    from hubbub.clips.table import read_table
    from hubbub.errors import HubbubError

    from . import console

    needed = any(p.mend == "run" or (p.mend == "recompute" and not p.clips) for p in found.problems)
    source, root = store.provenance.get("source"), store.provenance.get("root")
    if not needed or not source:
        return None
    try:
        table = read_table(parse_path(source))
    except (HubbubError, OSError):
        return None
    if root is not None and str(table.root) != root:
        return None  # another table that has its name
    console.say(f"clips that row parts do not tell of are those of {source}")
    return table


@dataclass(frozen=True)
class _Made:
    """What a repair made: numbers of shards, and how many units no worker brought to their end."""

    shards: tuple[int, ...]
    lost: int


def _remake(run: _Run, store: FeatureStore, known: KnownClips, table: ClipTable | None) -> _Made:
    """Make what is missing, as ``hubbub features`` does."""
    from hubbub.planning.plan import row_bytes
    from hubbub.store.rows import row_schema
    from hubbub.tasks.extract import ExtractTask
    from hubbub.tasks.verify import find_recordings_root, plan_repair, repair_clips

    from . import console
    from .fanout import plan_lines, run_plan, show_plan
    from .runs import INTERRUPTED, begun

    clips = repair_clips(known, table, find_recordings_root(store, table))
    if clips is None:
        return _Made((), 0)
    plan = plan_repair(store, known, clips)
    to_store = plan.windows * row_bytes(store.settings)
    show_plan("repair", plan, to_store=to_store)
    if not len(plan):
        return _Made((), 0)
    if store.settings.variants is not None:
        from hubbub.audio.effects import check_effect_recordings

        check_effect_recordings(store.settings.variants, sample_rate=store.settings.frontend.sample_rate)
    store.grow(plan.n_shards)
    task = ExtractTask(store.with_absolute_path(), clips.root, row_schema(clips.rows.schema))
    where = run.where(plan.windows * _WINDOW_S)
    with begun("repair", where, run.log, store.path, plan_lines(plan, to_store=to_store)) as doing:
        tally = run_plan(doing, plan, task, root=clips.root)
        if doing.is_stopped:
            console.warn(f"{tally.units} of {len(plan)} units are made; the same command goes on with the others")
            raise typer.Exit(INTERRUPTED)
    for uri, reason in tally.reasons:
        console.warn(f"failed: {uri}: {reason}")
    return _Made(plan.indices, tally.lost_units)


def _labels(run: _Run, tables: LabelTables, *, repair: bool) -> int:
    """Check label tables; a repair puts broken units aside, which ``hubbub label`` then makes again."""
    from hubbub.io.lock import write_lock

    from . import console

    if not repair:
        found = _calm(run, _check_labels(run, tables))
        _tell(run, found, "units")
        if any(problem.mend for problem in found.problems):
            console.warn(f"hubbub verify {run.path} --repair puts aside what is broken")
        return 1 if found.problems else 0
    from hubbub.tasks.verify import move_broken_units

    with write_lock(run.path, "verify --repair", notice=console.warn):
        found = _check_labels(run, tables)
        _tell(run, found, "units")
        if not found.problems:
            return 0
        move_broken_units(tables, found.broken, found.problems)
        now = _check_labels(run, tables)
        _tell(run, now, "units", "repair: done" if not now.problems else "repair: not finished")
        if found.broken or now.mends("run"):
            again = tables.run.get("command", f"hubbub label FILES --model {tables.run.get('bundle', 'BUNDLE')}")
            console.warn(f"label again what is missing with: {again} -o {run.path}")
        return 1 if now.problems or found.broken else 0


def _check_labels(run: _Run, tables: LabelTables) -> _Found:
    from hubbub.store.verify import verify_files, verify_label_objects
    from hubbub.tasks.verify import VerifyLabelsTask

    units = tables.committed()
    found = _check(
        run, VerifyLabelsTask(tables.with_absolute_path()), units, "units", tables.path / "files", len(units) * _UNIT_S
    )
    return replace(found, problems=(*found.problems, *verify_label_objects(tables), *verify_files(tables)))
