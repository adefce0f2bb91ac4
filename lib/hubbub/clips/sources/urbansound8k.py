"""UrbanSound8K as downloaded, and the set of the same sounds that Kaggle's challenge handed out.

J. Salamon, C. Jacoby, J. P. Bello, A Dataset and Taxonomy for Urban Sound Research, ACM Multimedia 2014, doi
10.1145/2647868.2655045. `start` and `end` of its table are times in the recording on Freesound that a slice was cut
from: they become `freesound_start_s` and `freesound_end_s`.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from hubbub.clips.sources.listed import describe_differences, note_differences
from hubbub.clips.sources.table_files import read_frame, read_header
from hubbub.clips.sources.template import Columns, Format, Listing, Options
from hubbub.clips.sources.tree import Tree
from hubbub.errors import ClipTableError
from hubbub.io.paths import StoragePath

_TABLE = "UrbanSound8K.csv"
_NEEDED = ("slice_file_name", "fsID", "fold", "class")
_FOLDS = range(1, 11)
_RENAMED = {"start": "freesound_start_s", "end": "freesound_end_s"}
_HELD = {*_NEEDED, *_RENAMED}

_KAGGLE_NEEDED = ("id", "class")


def _recognise(tree: Tree) -> str | None:
    if tree.is_folder:
        found = tree.find_named(_TABLE)
        return f"{found[0]} lies in it" if found else None
    return f"the file is called {_TABLE}" if tree.source.name.lower() == _TABLE.lower() else None


def _find_table(tree: Tree) -> tuple[StoragePath, StoragePath]:
    """The table, and the folder that holds ``audio/``."""
    if not tree.is_folder:
        return tree.source, tree.root.parent if tree.root.name.lower() == "metadata" else tree.root
    found = tree.find_named(_TABLE)
    if not found:
        raise ClipTableError(f"{tree.source} holds no {_TABLE}; expected metadata/{_TABLE} beside audio/fold1 … fold10")
    table = PurePosixPath(found[0])
    above = table.parent.parent if table.parent.name.lower() == "metadata" else table.parent
    return tree.root / found[0], tree.root / str(above) if str(above) != "." else tree.root


def _read(tree: Tree, options: Options) -> Listing:
    """List every row of the table; folds are the official ones, the recording on Freesound is the group."""
    options.refuse(tree.source, "urbansound8k")
    table, root = _find_table(tree)
    frame = read_frame(table, Columns(path="slice_file_name", label="class", group="fsID"))
    if missing := [name for name in _NEEDED if name not in frame]:
        raise ClipTableError(f"{table} has no column '{missing[0]}'; expected that of UrbanSound8K")
    if not set(frame["fold"]) <= set(_FOLDS):
        bad = next(fold for fold in frame["fold"] if fold not in _FOLDS)
        raise ClipTableError(f"{table}: fold {bad} is none of the official ones; expected 1 to 10")
    carried = [str(name) for name in frame if name not in _HELD]
    clips = [
        {"uri": f"audio/fold{row['fold']}/{row['slice_file_name']}", "labels": [row["class"]], "fold": row["fold"]}
        | {"group": row["fsID"]}
        | {new: row[old] for old, new in _RENAMED.items() if old in row}
        | {name: row[name] for name in carried}
        for row in _rows(frame)
    ]
    return Listing(root, clips, note_differences(Tree(root), clips))


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as mappings, with None where a cell is empty."""
    return frame.astype(object).where(frame.notna(), None).to_dict("records")  # type: ignore[return-value]


def _find_kaggle(tree: Tree) -> dict[str, str]:
    """The tables of the challenge by split, as far as they are there."""
    found = {split: tree.find(f"{split}.csv", f"{split}/{split}.csv") for split in ("train", "test")}
    return {split: path for split, path in found.items() if path is not None}


def _columns_of(table: StoragePath) -> dict[str, str]:
    """Names of a table's columns by their small letters."""
    return {name.strip().lower(): name.strip() for name in read_header(table)}


def _recognise_kaggle(tree: Tree) -> str | None:
    if not tree.is_folder or not (tables := _find_kaggle(tree)) or "train" not in tables:
        return None
    columns = _columns_of(tree.root / tables["train"])
    numbered = _find_numbered(tree)
    if set(columns) != set(_KAGGLE_NEEDED) or not numbered["train"]:
        return None
    return f"{tables['train']} has the columns ID and Class, and a folder train has numbered recordings"


def _find_numbered(tree: Tree) -> dict[str, dict[str, str]]:
    """Paths of numbered recordings in folders called train and test, by split and number."""
    found: dict[str, dict[str, str]] = {"train": {}, "test": {}}
    for path, _ in tree.recordings():
        parts, stem = PurePosixPath(path.lower()).parts[:-1], PurePosixPath(path).stem
        split = next((part for part in reversed(parts) if part in found), None)
        if split is not None and stem.isdigit():
            found[split].setdefault(stem, path)
    return found


def _read_kaggle(tree: Tree, options: Options) -> Listing:
    """List both tables; recordings of the test have no labels."""
    options.refuse(tree.source, "urbansound-kaggle")
    tables, there = _find_kaggle(tree), _find_numbered(tree)
    if "train" not in tables:
        raise ClipTableError(f"{tree.source} holds no train.csv; expected it beside Train/ and Test/ of numbered files")
    clips: list[dict[str, Any]] = []
    missing: list[str] = []
    for split, path in tables.items():
        columns = _columns_of(tree.root / path)
        if "id" not in columns or (split == "train" and "class" not in columns):
            raise ClipTableError(f"{tree.root / path}: expected the columns ID and Class (known: {', '.join(columns)})")
        frame = read_frame(tree.root / path, Columns(path=columns["id"], label=columns.get("class")))
        for row in _rows(frame):
            number = str(row[columns["id"]])
            label = row[columns["class"]] if split == "train" else None
            uri = there[split].get(number)
            if uri is None:
                uri = f"{split.title()}/{number}.wav"
                missing.append(uri)
            clips.append({"uri": uri, "labels": [] if label is None else [label], "split": split})
    extra = sorted({path for split in there.values() for path in split.values()} - {clip["uri"] for clip in clips})
    return Listing(tree.root, clips, describe_differences(missing, extra))


FORMAT = Format(
    "urbansound8k",
    "UrbanSound8K as downloaded: official folds; the recording on Freesound is the group",
    "metadata/UrbanSound8K.csv      slice_file_name,fsID,start,end,salience,fold,classID,class\n"
    "audio/fold1/101415-3-0-2.wav",
    _recognise,
    _read,
)
KAGGLE = Format(
    "urbansound-kaggle",
    "urban sounds of the challenge on Kaggle: two tables beside two folders; the test has no labels",
    "train.csv      ID,Class\ntest.csv      ID\nTrain/0.wav\nTest/5.wav",
    _recognise_kaggle,
    _read_kaggle,
)
