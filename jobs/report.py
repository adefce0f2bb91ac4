"""``hubbub report``: evaluations and label tables as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options


def report(
    sources: Annotated[
        list[Path], typer.Argument(help="Folders made by hubbub evaluate or hubbub label.", metavar="RUN|LABELS…")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The page to write.", metavar="FILE.html")],
    truth: Annotated[
        Path | None,
        typer.Option(help="CSV of true events (uri, label, onset_s, offset_s), to show and score.", metavar="FILE"),
    ] = None,
    title: Annotated[str, typer.Option(help="Heading of the page.", metavar="TEXT")] = "hubbub report",
    debug: options.Debug = False,
) -> None:
    """Write one self-contained page: scores, confusion, spectrograms with their events, players."""
    from hubbub.clips.sources.csv import read_frame
    from hubbub.errors import UsageError
    from hubbub.files import refuse_foreign_file
    from hubbub.report import evaluation_section, labels_section, write_report
    from hubbub.store.tables import is_labels, open_labels

    from . import console

    refuse_foreign_file(output, b"<!DOCTYPE html", "a report")
    events = None if truth is None else read_frame(truth)
    sections = []
    with console.progress("report", len(sources), "sections") as advance:
        for source in sources:
            if is_labels(source):
                tables = open_labels(source)
                if tables.missing:
                    console.warn(f"{source}: {tables.missing} files are not labelled yet; run hubbub label again")
                sections.append(labels_section(tables, truth=events))
            elif (source / "evaluation.json").exists():
                sections.append(evaluation_section(source))
            else:
                raise UsageError(f"{source} holds neither an evaluation nor label tables; give folders hubbub made")
            advance(1)
    page = write_report(sections, output, title=title)
    console.summary(
        "report: done", {"sections": len(sections), "size": console.size(page.stat().st_size), "report": page}
    )
