"""Recordings of Xeno-canto with the metadata that its API gives: JSON with a list ``recordings``, or one recording.

Fields by https://xeno-canto.org/explore/api: ``gen`` and ``sp`` are genus and species, ``rec`` is who recorded. Dates
and times are local and without a zone, so they are carried as text and give no `recorded_at`.
"""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath
from typing import Any

from hubbub.clips.sources.listed import describe_differences
from hubbub.clips.sources.template import Format, Listing, Options
from hubbub.clips.sources.tree import Tree
from hubbub.errors import ClipTableError
from hubbub.io.atomic import read_bytes
from hubbub.io.paths import StoragePath

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


def _read_recordings(path: StoragePath) -> list[dict[str, Any]]:
    """The recordings that a JSON file tells of; none where it is another's."""
    try:
        whole = json.loads(read_bytes(path).decode("utf-8-sig"))
    except (OSError, ValueError):
        return []
    found = whole.get("recordings", [whole]) if isinstance(whole, dict) else whole
    is_theirs = isinstance(found, list) and all(isinstance(one, dict) and set(one) >= _NEEDED for one in found)
    return found if is_theirs else []


def _find_metadata(tree: Tree, most: int | None = None) -> list[tuple[str, list[dict[str, Any]]]]:
    paths = [path for path in tree.survey.tables if path.lower().endswith(".json")][:most]
    return [(path, found) for path in paths if (found := _read_recordings(tree.root / path))]


def _recognise(tree: Tree) -> str | None:
    if not tree.is_folder or not (found := _find_metadata(tree, _TRIED)):
        return None
    path, recordings = found[0]
    return f"{path} holds recordings of Xeno-canto, such as XC{recordings[0]['id']}"


def _read(tree: Tree, options: Options) -> Listing:
    """List the recordings that are here; the label is the species, who recorded on a day is the group."""
    options.refuse(tree.source, "xeno-canto")
    files = _find_metadata(tree) if tree.is_folder else []
    if not files:
        raise ClipTableError(
            f"{tree.source} holds no metadata of Xeno-canto; expected a folder with JSON files of its API, which have "
            "the fields id, gen and sp"
        )
    there = {found[1]: path for path, _ in tree.recordings() if (found := _ID.search(PurePosixPath(path).name))}
    told = {str(one["id"]): one for _, recordings in files for one in recordings}
    clips = [{"uri": there[number], **_describe(one)} for number, one in told.items() if number in there]
    if not clips:
        raise ClipTableError(
            f"{tree.source}: none of the {len(told)} recordings that its metadata tells of is there; expected names "
            f"such as XC{next(iter(told))}.mp3"
        )
    missing = [f"XC{number}" for number in told if number not in there]
    extra = [path for path, _ in tree.recordings() if path not in {clip["uri"] for clip in clips}]
    return Listing(tree.root, clips, describe_differences([], extra) + _note_missing(missing))


def _note_missing(missing: list[str]) -> list[str]:
    if not missing:
        return []
    return [f"{len(missing)} of the recordings in the metadata not here, such as {missing[0]}; passed over"]


def _describe(one: dict[str, Any]) -> dict[str, Any]:
    columns = {new: _as_text(one.get(old)) for old, new in _CARRIED.items()}
    positions = {name: _as_degrees(one, fields) for name, fields in _POSITION.items()}
    recordist, date = columns["recordist"], columns["local_date"]
    group = f"{recordist}, {date}" if recordist and date else f"XC{one['id']}"
    label = f"{one['gen']} {one['sp']}".strip()
    return {"labels": [label] if label else [], "group": group, **columns, **positions}


def _as_text(value: Any) -> str | None:
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    return str(value) if value not in (None, "") else None


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
