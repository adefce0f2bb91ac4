"""``hubbub fetch``: recordings of a list or a site into a folder or a bucket, politely, and resumed after a stop."""

from __future__ import annotations

from typing import Annotated

import typer

from hubbub.io.paths import StoragePath, parse_path

from . import fetch_options, options


def fetch(
    source: Annotated[
        str,
        typer.Argument(
            help="A list of addresses (a text or any table), the address of a site, or a recipe.", metavar="SOURCE"
        ),
    ],
    output: Annotated[
        StoragePath,
        typer.Option(
            "--output", "-o", parser=parse_path, help="The folder: new, or one to grow; also s3://….", metavar="FOLDER"
        ),
    ],
    recipe: fetch_options.Recipe = None,
    recipes: fetch_options.Recipes = False,
    url_column: fetch_options.UrlColumn = None,
    host: fetch_options.Host = None,
    allow_private: fetch_options.AllowPrivate = False,
    contact: fetch_options.Contact = None,
    rate: fetch_options.Rate = 2.0,
    connections: fetch_options.Connections = 2,
    max_files: fetch_options.MaxFiles = None,
    max_pages: fetch_options.MaxPages = 10_000,
    max_file_gb: fetch_options.MaxFileGb = 4.0,
    max_total_gb: fetch_options.MaxTotalGb = None,
    max_hours: fetch_options.MaxHours = None,
    keep_free_gb: fetch_options.KeepFreeGb = 1.0,
    refresh: fetch_options.Refresh = False,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Where to run: local, an address such as tcp://host:8786, or a cluster file. Each host is asked by "
            "one worker at a time. Default: threads of this process.",
            metavar="CLUSTER",
        ),
    ] = None,
    workers: options.Workers = None,
    dry_run: options.DryRun = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try addresses again that failed in earlier runs.")
    ] = False,
    log_json: options.LogJson = None,
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Fetch recordings from the web, and list them in FOLDER/clips.parquet with what their pages say.

    Keeps to robots.txt, asks each host slowly, and stays on the hosts given. Run the same command again after a crash,
    or for what is new: recordings that are here are not fetched twice.

    Example: hubbub fetch urls.txt -o recordings
    """
    from hubbub.downloads.policy import make_policy
    from hubbub.pipelines import fetch as job

    from .console import reporter

    policy = make_policy(
        host or (),
        rate=rate,
        connections=connections,
        allow_private=allow_private,
        contact=contact,
        max_file_gb=max_file_gb,
        keep_free_gb=keep_free_gb,
    )
    result = job.fetch(
        source,
        output,
        recipe=recipe,
        url_column=url_column,
        policy=policy,
        limits=job.FetchLimits(max_files, max_total_gb, max_hours, max_pages),
        refresh=refresh,
        retry_failed=retry_failed,
        cluster=cluster,
        workers=workers,
        dry_run=dry_run,
        log_json=log_json,
        reporter=reporter,
    )
    if not dry_run:
        raise typer.Exit(options.exit_code(result))
