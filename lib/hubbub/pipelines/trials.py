"""Trials: trainings of one cross-validation or sweep, each a unit of work with a folder of its own.

::

    RUN/
      command.json           what the run is; another command is refused
      folds.parquet          clip_id, fold; where folds were drawn
      trials/NAME/
        bundle/              or bundle.partial, from which a killed trial resumes
        evaluation/          of the test fold, where the trial is tested
        trial.json           how it ended; the commit record (epoch-00005.json: how it paused)
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from hubbub.config import describe_difference
from hubbub.config.recipes import RecipeSettings
from hubbub.errors import StorageError, TrainingError
from hubbub.io.atomic import write_json
from hubbub.io.folders import refuse_foreign_folder
from hubbub.io.paths import parse_path
from hubbub.pipelines.execution import run_units
from hubbub.pipelines.progress import Goal
from hubbub.pipelines.run_folder import Run
from hubbub.store.features import FeatureStore
from hubbub.store.opening import open_store
from hubbub.tasks.result import UnitLost, UnitResult

COMMAND, FOLDS, TRIALS, RECORD = "command.json", "folds.parquet", "trials", "trial.json"

_TIME_LIMIT_S = 7 * 24 * 3600.0  # a training's length is its user's affair
_one_at_a_time = threading.Lock()  # Keras's seed and precision are the whole process's


@dataclass(frozen=True)
class Trial:
    """One training, and what is measured of it."""

    name: str
    """Of its folder."""

    store: str
    """Path or URL of the feature store, absolute."""

    model: str
    """Name of the recipe."""

    settings: RecipeSettings
    """Of the recipe."""

    seed: int = 0
    """Of the training."""

    test_fold: int | None = None
    """The fold that tests; None: parted as `split_by` says."""

    split_by: str | None = None
    """As of ``hubbub train``."""

    weights: str | None = None
    """What identifies the weights to begin with, which are the same on every worker; None: the model has none."""

    until_epoch: int | None = None
    """Epoch after which it pauses; None: the last one."""

    is_tested: bool = True
    """Whether test rows are scored at its end."""

    record: str = RECORD
    """File of its folder that says how it ended."""


@dataclass(frozen=True)
class TrialUnit:
    """A unit of one trial."""

    index: int
    items: tuple[Trial, ...]
    time_limit_s: float = _TIME_LIMIT_S


class _Paused(Exception):
    """The trial has come to the epoch where it pauses."""


@dataclass(frozen=True)
class TrialTask:
    """Train, and test, one trial on a worker.

    Attributes
    ----------
    run
        Folder of the cross-validation or sweep, which every worker sees.
    """

    run: Path

    resource: ClassVar[str] = "GPU"
    needs: ClassVar[tuple[str, ...]] = ("keras",)

    def __call__(self, unit: TrialUnit) -> UnitResult:
        """Do the trial and write its record; a trial that fails has the reason in the record.

        Raises
        ------
        StorageError
            When nothing can be written.
        """
        (trial,) = unit.items
        with _one_at_a_time:
            record = self._run_trial(trial)
        write_json(trial_folder(self.run, trial) / trial.record, record)
        is_ok = record["status"] == "ok"
        return UnitResult(
            unit.index,
            ok=int(is_ok),
            failed=int(not is_ok),
            windows=1,
            rows=0,
            audio_s=0.0,
            bytes_read=0,
            seconds={"training": record["seconds"]},
            reasons=() if is_ok else ((trial.name, record["error"]),),
        )

    def _run_trial(self, trial: Trial) -> dict[str, Any]:
        started = time.monotonic()
        known = {"trial": trial.name, "seed": trial.seed, "fold": trial.test_fold, "until_epoch": trial.until_epoch}
        try:
            found = {"status": "ok", "error": None} | self._train_and_test(trial)
        except StorageError:
            raise
        except MemoryError as error:
            found = {"status": "failed", "error": f"OutOfMemory: {error}; try a smaller train.batch_rows"}
        except Exception as error:  # whatever a trial dies of, the others go on
            found = {"status": "failed", "error": f"{type(error).__name__}: {error}".splitlines()[0]}
        return known | found | {"seconds": round(time.monotonic() - started, 3)}

    def _train_and_test(self, trial: Trial) -> dict[str, Any]:
        from hubbub.models.backends import import_keras
        from hubbub.models.bundle import read_description

        keras = import_keras()
        logging.getLogger("tensorflow").setLevel(logging.ERROR)  # every trial has graphs of its own, as it warns
        folder = trial_folder(self.run, trial)
        store = open_trial_store(self.run, trial)
        try:
            done = _train(trial, store, folder / "bundle")
            if done is not None:
                return done
            said = read_description(folder / "bundle")
            found = _describe_epochs(said["history"], said["kept_epoch"]) | {"is_finished": True}
            return found | (score_trial(store, folder) if trial.is_tested else {})
        finally:
            keras.utils.clear_session()  # else a worker grows from trial to trial


def _train(trial: Trial, store: FeatureStore, bundle: Path) -> dict[str, Any] | None:
    """Train to the end; or pause, and say where training stands."""
    from hubbub.learn.pretrained import require_weights
    from hubbub.learn.train import train

    partial = bundle.with_name(bundle.name + ".partial") / "checkpoints"

    def pause(line: Mapping[str, float]) -> None:
        if trial.until_epoch is not None and trial.until_epoch <= line["epoch"] < line["epochs"]:
            raise _Paused

    try:
        if trial.until_epoch is not None and (_read_state(partial) or {"epoch": 0})["epoch"] >= trial.until_epoch:
            raise _Paused
        require_weights(trial.model, trial.settings, trial.weights)
        train(
            store,
            bundle,
            model=trial.model,
            test_fold=trial.test_fold,
            split_by=trial.split_by,
            settings=trial.settings,
            seed=trial.seed,
            on_epoch=pause,
        )
    except _Paused:
        state = _read_state(partial)
        assert state is not None
        return _describe_epochs(state["history"], state["kept_epoch"]) | {"is_finished": False}
    return None


def _read_state(checkpoints: Path) -> dict[str, Any] | None:
    """Where a training stands, by its last checkpoint."""
    done = sorted(checkpoints.glob("[0-9]*/state.json"))
    return json.loads(done[-1].read_text(encoding="utf-8")) if done else None


def _describe_epochs(history: Sequence[Mapping[str, float]], kept_epoch: int) -> dict[str, Any]:
    kept = history[kept_epoch - 1]
    validation = {name: kept[name] for name in ("val_loss", "val_accuracy") if name in kept}
    return {"epochs": len(history), "kept_epoch": kept_epoch, "loss": kept["loss"], **validation}


def score_trial(store: FeatureStore, folder: Path) -> dict[str, Any]:
    """Score the test rows of a trial's bundle; the evaluation lies beside it."""
    from hubbub.pipelines.evaluate import evaluate

    scores = evaluate(folder / "bundle", store, folder / "evaluation")
    return {"accuracy": scores.accuracy, "macro_f1": scores.macro_f1, "clips": len(scores.predictions)}


def open_trial_store(run: Path, trial: Trial) -> FeatureStore:
    """Open the store of a trial, with the folds that the run has drawn, if it has."""
    store = open_store(parse_path(trial.store))
    file = run / FOLDS
    if not file.exists():
        return store
    import pandas as pd

    from hubbub.learn.folded_store import fold_store

    table = pd.read_parquet(file)
    return fold_store(store, dict(zip(table["clip_id"], table["fold"].astype(int), strict=True)))


def trial_folder(run: Path, trial: Trial) -> Path:
    """Folder of a trial."""
    return run / TRIALS / trial.name


def read_record(run: Path, trial: Trial) -> dict[str, Any] | None:
    """How a trial ended; None where it has not."""
    try:
        return json.loads((trial_folder(run, trial) / trial.record).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        file = trial_folder(run, trial) / trial.record
        raise TrainingError(f"{file} cannot be read ({error}); delete it to make the trial again") from None


def is_done(run: Path, trial: Trial, *, retry_failed: bool) -> bool:
    """Tell whether a trial need not be run: it has come to its end, or to where it pauses."""
    record = read_record(run, trial)
    return record is not None and (record["status"] == "ok" or not retry_failed)


@dataclass
class TrialResults:
    """Records of trials after a run of theirs."""

    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By name; of trials that no worker finished, too, with the status `lost`."""

    @property
    def failed(self) -> list[dict[str, Any]]:
        """Of trials that did not end well."""
        return [record for record in self.records.values() if record["status"] != "ok"]


def fix_weights_of(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    """Return trials whose settings name the same weights on every worker; fetches those that are not here yet.

    Raises
    ------
    TrainingError
        There are no such weights, or they cannot be fetched.
    """
    from hubbub.learn.pretrained import fix_weights

    known: dict[tuple[str, str], tuple[RecipeSettings, str | None]] = {}
    fixed = []
    for one in trials:
        key = (one.model, one.settings.model_dump_json())
        settings, identity = known[key] = known.get(key) or fix_weights(one.model, one.settings)
        fixed.append(replace(one, settings=settings, weights=identity))
    return tuple(fixed)


def run_trials(run: Run, folder: Path, trials: Sequence[Trial], *, retry_failed: bool) -> TrialResults:
    """Run the trials that are not done on the engine of a run; returns the records of all that have one."""
    todo = [one for one in trials if not is_done(folder, one, retry_failed=retry_failed)]
    lost: dict[str, str] = {}

    def note(result: UnitResult | UnitLost) -> UnitResult | UnitLost:
        if isinstance(result, UnitLost):
            lost[todo[result.unit].name] = result.reason
        return result

    for one in todo:
        trial_folder(folder, one).mkdir(parents=True, exist_ok=True)
        (trial_folder(folder, one) / one.record).unlink(missing_ok=True)
    if todo:
        units = [TrialUnit(number, (one,)) for number, one in enumerate(todo)]
        run_units(run, run.job, units, TrialTask(folder), Goal(len(todo), len(todo), counted="trials"), convert=note)
    results = TrialResults()
    for one in trials:
        if (record := read_record(folder, one)) is not None:
            results.records[one.name] = record
        elif one.name in lost:
            results.records[one.name] = {"trial": one.name, "status": "lost", "error": lost[one.name], "seconds": 0.0}
    return results


def warn_of_failures(run: Run, results: TrialResults) -> None:
    """Name the trials that failed or were lost, with their reasons."""
    for record in results.failed:
        run.reporter.warn(f"{record['status']}: {record['trial']}: {record['error']}")
    if results.failed:
        run.reporter.warn("--retry-failed tries failed trials again")


def prepare_trials_folder(out: Path, command: Mapping[str, Any], what: str) -> None:
    """Make the folder of a run, or find it made by the same command.

    Raises
    ------
    StoreError
        `out` holds something else.
    TrainingError
        `out` is of another command: says what differs.
    """
    refuse_foreign_folder(out, COMMAND, what)
    file = out / COMMAND
    if not file.exists():
        out.mkdir(parents=True, exist_ok=True)
        write_json(file, command)
        return
    try:
        earlier = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TrainingError(f"{file} cannot be read ({error}); give another -o") from None
    if earlier.keys() != command.keys():
        raise TrainingError(f"{out} is not {what}, but what another command made; give another -o, or delete {out}")
    if lines := describe_difference(earlier, json.loads(json.dumps(command))):
        few = "; ".join(lines[:3]) + ("; …" if len(lines) > 3 else "")
        raise TrainingError(f"{out} is {what} of another command, with {few}; give another -o, or delete {out}")


def hash_rows(rows: Any, names: Iterable[str] = ("clip_id", "crc32", "fold")) -> str:
    """16 hex digits that change with the rows of a store, their contents, labels or folds; their order does not count.

    Parameters
    ----------
    rows
        As `FeatureStore.rows` gives them.
    names
        Columns that count, beside the labels.
    """
    import hashlib

    # A missing fold is text, too: as a column of strings pandas keeps it missing.
    columns = [rows[name].astype(object).map(str) for name in names if name in rows]
    lines = sorted("\t".join(line) for line in zip(*columns, rows["labels"].map(", ".join), strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
