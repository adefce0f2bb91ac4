"""A folder of recordings: one sub-folder a class, or flat and unlabelled."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from hubbub.clips.sources import AUDIO_SUFFIXES, Columns, Listing
from hubbub.errors import ClipTableError


def is_flat(source: Path) -> bool:
    """Whether recordings lie in the folder itself, so that its sub-folders are no classes."""
    with os.scandir(source) as entries:
        return any(entry.is_file() and is_audio(entry.name) and not entry.name.startswith(".") for entry in entries)


def is_audio(name: str) -> bool:
    """Whether a file is taken for a recording, by its name."""
    return PurePosixPath(name).suffix.lower() in AUDIO_SUFFIXES


def read(source: Path, columns: Columns) -> Listing:
    """List a folder with a class a sub-folder: the first folder under `source` is the label."""
    return _listing(source, columns, labelled=True)


def read_flat(source: Path, columns: Columns) -> Listing:
    """List a folder, its sub-folders too, without labels."""
    return _listing(source, columns, labelled=False)


def _listing(source: Path, columns: Columns, *, labelled: bool) -> Listing:
    if not source.is_dir():
        raise ClipTableError(f"{source} is no folder; for a CSV file leave --format out or say --format csv")
    if columns != Columns():
        raise ClipTableError(f"{source} is a folder; the --…-column options are for CSV files")
    audio, others = [], Counter[str]()
    for path in _files(source):
        if is_audio(path):
            audio.append(path)
        else:
            others[PurePosixPath(path).suffix or "no ending"] += 1
    if not audio:
        raise ClipTableError(
            f"{source} holds no recordings{_found(others)}; expected files such as .wav, .flac, .ogg, .mp3"
        )
    notes = (
        [f"passed over {others.total()} files that are no recordings by their names{_found(others)}"] if others else []
    )
    return Listing(source.resolve(), [{"uri": uri, "labels": _label(uri) if labelled else []} for uri in audio], notes)


def _files(source: Path) -> Iterator[str]:
    """Paths of files under a folder, relative, sorted, hidden ones left out."""
    for folder, folders, names in os.walk(source):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield (Path(folder) / name).relative_to(source).as_posix()


def _label(uri: str) -> list[str]:
    parts = PurePosixPath(uri).parts
    return [parts[0]] if len(parts) > 1 else []


def _found(others: Counter[str]) -> str:
    if not others:
        return ""
    return " (found: " + ", ".join(f"{count} {suffix}" for suffix, count in others.most_common(5)) + ")"
