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
    """Write events as CSV, Audacity label tracks or Raven selection tables."""
    from hubbub.labels.export import export_events
    from hubbub.labels.tables import open_labels

    from . import console

    tables = open_labels(labels)
    if tables.missing:
        console.warn(f"{tables.missing} files are not labelled yet: a run broke off; run hubbub label again")
    found = tables.events()
    written = export_events(found, tables.files(), output, format)
    console.summary("export: done", {"events": len(found), "files written": len(written), "result": output})
