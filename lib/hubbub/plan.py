"""Clips and what is already done, to units of work: pure arithmetic on tables, before anything starts.

A unit fills one shard. Clips go into units in the order of their table; a clip with more windows than are left
in a shard goes on in the next::

    shard of 4 rows    | a a b b | b c c d | e . . . |
    unit               |    0    |    1    |    2    |

Every unit but the last is full. So when a killed run left units 0 and 2 behind, the windows that are missing make the
same unit 1 again, also those of clips that were begun.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from hubbub.audio.decode import BLOCK_VALUES
from hubbub.audio.frontends import n_frames
from hubbub.audio.windows import Grid, grid_of
from hubbub.clips.table import ClipTable
from hubbub.config import Settings
from hubbub.takes import COLUMNS as TAKE
from hubbub.takes import MIX, NO_RULE, Takes, takes_of, whole_clips

_SHARDS_WANTED = 16  # so that a small set still spreads over workers
_ROWS_LEAST, _ROWS_MOST = 16, 128  # a unit of 16 five-second clips takes 0.13 s, some fifty times Dask's own cost
_INNER_BANDS = 128  # of mel, where a frontend makes its values from them
HELD_BYTES = 16 * 2**20  # of windows of one clip that a worker keeps for its variants
_SHARD_BYTES = 32 * 2**20  # uncompressed; the default's 128 rows of 5 s are 7 MB
_LABEL_WINDOWS_LEAST, _LABEL_WINDOWS_MOST = 16, 512  # a model of 10 ms a window takes 5 s for the most


@dataclass(frozen=True)
class Item:
    """Part of a unit: some windows of one take of a clip.

    Attributes
    ----------
    clip
        The clip's row of the clip table.
    channel, variant, policy_rule
        Which of its takes (`hubbub.takes`).
    first_window, n_windows
        Which windows, by their numbers in the clip.
    windows
        How many the whole clip has, as its header says.
    attempt
        1 at first, one more at every retry.
    """

    clip: dict[str, Any]
    channel: str
    variant: int
    policy_rule: str
    first_window: int
    n_windows: int
    windows: int
    attempt: int


@dataclass(frozen=True)
class Unit:
    """One output shard's worth of work; `index` is the shard's number."""

    index: int
    items: tuple[Item, ...]

    @property
    def n_windows(self) -> int:
        """Windows of all items."""
        return sum(item.n_windows for item in self.items)


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
        Their takes that are to be made, one row each.
    indices
        Numbers of the shards that will be written, in order.
    bytes_to_read
        Sum of the sizes of the files of the clips to do, where known; each counts once, however many takes it has.
    peak_bytes
        The most memory a task takes; see `peak_bytes_of`.
    n_shards
        Shards the store must have room for.
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
    _cuts: Cuts

    def __len__(self) -> int:
        """Units."""
        return len(self.indices)

    @property
    def windows(self) -> int:
        """Windows that will be computed."""
        return int(self._cuts.n_windows.sum())

    def units(self) -> Iterator[Unit]:
        """The units, made one at a time: a plan of a million clips holds arrays, not a million objects."""
        for number, index in enumerate(self.indices):
            begin, end = self._cuts.bounds[number], self._cuts.bounds[number + 1]
            positions = self._cuts.clip[begin:end]
            clips = self.todo.take(pa.array(np.unique(positions))).to_pylist()
            by_position = dict(zip(np.unique(positions).tolist(), clips, strict=True))
            yield Unit(index, tuple(self._item(cut, by_position) for cut in range(begin, end)))

    def _item(self, cut: int, clips: dict[int, dict[str, Any]]) -> Item:
        cuts = self._cuts
        position = int(cuts.clip[cut])
        clip = dict(clips[position])
        return Item(
            channel=clip.pop("channel"),
            variant=clip.pop("variant"),
            policy_rule=clip.pop("policy_rule"),
            clip=clip,
            first_window=int(cuts.first_window[cut]),
            n_windows=int(cuts.n_windows[cut]),
            windows=int(cuts.windows[position]),
            attempt=int(cuts.attempt[position]),
        )


@dataclass(frozen=True)
class Cuts:
    """Clips cut along shard borders, as arrays.

    Attributes
    ----------
    clip, first_window, n_windows
        int64 [cut]: position of the take in `Plan.todo`, and which windows.
    bounds
        int64 [unit + 1]: unit u holds cuts ``bounds[u]`` to ``bounds[u + 1]``.
    windows, attempt
        int64 [take].
    """

    clip: npt.NDArray[np.int64]
    first_window: npt.NDArray[np.int64]
    n_windows: npt.NDArray[np.int64]
    bounds: npt.NDArray[np.int64]
    windows: npt.NDArray[np.int64]
    attempt: npt.NDArray[np.int64]


def plan_features(
    table: ClipTable,
    settings: Settings,
    ledger: pd.DataFrame | None = None,
    committed: tuple[int, ...] | list[int] = (),
    *,
    retry_failed: bool = False,
) -> Plan:
    """Plan which windows of which clips go into which new shards.

    Parameters
    ----------
    table
        The clips.
    settings
        With `layout.rows_per_shard` resolved (`resolved`).
    ledger
        The rows of an existing store that count (`store.rows.current`); None for a new one.
    committed
        Numbers of the shards that exist.
    retry_failed
        Whether clips that failed before are tried again.
    """
    per_shard = settings.layout.rows_per_shard
    assert per_shard is not None  # resolved by the caller
    takes = takes_of(table.rows, settings)
    windows = windows_of(takes.rows, grid_of(settings), settings.frontend.sample_rate)
    states = _states(takes.rows, ledger, retry_failed=retry_failed)
    cuts = _cut(_missing(takes.rows, windows, states, ledger), per_shard)
    return _plan(takes, states, cuts, committed, peak_bytes_of(settings))


def plan_labels(
    table: ClipTable,
    settings: Settings,
    hop_s: float,
    files: pd.DataFrame | None = None,
    committed: tuple[int, ...] | list[int] = (),
    *,
    retry_failed: bool = False,
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
    """
    grid, rate = grid_of(settings, hop_s=hop_s), settings.frontend.sample_rate
    takes = whole_clips(table.rows)
    ledger = None if files is None else files.assign(windows=1, channel=MIX, variant=0, policy_rule=NO_RULE)
    states = _states(takes.rows, ledger, retry_failed=retry_failed)
    windows = windows_of(table.rows, grid, rate)[states.wanted]
    cuts = _whole_cuts(windows, states.attempt[states.wanted])
    # Scores are float16 a label and window, kept until their unit is done; the model itself is not counted.
    block_and_batch = 3 * 4 * BLOCK_VALUES + 2 * 64 * 4 * grid.window
    return _plan(takes, states, cuts, committed, block_and_batch)


def _plan(takes: Takes, states: _States, cuts: Cuts, committed: tuple[int, ...] | list[int], peak_bytes: int) -> Plan:
    indices = _free_indices(len(cuts.bounds) - 1, committed)
    todo_clips = np.unique(takes.clip[states.wanted])
    clips = int(takes.clip[-1]) + 1
    failed_before = takes.clips_where(states.failed & ~states.wanted)
    first = np.unique(takes.clip, return_index=True)[1]
    sizes = pd.Series(takes.rows["size_bytes"].take(pa.array(first[todo_clips])).to_pandas())
    return Plan(
        clips=clips,
        done=clips - takes.clips_where(~states.done),
        failed_before=failed_before,
        todo_clips=len(todo_clips),
        todo=takes.rows.filter(pa.array(states.wanted)),
        indices=indices,
        bytes_to_read=int(sizes.fillna(0).sum()),
        peak_bytes=peak_bytes,
        n_shards=max((*indices, *committed), default=-1) + 1,
        _cuts=cuts,
    )


def resolved(settings: Settings, n_windows: int) -> Settings:
    """Settings with the layout chosen where it was left open: 16 equal shards, of no less than 16 and 128 rows at most.

    Sixteen units are dealt evenly to 1, 2, 4, 8 and 16 workers. A shard is whole chunks, so larger ones are rounded up;
    rows of many bands or of long windows are fewer, that a worker may hold them and a bucket take them at once.
    """
    if settings.layout.rows_per_shard is not None:
        return settings
    chunk, most = settings.layout.rows_per_chunk, max(1, min(_ROWS_MOST, _SHARD_BYTES // row_bytes(settings)))
    rows = min(most, max(_ROWS_LEAST, -(-n_windows // _SHARDS_WANTED)))
    if rows > chunk:
        rows = min(-(-rows // chunk), max(1, most // chunk)) * chunk
    return settings.model_copy(update={"layout": settings.layout.model_copy(update={"rows_per_shard": rows})})


def row_bytes(settings: Settings) -> int:
    """Bytes of one row of a store, before compression."""
    frames = n_frames(settings.frontend, grid_of(settings).window)
    return frames * settings.frontend.n_bands * np.dtype(settings.dtype).itemsize


def windows_of(clips: pa.Table, grid: Grid, rate: int) -> npt.NDArray[np.int64]:
    """Windows each clip is planned to have, int64 [clip]: by its segment and its header; 1 where nothing is known."""
    frame = clips.select(["start_s", "end_s", "duration_s"]).to_pandas().astype(float)
    end_s = np.fmin(frame["end_s"].fillna(np.inf), frame["duration_s"].fillna(np.inf))
    samples = np.round((end_s - frame["start_s"].fillna(0.0)) * rate)
    return np.maximum(1, _counts(np.where(np.isfinite(samples), samples, 1).astype(np.int64), grid))


def peak_bytes_of(settings: Settings) -> int:
    """The most memory one task takes, beyond what a worker takes to start.

    Three times the shard (the rows, as chunks, and compressed), a block as decoded, mixed and resampled (4 bytes a
    value each), a window's samples four times (cut, padded twice, and transformed), and its features twice, with the
    mel bands that some are made from. Where there are variants, a window's samples five times more, and those that
    are kept for them.
    """
    frontend, rows = settings.frontend, settings.layout.rows_per_shard or _ROWS_MOST
    window, itemsize = grid_of(settings).window, np.dtype(frontend.precision).itemsize
    transform = (4 * window + 2 * n_frames(frontend, window) * (frontend.n_bands + _INNER_BANDS)) * itemsize
    varied = 5 * 4 * window + HELD_BYTES if settings.variants is not None else 0
    return 3 * rows * row_bytes(settings) + 3 * 4 * BLOCK_VALUES + transform + varied


def _counts(samples: npt.NDArray[np.int64], grid: Grid) -> npt.NDArray[np.int64]:
    unique, inverse = np.unique(samples, return_inverse=True)
    return np.array([grid.count(int(n)) for n in unique], np.int64)[inverse]


@dataclass(frozen=True)
class _States:
    """Arrays [take]: what is done, what failed before, what this run takes, and what is begun and not failed.

    `attempt` is the number that the next try has, `windows` how many windows a take turned out to have (-1: unknown).
    """

    done: npt.NDArray[np.bool_]
    failed: npt.NDArray[np.bool_]
    wanted: npt.NDArray[np.bool_]
    begun: npt.NDArray[np.bool_]
    attempt: npt.NDArray[np.int64]
    windows: npt.NDArray[np.int64]


def _states(takes: pa.Table, ledger: pd.DataFrame | None, *, retry_failed: bool) -> _States:
    if ledger is None or ledger.empty:
        none = np.zeros(takes.num_rows, bool)
        return _States(none, none, ~none, none, none + np.int64(1), none - np.int64(1))
    # Null versions are content that cannot be told apart: taken as unchanged.
    status = {name: ledger["status"] == name for name in ("ok", "failed")}
    seen = ledger.assign(**status, version=ledger["version"].fillna(""))
    held = seen.groupby([*TAKE, "version"]).agg(
        ok=("ok", "sum"), failed=("failed", "any"), windows=("windows", "min"), tries=("attempts", "max")
    )
    frame = takes.select([*TAKE, "version"]).to_pandas().fillna({"version": ""})
    state = frame.join(held, on=[*TAKE, "version"])
    known = state["windows"].notna().to_numpy(bool)
    failed = known & (state["failed"] == True).to_numpy(bool)  # noqa: E712  null where nothing is known
    done = known & ~failed & (state["ok"] >= state["windows"]).to_numpy(bool)
    begun = known & ~failed & ~done
    # What was begun goes on as the same attempt; what is new counts on from the content that it replaces.
    tries = state["tries"].fillna(_tries_of_other_content(frame, seen)).to_numpy(np.int64)
    attempt = tries + ~begun
    wanted = ~done & (retry_failed | ~failed)
    return _States(done, failed, wanted, begun, attempt, state["windows"].fillna(-1).to_numpy(np.int64))


def _tries_of_other_content(takes: pd.DataFrame, seen: pd.DataFrame) -> pd.Series:
    """The most attempts that a clip has had with other content than it has now, a value a take; 0 where it had none."""
    tries = seen.groupby(["clip_id", "version"])["attempts"].max().reset_index("version")
    now = takes.drop_duplicates("clip_id").set_index("clip_id")["version"]
    others = tries[tries["version"] != now.reindex(tries.index)]["attempts"].groupby(level="clip_id").max()
    return takes["clip_id"].map(others).fillna(0)


@dataclass(frozen=True)
class _Missing:
    """What is to be computed: stretches of windows, arrays [stretch], and what each take is like, arrays [take].

    `clip` is a position among the takes that this run makes.
    """

    clip: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    count: npt.NDArray[np.int64]
    windows: npt.NDArray[np.int64]
    attempt: npt.NDArray[np.int64]


def _missing(takes: pa.Table, windows: npt.NDArray[np.int64], states: _States, ledger: pd.DataFrame | None) -> _Missing:
    """All windows of new takes; of one that was begun, or failed in part, those that are not there."""
    wanted = np.flatnonzero(states.wanted)
    total = np.where(states.windows[wanted] > 0, np.minimum(states.windows[wanted], windows[wanted]), windows[wanted])
    begun = _names(takes, wanted[states.windows[wanted] > 0])
    there = {} if ledger is None else _windows_there(ledger, begun)
    names = _names(takes, wanted) if there else [None] * len(wanted)
    stretches = [
        (position, first, count)
        for position, name in enumerate(names)
        for first, count in _gaps(there.get(name), int(total[position]))
    ]
    clip, first, count = np.array(stretches, np.int64).reshape(-1, 3).T
    return _Missing(clip, first, count, windows=total, attempt=states.attempt[wanted])


def _names(takes: pa.Table, positions: npt.NDArray[np.int64]) -> list[Any]:
    """What tells some takes apart from all others."""
    columns = takes.select(TAKE).take(pa.array(positions)).to_pydict()
    return list(zip(*columns.values(), strict=True))


def _windows_there(ledger: pd.DataFrame, names: list[Any]) -> dict[Any, npt.NDArray[np.int64]]:
    """Numbers of the windows that are ok, sorted, of some takes."""
    clips = {name[0] for name in names}
    ok = ledger[(ledger["status"] == "ok") & ledger["clip_id"].isin(clips)]
    return {name: np.sort(group.to_numpy(np.int64)) for name, group in ok.groupby(TAKE)["window"]}


def _gaps(there: npt.NDArray[np.int64] | None, total: int) -> list[tuple[int, int]]:
    """First window and length of each stretch of windows below `total` that is not there."""
    if there is None:
        return [(0, total)]
    absent = np.setdiff1d(np.arange(total), there)
    runs = np.split(absent, np.flatnonzero(np.diff(absent) > 1) + 1)
    return [(int(run[0]), len(run)) for run in runs if len(run)]


def _whole_cuts(windows: npt.NDArray[np.int64], attempt: npt.NDArray[np.int64]) -> Cuts:
    """Whole clips, one at least a unit, and some 16 units unless those would be very small or very large."""
    most = max(_LABEL_WINDOWS_LEAST, min(_LABEL_WINDOWS_MOST, int(windows.sum()) // _SHARDS_WANTED))
    bounds, held = [0], 0
    for position, count in enumerate(windows.tolist()):
        if held and held + count > most:
            bounds.append(position)
            held = 0
        held += count
    bounds = [*bounds, len(windows)] if len(windows) else bounds
    clip = np.arange(len(windows), dtype=np.int64)
    return Cuts(clip, np.zeros_like(clip), windows, np.array(bounds, np.int64), windows, attempt)


def _cut(missing: _Missing, per_shard: int) -> Cuts:
    """Lay all stretches end to end and cut them at stretches' and shards' borders."""
    ends = np.cumsum(missing.count)
    total = int(ends[-1]) if len(ends) else 0
    borders = np.arange(0, total, per_shard)
    begins = ends - missing.count
    starts = np.unique(np.concatenate([begins, borders])).astype(np.int64)
    stretch = np.searchsorted(ends, starts, side="right")
    return Cuts(
        clip=missing.clip[stretch],
        first_window=missing.first[stretch] + starts - begins[stretch],
        n_windows=np.diff(np.append(starts, total)),
        bounds=np.append(np.searchsorted(starts, borders), len(starts)).astype(np.int64),
        windows=missing.windows,
        attempt=missing.attempt,
    )


def _free_indices(n_units: int, committed: tuple[int, ...] | list[int]) -> tuple[int, ...]:
    """The lowest shard numbers that no row part has taken: holes that a killed run left are filled first."""
    taken = set(committed)
    free = (index for index in range(n_units + len(taken)) if index not in taken)
    return tuple(next(free) for _ in range(n_units))
