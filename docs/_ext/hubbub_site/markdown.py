"""Markdown of generated parts: tables and code, with what means something to Markdown escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def write_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table whose second column says what the first is; cells are Markdown, and a bar in one is escaped."""
    lines = ["{.reference}", _write_row(head), "|" + "---|" * len(head), *map(_write_row, rows)]
    return "\n".join(lines) + "\n"


def _write_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def as_code(text: object) -> str:
    """Write a name or value as code; nothing for an empty one."""
    return f"`{text}`" if str(text) else ""


def as_text(text: str) -> str:
    """Escape plain text, in which only backticks have a meaning; options, which begin with two hyphens, become code."""
    parts = re.split(r"(`[^`]+`)", re.sub(r"(?<![`\w-])--[a-z][a-z-]*", r"`\g<0>`", text))
    return "".join(part if part.startswith("`") else re.sub(r"([\\*_<>\[\]])", r"\\\1", part) for part in parts)
