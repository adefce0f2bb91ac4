"""``hubbub label``: recordings of any length to label tables, on Dask."""

from __future__ import annotations

from typing import Annotated

import typer

from hubbub.engine.ahead import UNITS, import_ahead
from hubbub.io.paths import StoragePath, parse_path

from . import event_options, options


def label(
    source: Annotated[
        StoragePath,
        typer.Argument(
            parser=parse_path,
            help="A clip table, a folder of recordings, or one recording; also s3://….",
            metavar="CLIPS|FOLDER|FILE",
        ),
    ],
    model: Annotated[
        StoragePath,
        typer.Option(
            parser=parse_path,
            help="A model bundle, or the YAML file that describes a model of others.",
            metavar="BUNDLE|YAML",
        ),
    ],
    output: Annotated[
        StoragePath,
        typer.Option("--output", "-o", parser=parse_path, help="The tables: new, or ones to grow.", metavar="LABELS"),
    ],
    hop: Annotated[
        float | None, typer.Option(help="Of models of windows: from one to the next. Default: a fifth.", metavar="S")
    ] = None,
    threshold: event_options.Threshold = None,
    release: event_options.Release = None,
    min_duration: event_options.MinDuration = None,
    merge_gap: event_options.MergeGap = None,
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
    """Label recordings: score them, a detector by frames, other models by windows, and find events in the scores.

    Run the same command again after a crash, or with a grown archive: only new files are labelled.

    Example: hubbub label recordings/ --model bundle -o labels
    """
    if cluster == "local" and not dry_run:
        import_ahead(UNITS)  # before this process imports what takes it as long
    from hubbub.pipelines.label import label as label_recordings

    from .console import reporter

    result = label_recordings(
        source,
        model,
        output,
        hop_s=hop,
        thresholds=threshold,
        release=release,
        min_duration_s=min_duration,
        merge_gap_s=merge_gap,
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
