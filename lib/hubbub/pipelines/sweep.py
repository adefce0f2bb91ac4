"""Try settings of recipes on feature stores, and choose. What ``hubbub sweep`` does.

::

    RUN/
      sweep.json            every trial with its settings and validation scores, ranked; the winner's test scores
      report.html
      command.json, trials/    `hubbub.pipelines.trials`
"""

from __future__ import annotations

import itertools
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from hubbub.config.grids import Choice, Grid, list_choices, load_grid
from hubbub.config.network_features import check_network
from hubbub.config.recipes import parse_recipe_settings
from hubbub.errors import StoreError
from hubbub.io.atomic import write_json
from hubbub.io.lock import write_lock
from hubbub.io.paths import absolute_path
from hubbub.io.text import count_noun
from hubbub.learn.crossval import CrossvalScores, score_folds
from hubbub.learn.splits import choose_rule
from hubbub.learn.sweep import list_rounds, rank_records
from hubbub.pipelines.inputs import as_path, as_store, choose_model
from hubbub.pipelines.json_log import JsonLog
from hubbub.pipelines.reporting import Reporter, choose_reporter
from hubbub.pipelines.run_folder import ClusterOptions, Run, open_run
from hubbub.pipelines.train import require_local
from hubbub.pipelines.trials import (
    Trial,
    TrialResults,
    fix_weights_of,
    hash_rows,
    is_done,
    prepare_trials_folder,
    run_trials,
    trial_folder,
    warn_of_failures,
)
from hubbub.store.features import FeatureStore

if TYPE_CHECKING:
    from distributed import Client

    from hubbub.pipelines.inputs import PathLike

FORMAT = "hubbub-sweep/1"
RESULT, JOB = "sweep.json", "sweep"
_SHOWN = 10


@dataclass(frozen=True)
class SweepPlan:
    """A sweep, decided before anything is trained."""

    stores: tuple[FeatureStore, ...]
    out: Path
    grid: Grid
    choices: dict[str, Choice]
    """By the name of the trial."""

    trials: tuple[Trial, ...]
    rows_hashes: tuple[str, ...]

    @property
    def command(self) -> dict[str, Any]:
        """All that decides the trials: another command needs another folder."""
        first, weights = self.trials[0], [one.weights for one in self.trials]
        return {
            "grid": self.grid.model_dump(mode="json"),
            "stores": [one.settings_hash for one in self.stores],
            "rows": list(self.rows_hashes),
            "test_fold": first.test_fold,
            "split_by": first.split_by,
            **({"weights": weights} if any(weights) else {}),
        }


@dataclass(frozen=True)
class SweepResult:
    """What a sweep found.

    Attributes
    ----------
    out
        Its folder.
    n_trials
        Trials in all.
    ranking
        One row a trial, the best first: trial, store, model, each setting, epochs, val_accuracy, val_loss, status,
        error.
    command
        The command that trains the winner; None where no trial ended well, or after a dry run.
    test
        Scores of the winner on the test rows.
    report
        The page.
    is_stopped
        Whether Ctrl-C drained the run before it was done.
    """

    out: Path
    n_trials: int
    ranking: pd.DataFrame | None = None
    command: str | None = None
    test: CrossvalScores | None = None
    report: Path | None = None
    is_stopped: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether every trial ended well, and the winner was tested."""
        return self.test is not None and self.ranking is not None and bool((self.ranking["status"] == "ok").all())


def sweep(
    stores: PathLike | FeatureStore | Sequence[PathLike | FeatureStore],
    grid: Grid | PathLike,
    out: PathLike,
    *,
    test_fold: int | None = None,
    split_by: str | None = None,
    cluster: str | None = None,
    workers: int | None = None,
    client: Client | None = None,
    ship: bool = False,
    retry_failed: bool = False,
    dry_run: bool = False,
    log_json: str | os.PathLike[str] | None = None,
    progress: bool = False,
    reporter: Reporter | None = None,
) -> SweepResult:
    """Try settings; see `hubbub.sweep`."""
    reporter = choose_reporter(reporter, progress=progress)
    options = ClusterOptions(cluster, workers, ship, client)
    options.check()
    folder = require_local(as_path(out, "out"), "sweep into a folder that all workers see, then copy it")
    log = JsonLog(None if log_json is None else Path(log_json), JOB, reporter.warn)
    what = grid if isinstance(grid, Grid) else load_grid(Path(os.fspath(grid)))  # type: ignore[arg-type]
    several: list[Any] = list(stores) if isinstance(stores, list | tuple) else [stores]
    opened = [as_store(one) for one in several]
    if "model" not in what.model_fields_set:
        what = what.model_copy(update={"model": (choose_model(opened[0], None, reporter.say),)})
    plan = plan_sweep(opened, folder, what, test_fold, split_by)
    described = describe_plan(plan, retry_failed=retry_failed)
    reporter.show_table("sweep: the plan", described)
    if dry_run:
        return SweepResult(folder, len(plan.trials))
    plan = replace(plan, trials=fix_weights_of(plan.trials))
    prepare_trials_folder(folder, plan.command, "a sweep")
    with (
        write_lock(folder, JOB, notice=reporter.warn),
        open_run(JOB, options, log, reporter, output=folder, plan=described) as run,
    ):
        records = _run_rounds(run, plan, retry_failed=retry_failed)
        test = _test_winner(run, plan, records, retry_failed=retry_failed)
        result = _write_result(plan, records, test, is_stopped=run.is_stopped)
        _report(run, plan, result, records)
    return result


def plan_sweep(
    stores: Sequence[FeatureStore], out: Path, grid: Grid, test_fold: int | None, split_by: str | None
) -> SweepPlan:
    """Decide the trials; errors of `choose_rule` and `check_network`, and `StoreError` for one store given twice."""
    paths = [str(absolute_path(one.path)) for one in stores]
    if twice := [path for number, path in enumerate(paths) if path in paths[:number]]:
        raise StoreError(f"store {twice[0]} is given twice; give each store once")
    tables = [one.rows() for one in stores]
    for rows in tables:
        choose_rule(rows, by=split_by, test_fold=test_fold)
    for model, one in itertools.product(grid.model, stores):
        check_network(model, one.settings, str(one.path))
    choices = {f"trial-{number:04d}": one for number, one in enumerate(list_choices(grid, len(stores)), 1)}
    trials = tuple(
        Trial(
            name,
            paths[one.store],
            one.model,
            parse_recipe_settings(one.model, dict(one.changes)),
            seed=grid.seed,
            test_fold=test_fold,
            split_by=split_by,
            is_tested=False,
        )
        for name, one in choices.items()
    )
    return SweepPlan(tuple(stores), out, grid, choices, trials, tuple(map(hash_rows, tables)))


def describe_plan(plan: SweepPlan, *, retry_failed: bool) -> dict[str, Any]:
    """Describe a sweep, as names and values for people."""
    grid, halving = plan.grid, plan.grid.halving
    first = [_pause(one, None if halving is None else halving.min_epochs) for one in plan.trials]
    done = sum(is_done(plan.out, one, retry_failed=retry_failed) for one in first)
    tried = {key: _describe_values(values) for key, values in grid.settings.items()}
    rounds = "" if halving is None else f"; one in {halving.factor} goes on after {halving.min_epochs} epochs"
    return {
        "stores": ", ".join(str(one.path) for one in plan.stores),
        "models": ", ".join(grid.model),
        **tried,
        "trials": f"{len(plan.trials)}, search {grid.search}{rounds}",
        "done already": done,
        "ranked by": f"{grid.score} on validation rows",
    }


def _describe_values(values: Any) -> str:
    if isinstance(values, tuple):
        return ", ".join(map(str, values))
    return f"{values.low:g} to {values.high:g}" + (", log" if values.log else "")


def _pause(trial: Trial, epochs: int | None) -> Trial:
    """The trial as of a round that ends after an epoch; None: to its end."""
    return trial if epochs is None else replace(trial, until_epoch=epochs, record=f"epoch-{epochs:05d}.json")


def _run_rounds(run: Run, plan: SweepPlan, *, retry_failed: bool) -> list[dict[str, Any]]:
    """Run the rounds; return the last record of each trial that has one."""
    halving, alive, last = plan.grid.halving, list(plan.trials), dict[str, dict[str, Any]]()
    rounds: list[tuple[int | None, int]] = [(None, 1)]
    if halving is not None:
        rounds = list(list_rounds(len(alive), factor=halving.factor, min_epochs=halving.min_epochs))
    for number, (epochs, n_kept) in enumerate(rounds):
        found = run_trials(run, plan.out, [_pause(one, epochs) for one in alive], retry_failed=retry_failed)
        for name, record in found.records.items():
            last[name] = _require_validation(record) | {"round": number}
        if run.is_stopped:
            break
        order = [one["trial"] for one in rank_records([last[one.name] for one in alive], plan.grid.score)]
        well = [name for name in order if last[name]["status"] == "ok"]
        alive = [one for one in alive if one.name in well[:n_kept]]
        if not alive:
            break
    return list(last.values())


def _require_validation(record: dict[str, Any]) -> dict[str, Any]:
    """The record; a trial that nothing can be said of on validation rows has failed."""
    if record["status"] != "ok" or "val_loss" in record:
        return record
    return record | {"status": "failed", "error": "no rows validate: raise train.validation_share, or add groups"}


def _test_winner(
    run: Run, plan: SweepPlan, records: Sequence[dict[str, Any]], *, retry_failed: bool
) -> CrossvalScores | None:
    """Score the test rows of the winner, which is the only trial that is tested."""
    winner = next(iter(rank_records(records, plan.grid.score)), None)
    if winner is None or winner["status"] != "ok" or run.is_stopped:
        return None
    trial = next(one for one in plan.trials if one.name == winner["trial"])
    tested = replace(trial, is_tested=True, record="test.json")
    results = run_trials(run, plan.out, [tested], retry_failed=retry_failed)
    if not results.records or results.failed:
        warn_of_failures(run, results)
        return None
    folder = trial_folder(plan.out, trial)
    predictions = pd.read_parquet(folder / "evaluation" / "predictions.parquet")
    from hubbub.models.bundle import read_description

    labels = list(read_description(folder / "bundle")["labels"])
    return score_folds(predictions.assign(fold=trial.test_fold or 0, seed=trial.seed), labels)


def _write_result(
    plan: SweepPlan, records: Sequence[dict[str, Any]], test: CrossvalScores | None, *, is_stopped: bool
) -> SweepResult:
    lines = [_line(plan, one) for one in rank_records(records, plan.grid.score)]
    command = None
    if lines and lines[0]["status"] == "ok":
        command = _command_of(plan, next(one for one in plan.trials if one.name == lines[0]["trial"]))
    scores = None if test is None else test.to_dict() | {"clips": int(test.pooled.confusion.sum())}
    write_json(
        plan.out / RESULT,
        {"format": FORMAT, **plan.command, "ranking": lines, "train_the_winner": command, "test": scores},
    )
    from hubbub.report import write_report
    from hubbub.report.trials import sweep_section

    section = sweep_section(lines, plan.grid.score, command, scores)
    page = write_report([section], plan.out / "report.html", title="hubbub sweep") if lines else None
    return SweepResult(plan.out, len(plan.trials), pd.DataFrame(lines), command, test, page, is_stopped)


def _line(plan: SweepPlan, record: Mapping[str, Any]) -> dict[str, Any]:
    """One line of the ranking."""
    choice = plan.choices[record["trial"]]
    scores = {name: record.get(name) for name in ("epochs", "val_accuracy", "val_loss", "status", "error", "seconds")}
    store = str(plan.stores[choice.store].path)
    return {"trial": record["trial"], "store": store, "model": choice.model, **dict(choice.changes), **scores}


def _command_of(plan: SweepPlan, trial: Trial) -> str:
    choice = plan.choices[trial.name]
    words = ["hubbub", "train", str(plan.stores[choice.store].path), "-o", "bundle", "--model", trial.model]
    for key, value in choice.changes:
        words += ["--set", f"{key}={_yaml(value)}"]
    words += ["--test-fold", str(trial.test_fold)] if trial.test_fold is not None else []
    words += ["--split-by", trial.split_by] if trial.split_by is not None else []
    return shlex.join([*words, "--seed", str(trial.seed)])


def _yaml(value: Any) -> str:
    """A value as ``--set`` reads it; YAML takes 1e-05 for text."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return f"{value:.3e}" if isinstance(value, float) and 0 < abs(value) < 1e-4 else str(value)


def _report(run: Run, plan: SweepPlan, result: SweepResult, records: Sequence[dict[str, Any]]) -> None:
    results = TrialResults({one["trial"]: one for one in records})
    failed = len(results.failed)
    run.result = {"trials": len(plan.trials), "ok": len(records) - failed, "failed": failed}
    run.log.write("end", **run.result)
    assert result.ranking is not None
    ranked = result.ranking.to_dict("records")
    well = [one for one in ranked if one["status"] == "ok"]
    how = "done" if result.is_complete else "stopped" if run.is_stopped else "not all trials ended well"
    table = {f"{rank}. {one['trial']}": _describe_line(plan, one) for rank, one in enumerate(well[:_SHOWN], 1)}
    if len(well) > _SHOWN:
        table["…"] = f"{count_noun(len(well) - _SHOWN, 'more trial')} in {result.out / RESULT}"
    if (test := result.test) is not None:
        accuracy, macro_f1 = test.accuracy, test.macro_f1
        table["winner on test"] = (
            f"accuracy {accuracy.mean:.1%} ({accuracy.low:.1%} to {accuracy.high:.1%}), "
            f"macro F1 {macro_f1.mean:.3f} ({macro_f1.low:.3f} to {macro_f1.high:.3f})"
        )
    run.reporter.show_table(
        f"sweep: {how}",
        {**table, "result": str(result.out), **({"report": str(result.report)} if result.report else {})},
    )
    warn_of_failures(run, results)
    if result.command:
        run.reporter.say(f"train the winner: {result.command}")


def _describe_line(plan: SweepPlan, line: Mapping[Any, Any]) -> str:
    choice = plan.choices[line["trial"]]
    varied = [key for key, values in plan.grid.settings.items() if not isinstance(values, tuple) or len(values) > 1]
    what = [f"{key}={_yaml(value)}" for key, value in choice.changes if key in varied]
    what = ([choice.model] if len(plan.grid.model) > 1 else []) + what
    what = ([str(plan.stores[choice.store].path)] if len(plan.stores) > 1 else []) + what
    scores = f"validation accuracy {line['val_accuracy']:.1%}, loss {line['val_loss']:.3f}"
    return ", ".join([*what, scores, count_noun(int(line["epochs"]), "epoch")])
