"""The functions of ``import hubbub`` about many trainings."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hubbub.store.features import FeatureStore

if TYPE_CHECKING:
    from distributed import Client

    from hubbub.config.grids import Grid
    from hubbub.config.recipes import RecipeSettings
    from hubbub.labels.tables import LabelTables
    from hubbub.pipelines.compare import Comparison
    from hubbub.pipelines.compare_labels import LabelComparison
    from hubbub.pipelines.crossval import CrossvalResult
    from hubbub.pipelines.inputs import PathLike
    from hubbub.pipelines.sweep import SweepResult


def crossval(
    store: PathLike | FeatureStore,
    out: PathLike,
    *,
    model: str | None = None,
    settings: RecipeSettings | Mapping[str, Any] | PathLike | None = None,
    weights: str | os.PathLike[str] | None = None,
    folds: int | None = None,
    seeds: int = 1,
    client: Client | None = None,
    cluster: str | None = None,
    workers: int | None = None,
    ship: bool = False,
    retry_failed: bool = False,
    log_json: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> CrossvalResult:
    """Train and test a recipe on every fold of a store, each with several seeds.

    Parameters
    ----------
    store
        The store.
    out
        Folder of the cross-validation, which all workers see. The same call resumes: finished trials are kept.
    model, settings, weights
        As in `train`.
    folds
        Draw so many folds of whole groups; None: the clips' own.
    seeds
        Trainings of each fold.
    client, cluster, workers, ship, retry_failed, log_json, progress
        As in `build_features`.

    Returns
    -------
    CrossvalResult
        `scores.accuracy` and `scores.macro_f1`, each with `mean`, `std`, `low` and `high`; `scores.folds`.

    Raises
    ------
    hubbub.errors.TrainingError
        The clips have no folds, `folds` is more than there are groups, or `out` is of another command.
    hubbub.errors.SettingsError
        A setting is unknown or out of range.

    Examples
    --------
    >>> hubbub.crossval(store, "crossval", seeds=3).scores.accuracy.mean  # doctest: +SKIP
    """
    from hubbub.pipelines.crossval import crossval as run

    return run(
        store,
        out,
        model=model,
        settings=settings,
        weights=weights,
        folds=folds,
        seeds=seeds,
        cluster=cluster,
        workers=workers,
        client=client,
        ship=ship,
        retry_failed=retry_failed,
        log_json=log_json,
        progress=progress,
    )


def sweep(
    stores: PathLike | FeatureStore | Sequence[PathLike | FeatureStore],
    grid: Grid | PathLike,
    out: PathLike,
    *,
    test_fold: int | None = None,
    split_by: str | None = None,
    client: Client | None = None,
    cluster: str | None = None,
    workers: int | None = None,
    ship: bool = False,
    retry_failed: bool = False,
    log_json: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> SweepResult:
    """Train every combination of recipe settings, or some, and rank them on validation rows.

    Parameters
    ----------
    stores
        One store, or several of the same clips to compare.
    grid
        The path of a YAML file with ``settings``, ``model``, ``search``, ``trials``, ``halving``, ``score`` and
        ``seed``.
    out
        Folder of the sweep, which all workers see. The same call resumes: finished trials are kept.
    test_fold, split_by
        As in `train`. Test rows are scored for the winner only.
    client, cluster, workers, ship, retry_failed, log_json, progress
        As in `build_features`.

    Returns
    -------
    SweepResult
        `ranking`, a DataFrame; `command`, which trains the winner; `test`, its scores on test rows.

    Raises
    ------
    hubbub.errors.SettingsError
        For an unknown key, setting or value of the file.
    hubbub.errors.TrainingError
        The rows cannot train or test a model, or `out` is of another command.

    Examples
    --------
    >>> hubbub.sweep(store, "grid.yaml", "sweep", test_fold=1).command  # doctest: +SKIP
    """
    from hubbub.pipelines.sweep import sweep as run

    return run(
        stores,
        grid,
        out,
        test_fold=test_fold,
        split_by=split_by,
        cluster=cluster,
        workers=workers,
        client=client,
        ship=ship,
        retry_failed=retry_failed,
        log_json=log_json,
        progress=progress,
    )


def compare(
    first: PathLike | LabelTables,
    second: PathLike | LabelTables,
    out: PathLike | None = None,
    *,
    progress: bool = False,
) -> Comparison | LabelComparison:
    """Compare two models on the clips that both tested (McNemar's test), or what two label tables say of one archive.

    Parameters
    ----------
    first, second
        Folders made by `evaluate` (``out=``) or `crossval`; or two label tables, or their folders.
    out
        Of label tables: a folder that gets ``appeared.csv``, ``vanished.csv`` and ``changed.csv``; None: nothing is
        written.
    progress
        Print warnings.

    Returns
    -------
    Comparison
        Of evaluations: `clips`, the number of shared clips; `first` and `second`, their scores; `test.p_value` and
        `test.difference`.
    LabelComparison
        Of label tables: `changes`, whose `by_label`, `by_file`, `in_both`, `changed`, `appeared` and `vanished` are
        DataFrames. Events of a recording and label are one where their intersection over union is 0.5 or more, one to
        one, the best first.

    Raises
    ------
    hubbub.errors.UsageError
        A folder holds neither an evaluation nor label tables, the two are no pair, or no clip was tested by both with
        the same label.
    hubbub.errors.LabelsError
        Label tables have no recording in common.

    Examples
    --------
    >>> hubbub.compare("evaluation-a", "evaluation-b").test.p_value  # doctest: +SKIP
    >>> hubbub.compare("labels-old", "labels-new").changes.by_label  # doctest: +SKIP
    """
    from hubbub.pipelines.compare import compare as run

    return run(first, second, out, progress=progress)
