"""Findings of a data-set check: what was found of a clip table or its recordings, how often, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hubbub.io.text import count_noun

MAX_NAMES = 5
"""Names that a finding spells out."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes
    ----------
    kind
        A word for scripts, such as ``missing``.
    count
        How many recordings, clips, groups or labels are concerned.
    text
        What was found, with the count.
    names
        The first few of them.
    advice
        What to do.
    """

    kind: str
    count: int
    text: str
    names: tuple[str, ...] = ()
    advice: str = ""

    def __str__(self) -> str:
        """Write the finding as a line for people."""
        more = self.count > len(self.names)
        names = f": {', '.join(self.names)}{', …' if more else ''}" if self.names else ""
        return f"{self.text}{names}{f'; {self.advice}' if self.advice else ''}"


def make_finding(
    kind: str,
    names: Iterable[str],
    noun: str,
    text: str,
    *,
    advice: str = "",
    plural: str | None = None,
    count: int | None = None,
) -> list[Finding]:
    """Make a finding of things by their names; an empty list where there are none.

    Parameters
    ----------
    noun, plural
        What they are; the plural where it is not the singular with an s.
    text
        What they do, after the count and the noun, such as ``carrying no label``.
    count
        How many there are; None: as many as names.
    """
    listed = list(names)
    total = len(listed) if count is None else count
    if not total:
        return []
    return [Finding(kind, total, f"{count_noun(total, noun, plural)} {text}", tuple(listed[:MAX_NAMES]), advice)]
