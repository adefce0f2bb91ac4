"""The command lines in files and pages: found, and read by the parsers of the commands that they name."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import typer

from hubbub.jobs.cli import app

ROOT = Path(__file__).resolve().parents[2]


def parse(words: list[str]) -> None:
    """Read ``hubbub …`` or ``dask …`` as the command would, without running it; raises what the command would."""
    command = _commands(words[0]).get(words[1])
    assert command is not None, f"{words[0]} has no command {words[1]}"
    command.make_context(f"{words[0]} {words[1]}", words[2:])


def _commands(program: str) -> dict[str, Any]:
    if program == "hubbub":
        return typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert program == "dask", f"{program} is no command of the image"
    return {entry.name: entry.load() for entry in entry_points(group="dask_cli")}


def indented(page: Path) -> Iterator[str]:
    """The lines of a page's code blocks."""
    for line in page.read_text(encoding="utf-8").splitlines():
        if re.match(r" {4}\S", line):
            yield line.strip()


def hubbub_lines(page: Path) -> list[list[str]]:
    """Every ``hubbub COMMAND …`` of a page, in code blocks and between back-ticks, as words."""
    inline = re.findall(r"`(hubbub [^`\n]+)`", page.read_text(encoding="utf-8"))
    found = []
    for line in [*indented(page), *inline]:
        words = shlex.split(line, comments=True)
        starts = [at for at, word in enumerate(words) if word == "hubbub" and words[at - 1 : at] != ["--namespace"]]
        found += [words[at:] for at in starts[-1:]]
    return found


def files_named(page: Path) -> set[Path]:
    """Files of the repository that a page's commands, links and words name; ``*`` is left to the shell."""
    text = page.read_text(encoding="utf-8")
    in_commands = {path for line in indented(page) for path in re.findall(r"deploy/[\w./*-]+", line)}
    links = {link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link}
    words = set(re.findall(r"`([\w][\w/-]*\.(?:yaml|txt))`", text))
    beside = {page.parent / name if not (ROOT / name).exists() else ROOT / name for name in links | words}
    return {ROOT / path for path in in_commands if "*" not in path} | beside
