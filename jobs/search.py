"""``hubbub search``: windows of an embedding store that are like an example."""

from __future__ import annotations

from typing import Annotated

import typer

from hubbub.io.paths import StoragePath, parse_path

from . import options


def search(
    store: Annotated[
        StoragePath,
        typer.Argument(parser=parse_path, help="A store of embeddings, made by hubbub embed.", metavar="STORE"),
    ],
    output: Annotated[
        StoragePath,
        typer.Option("--output", "-o", parser=parse_path, help="The clip table of what is found.", metavar="FILE"),
    ],
    like: Annotated[
        list[str],
        typer.Option(
            help="The example: a recording, clip.wav; a window of it, clip.wav@12.5; a stretch, clip.wav@12.5-20; or a "
            "clip_id or a row of the store. Repeat for the mean of several.",
            metavar="EXAMPLE",
        ),
    ],
    top: Annotated[int, typer.Option(help="How many windows to find.", metavar="N")] = 50,
    with_example: Annotated[
        bool, typer.Option("--with-example", help="Find windows that overlap an example, too: at first itself.")
    ] = False,
    cluster: options.ClusterIfAny = None,
    workers: options.Workers = None,
    ship: options.Ship = False,
    log_json: options.LogJson = None,
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Find the windows that are most like an example, by the cosine of their embeddings.

    What is found is a clip table, with the columns similarity and rank: hubbub report shows and plays it.

    Example: hubbub search embeddings --like dog.wav -o results.parquet
    """
    from hubbub.pipelines.search import search as search_store

    from .console import reporter

    search_store(
        store,
        like,
        output,
        top=top,
        with_example=with_example,
        cluster=cluster,
        workers=workers,
        ship=ship,
        log_json=log_json,
        reporter=reporter,
    )
