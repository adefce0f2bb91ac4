"""Where the recordings of a table lie: beside it, in ``audio/``, in ``../audio``, or anywhere below by their names."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath

from hubbub.clips.sources import bucket
from hubbub.clips.sources.tree import Tree, step_out
from hubbub.clips.table import resolve_uri
from hubbub.errors import ClipTableError
from hubbub.io.paths import StoragePath, is_local
from hubbub.io.text import count_noun

_AUDIO_FOLDERS = (".", "audio", "../audio")  # where a table's recordings may lie, seen from it
_TABLE_FOLDERS = ("meta", "metadata", "annotations", "labels", "csv")  # beside the recordings' folder, not around it
_SAMPLED = 1000  # names by which the folder is found out; what is missing, reading its header tells
_TRIED = 50  # names by which the drive and folders of another machine are found out


@dataclass(frozen=True)
class TablePaths:
    """Recordings of a table.

    Attributes
    ----------
    root
        What the names are relative to.
    names
        One a row.
    notes
        What was done to the names.
    """

    root: StoragePath
    names: Sequence[str]
    notes: list[str] = field(default_factory=list)


def find_paths(source: StoragePath, names: Sequence[str]) -> TablePaths:
    """Find the recordings of a table.

    Parameters
    ----------
    source
        The table.
    names
        As they stand in it.

    Raises
    ------
    ClipTableError
        When none of them exists.
    """
    tried = _audio_folders(source)
    tests = [_existence_test(folder) for folder in tried]
    for sample in (names[:: max(1, len(names) // _SAMPLED)], names):  # all of them where the sample has none
        found = [sum(_find_spelling(name, exists) is not None for name in sample) for exists in tests]
        if max(found):
            best = found.index(max(found))
            return _respell(names, tried[best], tests[best])
    for paths in (_without_foreign_folders(names, tried, tests), _by_name(source, names)):
        if paths is not None:
            return paths
    places = ", ".join(str(folder) for folder in tried)
    raise ClipTableError(
        f"{source}: none of its {count_noun(len(names), 'file')} exists, not even {names[0]} (looked in {places}); "
        "move the CSV beside its recordings, or give paths relative to the CSV"
    )


def _audio_folders(source: StoragePath) -> list[StoragePath]:
    if is_local(source):
        here = source.resolve().parent
        return [(here / folder).resolve() for folder in _AUDIO_FOLDERS]
    return bucket.find_folders_beside(source, _AUDIO_FOLDERS)


def _existence_test(folder: StoragePath) -> Callable[[str], bool]:
    """What tells whether a name exists below a folder. Of keys, one listing tells all."""
    below = set() if is_local(folder) else {found.name for found in bucket.list_objects(folder)}

    def exists(name: str) -> bool:
        if not is_local(folder) and "://" not in name:
            return name in below
        try:
            return resolve_uri(name, folder).exists()
        except OSError:  # too long for a name, or in a folder that cannot be read
            return False

    return exists


def _spell(name: str) -> Iterator[str]:
    """A name as it stands, without blanks around it, with plain slashes, and composed as on other machines."""
    yield name
    if name.isascii() and "\\" not in name and name == name.strip():
        return
    for plain in dict.fromkeys((name.strip(), name.strip().replace("\\", "/"))):
        yield from (plain, unicodedata.normalize("NFC", plain), unicodedata.normalize("NFD", plain))


def _find_spelling(name: str, exists: Callable[[str], bool]) -> str | None:
    return next((spelling for spelling in _spell(name) if exists(spelling)), None)


def _respell(names: Sequence[str], folder: StoragePath, exists: Callable[[str], bool]) -> TablePaths:
    """The names as the files are called."""
    is_plain = [len(list(_spell(name))) == 1 for name in names]  # most are; looking for each would take long
    found = [
        name if plain else _find_spelling(name, exists) or name for name, plain in zip(names, is_plain, strict=True)
    ]
    other = next(((old, new) for old, new in zip(names, found, strict=True) if old != new), None)
    if other is None:
        return TablePaths(folder, found)
    looks_alike = len({unicodedata.normalize("NFC", one) for one in other}) == 1
    alike = ", whose letters are composed otherwise," if looks_alike else ""
    return TablePaths(folder, found, [f"paths such as {other[0]} were read as {other[1]}{alike} below {folder}"])


def _without_foreign_folders(
    names: Sequence[str], tried: Sequence[StoragePath], tests: Sequence[Callable[[str], bool]]
) -> TablePaths | None:
    """Names without the folders that they had on another machine, a drive of Windows too, and with plain slashes."""
    parts = [_split(name) for name in names]
    most = max(len(one) for one in parts[:_TRIED]) - 1
    for left_out in range(most + 1):
        shorter = ["/".join(one[left_out:]) or one[-1] for one in parts]
        for folder, exists in zip(tried, tests, strict=True):
            if any(exists(name) for name in shorter[:_TRIED]):
                note = f"paths such as {names[0]} were read as {shorter[0]} below {folder}"
                return TablePaths(folder, shorter, [note])
    return None


def _split(name: str) -> list[str]:
    path = PureWindowsPath(name) if "\\" in name else PurePosixPath(name)
    return [part for part in path.parts if part != path.anchor] or [name]


def _by_name(source: StoragePath, names: Sequence[str]) -> TablePaths | None:
    """Recordings anywhere below the set's folder that alone have the names, such as ``audio/fold1/a.wav``."""
    folder = source.resolve().parent if is_local(source) else source.parent
    tree = Tree(step_out(folder, *_TABLE_FOLDERS))
    known: dict[str, str | None] = {}
    for path, _ in tree.recordings():
        name = unicodedata.normalize("NFC", PurePosixPath(path).name)
        known[name] = path if name not in known else None
    paths = [known.get(unicodedata.normalize("NFC", _split(name)[-1])) for name in names]
    there = sum(path is not None for path in paths)
    if not there:
        return None
    uris = [path or name for path, name in zip(paths, names, strict=True)]
    return TablePaths(tree.root, uris, [f"{there} of {count_noun(len(names), 'file')} found by name below {tree.root}"])
