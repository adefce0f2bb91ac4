"""Readers of data sets, one file a kind; each lists clips, from which `clips.index` makes a table.

A reader is a function ``read(source, options) -> Listing``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hubbub.errors import ClipTableError, suggest_nearest
from hubbub.io.atomic import explain_read_errors
from hubbub.io.paths import StoragePath

AUDIO_SUFFIXES = frozenset(
    (
        ".wav .wave .flac .ogg .oga .opus .mp3 .mp2 .aif .aiff .aifc .au .snd .w64 .rf64 .caf "
        ".m4a .m4b .aac .mka .wma .amr .spx .wv .ape .tta .ac3 "
        ".mp4 .m4v .mov .3gp .3g2 .webm .mkv .avi .flv .asf .wmv"
    ).split()
)
"""File names with these endings are taken for recordings when a folder is listed; what a file is, its content says."""


@dataclass(frozen=True)
class Columns:
    """Which columns of a CSV mean what; None where it has none such."""

    path: str | None = None
    label: str | None = None
    fold: str | None = None
    split: str | None = None
    group: str | None = None
    start_s: str | None = None
    end_s: str | None = None
    onset_s: str | None = None
    """Start of an event: a row is then a clip that is the event, from its first sample to its last."""
    offset_s: str | None = None
    recorded_at: str | None = None
    label_separator: str | None = None
    """No column: what parts several labels in one cell; None: a cell is one label."""

    @property
    def by_role(self) -> dict[str, str | None]:
        """Names of columns, or None, by what they mean."""
        return {role: name for role, name in vars(self).items() if role != "label_separator"}

    @property
    def text(self) -> set[str | None]:
        """Names of the columns whose values are names, whatever they look like."""
        return {self.path, self.label, self.split, self.group}


@dataclass(frozen=True)
class Listing:
    """What a reader found.

    Attributes
    ----------
    root
        What the clips' uris are relative to.
    clips
        One mapping a clip: uri, labels, and any other column.
    notes
        Sentences for the user, such as which files were passed over.
    """

    root: StoragePath
    clips: Sequence[dict[str, Any]]
    notes: Sequence[str] = field(default_factory=tuple)


Reader = Callable[[StoragePath, Columns], Listing]


def list_readers() -> dict[str, Reader]:
    """Readers by the name that ``--format`` takes."""
    from hubbub.clips.sources import csv, esc50, folder

    return {"folder": folder.read, "flat": folder.read_flat, "esc50": esc50.read, "csv": csv.read}


def list_source(source: StoragePath, name: str | None, columns: Columns) -> Listing:
    """List the clips of a source with the reader called `name`; None: the one that fits.

    Raises
    ------
    ClipTableError
        For a source that is missing, holds no recordings, or lacks a column.
    UsageError
        When its bucket cannot be reached, or does not let us in.
    """
    with explain_read_errors(source):
        if not source.exists():
            raise ClipTableError(f"{source} does not exist; expected a folder of recordings or a CSV file")
        known = list_readers()
        chosen = name or _choose_reader(source, columns)
        if chosen not in known:
            raise ClipTableError(f"unknown format '{chosen}': {suggest_nearest(chosen, known)}")
        return known[chosen](source, columns)


def _choose_reader(source: StoragePath, columns: Columns) -> str:
    from hubbub.clips.sources import esc50, folder

    if source.is_dir():
        return "flat" if folder.is_flat(source) else "folder"
    return "esc50" if columns == Columns() and esc50.fits(source) else "csv"
