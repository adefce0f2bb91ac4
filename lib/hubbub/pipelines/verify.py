"""Verify a feature store or label tables on an engine, and repair them. What ``hubbub verify`` does."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hubbub.clips.table import ClipTable
from hubbub.engine import Task
from hubbub.errors import RunStopped, StoreError, UsageError
from hubbub.io.lock import read_holder, write_lock
from hubbub.io.paths import StoragePath, is_local
from hubbub.io.text import count_noun
from hubbub.labels.reviews.verify import verify_reviews
from hubbub.labels.tables import LabelTables, is_labels, open_labels
from hubbub.labels.verify import verify_files, verify_label_objects
from hubbub.pipelines.execution import run_units
from hubbub.pipelines.inputs import as_clips, as_path
from hubbub.pipelines.json_log import JsonLog
from hubbub.pipelines.progress import Goal
from hubbub.pipelines.quantities import format_size
from hubbub.pipelines.reporting import Reporter, choose_reporter
from hubbub.pipelines.run_folder import ClusterOptions, Run, make_path_checks
from hubbub.planning.sizes import row_bytes
from hubbub.store.features import FeatureStore
from hubbub.store.opening import is_store, open_store
from hubbub.store.parts import part_path
from hubbub.store.problems import Problem
from hubbub.store.verify import verify_clips
from hubbub.store.verify_layout import verify_array, verify_objects
from hubbub.tasks.embed import MODEL_FOLDER, find_store_model
from hubbub.tasks.result import UnitLost
from hubbub.tasks.verify import VerifyLabelsTask, VerifyResult, VerifyTask, group_units, move_broken_units

if TYPE_CHECKING:
    from distributed import Client

    from hubbub.pipelines.inputs import PathLike

_MAX_SHOWN = 100
_BYTES_A_SECOND = 400e6  # of one process, decoding and computing checksums
_SHARD_S, _REMOTE_SHARD_S = 0.003, 0.05  # to read a row part and open a shard, on a disk and in a bucket
_UNIT_S = 0.02  # to read the three parts of a unit of label tables
_CLUSTER_WORTH_S = 4.0
"""Seconds of work from which a local cluster saves more time than its start takes."""


@dataclass(frozen=True)
class Verification:
    """What a verification found.

    Attributes
    ----------
    checked
        Number of shards, or of units of label tables.
    rows, size_bytes
        Rows whose checksums were compared, and the bytes of their shards.
    document
        The metadata that shards are decoded by.
    problems
        What is wrong; empty where all is right.
    is_repaired
        Whether a repair ran and left nothing to do.
    """

    checked: int
    rows: int
    size_bytes: int
    document: bytes
    problems: tuple[Problem, ...]
    is_repaired: bool = False

    @property
    def is_ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def broken(self) -> list[int]:
        """Numbers of the shards, or units, that have to be computed again."""
        return sorted({p.unit for p in self.problems if p.mend == "recompute" and p.unit is not None})

    def mends(self, how: str) -> bool:
        """Tell whether any problem is mended in this way."""
        return any(problem.mend == how for problem in self.problems)

    def __repr__(self) -> str:
        """Describe the verification in one line."""
        return f"<Verification: {self.checked} checked, {count_noun(len(self.problems), 'problem')}>"


@dataclass(frozen=True)
class Verifier:
    """Where a verification runs, what it is of, and whom it tells.

    Attributes
    ----------
    path
        The store or label tables.
    options
        The cluster that the caller names, if any.
    log, reporter
        Receive problems and messages.
    """

    path: StoragePath
    options: ClusterOptions
    log: JsonLog
    reporter: Reporter

    def choose_cluster(self, work_s: float) -> ClusterOptions:
        """Return the cluster that the caller names, else one that suits so many seconds of work."""
        options = self.options
        if options.cluster is not None or options.workers is not None or options.client is not None:
            return options
        return ClusterOptions("serial" if work_s < _CLUSTER_WORTH_S else "local")


def verify(
    path: PathLike | FeatureStore | LabelTables,
    *,
    clips: PathLike | ClipTable | None = None,
    repair: bool = False,
    cluster: str | None = None,
    workers: int | None = None,
    client: Client | None = None,
    ship: bool = False,
    log_json: str | os.PathLike[str] | None = None,
    progress: bool = False,
    reporter: Reporter | None = None,
) -> Verification:
    """Verify a store or label tables; see `hubbub.verify`."""
    from hubbub.pipelines.repair import repair_store

    reporter = choose_reporter(reporter, progress=progress)
    options = ClusterOptions(cluster, workers, ship, client)
    options.check()
    target = path.path if isinstance(path, FeatureStore | LabelTables) else as_path(path, "path")
    log = JsonLog(None if log_json is None else Path(log_json), "verify", reporter.warn)
    verifier = Verifier(target, options, log, reporter)
    if is_store(target):
        store, table = open_store(target), None if clips is None else as_clips(clips)
        return repair_store(verifier, store, table) if repair else _verify_store(verifier, store, table)
    if not is_labels(target):
        raise StoreError(f"{target} is neither a feature store nor label tables; expected a folder that hubbub made")
    if clips is not None:
        raise UsageError(f"--clips {clips} goes with a feature store; {target} holds label tables")
    return _repair_labels(verifier, open_labels(target)) if repair else _verify_labels(verifier, open_labels(target))


def _verify_store(verifier: Verifier, store: FeatureStore, table: ClipTable | None) -> Verification:
    found = _leave_out_units_in_flight(verifier, check_store(verifier, store, table, list_current_shards(store)))
    report_problems(verifier, found, "shards")
    if any(problem.mend for problem in found.problems):
        verifier.reporter.warn(f"hubbub verify {verifier.path} --repair repairs what can be repaired")
    return found


def list_current_shards(store: FeatureStore) -> list[int]:
    """Return the numbers of the committed shards, without those that a compaction replaced."""
    return [shard for shard in store.committed() if shard >= store.first_shard]


def check_store(
    verifier: Verifier, store: FeatureStore, table: ClipTable | None, shards: Sequence[int]
) -> Verification:
    """Check some committed shards, and everything else about a store."""
    document, problems = verify_array(store)
    problems += [*verify_objects(store), *_verify_model(store)]
    shard_s = _SHARD_S if is_local(store.path) else _REMOTE_SHARD_S
    work_s = len(shards) * (shard_s + store.rows_per_shard * row_bytes(store.settings) / _BYTES_A_SECOND)
    task = VerifyTask(store.with_absolute_path(), document)
    found = _check(verifier, task, shards, "shards", store.rows_folder, work_s)
    return replace(found, document=document, problems=(*problems, *found.problems, *verify_clips(store, table)))


def _verify_model(store: FeatureStore) -> Iterator[Problem]:
    """Check the copy of the model in a store of embeddings."""
    try:
        if store.holds_embeddings:
            find_store_model(store)
    except StoreError as error:
        yield Problem(MODEL_FOLDER, str(error))


def _check(
    verifier: Verifier, task: Task, numbers: Sequence[int], noun: str, parts: StoragePath, work_s: float
) -> Verification:
    """Check shards or units, by their numbers, on an engine.

    Parameters
    ----------
    noun
        ``shards`` or ``units``.
    parts
        The folder of their commit records.
    work_s
        Seconds of work, estimated.

    Raises
    ------
    RunStopped
        When Ctrl-C drained the run.
    """
    rows = size_bytes = checked = 0
    problems: list[Problem] = []

    def convert(result: VerifyResult | UnitLost) -> VerifyResult | UnitLost:
        nonlocal rows, size_bytes, checked
        if isinstance(result, UnitLost):
            problems.append(Problem(noun, f"{result.clips} could not be checked: {result.reason}"))
            return result
        problems.extend(result.problems)
        rows, size_bytes, checked = rows + result.rows, size_bytes + result.bytes_read, checked + result.windows
        return result

    # The log has problems, not units.
    run = Run("verify", verifier.choose_cluster(work_s), JsonLog(None, "verify"), verifier.reporter)
    run_units(
        run,
        "verify",
        group_units(numbers),
        task,
        Goal(len(numbers), counted=noun),
        path_checks=make_path_checks("what is checked", *(part_path(parts, n) for n in numbers[:1])),
        convert=convert,
    )
    if run.stop.is_set() and checked < len(numbers):
        found = count_noun(len(problems), "problem")
        raise RunStopped(f"stopped: {checked} of {len(numbers)} {noun} are checked, {found} found; run it again")
    problems.sort(key=lambda problem: (problem.unit is None, problem.unit or 0))
    return Verification(checked, rows, size_bytes, b"", tuple(problems))


def _leave_out_units_in_flight(verifier: Verifier, found: Verification) -> Verification:
    """Leave out problems that a run under way explains."""
    in_flight = [problem for problem in found.problems if problem.in_flight]
    holder = read_holder(verifier.path) if in_flight else None
    if holder is None:
        return found
    unfinished = count_noun(len(in_flight), "unfinished item")
    verifier.reporter.warn(f"a run is under way: {holder}; its {unfinished} left out")
    return replace(found, problems=tuple(problem for problem in found.problems if not problem.in_flight))


def report_problems(verifier: Verifier, found: Verification, noun: str, title: str = "verify: done") -> None:
    """Show and log every problem, and show the summary table."""
    log, reporter = verifier.log, verifier.reporter
    for problem in found.problems:
        log.write("problem", **asdict(problem))
    for problem in found.problems[:_MAX_SHOWN]:
        reporter.say(str(problem))
    if len(found.problems) > _MAX_SHOWN:
        reporter.say(f"… and {len(found.problems) - _MAX_SHOWN} more; --log-json FILE has them all")
    checked = {"checked": f"{found.checked} {noun}"}
    if found.rows:
        checked |= {"checksums": f"of {count_noun(found.rows, 'row')}, {format_size(found.size_bytes)} as stored"}
    reporter.show_table(title, {**checked, "problems": len(found.problems)})
    log.write("end", checked=found.checked, rows=found.rows, problems=len(found.problems))


def _verify_labels(verifier: Verifier, tables: LabelTables) -> Verification:
    found = _leave_out_units_in_flight(verifier, _check_labels(verifier, tables))
    report_problems(verifier, found, "units")
    if any(problem.mend for problem in found.problems):
        verifier.reporter.warn(f"hubbub verify {verifier.path} --repair moves broken units aside")
    return found


def _repair_labels(verifier: Verifier, tables: LabelTables) -> Verification:
    """Move broken units aside; ``hubbub label`` then makes them again."""
    reporter = verifier.reporter
    with write_lock(verifier.path, "verify --repair", notice=reporter.warn):
        found = _check_labels(verifier, tables)
        report_problems(verifier, found, "units")
        if not found.problems:
            return replace(found, is_repaired=True)
        move_broken_units(tables, found.broken, found.problems)
        now = _check_labels(verifier, tables)
        report_problems(verifier, now, "units", "repair: done" if not now.problems else "repair: not finished")
        if found.broken or now.mends("run"):
            command = tables.run.get("command", f"hubbub label FILES --model {tables.run.get('bundle', 'BUNDLE')}")
            reporter.warn(f"label the missing files again with: {command} -o {verifier.path}")
        return replace(now, is_repaired=not now.problems and not found.broken)


def _check_labels(verifier: Verifier, tables: LabelTables) -> Verification:
    units, task = tables.committed(), VerifyLabelsTask(tables.with_absolute_path())
    found = _check(verifier, task, units, "units", tables.path / "files", len(units) * _UNIT_S)
    others = (*verify_label_objects(tables), *verify_files(tables), *verify_reviews(tables))
    return replace(found, problems=(*found.problems, *others))
