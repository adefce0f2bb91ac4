"""Types of the arguments that several benchmarks take."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable


def positive(text: str) -> int:
    """Read a whole number above 0."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def list_of(known: Iterable[str]) -> Callable[[str], tuple[str, ...]]:
    """Make a type that reads names with commas between them, each of which is known."""
    names = tuple(known)

    def read(text: str) -> tuple[str, ...]:
        given = tuple(part.strip() for part in text.split(","))
        if unknown := [name for name in given if name not in names]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(names)}")
        return given

    return read
