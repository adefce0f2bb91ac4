"""``hubbub export``: events for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options


def export(
    labels: Annotated[Path, typer.Argument(help="Label tables, made by hubbub label.", metavar="LABELS")],
    format: Annotated[str, typer.Option(help="csv, audacity or raven.", metavar="NAME")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.", metavar="DIR")],
    debug: options.Debug = False,
) -> None:
    """Write events as CSV, Audacity label tracks or Raven selection tables."""
    from hubbub.export import export_events
    from hubbub.store.tables import open_labels

    from . import console

    tables = open_labels(labels)
    if tables.missing:
        console.warn(f"{tables.missing} files are not labelled yet: a run broke off; run hubbub label again")
    found = tables.events()
    written = export_events(found, tables.files(), output, format)
    console.summary("export: done", {"events": len(found), "files written": len(written), "result": output})
