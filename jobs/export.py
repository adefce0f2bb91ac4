"""``hubbub export``: events for other programs."""

from __future__ import annotations

from typing import Annotated

import typer

from hubbub.io.paths import StoragePath, parse_path

from . import options


def export(
    labels: options.Labels,
    format: Annotated[str, typer.Option(help="csv, audacity or raven.", metavar="NAME")],
    output: Annotated[
        StoragePath, typer.Option("--output", "-o", parser=parse_path, help="Folder to write to.", metavar="DIR")
    ],
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Write events as CSV, Audacity label tracks or Raven selection tables.

    Example: hubbub export labels --format raven -o selections
    """
    from hubbub.pipelines.export import export as export_events

    from .console import reporter

    export_events(labels, output, format=format, reporter=reporter)
