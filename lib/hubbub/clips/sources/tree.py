"""What lies at a source: a folder, a file or a bucket prefix, listed once and looked at by every format."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from hubbub.clips.sources import bucket
from hubbub.io.paths import StoragePath, absolute_path, is_local
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
_NO_TABLES = {"", ".jpg", ".jpeg", ".png", ".gif", ".zip", ".gz", ".pdf", ".py", ".ipynb", ".html", ".md"}


def is_audio(name: str) -> bool:
    """Whether a file is taken for a recording, by its name."""
    return PurePosixPath(name).suffix.lower() in AUDIO_SUFFIXES


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
        Recordings a folder, by its path below the source; ``.`` is the source itself.
    others
        Other files, by the ending of their name.
    tables
        Paths of other files that may be tables or notes, sorted as listed.
    unreadable
        Folders that cannot be read, each with its reason.
    links
        Links to folders elsewhere, which are not followed.
    """

    recordings: int = 0
    by_folder: Counter[str] = field(default_factory=Counter)
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
            self.by_folder[str(PurePosixPath(path).parent)] += 1
            return
        suffix = PurePosixPath(path).suffix
        self.others[suffix or "no ending"] += 1
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
        self.is_folder = source.is_dir()
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
        survey.unreadable = [f"{where} ({why})" for where, why in self._unreadable.items()]
        survey.links = list(self._links)
        return survey

    def files(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Paths of files below the root, and what the listing tells of each; hidden files are left out.

        The files of a folder come before those of its sub-folders, both sorted. Links to folders are not followed, so
        that circles end.
        """
        if is_local(self.source):
            yield from self._walk(self.source)
        else:
            yield from bucket.list_files(self.source)

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
        def note(error: OSError) -> None:
            where = os.path.relpath(error.filename or source, source)
            self._unreadable[where] = str(error.strerror)

        for folder, folders, names in os.walk(source, onerror=note):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for link in filter(Path.is_symlink, (Path(folder) / name for name in folders)):
                if self._leads_elsewhere(link):
                    self._links[link.relative_to(source).as_posix()] = None
            for name in sorted(names):
                if not name.startswith("."):
                    yield (Path(folder) / name).relative_to(source).as_posix(), {}

    def _leads_elsewhere(self, link: Path) -> bool:
        """Whether a link leads out of the tree; recordings of one that leads to a part of it are listed there."""
        target, root = link.resolve(), Path(str(self.root))
        return not (target.is_relative_to(root) or root.is_relative_to(target))
