"""Recordings as people name them: a clip table, a folder, or one file."""

from __future__ import annotations

from hubbub.clips.index import index_listing
from hubbub.clips.sources import Columns, Listing, list_source
from hubbub.clips.sources.tree import is_audio
from hubbub.clips.table import ClipTable, read_table
from hubbub.errors import ClipTableError
from hubbub.io.atomic import explain_read_errors
from hubbub.io.paths import StoragePath, absolute_path
from hubbub.pipelines.reporting import Reporter


def read_recordings(source: StoragePath, reporter: Reporter) -> ClipTable:
    """Read a clip table, or index a folder or one recording without labels."""
    with explain_read_errors(source):
        exists, is_file, is_folder = source.exists(), source.is_file(), source.is_dir()
    if not exists:
        raise ClipTableError(
            f"{source} does not exist; expected a clip table, a folder of recordings, or one recording"
        )
    if source.suffix == ".csv":
        raise ClipTableError(
            f"{source} is a CSV; make a clip table of it first: hubbub index {source} -o clips.parquet"
        )
    if is_file and is_audio(source.name):
        listing = Listing(absolute_path(source).parent, [{"uri": source.name, "labels": []}])
    elif is_folder:
        listing = list_source(source, "flat", Columns())
    else:
        return read_table(source)
    with reporter.show_progress("index", len(listing.clips), "files") as advance:
        return index_listing(listing, on_clip=lambda: advance(1))[0]
