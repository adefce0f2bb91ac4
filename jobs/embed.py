"""``hubbub embed``: recordings to a feature store of a model's embeddings, on Dask."""

from __future__ import annotations

from typing import Annotated

import typer

from hubbub.engine.ahead import UNITS, import_ahead
from hubbub.io.paths import StoragePath, parse_path

from . import options


def embed(
    source: Annotated[
        StoragePath,
        typer.Argument(
            parser=parse_path,
            help="A clip table, a folder of recordings, or one recording; also s3://….",
            metavar="CLIPS|FOLDER|FILE",
        ),
    ],
    output: Annotated[
        StoragePath,
        typer.Option("--output", "-o", parser=parse_path, help="The store: new, or one to grow.", metavar="STORE"),
    ],
    model: Annotated[
        StoragePath | None,
        typer.Option(
            parser=parse_path,
            help="A model bundle, or the YAML file of a model of others. Default: the one that the store keeps.",
            metavar="MODEL",
        ),
    ] = None,
    hop: Annotated[
        float | None,
        typer.Option(help="From one window to the next. Default: the model's own, else its window.", metavar="S"),
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="float32 or float16, of stored values. Default: float32.", metavar="DTYPE")
    ] = None,
    precision: options.Precision = None,
    cluster: options.Cluster = "local",
    workers: options.Workers = None,
    ship: options.Ship = False,
    dry_run: options.DryRun = False,
    retry_failed: options.RetryFailed = False,
    log_json: options.LogJson = None,
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Embed recordings: compute a model's vector of each window, in a feature store to search and to train heads on.

    Run the same command again after a crash, or with a grown archive: only new files are embedded.

    Example: hubbub embed recordings/ --model bundle -o embeddings
    """
    if cluster == "local" and not dry_run:
        import_ahead(UNITS)  # before this process imports what takes it as long
    from hubbub.pipelines.embed import embed as embed_recordings

    from .console import reporter

    result = embed_recordings(
        source,
        output,
        model=model,
        hop_s=hop,
        dtype=dtype,
        precision=precision,
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
