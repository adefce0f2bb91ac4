"""Write events in the formats of other programs. What ``hubbub export`` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from hubbub.clips.reviews import current_verdicts, read_reviews, settle_verdicts
from hubbub.errors import UsageError
from hubbub.io.paths import is_local
from hubbub.io.text import count_noun
from hubbub.labels.export import Export, ExportOptions, ExportSource, check_options, export_events
from hubbub.labels.reviews.schema import identify_events
from hubbub.labels.tables import LabelTables
from hubbub.pipelines.inputs import as_labels, as_path, as_root
from hubbub.pipelines.reporting import Reporter, choose_reporter

if TYPE_CHECKING:
    from hubbub.pipelines.inputs import PathLike

_SHOWN = 5  # failures that are shown one by one


def export(
    labels: PathLike | LabelTables,
    out: PathLike,
    *,
    format: str,
    options: ExportOptions | None = None,
    confirmed: bool = False,
    progress: bool = False,
    reporter: Reporter | None = None,
) -> Export:
    """Export events; see `hubbub.export_events`, which returns the files alone."""
    reporter = choose_reporter(reporter, progress=progress)
    options = options or ExportOptions()
    check_options(format, options)
    root = None if options.root is None else as_root(options.root)
    tables, output = as_labels(labels), as_path(out, "out")
    if is_local(output) and output.is_file():
        raise UsageError(f"-o {output} is a file; expected a folder to write to")
    if tables.missing:
        files = count_noun(tables.missing, "file")
        reporter.warn(f"{files} not labelled yet: a run broke off; run hubbub label again")
    events = _keep_confirmed(tables, reporter) if confirmed else tables.events()
    source = ExportSource(
        events,
        tables.files(),
        labels=tuple(tables.labels),
        run=tables.run,
        root=tables.root if root is None else root,
        options=options,
        show_progress=reporter.show_progress,
    )
    done = export_events(source, output, format)
    table = {"events": len(source.events), "files written": len(done.paths)}
    failed = {"failed": len(done.failed)} if done.failed else {}
    reporter.show_table("export: done", {**table, **failed, "result": output})
    for note in done.notes:
        reporter.warn(note)
    for failure in done.failed[:_SHOWN]:
        reporter.warn(f"failed: {failure}")
    if len(done.failed) > _SHOWN:
        reporter.warn(f"{len(done.failed) - _SHOWN} more failed; the column problem of the table in {output} says why")
    return done


def _keep_confirmed(tables: LabelTables, reporter: Reporter) -> pd.DataFrame:
    """The events that most reviewers call right."""
    settled = settle_verdicts(current_verdicts(read_reviews(tables.path)))
    if settled.empty:
        raise UsageError(
            f"{tables.path} has no verdicts on events, which --confirmed asks for (confirmed=True in Python); give "
            f"some: hubbub browse {tables.path}"
        )
    events = tables.events()
    right = set(settled["event"][settled["outcome"] == "right"])
    kept = events[[name in right for name in identify_events(events)]].reset_index(drop=True)
    reporter.say(f"{len(kept)} of {count_noun(len(events), 'event')} confirmed, {len(settled)} reviewed")
    return kept
