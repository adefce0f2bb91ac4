"""A folder of recordings: one sub-folder a class, or flat and unlabelled."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from hubbub.clips.sources import AUDIO_SUFFIXES, Columns, Listing, bucket
from hubbub.errors import ClipTableError
from hubbub.io.paths import StoragePath, absolute_path, is_local
from hubbub.io.text import count_noun


def is_flat(source: StoragePath) -> bool:
    """Whether recordings lie in the folder itself, so that its sub-folders are no classes."""
    if not is_local(source):
        return any(is_audio(name) for name in bucket.list_names(source))
    with os.scandir(source) as entries:
        return any(entry.is_file() and is_audio(entry.name) and not entry.name.startswith(".") for entry in entries)


def is_audio(name: str) -> bool:
    """Whether a file is taken for a recording, by its name."""
    return PurePosixPath(name).suffix.lower() in AUDIO_SUFFIXES


def read(source: StoragePath, columns: Columns) -> Listing:
    """List a folder with a class a sub-folder: the first folder under `source` is the label."""
    return _listing(source, columns, labelled=True)


def read_flat(source: StoragePath, columns: Columns) -> Listing:
    """List a folder, its sub-folders too, without labels."""
    return _listing(source, columns, labelled=False)


def _listing(source: StoragePath, columns: Columns, *, labelled: bool) -> Listing:
    if not source.is_dir():
        raise ClipTableError(f"{source} is no folder; for a CSV file leave --format out or say --format csv")
    if columns != Columns():
        raise ClipTableError(f"{source} is a folder; the --…-column options and --label-separator are for CSV files")
    audio: list[dict[str, Any]] = []
    others = Counter[str]()
    for path, known in _files(source) if is_local(source) else bucket.list_files(source):
        if is_audio(path):
            audio.append({"uri": path, "labels": _label(path) if labelled else [], **known})
        else:
            others[PurePosixPath(path).suffix or "no ending"] += 1
    if not audio:
        raise ClipTableError(
            f"{source} holds no recordings{_describe_others(others)}; expected files such as .wav, .flac, .ogg, .mp3"
        )
    notes = (
        [
            f"passed over {count_noun(others.total(), 'file')} whose names are not those of "
            f"recordings{_describe_others(others)}"
        ]
        if others
        else []
    )
    return Listing(absolute_path(source), audio, notes)


def _files(source: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Paths of files under a folder, relative, sorted, hidden ones left out; nothing more is known of them."""
    for folder, folders, names in os.walk(source):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield (Path(folder) / name).relative_to(source).as_posix(), {}


def _label(uri: str) -> list[str]:
    folders = [part for part in uri.split("/")[:-1] if part]
    return folders[:1]


def _describe_others(others: Counter[str]) -> str:
    if not others:
        return ""
    return " (found: " + ", ".join(f"{count} {suffix}" for suffix, count in others.most_common(5)) + ")"
