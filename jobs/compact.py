"""``hubbub compact``: a store with holes or tiny row parts into full shards, beside the old ones."""

from __future__ import annotations

from typing import Annotated

import typer

from hubbub.io.paths import StoragePath, parse_path

from . import options


def compact(
    path: Annotated[StoragePath, typer.Argument(parser=parse_path, help="A feature store.", metavar="STORE")],
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Then remove the old shards; only when no reader has the store open any more."),
    ] = False,
    cluster: options.Cluster = "local",
    workers: options.Workers = None,
    ship: options.Ship = False,
    dry_run: options.DryRun = False,
    log_json: options.LogJson = None,
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Rewrite a feature store into full shards, without retired and replaced rows.

    Readers that have the store open keep the old shards. The same command resumes a run that was killed.

    Example: hubbub compact store --prune
    """
    from hubbub.pipelines.compact import compact as compact_store

    from .console import reporter

    compact_store(
        path,
        prune=prune,
        cluster=cluster,
        workers=workers,
        ship=ship,
        dry_run=dry_run,
        log_json=log_json,
        reporter=reporter,
    )
