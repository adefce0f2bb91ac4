"""Annotated recordings: Raven's selection tables and Audacity's label tracks.

Each annotation is a clip: the event from its onset to its offset. The recording is the group, so that training and test
never share one. A table is of the recording that its rows name (Raven's ``Begin Path`` or ``Begin File``), else of the
one that it is named after.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from hubbub.clips.annotations import (
    BAND_COLUMNS,
    AnnotationError,
    is_audacity_track,
    is_raven_name,
    is_raven_table,
    is_utf,
    read_audacity_track,
    read_event_table,
    strip_suffix,
)
from hubbub.clips.sources.recording_names import RecordingNames
from hubbub.clips.sources.table_files import read_head
from hubbub.clips.sources.table_text import decode
from hubbub.clips.sources.template import Format, Listing, Options
from hubbub.clips.sources.tree import Tree
from hubbub.clips.table import IS_EVENT
from hubbub.errors import ClipTableError
from hubbub.io.atomic import read_bytes
from hubbub.io.text import count_noun, list_few

_ENOUGH = 0.1
"""Share of the recordings that must be annotated, for a folder to be taken for annotated recordings."""
_TRIED = 20  # text files that are opened to see whether they are annotations
_POINT_S = 1.0
"""Seconds of the clip around a point label: a clip of no length has no sound."""


@dataclass(frozen=True)
class _Table:
    """A file of annotations, by its path below the root, and whether it is Raven's."""

    tree: Tree
    path: str
    is_raven: bool

    @cached_property
    def content(self) -> bytes:
        return read_bytes(self.tree.root / self.path)

    def read(self) -> pd.DataFrame:
        """Its events; uri is empty where the table names no recording."""
        name = PurePosixPath(self.path).name
        try:
            if not self.is_raven:
                return read_audacity_track(self.content, name).assign(uri="")
            events = read_event_table(self.content, name)
        except (AnnotationError, UnicodeDecodeError, pd.errors.ParserError) as error:
            raise ClipTableError(f"{self.tree.root / self.path} cannot be read as annotations: {error}") from None
        return events.assign(uri=events["uri"].where(events["uri"] != name.split(".")[0], ""))


def _list_texts(tree: Tree) -> list[str]:
    if not tree.is_folder:
        return [tree.source.name] if tree.source.name.lower().endswith(".txt") else []
    return [path for path in tree.survey.tables if path.lower().endswith(".txt")]


def _find_tables(tree: Tree, paths: Sequence[str]) -> Iterator[_Table]:
    """Those of the text files that hold annotations."""
    for path in paths:
        try:
            head = decode(read_head(tree.root / path), is_head=True)[0]
        except ValueError:
            continue  # no text, whatever its name says
        if is_raven_table(head) or is_audacity_track(head):
            yield _Table(tree, path, is_raven_table(head))


def _recognise(tree: Tree) -> str | None:
    texts = _list_texts(tree)
    if not texts:
        return None
    if not tree.is_folder:
        return next((_describe(table) for table in _find_tables(tree, texts)), None)
    names = RecordingNames(tree)
    paired = {path: recording for path in texts if (recording := names.find_namesake(path, strip_suffix(path)))}
    if len(paired) >= _ENOUGH * tree.survey.recordings:
        for table in _find_tables(tree, list(paired)[:_TRIED]):
            return f"{_describe(table)} beside {paired[table.path]}"
    for table in _find_tables(tree, [path for path in texts if is_raven_name(path)][:_TRIED]):
        told = {names.find_named(table.path, uri) for uri in table.read()["uri"].unique() if uri} - {None}
        if told and len(told) >= _ENOUGH * tree.survey.recordings:
            return f"{_describe(table)} that names {count_noun(len(told), 'recording')} here"
    return None


def _describe(table: _Table) -> str:
    return f"{table.path} is {'a selection table of Raven' if table.is_raven else 'a label track of Audacity'}'s"


def _read(tree: Tree, options: Options) -> Listing:
    """List every annotation as a clip of its recording; what has no counterpart is left out, and told."""
    options.refuse(tree.source, "selections")
    tables = list(_find_tables(tree, _list_texts(tree)))
    whole = tree if tree.is_folder else Tree(tree.root)
    names, notes = RecordingNames(whole), _Notes()
    clips = [clip for table in tables for clip in _list_events(table, names, notes)]
    if not clips and (notes.orphans or not tables):
        raise ClipTableError(
            f"{tree.source} holds no annotated recordings; expected a folder with .selections.txt of Raven or .txt of "
            f"Audacity beside recordings of the same name{notes.describe_orphans('; there are ')}"
        )
    if not clips:
        raise ClipTableError(f"{tree.source}: no annotation has a label; expected at least one")
    return Listing(whole.root, clips, notes.describe(sorted(set(names.paths) - {clip["uri"] for clip in clips})))


class _Notes:
    """What a person should know of the annotations."""

    def __init__(self) -> None:
        self.orphans: dict[str, int] = {}
        self.points = 0
        self.guessed: list[str] = []
        self.renamed: list[str] = []

    def describe_orphans(self, before: str = "") -> str:
        if not self.orphans:
            return ""
        total = count_noun(sum(self.orphans.values()), "annotation")
        return f"{before}{total} without a recording here: of {', '.join(list(self.orphans)[:3])}" + (
            ", …" if len(self.orphans) > 3 else ""
        )

    def describe(self, without: Sequence[str]) -> list[str]:
        notes = []
        if without:
            notes.append(f"{list_few(without, 'recording')} without annotations left out")
        if self.orphans:
            notes.append(f"{self.describe_orphans()}; passed over")
        if self.renamed:
            notes.append(
                f"{list_few(self.renamed, 'table')} of a recording that is not here, read for the one that each table "
                "is named after"
            )
        if self.points:
            length = f"{_POINT_S:g} s around {'it' if self.points == 1 else 'each'}"
            notes.append(f"{count_noun(self.points, 'point label')} of no length: a clip of {length}, and no event")
        if self.guessed:
            notes.append(
                f"{list_few(self.guessed, 'table')} no UTF-8 and read as Windows-1252; save as UTF-8 where letters "
                "come out wrong"
            )
        return notes


def _list_events(table: _Table, names: RecordingNames, notes: _Notes) -> Iterator[dict[str, Any]]:
    events = table.read()
    if not is_utf(table.content):
        notes.guessed.append(table.path)
    namesake = names.find_namesake(table.path, strip_suffix(table.path))
    told = {uri: names.find_named(table.path, uri) if uri else namesake for uri in events["uri"].unique()}
    if list(told.values()) == [None] and namesake is not None:
        notes.renamed.append(table.path)
        told = dict.fromkeys(told, namesake)
    _refuse_no_length(table, events)
    bands = [column for column in BAND_COLUMNS if column in events]
    for row in events.to_dict("records"):
        recording = told[row["uri"]]
        if recording is None:
            name = row["uri"] or table.path
            notes.orphans[name] = notes.orphans.get(name, 0) + 1
            continue
        is_point = row["onset_s"] == row["offset_s"]
        notes.points += is_point
        margin_s = _POINT_S / 2 if is_point else 0.0
        yield (
            {"uri": recording, "labels": [label] if (label := str(row["label"]).strip()) else []}
            | {"start_s": max(0.0, row["onset_s"] - margin_s), "end_s": row["offset_s"] + margin_s}
            | {"group": recording, IS_EVENT: not is_point}
            | {column: None if pd.isna(row[column]) else row[column] for column in bands}
        )


def _refuse_no_length(table: _Table, events: pd.DataFrame) -> None:
    """Refuse events that end before they begin; only Audacity has points."""
    onset_s, offset_s = events["onset_s"], events["offset_s"]
    wrong = events[~((onset_s < offset_s) if table.is_raven else (onset_s <= offset_s))]
    if len(wrong):
        row = wrong.iloc[0]
        raise ClipTableError(
            f"{table.tree.root / table.path}: {count_noun(len(wrong), 'annotation')} of no length, such as "
            f"{row['label']} at {row['onset_s']:g} s; give each an end after its beginning"
        )


FORMAT = Format(
    "selections",
    "annotated recordings: Raven's selection tables and Audacity's label tracks; each event is a clip",
    "garden.wav\ngarden.Table.1.selections.txt      Selection  View  Begin Time (s)  End Time (s)  Annotation\n"
    "all.selections.txt      the same with Begin File  (of any recording here)\n"
    "roof.flac\nroof.txt      1.5  3.25  rain",
    _recognise,
    _read,
)
