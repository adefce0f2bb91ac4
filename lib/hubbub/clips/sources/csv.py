"""Any table with one clip a row, its columns named on the command line: CSV, Parquet, JSON lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from hubbub.clips.sources.listed import note_differences_beside
from hubbub.clips.sources.table_files import read_header, read_table_file
from hubbub.clips.sources.table_paths import find_paths
from hubbub.clips.sources.template import Columns, Format, Listing, Options
from hubbub.clips.sources.tree import Tree, is_audio
from hubbub.clips.table import IS_EVENT, TAKEN_COLUMNS
from hubbub.errors import ClipTableError, suggest_nearest
from hubbub.io.paths import StoragePath, is_local
from hubbub.io.text import count_noun

_GUESSED_ROWS = 50
_ODD_PATH = re.compile(r"//|(^|/)\./|/$|/\.$")  # what may be spelt in a shorter way
_ADDRESS = re.compile(r"\s*https?://", re.IGNORECASE)
_SHOWN = 50  # names of columns in a message


def _recognise(tree: Tree) -> str | None:
    return None if tree.is_folder else ""


def _read(tree: Tree, options: Options) -> Listing:
    """List the clips of a CSV; the column of paths must be named, columns that mean nothing here are carried."""
    source, columns = tree.source, options.columns
    _refuse_addresses(source, read_header(source))  # a list of addresses has no header
    frame, notes = read_table_file(source, columns)
    if columns.path is None:
        raise ClipTableError(
            f"{source}: say which column holds the file names with --path-column (there are: "
            f"{_list_columns(frame.columns)}){_guess_path_column(source, frame)}"
        )
    found = listing(source, frame, columns)
    return replace(found, notes=[*notes, *found.notes])


def _list_columns(names: Iterable[str]) -> str:
    shown = list(islice(names, _SHOWN + 1))
    return ", ".join(shown[:_SHOWN]) + (", …" if len(shown) > _SHOWN else "")


def _guess_path_column(source: StoragePath, frame: pd.DataFrame) -> str:
    """Offer the column that holds names of recordings, if one does; it is never taken unasked."""
    best, share = "", 0.0
    for name in frame:
        values = [str(value) for value in frame[name].dropna().head(_GUESSED_ROWS)]
        matching = sum(is_audio(value.strip()) and not _ADDRESS.match(value) for value in values)
        if matching > share * max(1, len(values)):
            best, share = str(name), matching / len(values)
    if best:
        return f"; '{best}' looks like it: hubbub index {source} -o FILE --path-column '{best}'"
    for name in frame:
        _refuse_addresses(source, frame[name].dropna().astype(str))
    return ""


def _refuse_addresses(source: StoragePath, cells: Iterable[str]) -> None:
    address = next((cell for cell in cells if _ADDRESS.match(cell)), None)
    if address is not None:
        raise ClipTableError(
            f"{source} lists addresses, such as {address.strip()}; expected names of files. Download the recordings "
            f"first: hubbub fetch {source} -o recordings/"
        )


def listing(source: StoragePath, frame: pd.DataFrame, columns: Columns, *, lists_all: bool = True) -> Listing:
    """Turn the rows of a table into clips, of the folder, of those where recordings may lie, that has the most of them.

    Raises
    ------
    ClipTableError
        For a column that is not there, values that do not fit, or recordings that are nowhere.
    """
    named = {role: name for role, name in columns.by_role.items() if name is not None}
    carried = _check_columns(source, frame, named, columns.label_separator)
    # Column by column: cell by cell, pandas takes most of the time.
    cells = [frame[name].to_numpy(dtype=object, na_value=None) for name in frame.columns]  # type: ignore[call-overload]
    names = cells[list(frame.columns).index(named["path"])]
    if empty := [number for number, name in enumerate(names, start=1) if name is None or not str(name).strip()]:
        raise ClipTableError(
            f"{source}: column '{named['path']}' has {count_noun(len(empty), 'empty name')}, the first in row "
            f"{empty[0]} below the header; give every row a file name"
        )
    if (several := next((name for name in names if isinstance(name, list)), None)) is not None:
        raise ClipTableError(f"{source}: column '{named['path']}' holds {several!r}; expected one file name a row")
    names = [str(name) for name in names]
    _refuse_addresses(source, names)
    paths = find_paths(source, names)
    is_path = is_local(paths.root)
    rows = (
        {**dict(zip(frame.columns, row, strict=True)), named["path"]: name}
        for row, name in zip(zip(*cells, strict=True), paths.names, strict=True)
    )

    def list_clips() -> Iterator[dict[str, Any]]:
        for number, row in enumerate(rows, start=1):
            try:
                yield _clip(row, named, carried, columns.label_separator, is_path=is_path)
            except ClipTableError as error:
                raise ClipTableError(f"{source}: row {number} below the header: {error}") from None

    clips, notes = _drop_repeated(source, list_clips())
    differences = note_differences_beside(paths.root, [clip["uri"] for clip in clips], lists_all=lists_all)
    return Listing(paths.root, clips, [*notes, *paths.notes, *differences])


def _check_columns(
    source: StoragePath, frame: pd.DataFrame, named: dict[str, str], label_separator: str | None
) -> list[str]:
    """The columns that are carried."""
    for role, name in named.items():
        if name not in frame:
            raise ClipTableError(
                f"{source} has no column '{name}' ({_option(role)}): {suggest_nearest(name, frame.columns)}"
            )
    if label_separator is not None and "label" not in named:
        raise ClipTableError(f"{source}: --label-separator parts the cells of a column; name it with --label-column")
    _check_onsets(source, named)
    carried = [str(name) for name in frame if name not in named.values()]
    if clash := [name for name in carried if name in TAKEN_COLUMNS]:
        can_be_named = clash[0] in Columns().by_role
        name_it = f"name it ({_option(clash[0])} {clash[0]}) or " if can_be_named else ""
        raise ClipTableError(f"{source}: column '{clash[0]}' has a meaning in hubbub's tables; {name_it}rename it")
    for name in carried:
        if frame[name].dtype == object:
            _refuse_mixed_values(source, frame[name].dropna())
    return carried


def _refuse_mixed_values(source: StoragePath, values: pd.Series) -> None:
    """Refuse a column of JSON whose values have several types, which no clip table holds."""
    first: dict[str, Any] = {}
    for value in values:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        first.setdefault("number" if is_number else type(value).__name__, value)
    if len(first) > 1:
        both = " and ".join(repr(value) for value in list(first.values())[:2])
        raise ClipTableError(f"{source}: column '{values.name}' holds {both}; give it values of one type")


def _drop_repeated(source: StoragePath, clips: Iterable[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """Leave out clips that repeat another in everything; refuse those that contradict another.

    Events at the same times may have labels of their own.
    """
    first: dict[tuple[Any, ...], dict[str, Any]] = {}
    kept, repeated = [], []
    for clip in clips:
        one = first.setdefault((clip["uri"], clip.get("start_s"), clip.get("end_s")), clip)
        if one is clip:
            kept.append(clip)
        elif (column := next((name for name in one if repr(one[name]) != repr(clip[name])), None)) is None:
            repeated.append(clip["uri"])
        elif clip.get(IS_EVENT):
            kept.append(clip)
        else:
            labels = ", several labels in one cell (--label-separator)" if column == "labels" else ""
            raise ClipTableError(
                f"{source} lists {clip['uri']} more than once, with {column} {_show(one[column])} and "
                f"{_show(clip[column])}; keep one row a clip{labels}"
            )
    if not repeated:
        return kept, []
    rows = count_noun(len(repeated), "row that repeats another", "rows that repeat another")
    return kept, [f"left out {rows}, such as {repeated[0]}"]


def _show(value: Any) -> str:
    return ", ".join(value) or "none" if isinstance(value, list) else repr(value)


def _option(role: str) -> str:
    return f"--{role.removesuffix('_s').replace('_', '-')}-column"


def _clip(
    values: dict[str, Any], named: dict[str, str], carried: list[str], separator: str | None, *, is_path: bool
) -> dict[str, Any]:
    """One clip of a row; paths of one file are spelt in one way, keys are taken letter by letter."""
    path = str(values[named["path"]])
    is_odd = is_path and "://" not in path and _ODD_PATH.search(path) is not None
    clip: dict[str, Any] = {"uri": PurePosixPath(path).as_posix() if is_odd else path}
    clip["labels"] = _parse_labels(values[named["label"]] if "label" in named else None, separator)
    if "fold" in named:
        clip["fold"] = parse_whole_number(values[named["fold"]], named["fold"])
    for role in ("split", "group"):
        if role in named:
            clip[role] = None if values[named[role]] is None else str(values[named[role]])
    for role in ("start_s", "end_s"):
        if role in named:
            clip[role] = _parse_seconds(values[named[role]], named[role])
    if "onset_s" in named:
        times_s = [_parse_seconds(values[named[role]], named[role]) for role in ("onset_s", "offset_s")]
        clip |= _cut_event(path, *times_s)
    if "recorded_at" in named:
        clip["recorded_at"] = parse_time(values[named["recorded_at"]], named["recorded_at"])
    return clip | {name: values[name] for name in carried}


def _check_onsets(source: StoragePath, named: dict[str, str]) -> None:
    """Onsets need offsets, and take the place of starts and ends."""
    given = [role for role in ("onset_s", "offset_s") if role in named]
    if len(given) == 1:
        other = "offset_s" if given == ["onset_s"] else "onset_s"
        raise ClipTableError(f"{source}: {_option(given[0])} was given alone; name the other with {_option(other)}")
    if given and (clash := [role for role in ("start_s", "end_s") if role in named]):
        raise ClipTableError(
            f"{source}: an event is cut from its recording by {_option('onset_s')} and {_option('offset_s')}; "
            f"leave {_option(clash[0])} out"
        )


def _cut_event(path: str, onset_s: float | None, offset_s: float | None) -> dict[str, Any]:
    """The segment that is an event; a row without times is a whole file."""
    if (onset_s is None) != (offset_s is None):
        there, gone = ("onset", "offset") if offset_s is None else ("offset", "onset")
        raise ClipTableError(f"{path}: an event with an {there} and no {gone}; give both, or neither for a whole file")
    return {"start_s": onset_s, "end_s": offset_s, IS_EVENT: onset_s is not None}


def _parse_labels(value: Any, separator: str | None) -> list[str]:
    """The labels of a cell, each once, in their order."""
    if value is None or not str(value).strip():
        return []
    if not isinstance(value, list):
        if not separator:
            return [str(value).strip()]
        value = str(value).split(separator)
    return list(dict.fromkeys(name.strip() for name in map(str, value) if name.strip()))


def parse_time(value: Any, column: str) -> datetime | None:
    """Parse a time with its zone, UTC where none is given; raises `ClipTableError` for anything else."""
    try:
        when = None if value is None else datetime.fromisoformat(str(value))
    except ValueError:
        raise ClipTableError(
            f"column '{column}' holds {value!r}; expected a time such as 2026-05-17T04:30:00Z"
        ) from None
    return when if when is None or when.tzinfo else when.replace(tzinfo=UTC)


def parse_whole_number(value: Any, column: str) -> int | None:
    """Parse a whole number; raises `ClipTableError` for anything else."""
    try:
        if value is None or (int(value) == float(value) and abs(int(value)) < 2**31):
            return None if value is None else int(value)
        raise ValueError(value)
    except (TypeError, ValueError, OverflowError):
        raise ClipTableError(f"column '{column}' holds {value!r}; expected whole numbers of 32 bits") from None


def _parse_seconds(value: Any, column: str) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        raise ClipTableError(f"column '{column}' holds {value!r}; expected seconds") from None


FORMAT = Format(
    "csv",
    "any table with a clip a row (CSV, TSV, Parquet, JSON lines); name its columns with --path-column and others",
    "file,kind,city\na.wav,dog,Oslo\nb.wav,rain,Malmö",
    _recognise,
    _read,
)
