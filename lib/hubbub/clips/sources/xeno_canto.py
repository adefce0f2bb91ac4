"""Recordings of Xeno-canto with the metadata that its API gives: JSON with a list ``recordings``, or one recording.

Fields by https://xeno-canto.org/explore/api: ``gen`` and ``sp`` are genus and species, ``rec`` is who recorded. Dates
and times are local and without a zone, so they are carried as text and give no `recorded_at`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from hubbub.clips.sources.listed import describe_differences
from hubbub.clips.sources.template import Format, Listing, Options
from hubbub.clips.sources.tree import Tree, step_out
from hubbub.errors import ClipTableError
from hubbub.io.atomic import read_bytes
from hubbub.io.text import count_noun, list_few

_NEEDED = {"id", "gen", "sp"}
_CARRIED = {
    "en": "english_name",
    "rec": "recordist",
    "cnt": "country",
    "loc": "location",
    "type": "sound_type",
    "q": "quality",
    "lic": "licence",
    "url": "page",
    "date": "local_date",
    "time": "local_time",
    "also": "also_heard",
}
_POSITION = {"latitude": ("lat",), "longitude": ("lon", "lng")}
_ID = re.compile(r"XC\s?(\d+)", re.IGNORECASE)
_TRIED = 20  # JSON files that are opened to see whether they are of Xeno-canto


@dataclass(frozen=True)
class _Page:
    """A JSON file, the recordings that it tells of, and how many the query found on all its pages, where it says so."""

    path: str
    recordings: list[dict[str, Any]]
    total: int | None


def _parse_page(path: str, content: bytes) -> _Page | None:
    """Parse a JSON file; None: it is another's. ValueError or RecursionError for what is no JSON."""
    whole = json.loads(content)
    found = whole.get("recordings", [whole]) if isinstance(whole, dict) else whole
    is_theirs = isinstance(found, list) and all(isinstance(one, dict) and set(one) >= _NEEDED for one in found)
    if not found or not is_theirs:
        return None
    total = str(whole.get("numRecordings", "")) if isinstance(whole, dict) else ""
    return _Page(path, found, int(total) if total.isdecimal() else None)


def _list_files(tree: Tree) -> list[str]:
    paths = tree.survey.tables if tree.is_folder else [tree.source.name]
    return [path for path in paths if path.lower().endswith(".json")]


def _find_pages(tree: Tree) -> list[_Page]:
    """Read all pages.

    Raises
    ------
    ClipTableError
        For one that is broken: its recordings would be missing without a word.
    """
    pages = []
    for path in _list_files(tree):
        content = read_bytes(tree.root / path)
        try:
            pages.append(_parse_page(path, content))
        except (ValueError, RecursionError) as error:
            if tree.is_folder and b'"gen"' not in content:  # nothing of Xeno-canto's
                continue
            raise ClipTableError(
                f"{tree.root / path} cannot be read as JSON ({error}); get it from Xeno-canto again"
            ) from None
    return [page for page in pages if page is not None]


def _recognise(tree: Tree) -> str | None:
    for path in _list_files(tree)[:_TRIED]:
        try:
            page = _parse_page(path, read_bytes(tree.root / path))
        except (OSError, ValueError, RecursionError):
            continue
        if page is not None:
            return f"{path} holds recordings of Xeno-canto, such as XC{page.recordings[0]['id']}"
    return None


def _read(tree: Tree, options: Options) -> Listing:
    """List the recordings that are here; the label is the species, who recorded on a day is the group."""
    options.refuse(tree.source, "xeno-canto")
    pages = _find_pages(tree)
    if not pages:
        raise ClipTableError(
            f"{tree.source} holds no metadata of Xeno-canto; expected a folder with JSON files of its API, or one such "
            "file, which have the fields id, gen and sp"
        )
    there: dict[str, list[str]] = {}
    extra: list[str] = []
    told = {str(one["id"]): one for page in pages for one in page.recordings}
    around = tree if tree.is_folder else Tree(step_out(tree.root, "meta", "metadata"))
    for path, _ in around.recordings():
        found = _ID.search(PurePosixPath(path).name)
        if found and found[1] in told:
            there.setdefault(found[1], []).append(path)
        else:
            extra.append(path)
    clips = [{"uri": path, **_describe(one)} for number, one in told.items() for path in there.get(number, [])]
    if not clips:
        raise ClipTableError(
            f"{tree.source}: none of the {count_noun(len(told), 'recording')} that its metadata tells of is in "
            f"{around.root}; expected names such as XC{next(iter(told))}.mp3, in this folder or below"
        )
    missing = [f"XC{number}" for number in told if number not in there]
    notes = describe_differences([], extra) + _note_missing(missing) + _note_cut(pages)
    if unnamed := [clip["uri"] for clip in clips if not clip["labels"]]:
        notes.append(f"{list_few(unnamed, 'recording')} without a species in the metadata, and so without a label")
    return Listing(around.root, clips, notes)


def _note_missing(missing: list[str]) -> list[str]:
    if not missing:
        return []
    return [f"{len(missing)} of the recordings in the metadata not here, such as {missing[0]}; passed over"]


def _note_cut(pages: list[_Page]) -> list[str]:
    """Say where pages of a query lack; those of one folder that give the same total are of one query."""
    queries: dict[tuple[str, int], set[str]] = {}
    for page in pages:
        if page.total is not None:
            known = queries.setdefault((str(PurePosixPath(page.path).parent), page.total), set())
            known |= {str(one["id"]) for one in page.recordings}
    return [
        f"the JSON pages in {folder} hold {len(known)} of the {total} recordings that the query found; get the other "
        "pages, too"
        for (folder, total), known in queries.items()
        if len(known) < total
    ]


def _describe(one: dict[str, Any]) -> dict[str, Any]:
    columns = {new: _as_text(one.get(old)) for old, new in _CARRIED.items()}
    positions = {name: _as_degrees(one, fields) for name, fields in _POSITION.items()}
    recordist, date = columns["recordist"], columns["local_date"]
    group = f"{recordist}, {date}" if recordist and date else f"XC{one['id']}"
    genus, species = _as_text(one["gen"]), _as_text(one["sp"])
    return {"labels": [f"{genus} {species}"] if genus and species else [], "group": group, **columns, **positions}


def _as_text(value: Any) -> str | None:
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    return str(value).strip() or None if value is not None else None


def _as_degrees(one: dict[str, Any], fields: tuple[str, ...]) -> float | None:
    for name in fields:
        try:
            return float(one[name])
        except (KeyError, TypeError, ValueError):
            continue
    return None


FORMAT = Format(
    "xeno-canto",
    "recordings of Xeno-canto beside the JSON of its API: the species is the label",
    "metadata/page-1.json      {recordings: [{id, gen, sp, …}]}\nXC134880-Wren.mp3",
    _recognise,
    _read,
)
