"""``hubbub features``: a clip table to a feature store, on Dask."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hubbub.engine.ahead import UNITS, import_ahead
from hubbub.io.paths import StoragePath, parse_path

from . import options


def features(
    clips: Annotated[
        StoragePath, typer.Argument(parser=parse_path, help="A clip table, made by hubbub index.", metavar="CLIPS")
    ],
    output: Annotated[
        StoragePath,
        typer.Option("--output", "-o", parser=parse_path, help="The store: new, or one to grow.", metavar="STORE"),
    ],
    settings: Annotated[
        Path | None, typer.Option(help="Settings (YAML); hubbub settings prints all of them.", metavar="FILE")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="One setting, such as frontend.name=mfcc or windows.mode=all; repeat for more.",
            metavar="KEY=VALUE",
        ),
    ] = None,
    variants: Annotated[
        Path | None,
        typer.Option(help="A policy (YAML): classes to store again, augmented, and how.", metavar="FILE"),
    ] = None,
    summary: Annotated[
        str | None,
        typer.Option(help="csv: also write STORE/summary.csv, the mean of each band, a line a clip.", metavar="csv"),
    ] = None,
    cluster: options.Cluster = "local",
    workers: options.Workers = None,
    ship: options.Ship = False,
    dry_run: options.DryRun = False,
    retry_failed: options.RetryFailed = False,
    log_json: options.LogJson = None,
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Compute spectrograms, or other features, of clips in a feature store, on a disk or in a bucket.

    Run the same command again after a crash, or with a clip table that has grown, changed or shrunk: only new and
    changed clips are computed. Clips missing from the table are marked `retired` and excluded.

    Example: hubbub features clips.parquet -o store --set frontend.n_mels=64
    """
    if cluster == "local" and not dry_run:
        import_ahead(UNITS)  # before this process imports what takes it as long
    from hubbub.config import load_settings
    from hubbub.pipelines.features import build_features

    from .console import reporter

    result = build_features(
        clips,
        output,
        settings=load_settings(settings, set_ or []) if settings or set_ else None,
        variants=variants,
        summary=summary,
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
