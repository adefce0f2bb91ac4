"""What a recording's name tells: the schemes in their order, the first that fits."""

from __future__ import annotations

import re
from collections.abc import Callable

from hubbub.audio.recorders import name_audiomoth, name_frontier_labs, name_iso, name_plain, name_song_meter
from hubbub.audio.recorders.statement import ImpossibleTime, Statement, clean_text

SCHEMES: tuple[tuple[str, Callable[[str], Statement | None]], ...] = (
    ("AudioMoth scheme", name_audiomoth.read_name),
    ("Song Meter scheme", name_song_meter.read_name),
    ("Frontier Labs scheme", name_frontier_labs.read_name),
    ("ISO 8601 scheme", name_iso.read_name),
    ("scheme of date and time", name_plain.read_name),
)
"""From the most particular to the plainest."""

_EXTENSION = re.compile(r"\.(?:[A-Za-z][A-Za-z0-9]{1,4}|3gp)$")
_MAY_HOLD_TIME = re.compile(r"\d{4}[-_.]?\d\d[-_.]?\d\d|^[0-9A-F]{8}$", re.ASCII)
_LONGEST_NAME = 255


def read_name(name: str) -> Statement | None:
    """Read a recording's name, or the last part of its path or address; None: no scheme fits.

    Digits of a scheme that are no time, such as month 13, are a statement without time, and with a problem.
    """
    stem = _EXTENSION.sub("", name.rsplit("/", 1)[-1][-_LONGEST_NAME:])
    if _MAY_HOLD_TIME.search(stem) is None:
        return None
    for scheme, read in SCHEMES:
        try:
            statement = read(stem)
        except ImpossibleTime as error:
            source = f"name ({scheme})"
            return Statement(source, problem=f"the name '{clean_text(stem)}' follows the {scheme}, but {error}")
        if statement is not None:
            return statement
    return None
