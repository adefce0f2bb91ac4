"""List recordings and their labels in a clip table. What ``hubbub index`` does."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hubbub.clips.index import index_listing
from hubbub.clips.sources import Columns, list_source
from hubbub.clips.table import ClipTable, write_table
from hubbub.io.folders import refuse_foreign_file
from hubbub.pipelines.inputs import as_path
from hubbub.pipelines.reporting import Reporter, choose_reporter

if TYPE_CHECKING:
    from hubbub.pipelines.inputs import PathLike


@dataclass(frozen=True)
class IndexResult:
    """A clip table as it was made.

    Attributes
    ----------
    table
        The clips.
    unreadable
        A line for each file that cannot be read; the clips stay in the table and become failed rows.
    """

    table: ClipTable
    unreadable: list[str]

    @property
    def labels(self) -> Counter[str]:
        """Clips a label."""
        return Counter(label for labels in self.table.rows["labels"].to_pylist() for label in labels)

    @property
    def folds(self) -> list[int]:
        """Folds of the clips, sorted."""
        return sorted({fold for fold in self.table.rows["fold"].to_pylist() if fold is not None})

    @property
    def audio_s(self) -> float:
        """Duration of all clips whose duration is known."""
        return sum(value or 0.0 for value in self.table.rows["duration_s"].to_pylist())


def index(
    source: PathLike,
    out: PathLike | None = None,
    *,
    format: str | None = None,
    columns: Columns | None = None,
    progress: bool = False,
    reporter: Reporter | None = None,
) -> IndexResult:
    """Make a clip table; see `hubbub.index`, which returns the table alone."""
    reporter = choose_reporter(reporter, progress=progress)
    path, output = as_path(source, "source"), None if out is None else as_path(out, "out")
    if output is not None:
        refuse_foreign_file(output, b"PAR1", "a clip table")
    listing = list_source(path, format, columns or Columns())
    for note in listing.notes:
        reporter.warn(note)
    with reporter.show_progress("index", len(listing.clips), "clips") as advance:
        table, unreadable = index_listing(listing, on_clip=lambda: advance(1))
    if output is not None:
        write_table(table, output)
        table = replace(table, source=output)
    return IndexResult(table, unreadable)
