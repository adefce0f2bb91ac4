"""Write events in the formats of other programs. What ``hubbub export`` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubbub.io.paths import StoragePath
from hubbub.io.text import count_noun
from hubbub.labels.export import export_events
from hubbub.labels.tables import LabelTables
from hubbub.pipelines.inputs import as_labels, as_path
from hubbub.pipelines.reporting import Reporter, choose_reporter

if TYPE_CHECKING:
    from hubbub.pipelines.inputs import PathLike


def export(
    labels: PathLike | LabelTables,
    out: PathLike,
    *,
    format: str,
    progress: bool = False,
    reporter: Reporter | None = None,
) -> list[StoragePath]:
    """Export events; see `hubbub.export_events`."""
    reporter = choose_reporter(reporter, progress=progress)
    tables, output = as_labels(labels), as_path(out, "out")
    if tables.missing:
        files = count_noun(tables.missing, "file")
        reporter.warn(f"{files} not labelled yet: a run broke off; run hubbub label again")
    found = tables.events()
    written = export_events(found, tables.files(), output, format)
    table = {"events": len(found), "files written": len(written), "result": output}
    reporter.show_table("export: done", table)
    return written
