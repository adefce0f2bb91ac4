"""Recordings that a table lists against those that are there."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from hubbub.clips.sources import bucket
from hubbub.clips.sources.tree import Tree, is_audio
from hubbub.errors import ClipTableError
from hubbub.io.paths import StoragePath, is_local
from hubbub.io.text import count_noun, list_few


def note_differences(tree: Tree, clips: Iterable[Mapping[str, Any]]) -> list[str]:
    """Say which listed recordings are missing, and which that are there are not listed.

    Raises
    ------
    ClipTableError
        When none of the listed ones is there.
    """
    there, listed = {path for path, _ in tree.recordings()}, {str(clip["uri"]) for clip in clips}
    if not there & listed:
        raise ClipTableError(
            f"{tree.source}: none of the {count_noun(len(listed), 'listed file')} exists, not even {min(listed)}; "
            "keep the folders of the data set as they were downloaded"
        )
    return describe_differences(sorted(listed - there), sorted(there - listed))


def note_differences_beside(root: StoragePath, uris: Iterable[str], *, lists_all: bool = True) -> list[str]:
    """Say which listed recordings are missing, and which lie in the folders of listed ones and are not listed.

    Whole addresses, such as ``s3://bucket/key``, are not looked at; nor, unless a table `lists_all` of its folders, as
    that of a data set does, is what is not listed.
    """
    listed = defaultdict[str, set[str]](set)
    for uri in dict.fromkeys(uris):
        if "://" not in uri:
            folder, _, name = uri.rpartition("/")
            listed[folder if name != uri else "."].add(name)
    there = _list_folders(root, listed)
    missing, extra = [], []
    for folder, names in listed.items():
        path = "" if folder == "." else f"{folder}/"
        missing += [path + name for name in sorted(names - there[folder])]
        others = sorted(there[folder] - names) if lists_all else ()
        extra += [path + name for name in others if is_audio(name) and not name.startswith(".")]
    return describe_differences(missing, extra)


def note_elsewhere(tree: Tree, root: StoragePath) -> list[str]:
    """Say which recordings of a folder lie outside the part of it that was read as a data set."""
    whole, part = (str(path.resolve() if is_local(path) else path).rstrip("/") for path in (tree.root, root))
    if not tree.is_folder or not part.startswith(f"{whole}/"):
        return []
    inside = f"{part.removeprefix(whole)}/"
    outside = Counter[str]()
    for folder, count in tree.survey.by_folder.items():
        if not f"/{folder}/".startswith(inside):
            outside[folder.split("/")[0]] += count
    if not outside:
        return []
    lie = count_noun(outside.total(), "recording lies", "recordings lie")
    return [
        f"{lie} outside {root}, in {list_few(sorted(outside), 'folder')}, and not in this table; index each data set "
        "by itself: hubbub index FOLDER -o FILE"
    ]


def _list_folders(root: StoragePath, folders: Iterable[str]) -> dict[str, set[str]]:
    """Names of the files in each folder; none where it is not there."""
    if is_local(root):
        return {folder: _list_folder(os.path.join(root, folder)) for folder in folders}
    found = defaultdict[str, set[str]](set)
    for held in bucket.list_objects(root):
        folder, _, name = held.name.rpartition("/")
        found[folder if name != held.name else "."].add(name)
    return found


def _list_folder(folder: str) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except (OSError, ValueError):  # ValueError: a table may give names that no file has, with a null byte
        return set()


def describe_differences(missing: list[str], extra: list[str]) -> list[str]:
    """Write a sentence for listed files that are missing, and one for recordings that are not listed."""
    notes = []
    if missing:
        notes.append(
            f"{list_few(missing, 'listed file')} missing; "
            f"{'it becomes a failed row' if len(missing) == 1 else 'they become failed rows'}"
        )
    if extra:
        notes.append(f"{list_few(extra, 'recording')} not listed; passed over")
    return notes
