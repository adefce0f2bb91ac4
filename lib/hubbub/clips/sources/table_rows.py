"""Rows of the table of a known data set: what an empty cell is, and what its further columns are called here."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from hubbub.clips.sources.table_files import read_frame
from hubbub.clips.sources.template import Columns
from hubbub.clips.table import TAKEN_COLUMNS
from hubbub.errors import ClipTableError
from hubbub.io.paths import StoragePath


@dataclass(frozen=True)
class TableRows:
    """Rows of a table.

    Attributes
    ----------
    held
        The columns that the format reads, a mapping a row; None where a cell is empty.
    carried
        The others, by the names that they have in a clip table.
    notes
        What was renamed.
    """

    held: list[dict[str, Any]]
    carried: list[dict[str, Any]]
    notes: list[str]

    def pairs(self) -> Iterable[tuple[dict[str, Any], dict[str, Any]]]:
        """What is held and what is carried, row by row."""
        return zip(self.held, self.carried, strict=True)


def read_rows(table: StoragePath, text: Columns, needed: Collection[str], optional: Collection[str] = ()) -> TableRows:
    """Read the table of a data set whose columns are known.

    Parameters
    ----------
    text
        Columns that stay text, whatever they look like.
    needed, optional
        Columns that the format reads. All others are carried; one whose name has a meaning in hubbub's tables becomes
        ``source_…``.

    Raises
    ------
    ClipTableError
        When the table cannot be read, or a needed column is missing.
    """
    frame = read_frame(table, text)
    if missing := [name for name in needed if name not in frame]:
        there = ", ".join(frame.columns)
        raise ClipTableError(f"{table} has no column '{missing[0]}'; expected {', '.join(needed)} (there are: {there})")
    names, notes = name_carried(table, frame, {*needed, *optional})
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return TableRows(
        [{name: row.get(name) for name in (*needed, *optional)} for row in rows],
        [{new: row[old] for old, new in names.items()} for row in rows],
        notes,
    )


def name_carried(table: StoragePath, frame: pd.DataFrame, held: Collection[str]) -> tuple[dict[str, str], list[str]]:
    """What columns that a format does not read are called in a clip table, and a note where a name is another."""
    there = set(frame.columns)
    names: dict[str, str] = {}
    for column in map(str, frame.columns):
        if column in held:
            continue
        new = column
        while new in TAKEN_COLUMNS or (new != column and new in there):
            new = f"source_{new}"
        names[column] = new
    renamed = ", ".join(f"{old} as {new}" for old, new in names.items() if old != new)
    return names, [f"{table.name}: carried columns whose names have a meaning here: {renamed}"] if renamed else []


def is_blank(value: Any) -> bool:
    """Whether a cell holds nothing, or blanks alone."""
    return value is None or not str(value).strip()


def make_labels(value: Any, separator: str | None = None) -> list[str]:
    """The labels of a cell, each once; none of an empty one."""
    parts = [value] if separator is None or value is None else str(value).split(separator)
    return list(dict.fromkeys(str(part).strip() for part in parts if not is_blank(part)))
