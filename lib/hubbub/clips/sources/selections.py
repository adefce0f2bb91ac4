"""Annotated recordings: Raven's selection tables and Audacity's label tracks, named after their recordings.

Each annotation is a clip: the event from its onset to its offset. The recording is the group, so that training and test
never share one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from hubbub.clips.annotations import (
    RAVEN_MARK,
    AnnotationError,
    read_audacity_track,
    read_event_table,
    strip_suffix,
)
from hubbub.clips.sources.template import Format, Listing, Options
from hubbub.clips.sources.tree import Tree
from hubbub.clips.table import IS_EVENT
from hubbub.errors import ClipTableError
from hubbub.io.atomic import read_bytes
from hubbub.io.text import count_noun, list_few

_AUDACITY_LINE = re.compile(rb"(?:\xef\xbb\xbf)?-?\d+(?:[.,]\d+)?\t-?\d+(?:[.,]\d+)?\t")

_ENOUGH = 0.1
"""Share of the recordings that must have a text file of their name, for a folder to be taken for annotated."""
_TRIED = 20  # text files that are opened to see whether they are annotations


@dataclass(frozen=True)
class _Annotated:
    """A file of annotations, the recording it is named after, and whether it is Raven's."""

    path: str
    recording: str
    is_raven: bool
    content: bytes


def _pair_files(tree: Tree) -> list[tuple[str, str]]:
    """Text files with the recording each is named after: beside it, or anywhere where it alone has the name."""
    beside: dict[str, str] = {}
    alone: dict[str, str | None] = {}
    for path, _ in tree.recordings():
        stem = path.removesuffix(PurePosixPath(path).suffix)
        beside[stem] = path
        alone[PurePosixPath(stem).name] = None if PurePosixPath(stem).name in alone else path
    texts = [path for path in tree.survey.tables if path.lower().endswith(".txt")]
    stems = [strip_suffix(path) for path in texts]
    found = [
        (path, beside.get(stem) or alone.get(PurePosixPath(stem).name)) for path, stem in zip(texts, stems, strict=True)
    ]
    return [(path, recording) for path, recording in found if recording is not None]


def _find_annotated(tree: Tree, pairs: Sequence[tuple[str, str]]) -> Iterator[_Annotated]:
    """Those of the text files that hold annotations."""
    for path, recording in pairs:
        content = read_bytes(tree.root / path)
        is_raven = RAVEN_MARK.encode() in content.split(b"\n", 1)[0]
        if is_raven or _AUDACITY_LINE.match(content):
            yield _Annotated(path, recording, is_raven, content)


def _recognise(tree: Tree) -> str | None:
    if not tree.is_folder or not any(path.lower().endswith(".txt") for path in tree.survey.tables):
        return None
    pairs = _pair_files(tree)
    if len(pairs) < _ENOUGH * tree.survey.recordings:
        return None
    first = next(_find_annotated(tree, pairs[:_TRIED]), None)
    if first is None:
        return None
    kind = "a selection table of Raven's" if first.is_raven else "a label track of Audacity's"
    return f"{first.path} is {kind} beside {first.recording}"


def _read(tree: Tree, options: Options) -> Listing:
    """List every annotation as a clip of its recording; recordings without annotations are left out, and told."""
    options.refuse(tree.source, "selections")
    annotated = list(_find_annotated(tree, _pair_files(tree))) if tree.is_folder else []
    if not annotated:
        raise ClipTableError(
            f"{tree.source} holds no annotated recordings; expected a folder with .selections.txt of Raven or .txt of "
            "Audacity beside recordings of the same name"
        )
    clips = [clip for one in annotated for clip in _list_events(tree, one)]
    if not clips:
        raise ClipTableError(f"{tree.source}: no annotation has a label; expected at least one")
    without = sorted({path for path, _ in tree.recordings()} - {clip["uri"] for clip in clips})
    note = f"{list_few(without, 'recording')} without annotations left out"
    return Listing(tree.root, clips, [note] if without else [])


def _list_events(tree: Tree, one: _Annotated) -> list[dict[str, Any]]:
    name = PurePosixPath(one.path).name
    try:
        events = read_event_table(one.content, name) if one.is_raven else read_audacity_track(one.content, name)
    except (AnnotationError, UnicodeDecodeError, pd.errors.ParserError) as error:
        raise ClipTableError(f"{tree.root / one.path} cannot be read as annotations: {error}") from None
    wrong = events[~(events["onset_s"] < events["offset_s"])]
    if len(wrong):
        row = wrong.iloc[0]
        raise ClipTableError(
            f"{tree.root / one.path}: {count_noun(len(wrong), 'annotation')} of no length, such as {row['label']} at "
            f"{row['onset_s']:g} s; give each an end after its beginning"
        )
    bands = [column for column in ("low_hz", "high_hz") if column in events]
    return [
        {"uri": one.recording, "labels": [label] if (label := str(row["label"]).strip()) else []}
        | {"start_s": max(0.0, row["onset_s"]), "end_s": row["offset_s"], "group": one.recording, IS_EVENT: True}
        | {column: None if pd.isna(row[column]) else row[column] for column in bands}
        for row in events.to_dict("records")
    ]


FORMAT = Format(
    "selections",
    "annotated recordings: Raven's selection tables and Audacity's label tracks beside them; each event is a clip",
    "garden.wav\ngarden.Table.1.selections.txt      Selection  View  Begin Time (s)  End Time (s)  Annotation\n"
    "roof.flac\nroof.txt      1.5  3.25  rain",
    _recognise,
    _read,
)
