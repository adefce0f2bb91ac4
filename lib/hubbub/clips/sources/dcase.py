"""DCASE's sets: scenes (TAU Urban Acoustic Scenes) and strong labels, which are events with onset and offset.

T. Heittola, A. Mesaros, T. Virtanen, TAU Urban Acoustic Scenes 2020, doi 10.5281/zenodo.3819968; N. Turpault and
others, Sound event detection in domestic environments, DCASE 2019.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from hubbub.clips.sources.listed import note_differences
from hubbub.clips.sources.table_files import read_frame, read_header
from hubbub.clips.sources.table_paths import find_paths
from hubbub.clips.sources.template import Columns, Format, Listing, Options
from hubbub.clips.sources.tree import Tree
from hubbub.clips.table import IS_EVENT
from hubbub.errors import ClipTableError
from hubbub.io.paths import StoragePath

_SCENES = {"filename", "scene_label"}
_EVENTS = {"filename", "onset", "offset", "event_label"}
_SCENE_NAME = re.compile(r"(?P<scene>[a-z_]+)-(?P<city>[a-z]+)-(?P<location>\d+)-.*")
_SETUP = re.compile(r"fold\d+_(?P<split>train|test|evaluate)\.csv", re.IGNORECASE)
_TRIED = 50  # tables whose header is read to see what they hold
_SPLITS = {"train": "train", "test": "test", "evaluate": "test"}


def _find_tables(tree: Tree, needed: set[str]) -> list[StoragePath]:
    """Tables with the columns; of a folder, those that say no split."""
    if not tree.is_folder:
        return [tree.source] if needed <= _columns_of(tree.source) else []
    paths = [path for path in tree.survey.tables if path.lower().endswith((".csv", ".tsv"))]
    tables = [path for path in paths if not _SETUP.fullmatch(PurePosixPath(path).name)]
    return [tree.root / path for path in tables[:_TRIED] if needed <= _columns_of(tree.root / path)]


def _columns_of(path: StoragePath) -> set[str]:
    return set(map(str.strip, read_header(path)))


def _recognise_scenes(tree: Tree) -> str | None:
    found = _find_tables(tree, _SCENES)
    return f"{found[0].name} has the columns filename and scene_label" if found else None


def _read_scenes(tree: Tree, options: Options) -> Listing:
    """List a scene a clip; the place it was recorded at is the group, the official set-up gives the split."""
    options.refuse(tree.source, "dcase-scenes")
    found = _find_tables(tree, _SCENES)
    if not found:
        raise ClipTableError(
            f"{tree.source} holds no meta.csv of scenes; expected the columns filename and scene_label"
        )
    table = found[0]
    text = Columns(path="filename", label="scene_label", group="identifier")
    frame = read_frame(table, text)
    splits = _read_splits(tree)
    clips = [
        {"uri": str(row["filename"]), "labels": [row["scene_label"]], "group": _find_place(row)}
        | ({"split": splits.get(PurePosixPath(str(row["filename"])).name)} if splits else {})
        | {name: value for name, value in row.items() if name not in ("filename", "scene_label")}
        for row in _rows(frame)
    ]
    paths = find_paths(table, [clip["uri"] for clip in clips])
    clips = [clip | {"uri": name} for clip, name in zip(clips, paths.names, strict=True)]
    return Listing(paths.root, clips, [*paths.notes, *note_differences(Tree(paths.root), clips)])


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return frame.astype(object).where(frame.notna(), None).to_dict("records")  # type: ignore[return-value]


def _find_place(row: dict[str, Any]) -> str | None:
    """City and place of a scene, by its name; else what the table calls its identifier."""
    name = PurePosixPath(str(row["filename"])).name
    if (found := _SCENE_NAME.fullmatch(name)) is not None:
        return f"{found['city']}-{found['location']}"
    return row.get("identifier")


def _read_splits(tree: Tree) -> dict[str, str]:
    """Split by file name, from ``evaluation_setup/fold1_train.csv`` and its like; empty where there is none."""
    splits: dict[str, str] = {}
    for path in tree.survey.tables:
        if (found := _SETUP.fullmatch(PurePosixPath(path).name)) is not None:
            frame = read_frame(tree.root / path, Columns(path="filename"))
            if "filename" in frame:
                split = _SPLITS[found["split"].lower()]
                splits |= {PurePosixPath(str(name)).name: split for name in frame["filename"]}
    return splits


def _recognise_events(tree: Tree) -> str | None:
    found = _find_tables(tree, _EVENTS)
    return f"{found[0].name} has the columns filename, onset, offset and event_label" if found else None


def _read_events(tree: Tree, options: Options) -> Listing:
    """List a row a clip: the event from its onset to its offset; a row without times is a recording without events."""
    options.refuse(tree.source, "dcase-events")
    found = _find_tables(tree, _EVENTS)
    if not found:
        raise ClipTableError(f"{tree.source} holds no strong labels; expected filename, onset, offset and event_label")
    clips: list[dict[str, Any]] = []
    for table in found:
        for row in _rows(read_frame(table, Columns(path="filename", label="event_label"))):
            clips.append(_describe_event(table, row))
    paths = find_paths(found[0], [clip["uri"] for clip in clips])
    clips = [clip | {"uri": name, "group": name} for clip, name in zip(clips, paths.names, strict=True)]
    return Listing(paths.root, clips, [*paths.notes, *note_differences(Tree(paths.root), clips)])


def _describe_event(table: StoragePath, row: dict[str, Any]) -> dict[str, Any]:
    onset_s, offset_s = row["onset"], row["offset"]
    carried = {name: value for name, value in row.items() if name not in _EVENTS}
    if onset_s is None and offset_s is None:
        return {"uri": str(row["filename"]), "labels": [], IS_EVENT: False, **carried}
    try:
        times = {"start_s": float(onset_s), "end_s": float(offset_s)}
    except (TypeError, ValueError):
        raise ClipTableError(
            f"{table}: {row['filename']} has an event from {onset_s} to {offset_s}; expected seconds for both"
        ) from None
    return {"uri": str(row["filename"]), "labels": [row["event_label"]], **times, IS_EVENT: True, **carried}


SCENES = Format(
    "dcase-scenes",
    "scenes of TAU and DCASE: the place is the group, the official set-up gives the split",
    "meta.csv      filename  scene_label  identifier\nevaluation_setup/fold1_train.csv\n"
    "audio/airport-lisbon-1000-40000-a.wav",
    _recognise_scenes,
    _read_scenes,
)
EVENTS = Format(
    "dcase-events",
    "strong labels of DCASE: a row is an event with onset and offset; the recording is the group",
    "validation.tsv      filename  onset  offset  event_label\naudio/Y00pbt6aJV8Y_350.000_360.000.wav",
    _recognise_events,
    _read_events,
)
