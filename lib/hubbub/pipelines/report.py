"""Write evaluations, label tables and clip tables as one HTML page. What ``hubbub report`` does."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from hubbub.clips.sources.table_files import read_frame
from hubbub.clips.table import ClipTable, read_table
from hubbub.errors import UsageError
from hubbub.io.atomic import atomic_write, explain_read_errors, local_file
from hubbub.io.folders import list_names, refuse_foreign_file
from hubbub.io.paths import StoragePath, is_local
from hubbub.io.text import count_noun
from hubbub.labels.clock import read_zone
from hubbub.labels.tables import LabelTables, is_labels, open_labels
from hubbub.pipelines.evaluate import Evaluation
from hubbub.pipelines.inputs import as_list, as_path, as_root
from hubbub.pipelines.quantities import format_size
from hubbub.pipelines.reporting import Reporter, choose_reporter
from hubbub.report import clips_section, evaluation_section, labels_section, write_report
from hubbub.report.labels import MOST_BYTES
from hubbub.report.page import Section

if TYPE_CHECKING:
    from hubbub.pipelines.inputs import PathLike

_EMPTY_PAGE_BYTES = 60_000  # head, style and script


def report(
    sources: PathLike
    | LabelTables
    | Evaluation
    | ClipTable
    | Sequence[PathLike | LabelTables | Evaluation | ClipTable],
    out: PathLike,
    *,
    truth: PathLike | pd.DataFrame | None = None,
    title: str = "hubbub report",
    samples: int | None = None,
    max_size_mb: float = MOST_BYTES / 1e6,
    root: PathLike | None = None,
    timezone: str | None = None,
    progress: bool = False,
    reporter: Reporter | None = None,
) -> StoragePath:
    """Write a report page; see `hubbub.write_report`."""
    if samples is not None and samples < 0:
        raise UsageError(f"--samples {samples}: give 0 or more events of each label")
    if not max_size_mb > 0:
        raise UsageError(f"--max-size {max_size_mb:g}: give megabytes above 0, such as 50")
    zone = read_zone(timezone)
    lies = None if root is None else as_root(root)
    reporter, output = choose_reporter(reporter, progress=progress), as_path(out, "out")
    refuse_foreign_file(output, b"<!DOCTYPE html", "a report")
    events = truth if truth is None or isinstance(truth, pd.DataFrame) else read_frame(as_path(truth, "truth"))
    sections: list[Section] = []
    given = as_list(sources)
    with reporter.show_progress("report", len(given), "sections") as advance:
        for source in given:
            if isinstance(source, ClipTable):
                sections.append(clips_section(source))
                advance(1)
                continue
            section = _make_section(
                _source_path(source),
                reporter,
                advance,
                truth=events,
                samples=samples,
                max_bytes=round(max_size_mb * 1e6) - _size(sections),
                root=lies,
                timezone=zone,
            )
            sections.append(section)
    with _local_page(output) as page:
        size = write_report(sections, page, title=title).stat().st_size
    reporter.show_table("report: done", {"sections": len(sections), "size": format_size(size), "report": output})
    return output


def _source_path(source: PathLike | LabelTables | Evaluation) -> StoragePath:
    if isinstance(source, Evaluation):
        if source.out is None:
            raise UsageError("the evaluation was not written; pass out= to hubbub.evaluate for a report of it")
        return source.out
    return source.path if isinstance(source, LabelTables) else as_path(source, "source")


def _size(sections: Sequence[Section]) -> int:
    """Bytes that a page has already."""
    return _EMPTY_PAGE_BYTES + sum(len(section.body.encode()) for section in sections)


def _make_section(
    source: StoragePath,
    reporter: Reporter,
    advance: Callable[[float], None],
    *,
    truth: pd.DataFrame | None,
    samples: int | None,
    max_bytes: int,
    root: StoragePath | None,
    timezone: str,
) -> Section:
    with explain_read_errors(source):
        if source.is_file():
            section = clips_section(read_table(source))
            advance(1)
            return section
    if is_labels(source):
        tables = open_labels(source)
        if tables.missing:
            files = count_noun(tables.missing, "file")
            reporter.warn(f"{source}: {files} not labelled yet; run hubbub label again")
        if root is not None:
            tables = replace(tables, run=tables.run | {"root": str(root)})
        return labels_section(
            tables, truth=truth, samples=samples, max_bytes=max_bytes, timezone=timezone, advance=advance
        )
    with explain_read_errors(source), _local_evaluation(source) as folder:
        if not (folder / "evaluation.json").exists():
            raise UsageError(
                f"{source} holds neither an evaluation nor label tables; expected a folder that hubbub evaluate or "
                "hubbub label made, or a clip table (a file)"
            )
        section = evaluation_section(folder)
        advance(1)
        return section


@contextmanager
def _local_evaluation(source: StoragePath) -> Iterator[Path]:
    """Give a local folder with the files of an evaluation, if there are some."""
    if is_local(source):
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="hubbub-") as folder:
        for name in {"evaluation.json", "predictions.parquet"}.intersection(list_names(source)):
            with local_file(source / name) as local:
                shutil.copy(local, folder)
        yield Path(folder)


@contextmanager
def _local_page(output: StoragePath) -> Iterator[Path]:
    if is_local(output):
        yield output
        return
    with atomic_write(output) as page:
        yield page
