"""Score curves of a recording: for each label the highest score in each of so many columns of a span."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hubbub.labels.curves import ScoredRecording
from hubbub.labels.events import find_edges
from hubbub.labels.tables import LabelTables
from hubbub.web.recordings import Recording

MOST_COLUMNS = 4000
MOST_BYTES = 128 * 2**20
"""Scores kept in memory, of the recordings looked at last."""

_KEYS = ("unit", "clip_id", "version", "attempts")  # the number of a unit that was removed is given again

Floats = npt.NDArray[np.floating]


class ScoreReader:
    """Reads the stored scores of recordings, and keeps those looked at last."""

    def __init__(self) -> None:
        self._held: OrderedDict[Any, list[ScoredRecording]] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, tables: LabelTables, recording: Recording) -> list[ScoredRecording]:
        """Scores of each of its clips, with times from the recording's start.

        Raises
        ------
        LabelsError
            Their parts are not there, or torn.
        """
        key = (recording.file, tuple(tuple(row[name] for name in _KEYS) for row in recording.clips))
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        found = [_read_clip(tables, row) for row in recording.clips if row["status"] == "ok"]
        with self._lock:
            self._held[key] = found
            while len(self._held) > 1 and sum(map(_count_bytes, self._held.values())) > MOST_BYTES:
                self._held.popitem(last=False)
        return found


def _count_bytes(scored: list[ScoredRecording]) -> int:
    return sum(one.scores.nbytes + one.edge_s.nbytes for one in scored)


def _read_clip(tables: LabelTables, row: dict[str, Any]) -> ScoredRecording:
    import pyarrow.compute as pc

    part = tables.read_part("windows", row["unit"])
    part = part.filter(pc.equal(part["clip_id"], row["clip_id"]))
    begin_s, duration_s = row["clip_start_s"] or 0.0, row["duration_s"] or 0.0
    width = part.schema.field("scores").type.list_size
    values = part["scores"].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    if tables.frames is None:
        start_s, end_s = (part[name].to_numpy() - begin_s for name in ("start_s", "end_s"))
        return ScoredRecording(find_edges(start_s, end_s, duration_s) + begin_s, values)
    count = tables.frames.count(duration_s)
    scores = values.reshape(-1, len(tables.labels))[:count]  # bytes, a quarter of what floats take
    edge_s = np.minimum(np.arange(len(scores) + 1) * tables.frames.frame_s, duration_s) + begin_s
    return ScoredRecording(edge_s, scores)


def draw_curves(
    scored: Sequence[ScoredRecording], places: Sequence[int], *, start_s: float, end_s: float, columns: int
) -> npt.NDArray[np.float32]:
    """Highest score in each column, float32 [label, column]; NaN where nothing was scored.

    Parameters
    ----------
    scored
        The clips of a recording; bytes of 255 are a score of 1.
    places
        Which labels, as places in the order of the scores.
    start_s, end_s, columns
        The span, divided evenly.
    """
    drawn = np.full((len(places), columns), np.nan, np.float32)
    width_s = (end_s - start_s) / columns
    for one in scored:
        count = len(one.scores)
        low = max(0, int(np.searchsorted(one.edge_s, start_s, side="right")) - 1)
        high = min(count, int(np.searchsorted(one.edge_s, end_s, side="left")))
        if high <= low:
            continue
        values = one.scores[low:high][:, list(places)].astype(np.float32)
        values = values / np.float32(255) if one.scores.dtype == np.uint8 else values
        edges = one.edge_s[low : high + 1]
        # Each column takes the frames that begin before its end and end after its begin.
        left = start_s + np.arange(columns) * width_s
        first = np.clip(np.searchsorted(edges, left, side="right") - 1, 0, len(values))
        stop = np.clip(np.searchsorted(edges, left + width_s, side="left"), 0, len(values))
        is_scored = (stop > first) & (left < edges[-1]) & (left + width_s > edges[0])
        if is_scored.any():
            spans = np.column_stack([first[is_scored], stop[is_scored]]).ravel()
            padded = np.concatenate([values, np.full((1, len(places)), -1, np.float32)])
            highest = np.maximum.reduceat(padded, spans, axis=0)[::2]
            drawn[:, is_scored] = np.fmax(drawn[:, is_scored], highest.T)
    return drawn
