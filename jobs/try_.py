"""``hubbub try``: models on a page, to try with one's own recordings."""

from __future__ import annotations

from typing import Annotated

import typer

from hubbub.io.paths import StoragePath, parse_path

from . import options


def try_(
    models: Annotated[
        list[StoragePath],
        typer.Argument(
            parser=parse_path,
            help="Model bundles, or YAML files that describe models of others; several are compared.",
            metavar="BUNDLE|YAML…",
        ),
    ],
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Of the page; default: 8765, or a free one.", metavar="PORT"),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; another than this lets others in.", metavar="ADDRESS")
    ] = "127.0.0.1",
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page at once.")] = True,
    max_size: Annotated[int, typer.Option(min=1, help="Largest file that the page takes.", metavar="MB")] = 200,
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Run models on a page in the browser: drop a recording or speak, and see scores, spectrogram and events.

    The page is served by this machine alone, and no recording leaves it; what was dropped is removed at the end.

    Example: hubbub try bundle
    """
    from hubbub.pipelines.try_sound import try_models

    from .console import reporter

    try_models(models, host=host, port=port, open_browser=browser, max_size_mb=max_size, reporter=reporter)
