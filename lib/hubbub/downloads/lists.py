"""Lists of addresses: a text with one address a line, or any table with a column of them."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from hubbub.clips.sources.table_files import read_frame, read_head
from hubbub.clips.sources.table_text import decode
from hubbub.downloads.addresses import hide_password, parse_address
from hubbub.downloads.failures import FetchFailure, mend_text
from hubbub.downloads.pages import Link
from hubbub.errors import UsageError, suggest_nearest
from hubbub.io.atomic import explain_read_errors, read_bytes
from hubbub.io.paths import StoragePath

_SCHEMES = ("http://", "https://")
_LARGE = 2**63  # numbers from here on are in no column of whole numbers, and are kept as text
_TABLES = {".csv", ".tsv", ".tab", ".parquet", ".pq", ".jsonl", ".ndjson", ".json"}


def read_list(source: StoragePath, url_column: str | None = None) -> tuple[list[Link], list[tuple[str, str]]]:
    """Read a list of addresses.

    Parameters
    ----------
    source
        A text with an address a line (blank lines and lines from ``#`` on are passed over), or a table with a column of
        addresses: CSV in any dialect, Parquet, JSON lines.
    url_column
        The column; None: the one that holds addresses.

    Returns
    -------
    links, bad
        Each address once, with the other columns of its row; and what is no address, with the reason.

    Raises
    ------
    UsageError
        When it cannot be read, or has no addresses or several columns of them.
    """
    with explain_read_errors(source):
        if not source.is_file():
            what = "is a folder" if source.exists() else "does not exist"
            raise UsageError(
                f"{source} {what}; expected a list of addresses, a recipe (recipe.yaml), or the address of a "
                "site, such as https://sounds.example/"
            )
    if PurePosixPath(source.name).suffix.lower() in _TABLES or (url_column is not None) or not _is_plain(source):
        found = _read_table(source, url_column)
    else:
        found = [(line, {}) for line in _read_lines(source)]
    links: dict[str, Link] = {}
    bad: list[tuple[str, str]] = []
    for text, columns in found:
        try:
            address = parse_address(text)
        except FetchFailure as failure:
            bad.append((hide_password(text), str(failure)))
            continue
        links.setdefault(address, Link(address, columns))
    if not links:
        raise UsageError(f"{source} holds no addresses; expected one a line, such as https://sounds.example/a.mp3")
    return list(links.values()), bad


def _is_plain(source: StoragePath) -> bool:
    """Tell whether the first lines are addresses alone; where the very first one is none, all others have to be."""
    lines = _split_lines(source, read_head(source), is_head=True)
    alone = [line.lower().startswith(_SCHEMES) and not re.search(r"[\s,;|]", line) for line in lines]
    return not lines or alone[0] or (len(lines) > 2 and all(alone[1:-1]))


def _read_lines(source: StoragePath) -> list[str]:
    with explain_read_errors(source):
        content = read_bytes(source)
    return _split_lines(source, content)


def _split_lines(source: StoragePath, content: bytes, *, is_head: bool = False) -> list[str]:
    try:
        text = decode(content, is_head=is_head)[0]
    except ValueError as error:
        raise UsageError(f"{source} is no list of addresses: {error}; expected one a line, or a table") from None
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _read_table(source: StoragePath, url_column: str | None) -> list[tuple[str, dict[str, Any]]]:
    frame = read_frame(source)
    if url_column is None:
        url_column = _find_column(source, frame)
    if url_column not in frame:
        raise UsageError(
            f"{source} has no column '{url_column}' (--url-column): "
            f"{suggest_nearest(url_column, map(str, frame.columns))}"
        )
    others = [name for name in frame.columns if name != url_column]
    rows = frame.astype(object).where(frame.notna(), None)
    return [
        (str(row[url_column]), {name: _to_json(row[name]) for name in others if row[name] is not None})
        for row in rows.to_dict("records")
        if row[url_column] is not None
    ]


def _to_json(value: Any) -> Any:
    """A cell as JSON has it: numbers and texts as they are, anything else as text."""
    plain = value.item() if hasattr(value, "item") else value
    is_number = isinstance(plain, float | bool) or (isinstance(plain, int) and abs(plain) < _LARGE)
    return plain if is_number else mend_text(str(plain))


def _find_column(source: StoragePath, frame: pd.DataFrame) -> str:
    """The one column that holds addresses and nothing else."""

    def holds_addresses(name: str) -> bool:
        values = frame[name].dropna().tolist()
        return 2 * sum(str(value).strip().lower().startswith(_SCHEMES) for value in values) > len(values)

    found = [str(name) for name in frame.columns if holds_addresses(name)]
    if len(found) == 1:
        return found[0]
    if not found:
        there = ", ".join(map(str, frame.columns))
        raise UsageError(f"{source}: no column holds addresses (there are: {there}); name it with --url-column")
    raise UsageError(
        f"{source}: the columns {' and '.join(found)} hold addresses; say which are the recordings', such as "
        f"--url-column {found[0]}"
    )
