"""Problems that a verification finds in a store or in label tables, and how a repair mends each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd
import pyarrow as pa

from hubbub.errors import StoreError
from hubbub.io.atomic import explain_read_errors, read_bytes
from hubbub.io.paths import StoragePath
from hubbub.io.text import count_noun

BROKEN = "broken"
"""Folder of a store or of label tables where a repair puts row parts aside until their clips are made again."""

_MAX_NAMED = 3
PARTIAL = re.compile(r"\.partial(-\d+)?$")
LEFT_OVER = "is left over from a run that broke off, and nothing reads it; the next run, or --repair, removes it"
FOREIGN = "is nothing that hubbub wrote, and nothing reads it; move it away"

Mend = Literal["recompute", "write", "remove", "run"]
"""How a repair mends a problem.

recompute
    Make clips again from their recordings.
write
    Write a description again from the store's settings.
remove
    Remove what a run left that broke off.
run
    Go on with a run that broke off, as ``hubbub features`` and ``hubbub label`` do by themselves.
"""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes
    ----------
    where
        The shard, part or file, by its name within the store.
    what
        What is wrong with it.
    clips
        Uris of the first few clips that it holds, where that is known.
    more_clips
        How many it holds beside those.
    mend
        How a repair mends it; None: it does not.
    unit
        Number of the shard or unit that is broken; None: it is no single one.
    """

    where: str
    what: str
    clips: tuple[str, ...] = ()
    more_clips: int = 0
    mend: Mend | None = None
    unit: int | None = None

    @property
    def in_flight(self) -> bool:
        """Whether a run in progress looks like this."""
        return self.mend in ("remove", "run")

    def __str__(self) -> str:
        clips = ", ".join(self.clips) + (f" and {count_noun(self.more_clips, 'more clip')}" if self.more_clips else "")
        return f"{self.where}: {self.what}" + (f" (holds {clips})" if clips else "")


def validate_part(table: pa.Table, path: StoragePath) -> pa.Table:
    """A part whose every value is one of its type: text may be none after a byte was flipped."""
    try:
        table.validate(full=True)
    except pa.ArrowException as error:
        raise StoreError(f"{path} cannot be read ({error}); move it away") from None
    return table


def find_unknown(found: Iterable[str], expected: set[str]) -> Iterator[tuple[str, bool]]:
    """Give unexpected names, and whether a run that broke off left them; hidden files are left out."""
    for name in sorted(set(found) - expected):
        if PARTIAL.search(name):
            yield name, True
        elif not is_hidden(name):
            yield name, False


def is_hidden(name: str) -> bool:
    """Tell whether any part of a path begins with a dot."""
    return any(part.startswith(".") for part in name.split("/"))


def read_bytes_if_there(path: StoragePath) -> bytes | None:
    """What a file holds; None where there is none.

    Raises
    ------
    UsageError
        When its bucket cannot be reached, or does not let us in.
    OSError
        When this machine cannot read it.
    """
    try:
        with explain_read_errors(path):
            return read_bytes(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def list_clips(rows: pd.DataFrame) -> tuple[tuple[str, ...], int]:
    """The first few uris of some rows, and how many more clips they are of; none where they cannot be told."""
    if not {"clip_id", "uri"} <= set(rows.columns):
        return (), 0
    return first_few(rows.drop_duplicates("clip_id")["uri"])


def first_few(uris: Iterable[str] | Sequence[str]) -> tuple[tuple[str, ...], int]:
    """Return the first uris, and the number of the others."""
    listed = [str(uri) for uri in uris]
    return tuple(listed[:_MAX_NAMED]), max(0, len(listed) - _MAX_NAMED)


def reason(text: str) -> str:
    """What an error of `read_part` says, without the advice that another command would give."""
    inner = re.search(r"cannot be read \((.*)\); move it away", text, re.DOTALL)
    return first_line(inner[1] if inner else text.partition("; the next run")[0])


def first_line(error: object) -> str:
    """Return the first line of an error's text, 200 characters at most."""
    lines = str(error).splitlines()
    return (lines[0] if lines else type(error).__name__)[:200]
