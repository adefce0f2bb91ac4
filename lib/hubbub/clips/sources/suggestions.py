"""Suggestions of ``hubbub suggest`` that a person has gone through: the windows that have a label by now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from hubbub.clips.sources.csv import listing
from hubbub.clips.sources.table_files import read_frame, read_header
from hubbub.clips.sources.table_rows import is_blank, name_carried
from hubbub.clips.sources.template import Columns, Format, Listing, Options
from hubbub.clips.sources.tree import Tree
from hubbub.errors import ClipTableError
from hubbub.io.paths import StoragePath
from hubbub.io.text import count_noun

TABLE = "suggestions.csv"
"""What ``hubbub suggest`` calls its table."""

SEPARATOR = ";"
"""What parts several labels in a cell: names of labels hold commas."""

RIGHT, WRONG = ("right", "yes", "y", "true", "1"), ("wrong", "no", "n", "false", "0")
"""What a verdict may say of the suggested label, in small or capital letters."""

OWN_COLUMNS = ("rank", "suggested", "score", "reason", "clip", "problem", "label", "verdict", "range", "in_range")
"""What ``suggestions.csv`` has beside where a window lies, and what a clip table made of it has no more."""

_NEEDED = ("uri", "start_s", "end_s", "suggested", "label", "verdict")
_SHAPE = Columns(path="uri", label="label", start_s="start_s", end_s="end_s", group="group", label_separator=SEPARATOR)


@dataclass(frozen=True)
class Verdicts:
    """Suggestions as a person left them.

    Attributes
    ----------
    rows
        Those that were heard, their labels in `label`.
    unheard
        How many have neither a label nor a verdict.
    rejected
        How many were found wrong, and have no other label.
    """

    rows: pd.DataFrame
    unheard: int
    rejected: int


def are_suggestions(names: list[str]) -> bool:
    """Whether a table with these columns is one of suggestions."""
    return set(_NEEDED) <= set(names)


def read_verdicts(table: StoragePath, frame: pd.DataFrame) -> Verdicts:
    """Read what a person said of suggestions: their label, or `suggested` where the verdict is that it is right.

    Raises
    ------
    ClipTableError
        For a verdict that is none.
    """
    heard, labels, rejected = [], [], 0
    for number, row in enumerate(frame.astype(object).where(frame.notna(), None).to_dict("records"), start=1):
        verdict = _read_verdict(table, number, row["verdict"])
        is_named = not is_blank(row["label"])
        if verdict == "right" and not is_named and is_blank(row["suggested"]):
            raise ClipTableError(f"{table}: row {number} below the header is right, and has no suggested label")
        heard.append(is_named or verdict is not None)
        labels.append(row["label"] if is_named else row["suggested"] if verdict == "right" else None)
        rejected += verdict == "wrong" and not is_named
    return Verdicts(frame.assign(label=pd.Series(labels, frame.index, object))[heard], heard.count(False), rejected)


def _read_verdict(table: StoragePath, number: int, value: Any) -> str | None:
    if is_blank(value):
        return None
    said = str(int(value) if isinstance(value, (bool, float)) else value).strip().casefold()
    for name, words in (("right", RIGHT), ("wrong", WRONG)):
        if said in words:
            return name
    raise ClipTableError(
        f"{table}: row {number} below the header has the verdict {value!r}; expected right or wrong, or none"
    )


def _find_table(tree: Tree) -> StoragePath | None:
    """The table: the source itself, or the one in a folder that ``hubbub suggest`` made.

    One further down is of a folder in an archive, and says nothing of the archive.
    """
    if not tree.is_folder:
        return tree.source
    return tree.root / TABLE if TABLE in tree.find_named(TABLE) else None


def _recognise(tree: Tree) -> str | None:
    table = _find_table(tree)
    if table is None or not are_suggestions(read_header(table)):
        return None
    return f"{table.name} has the columns suggested, label and verdict"


def _read(tree: Tree, options: Options) -> Listing:
    """List the windows that have a label; the recording is the group where the table names none."""
    options.refuse(tree.source, "suggestions")
    table = _find_table(tree)
    if table is None:
        raise ClipTableError(f"{tree.source} holds no {TABLE}; expected a folder that hubbub suggest made")
    frame = read_frame(table, _SHAPE)
    if missing := [name for name in _NEEDED if name not in frame]:
        raise ClipTableError(f"{table} has no column '{missing[0]}'; expected {TABLE} as hubbub suggest wrote it")
    names, notes = name_carried(table, frame, {*filter(None, _SHAPE.by_role.values()), *OWN_COLUMNS})
    verdicts = read_verdicts(table, frame)
    labelled = verdicts.rows[verdicts.rows["label"].notna()]
    if labelled.empty:
        raise ClipTableError(
            f"{table}: no window has a label yet; fill in the column label (several: dog{SEPARATOR}rain), or say right "
            "in the column verdict where the suggested label is right"
        )
    group = labelled["group"].where(labelled["group"].notna(), labelled["uri"]) if "group" in frame else labelled["uri"]
    kept = labelled.assign(group=group)[["uri", "start_s", "end_s", "label", "group", *names]].rename(columns=names)
    found = listing(table, kept.reset_index(drop=True), _SHAPE, lists_all=False)
    return replace(found, notes=[*_describe(verdicts), *notes, *found.notes])


def _describe(verdicts: Verdicts) -> list[str]:
    notes = []
    if verdicts.unheard:
        notes.append(f"{count_noun(verdicts.unheard, 'window')} without a label or verdict left out")
    if verdicts.rejected:
        notes.append(f"{count_noun(verdicts.rejected, 'window')} with a wrong label and no other left out")
    return notes


FORMAT = Format(
    "suggestions",
    "suggestions.csv of hubbub suggest with labels filled in; the recording is the group",
    "suggestions.csv      uri,start_s,end_s,suggested,label,verdict\n"
    "                     /archive/a.wav,15,20,dog,,right\n                     /archive/b.wav,5,10,dog,rain;wind,",
    _recognise,
    _read,
)
