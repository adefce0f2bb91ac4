"""One unit of `features`: decode its clips, transform their windows, commit one shard."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hubbub.audio.frontends import compute_row, n_frames
from hubbub.audio.windows import Window, window_grid
from hubbub.clips.table import has_changed, resolve_uri
from hubbub.errors import ChannelMismatch, EmptyAudio, FileChanged, UsageError
from hubbub.io.paths import StoragePath
from hubbub.io.retry import retry_with_backoff
from hubbub.planning.units import Item, Unit
from hubbub.store.features import FeatureStore
from hubbub.store.rows import checksum, clip_columns
from hubbub.tasks.item_observer import announce_items
from hubbub.tasks.recordings import RecordingReader
from hubbub.tasks.result import MOST_REASONS, UnitResult, describe_failure


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
        Of the row part (`store.rows.row_schema`).
    """

    store: FeatureStore
    root: StoragePath
    schema: pa.Schema

    def __call__(self, unit: Unit) -> UnitResult:
        """Do the unit; clips that cannot be done become failed rows.

        Raises
        ------
        StorageError
            When the shard cannot be written; nothing of the unit then exists.
        BucketError
            When a bucket of recordings cannot be read at all; nothing of the unit then exists.
        """
        draft = _Draft(self, unit)
        for item in announce_items(unit.items):
            draft.add(item)
        return draft.commit()


@dataclass(frozen=True)
class ComputedWindow:
    """A window ready to be transformed.

    Attributes
    ----------
    number
        Its number in the clip.
    samples
        float32 [window].
    valid
        Samples that are sound, not padding.
    augmentation
        What was done to it, JSON; None for a window as recorded.
    """

    number: int
    samples: npt.NDArray[np.float32]
    valid: int
    augmentation: str | None = None


class _Draft:
    """A shard in the making."""

    def __init__(self, task: ExtractTask, unit: Unit) -> None:
        store = task.store
        self._task, self._unit = task, unit
        self._settings = store.settings
        self._grid = window_grid(store.settings)
        shape = (store.rows_per_shard, store.n_frames, store.n_bands)
        self._values = np.full(shape, np.nan, store.settings.dtype)
        self._rows: list[dict[str, Any]] = []
        self._used = 0
        self._recorded = RecordingReader(store.settings, task.root)
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def add(self, item: Item) -> None:
        """Compute one item's windows; on a clip's own failure leave one failed row and none of its values."""
        if item.failure is not None:
            self._rows.append(self._failed_row(item, item.failure))
            return
        before = self._used

        def rows_of_item() -> list[dict[str, Any]]:
            self._used = before
            return list(self._compute_rows(item)) or [self._end_row(item)]

        try:
            rows = retry_with_backoff(rows_of_item)
            self._check_channels(item)
        except UsageError:  # a bucket that cannot be read: all other clips would fail as well, by no fault of theirs
            raise
        except Exception as error:  # whatever a strange file makes a library raise costs that file alone
            rows = [self._failed_row(item, describe_failure(error))]
        if self._has_changed(item):  # also when it failed: then that is why
            rows = [self._failed_row(item, FileChanged("changed since it was indexed; index it again").reason)]
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

    def _compute_rows(self, item: Item) -> Iterator[dict[str, Any]]:
        clip, started = item.clip, time.perf_counter()
        windows = list(self._transform_windows(item))
        transform_s = sum(seconds for _, _, seconds in windows)
        self._seconds["features"] += transform_s
        self._seconds["decode"] += time.perf_counter() - started - transform_s
        # A file may end before its header says: then the clip has the windows that it turned out to have.
        known = item.windows if len(windows) == item.n_windows else item.first_window + len(windows)
        for window, row, _ in windows:
            yield self._row(item) | {
                "augmentation": window.augmentation,
                "row": self._unit.index * self._task.store.rows_per_shard + row,
                "window": window.number,
                "windows": known,
                "start_s": (clip["start_s"] or 0.0)
                + self._grid.start(window.number) / self._settings.frontend.sample_rate,
                "valid_frames": self._valid_frames(window),
                "status": "ok",
                "crc32": checksum(self._values[row]),
            }

    def _transform_windows(self, item: Item) -> Iterator[tuple[ComputedWindow, int, float]]:
        """Windows, the rows of the shard that hold their features, and the seconds the transform took."""
        for window in self._recorded.windows(item):
            started = time.perf_counter()
            made = self._augment_window(item, window)
            self._values[self._used] = compute_row(made.samples, self._settings)
            # The sound itself is done with: a long clip must not pile up here.
            light = replace(made, samples=np.empty(0, np.float32))
            yield light, self._used, time.perf_counter() - started
            self._used += 1

    def _augment_window(self, item: Item, window: Window) -> ComputedWindow:
        """The window as recorded, or as the item's variant has it."""
        variants = self._settings.variants
        if not item.variant or variants is None:
            return ComputedWindow(window.number, window.samples, window.valid)
        from hubbub.audio.effects import apply_effects  # takes a second to import; only those who augment pay

        done = apply_effects(
            window.samples,
            window.valid,
            variants=variants,
            number=item.variant,
            labels=item.clip["labels"],
            clip_id=item.clip["clip_id"],
            window=window.number,
            sample_rate=self._settings.frontend.sample_rate,
        )
        return ComputedWindow(window.number, done.samples, done.valid, done.done)

    def _check_channels(self, item: Item) -> None:
        """Refuse a clip whose channels are examples, and whose table does not say how many these are."""
        if self._settings.channels in ("each", "left-right-mix") and item.clip["channels"] is None:
            raise ChannelMismatch("how many channels it has is unknown to the clip table; index it again")

    def _has_changed(self, item: Item) -> bool:
        """Whether the file is no longer what was indexed: a row would say otherwise."""
        return has_changed(resolve_uri(item.clip["uri"], self._task.root), item.clip["version"])

    def _end_row(self, item: Item) -> dict[str, Any]:
        """What stands for an item that begins where its clip has ended already, shorter than its header says."""
        if item.first_window == 0:
            start_s, says_s = item.clip["start_s"] or 0.0, item.clip["duration_s"] or 0.0
            raise EmptyAudio(f"no sound from {start_s:g} s on (the recording has {says_s:g} s by the clip table)")
        return self._row(item) | {"windows": item.first_window, "status": "ended"}

    def _valid_frames(self, window: ComputedWindow) -> int:
        return n_frames(self._settings.frontend, window.valid)

    def _failed_row(self, item: Item, error: str) -> dict[str, Any]:
        return self._row(item) | {"status": "failed", "error": error}

    def _row(self, item: Item) -> dict[str, Any]:
        own = {"channel": item.channel, "variant": item.variant, "policy_rule": item.policy_rule}
        own |= {"window": item.first_window, "windows": item.windows}
        none = dict.fromkeys(("augmentation", "row", "start_s", "valid_frames", "error", "crc32"))
        return clip_columns(item.clip) | own | none | {"attempts": item.attempt}

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
