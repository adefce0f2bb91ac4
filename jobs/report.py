"""``hubbub report``: evaluations and label tables as one HTML page."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from hubbub.io.paths import StoragePath, is_local, parse_path

from . import options


def report(
    sources: Annotated[
        list[StoragePath],
        typer.Argument(
            parser=parse_path, help="Folders made by hubbub evaluate or hubbub label.", metavar="RUN|LABELS…"
        ),
    ],
    output: Annotated[
        StoragePath, typer.Option("--output", "-o", parser=parse_path, help="The page to write.", metavar="FILE.html")
    ],
    truth: Annotated[
        StoragePath | None,
        typer.Option(
            parser=parse_path,
            help="CSV of true events (uri, label, onset_s, offset_s), to show and score.",
            metavar="FILE",
        ),
    ] = None,
    title: Annotated[str, typer.Option(help="Heading of the page.", metavar="TEXT")] = "hubbub report",
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Write one self-contained page: scores, confusion, spectrograms with their events, players."""
    from hubbub.clips.sources.csv import read_frame
    from hubbub.errors import UsageError
    from hubbub.io.atomic import atomic_write, explain_read_errors, refuse_foreign_file
    from hubbub.labels.tables import is_labels, open_labels
    from hubbub.report import evaluation_section, labels_section, write_report

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
            else:
                with explain_read_errors(source), _evaluation(source) as folder:
                    if not (folder / "evaluation.json").exists():
                        raise UsageError(
                            f"{source} holds neither an evaluation nor label tables; give folders hubbub made"
                        )
                    sections.append(evaluation_section(folder))
            advance(1)
    if is_local(output):
        size = write_report(sections, output, title=title).stat().st_size
    else:
        with atomic_write(output) as page:
            size = write_report(sections, page, title=title).stat().st_size
    console.summary("report: done", {"sections": len(sections), "size": console.size(size), "report": output})


@contextmanager
def _evaluation(source: StoragePath) -> Iterator[Path]:
    """Give a local folder with the files of an evaluation, if there is one."""
    from hubbub.io.atomic import list_names, local_file

    if is_local(source):
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="hubbub-") as folder:
        for name in {"evaluation.json", "predictions.parquet"}.intersection(list_names(source)):
            with local_file(source / name) as local:
                shutil.copy(local, folder)
        yield Path(folder)
