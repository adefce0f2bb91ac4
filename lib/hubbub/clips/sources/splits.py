"""Class folders inside folders of a split or a fold: ``train/dog``, ``test/dogs``, ``fold1/rain``, ``audio/rain``."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import Any

from hubbub.clips.sources.folder import is_class_name, list_recordings
from hubbub.clips.sources.template import Format, Listing, Options
from hubbub.clips.sources.tree import Tree

SPLITS = {
    **dict.fromkeys(("train", "training", "trainset"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "testset", "eval", "evaluation"), "test"),
}
"""What splits are called, in small letters, and which they are."""
_FOLD = re.compile(r"(?:fold|cv)[_ -]?(\d+)", re.IGNORECASE)
_ENOUGH = 0.5
"""Share of the recordings that must lie in a class folder within: half may be a test without labels."""


def _describe_folder(path: str) -> tuple[str | None, dict[str, Any]]:
    """The class of a folder's recordings, None where none of the folders is one, and their split or fold."""
    folders = path.split("/")
    outer: dict[str, Any] = {}
    is_within = False
    for folder in folders:
        if (split := SPLITS.get(folder.lower())) is not None:
            outer["split"] = split
        elif found := _FOLD.fullmatch(folder):
            outer["fold"] = int(found[1])
        elif is_class_name(folder):
            if is_within:
                return folder, outer
            continue  # what the whole set is called
        is_within = True
    return None, outer


def _is_within(tree: Tree) -> bool:
    """Whether every folder right below the source is one of a split, of a fold or of files."""
    first = {path.split("/")[0] for path in tree.survey.by_folder if path not in (".", "")}
    return bool(first) and (not any(map(is_class_name, first)) or _is_wrapped(tree, first))


def _is_wrapped(tree: Tree, first: set[str]) -> bool:
    """Whether the source holds one folder, named after the set, with the folders of its splits."""
    second = {path.split("/")[1] for path in tree.survey.by_folder if path.count("/")}
    return len(first) == 1 and bool(second) and all(name.lower() in SPLITS or _FOLD.fullmatch(name) for name in second)


def _recognise(tree: Tree) -> str | None:
    if not tree.is_folder or not tree.survey.recordings or not _is_within(tree):
        return None
    inside, classes = 0, set()
    for path, count in tree.survey.by_folder.items():
        label, _ = _describe_folder(path)
        if label is not None:
            inside += count
            classes.add(label)
    if inside < _ENOUGH * tree.survey.recordings or len(classes) < 2:
        return None
    outer = sorted({path.split("/")[0] for path in tree.survey.by_folder if path != "."})
    return f"{inside} of {tree.survey.recordings} files lie in class folders within {', '.join(outer[:3])}" + (
        " …" if len(outer) > 3 else ""
    )


def _read(tree: Tree, options: Options) -> Listing:
    options.refuse(tree.source, "splits")
    spellings = _unify(tree)

    def describe(path: str) -> dict[str, Any]:
        label, outer = _describe_folder(path.rpartition("/")[0])
        return {"labels": [] if label is None else [spellings[label]], **outer}

    listing = list_recordings(tree, options, describe)
    unlabelled = [clip["uri"] for clip in listing.clips if not clip["labels"]]
    other = [f"{old} as {new}" for old, new in sorted(spellings.items()) if old != new]
    notes = [f"folders that are named differently in each split are one label: {', '.join(other)}"] if other else []
    if unlabelled:
        where = sorted({uri.rpartition("/")[0] or "." for uri in unlabelled})
        notes.append(
            f"{len(unlabelled)} of {len(listing.clips)} files {'lies' if len(unlabelled) == 1 else 'lie'} in no class "
            f"folder but in {', '.join(where[:3])}{' …' if len(where) > 3 else ''}; "
            f"{'it stays' if len(unlabelled) == 1 else 'they stay'} unlabelled"
        )
    return Listing(listing.root, listing.clips, [*notes, *listing.notes])


def _unify(tree: Tree) -> dict[str, str]:
    """Class folders that differ in case or a plural s only, as in ``train/cat`` and ``test/cats``, by one name.

    Those of one split are never unified: ``bus`` and ``buses`` beside each other are two.
    """
    counts, parts = Counter[str](), dict[str, set[str]]()
    for path, count in tree.survey.by_folder.items():
        label, outer = _describe_folder(path)
        if label is not None:
            counts[label] += count
            parts.setdefault(label, set()).add(str(outer.get("split", outer.get("fold"))))
    names: dict[str, str] = {}
    for name in sorted(counts, key=lambda name: (-counts[name], len(name), name)):
        same = [known for known in names.values() if _stem(known) == _stem(name) and not parts[known] & parts[name]]
        names[name] = same[0] if same else name
        parts[names[name]] = parts[names[name]] | parts[name]
    return names


def _stem(name: str) -> str:
    """A name without what may differ: case, a plural s, and how accents are encoded, which macOS changes."""
    return unicodedata.normalize("NFC", name).lower().strip().removesuffix("s")


FORMAT = Format(
    "splits",
    "class folders within folders of splits or folds, whatever these are wrapped in",
    "train/cat/1.wav\ntrain/dog/2.wav\ntest/cats/3.wav\ntest/dogs/4.wav",
    _recognise,
    _read,
)
