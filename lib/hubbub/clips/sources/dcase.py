"""DCASE's sets: scenes (TAU Urban Acoustic Scenes) and strong labels, which are events with onset and offset.

T. Heittola, A. Mesaros, T. Virtanen, TAU Urban Acoustic Scenes 2020, doi 10.5281/zenodo.3819968; N. Turpault and
others, Sound event detection in domestic environments, DCASE 2019.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from hubbub.clips.sources.listed import note_differences
from hubbub.clips.sources.table_files import read_frame, read_header
from hubbub.clips.sources.table_paths import TablePaths, find_paths
from hubbub.clips.sources.table_rows import is_blank, make_labels, read_rows
from hubbub.clips.sources.template import Columns, Format, Listing, Options
from hubbub.clips.sources.tree import Tree
from hubbub.clips.table import IS_EVENT
from hubbub.errors import ClipTableError
from hubbub.io.paths import StoragePath
from hubbub.io.text import count_noun, list_few

_SCENES = ("filename", "scene_label")
_EVENTS = ("filename", "onset", "offset", "event_label")
_SCENE_NAME = re.compile(r"(?P<scene>[a-z_]+)-(?P<city>[a-z]+)-(?P<location>\d+)-.*")
_SETUP = re.compile(r"fold\d+_(?P<split>train|test|evaluate)\.csv", re.IGNORECASE)
_TRIED = 50  # tables whose header is read to see what they hold
_SPLITS = {"train": "train", "test": "test", "evaluate": "test"}


def _find_tables(tree: Tree, needed: Sequence[str]) -> list[StoragePath]:
    """Tables with the columns; of a folder, those that say no split."""
    if not tree.is_folder:
        return [tree.root / tree.source.name] if _has_columns(tree.source, needed) else []
    paths = [path for path in tree.survey.tables if path.lower().endswith((".csv", ".tsv"))]
    tables = [path for path in paths if not _SETUP.fullmatch(PurePosixPath(path).name)]
    return [tree.root / path for path in tables[:_TRIED] if _has_columns(tree.root / path, needed)]


def _has_columns(path: StoragePath, needed: Sequence[str]) -> bool:
    return set(needed) <= set(map(str.strip, read_header(path)))


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
    table, *others = found
    rows = read_rows(table, Columns(path="filename", label="scene_label", group="identifier"), _SCENES)
    _refuse_nameless(table, rows.held)
    splits = _read_splits(tree if tree.is_folder else Tree(tree.root))
    clips = [
        {"uri": row["filename"], "labels": make_labels(row["scene_label"])}
        | {"group": _find_place(row["filename"], carried.get("identifier"))}
        | ({"split": splits.get(PurePosixPath(row["filename"]).name)} if splits else {})
        | carried
        for row, carried in rows.pairs()
    ]
    paths = find_paths(table, [clip["uri"] for clip in clips])
    clips = [clip | {"uri": name} for clip, name in zip(clips, paths.names, strict=True)]
    notes = [
        f"{list_few([str(other) for other in others], 'further table')} of scenes passed over; index each by itself"
    ]
    notes = [*(notes if others else []), *rows.notes, *paths.notes, *note_differences(Tree(paths.root), clips)]
    return Listing(paths.root, clips, notes)


def _refuse_nameless(table: StoragePath, rows: Sequence[dict[str, Any]]) -> None:
    if blank := [number for number, row in enumerate(rows, start=1) if is_blank(row["filename"])]:
        raise ClipTableError(f"{table}: row {blank[0]} has no filename; give every row a file name")


def _find_place(name: str, identifier: str | None) -> str | None:
    """City and place of a scene, by its name; else what the table calls its identifier."""
    found = _SCENE_NAME.fullmatch(PurePosixPath(name).name)
    return identifier if found is None else f"{found['city']}-{found['location']}"


def _read_splits(tree: Tree) -> dict[str, str]:
    """Split by file name, from ``evaluation_setup/fold1_train.csv`` and its like; empty where there is none."""
    splits: dict[str, str] = {}
    for path in tree.survey.tables:
        if (found := _SETUP.fullmatch(PurePosixPath(path).name)) is not None:
            frame = read_frame(tree.root / path, Columns(path="filename"))
            if "filename" in frame:
                split = _SPLITS[found["split"].lower()]
                splits |= {PurePosixPath(str(name)).name: split for name in frame["filename"].dropna()}
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
    parts, errors = [], []
    for table in found:
        events = _read_event_table(table)
        try:
            parts.append(_place_recordings(table, events))
        except ClipTableError as error:
            errors.append(error)
    if not parts:
        raise errors[0]
    root = _share_root([part.root for part in parts])
    clips, notes = _unite_labels([clip for part in parts for clip in _move_root(part, root)])
    notes = [*(note for part in parts for note in part.notes), *notes, *(f"passed over {error}" for error in errors)]
    return Listing(root, clips, [*notes, *note_differences(Tree(root), clips)])


def _read_event_table(table: StoragePath) -> Listing:
    """The events of a table; uris are as they stand in it."""
    rows = read_rows(table, Columns(path="filename", label="event_label"), _EVENTS)
    _refuse_nameless(table, rows.held)
    return Listing(table.parent, [_describe_event(table, row) | carried for row, carried in rows.pairs()], rows.notes)


def _place_recordings(table: StoragePath, events: Listing) -> Listing:
    """The same with the folder that a table's recordings lie in, and with uris below it."""
    names = [clip["uri"] for clip in events.clips]
    folder = _find_mirrored(table, names)
    paths = find_paths(table, names) if folder is None else TablePaths(folder, names)
    clips = [clip | {"uri": name} for clip, name in zip(events.clips, paths.names, strict=True)]
    return Listing(paths.root, clips, [*events.notes, *paths.notes])


def _find_mirrored(table: StoragePath, names: Sequence[str]) -> StoragePath | None:
    """The folder that mirrors a table's path, as in ``metadata/train/weak.tsv`` and ``audio/train/weak/``."""
    for above in table.parents:
        if above.name.lower() == "metadata":
            within = PurePosixPath(*table.parts[len(above.parts) :])
            break
    else:
        return None
    folders = [above.parent / "audio" / str(place) for place in (within.with_suffix(""), within.parent)]
    for folder in folders:
        if folder != above.parent / "audio" and any((folder / name).exists() for name in names[:_TRIED]):
            return folder
    return None


def _share_root(roots: Sequence[StoragePath]) -> StoragePath:
    """The deepest folder that holds all of them."""
    held = [{str(place) for place in (root, *root.parents)} for root in roots]
    return next(place for place in (roots[0], *roots[0].parents) if all(str(place) in above for above in held))


def _move_root(part: Listing, root: StoragePath) -> list[dict[str, Any]]:
    """Clips of a table with uris below a common folder; the recording is the group."""
    within = str(part.root)[len(str(root)) :].strip("/")
    uris = [f"{within}/{clip['uri']}" if within else clip["uri"] for clip in part.clips]
    return [clip | {"uri": uri, "group": uri} for clip, uri in zip(part.clips, uris, strict=True)]


def _unite_labels(clips: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """Events from the same onset to the same offset of a recording are one clip with the labels of all."""
    united: dict[tuple[Any, ...], dict[str, Any]] = {}
    for clip in clips:
        known = united.setdefault((clip["uri"], clip.get("start_s"), clip.get("end_s")), clip)
        known["labels"] = list(dict.fromkeys([*known["labels"], *clip["labels"]]))
    fewer = len(clips) - len(united)
    events = count_noun(fewer, "event")
    return list(united.values()), [f"{events} with the times of another became one clip with it"] if fewer else []


def _describe_event(table: StoragePath, row: dict[str, Any]) -> dict[str, Any]:
    onset_s, offset_s = row["onset"], row["offset"]
    if is_blank(onset_s) and is_blank(offset_s):
        return {"uri": row["filename"], "labels": make_labels(row["event_label"]), IS_EVENT: False}
    try:
        times = {"start_s": float(onset_s), "end_s": float(offset_s)}
    except (TypeError, ValueError):
        raise ClipTableError(
            f"{table}: {row['filename']} has an event from {onset_s} to {offset_s}; expected seconds for both"
        ) from None
    return {"uri": row["filename"], "labels": make_labels(row["event_label"]), **times, IS_EVENT: True}


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
