"""``hubbub sweep``: try settings of a recipe, and choose on validation rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hubbub.io.paths import StoragePath, parse_path

from . import options


def sweep(
    stores: Annotated[
        list[StoragePath],
        typer.Argument(parser=parse_path, help="Feature stores, one or more to compare.", metavar="STORE..."),
    ],
    grid: Annotated[Path, typer.Argument(help="What to try (YAML), as described above.", metavar="GRID.yaml")],
    output: Annotated[
        StoragePath, typer.Option("--output", "-o", parser=parse_path, help="Folder of the sweep.", metavar="RUN")
    ],
    test_fold: Annotated[int | None, typer.Option(help="Fold to keep out of all trials.", metavar="K")] = None,
    split_by: Annotated[
        str | None, typer.Option(help="fold, split or group. Default: what the clips have.", metavar="HOW")
    ] = None,
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
    """Train every combination of settings, a Dask task each, and rank them on validation rows.

    GRID.yaml gives lists of recipe settings; with `search: random` and `trials: N` ranges, too. `halving: {factor: 3,
    min_epochs: 5}` lets one trial in three go on after five epochs. Test rows are scored for the winner only.

    Example: hubbub sweep store grid.yaml -o sweep --test-fold 1

    with grid.yaml: settings: {model.learning_rate: [0.001, 0.003], train.batch_rows: [16, 32]}
    """
    from hubbub.pipelines.sweep import sweep as try_settings

    from .console import reporter

    result = try_settings(
        stores,
        grid,
        output,
        test_fold=test_fold,
        split_by=split_by,
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
