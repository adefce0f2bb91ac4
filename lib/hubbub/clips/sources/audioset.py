"""AudioSet's segment lists over recordings that lie here: YTID, start_seconds, end_seconds, positive_labels.

J. F. Gemmeke and others, Audio Set: an Ontology and Human-Labeled Dataset for Audio Events, ICASSP 2017, doi
10.1109/ICASSP.2017.7952261. Recordings are named by the video's id, and often by the segment's start, after it: those
with a start are cut already, and are whole clips.
"""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import PurePosixPath
from typing import Any

from hubbub.clips.sources.table_files import read_head
from hubbub.clips.sources.template import Format, Listing, Options
from hubbub.clips.sources.tree import Tree
from hubbub.errors import ClipTableError
from hubbub.io.atomic import read_bytes
from hubbub.io.paths import StoragePath
from hubbub.io.text import count_noun, list_few

_HEADER = "# YTID, start_seconds, end_seconds, positive_labels"
_LIST = re.compile(r"(?P<split>balanced_train|unbalanced_train|eval)_segments\.csv", re.IGNORECASE)
_NAME = re.compile(r"Y?(?P<id>[\w-]{11})(?:_(?P<start>\d+(?:\.\d+)?)(?:_(?P<end>\d+(?:\.\d+)?))?)?")
_CLASSES = ("class_labels_indices.csv", "ontology.json")


def _is_list(path: StoragePath) -> bool:
    try:
        return _HEADER.encode() in read_head(path)
    except OSError:
        return False


def _find_lists(tree: Tree) -> list[str]:
    if not tree.is_folder:
        return [tree.source.name] if _is_list(tree.source) else []
    named = [path for path in tree.survey.tables if PurePosixPath(path).name.lower().endswith("segments.csv")]
    return [path for path in named if _is_list(tree.root / path)]


def _recognise(tree: Tree) -> str | None:
    found = _find_lists(tree)
    return f"{found[0]} has the columns YTID, start_seconds, end_seconds and positive_labels" if found else None


def _read(tree: Tree, options: Options) -> Listing:
    options.refuse(tree.source, "audioset")
    lists = _find_lists(tree)
    if not lists:
        raise ClipTableError(f"{tree.source} holds no list of segments; expected a CSV with the line: {_HEADER}")
    around = tree if tree.is_folder else Tree(tree.root)
    names, recordings = _read_classes(around), _find_recordings(around)
    clips: list[dict[str, Any]] = []
    missing: list[str] = []
    for path in lists:
        split = _split_of(path)
        for line, (video, start_s, end_s, mids) in enumerate(_read_list(around.root / path), start=1):
            uri, is_cut = _choose_recording(recordings.get(video, []), start_s)
            if uri is None:
                missing.append(video)
                continue
            if not end_s > start_s:
                raise ClipTableError(
                    f"{around.root / path}: segment {line} ends at {end_s:g} s, before it begins; expected a later end"
                )
            segment = {} if is_cut else {"start_s": start_s, "end_s": end_s}
            labels = [names.get(mid, mid) for mid in mids]
            clips.append(
                {"uri": uri, "labels": labels, "split": split, "group": video, **segment, "mids": ",".join(mids)}
            )
    if not clips:
        raise ClipTableError(
            f"{tree.source}: no recording of the {count_noun(len(missing), 'listed segment')} is there; expected files "
            f"such as {missing[0] if missing else 'YTID'}.wav below {around.root}"
        )
    return Listing(around.root, clips, _make_notes(missing, bool(names)))


def _make_notes(missing: list[str], has_names: bool) -> list[str]:
    notes = []
    if missing:
        notes.append(f"{list_few(sorted(set(missing)), 'listed video')} not here; passed over")
    if not has_names:
        notes.append(f"labels stay ids such as /m/09x0r: no {' or '.join(_CLASSES)} lies beside the recordings")
    return notes


def _split_of(path: str) -> str | None:
    found = _LIST.fullmatch(PurePosixPath(path).name)
    return None if found is None else "test" if found["split"].lower() == "eval" else "train"


def _read_list(path: StoragePath) -> list[tuple[str, float, float, list[str]]]:
    rows = []
    text = io.StringIO(read_bytes(path).decode("utf-8-sig"))
    for row in csv.reader((line for line in text if not line.startswith("#")), skipinitialspace=True):
        if not row:
            continue
        try:
            video, start, end, mids = row
            rows.append((video, float(start), float(end), [mid for mid in mids.split(",") if mid]))
        except ValueError:
            raise ClipTableError(f"{path}: {', '.join(row)!r}; expected {_HEADER.lstrip('# ')}") from None
    return rows


def _find_recordings(tree: Tree) -> dict[str, list[tuple[float | None, str]]]:
    """Recordings by video: the start in its name, in s, and the path."""
    found: dict[str, list[tuple[float | None, str]]] = {}
    for path, _ in tree.recordings():
        stem = PurePosixPath(path).name.removesuffix(PurePosixPath(path).suffix)
        if (match := _NAME.fullmatch(stem)) is not None:
            start_s = None if match["start"] is None else float(match["start"])
            if match["end"] is not None and "." not in match["start"]:  # YTID_30000_40000: in ms
                start_s = float(match["start"]) / 1000
            found.setdefault(match["id"], []).append((start_s, path))
    return found


def _choose_recording(there: list[tuple[float | None, str]], start_s: float) -> tuple[str | None, bool]:
    """The recording of a segment, and whether it is cut already."""
    for begin_s, path in there:
        if begin_s is not None and abs(begin_s - start_s) < 0.5:
            return path, True
    return next(((path, False) for begin_s, path in there if begin_s is None), (None, False))


def _read_classes(tree: Tree) -> dict[str, str]:
    """Names by mid, from the list of classes or the ontology."""
    for path in tree.find_named(*_CLASSES):
        text = read_bytes(tree.root / path).decode("utf-8-sig")
        if path.lower().endswith(".json"):
            return {item["id"]: item["name"] for item in json.loads(text)}
        return {row["mid"]: row["display_name"] for row in csv.DictReader(io.StringIO(text))}
    return {}


FORMAT = Format(
    "audioset",
    "AudioSet's lists of segments over recordings named by the video's id: several labels a segment",
    "balanced_train_segments.csv      # YTID, start_seconds, end_seconds, positive_labels\n"
    "class_labels_indices.csv      index,mid,display_name\naudio/--PJHxphWEs.wav",
    _recognise,
    _read,
)
