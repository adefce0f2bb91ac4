"""FSD50K as downloaded: several labels a clip, the development set's own split, the evaluation set as test.

E. Fonseca, X. Favory, J. Pons, F. Font, X. Serra, FSD50K: an Open Dataset of Human-Labeled Sound Events, IEEE/ACM TASLP
30, 2022, doi 10.1109/TASLP.2021.3133208.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from hubbub.clips.sources.listed import note_differences
from hubbub.clips.sources.table_files import read_frame, read_header
from hubbub.clips.sources.template import Columns, Format, Listing, Options
from hubbub.clips.sources.tree import Tree
from hubbub.errors import ClipTableError

_PARTS = {"dev": "FSD50K.dev_audio", "eval": "FSD50K.eval_audio"}
_COLUMNS = {"fname", "labels", "mids"}


def _find_tables(tree: Tree) -> dict[str, str]:
    """Paths of the ground truth by part, as far as they are there."""
    found = {}
    for part in _PARTS:
        for path in tree.find_named(f"{part}.csv"):
            if PurePosixPath(path).parent.name.lower() == "fsd50k.ground_truth":
                found[part] = path
    return found


def _recognise(tree: Tree) -> str | None:
    if not tree.is_folder or not (tables := _find_tables(tree)):
        return None
    first = next(iter(tables.values()))
    return f"{first} lies in it" if set(read_header(tree.root / first)) >= _COLUMNS else None


def _read(tree: Tree, options: Options) -> Listing:
    options.refuse(tree.source, "fsd50k")
    tables = _find_tables(tree) if tree.is_folder else {}
    if not tables:
        raise ClipTableError(
            f"{tree.source} holds no FSD50K.ground_truth/dev.csv; expected the folder that holds FSD50K.ground_truth"
        )
    clips: list[dict[str, Any]] = []
    for part, path in tables.items():
        above = str(PurePosixPath(path).parent.parent)
        folder = _PARTS[part] if above == "." else f"{above}/{_PARTS[part]}"
        frame = read_frame(tree.root / path, Columns(path="fname", label="labels", split="split"))
        for row in frame.to_dict("records"):
            split = row.get("split", "test") if part == "dev" else "test"
            clips.append(
                {"uri": f"{folder}/{row['fname']}.wav", "labels": str(row["labels"]).split(","), "split": split}
                | {"mids": row.get("mids")}
            )
    return Listing(tree.root, clips, note_differences(tree, clips))


FORMAT = Format(
    "fsd50k",
    "FSD50K as downloaded: several labels a clip; its own train, val and test",
    "FSD50K.ground_truth/dev.csv      fname,labels,mids,split\nFSD50K.dev_audio/64760.wav\nFSD50K.eval_audio/37199.wav",
    _recognise,
    _read,
)
