"""The functions of ``import hubbub`` about many trainings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hubbub.store.features import FeatureStore

if TYPE_CHECKING:
    from distributed import Client

    from hubbub.config.recipes import RecipeSettings
    from hubbub.pipelines.crossval import CrossvalResult
    from hubbub.pipelines.inputs import PathLike


def crossval(
    store: PathLike | FeatureStore,
    out: PathLike,
    *,
    model: str = "default",
    settings: RecipeSettings | Mapping[str, Any] | PathLike | None = None,
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
    model, settings
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
