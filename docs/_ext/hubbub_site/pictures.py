"""Drawings of the architecture as SVG inside the page, in the page's colours; no scripts, no files beside it."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from html import escape

from hubbub_site.links import ROOT

ROOMS = {
    "errors": "the family of errors",
    "config": "settings",
    "io": "paths, atomic writes, locks, retries",
    "audio": "decoding, windows, frontends, effects, mixing",
    "clips": "clip table, examples, sources",
    "planning": "reconciliation, sharding, units, sizes",
    "store": "feature store",
    "labels": "label tables, events, scores, exports",
    "models": "model bundle, models of others, runtimes, exporters",
    "downloads": "lists, recipes, polite requests, files that resume",
    "tasks": "the work of one unit, without an engine",
    "engine": "serial and Dask: the only room that imports Dask",
    "pipelines": "one file a job: read, plan, run, settle",
    "learn": "loader, networks, training, evaluation",
    "report": "HTML pages",
    "web": "the page in the browser",
    "hubbub": "the face: what import hubbub gives",
    "jobs": "the command line",
}
"""What lives in each room."""

_WIDTH, _HEIGHT, _GAP = 720, 50, 8


def read_floors() -> tuple[tuple[str, ...], ...]:
    """Read the floors, from the ground up, off the test that checks them.

    Raises
    ------
    ValueError
        The test has no such list.
    """
    for node in ast.parse((ROOT / "tests" / "test_layers.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "FLOORS" and node.value is not None:
            return tuple(ast.literal_eval(node.value))
    raise ValueError("tests/test_layers.py has no FLOORS; expected the table of floors, from the ground up")


def draw_floors() -> str:
    """Draw the floors of the library, the ground at the bottom.

    Raises
    ------
    KeyError
        A room has no text in `ROOMS`.
    """
    parts = []
    for level, rooms in enumerate(reversed(read_floors())):
        width = (_WIDTH - _GAP * (len(rooms) - 1)) / len(rooms)
        for place, room in enumerate(rooms):
            parts.append(_draw_room(room, place * (width + _GAP), level * (_HEIGHT + _GAP), width))
    height = len(read_floors()) * (_HEIGHT + _GAP) - _GAP
    return _wrap(parts, height, "The floors of hubbub, errors at the ground, jobs at the top; imports go down only")


def _draw_room(room: str, x: float, y: float, width: float) -> str:
    name = "hubbub/__init__" if room == "hubbub" else f"{room}/" if room != "errors" else "errors.py"
    lines = _wrap_words(ROOMS[room], int(width / 6.4))
    text = [f'<text class="head" x="{x + 10:g}" y="{y + 18:g}">{name}</text>']
    if len(lines) == 1 and width > 400:
        text.append(f'<text class="small" x="{x + 140:g}" y="{y + 18:g}">{escape(lines[0])}</text>')
        middle = 10  # one line of text is set in the middle of the box
        text = [line.replace(f'y="{y + 18:g}"', f'y="{y + 20 + middle:g}"') for line in text]
    else:
        text += [_small(x + 10, y + 32 + 12 * n, line) for n, line in enumerate(lines[:2])]
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{_HEIGHT}" rx="4"/>' + "".join(text)


def _small(x: float, y: float, line: str) -> str:
    return f'<text class="small" x="{x:g}" y="{y:g}">{escape(line)}</text>'


def _wrap_words(text: str, most: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > most:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


_LIFE: Sequence[tuple[str, Sequence[tuple[str, str]]]] = (
    (
        "hubbub index",
        (("recording", "a file, or a segment of one"), ("clip", "a row of clips.parquet")),
    ),
    (
        "hubbub features",
        (
            ("example", "clip x channel x variant"),
            ("window", "of an example"),
            ("row", "of features.zarr: [frame, band]"),
            ("unit", "one shard, one row part, one commit"),
        ),
    ),
    (
        "hubbub train",
        (
            ("batch", "rows from all over the store"),
            ("network", "one of hubbub models"),
            ("bundle", "model, settings, rules"),
        ),
    ),
    (
        "hubbub label",
        (
            ("block", "of a recording, with halos"),
            ("scores", "windows/*.parquet"),
            ("event", "events/*.parquet: onset, offset"),
        ),
    ),
)


def draw_life() -> str:
    """Draw what becomes of a recording: a clip, its windows, rows, batches; and, of another, events."""
    parts, y = [], 0
    for job, stations in _LIFE:
        parts.append(f'<text class="head" x="0" y="{y + 16}">{job}</text>')
        width = (_WIDTH - 24 * (len(stations) - 1)) / len(stations)
        for place, (name, text) in enumerate(stations):
            x = place * (width + 24)
            lines = _wrap_words(text, int((width - 16) / 6.2))
            parts.append(f'<rect x="{x:g}" y="{y + 26}" width="{width:g}" height="58" rx="4"/>')
            parts.append(f'<text x="{x + 10:g}" y="{y + 46}">{name}</text>')
            parts += [_small(x + 10, y + 62 + 13 * n, line) for n, line in enumerate(lines[:2])]
            if place:
                parts.append(_draw_arrow(x - 22, y + 55, x - 3))
        y += 104
    return _wrap(
        parts,
        y - 20,
        "A recording becomes a clip, its windows rows and batches; labelling turns blocks into events",
    )


def _draw_arrow(x: float, y: float, end: float) -> str:
    head = f'<path class="head" d="M{end:g} {y} l-7 -4 v8 z"/>'
    return f'<path d="M{x:g} {y} H{end - 6:g}"/>{head}'


def _wrap(parts: Sequence[str], height: float, title: str) -> str:
    svg = "".join(parts)
    return (
        "```{raw} html\n"
        f'<figure class="drawing"><svg xmlns="http://www.w3.org/2000/svg" role="img" '
        f'viewBox="-1 -1 {_WIDTH + 2} {height + 2:g}"><title>{escape(title)}</title>{svg}</svg></figure>\n```\n'
    )
