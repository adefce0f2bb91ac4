"""Events of a file from its window scores, as rows of a label table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from hubbub.labels.events import events_from_windows
from hubbub.labels.tables import LabelTables


@dataclass(frozen=True)
class Scored:
    """What the model said of one file: windows' starts and ends from the clip's start, and scores as stored."""

    start_s: npt.NDArray[np.float64]
    end_s: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float16] | npt.NDArray[np.uint8]
    duration_s: float


def event_rows(file: dict[str, Any], scored: Scored, tables: LabelTables) -> list[dict[str, Any]]:
    """Events of one file, by the rules of its tables, as rows of the events table.

    Parameters
    ----------
    file
        The file's row of the files table.
    """
    begin_s, recorded_at = file["clip_start_s"] or 0.0, file["recorded_at"]
    start_s, end_s = scored.start_s, scored.end_s
    scores = tables.unpack_scores(scored.scores, scored.duration_s)
    if tables.frames is not None:
        start_s = np.arange(len(scores), dtype=np.float64) * tables.frames.frame_s
        end_s = start_s + tables.frames.frame_s
    events = events_from_windows(start_s, end_s, scores, tables.labels, tables.rules, scored.duration_s)
    rows = []
    for event in events:
        onset_s = event.onset_s + begin_s
        onset_at = None if recorded_at is None else recorded_at + timedelta(seconds=onset_s)
        row = asdict(event) | {"onset_s": onset_s, "offset_s": event.offset_s + begin_s, "onset_at": onset_at}
        rows.append(file | row)
    return rows


def rebuild_events(tables: LabelTables) -> Iterator[tuple[int, pa.Table]]:
    """Events of every unit, made anew from the stored window scores by the rules of `tables`.

    Yields
    ------
    unit, events
        The unit's number, and its events with the schema that its old ones have.
    """
    for unit in tables.committed():
        files, windows = tables.read_part("files", unit), tables.read_part("windows", unit)
        schema = tables.event_schema(files.schema)
        by_clip = {name: frame for name, frame in windows.to_pandas().groupby("clip_id")}
        rows: list[dict[str, Any]] = []
        for file in files.to_pylist():
            if file["status"] == "ok":
                rows += event_rows(file, _read_scores(by_clip[file["clip_id"]], file), tables)
        yield unit, pa.Table.from_pylist(rows, schema=schema)


def _read_scores(windows: pd.DataFrame, file: dict[str, Any]) -> Scored:
    begin_s = file["clip_start_s"] or 0.0
    scores = np.stack(windows["scores"].to_list())
    start_s, end_s = windows["start_s"].to_numpy(), windows["end_s"].to_numpy()
    return Scored(start_s - begin_s, end_s - begin_s, scores, file["duration_s"])
