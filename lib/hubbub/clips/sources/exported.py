"""Clips that ``hubbub export --format clips`` cut out: its table says of which recording each is, and since when."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from hubbub.clips.sources.csv import listing
from hubbub.clips.sources.table_files import read_frame, read_header
from hubbub.clips.sources.table_rows import name_carried
from hubbub.clips.sources.template import Columns, Format, Listing, Options
from hubbub.clips.sources.tree import Tree
from hubbub.errors import ClipTableError
from hubbub.io.paths import StoragePath
from hubbub.io.text import count_noun

TABLE = "clips.csv"
"""What ``hubbub export`` calls the table of its clips."""

OWN_COLUMNS = ("uri", "onset_s", "offset_s", "peak", "mean", "onset_at", "clip_offset_s", "clip_id", "is_event")
"""What the table says of the events in their recordings, which a clip table of the clips has no more."""

_NEEDED = ("clip", "label", "uri", "onset_at", "clip_onset_s", "problem")
_TEXT = Columns(path="clip", label="label", group="group", split="uri")  # names, whatever they look like
_SHAPE = Columns(path="clip", label="label", group="group", recorded_at="recorded_at")


def _find_table(tree: Tree) -> StoragePath | None:
    """The table: the source itself, or the one in a folder that ``hubbub export`` made."""
    if not tree.is_folder:
        return tree.source
    return tree.root / TABLE if TABLE in tree.find_named(TABLE) else None


def _recognise(tree: Tree) -> str | None:
    table = _find_table(tree)
    if table is None or not set(_NEEDED) <= set(read_header(table)):
        return None
    return f"{table.name} has the columns clip, uri and clip_onset_s of hubbub export"


def _read(tree: Tree, options: Options) -> Listing:
    """List the clips that were cut out; the group is that of the recording, or the recording itself."""
    options.refuse(tree.source, "exported")
    table = _find_table(tree)
    if table is None:
        raise ClipTableError(f"{tree.source} holds no {TABLE}; expected a folder that hubbub export made")
    frame = read_frame(table, _TEXT)
    if missing := [name for name in _NEEDED if name not in frame]:
        raise ClipTableError(f"{table} has no column '{missing[0]}'; expected {TABLE} as hubbub export wrote it")
    names, notes = name_carried(table, frame, {*_NEEDED, *OWN_COLUMNS, "group", "recorded_at"})
    there = frame[frame["clip"].notna()].reset_index(drop=True)
    if left_out := len(frame) - len(there):
        notes = [f"{count_noun(left_out, 'event')} left out, of which no clip could be cut", *notes]
    if there.empty:
        raise ClipTableError(f"{table}: no event has a clip, and its column problem says why; export again")
    kept = there.assign(group=_find_groups(there), recorded_at=_find_begins(table, there))
    kept = kept[["clip", "label", "group", "recorded_at", *names]].rename(columns=names)
    found = listing(table, kept, _SHAPE)
    return replace(found, notes=[*notes, *found.notes], has_recorder_names=False)


def _find_groups(clips: pd.DataFrame) -> pd.Series:
    """The recording where the table names no group; older ones name none."""
    return clips["group"].where(clips["group"].notna(), clips["uri"]) if "group" in clips else clips["uri"]


def _find_begins(table: StoragePath, clips: pd.DataFrame) -> pd.Series:
    """When each clip begins; of older tables by its event, which begins some seconds later."""
    if "recorded_at" in clips:
        return clips["recorded_at"]
    try:
        onset_at = pd.to_datetime(clips["onset_at"], utc=True, format="ISO8601")
        begins = onset_at - pd.to_timedelta(pd.to_numeric(clips["clip_onset_s"]), unit="s")
    except (ValueError, TypeError) as error:
        raise ClipTableError(f"{table}: {error}; expected {TABLE} as hubbub export wrote it") from None
    texts = begins.dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ").astype(object)
    return texts.where(begins.notna(), None)


FORMAT = Format(
    "exported",
    "clips of hubbub export --format clips, with its table; the group is the recording's",
    "clips.csv\ndog/000001-0.95-a-0.500s.flac",
    _recognise,
    _read,
)
