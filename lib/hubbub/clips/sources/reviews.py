"""Reviews of label tables: the events and windows of which people say what they are."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hubbub.clips.reviews import FOLDER, SUFFIX, current_verdicts, read_reviews
from hubbub.clips.sources.listed import note_differences_beside
from hubbub.clips.sources.template import Format, Listing, Options
from hubbub.clips.sources.tree import Tree
from hubbub.clips.table import IS_EVENT, TAKEN_COLUMNS
from hubbub.config import parse_settings
from hubbub.errors import ClipTableError
from hubbub.io.atomic import explain_read_errors, read_bytes
from hubbub.io.folders import list_names
from hubbub.io.paths import StoragePath, absolute_path, parse_path
from hubbub.io.text import count_noun

_RUN_FILE, _TABLES = "run.json", "hubbub-labels/"
_UNKNOWN = "unknown"  # of events that no label takes, as in `hubbub.labels.events`
_OWN_COLUMNS = ("clip_id", "group", "duration_s", "clip_start_s", "recorded_at", "attempts")  # older tables lack some


@dataclass(frozen=True)
class _Reviewed:
    """What label tables say of the recordings that were reviewed.

    Attributes
    ----------
    root
        What uris are relative to.
    window_s
        Seconds of the model's window, to which shorter events are widened; None: scores are of frames, and events are
        cut as they are.
    files
        Those columns of the files table that are there of `_OWN_COLUMNS`, and the carried ones, by clip_id.
    """

    root: StoragePath
    window_s: float | None
    files: Mapping[str, Mapping[str, Any]]

    def widen(self, event: Any) -> tuple[float, float]:
        """Start and end of the clip of an event, s: of at least a window, about its middle, within its clip."""
        onset_s, offset_s = event.onset_s, event.offset_s
        if event.kind == "window" or self.window_s is None or offset_s - onset_s >= self.window_s:
            return onset_s, offset_s
        begin_s, end_s = self._find_bounds(event.clip_id)
        start_s = (onset_s + offset_s - self.window_s) / 2
        start_s = max(begin_s, min(start_s, end_s - self.window_s))
        # A recording shorter than a window stays whole; an end that float64 rounds past it would be none of it.
        return round(min(start_s, onset_s), 6), round(max(min(start_s + self.window_s, end_s), offset_s), 6)

    def _find_bounds(self, clip_id: str) -> tuple[float, float]:
        file = self.files.get(clip_id, {})
        begin_s: float = file.get("clip_start_s") or 0.0
        duration_s = file.get("duration_s")
        return begin_s, np.inf if duration_s is None else begin_s + duration_s

    def describe(self, clip_id: str, uri: str) -> dict[str, Any]:
        """What a clip of a recording has of it: group, or the recording itself, time where known, carried columns."""
        file = self.files.get(clip_id, {})
        begin = file.get("recorded_at")
        carried = {name: value for name, value in file.items() if name not in _OWN_COLUMNS}
        return {"group": file.get("group") or uri, **({} if begin is None else {"recorded_at": begin}), **carried}


def refuse_label_tables(tree: Tree) -> None:
    """Refuse to look for recordings in label tables, and say what to type instead (`ClipTableError`)."""
    source = tree.source
    if tree.find(_RUN_FILE) is None or not _are_label_tables(_read_run(source)):
        return
    if any(name.endswith(SUFFIX) for name in list_names(source / FOLDER)):
        again = f"expected recordings; for what people reviewed: hubbub index {source / FOLDER} -o clips.parquet"
    else:
        again = "expected recordings, or a folder reviews in the label tables: nobody has reviewed these"
    raise ClipTableError(f"{source} holds label tables; {again}")


def _recognise(tree: Tree) -> str | None:
    if not tree.is_folder or tree.root.name != FOLDER or not tree.survey.tables:
        return None
    if not _are_label_tables(_read_run(tree.root.parent)):
        return None
    return f"{FOLDER} lies in label tables, {tree.root.parent}"


def _read_run(labels: StoragePath) -> dict[str, Any]:
    try:
        with explain_read_errors(labels):
            run = json.loads(read_bytes(labels / _RUN_FILE))
    except (OSError, ValueError):
        return {}
    return run if isinstance(run, dict) else {}


def _are_label_tables(run: dict[str, Any]) -> bool:
    return str(run.get("format", "")).startswith(_TABLES)


def _read(tree: Tree, options: Options) -> Listing:
    """List the stretches that have a label; the group is that of the label tables, or else the recording."""
    options.refuse(tree.source, FOLDER)
    labels = tree.root.parent
    run = _read_run(labels)
    if not tree.is_folder or tree.root.name != FOLDER or not _are_label_tables(run):
        raise ClipTableError(f"{tree.source} lies in no label tables; expected the folder {FOLDER} of some")
    verdicts = current_verdicts(read_reviews(labels))
    settled, counts = _settle_labels(verdicts)
    if _UNKNOWN not in run.get("labels", []):  # a yes says only that it is none of the labels
        counts["nameless"] = int((settled["label"] == _UNKNOWN).sum())
        settled = settled[settled["label"] != _UNKNOWN]
    notes = _describe(counts)
    if settled.empty:
        said = f" ({'; '.join(notes)})" if notes else ""
        raise ClipTableError(
            f"{tree.source}: no event has a label yet{said}; expected events that somebody found right, or named anew"
        )
    reviewed = _read_labels(labels, run, settled["clip_id"])
    clips = _list_clips(settled, reviewed)
    differences = note_differences_beside(reviewed.root, [clip["uri"] for clip in clips], lists_all=False)
    return Listing(reviewed.root, clips, [*notes, *differences])


def _settle_labels(verdicts: pd.DataFrame) -> tuple[pd.DataFrame, Counter[str]]:
    """Events with the label that all reviewers who decided agree on, and how many others there are, by why."""
    keys = ["kind", "event"]
    decided = verdicts[verdicts["verdict"].isin(["yes", "no"])].groupby(keys, sort=False)
    columns = ["uri", "clip_id", "onset_s", "offset_s", "label"]  # the last that is not null of each
    events = decided[columns].last().join(decided[["verdict", "label"]].nunique().add_suffix("_count")).reset_index()
    is_disputed = (events["verdict_count"] > 1) | (events["label_count"] > 1)
    is_rejected = ~is_disputed & (events["label_count"] == 0)
    unsure = verdicts.drop_duplicates(keys).shape[0] - len(events)
    left_out = Counter(rejected=int(is_rejected.sum()), disputed=int(is_disputed.sum()), unsure=unsure)
    return events[~is_disputed & ~is_rejected], left_out


def _describe(left_out: Counter[str]) -> list[str]:
    said = {
        "rejected": "found wrong without another label",
        "disputed": "on which reviewers disagree",
        "nameless": "of none of the model's labels",
        "unsure": "of which nobody is sure",
    }
    return [f"{count_noun(left_out[why], 'event')} {text} left out" for why, text in said.items() if left_out[why]]


def _read_labels(labels: StoragePath, run: dict[str, Any], clip_ids: Iterable[str]) -> _Reviewed:
    settings = parse_settings(run.get("settings", {}), where=str(labels / _RUN_FILE))
    window_s = None if run.get("frames") is not None else settings.windows.input_s
    wanted = pa.array(sorted(set(map(str, clip_ids))), pa.string())
    paths = [labels / "files" / name for name in sorted(list_names(labels / "files"))]
    rows = [row for path in paths for row in _read_files(path, wanted)]
    rows.sort(key=lambda row: row["attempts"])
    root = absolute_path(parse_path(str(run.get("root", "."))))
    return _Reviewed(root, window_s, {row["clip_id"]: row for row in rows})  # the last attempt of each


def _read_files(path: StoragePath, wanted: pa.Array) -> list[dict[str, Any]]:
    """Rows of one part of the files table about the wanted clips. Nothing of what is no part."""
    if path.suffix != SUFFIX or path.name.startswith("."):
        return []
    try:
        with explain_read_errors(path):
            file = pq.ParquetFile(io.BytesIO(read_bytes(path)))
        names = file.schema_arrow.names
        rows = file.read([name for name in names if name in _OWN_COLUMNS or name not in TAKEN_COLUMNS])
        return rows.filter(pc.is_in(rows["clip_id"], wanted)).to_pylist()
    except (OSError, pa.ArrowException, ValueError, KeyError) as error:
        raise ClipTableError(
            f"{path} cannot be read ({error}); mend the label tables first: hubbub verify {path.parent.parent}"
        ) from None


def _list_clips(settled: pd.DataFrame, reviewed: _Reviewed) -> list[dict[str, Any]]:
    """One clip a stretch; events about the same stretch are one clip with several labels."""
    clips: dict[tuple[Any, ...], dict[str, Any]] = {}
    for event in settled.itertuples():
        start_s, end_s = reviewed.widen(event)
        is_event = reviewed.window_s is None and event.kind == "event"
        clip = clips.setdefault(
            (event.uri, start_s, end_s),
            {
                "uri": event.uri,
                "start_s": start_s,
                "end_s": end_s,
                "labels": [],
                **reviewed.describe(str(event.clip_id), str(event.uri)),
                IS_EVENT: is_event,
            },
        )
        clip["labels"] = list(dict.fromkeys([*clip["labels"], event.label]))
        clip[IS_EVENT] = clip[IS_EVENT] and is_event
    return list(_drop_flag(sorted(clips.values(), key=lambda clip: (clip["uri"], clip["start_s"], clip["end_s"]))))


def _drop_flag(clips: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Leave the column out where no clip is an event from end to end."""
    if any(clip[IS_EVENT] for clip in clips):
        yield from clips
        return
    for clip in clips:
        yield {name: value for name, value in clip.items() if name != IS_EVENT}


FORMAT = Format(
    "reviews",
    "the folder reviews of label tables: events and windows with the label that people say; the group is the "
    "recording's",
    "labels/run.json\nlabels/reviews/….parquet",
    _recognise,
    _read,
)
