"""A table whose columns are splits and classes, and whose cells are file names: ``test_cat,test_dog,train_cat``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from hubbub.clips.sources.listed import note_differences
from hubbub.clips.sources.splits import SPLITS
from hubbub.clips.sources.table_files import read_frame, read_header
from hubbub.clips.sources.table_paths import TablePaths, find_paths
from hubbub.clips.sources.template import Columns, Format, Listing, Options
from hubbub.clips.sources.tree import Tree
from hubbub.errors import ClipTableError
from hubbub.io.paths import StoragePath

_NAME = re.compile(rf"(?P<split>{'|'.join(SPLITS)})[ _-]+(?P<label>.+)", re.IGNORECASE)
_TRIED = 50  # tables whose header is read to see what they hold
_INDEX = re.compile(r"(unnamed: 0|index|)", re.IGNORECASE)  # what pandas writes beside the columns


def _find_columns(source: StoragePath) -> dict[str, tuple[str, str]]:
    """Split and label of each column of a table; empty where a column is no split and class."""
    names = [name.strip() for name in read_header(source)]
    found = {name: match for name in names if (match := _NAME.fullmatch(name))}
    if len(found) < 2 or any(name not in found and not _INDEX.fullmatch(name) for name in names):
        return {}
    return {name: (SPLITS[match["split"].lower()], match["label"]) for name, match in found.items()}


def _find_table(tree: Tree) -> StoragePath | None:
    """The table: the source itself, or one in a folder or one folder down."""
    if not tree.is_folder:
        return tree.source
    paths = [path for path in tree.survey.tables if path.lower().endswith(".csv") and path.count("/") <= 1]
    return next((tree.root / path for path in paths[:_TRIED] if _find_columns(tree.root / path)), None)


def _recognise(tree: Tree) -> str | None:
    table = _find_table(tree)
    columns = {} if table is None else _find_columns(table)
    return f"{table.name} has the columns {', '.join(columns)}" if table is not None and columns else None


def _read(tree: Tree, options: Options) -> Listing:
    """List every cell that is a file name."""
    options.refuse(tree.source, "split-columns")
    table = _find_table(tree)
    columns = {} if table is None else _find_columns(table)
    if table is None or not columns:
        raise ClipTableError(f"{tree.source}: expected a CSV whose columns are splits and classes, such as train_cat")
    frame = read_frame(table, Columns())
    clips: list[dict[str, Any]] = []
    for column, (split, label) in columns.items():
        names = [str(name) for name in frame[column].dropna()]
        clips += [{"uri": name, "labels": [label], "split": split} for name in names]
    paths = _find_recordings(tree, table, [clip["uri"] for clip in clips])
    clips = [clip | {"uri": name} for clip, name in zip(clips, paths.names, strict=True)]
    return Listing(paths.root, clips, [*paths.notes, *note_differences(Tree(paths.root), clips)])


def _find_recordings(tree: Tree, table: StoragePath, names: Sequence[str]) -> TablePaths:
    """Recordings seen from the table; where none is, from the source that the table lies in."""
    try:
        return find_paths(table, names)
    except ClipTableError:
        if not tree.is_folder or table.parent == tree.root:
            raise
        return find_paths(tree.root / table.name, names)


FORMAT = Format(
    "split-columns",
    "a CSV whose columns are splits and classes, and whose cells are file names",
    "train_test_split.csv      test_cat,test_dog,train_cat,train_dog\ncats_dogs/train/cat/cat_1.wav",
    _recognise,
    _read,
)
