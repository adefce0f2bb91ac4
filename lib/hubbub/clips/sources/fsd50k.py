"""FSD50K as downloaded: several labels a clip, the development set's own split, the evaluation set as test.

E. Fonseca, X. Favory, J. Pons, F. Font, X. Serra, FSD50K: an Open Dataset of Human-Labeled Sound Events, IEEE/ACM TASLP
30, 2022, doi 10.1109/TASLP.2021.3133208.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from hubbub.clips.sources.listed import note_differences
from hubbub.clips.sources.table_rows import is_blank, make_labels, read_rows
from hubbub.clips.sources.template import Columns, Format, Listing, Options
from hubbub.clips.sources.tree import Tree
from hubbub.errors import ClipTableError
from hubbub.io.paths import StoragePath

_PARTS = {"dev": "FSD50K.dev_audio", "eval": "FSD50K.eval_audio"}
_FOLDER = "fsd50k.ground_truth"


def _find_tables(tree: Tree) -> dict[str, StoragePath]:
    """The ground truth by part, as far as it is there; of a table, that one."""
    names = [tree.root / path for path in tree.find_named("dev.csv", "eval.csv")]
    paths = names if tree.is_folder else [tree.root / tree.source.name]
    found = {PurePosixPath(path.name.lower()).stem: path for path in paths if path.parent.name.lower() == _FOLDER}
    return {part: found[part] for part in _PARTS if part in found}


def _recognise(tree: Tree) -> str | None:
    tables = _find_tables(tree)
    if not tables:
        return None
    first = next(iter(tables.values()))
    return f"{first.parent.name}/{first.name} lies in it" if tree.is_folder else f"it lies in {first.parent.name}"


def _read(tree: Tree, options: Options) -> Listing:
    options.refuse(tree.source, "fsd50k")
    tables = _find_tables(tree)
    if not tables:
        raise ClipTableError(
            f"{tree.source} holds no FSD50K.ground_truth/dev.csv; expected the folder that holds FSD50K.ground_truth"
        )
    root = next(iter(tables.values())).parent.parent
    clips: list[dict[str, Any]] = []
    notes: list[str] = []
    for part, table in tables.items():
        rows = read_rows(table, Columns(path="fname", label="labels", split="split"), ("fname", "labels"), ("split",))
        notes += rows.notes
        for number, (row, carried) in enumerate(rows.pairs(), start=1):
            if is_blank(row["fname"]):
                raise ClipTableError(f"{table}: row {number} has no fname; give every row the name of its recording")
            split = row["split"] if part == "dev" else "test"
            clip = {"uri": f"{_PARTS[part]}/{row['fname']}.wav", "labels": make_labels(row["labels"], ",")}
            clips.append(clip | {"split": split, **carried})
    return Listing(root, clips, [*notes, *note_differences(Tree(root), clips)])


FORMAT = Format(
    "fsd50k",
    "FSD50K as downloaded: several labels a clip; its own train, val and test",
    "FSD50K.ground_truth/dev.csv      fname,labels,mids,split\nFSD50K.dev_audio/64760.wav\nFSD50K.eval_audio/37199.wav",
    _recognise,
    _read,
)
