"""Clips: events cut out of their recordings as FLAC, a folder a label, and ``clips.csv``.

Files are mono, 16 bits a sample, at the recording's own rate, with ``--padding`` seconds around the event where the
recording has them. ``LABEL/RANK-SCORE-RECORDING-ONSETs.flac``: names sort by score, the highest first. The folder is
one that ``hubbub index`` reads by its table (`hubbub.clips.sources.exported`). It is new: clips of two exports would be
mixed.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from hubbub.clips.cutting import Stretch, cut_stretches
from hubbub.errors import UsageError
from hubbub.io.folders import list_names, new_folder
from hubbub.io.paths import StoragePath, is_local
from hubbub.labels.export._files import one_line, write_parts
from hubbub.labels.export._source import Export, ExportSource, find_versions, require_root
from hubbub.labels.export._values import DECIMALS, write_cell, write_csv, write_times
from hubbub.labels.suggestions.balanced import RANGES
from hubbub.labels.suggestions.windows import draw_numbers

TABLE = "clips.csv"
OPTIONS = frozenset({"padding_s", "per_label", "root"})

SCHEMA = {
    "clip": "path in the folder; empty where it could not be cut out",
    "label": "text",
    "uri": "text",
    "onset_s": "seconds in the recording",
    "offset_s": "seconds in the recording",
    "peak": "score",
    "mean": "score",
    "onset_at": "time in UTC",
    "clip_onset_s": "seconds in the clip",
    "clip_offset_s": "seconds in the clip",
    "problem": "text; empty where the clip was cut out",
    "recorded_at": "time in UTC at which the clip begins",
    "group": "text: the recording's group, or its uri",
}
"""Columns of the table, in their order, and what they hold; carried columns follow."""

_UNSAFE = re.compile(r"[^\w.-]+")
_LONGEST_STEM = 60
_LONGEST_FOLDER_BYTES = 100


def write(source: ExportSource, folder: StoragePath) -> Export:
    """Cut the events out, and write ``clips.csv``.

    Raises
    ------
    UsageError
        For a folder that holds something, a negative padding, or fewer than one clip of a label.
    """
    options, root = source.options, require_root(source)
    padding_s = 1.0 if options.padding_s is None else options.padding_s
    if not 0 <= padding_s < float("inf"):
        raise UsageError(f"--padding {padding_s:g}: expected 0 or more seconds")
    if options.per_label is not None and options.per_label < 1:
        raise UsageError(f"--per-label {options.per_label}: expected 1 clip or more")
    if list_names(folder) or (is_local(folder) and folder.is_file()):
        raise UsageError(f"{folder} holds something else; give a new folder for the clips")
    events = rank_events(
        source.events if options.per_label is None else choose_fairly(source.events, options.per_label)
    )
    names = name_clips(events)
    start_s = (events["onset_s"] - padding_s).clip(lower=0.0)
    versions = find_versions(source.recordings)
    columns = zip(events["uri"], start_s, events["offset_s"] + padding_s, names, strict=True)
    with new_folder(folder) as draft, source.show_progress("cut clips", len(events), "clips") as advance:
        stretches = [Stretch(uri, versions.get(uri), begin, end, draft / name) for uri, begin, end, name in columns]
        problems = cut_stretches(stretches, root, advance)
        events = events.assign(group=_find_groups(events, source.analysed))
        table = _tabulate(events, names, start_s, problems)
        write_parts(draft / TABLE, write_csv([table]))
    failed = [f"{uri}: {why}" for uri, why in zip(events["uri"], problems, strict=True) if why is not None]
    paths = [folder / name for name, problem in zip(names, problems, strict=True) if problem is None]
    return Export([*paths, folder / TABLE], tuple(failed))


def read(path: StoragePath) -> pd.DataFrame:
    """Read ``clips.csv`` back: the events, and their clips."""
    with path.open("rb") as file:
        types = dict.fromkeys(("clip", "label", "uri", "group", "problem"), "string")
        return pd.read_csv(file, keep_default_na=False, na_values={name: [""] for name in DECIMALS}, dtype=types)


def choose_fairly(events: pd.DataFrame, count: int) -> pd.DataFrame:
    """Choose `count` events of each label at most, as many as there are of each range of scores (`RANGES`).

    Ranges take turns, high scores first; in a range events are drawn by lot, by a hash of recording and onset. So the
    choice depends on the events alone: not on their order, nor on the machine.
    """
    onset_s = events["onset_s"].to_numpy(np.float64)
    frame = pd.DataFrame(
        {
            "label": events["label"].to_numpy(object),
            "range": np.searchsorted(RANGES[1:-1], events["peak"].fillna(0.0).to_numpy(np.float64), side="right"),
            "draw": draw_numbers(events["uri"].to_numpy(object), onset_s),
        }
    )
    frame = frame.sort_values(["label", "range", "draw"], kind="stable")
    frame["turn"] = frame.groupby(["label", "range"]).cumcount()
    frame = frame.sort_values(["label", "turn", "range"], ascending=[True, True, False], kind="stable")
    chosen = frame.groupby("label").head(count)
    return events.iloc[np.sort(chosen.index.to_numpy())]


def rank_events(events: pd.DataFrame) -> pd.DataFrame:
    """Sort events by label, then by score, the highest first."""
    order = ["label", "peak", "uri", "onset_s", "offset_s"]
    return events.sort_values(order, ascending=[True, False, True, True, True], ignore_index=True)


def name_clips(events: pd.DataFrame) -> list[str]:
    """Name the clips of ranked events: folder of the label, rank, score, recording and onset."""
    folders = _name_folders(map(str, events["label"].unique()))
    ranks = (events.groupby("label").cumcount() + 1).tolist()
    scores = events["peak"].fillna(0.0).tolist()
    rows = zip(events["label"], ranks, scores, events["uri"], events["onset_s"].tolist(), strict=True)
    return [
        f"{folders[label]}/{rank:06d}-{score:.2f}-{_name_stem(uri)}-{onset_s:.3f}s.flac"
        for label, rank, score, uri, onset_s in rows
    ]


def _name_stem(uri: str) -> str:
    return _UNSAFE.sub("_", PurePosixPath(uri).stem).strip("._")[:_LONGEST_STEM]


def _name_folders(labels: Iterable[str]) -> dict[str, str]:
    """Name a folder for each label: its words where they are safe; else, or where two look alike, with a hash."""
    plain = {label: _make_safe(label) for label in labels}
    taken = Counter(_as_seen(name) for name in plain.values())
    return {
        label: name if name == label and taken[_as_seen(name)] == 1 else f"{name}-{_hash(label)}"
        for label, name in plain.items()
    }


def _make_safe(label: str) -> str:
    safe = re.sub(r'[<>:"|?*\\/]', "_", one_line(label)).strip(". ")
    return safe.encode()[:_LONGEST_FOLDER_BYTES].decode(errors="ignore").strip(". ") or "_"


def _as_seen(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _hash(label: str) -> str:
    return hashlib.sha256(label.encode()).hexdigest()[:8]


def _find_groups(events: pd.DataFrame, files: pd.DataFrame) -> pd.Series:
    """The group of each event's file or segment; the recording where none is known."""
    key = "clip_id" if "clip_id" in events and "clip_id" in files else "uri"
    if "group" not in files:
        return events["uri"]
    known = files.drop_duplicates(key, keep="last").set_index(key)["group"]
    return events[key].map(known).astype(object).where(lambda group: group.notna(), events["uri"])


def _tabulate(events: pd.DataFrame, names: list[str], start_s: pd.Series, problems: list[str | None]) -> pd.DataFrame:
    clip_onset_s = (events["onset_s"] - start_s).round(9)
    begins = pd.to_datetime(events["onset_at"], utc=True) - pd.to_timedelta(clip_onset_s, unit="s")
    own: dict[str, Any] = {
        "clip": [name if problem is None else "" for name, problem in zip(names, problems, strict=True)],
        "clip_onset_s": clip_onset_s,
        "clip_offset_s": (events["offset_s"] - start_s).round(9),
        "problem": [one_line(problem or "") for problem in problems],
        "onset_at": write_times(events["onset_at"]),
        "recorded_at": write_times(begins),
    }
    rounded = {name: events[name].astype("Float64").round(decimals) for name, decimals in DECIMALS.items()}
    table = events.assign(**own, **rounded)
    carried = [name for name in events.columns if name not in SCHEMA]
    for column in ("label", "uri", "group", *carried):
        table[column] = table[column].map(write_cell)
    return table[[*SCHEMA, *carried]]
