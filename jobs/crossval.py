"""``hubbub crossval``: how good a recipe is on a store, over all folds and several seeds."""

from __future__ import annotations

from typing import Annotated

import typer

from hubbub.io.paths import StoragePath, parse_path

from . import options


def crossval(
    store: Annotated[
        StoragePath,
        typer.Argument(parser=parse_path, help="A feature store, made by hubbub features.", metavar="STORE"),
    ],
    output: Annotated[
        StoragePath,
        typer.Option("--output", "-o", parser=parse_path, help="Folder of the cross-validation.", metavar="RUN"),
    ],
    model: Annotated[
        str | None, typer.Option(help="A model, of hubbub models. Default: what suits the store.", metavar="NAME")
    ] = None,
    folds: Annotated[
        int | None, typer.Option(help="Draw so many folds by group. Default: the clips' own.", metavar="K")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Trainings of each fold.", metavar="N")] = 1,
    weights: options.Weights = None,
    settings: options.RecipeFile = None,
    set_: options.RecipeSet = None,
    cluster: options.Cluster = "local",
    workers: options.Workers = None,
    ship: options.Ship = False,
    dry_run: options.DryRun = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try trials again that failed in earlier runs.")
    ] = False,
    log_json: options.LogJson = None,
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Train and test a recipe on every fold, with several seeds, a Dask task each.

    Run the same command again after a crash: finished trials are kept, a killed one resumes at its last whole epoch.

    Example: hubbub crossval store -o crossval --seeds 3 --workers 2
    """
    from hubbub.config.recipes import load_recipe_settings
    from hubbub.pipelines.crossval import crossval as cross_validate
    from hubbub.pipelines.inputs import choose_model

    from .console import reporter

    model = choose_model(store, model, reporter.say)
    result = cross_validate(
        store,
        output,
        model=model,
        settings=load_recipe_settings(model, settings, set_ or []),
        weights=weights,
        folds=folds,
        seeds=seeds,
        cluster=cluster,
        workers=workers,
        ship=ship,
        retry_failed=retry_failed,
        dry_run=dry_run,
        log_json=log_json,
        reporter=reporter,
    )
    if not dry_run:
        raise typer.Exit(options.exit_code(result))
