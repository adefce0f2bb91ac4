"""One unit of `label`: decode its files, score their windows with the model, make events, commit three parts.

A long recording is scored in segments before its unit (`tasks.segments`); its unit scores missing segments.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from hubbub.errors import AudioError, OutOfMemory, UsageError
from hubbub.io.paths import StoragePath
from hubbub.io.retry import retry_with_backoff
from hubbub.labels.schemas import carried_columns
from hubbub.labels.tables import LabelTables
from hubbub.models.runtimes import needed_packages
from hubbub.planning.sharding import MAX_LABEL_WINDOWS
from hubbub.planning.units import Item, SegmentUnit, Unit, split_into_segments
from hubbub.tasks.events import Scored, event_rows
from hubbub.tasks.item_observer import announce_items
from hubbub.tasks.result import MOST_REASONS, UnitResult
from hubbub.tasks.scoring import Outcome, Scorer, WindowScorer, try_scoring
from hubbub.tasks.segments import (
    SegmentResult,
    describe_segment,
    hash_content,
    join_segments,
    read_segment_result,
    score_segment,
    write_segment_result,
)


@dataclass(frozen=True)
class LabelTask:
    """Turns a unit of files into committed parts; plain data, so that any engine can send it anywhere.

    Attributes
    ----------
    tables
        Where to write, and by which rules to make events.
    bundle
        The model's folder, or the YAML file of a model of others.
    clips
        Schema of the clip table.
    resource, needs
        What an engine goes by (`hubbub.engine.Task`).
    """

    tables: LabelTables
    bundle: StoragePath
    clips: pa.Schema

    resource: ClassVar[str] = "GPU"

    @property
    def needs(self) -> tuple[str, ...]:
        """Packages that workers must have."""
        run = self.tables.run
        if "needs" in run:
            return tuple(run["needs"])
        own = run.get("frames", {}).get("runtime", "keras").partition("-")[0]  # in whatever precision
        kind = run["model"]["kind"] if "model" in run else own
        return needed_packages(kind, is_foreign="model" in run)

    def __call__(self, unit: Unit) -> UnitResult:
        """Do the unit; files that cannot be labelled become failed rows, segments that cannot be scored are left out.

        Raises
        ------
        BundleError
            When the model is not the one that the run began with.
        BucketError
            When a bucket of recordings cannot be read at all; nothing of the unit then exists.
        StorageError
            When the parts cannot be written; nothing of the unit then exists.
        """
        scorer = _make_scorer(self)
        if isinstance(unit, SegmentUnit):
            return _score_segment_unit(unit, scorer)
        draft = _Draft(scorer)
        draft.add_items(unit.items)
        return draft.commit(unit)


def _make_scorer(task: LabelTask) -> Scorer:
    """The scorer of the run's model: by windows, or in a stream."""
    if task.tables.frames is None:
        return WindowScorer(task)
    from hubbub.tasks.streaming import StreamScorer

    return StreamScorer(task)


def _score_segment_unit(unit: SegmentUnit, scorer: Scorer) -> UnitResult:
    """Score segments and write them down, but for those that are there; what fails is left to the recording's unit."""
    tables = scorer.task.tables
    done = _SegmentJoiner(scorer.task.tables.run["hop_s"])
    for item in announce_items(unit.items):
        if item.failure is not None:
            continue
        segment = read_segment_result(item, tables)
        if segment is None or segment.content != hash_content(item, tables.root):
            segment = _score_item(item, scorer)
            if segment is None:
                continue
            started = time.perf_counter()
            write_segment_result(item, segment, tables)
            scorer.seconds["store"] += time.perf_counter() - started
        done.add(item, segment)
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


def _score_item(item: Item, scorer: Scorer) -> SegmentResult | None:
    try:
        return retry_with_backoff(lambda: score_segment(item, scorer.cutting, scorer.score))
    except UsageError:  # the model, or a bucket, cannot be read: no fault of this file
        raise
    except Exception:  # decoded in one go, in its own unit, the recording tells what is wrong with it
        return None


class _SegmentJoiner:
    """What of recordings was done in segments, and is told of by the segments' units."""

    def __init__(self, hop_s: float) -> None:
        self._hop_s = hop_s
        self._counted: set[tuple[str, int]] = set()
        self.windows = self.size_bytes = 0
        self.audio_s = 0.0

    def add(self, item: Item, segment: SegmentResult) -> None:
        """Count one segment in, once however often its recording is tried."""
        if (what := (item.clip["clip_id"], item.first_window)) in self._counted:
            return
        self._counted.add(what)
        self.windows += item.n_windows
        self.size_bytes += (item.clip["size_bytes"] or 0) * item.n_windows // item.windows
        self.audio_s += len(segment.valid) * self._hop_s


class _Draft:
    """Three parts in the making."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer, self._task = scorer, scorer.task
        self._files: list[dict[str, Any]] = []
        self._windows: list[pa.RecordBatch] = []
        self._events: list[dict[str, Any]] = []
        self._schemas = self._task.tables.schemas(self._task.clips)
        self._ahead = _SegmentJoiner(self._task.tables.run["hop_s"])

    def add_items(self, items: Sequence[Item]) -> None:
        """Label files; one that cannot be labelled becomes a failed row."""
        if len(items) == 1 and items[0].windows > MAX_LABEL_WINDOWS and items[0].failure is None:
            for item in announce_items(items):
                self._add(item, try_scoring(lambda: self._score_long(items[0])))
            return
        for item, outcome in self._scorer.score_recordings(items):
            self._add(item, outcome)

    def _add(self, item: Item, outcome: Outcome) -> None:
        if isinstance(outcome, Exception | str):
            error = outcome if isinstance(outcome, str) else _reason(outcome)
            self._files.append(_file_row(item, status="failed", error=error))
            return
        assert outcome.samples is not None  # every window was decoded
        grid, rate = self._scorer.grid, self._scorer.rate
        start_s = grid.hop * np.arange(len(outcome.valid), dtype=np.float64) / rate
        scored = Scored(start_s, start_s + outcome.valid / rate, outcome.scores, outcome.samples / rate)
        self._keep(item, scored)

    def commit(self, unit: Unit) -> UnitResult:
        """Write the parts; the one of the files commits the unit. Then the segments of its recordings go."""
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
            tables.segment_number(describe_segment(segment)) for item in long for segment in split_into_segments(item)
        )
        self._scorer.seconds["store"] += time.perf_counter() - started
        return self._result(unit)

    def _keep(self, item: Item, scored: Scored) -> None:
        scores = self._task.tables.unpack_scores(scored.scores, scored.duration_s)
        means, peaks = scores.mean(axis=0, dtype=np.float64), scores.max(axis=0).astype(np.float16)
        row = _file_row(item, status="ok", error=None) | {
            "duration_s": scored.duration_s,
            "windows": len(scored.start_s),
            "mean_scores": means.astype(np.float16),
            "peak_scores": peaks,
        }
        self._files.append(row)
        self._windows.append(_window_rows(item.clip, scored, self._schemas.windows))
        self._events += event_rows(row, scored, self._task.tables)

    def _score_long(self, item: Item) -> SegmentResult:
        return self._join_stored_segments(item) or self._scorer.score_recording(item)

    def _join_stored_segments(self, item: Item) -> SegmentResult | None:
        """Join the segments of a long recording; None where they do not fit: it is then decoded as a whole."""
        items, content = split_into_segments(item), hash_content(item, self._task.tables.root)
        segments = [self._read_segment(part, content) for part in items]
        for number, part in enumerate(items):
            segments[number] = segments[number] or _score_item(part, self._scorer)
            if segments[number] is None:
                self._scorer.decode(item)
                return None
        whole = join_segments([segment for segment in segments if segment is not None], items, self._scorer.grid)
        return whole if whole is not None and len(whole.valid) else None

    def _read_segment(self, item: Item, content: str | None) -> SegmentResult | None:
        segment = read_segment_result(item, self._task.tables)
        if segment is not None:  # its own unit has reported it, also for other content
            self._ahead.add(item, segment)
        return segment if segment is not None and segment.content == content else None

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
            event_counts=dict(Counter(row["label"] for row in self._events)),
        )


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        error = OutOfMemory(str(error) or "takes more memory than there is")
    return error.reason if isinstance(error, AudioError) else f"{type(error).__name__}: {error}"


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
