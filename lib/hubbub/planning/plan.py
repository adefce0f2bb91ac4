"""Plan a run: clips, and the rows that a store has of them, to units of work; arithmetic on tables.

A unit fills one shard. Clips go into units in the order of a hash of their uris (`hubbub.planning.dealing`), files to
label in the order of their table; a clip with more windows than are left in a shard goes on in the next::

    shard of 4 rows    | a a b b | b c c d | e . . . |
    unit               |    0    |    1    |    2    |

Every unit but the last is full. So when a killed run left units 0 and 2 behind, the windows that are missing make the
same unit 1 again, also those of clips that were begun.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from hubbub.audio.decode import BLOCK_VALUES
from hubbub.audio.windows import WindowGrid, window_grid
from hubbub.clips.examples import MIX, NO_RULE, Examples, expand_examples, one_example_each
from hubbub.clips.table import ClipTable
from hubbub.config import Settings
from hubbub.planning.dealing import deal
from hubbub.planning.reconcile import Reconciliation, TableChanges, reconcile
from hubbub.planning.sharding import (
    MissingWindows,
    Sharding,
    assign_shards,
    find_gaps,
    find_long_units,
    select_units,
    shard_whole_clips,
    split_long_recordings,
    weigh_units,
)
from hubbub.planning.sizes import count_windows, estimate_peak_bytes
from hubbub.planning.units import Item, SegmentUnit, Unit


@dataclass(frozen=True)
class Plan:
    """What a run will do; immutable, printable, refusable.

    Attributes
    ----------
    clips
        Clips in the table.
    done
        Of these, clips whose content and settings are in the store already.
    failed_before
        Of these, clips that failed in earlier runs and are left alone.
    todo_clips
        The other clips.
    todo
        Their examples that are to be made, one row each.
    indices
        Numbers of the shards that will be written, in order.
    bytes_to_read
        Sum of the sizes of the files of the clips to do, where known; each counts once, however many examples it has.
    peak_bytes
        The most memory a task examples; see `estimate_peak_bytes`.
    n_shards
        Shards the store must have room for.
    changes
        Clips that are new, changed, missing or restored.
    """

    clips: int
    done: int
    failed_before: int
    todo_clips: int
    todo: pa.Table
    indices: tuple[int, ...]
    bytes_to_read: int
    peak_bytes: int
    n_shards: int
    changes: TableChanges
    _sharding: Sharding
    _has_segments: bool = field(default=False, kw_only=True)

    def __len__(self) -> int:
        """Units."""
        return len(self.indices)

    @property
    def windows(self) -> int:
        """Windows that will be computed."""
        return int(self._sharding.n_windows.sum())

    @property
    def shares(self) -> int:
        """Clips of all units, each counted once for every unit that has windows of it."""
        unit = np.repeat(np.arange(len(self)), np.diff(self._sharding.bounds))
        clip = pd.factorize(self.todo["clip_id"].to_pandas())[0][self._sharding.clip]
        return len(np.unique(unit * (int(clip.max(initial=0)) + 1) + clip))

    @property
    def new_clips(self) -> int:
        """Clips of the table that the store has never seen."""
        return self.changes.new

    @property
    def changed_clips(self) -> int:
        """Clips that the store has with other content only."""
        return self.changes.changed

    @property
    def missing_clips(self) -> int:
        """Clips that count in the store, and are not in the table."""
        return self.changes.missing

    @property
    def restored_clips(self) -> int:
        """Clips of the table that have retired rows of their content, which are brought back and not made again."""
        return self.changes.restored

    def units(self) -> Iterator[Unit]:
        """The units, the one with the most bytes to read first, so that no worker is left with a large one at the end.

        They are made one at a time: a plan of a million clips holds arrays, not a million objects. Those that weigh
        the same come in the order of the table.
        """
        sizes = pd.to_numeric(self.todo["size_bytes"].to_pandas()).to_numpy(np.float64, na_value=np.nan)
        for number in np.argsort(-weigh_units(self._sharding, sizes), kind="stable").tolist():
            yield self._unit(number)

    def phases(self) -> tuple[Plan, ...]:
        """What labelling does one after the other; nothing where nothing is to do.

        Pieces of long recordings and all other units come first; then the units of the long recordings, which put the
        segments together. Windows are planned in both.
        """
        if not len(self):
            return ()
        is_long = find_long_units(self._sharding)
        if not is_long.any():
            return (self,)
        sharding, unit = split_long_recordings(self._sharding)
        own = np.array(self.indices)[unit]
        is_piece = is_long[unit]
        own[is_piece] = self.n_shards + np.arange(is_piece.sum())
        first = replace(self, indices=tuple(own.tolist()), _sharding=sharding, _has_segments=True)
        indices = tuple(np.array(self.indices)[is_long].tolist())
        return first, replace(self, indices=indices, _sharding=select_units(self._sharding, is_long))

    def _unit(self, number: int) -> Unit:
        begin, end = self._sharding.bounds[number], self._sharding.bounds[number + 1]
        positions = np.unique(self._sharding.clip[begin:end])
        first, count = int(positions[0]), len(positions)
        is_stretch = int(positions[-1]) - first + 1 == count  # of which nothing need be copied
        held = self.todo.slice(first, count) if is_stretch else self.todo.take(pa.array(positions))
        by_position = dict(zip(positions.tolist(), held.to_pylist(), strict=True))
        items = tuple(self._item(entry, by_position) for entry in range(begin, end))
        is_segment = self._has_segments and items[0].n_windows < items[0].windows
        return (SegmentUnit if is_segment else Unit)(self.indices[number], items)

    def _item(self, entry: int, clips: dict[int, dict[str, Any]]) -> Item:
        sharding = self._sharding
        position = int(sharding.clip[entry])
        clip = dict(clips[position])
        return Item(
            channel=clip.pop("channel"),
            variant=clip.pop("variant"),
            policy_rule=clip.pop("policy_rule"),
            clip=clip,
            first_window=int(sharding.first_window[entry]),
            n_windows=int(sharding.n_windows[entry]),
            windows=int(sharding.windows[position]),
            attempt=int(sharding.attempt[position]),
        )


def plan_features(
    table: ClipTable,
    settings: Settings,
    row_index: pd.DataFrame | None = None,
    committed: tuple[int, ...] | list[int] = (),
    *,
    retry_failed: bool = False,
    first_shard: int = 0,
) -> Plan:
    """Plan which windows of which clips go into which new shards.

    Parameters
    ----------
    table
        The clips.
    settings
        With `layout.rows_per_shard` resolved (`choose_layout`).
    row_index
        What an existing store holds (`FeatureStore.progress`); None for a new one.
    committed
        Numbers of the shards that exist.
    retry_failed
        Whether clips that failed before are tried again.
    first_shard
        Lowest number that a new shard may have.
    """
    per_shard = settings.layout.rows_per_shard
    assert per_shard is not None  # resolved by the caller
    examples = expand_examples(table.rows, settings)
    windows = count_windows(examples.rows, window_grid(settings), settings.frontend.sample_rate)
    reconciliation = reconcile(examples, row_index, retry_failed=retry_failed)
    wanted = np.flatnonzero(reconciliation.wanted)
    # Only what is wanted is dealt: a table of a million clips that are done is not copied.
    wanted = wanted[deal(examples.rows["uri"].take(pa.array(wanted)))]
    sharding = assign_shards(_find_missing_windows(windows, wanted, reconciliation), per_shard)
    return _make_plan(examples, wanted, reconciliation, sharding, committed, estimate_peak_bytes(settings), first_shard)


def plan_labels(
    table: ClipTable,
    settings: Settings,
    hop_s: float,
    files: pd.DataFrame | None = None,
    committed: tuple[int, ...] | list[int] = (),
    *,
    retry_failed: bool = False,
    chunks: WindowGrid | None = None,
    block_samples: int | None = None,
) -> Plan:
    """Plan which files are labelled by which unit; whole files, because an event may cross any window.

    Parameters
    ----------
    table
        The files.
    settings
        Of the model's features.
    hop_s
        Seconds from one window to the next.
    files
        Files of existing label tables (`LabelTables.files`); None for new ones.
    committed
        Numbers of the units that exist.
    retry_failed
        Whether files that failed before are tried again.
    chunks, block_samples
        Of a model that hears a stream: the chunks that count as windows, and the samples scored at a time.
    """
    grid, rate = chunks or window_grid(settings, hop_s=hop_s), settings.frontend.sample_rate
    examples = one_example_each(table.rows)
    row_index = None if files is None else files.assign(windows=1, channel=MIX, variant=0, policy_rule=NO_RULE)
    reconciliation = reconcile(examples, row_index, retry_failed=retry_failed)
    wanted = np.flatnonzero(reconciliation.wanted)
    windows = count_windows(table.rows, grid, rate)[wanted]
    sharding = shard_whole_clips(windows, reconciliation.attempt[wanted])
    # Scores are float16 a label and window, kept until their unit is done; the model itself is not counted.
    block_and_batch = 3 * 4 * BLOCK_VALUES + (2 * 64 * 4 * grid.window if block_samples is None else 24 * block_samples)
    return _make_plan(examples, wanted, reconciliation, sharding, committed, block_and_batch)


def _make_plan(
    examples: Examples,
    wanted: npt.NDArray[np.int64],
    reconciliation: Reconciliation,
    sharding: Sharding,
    committed: tuple[int, ...] | list[int],
    peak_bytes: int,
    first_shard: int = 0,
) -> Plan:
    indices = _free_indices(len(sharding.bounds) - 1, committed, first_shard)
    todo_clips = np.unique(examples.clip[wanted])
    clips = int(examples.clip[-1]) + 1
    failed_before = examples.count_clips(reconciliation.failed & ~reconciliation.wanted)
    first = np.unique(examples.clip, return_index=True)[1]
    sizes = pd.Series(examples.rows["size_bytes"].take(pa.array(first[todo_clips])).to_pandas())
    return Plan(
        clips=clips,
        done=clips - examples.count_clips(~reconciliation.done),
        failed_before=failed_before,
        todo_clips=len(todo_clips),
        todo=examples.rows.take(pa.array(wanted)),
        indices=indices,
        bytes_to_read=int(sizes.fillna(0).sum()),
        peak_bytes=peak_bytes,
        n_shards=max((*indices, *committed), default=-1) + 1,
        changes=reconciliation.changes,
        _sharding=sharding,
    )


def _find_missing_windows(
    windows: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64], reconciliation: Reconciliation
) -> MissingWindows:
    """All windows of new examples; of one that was begun, or failed in part, those that are not there.

    `windows` are those of all examples, `wanted` the positions of the examples to make, in the order of their units.
    """
    total = np.where(
        reconciliation.windows[wanted] > 0, np.minimum(reconciliation.windows[wanted], windows[wanted]), windows[wanted]
    )
    begun = np.flatnonzero(reconciliation.windows[wanted] > 0)
    new = np.setdiff1d(np.arange(len(wanted)), begun)
    begun_gaps = [
        (position, first, count)
        for position in begun.tolist()
        for first, count in find_gaps(reconciliation.stored_windows(int(wanted[position])), int(total[position]))
    ]
    stretches = np.stack([new, np.zeros_like(new), total[new]], axis=1)
    stretches = np.concatenate([stretches, np.array(begun_gaps, np.int64).reshape(-1, 3)])
    clip, first, count = stretches[np.argsort(stretches[:, 0], kind="stable")].T
    return MissingWindows(clip, first, count, windows=total, attempt=reconciliation.attempt[wanted])


def _free_indices(n_units: int, committed: tuple[int, ...] | list[int], first: int) -> tuple[int, ...]:
    """The lowest shard numbers from `first` on that no row part has: holes that a killed run left are filled first."""
    taken = set(committed)
    free = (index for index in range(first, first + n_units + len(taken)) if index not in taken)
    return tuple(next(free) for _ in range(n_units))
