"""What lies at a source: a folder, a file or a bucket prefix, listed once and looked at by every format."""

from __future__ import annotations

import os
import posixpath
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from hubbub.clips.sources import bucket
from hubbub.io.paths import StoragePath, absolute_path, is_local
from hubbub.io.spool import SortedSpool, Spool
from hubbub.io.text import list_few

AUDIO_SUFFIXES = frozenset(
    (
        ".wav .wave .flac .ogg .oga .opus .mp3 .mp2 .aif .aiff .aifc .au .snd .w64 .rf64 .caf "
        ".m4a .m4b .aac .mka .wma .amr .spx .wv .ape .tta .ac3 "
        ".mp4 .m4v .mov .3gp .3g2 .webm .mkv .avi .flv .asf .wmv"
    ).split()
)
"""File names with these endings are taken for recordings when a folder is listed; what a file is, its content says."""

_MOST_TABLES = 100_000  # annotations may lie beside every recording; more is an archive of something else
_MOST_ENDINGS = 1000  # of names that are no recordings' and are counted one by one
_MOST_OPEN = 100  # folders within each other that are open at once
_NO_TABLES = {"", ".jpg", ".jpeg", ".png", ".gif", ".zip", ".gz", ".pdf", ".py", ".ipynb", ".html", ".md"}


def is_audio(name: str) -> bool:
    """Whether a file is taken for a recording, by its name."""
    return posixpath.splitext(name)[1].lower() in AUDIO_SUFFIXES


class FolderCounts:
    """Recordings a folder, by its path below the source; ``.`` is the source itself. Not held in memory."""

    def __init__(self) -> None:
        self._done = Spool[tuple[str, int]]()
        self._folder, self._count = ".", 0

    def add(self, folder: str) -> None:
        """Count a recording; those of one folder come one after the other."""
        if folder != self._folder and self._count:
            self._done.put((self._folder, self._count))
            self._count = 0
        self._folder, self._count = folder, self._count + 1

    def items(self) -> Iterator[tuple[str, int]]:
        """Folders with their counts, in the order of the listing."""
        yield from self._done
        if self._count:
            yield self._folder, self._count

    def __iter__(self) -> Iterator[str]:
        """Go through the folders."""
        return (folder for folder, _ in self.items())


def step_out(folder: StoragePath, *names: str) -> StoragePath:
    """Return the folder, or the one that holds it where it has one of these names, in small letters."""
    return folder.parent if folder.name.lower() in names else folder


@dataclass
class Survey:
    """Counts of a folder's files.

    Attributes
    ----------
    recordings
        How many files are taken for recordings.
    by_folder
        Recordings a folder.
    others
        Other files, by the ending of their name; where there are too many endings, the later ones together.
    tables
        Paths of other files that may be tables or notes, sorted as listed.
    unreadable
        Folders that cannot be read, each with its reason.
    links
        Links to folders elsewhere, which are not followed.
    """

    recordings: int = 0
    by_folder: FolderCounts = field(default_factory=FolderCounts)
    others: Counter[str] = field(default_factory=Counter)
    tables: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)

    def describe_gaps(self) -> list[str]:
        """Say which folders were not looked into."""
        notes = []
        if self.unreadable:
            notes.append(f"{list_few(self.unreadable, 'folder')} cannot be read")
        if self.links:
            links = list_few(self.links, "link")
            notes.append(
                f"{links} to folders elsewhere not followed; index what they lead to, or put it in their place"
            )
        return notes

    def add(self, path: str) -> None:
        """Count one file."""
        if is_audio(path):
            self.recordings += 1
            self.by_folder.add(path.rpartition("/")[0] or ".")
            return
        suffix = PurePosixPath(path).suffix
        ending = suffix or "no ending"
        is_counted = ending in self.others or len(self.others) < _MOST_ENDINGS
        self.others[ending if is_counted else "other endings"] += 1
        if suffix.lower() not in _NO_TABLES and len(self.tables) < _MOST_TABLES:
            self.tables.append(path)


class Tree:
    """A source, seen from its root.

    Attributes
    ----------
    source
        As it was given.
    is_folder
        Whether it is a folder, or a prefix of a bucket; else it is one file.
    root
        The folder, or the folder that the file lies in.
    """

    def __init__(self, source: StoragePath) -> None:
        self.source = source
        self.is_folder = source.is_dir() if is_local(source) else bucket.is_folder(source)
        self.root = absolute_path(source) if self.is_folder else absolute_path(source).parent
        self._unreadable: dict[str, str] = {}
        self._links: dict[str, None] = {}

    @cached_property
    def survey(self) -> Survey:
        """Counts of all files of the folder; of a file, none."""
        survey = Survey()
        if self.is_folder:
            for path, _ in self.files():
                survey.add(path)
        survey.unreadable = sorted(f"{where} ({why})" for where, why in self._unreadable.items())
        survey.links = sorted(self._links)
        return survey

    def files(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Paths of files below the root, and what the listing tells of each; hidden files are left out.

        The files of a folder come before those of its sub-folders, both sorted. Links to folders are not followed, so
        that circles end.
        """
        return iter(self._listed)

    @cached_property
    def _listed(self) -> SortedSpool[tuple[str, dict[str, Any]]]:
        """The files: listed once, and not held in memory."""
        found = self._walk(self.source) if is_local(self.source) else bucket.list_files(self.source)
        return SortedSpool(found, key=_walk_order)

    def recordings(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The files that are taken for recordings."""
        return ((path, known) for path, known in self.files() if is_audio(path))

    def find(self, *paths: str) -> str | None:
        """Return the first of the paths that lies below the root, with letters of either case; None: none does."""
        there = {path.lower(): path for path in self.survey.tables}
        return next((there[path.lower()] for path in paths if path.lower() in there), None)

    def find_named(self, *names: str) -> list[str]:
        """Paths of tables with one of these file names, in letters of either case, wherever they lie."""
        wanted = {name.lower() for name in names}
        return [path for path in self.survey.tables if PurePosixPath(path).name.lower() in wanted]

    def _walk(self, source: Path) -> Iterator[tuple[str, dict[str, Any]]]:
        """Files of a local folder, in any order."""
        folders = [self._scan(source, "")]
        while folders:
            entry = next(folders[-1], None)
            if entry is None:
                folders.pop()
                continue
            path, is_folder = entry
            if is_folder:
                found = self._scan(source, path)
                folders.append(found if len(folders) < _MOST_OPEN else iter(list(found)))
            else:
                yield path, {}

    def _scan(self, source: Path, folder: str) -> Iterator[tuple[str, bool]]:
        """What is not hidden in a folder: paths, and whether each is a folder; links to folders are left out."""
        try:
            with os.scandir(source / folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    is_folder = _is_folder(entry)
                    if not (is_folder and entry.is_symlink()):
                        yield path, is_folder
                    elif self._leads_elsewhere(source / path):
                        self._links[path] = None
        except OSError as error:
            self._unreadable[folder or "."] = str(error.strerror)

    def _leads_elsewhere(self, link: Path) -> bool:
        """Whether a link leads out of the tree; recordings of one that leads to a part of it are listed there."""
        target, root = link.resolve(), Path(str(self.root))
        return not (target.is_relative_to(root) or root.is_relative_to(target))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle: a file that cannot be opened
        return False


def _walk_order(file: tuple[str, Any]) -> str:
    """A key to sort by: the files of a folder before its sub-folders."""
    folders, slash, name = file[0].rpartition("/")
    return f"\1{folders.replace('/', _BELOW)}\0\0{name}" if slash else f"\0{name}"


_BELOW = "\0\1"
