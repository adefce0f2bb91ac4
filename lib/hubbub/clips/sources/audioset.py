"""AudioSet's segment lists over recordings that lie here: YTID, start_seconds, end_seconds, positive_labels.

J. F. Gemmeke and others, Audio Set: an Ontology and Human-Labeled Dataset for Audio Events, ICASSP 2017, doi
10.1109/ICASSP.2017.7952261. Recordings are named by the video's id, and often by the segment's start, after it: those
with a start are cut already, and are whole clips. So are those named by the id alone where they are no longer than
their segments.
"""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from hubbub.audio.decode import read_audio_info
from hubbub.audio.remote_header import read_remote_header
from hubbub.clips.sources.listed import describe_differences
from hubbub.clips.sources.table_files import read_head
from hubbub.clips.sources.template import Format, Listing, Options
from hubbub.clips.sources.tree import Tree
from hubbub.errors import AudioError, ClipTableError
from hubbub.io.atomic import read_bytes
from hubbub.io.paths import StoragePath, is_local
from hubbub.io.text import count_noun, list_few

_HEADER = "# YTID, start_seconds, end_seconds, positive_labels"
_LIST = re.compile(r"(?P<split>balanced_train|unbalanced_train|eval)_segments\.csv", re.IGNORECASE)
_NAME = re.compile(r"Y?(?P<id>[\w-]{11})(?:_(?P<start>\d+(?:\.\d+)?)(?:_(?P<end>\d+(?:\.\d+)?))?)?")
_LEAST_MS = 100  # a segment is of 10 s at most: start and end in whole numbers this far apart are in ms
_MOST_DIGITS_S = 3  # whole seconds with more digits may be milliseconds
_NEAR_S = 0.5  # names round starts
_MEASURED = 20  # recordings named by the id alone, whose headers tell whether all of these are cut already
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
    used: set[str] = set()
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
            used.add(uri)
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
    notes = _take_cut(around.root, clips)
    extra = [path for path, _ in around.recordings() if path not in used]
    unnamed = sorted({mid for clip in clips for mid in clip["mids"].split(",") if mid not in names}) if names else []
    return Listing(around.root, clips, [*notes, *_make_notes(missing, extra, unnamed, has_names=bool(names))])


def _take_cut(root: StoragePath, clips: list[dict[str, Any]]) -> list[str]:
    """Take recordings named by the id alone for cut already, where none of some is longer than its segment.

    Segments that begin at 0 s tell nothing, nor do headers that cannot be read.
    """
    whole = [clip for clip in clips if "start_s" in clip]
    if len({clip["uri"] for clip in whole}) < len(whole):
        return []  # several segments of one recording, which is therefore whole
    telling = [clip for clip in whole if clip["start_s"] > _NEAR_S]
    sample = telling[:: max(1, len(telling) // _MEASURED)][:_MEASURED]
    lengths = [(clip, length_s) for clip in sample if (length_s := _measure(root / clip["uri"])) is not None]
    if not lengths or any(length_s > clip["end_s"] - clip["start_s"] + _NEAR_S for clip, length_s in lengths):
        return []
    for clip in whole:
        del clip["start_s"], clip["end_s"]
    segments = count_noun(len(whole), "segment")
    return [
        f"{segments} of recordings named by the video alone, {len(lengths)} of them measured: the recordings are no "
        "longer than their segments, and were taken for cut already"
    ]


def _measure(path: StoragePath) -> float | None:
    """Length of a recording by its header, s; None where it cannot be read."""
    try:
        info = read_audio_info(path) if is_local(path) else read_remote_header(path).info
    except (AudioError, OSError):
        return None
    return None if isinstance(info, AudioError) else info.duration_s


def _make_notes(missing: list[str], extra: list[str], unnamed: list[str], *, has_names: bool) -> list[str]:
    notes = describe_differences([], extra)
    if missing:
        notes.append(f"{list_few(sorted(set(missing)), 'listed video')} not here; passed over")
    if unnamed:
        notes.append(f"{list_few(unnamed, 'id')} without a name among the classes; as labels they stay ids")
    if not has_names:
        notes.append(f"labels stay ids such as /m/09x0r: no {' or '.join(_CLASSES)} lies beside the recordings")
    return notes


def _split_of(path: str) -> str | None:
    found = _LIST.fullmatch(PurePosixPath(path).name)
    return None if found is None else "test" if found["split"].lower() == "eval" else "train"


def _read_text(path: StoragePath) -> str:
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ClipTableError(
            f"{path} is not UTF-8 (byte {error.start}), as files of AudioSet are; save it as UTF-8, or leave it out"
        ) from None


def _read_list(path: StoragePath) -> list[tuple[str, float, float, list[str]]]:
    rows = []
    lines = [line for line in _read_text(path).splitlines() if line.strip() and not line.startswith("#")]
    for line in lines:
        try:
            video, start, end, mids = next(csv.reader([line], skipinitialspace=True))
            rows.append((video, float(start), float(end), [mid for mid in mids.split(",") if mid]))
        except (ValueError, csv.Error):
            raise ClipTableError(f"{path}: {line!r}; expected {_HEADER.lstrip('# ')}") from None
    return rows


@dataclass(frozen=True)
class _Recording:
    """A recording of a video: its path, and the starts in s that its name may mean; none where it is whole."""

    path: str
    starts_s: tuple[float, ...]


def _find_recordings(tree: Tree) -> dict[str, list[_Recording]]:
    """Recordings by video."""
    found: dict[str, list[_Recording]] = {}
    for path, _ in tree.recordings():
        stem = PurePosixPath(path).name.removesuffix(PurePosixPath(path).suffix)
        if (match := _NAME.fullmatch(stem)) is not None:
            found.setdefault(match["id"], []).append(_Recording(path, _read_starts(match["start"], match["end"])))
    return found


def _read_starts(start: str | None, end: str | None) -> tuple[float, ...]:
    """What a start in a name may mean: 30.000 and 30 are in s, 30000 in s or ms, which an end beside it settles."""
    if start is None:
        return ()
    if "." in start:
        return (float(start),)
    if end is not None:
        return (float(start) / (1000 if float(end) - float(start) >= _LEAST_MS else 1),)
    return (float(start), float(start) / 1000) if len(start) > _MOST_DIGITS_S else (float(start),)


def _choose_recording(there: list[_Recording], start_s: float) -> tuple[str | None, bool]:
    """The recording of a segment, and whether it is cut already."""
    for meaning in (0, 1):
        for recording in there:
            if any(abs(begin_s - start_s) < _NEAR_S for begin_s in recording.starts_s[meaning : meaning + 1]):
                return recording.path, True
    return next(((recording.path, False) for recording in there if not recording.starts_s), (None, False))


def _read_classes(tree: Tree) -> dict[str, str]:
    """Names by mid, from the list of classes or the ontology."""
    for path in (path for name in _CLASSES for path in tree.find_named(name)):
        text = _read_text(tree.root / path)
        try:
            is_ontology = path.lower().endswith(".json")
            return _read_ontology(text) if is_ontology else _read_class_list(text)
        except (ValueError, TypeError, KeyError, csv.Error) as error:
            what = f"no column {error}" if isinstance(error, KeyError) else str(error)
            raise ClipTableError(
                f"{tree.root / path} does not name the classes of AudioSet ({what}); expected "
                f"{'a list of objects with id and name' if is_ontology else 'the columns index, mid, display_name'}, "
                "or leave it out"
            ) from None
    return {}


def _read_ontology(text: str) -> dict[str, str]:
    return {item["id"]: item["name"] for item in json.loads(text)}


def _read_class_list(text: str) -> dict[str, str]:
    return {row["mid"]: row["display_name"] for row in csv.DictReader(io.StringIO(text), skipinitialspace=True)}


FORMAT = Format(
    "audioset",
    "AudioSet's lists of segments over recordings named by the video's id: several labels a segment",
    "balanced_train_segments.csv      # YTID, start_seconds, end_seconds, positive_labels\n"
    "class_labels_indices.csv      index,mid,display_name\naudio/--PJHxphWEs.wav",
    _recognise,
    _read,
)
