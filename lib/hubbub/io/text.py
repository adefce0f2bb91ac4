"""Text for people: names from files made visible, and counts with their noun."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
"""Unicode categories that a terminal obeys or hides: control and format characters, separators of lines, surrogates."""


def make_visible(text: str) -> str:
    r"""Write control and format characters as escapes, so that a terminal shows them and does not obey them.

    Line feeds and tabs are kept: messages have lines of their own. Use it on all text that comes from files, labels
    and errors before it is printed.

    Examples
    --------
    >>> make_visible("bell\x07, colour \x1b[31m, caf\u00e9")
    'bell\\x07, colour \\x1b[31m, café'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(character) if _is_hidden(character) else character for character in text)


def count_noun(count: int, noun: str, plural: str | None = None) -> str:
    """Write a count with its noun: ``1 clip``, ``2 clips``.

    Parameters
    ----------
    count
        How many.
    noun
        The singular.
    plural
        The plural, where it is not the singular with an s.

    Examples
    --------
    >>> count_noun(1, "clip"), count_noun(0, "clip"), count_noun(2, "recording of a class", "recordings of a class")
    ('1 clip', '0 clips', '2 recordings of a class')
    """
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def list_few(names: Sequence[str], noun: str) -> str:
    """Write a count with its noun, and the first three names: ``4 labels (cat, dog, rain, …)``; ``no labels``."""
    if not names:
        return f"no {noun}s"
    return f"{count_noun(len(names), noun)} ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"


def _is_hidden(character: str) -> bool:
    return character not in "\n\t" and unicodedata.category(character) in _HIDDEN


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
