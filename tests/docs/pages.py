"""The Markdown pages of the repository, and the code that stands in them."""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
        *(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts),
        *(ROOT / "deploy").rglob("*.md"),
    ]
)


@dataclass(frozen=True)
class Block:
    """A piece of code in a page."""

    page: Path
    line: int
    language: str
    """As the fence names it; ``indented`` for code that is indented; ``inline`` for code in a sentence."""

    text: str

    def __str__(self) -> str:
        return f"{os.path.relpath(self.page, ROOT)}:{self.line}"


def name_of(page: Path) -> str:
    """Return a page's path from the root of the repository."""
    return str(page.relative_to(ROOT))


def list_blocks(page: Path) -> list[Block]:
    """Return the code of a page: fences, indented lines, and code in sentences and tables."""
    return list(_read_blocks(page, page.read_text(encoding="utf-8").split("\n")))


def _read_blocks(page: Path, lines: list[str]) -> Iterator[Block]:
    fence: tuple[int, str] | None = None
    held: list[str] = []
    sentences: list[str] = []
    for number, line in enumerate(lines, 1):
        found = re.match(r"\s*```(\S*)", line)
        if fence is not None:
            if found:
                yield Block(page, fence[0], fence[1], "\n".join(held))
                fence, held = None, []
            else:
                held.append(line)
        elif found:
            fence = (number, found[1])
        elif line.startswith("    ") and not line.lstrip().startswith(("- ", "* ")):
            yield Block(page, number, "indented", line.strip())
        else:
            sentences.append(line)
            continue
        sentences.append("")
    for found in re.finditer(r"`([^`]+)`", "\n".join(sentences)):
        line_number = "\n".join(sentences).count("\n", 0, found.start()) + 1
        yield Block(page, line_number, "inline", re.sub(r"\s+", " ", found[1]))
