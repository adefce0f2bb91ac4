"""Cross-validate a recipe on a feature store. What ``hubbub crossval`` does.

::

    RUN/                     an evaluation folder as well: `hubbub report` and `hubbub compare` take it
      crossval.json          scores of each fold and over all, and of each trial
      evaluation.json        confusion and scores by class, all folds together
      predictions.parquet    those of all trials: fold, seed, and the columns of an evaluation's
      report.html
      command.json, folds.parquet, trials/    `hubbub.pipelines.trials`
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from hubbub.config.network_features import check_network
from hubbub.config.recipes import RecipeSettings, choose_recipe_settings
from hubbub.errors import TrainingError
from hubbub.io.atomic import atomic_write, write_json
from hubbub.io.lock import write_lock
from hubbub.io.paths import absolute_path
from hubbub.io.text import count_noun
from hubbub.learn.crossval import CrossvalScores, join_predictions, score_folds
from hubbub.learn.folded_store import draw_folds
from hubbub.learn.splits import labelled_rows, select_recorded
from hubbub.pipelines.inputs import as_path, as_recipe_settings, as_store, choose_model
from hubbub.pipelines.json_log import JsonLog
from hubbub.pipelines.quantities import format_duration
from hubbub.pipelines.reporting import Reporter, choose_reporter
from hubbub.pipelines.run_folder import ClusterOptions, Run, open_run
from hubbub.pipelines.train import require_local
from hubbub.pipelines.trials import (
    FOLDS,
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

FORMAT = "hubbub-crossval/1"
RESULT = "crossval.json"
JOB = "crossval"


@dataclass(frozen=True)
class CrossvalPlan:
    """A cross-validation, decided before anything is trained."""

    store: FeatureStore
    out: Path
    model: str
    settings: RecipeSettings
    trials: tuple[Trial, ...]
    fold_of: dict[str, int] | None
    """Drawn folds, by clip_id; None where the clips' own are used."""

    rows_hash: str

    @property
    def command(self) -> dict[str, Any]:
        """All that decides the scores: another command needs another folder."""
        weights = self.trials[0].weights
        return {
            "model": self.model,
            "recipe_settings": self.settings.model_dump(mode="json", exclude={"model": {"weights"}}),
            **({} if weights is None else {"weights": weights}),
            "trials": [one.name for one in self.trials],
            "folds": "official" if self.fold_of is None else "by group",
            "settings_hash": self.store.settings_hash,
            "rows": self.rows_hash,
        }


@dataclass(frozen=True)
class CrossvalResult:
    """What a cross-validation found.

    Attributes
    ----------
    out
        Its folder.
    scores
        None where no trial ended well, or after a dry run.
    results
        The record of each trial.
    n_trials
        Trials in all.
    report
        The page.
    is_stopped
        Whether Ctrl-C drained the run before it was done.
    """

    out: Path
    n_trials: int
    scores: CrossvalScores | None = None
    results: TrialResults | None = None
    report: Path | None = None
    is_stopped: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether every trial ended well."""
        records = self.results.records if self.results else {}
        return len(records) == self.n_trials and not (self.results and self.results.failed)


def crossval(
    store: PathLike | FeatureStore,
    out: PathLike,
    *,
    model: str | None = None,
    settings: RecipeSettings | Mapping[str, Any] | PathLike | None = None,
    weights: str | os.PathLike[str] | None = None,
    folds: int | None = None,
    seeds: int = 1,
    cluster: str | None = None,
    workers: int | None = None,
    client: Client | None = None,
    ship: bool = False,
    retry_failed: bool = False,
    dry_run: bool = False,
    log_json: str | os.PathLike[str] | None = None,
    progress: bool = False,
    reporter: Reporter | None = None,
) -> CrossvalResult:
    """Cross-validate a recipe; see `hubbub.crossval`."""
    reporter = choose_reporter(reporter, progress=progress)
    options = ClusterOptions(cluster, workers, ship, client)
    options.check()
    folder = require_local(as_path(out, "out"), "cross-validate into a folder that all workers see, then copy it")
    log = JsonLog(None if log_json is None else Path(log_json), JOB, reporter.warn)
    opened = as_store(store)
    model = choose_model(opened, model, reporter.say)
    chosen = choose_recipe_settings(
        model, as_recipe_settings(model, settings), weights=None if weights is None else os.fspath(weights)
    )
    plan = plan_crossval(opened, folder, model, chosen, folds, seeds)
    described = describe_plan(plan, retry_failed=retry_failed)
    reporter.show_table("crossval: the plan", described)
    if dry_run:
        return CrossvalResult(folder, len(plan.trials))
    plan = replace(plan, trials=fix_weights_of(plan.trials))
    prepare_trials_folder(folder, plan.command, "a cross-validation")
    if plan.fold_of is not None:
        _write_folds(folder / FOLDS, plan.fold_of)
    with (
        write_lock(folder, JOB, notice=reporter.warn),
        open_run(JOB, options, log, reporter, output=folder, plan=described) as run,
    ):
        results = run_trials(run, folder, plan.trials, retry_failed=retry_failed)
        result = _write_result(plan, results, is_stopped=run.is_stopped)
        _report(run, plan, result)
    return result


def plan_crossval(
    store: FeatureStore, out: Path, model: str, settings: RecipeSettings, folds: int | None, seeds: int
) -> CrossvalPlan:
    """Decide folds and trials.

    Raises
    ------
    TrainingError
        For clips without folds where `folds` is None, fewer than 2 folds, no seed, or a model of other rows.
    """
    check_network(model, store.settings, str(store.path))
    if seeds < 1:
        raise TrainingError(f"--seeds {seeds}; give at least 1")
    rows = store.rows()
    labelled, _ = labelled_rows(select_recorded(rows))
    fold_of = None if folds is None else draw_folds(rows, folds=folds)
    numbers = sorted(set(labelled["fold"].dropna().astype(int) if fold_of is None else fold_of.values()))
    if len(numbers) < 2:
        raise TrainingError(f"the clips of {store.path} have {count_noun(len(numbers), 'fold')}; give --folds 5")
    path = str(absolute_path(store.path))
    trials = tuple(
        Trial(f"fold-{fold}_seed-{seed}", path, model, settings, seed=seed, test_fold=fold, split_by="fold")
        for seed in range(seeds)
        for fold in numbers
    )
    return CrossvalPlan(store, out, model, settings, trials, fold_of, hash_rows(rows))


def describe_plan(plan: CrossvalPlan, *, retry_failed: bool) -> dict[str, Any]:
    """Describe a cross-validation, as names and values for people."""
    done = sum(is_done(plan.out, one, retry_failed=retry_failed) for one in plan.trials)
    n_folds = len({one.test_fold for one in plan.trials})
    whose = "official" if plan.fold_of is None else "drawn by group"
    return {
        "model": plan.model,
        "folds": f"{n_folds}, {whose}",
        "seeds": len(plan.trials) // n_folds,
        "trials": len(plan.trials),
        "done already": done,
        "to do": count_noun(len(plan.trials) - done, "trial"),
    }


def _write_folds(file: Path, fold_of: Mapping[str, int]) -> None:
    table = pd.DataFrame({"clip_id": list(fold_of), "fold": list(fold_of.values())})
    with atomic_write(file) as partial:
        table.sort_values("clip_id").to_parquet(partial, index=False)


def _write_result(plan: CrossvalPlan, results: TrialResults, *, is_stopped: bool) -> CrossvalResult:
    """Write what the finished trials add up to."""
    ended = [one for one in plan.trials if results.records.get(one.name, {}).get("status") == "ok"]
    trials = list(results.records.values())
    if not ended:
        write_json(plan.out / RESULT, {"format": FORMAT, **plan.command, "trials": trials})
        return CrossvalResult(plan.out, len(plan.trials), None, results, None, is_stopped)
    predictions, labels = join_predictions([_read_predictions(plan, one) for one in ended])
    scores = score_folds(predictions, labels)
    with atomic_write(plan.out / "predictions.parquet") as partial:
        predictions.to_parquet(partial, index=False, compression="zstd")
    write_json(plan.out / "evaluation.json", _describe_evaluation(plan, scores))
    write_json(plan.out / RESULT, {"format": FORMAT, **plan.command, **scores.to_dict(), "trials": trials})
    return CrossvalResult(
        plan.out, len(plan.trials), scores, results, _write_page(plan.out, scores, results), is_stopped
    )


def _read_predictions(plan: CrossvalPlan, trial: Trial) -> tuple[dict[str, int], list[str], pd.DataFrame]:
    from hubbub.models.bundle import read_description

    folder = trial_folder(plan.out, trial)
    labels = list(read_description(folder / "bundle")["labels"])
    assert trial.test_fold is not None
    columns = {"fold": trial.test_fold, "seed": trial.seed}
    return columns, labels, pd.read_parquet(folder / "evaluation" / "predictions.parquet")


def _describe_evaluation(plan: CrossvalPlan, scores: CrossvalScores) -> dict[str, Any]:
    """All folds together, in the form of an evaluation."""
    return {
        "format": "hubbub-evaluation/1",
        "bundle": str(plan.out),
        "store": str(plan.store.path),
        "model": plan.model,
        "model_hash": None,
        "settings_hash": plan.store.settings_hash,
        "fold": None,
        "trained_on": False,
        **scores.pooled.to_dict(),
        "calibration": {"temperature": None, "before": None, "after": scores.reliability.to_dict()},
        "history": [],
        "settings": plan.store.settings.model_dump(mode="json"),
        "root": plan.store.provenance.get("root"),
    }


def _write_page(out: Path, scores: CrossvalScores, results: TrialResults) -> Path:
    from hubbub.report import evaluation_section, write_report
    from hubbub.report.trials import crossval_section

    sections = [crossval_section(scores.to_dict(), list(results.records.values())), evaluation_section(out)]
    return write_report(sections, out / "report.html", title="hubbub cross-validation")


def _report(run: Run, plan: CrossvalPlan, result: CrossvalResult) -> None:
    assert result.results is not None
    records = result.results.records
    failed, ended = len(result.results.failed), len(records)
    run.result = {"trials": len(plan.trials), "ok": ended - failed, "failed": failed}
    run.log.write("end", **run.result)
    how = "done" if result.is_complete else "stopped" if run.is_stopped else "not all trials ended well"
    run.reporter.show_table(
        f"crossval: {how}",
        {
            **(describe_scores(result.scores) if result.scores else {}),
            "trials": f"{ended - failed} of {len(plan.trials)}" + (f", {failed} failed" if failed else ""),
            "training": f"{format_duration(sum(one['seconds'] for one in records.values()))} of workers' time",
            "result": result.out,
            **({"report": result.report} if result.report else {}),
        },
    )
    warn_of_failures(run, result.results)


def describe_scores(scores: CrossvalScores) -> dict[str, str]:
    """Describe scores as a table for people: a line a fold, then their mean, standard deviation and interval."""
    lines = {}
    for one in scores.folds:
        seeds = f", {one.seeds} seeds" if one.seeds > 1 else ""
        lines[f"fold {one.fold}"] = (
            f"accuracy {one.accuracy:.1%}, macro F1 {one.macro_f1:.3f} ({count_noun(one.clips, 'clip')}{seeds})"
        )
    accuracy, macro_f1 = scores.accuracy, scores.macro_f1
    return {
        **lines,
        "mean": f"accuracy {accuracy.mean:.2%}, macro F1 {macro_f1.mean:.4f}",
        "standard deviation": f"accuracy {accuracy.std:.2%}, macro F1 {macro_f1.std:.4f}",
        "95 % interval": (
            f"accuracy {accuracy.low:.1%} to {accuracy.high:.1%}, macro F1 {macro_f1.low:.3f} to {macro_f1.high:.3f}"
        ),
        "calibration error": f"{scores.reliability.ece:.3f} (all folds together, after temperature scaling)",
    }
