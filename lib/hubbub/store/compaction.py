"""Compaction: current rows into full shards beside the old ones, and one swap at the end.

::

    shards   0 a b . .   1 c . . .   2 d e f g        numbers of old shards are never given again
                                                 3 a b c d   4 e f g .     written beside, under new numbers
    first_shard: 0  ............................. first_shard: 3           the swap: one small file
    rows/    0 1 2  ..........  0 1 2 3 4  ...... 3 4                      then old row parts go
    c/       0 1 2  ..........  0 1 2 3 4  .............. 0 1 2 3 4        objects stay for readers, until pruned

Until the swap, old and new rows stand side by side; `store.rows.select_current` counts equal rows once. The attribute
`compacting` holds the first of the new shard numbers, so that the next run resumes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hubbub.clips.examples import EXAMPLE_COLUMNS as EXAMPLE
from hubbub.config import Settings
from hubbub.errors import StoreError
from hubbub.io.atomic import read_bytes
from hubbub.io.folders import list_sizes, remove_file, remove_tree
from hubbub.io.lock import WriteLock
from hubbub.io.text import count_noun
from hubbub.planning.sizes import row_bytes
from hubbub.planning.time_limits import time_limit_s
from hubbub.store.arrays import DOCUMENT, read_row_count
from hubbub.store.features import FeatureStore
from hubbub.store.opening import open_store
from hubbub.store.parts import list_part_numbers, part_path
from hubbub.store.rows import select_current, select_usable

_KEPT = [*EXAMPLE, "window", "windows", "status", "attempts", "version", "crc32"]
"""What must be the same of every row before and after."""

_SOURCE_BYTES = 4 * 2**20  # of a shard whose part and index are read, and some of its chunks
_SHARDS_HELD = 4  # by a task: values as read, the new shard, and that as chunks and compressed


@dataclass(frozen=True)
class SourceShard:
    """Rows of one old shard: its number, and their positions in its row part."""

    shard: int
    positions: tuple[int, ...]


@dataclass(frozen=True)
class CompactUnit:
    """One new shard's worth of rows; `index` is the shard's number, `items` says where they are, in order."""

    index: int
    items: tuple[SourceShard, ...]

    @property
    def n_rows(self) -> int:
        """Rows, those without values too."""
        return sum(len(source.positions) for source in self.items)

    @property
    def time_limit_s(self) -> float:
        """Seconds after which it is thought to hang: by its rows, and the shards that they are read from."""
        return time_limit_s(len(self.items) * _SOURCE_BYTES, self.n_rows)


@dataclass(frozen=True)
class Compaction:
    """What a compaction will do; immutable, printable.

    Attributes
    ----------
    live
        The rows that count, in the order in which they will lie, with their `shard` and `position` in its row part.
    parts
        Row parts that the store has, of old and new shards.
    begins
        Number of the first new shard.
    bounds
        int64 [unit + 1]: unit u holds the rows ``todo[bounds[u]:bounds[u + 1]]``.
    indices
        Numbers of the shards that will be written, in order.
    is_begun
        Whether an earlier run began it.
    row_bytes
        Of a row's values.
    peak_bytes
        The most memory a task takes: four shards.
    """

    live: pd.DataFrame
    parts: int
    begins: int
    bounds: npt.NDArray[np.int64]
    indices: tuple[int, ...]
    is_begun: bool
    row_bytes: int
    peak_bytes: int

    def __len__(self) -> int:
        """Units."""
        return len(self.indices)

    @property
    def todo(self) -> pd.DataFrame:
        """Rows that are not in new shards yet."""
        return self.live[self.live["shard"] < self.begins]

    @property
    def parts_after(self) -> int:
        """Row parts when it is done."""
        return len(self) + int(self.live["shard"][self.live["shard"] >= self.begins].nunique())

    @property
    def is_needed(self) -> bool:
        """Whether there will be fewer parts; what was begun is brought to its end in any case."""
        return self.is_begun or self.parts_after < self.parts

    @property
    def bytes_to_move(self) -> int:
        """Bytes of values that are read, and written again, before compression."""
        return int((self.todo["status"] == "ok").sum()) * self.row_bytes

    def units(self) -> Iterator[CompactUnit]:
        """The units, made one at a time."""
        todo = self.todo
        shard, position = todo["shard"].to_numpy(np.int64), todo["position"].to_numpy(np.int64)
        for index, begin_compaction, end in zip(self.indices, self.bounds[:-1], self.bounds[1:], strict=True):
            cuts = np.flatnonzero(np.diff(shard[begin_compaction:end])) + 1
            positions = np.split(position[begin_compaction:end], cuts)
            shards = shard[begin_compaction:end][np.concatenate([[0], cuts])]
            yield CompactUnit(
                index,
                tuple(
                    SourceShard(int(number), tuple(at.tolist())) for number, at in zip(shards, positions, strict=True)
                ),
            )


def plan_compaction(store: FeatureStore) -> Compaction:
    """Plan which rows go into which new shards.

    Raises
    ------
    StoreError
        For a row part that is torn or foreign.
    """
    settings, numbers = store.settings, _read_current_rows(store)
    live = select_live_rows(_read_row_index(store), settings)
    compacting = store.provenance.get("compacting")
    begins = compacting["from"] if compacting else _list_unused_shards(store)
    bounds = _bounds(live[live["shard"] < begins]["status"] == "ok", store.rows_per_shard)
    taken = set(numbers)
    free = (number for number in range(begins, begins + len(bounds) + len(numbers)) if number not in taken)
    return Compaction(
        live=live,
        parts=len(numbers),
        begins=begins,
        bounds=bounds,
        indices=tuple(next(free) for _ in range(len(bounds) - 1)),
        is_begun=bool(compacting),
        row_bytes=row_bytes(settings),
        peak_bytes=_SHARDS_HELD * store.rows_per_shard * row_bytes(settings),
    )


def select_live_rows(row_index: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Rows of a row index that a compaction keeps, sorted by shard and `position` in its row part.

    They are all that count, also those without values: failed, and ended. Left out are retired rows, rows that others
    have replaced, and variants that the policy no longer makes of their clip.
    """
    counting = select_current(row_index.assign(position=row_index.groupby("shard").cumcount()))
    if settings.variants is not None:
        is_ok = counting["status"] == "ok"
        # By themselves: rows of a take that failed elsewhere spare the next try their windows.
        counting = pd.concat([select_usable(counting[is_ok], settings), counting[~is_ok]])
    return counting.sort_values(["shard", "position"], kind="stable", ignore_index=True)


def begin_compaction(store: FeatureStore, plan: Compaction, lock: WriteLock) -> FeatureStore:
    """Write down where the new shards begin, and make room for them; returns the store as it then is, to write to."""
    if not plan.is_begun:
        store.note(compacting={"from": plan.begins})
    store.grow(max((*plan.indices, plan.begins - 1)) + 1)
    return replace(open_store(store.path), holder=lock.holder)


def swap_shards(store: FeatureStore, plan: Compaction, lock: WriteLock) -> None:
    """Let the new shards be the store, once all are there, and remove the old row parts.

    Raises
    ------
    StoreError
        When a row that counts is not in the new shards, or not as it was; the store then stays as it is.
    StorageError
        When another has taken the store over, or it cannot be written.
    """
    after = select_live_rows(_read_row_index(store), store.settings)
    new = set(after["shard"])
    absent = sorted(new - set(store.shards_there()))
    if len(behind := after[after["shard"] < plan.begins]) or absent or not _same_rows(plan.live, after):
        what = (
            f"{count_noun(len(behind), 'row')} that count are in no new shard"
            if len(behind)
            else "rows are not what they were"
        )
        what = f"the object of shard {absent[0]} is missing" if absent else what
        raise StoreError(
            f"{store.path}: {what}; the old shards stay in use. Run: hubbub verify {store.path} --repair, "
            "then compact again"
        )
    lock.check()
    store.note(first_shard=plan.begins, compacting=None)
    remove_old_parts(open_store(store.path))


def list_old_parts(store: FeatureStore) -> list[int]:
    """Numbers of row parts that a compaction replaced, and was killed before it removed them."""
    return [number for number in list_part_numbers(store.rows_folder) if number < store.first_shard]


def remove_old_parts(store: FeatureStore) -> None:
    """Remove the row parts that a compaction replaced."""
    for number in list_old_parts(store):
        remove_file(part_path(store.rows_folder, number))


def find_prunable_shards(store: FeatureStore) -> dict[int, int]:
    """Bytes of each shard object that only readers of before a compaction need."""
    held: dict[int, int] = {}
    for name, count in list_sizes(store.array_path / "c").items():
        shard = name.partition("/")[0]
        if shard.isdecimal() and int(shard) < store.first_shard:
            held[int(shard)] = held.get(int(shard), 0) + count
    return held


def prune_shards(store: FeatureStore) -> int:
    """Remove the shard objects of before the last compaction; returns how many bytes that frees."""
    held = find_prunable_shards(store)
    for shard in sorted(held):
        remove_tree(store.array_path / "c" / str(shard))
    return sum(held.values())


def _read_row_index(store: FeatureStore) -> pd.DataFrame:
    """What decides which rows count, of the parts that do: labels are many bytes, and only a policy asks for them."""
    labels = [] if store.settings.variants is None else ["labels"]
    row_index = store.row_index([*_KEPT, *labels])
    return row_index[row_index["shard"] >= store.first_shard]


def _read_current_rows(store: FeatureStore) -> list[int]:
    return [number for number in store.committed() if number >= store.first_shard]


def _list_unused_shards(store: FeatureStore) -> int:
    """The lowest number above all that any shard ever had: the array had room for each, and never shrinks."""
    room = -(-read_row_count(read_bytes(store.array_path / DOCUMENT)) // store.rows_per_shard)
    return max(room, store.first_shard, max((*store.committed(), *store.shards_there()), default=-1) + 1)


def _bounds(is_ok: Any, rows_per_shard: int) -> npt.NDArray[np.int64]:
    """Where full shards end, int64 [unit + 1]; rows without values lie with the one before them, and fill nothing."""
    ok = np.asarray(is_ok, np.int64)
    unit = np.maximum(np.cumsum(ok) - 1, 0) // rows_per_shard
    return np.append(np.unique(unit, return_index=True)[1], len(ok)).astype(np.int64) if len(ok) else np.zeros(1, int)


def _same_rows(before: pd.DataFrame, after: pd.DataFrame) -> bool:
    one, other = (
        frame[_KEPT].sort_values([*EXAMPLE, "window"], kind="stable", ignore_index=True) for frame in (before, after)
    )
    return one.equals(other)
