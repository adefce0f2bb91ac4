"""One unit of `label`: decode its files, score their windows with the model, make events, commit three parts.

A long recording was scored in pieces ahead of its unit (`tasks.pieces`); what of it is missing its unit scores itself.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from hubbub.audio import decode
from hubbub.audio.frontends import features_of
from hubbub.audio.remote import local_copy
from hubbub.audio.windows import Window, WindowGrid, split_windows, window_grid
from hubbub.clips.table import resolve_uri
from hubbub.config import Settings
from hubbub.errors import AudioError, BundleError, EmptyAudio, OutOfMemory, UsageError
from hubbub.io.paths import StoragePath
from hubbub.io.retry import retry_with_backoff
from hubbub.labels.events import events_from_windows
from hubbub.labels.tables import LabelTables, carried_columns, label_schemas
from hubbub.planning.plan import Item, SegmentUnit, Unit, split_into_segments
from hubbub.planning.sharding import MAX_LABEL_WINDOWS
from hubbub.tasks.result import MOST_REASONS, UnitResult
from hubbub.tasks.segments import (
    SegmentResult,
    SegmentWindows,
    describe_segment,
    hash_content,
    join_segments,
    read_segment_result,
    score_segment,
    write_segment_result,
)
from hubbub.tasks.watched import announce_items

if TYPE_CHECKING:
    from hubbub.models.bundle import Bundle

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
    resource, needs
        What an engine goes by (`hubbub.engine.Task`).
    """

    tables: LabelTables
    bundle: StoragePath
    clips: pa.Schema

    resource: ClassVar[str] = "GPU"
    needs: ClassVar[tuple[str, ...]] = ("keras",)

    def __call__(self, unit: Unit) -> UnitResult:
        """Do the unit; files that cannot be labelled become failed rows, pieces that cannot be scored are left out.

        Raises
        ------
        BundleError
            When the model is not the one that the run began with.
        BucketError
            When a bucket of recordings cannot be read at all; nothing of the unit then exists.
        StorageError
            When the parts cannot be written; nothing of the unit then exists.
        """
        scorer = _Scorer(self)
        if isinstance(unit, SegmentUnit):
            return _score_segment_unit(unit, scorer)
        draft = _Draft(scorer)
        for item in announce_items(unit.items):
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

    def counted(self, decode_blocks: Iterator[npt.NDArray[np.float32]]) -> Iterator[npt.NDArray[np.float32]]:
        """Pass blocks on."""
        for block in decode_blocks:
            self.samples += len(block)
            yield block


class _Scorer:
    """Decodes and scores, and counts the seconds it takes; the model is loaded when the first window comes."""

    def __init__(self, task: LabelTask) -> None:
        self.task = task
        self.settings = task.tables.settings
        self.grid: WindowGrid = window_grid(self.settings, hop_s=task.tables.run["hop_s"])
        self.rate = self.settings.frontend.sample_rate
        self.channel = _channel_to_score(self.settings)
        self.cutting = SegmentWindows(task.tables.root, self.grid, self.rate, self.channel)
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def scored(self, item: Item) -> SegmentResult:
        """Score all windows of a file in one pass; raises `AudioError`, such as `EmptyAudio` for no window."""
        length = _Length()
        with local_copy(resolve_uri(item.clip["uri"], self.task.tables.root), item.clip["version"]) as path:
            valid, scores = self.score(split_windows(length.counted(self._blocks(item, path)), self.grid))
        if not len(valid):
            raise EmptyAudio(f"{item.clip['uri']} holds no samples in the stretch asked for")
        return SegmentResult(valid, scores, length.samples, "")

    def decode(self, item: Item) -> None:
        """Decode a file in one go, for the errors that this raises."""
        with local_copy(resolve_uri(item.clip["uri"], self.task.tables.root), item.clip["version"]) as path:
            for _ in self._blocks(item, path):
                pass

    def score(self, windows: Iterable[Window]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float16]]:
        """Go through windows; how many samples of each are sound, int64 [window], and scores, [window, label]."""
        valid: list[int] = []
        scores = [np.empty((0, len(self.task.tables.labels)), np.float16)]
        stream = self._timed(iter(windows))
        while batch := list(islice(stream, _BATCH)):
            valid += [window.valid for window in batch]
            scores.append(self._predict(batch))
        return np.array(valid, np.int64), np.concatenate(scores)

    def _blocks(self, item: Item, path: Path) -> Iterator[npt.NDArray[np.float32]]:
        clip, rate = item.clip, self.rate
        first = round((clip["start_s"] or 0.0) * rate)
        count = None if clip["end_s"] is None else round(clip["end_s"] * rate) - first
        return decode.decode_blocks(path, sample_rate=rate, first=first, count=count, channel=self.channel)

    def _timed(self, windows: Iterator[Window]) -> Iterator[Window]:
        started = time.perf_counter()
        while True:
            window = next(windows, None)
            self.seconds["decode"] += time.perf_counter() - started
            if window is None:
                return
            yield window
            started = time.perf_counter()

    def _predict(self, batch: list[Window]) -> npt.NDArray[np.float16]:
        model = _load_model(self.task.bundle, self.task.tables.run["model_hash"])
        started = time.perf_counter()
        features = np.stack([features_of(window.samples, self.settings) for window in batch])
        transformed = time.perf_counter()
        scores = model.predict(features).astype(np.float16)
        self.seconds["features"] += transformed - started
        self.seconds["model"] += time.perf_counter() - transformed
        return scores


def _score_segment_unit(unit: SegmentUnit, scorer: _Scorer) -> UnitResult:
    """Score pieces and write them down, but for those that are there; what fails is left to the recording's unit."""
    tables = scorer.task.tables
    done = _SegmentJoiner(scorer.task.tables.run["hop_s"])
    for item in announce_items(unit.items):
        if item.failure is not None:
            continue
        piece = read_segment_result(item, tables)
        if piece is None or piece.content != hash_content(item, tables.root):
            piece = _score_item(item, scorer)
            if piece is None:
                continue
            started = time.perf_counter()
            write_segment_result(item, piece, tables)
            scorer.seconds["store"] += time.perf_counter() - started
        done.add(item, piece)
    return UnitResult(
        unit=unit.index,
        ok=0,
        failed=0,
        windows=done.windows,
        rows=0,
        audio_s=done.audio_s,
        bytes_read=done.size_bytes,
        seconds=dict(scorer.seconds),
    )


def _score_item(item: Item, scorer: _Scorer) -> SegmentResult | None:
    try:
        return retry_with_backoff(lambda: score_segment(item, scorer.cutting, scorer.score))
    except UsageError:  # the model, or a bucket, cannot be read: no fault of this file
        raise
    except Exception:  # decoded in one go, in its own unit, the recording tells what is wrong with it
        return None


class _SegmentJoiner:
    """What of recordings was done in pieces, and is told of by the pieces' units."""

    def __init__(self, hop_s: float) -> None:
        self._hop_s = hop_s
        self._counted: set[tuple[str, int]] = set()
        self.windows = self.size_bytes = 0
        self.audio_s = 0.0

    def add(self, item: Item, piece: SegmentResult) -> None:
        """Count one piece in, once however often its recording is tried."""
        if (what := (item.clip["clip_id"], item.first_window)) in self._counted:
            return
        self._counted.add(what)
        self.windows += item.n_windows
        self.size_bytes += (item.clip["size_bytes"] or 0) * item.n_windows // item.windows
        self.audio_s += len(piece.valid) * self._hop_s


class _Draft:
    """Three parts in the making."""

    def __init__(self, scorer: _Scorer) -> None:
        self._scorer, self._task = scorer, scorer.task
        self._files: list[dict[str, Any]] = []
        self._windows: list[pa.RecordBatch] = []
        self._events: list[dict[str, Any]] = []
        self._schemas = label_schemas(self._task.clips, len(self._task.tables.labels))
        self._ahead = _SegmentJoiner(self._task.tables.run["hop_s"])

    def add(self, item: Item) -> None:
        """Label one file; on its own failure leave one failed row."""
        if item.failure is not None:
            self._files.append(_file_row(item, status="failed", error=item.failure))
            return
        try:
            scored = retry_with_backoff(lambda: self._scored(item))
        except UsageError:  # the model, or a bucket, cannot be read: no fault of this file
            raise
        except Exception as error:  # whatever a strange file makes a library raise costs that file alone
            self._files.append(_file_row(item, status="failed", error=_reason(error)))
        else:
            self._keep(item, scored)

    def commit(self, unit: Unit) -> UnitResult:
        """Write the parts; the one of the files commits the unit. Then the pieces of its recordings go."""
        started = time.perf_counter()
        tables = self._task.tables
        tables.write_unit(
            unit.index,
            files=pa.Table.from_pylist(self._files, schema=self._schemas.files),
            windows=pa.Table.from_batches(self._windows, schema=self._schemas.windows),
            events=pa.Table.from_pylist(self._events, schema=self._schemas.events),
        )
        long = [item for item in unit.items if item.windows > MAX_LABEL_WINDOWS]
        tables.remove_segments(
            tables.segment_number(describe_segment(piece)) for item in long for piece in split_into_segments(item)
        )
        self._scorer.seconds["store"] += time.perf_counter() - started
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
        scorer = self._scorer
        whole = self._join_stored_segments(item) if item.windows > MAX_LABEL_WINDOWS else None
        whole = whole or scorer.scored(item)
        assert whole.samples is not None  # all windows were gone through
        start_s = scorer.grid.hop * np.arange(len(whole.valid), dtype=np.float64) / scorer.rate
        return Scored(start_s, start_s + whole.valid / scorer.rate, whole.scores, whole.samples / scorer.rate)

    def _join_stored_segments(self, item: Item) -> SegmentResult | None:
        """A long recording, put together; None where its pieces do not fit: then it is decoded in one go."""
        items, content = split_into_segments(item), hash_content(item, self._task.tables.root)
        pieces = [self._read_scored(part, content) for part in items]
        for number, part in enumerate(items):
            pieces[number] = pieces[number] or _score_item(part, self._scorer)
            if pieces[number] is None:
                self._scorer.decode(item)
                return None
        whole = join_segments([piece for piece in pieces if piece is not None], items, self._scorer.grid)
        return whole if whole is not None and len(whole.valid) else None

    def _read_scored(self, item: Item, content: str | None) -> SegmentResult | None:
        piece = read_segment_result(item, self._task.tables)
        if piece is not None:  # also one of other content: its own unit has told of it
            self._ahead.add(item, piece)
        return piece if piece is not None and piece.content == content else None

    def _result(self, unit: Unit) -> UnitResult:
        failed = [row for row in self._files if row["status"] == "failed"]
        ok_s = sum(row["duration_s"] for row in self._files if row["status"] == "ok")
        return UnitResult(
            unit=unit.index,
            ok=len(self._files) - len(failed),
            failed=len(failed),
            windows=unit.n_windows - self._ahead.windows,
            rows=sum(len(batch) for batch in self._windows),
            audio_s=max(0.0, ok_s - self._ahead.audio_s),
            bytes_read=sum(item.clip["size_bytes"] or 0 for item in unit.items) - self._ahead.size_bytes,
            seconds=dict(self._scorer.seconds),
            reasons=tuple((row["uri"], row["error"]) for row in failed[:MOST_REASONS]),
            heard=dict(Counter(row["label"] for row in self._events)),
        )


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        error = OutOfMemory(str(error) or "takes more memory than there is")
    return error.reason if isinstance(error, AudioError) else f"{type(error).__name__}: {error}"


def _channel_to_score(settings: Settings) -> int | None:
    """Which channel is heard: the first for a model of first channels, else the mix, of which every channel is part."""
    return 0 if settings.channels == "first" else None


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
                rows += event_rows(file, _read_scored(by_clip[file["clip_id"]], file), tables)
        yield unit, pa.Table.from_pylist(rows, schema=schema)


def _read_scored(windows: pd.DataFrame, file: dict[str, Any]) -> Scored:
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
def _load_model(path: StoragePath, model_hash: str) -> Bundle:
    """The model, loaded once a process."""
    from hubbub.models.bundle import load_bundle

    model = load_bundle(path)
    if model.model_hash != model_hash:
        raise BundleError(f"{path} is no longer the model this run began with ({model.model_hash}, not {model_hash})")
    return model
