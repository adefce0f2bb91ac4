"""A folder of recordings: one sub-folder a class, or unlabelled."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from hubbub.audio.recorders.names import read_name
from hubbub.clips.sources.template import Columns, Format, Listing, Options, StreamedClips
from hubbub.clips.sources.tree import Tree
from hubbub.errors import ClipTableError
from hubbub.io.text import count_noun, list_few

_MOST_COMPARED = 10_000  # folders within folders whose names are in memory
_MOST_NAMES = 1000  # that are looked at for times
_MOST_LOOSE = 0.1  # share of recordings beside class folders above which the folders may be no classes

_TABLES = (".csv", ".tsv", ".jsonl", ".parquet")

_NO_CLASS = re.compile(
    r"(audio|sound|recording|wave?|flac|mp3|ogg|clip|sample|file|data|dataset|train|training|test|testing|val|valid|"
    r"validation|dev|eval|evaluation|unlabell?ed)s?([_ -]?(audio|set|data|files?|clips?|\d+))?"
    r"|(fold|split|part|set|disc|disk|cd|session|day|night|week|month|batch|channel|ch)[_ -]?\d+"
    r"|(site|plot|station|location|recorder|device|sensor|node)s?([_ -]?(\d+|[a-z]))?"
    r"|_background_noise_"  # of Speech Commands: recordings to mix with
    r"|\d{4}([-_.]?\d\d){0,2}([T_ -]?\d\d([-_.:]?\d\d){0,2})?",
    re.IGNORECASE,
)
"""Names of folders that say how files are kept or where they were made, not what sounds: formats, splits, sites."""


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
    _refuse_nested(tree, found)
    stay = f"; {beside} beside them {'stays' if beside == 1 else 'stay'} unlabelled" if beside else ""
    return (
        f"{in_classes} of {count_noun(total, 'file')} {'lies' if in_classes == 1 else 'lie'} in "
        f"{count_noun(len(found.classes), 'class folder')}{stay}"
    )


def _refuse_nested(tree: Tree, found: _Folders) -> None:
    """Refuse folders within folders where either may be the classes: one that holds all, or places that share them."""
    folders = tree.survey.by_folder.items()
    if len(found.classes) > 1:
        _refuse_shared(tree, found, _count_inner(islice(folders, _MOST_COMPARED), found))
        return
    inner = _count_inner(folders, found)
    (outer,) = found.classes
    if inner[outer]:
        raise ClipTableError(
            f"{tree.source}: its recordings lie in one folder, {outer}, which holds {_describe_folders(inner[outer])}, "
            f"so it may be a class or what the set is called; where the folders in it are the classes, say: "
            f"hubbub index {tree.source / outer} -o FILE; {_say_commands(tree)}"
        )


def _refuse_shared(tree: Tree, found: _Folders, inner: Mapping[str, Counter[str]]) -> None:
    """Refuse a tree such as ``park/dog``, ``park/rain``, ``road/dog``, ``road/rain``; one name alone is no classes."""
    outer = Counter(name for names in inner.values() for name in names if is_class_name(name))
    shared = sorted(name for name, count in outer.items() if count > 1)
    if len(shared) > 1:
        raise ClipTableError(
            f"{tree.source}: {_describe_folders(found.classes)} share {_describe_folders(Counter(shared))}, so either "
            f"may be the classes; where the inner folders are the classes, say: hubbub index {tree.source} "
            f"--pattern '(?P<place>[^/]+)/(?P<label>[^/]+)/.+' -o FILE; {_say_commands(tree)}"
        )


def _count_inner(folders: Iterable[tuple[str, int]], found: _Folders) -> dict[str, Counter[str]]:
    """Recordings a folder, of the folders within each folder that may be a class."""
    inner = {name: Counter[str]() for name in found.classes}
    for path, count in folders:
        outer, *within = path.split("/")
        if outer in inner and within:
            inner[outer][within[0]] += count
    return inner


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
    return f"the recordings are unlabelled: the names of {_describe_folders(found.others)} are no classes"


def _describe_folders(folders: Counter[str]) -> str:
    return list_few(sorted(folders), "folder")


def _read_classes(tree: Tree, options: Options) -> Listing:
    """List a folder with a class a sub-folder: the first folder below the source is the label."""
    listing = list_recordings(tree, options, _label_of_folder)
    return replace(listing, notes=[*listing.notes, *_suspect_sites(tree)])


def _suspect_sites(tree: Tree) -> list[str]:
    """Say how folders become sites, where names tell times as recorders write them: those know no classes."""
    names = [read_name(path) for path, _ in islice(tree.recordings(), _MOST_NAMES)]
    if not all(named is not None and named.time is not None for named in names):
        return []
    return [
        "the recordings have names of recorders, so their folders may be sites and no classes; for sites as a column "
        f"site, and no labels: hubbub index {tree.source} --pattern '(?P<site>[^/]+)/.+' -o FILE"
    ]


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
    notes = [f"passed over {files} whose names are not those of recordings{_describe_others(others)}"] if others else []
    notes += _offer_table(tree)
    return Listing(tree.root, StreamedClips(tree.survey.recordings, list_clips), notes)


def _offer_table(tree: Tree) -> list[str]:
    """Say how the first table beside the recordings is read, which may hold the labels."""
    tables = [path for path in tree.survey.tables if path.lower().endswith(_TABLES)]
    if not tables:
        return []
    return [
        f"{list_few(tables, 'table')} not read; for labels of a table, name its columns: "
        f"hubbub index {tree.root / tables[0]} -o FILE --path-column NAME --label-column NAME"
    ]


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
