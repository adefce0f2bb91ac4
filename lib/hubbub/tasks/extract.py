"""One unit of a store: decode its clips, transform their windows, commit one shard.

The transform is `features`' own frontend here; that of `embed` is in `hubbub.tasks.embed`.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hubbub.audio.frontends import compute_row, n_frames
from hubbub.audio.windows import Window, window_grid
from hubbub.clips.table import has_changed, resolve_uri
from hubbub.config import Settings
from hubbub.errors import ChannelMismatch, EmptyAudio, FileChanged, UsageError
from hubbub.io.paths import StoragePath
from hubbub.io.retry import retry_with_backoff
from hubbub.planning.units import Item, Unit
from hubbub.store.features import FeatureStore
from hubbub.store.rows import checksum, clip_columns
from hubbub.tasks.item_observer import announce_items, is_observed
from hubbub.tasks.recordings import RecordingReader
from hubbub.tasks.result import MOST_REASONS, UnitResult, describe_failure


class Transform(Protocol):
    """Turns windows of sound into rows."""

    @property
    def batch_windows(self) -> int:
        """Windows that it is given at a time, at most: those of several clips together."""

    def __call__(self, samples: npt.NDArray[np.float32], seconds: defaultdict[str, float]) -> npt.NDArray[np.floating]:
        """Transform float32 [window, sample] to [window, frame, band] in the store's dtype, each by itself.

        Parameters
        ----------
        seconds
            Wall time by stage, to which it adds its own.

        Raises
        ------
        NonFiniteFeatures
            A value is not a number, or more than the dtype holds.
        UsageError
            It cannot transform anything: no fault of these windows.
        """


@dataclass(frozen=True)
class FrontendTransform:
    """The store's own frontend, which gains nothing from batches."""

    settings: Settings
    batch_windows: int = 1

    def __call__(self, samples: npt.NDArray[np.float32], seconds: defaultdict[str, float]) -> npt.NDArray[np.floating]:
        """See `Transform`."""
        started = time.perf_counter()
        rows = np.stack([compute_row(window, self.settings) for window in samples])
        seconds["features"] += time.perf_counter() - started
        return rows


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
        BundleError
            When the transform is a model, and cannot be loaded; nothing of the unit then exists.
        """
        draft = _Draft(self, unit, self.make_transform())
        for item in announce_items(unit.items):
            draft.add(item)
        return draft.commit()

    def make_transform(self) -> Transform:
        """Make what turns windows into rows."""
        return FrontendTransform(self.store.settings)


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


@dataclass
class _ItemDraft:
    """An item in the making: its row descriptions, and the slots of the values of those that have some."""

    item: Item
    rows: list[dict[str, Any]]
    slots: range = field(default_factory=lambda: range(0))


class _Draft:
    """A shard in the making. Values of windows wait in slots until all is known; then failed clips' are left out."""

    def __init__(self, task: ExtractTask, unit: Unit, transform: Transform) -> None:
        store = task.store
        self._task, self._unit, self._transform = task, unit, transform
        self._settings = store.settings
        self._grid = window_grid(store.settings)
        shape = (store.rows_per_shard, store.n_frames, store.n_bands)
        self._values = np.full(shape, np.nan, store.settings.dtype)
        self._items: list[_ItemDraft] = []
        self._waiting: list[tuple[int, npt.NDArray[np.float32]]] = []
        self._failures: dict[int, str] = {}
        self._n_slots = 0
        self._recorded = RecordingReader(store.settings, task.root)
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def add(self, item: Item) -> None:
        """Take in one item's windows; on a clip's own failure leave one failed row and none of its values."""
        if item.failure is not None:
            self._items.append(self._fail(item, item.failure))
            return
        before = self._n_slots

        def read_item() -> _ItemDraft:
            self._give_back(before)
            rows = list(self._describe_windows(item)) or [self._end_row(item)]
            return _ItemDraft(item, rows, range(before, self._n_slots))

        try:
            made = retry_with_backoff(read_item)
            self._check_channels(item)
        except UsageError:  # a bucket that cannot be read: all other clips would fail as well, by no fault of theirs
            raise
        except Exception as error:  # whatever a strange file makes a library raise costs that file alone
            made = self._fail(item, describe_failure(error))
        if self._has_changed(item):  # also when it failed: then that is why
            made = self._fail(item, FileChanged("changed since it was indexed; index it again").reason)
        if not made.slots:
            self._give_back(before)
        self._items.append(made)
        if is_observed():  # whoever watches is told of the item whose windows are transformed
            self._transform_waiting()

    def commit(self) -> UnitResult:
        """Write the shard and its row part."""
        self._transform_waiting()
        started = time.perf_counter()
        self._items = [self._fail_if_any_window_did(made) for made in self._items]
        kept = [slot for made in self._items for slot in made.slots]
        if kept != list(range(len(kept))):
            self._values[: len(kept)] = self._values[kept]
        self._values[len(kept) :] = np.nan
        table = pa.Table.from_pylist(list(self._number_rows()), schema=self._task.schema)
        self._task.store.write_shard(self._unit.index, self._values, table)
        self._seconds["store"] += time.perf_counter() - started
        return self._result(len(kept))

    def _give_back(self, first: int) -> None:
        """Free the slots from one on, with what waits for them."""
        self._n_slots = first
        self._waiting = [one for one in self._waiting if one[0] < first]
        self._failures = {slot: why for slot, why in self._failures.items() if slot < first}

    def _describe_windows(self, item: Item) -> Iterator[dict[str, Any]]:
        clip, started = item.clip, time.perf_counter()
        elsewhere_s = sum(self._seconds.values())
        windows = list(self._take_windows(item))
        self._seconds["decode"] += time.perf_counter() - started - (sum(self._seconds.values()) - elsewhere_s)
        # A file may end before its header says: then the clip has the windows that it turned out to have.
        known = item.windows if len(windows) == item.n_windows else item.first_window + len(windows)
        for window in windows:
            yield self._row(item) | {
                "augmentation": window.augmentation,
                "window": window.number,
                "windows": known,
                "start_s": (clip["start_s"] or 0.0)
                + self._grid.start(window.number) / self._settings.frontend.sample_rate,
                "valid_frames": self._valid_frames(window),
                "status": "ok",
            }

    def _take_windows(self, item: Item) -> Iterator[ComputedWindow]:
        """Give the item's windows, whose samples wait for the transform; a batch of them is transformed at once."""
        for window in self._recorded.windows(item):
            made = self._augment_window(item, window)
            self._waiting.append((self._n_slots, made.samples))
            self._n_slots += 1
            if len(self._waiting) >= self._transform.batch_windows:
                self._transform_waiting()
            # The sound itself is done with: a long clip must not pile up here.
            yield replace(made, samples=np.empty(0, np.float32))

    def _transform_waiting(self) -> None:
        """Transform the windows that wait, together; where that fails each by itself, to know which of them it is."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        try:
            rows = self._transform(np.stack([samples for _, samples in waiting]), self._seconds)
            self._values[[slot for slot, _ in waiting]] = rows
        except UsageError:
            raise
        except Exception as error:
            if len(waiting) == 1:
                self._failures[waiting[0][0]] = describe_failure(error)
                return
            for one in waiting:
                self._waiting = [one]
                self._transform_waiting()

    def _fail_if_any_window_did(self, made: _ItemDraft) -> _ItemDraft:
        reason = next((self._failures[slot] for slot in made.slots if slot in self._failures), None)
        return made if reason is None else self._fail(made.item, reason)

    def _number_rows(self) -> Iterator[dict[str, Any]]:
        """Give every row; those with values, which lie in this order, with number and checksum."""
        place = 0
        for made in self._items:
            for row in made.rows:
                if row["status"] == "ok":
                    number = self._unit.index * self._task.store.rows_per_shard + place
                    row |= {"row": number, "crc32": checksum(self._values[place])}
                    place += 1
                yield row

    def _augment_window(self, item: Item, window: Window) -> ComputedWindow:
        """The window as recorded, or as the item's variant has it."""
        variants = self._settings.variants
        if not item.variant or variants is None:
            return ComputedWindow(window.number, window.samples, window.valid)
        from hubbub.audio.effects import apply_effects  # takes a second to import; only those who augment pay

        started = time.perf_counter()
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
        self._seconds["features"] += time.perf_counter() - started
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

    def _fail(self, item: Item, error: str) -> _ItemDraft:
        return _ItemDraft(item, [self._row(item) | {"status": "failed", "error": error}])

    def _row(self, item: Item) -> dict[str, Any]:
        own = {"channel": item.channel, "variant": item.variant, "policy_rule": item.policy_rule}
        own |= {"window": item.first_window, "windows": item.windows}
        none = dict.fromkeys(("augmentation", "row", "start_s", "valid_frames", "error", "crc32"))
        return clip_columns(item.clip) | own | none | {"attempts": item.attempt}

    def _result(self, n_rows: int) -> UnitResult:
        rows = [row for made in self._items for row in made.rows]
        failed = {row["clip_id"]: row for row in rows if row["status"] == "failed"}
        clips = {item.clip["clip_id"]: item.clip for item in self._unit.items}
        window_s = self._settings.windows.duration_s
        return UnitResult(
            unit=self._unit.index,
            ok=len(clips) - len(failed),
            failed=len(failed),
            windows=self._unit.n_windows,
            rows=n_rows,
            audio_s=n_rows * window_s,
            bytes_read=sum(clip["size_bytes"] or 0 for clip in clips.values()),
            seconds=dict(self._seconds),
            reasons=tuple((row["uri"], row["error"]) for row in list(failed.values())[:MOST_REASONS]),
        )
