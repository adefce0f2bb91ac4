"""UrbanSound8K as downloaded, and the set of the same sounds that Kaggle's challenge handed out.

J. Salamon, C. Jacoby, J. P. Bello, A Dataset and Taxonomy for Urban Sound Research, ACM Multimedia 2014, doi
10.1145/2647868.2655045. `start` and `end` of its table are times in the recording on Freesound that a slice was cut
from: they become `freesound_start_s` and `freesound_end_s`.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from hubbub.clips.sources.csv import parse_whole_number
from hubbub.clips.sources.listed import describe_differences, note_differences
from hubbub.clips.sources.table_files import read_header
from hubbub.clips.sources.table_rows import is_blank, make_labels, read_rows
from hubbub.clips.sources.template import Columns, Format, Listing, Options
from hubbub.clips.sources.tree import Tree, step_out
from hubbub.errors import ClipTableError
from hubbub.io.paths import StoragePath
from hubbub.io.text import count_noun

_TABLE = "UrbanSound8K.csv"
_NEEDED = ("slice_file_name", "fsID", "fold", "class")
_FOLDS = range(1, 11)
_RENAMED = {"start": "freesound_start_s", "end": "freesound_end_s"}

_KAGGLE_NEEDED = {"id", "class"}


def _recognise(tree: Tree) -> str | None:
    if tree.is_folder:
        found = tree.find_named(_TABLE)
        return f"{found[0]} lies in it" if found else None
    return f"the file is called {_TABLE}" if tree.source.name.lower() == _TABLE.lower() else None


def _find_table(tree: Tree) -> StoragePath:
    if not tree.is_folder:
        return tree.root / tree.source.name
    found = tree.find_named(_TABLE)
    if not found:
        raise ClipTableError(f"{tree.source} holds no {_TABLE}; expected metadata/{_TABLE} beside audio/fold1 … fold10")
    return tree.root / found[0]


def _read(tree: Tree, options: Options) -> Listing:
    """List every row of the table; folds are the official ones, the recording on Freesound is the group."""
    options.refuse(tree.source, "urbansound8k")
    table = _find_table(tree)
    root = step_out(table.parent, "metadata")  # it holds audio/
    text = Columns(path="slice_file_name", label="class", group="fsID")
    rows = read_rows(table, text, _NEEDED, tuple(_RENAMED))
    clips = [
        _describe_slice(table, number, row) | carried for number, (row, carried) in enumerate(rows.pairs(), start=1)
    ]
    return Listing(root, clips, [*rows.notes, *note_differences(Tree(root), clips)])


def _describe_slice(table: StoragePath, number: int, row: dict[str, Any]) -> dict[str, Any]:
    if is_blank(row["slice_file_name"]):
        raise ClipTableError(f"{table}: row {number} has no slice_file_name; give every row a file name")
    try:
        fold = parse_whole_number(row["fold"], "fold")
    except ClipTableError:
        fold = 0
    if fold not in _FOLDS:
        what = "fold is empty" if is_blank(row["fold"]) else f"fold {row['fold']} is none of the official ones"
        raise ClipTableError(f"{table}: row {number} ({row['slice_file_name']}): {what}; expected 1 to 10")
    renamed = {new: row[old] for old, new in _RENAMED.items() if row[old] is not None}
    uri = f"audio/fold{fold}/{row['slice_file_name']}"
    return {"uri": uri, "labels": make_labels(row["class"]), "fold": fold, "group": row["fsID"], **renamed}


def _find_kaggle(tree: Tree) -> tuple[StoragePath, dict[str, StoragePath]]:
    """The folder of the challenge, and its tables by split: all that are there, or the one that was given."""
    if not tree.is_folder:
        split, table = PurePosixPath(tree.source.name.lower()).stem, tree.root / tree.source.name
        is_theirs = split in ("train", "test") and _is_kaggle(table, needs_class=split == "train")
        return step_out(tree.root, split), {split: table} if is_theirs else {}
    found = (tree.root / path for path in tree.find_named("train.csv"))
    train = next((table for table in found if _is_kaggle(table)), None)
    if train is None:
        return tree.root, {}
    root = step_out(train.parent, "train")
    test = Tree(root).find("test.csv", "test/test.csv")
    return root, {"train": train} | ({} if test is None else {"test": root / test})


def _is_kaggle(table: StoragePath, *, needs_class: bool = True) -> bool:
    columns = set(_columns_of(table))
    return columns == _KAGGLE_NEEDED or (not needs_class and columns == {"id"})


def _columns_of(table: StoragePath) -> dict[str, str]:
    """Names of a table's columns by their small letters."""
    return {name.strip().lower(): name.strip() for name in read_header(table)}


def _recognise_kaggle(tree: Tree) -> str | None:
    root, tables = _find_kaggle(tree)
    there = _find_numbered(Tree(root)) if tables else {}
    split = next((split for split in tables if there[split]), None)
    if split is None:
        return None
    columns = " and ".join(_columns_of(tables[split]).values())
    return f"{tables[split].name} has {columns}, and a folder {split} has numbered recordings"


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
    """List the tables; recordings of the test have no labels."""
    options.refuse(tree.source, "urbansound-kaggle")
    root, tables = _find_kaggle(tree)
    if not tables:
        raise ClipTableError(
            f"{tree.source} holds no train.csv with the columns ID and Class; expected it beside Train/ and Test/ of "
            "numbered files"
        )
    there = _find_numbered(Tree(root))
    clips: list[dict[str, Any]] = []
    missing: list[str] = []
    for split, table in tables.items():
        for number, label in _read_numbers(table):
            uri = there[split].get(number)
            if uri is None:
                uri = f"{split.title()}/{number}.wav"
                missing.append(uri)
            clips.append({"uri": uri, "labels": make_labels(label), "split": split})
    if len(missing) == len(clips):
        raise ClipTableError(
            f"{tree.source}: none of the {count_noun(len(missing), 'listed file')} exists, not even {missing[0]}; "
            "keep Train/ and Test/ beside their tables"
        )
    extra = sorted({path for split in tables for path in there[split].values()} - {clip["uri"] for clip in clips})
    return Listing(root, clips, describe_differences(missing, extra))


def _read_numbers(table: StoragePath) -> list[tuple[str, Any]]:
    """Number and class, None where the table has none, of each row."""
    columns = _columns_of(table)
    id_, label = columns["id"], columns.get("class")
    rows = read_rows(table, Columns(path=id_, label=label), [id_] if label is None else [id_, label]).held
    if blank := [number for number, row in enumerate(rows, start=1) if is_blank(row[id_])]:
        raise ClipTableError(f"{table}: row {blank[0]} has no {id_}; give every row the number of its recording")
    return [(str(row[id_]).strip(), None if label is None else row[label]) for row in rows]


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
