"""ESC-50 and ESC-10, and CSVs of their shape: filename, fold, category, and src_file, the recording of a clip.

K. J. Piczak, ESC: Dataset for Environmental Sound Classification, ACM Multimedia 2015, doi 10.1145/2733373.2806390.
"""

from __future__ import annotations

from dataclasses import replace

from hubbub.clips.sources.csv import listing
from hubbub.clips.sources.table_files import read_frame, read_header
from hubbub.clips.sources.table_rows import name_carried
from hubbub.clips.sources.template import Columns, Format, Listing, Options
from hubbub.clips.sources.tree import Tree
from hubbub.errors import ClipTableError
from hubbub.io.paths import StoragePath
from hubbub.io.text import list_few

_FOLDS = range(1, 6)
_COLUMNS = Columns(path="filename", label="category", fold="fold")


def _recognise(tree: Tree) -> str | None:
    table = _find_table(tree)
    if table is None or not _fits(table):
        return None
    return f"{table.name} has the columns filename, fold and category"


def _find_table(tree: Tree) -> StoragePath | None:
    """The CSV: the source itself, or one in a folder as downloaded."""
    if not tree.is_folder:
        return tree.source
    found = [*tree.find_named("esc50.csv"), *tree.find_named("esc10.csv")]
    return tree.root / found[0] if found else None


def _fits(source: StoragePath) -> bool:
    return {"filename", "category", "fold"} <= set(read_header(source))


def _read(tree: Tree, options: Options) -> Listing:
    """List the clips; those cut from one recording (`src_file`) are one group."""
    options.refuse(tree.source, "esc50")
    table = _find_table(tree)
    if table is None:
        raise ClipTableError(f"{tree.source} holds no esc50.csv; expected meta/esc50.csv beside audio/")
    shape = replace(_COLUMNS, group="src_file")
    frame = read_frame(table, shape)
    names, notes = name_carried(table, frame, {name for name in vars(shape).values() if name is not None})
    found = listing(table, frame.rename(columns=names), shape if "src_file" in frame else _COLUMNS)
    return replace(found, notes=[*notes, *_note_folds(found), *found.notes])


def _note_folds(found: Listing) -> list[str]:
    """Say which folds ESC-50 does not have; a set of its shape may have others."""
    others = sorted({clip["fold"] for clip in found.clips} - set(_FOLDS) - {None})
    return [f"{list_few([str(fold) for fold in others], 'fold')} not of ESC-50, which has 1 to 5"] if others else []


FORMAT = Format(
    "esc50",
    "ESC-50 and ESC-10: official folds; the source recording is the group",
    "meta/esc50.csv      filename,fold,target,category,esc10,src_file,take\naudio/1-100032-A-0.wav",
    _recognise,
    _read,
)
