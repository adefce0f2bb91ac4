"""``hubbub browse``: an archive in the browser."""

from __future__ import annotations

from typing import Annotated

import typer

from hubbub.io.paths import StoragePath, parse_path

from . import options


def browse(
    labels: Annotated[
        list[StoragePath],
        typer.Argument(parser=parse_path, help="Label tables, made by hubbub label.", metavar="LABELS…"),
    ],
    store: Annotated[
        StoragePath | None,
        typer.Option(
            parser=parse_path, help="A feature store of these recordings: shows what the model sees.", metavar="STORE"
        ),
    ] = None,
    truth: Annotated[
        StoragePath | None,
        typer.Option(
            parser=parse_path, help="Reference events, shown beside: CSV, Raven, Audacity, JAMS.", metavar="FILE"
        ),
    ] = None,
    root: Annotated[
        StoragePath | None,
        typer.Option(parser=parse_path, help="Where the recordings lie now, if they moved.", metavar="DIR"),
    ] = None,
    timezone: Annotated[
        str, typer.Option(help="Of days and hours on the page, such as Europe/Berlin.", metavar="NAME")
    ] = "UTC",
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Of the page; default: 8765, or a free one.", metavar="PORT"),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; another than this lets others in.", metavar="ADDRESS")
    ] = "127.0.0.1",
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page at once.")] = True,
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Show an archive in the browser: look, listen, and decide by keyboard what is right.

    Example: hubbub browse labels --timezone Europe/Berlin
    """
    from hubbub.pipelines.browse import browse as serve

    from .console import reporter

    serve(
        labels,
        store=store,
        truth=truth,
        root=root,
        timezone=timezone,
        host=host,
        port=port,
        open_browser=browser,
        reporter=reporter,
    )
