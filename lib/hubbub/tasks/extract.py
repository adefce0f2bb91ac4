"""One unit of `features`: decode its clips, transform their windows, commit one shard."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hubbub.audio import decode
from hubbub.audio.frontends import features_of, n_frames
from hubbub.audio.windows import Grid, Window, cut, grid_of
from hubbub.clips.table import resolve
from hubbub.errors import AudioError, EmptyAudio, LengthMismatch
from hubbub.plan import Item, Unit
from hubbub.store.features import FeatureStore, checksum, clip_columns
from hubbub.tasks.result import MOST_REASONS, UnitResult


@dataclass(frozen=True)
class ExtractTask:
    """Turns a unit into a committed shard; plain data, so that any engine can send it anywhere.

    Attributes
    ----------
    store
        The store to write to, which has room for the unit's shard.
    root
        What relative uris are relative to.
    schema
        Of the row part (`store.features.row_schema`).
    """

    store: FeatureStore
    root: Path
    schema: pa.Schema

    def __call__(self, unit: Unit) -> UnitResult:
        """Do the unit; clips that cannot be done become failed rows.

        Raises
        ------
        StorageError
            When the shard cannot be written; nothing of the unit then exists.
        """
        draft = _Draft(self, unit)
        for item in unit.items:
            draft.add(item)
        return draft.commit()


class _Draft:
    """A shard in the making."""

    def __init__(self, task: ExtractTask, unit: Unit) -> None:
        store = task.store
        self._task, self._unit = task, unit
        self._settings = store.settings
        self._grid = grid_of(store.settings)
        shape = (store.rows_per_shard, store.n_frames, store.n_bands)
        self._values = np.full(shape, np.nan, store.settings.dtype)
        self._rows: list[dict[str, Any]] = []
        self._used = 0
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def add(self, item: Item) -> None:
        """Compute one item's windows; on a clip's own failure leave one failed row and none of its values."""
        before = self._used
        try:
            rows = list(self._ok_rows(item)) or [self._ended_row(item)]
        except AudioError as error:
            rows = [self._failed_row(item, error.reason)]
        except Exception as error:  # whatever a strange file makes a library raise costs that file alone
            rows = [self._failed_row(item, f"{type(error).__name__}: {error}")]
        if rows[0]["status"] == "failed":
            self._values[before : self._used] = np.nan
            self._used = before
        self._rows += rows

    def commit(self) -> UnitResult:
        """Write the shard and its row part."""
        started = time.perf_counter()
        table = pa.Table.from_pylist(self._rows, schema=self._task.schema)
        self._task.store.write_shard(self._unit.index, self._values, table)
        self._seconds["store"] += time.perf_counter() - started
        return self._result()

    def _ok_rows(self, item: Item) -> Iterator[dict[str, Any]]:
        clip, started = item.clip, time.perf_counter()
        windows = list(self._transformed(item))
        transform_s = sum(seconds for _, _, seconds in windows)
        self._seconds["features"] += transform_s
        self._seconds["decode"] += time.perf_counter() - started - transform_s
        # A file may end before its header says: then the clip has the windows that it turned out to have.
        known = item.windows if len(windows) == item.n_windows else item.first_window + len(windows)
        for window, row, _ in windows:
            yield self._row(item) | {
                "row": self._unit.index * self._task.store.rows_per_shard + row,
                "window": window.number,
                "windows": known,
                "start_s": (clip["start_s"] or 0.0)
                + self._grid.start(window.number) / self._settings.frontend.sample_rate,
                "valid_frames": self._valid_frames(window),
                "status": "ok",
                "crc32": checksum(self._values[row]),
            }

    def _transformed(self, item: Item) -> Iterator[tuple[Window, int, float]]:
        """Windows, the rows of the shard that hold their features, and the seconds the transform took."""
        for window in _windows(item, self._task.root, self._grid, self._settings.frontend.sample_rate):
            started = time.perf_counter()
            self._values[self._used] = features_of(window.samples, self._settings)
            # The sound itself is done with: a long clip must not pile up here.
            light = Window(window.number, np.empty(0, np.float32), window.valid)
            yield light, self._used, time.perf_counter() - started
            self._used += 1

    def _ended_row(self, item: Item) -> dict[str, Any]:
        """What stands for an item that begins where its clip has ended already, shorter than its header says."""
        if item.first_window == 0:
            start_s, says_s = item.clip["start_s"] or 0.0, item.clip["duration_s"] or 0.0
            raise EmptyAudio(f"no sound from {start_s:g} s on (the recording has {says_s:g} s by the clip table)")
        return self._row(item) | {"windows": item.first_window, "status": "ended"}

    def _valid_frames(self, window: Window) -> int:
        return n_frames(self._settings.frontend, window.valid)

    def _failed_row(self, item: Item, error: str) -> dict[str, Any]:
        return self._row(item) | {"status": "failed", "error": error}

    def _row(self, item: Item) -> dict[str, Any]:
        own = {"window": item.first_window, "windows": item.windows, "attempts": item.attempt}
        return clip_columns(item.clip) | own | dict.fromkeys(("row", "start_s", "valid_frames", "error", "crc32"))

    def _result(self) -> UnitResult:
        failed = {row["clip_id"]: row for row in self._rows if row["status"] == "failed"}
        clips = {item.clip["clip_id"]: item.clip for item in self._unit.items}
        window_s = self._settings.windows.duration_s
        return UnitResult(
            unit=self._unit.index,
            ok=len(clips) - len(failed),
            failed=len(failed),
            windows=self._unit.n_windows,
            rows=self._used,
            audio_s=self._used * window_s,
            bytes_read=sum(clip["size_bytes"] or 0 for clip in clips.values()),
            seconds=dict(self._seconds),
            reasons=tuple((row["uri"], row["error"]) for row in list(failed.values())[:MOST_REASONS]),
        )


def _windows(item: Item, root: Path, grid: Grid, sample_rate: int) -> Iterator[Window]:
    """The item's windows, decoded; stops where the clip ends.

    Raises
    ------
    LengthMismatch
        When the clip's last planned window is not its last.
    """
    clip = item.clip
    start = round((clip["start_s"] or 0.0) * sample_rate)
    end = None if clip["end_s"] is None else round(clip["end_s"] * sample_rate)
    first = start + grid.start(item.first_window)
    last = item.first_window + item.n_windows == item.windows
    # One tail more than the last window needs shows whether the clip goes on.
    wanted = (item.n_windows - 1) * grid.hop + grid.window + (2 * grid.min_tail if last and not grid.only_first else 0)
    count = wanted if end is None else max(0, min(wanted, end - first))
    blocks = decode.blocks(resolve(clip["uri"], root), sample_rate=sample_rate, first=first, count=count)
    for window in cut(blocks, grid, first=item.first_window):
        if window.number < item.first_window + item.n_windows:
            yield window
        elif window.valid > grid.window - grid.hop + grid.min_tail:
            says = "unknown" if clip["duration_s"] is None else f"{clip['duration_s']:.3f} s"
            raise LengthMismatch(f"decodes to more than the clip table says ({says}); index it again")
