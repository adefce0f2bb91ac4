"""One unit of `label`: decode its files, score their windows with the model, make events, commit three parts."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from hubbub.audio import decode
from hubbub.audio.frontends import features_of
from hubbub.audio.remote import local_copy
from hubbub.audio.windows import Window, cut, grid_of
from hubbub.clips.table import resolve
from hubbub.config import Settings
from hubbub.errors import AudioError, BundleError, EmptyAudio, UsageError
from hubbub.events import events_from_windows
from hubbub.places import Place
from hubbub.plan import Item, Unit
from hubbub.store.tables import LabelTables, carried_columns, label_schemas
from hubbub.tasks.result import MOST_REASONS, UnitResult

if TYPE_CHECKING:
    from hubbub.store.bundle import Bundle

_BATCH = 64  # windows scored at once: 14 MB of float32 features at the default settings


@dataclass(frozen=True)
class LabelTask:
    """Turns a unit of files into committed parts; plain data, so that any engine can send it anywhere.

    Attributes
    ----------
    tables
        Where to write, and by which rules to make events.
    bundle
        The model's folder.
    clips
        Schema of the clip table.
    """

    tables: LabelTables
    bundle: Place
    clips: pa.Schema

    def __call__(self, unit: Unit) -> UnitResult:
        """Do the unit; files that cannot be labelled become failed rows.

        Raises
        ------
        BundleError
            When the model is not the one that the run began with.
        BucketError
            When a bucket of recordings cannot be read at all; nothing of the unit then exists.
        StorageError
            When the parts cannot be written; nothing of the unit then exists.
        """
        draft = _Draft(self, _model(self.bundle, self.tables.run["model_hash"]))
        for item in unit.items:
            draft.add(item)
        return draft.commit(unit)


@dataclass(frozen=True)
class Scored:
    """What the model said of one file: windows' starts and ends from the clip's start, and scores."""

    start_s: npt.NDArray[np.float64]
    end_s: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float16]
    duration_s: float


class _Length:
    """Counts samples that go by: the last window may end before the sound, by less than a frame."""

    def __init__(self) -> None:
        self.samples = 0

    def counted(self, blocks: Iterator[npt.NDArray[np.float32]]) -> Iterator[npt.NDArray[np.float32]]:
        """Pass blocks on."""
        for block in blocks:
            self.samples += len(block)
            yield block


class _Draft:
    """Three parts in the making."""

    def __init__(self, task: LabelTask, model: Bundle) -> None:
        self._task, self._model = task, model
        self._settings = model.settings
        self._grid = grid_of(model.settings, hop_s=task.tables.run["hop_s"])
        self._files: list[dict[str, Any]] = []
        self._windows: list[pa.RecordBatch] = []
        self._events: list[dict[str, Any]] = []
        self._schemas = label_schemas(task.clips, len(model.labels))
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def add(self, item: Item) -> None:
        """Label one file; on its own failure leave one failed row."""
        try:
            scored = self._scored(item)
        except AudioError as error:
            self._files.append(_file_row(item, status="failed", error=error.reason))
        except UsageError:  # the model, or a bucket, cannot be read: no fault of this file
            raise
        except Exception as error:  # whatever a strange file makes a library raise costs that file alone
            self._files.append(_file_row(item, status="failed", error=f"{type(error).__name__}: {error}"))
        else:
            self._keep(item, scored)

    def commit(self, unit: Unit) -> UnitResult:
        """Write the parts; the one of the files commits the unit."""
        started = time.perf_counter()
        self._task.tables.write_unit(
            unit.index,
            files=pa.Table.from_pylist(self._files, schema=self._schemas.files),
            windows=pa.Table.from_batches(self._windows, schema=self._schemas.windows),
            events=pa.Table.from_pylist(self._events, schema=self._schemas.events),
        )
        self._seconds["store"] += time.perf_counter() - started
        return self._result(unit)

    def _keep(self, item: Item, scored: Scored) -> None:
        means, peaks = scored.scores.mean(axis=0, dtype=np.float64), scored.scores.max(axis=0)
        row = _file_row(item, status="ok", error=None) | {
            "duration_s": scored.duration_s,
            "windows": len(scored.start_s),
            "mean_scores": means.astype(np.float16),
            "peak_scores": peaks,
        }
        self._files.append(row)
        self._windows.append(_window_rows(item.clip, scored, self._schemas.windows))
        self._events += event_rows(row, scored, self._task.tables)

    def _scored(self, item: Item) -> Scored:
        rate = self._settings.frontend.sample_rate
        starts: list[int] = []
        valid: list[int] = []
        scores = [np.empty((0, len(self._model.labels)), np.float16)]
        length = _Length()
        stream = self._decoded(item, length)
        while batch := list(islice(stream, _BATCH)):
            starts += [self._grid.start(window.number) for window in batch]
            valid += [window.valid for window in batch]
            scores.append(self._predict(batch))
        if not starts:
            raise EmptyAudio(f"{item.clip['uri']} holds no samples in the stretch asked for")
        start_s = np.array(starts, np.float64) / rate
        end_s = start_s + np.array(valid, np.float64) / rate
        return Scored(start_s, end_s, np.concatenate(scores), length.samples / rate)

    def _decoded(self, item: Item, length: _Length) -> Iterator[Window]:
        clip, rate = item.clip, self._settings.frontend.sample_rate
        first = round((clip["start_s"] or 0.0) * rate)
        count = None if clip["end_s"] is None else round(clip["end_s"] * rate) - first
        started = time.perf_counter()
        with local_copy(resolve(clip["uri"], self._task.tables.root), clip["version"]) as path:
            blocks = decode.blocks(path, sample_rate=rate, first=first, count=count, **_channel(self._settings))
            stream = cut(length.counted(blocks), self._grid)
            while True:
                window = next(stream, None)
                self._seconds["decode"] += time.perf_counter() - started
                if window is None:
                    return
                yield window
                started = time.perf_counter()

    def _predict(self, batch: list[Window]) -> npt.NDArray[np.float16]:
        started = time.perf_counter()
        features = np.stack([features_of(window.samples, self._settings) for window in batch])
        transformed = time.perf_counter()
        scores = self._model.predict(features).astype(np.float16)
        self._seconds["features"] += transformed - started
        self._seconds["model"] += time.perf_counter() - transformed
        return scores

    def _result(self, unit: Unit) -> UnitResult:
        failed = [row for row in self._files if row["status"] == "failed"]
        return UnitResult(
            unit=unit.index,
            ok=len(self._files) - len(failed),
            failed=len(failed),
            windows=unit.n_windows,
            rows=sum(len(batch) for batch in self._windows),
            audio_s=sum(row["duration_s"] for row in self._files if row["status"] == "ok"),
            bytes_read=sum(item.clip["size_bytes"] or 0 for item in unit.items),
            seconds=dict(self._seconds),
            reasons=tuple((row["uri"], row["error"]) for row in failed[:MOST_REASONS]),
            heard=dict(Counter(row["label"] for row in self._events)),
        )


def _channel(settings: Settings) -> dict[str, Any]:
    """Which channel is heard: the first for a model of first channels, else the mix, of which every channel is part."""
    return {"channel": 0} if settings.channels == "first" else {}


def event_rows(file: dict[str, Any], scored: Scored, tables: LabelTables) -> list[dict[str, Any]]:
    """Events of one file, by the rules of its tables, as rows of the events table.

    Parameters
    ----------
    file
        The file's row of the files table.
    """
    begin_s, recorded_at = file["clip_start_s"] or 0.0, file["recorded_at"]
    events = events_from_windows(
        scored.start_s, scored.end_s, scored.scores, tables.labels, tables.rules, scored.duration_s
    )
    rows = []
    for event in events:
        onset_s = event.onset_s + begin_s
        onset_at = None if recorded_at is None else recorded_at + timedelta(seconds=onset_s)
        row = asdict(event) | {"onset_s": onset_s, "offset_s": event.offset_s + begin_s, "onset_at": onset_at}
        rows.append(file | row)
    return rows


def remade_events(tables: LabelTables) -> Iterator[tuple[int, pa.Table]]:
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
                rows += event_rows(file, _stored(by_clip[file["clip_id"]], file), tables)
        yield unit, pa.Table.from_pylist(rows, schema=schema)


def _stored(windows: pd.DataFrame, file: dict[str, Any]) -> Scored:
    begin_s = file["clip_start_s"] or 0.0
    scores = np.stack(windows["scores"].to_list()).astype(np.float16)
    start_s, end_s = windows["start_s"].to_numpy(), windows["end_s"].to_numpy()
    return Scored(start_s - begin_s, end_s - begin_s, scores, file["duration_s"])


def _file_row(item: Item, *, status: str, error: str | None) -> dict[str, Any]:
    # The length is what decoding found, not what the header says.
    own = {"status": status, "error": error, "attempts": item.attempt, "duration_s": None}
    return carried_columns(item.clip) | own


def _window_rows(clip: dict[str, Any], scored: Scored, schema: pa.Schema) -> pa.RecordBatch:
    count, begin_s = len(scored.start_s), clip["start_s"] or 0.0
    columns = [
        pa.repeat(pa.scalar(clip["uri"], pa.string()), count),
        pa.repeat(pa.scalar(clip["clip_id"], pa.string()), count),
        pa.array(scored.start_s + begin_s),
        pa.array(scored.end_s + begin_s),
        pa.FixedSizeListArray.from_arrays(pa.array(scored.scores.ravel()), scored.scores.shape[1]),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


@lru_cache(maxsize=1)
def _model(path: Place, model_hash: str) -> Bundle:
    """The model, loaded once a process."""
    from hubbub.store.bundle import load_bundle

    model = load_bundle(path)
    if model.model_hash != model_hash:
        raise BundleError(f"{path} is no longer the model this run began with ({model.model_hash}, not {model_hash})")
    return model
