"""A folder of recordings: one sub-folder a class, or unlabelled."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from hubbub.clips.sources.template import Columns, Format, Listing, Options, StreamedClips
from hubbub.clips.sources.tree import Tree
from hubbub.errors import ClipTableError
from hubbub.io.text import count_noun, list_few

_MOST_LOOSE = 0.1  # share of recordings beside class folders above which the folders may be no classes

_NO_CLASS = re.compile(
    r"(audio|sound|recording|wave?|flac|mp3|ogg|clip|sample|file|data|dataset|train|training|test|testing|val|valid|"
    r"validation|dev|eval|evaluation|unlabell?ed)s?([_ -]?(audio|set|data|files?|clips?|\d+))?"
    r"|(fold|split|part|set|disc|disk|cd|session|day|week|batch|channel|ch)[_ -]?\d+"
    r"|\d{4}([-_.]?\d\d){0,2}([T_ -]?\d\d([-_.:]?\d\d){0,2})?",
    re.IGNORECASE,
)
"""Names of folders that say how files are kept, not what sounds: formats, splits, folds, dates."""


def is_class_name(name: str) -> bool:
    """Whether a folder's name may be a class."""
    return _NO_CLASS.fullmatch(name) is None


@dataclass(frozen=True)
class _Folders:
    """How recordings lie in the folders right below a source.

    Attributes
    ----------
    classes, others
        Recordings a folder, of folders that may be classes and of others.
    loose
        Recordings in the source itself.
    """

    classes: Counter[str]
    others: Counter[str]
    loose: int


def _sort_folders(tree: Tree) -> _Folders:
    classes, others, loose = Counter[str](), Counter[str](), 0
    for path, count in tree.survey.by_folder.items():
        first = path.split("/")[0]
        if first in (".", ""):
            loose += count
        else:
            (classes if is_class_name(first) else others)[first] += count
    return _Folders(classes, others, loose)


def _recognise_classes(tree: Tree) -> str | None:
    if not tree.is_folder or not tree.survey.recordings:
        return None
    found = _sort_folders(tree)
    in_classes, total = found.classes.total(), tree.survey.recordings
    if not in_classes:
        return None
    beside = total - in_classes
    if beside > _MOST_LOOSE * total:
        raise ClipTableError(
            f"{tree.source}: {in_classes} of {count_noun(total, 'recording')} lie in "
            f"{_describe_folders(found.classes)} and {beside} beside them, so the folders may be classes or not; "
            f"{_say_commands(tree)}"
        )
    _refuse_wrapping(tree, found)
    stay = f"; {beside} beside them {'stays' if beside == 1 else 'stay'} unlabelled" if beside else ""
    return (
        f"{in_classes} of {count_noun(total, 'file')} {'lies' if in_classes == 1 else 'lie'} in "
        f"{count_noun(len(found.classes), 'class folder')}{stay}"
    )


def _refuse_wrapping(tree: Tree, found: _Folders) -> None:
    """Refuse one folder with folders in it, which may be a class, or hold the classes."""
    if len(found.classes) > 1:
        return
    (outer,) = found.classes
    inner = Counter[str]()
    for path, count in tree.survey.by_folder.items():
        if path.startswith(f"{outer}/"):
            inner[path.split("/")[1]] += count
    if inner:
        raise ClipTableError(
            f"{tree.source}: its recordings lie in one folder, {outer}, which holds {_describe_folders(inner)}, so it "
            f"may be a class or what the set is called; where the folders in it are the classes, say: "
            f"hubbub index {tree.source / outer} -o FILE; {_say_commands(tree)}"
        )


def _say_commands(tree: Tree) -> str:
    return (
        f"where a folder is a class, say: hubbub index {tree.source} --format folder -o FILE; where nothing is "
        f"labelled: hubbub index {tree.source} --format flat -o FILE"
    )


def _recognise_flat(tree: Tree) -> str | None:
    if not tree.is_folder:
        return None
    found = _sort_folders(tree)
    if not found.others:
        return "the recordings lie in the folder itself, unlabelled" if found.loose else ""
    return f"the recordings are unlabelled: {_describe_folders(found.others)} name no classes"


def _describe_folders(folders: Counter[str]) -> str:
    return list_few(sorted(folders), "folder")


def _read_classes(tree: Tree, options: Options) -> Listing:
    """List a folder with a class a sub-folder: the first folder below the source is the label."""
    return list_recordings(tree, options, _label_of_folder)


def _read_flat(tree: Tree, options: Options) -> Listing:
    """List a folder, its sub-folders too, without labels."""
    return list_recordings(tree, options, lambda path: {"labels": []})


def _label_of_folder(path: str) -> dict[str, Any]:
    first, _, rest = path.partition("/")
    return {"labels": [first] if rest and is_class_name(first) else []}


def list_recordings(tree: Tree, options: Options, describe: Callable[[str], dict[str, Any]]) -> Listing:
    """List every recording of a folder.

    Parameters
    ----------
    describe
        Called with each path below the folder; returns labels and other columns.

    Raises
    ------
    ClipTableError
        When the source is no folder, holds no recordings, or columns were named.
    """
    if not tree.is_folder:
        raise ClipTableError(f"{tree.source} is no folder; for a CSV file leave --format out or say --format csv")
    if options.columns != Columns():
        raise ClipTableError(
            f"{tree.source} is a folder; the --…-column options and --label-separator are for CSV files"
        )

    def list_clips() -> Iterator[dict[str, Any]]:
        return ({"uri": path, **describe(path), **known} for path, known in tree.recordings())

    if not tree.survey.recordings:
        gaps = "".join(f"; {note}" for note in tree.survey.describe_gaps())
        raise ClipTableError(
            f"{tree.source} holds no recordings{_describe_others(tree.survey.others)}; "
            f"expected files such as .wav, .flac, .ogg, .mp3{gaps}"
        )
    others = tree.survey.others
    files = count_noun(others.total(), "file")
    note = f"passed over {files} whose names are not those of recordings{_describe_others(others)}"
    return Listing(tree.root, StreamedClips(tree.survey.recordings, list_clips), [note] if others else [])


def _describe_others(others: Counter[str]) -> str:
    if not others:
        return ""
    return " (found: " + ", ".join(f"{count} {suffix}" for suffix, count in others.most_common(5)) + ")"


FORMAT = Format(
    "folder",
    "a folder with a class a sub-folder",
    "dog/1.wav\ndog/2.wav\nrain/3.wav",
    _recognise_classes,
    _read_classes,
)
FLAT = Format(
    "flat", "a folder of unlabelled recordings", "20260517_043000.wav\nday-2/4.wav", _recognise_flat, _read_flat
)
