"""Sharding: windows divided over units, each of which writes one output shard; arithmetic on arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

_UNITS_WANTED = 16  # of labelling, so that a small set still spreads over workers
_MIN_LABEL_WINDOWS = 16

MAX_LABEL_WINDOWS = 512
"""Windows of a unit of labelling: a model of 10 ms a window takes 5 s for them. A recording that has more is long: it
is scored in segments of so many. A multiple of every batch size, so that a window has the same place in its batch in
a segment as in the whole."""


@dataclass(frozen=True)
class Sharding:
    """Clips cut along shard borders, as arrays.

    Attributes
    ----------
    clip, first_window, n_windows
        int64 [cut]: position of the take in `Plan.todo`, and which windows.
    bounds
        int64 [unit + 1]: unit u holds sharding ``bounds[u]`` to ``bounds[u + 1]``.
    windows, attempt
        int64 [take].
    """

    clip: npt.NDArray[np.int64]
    first_window: npt.NDArray[np.int64]
    n_windows: npt.NDArray[np.int64]
    bounds: npt.NDArray[np.int64]
    windows: npt.NDArray[np.int64]
    attempt: npt.NDArray[np.int64]


@dataclass(frozen=True)
class MissingWindows:
    """What is to be computed: stretches of windows, arrays [stretch], and what each take is like, arrays [take].

    `clip` is a position among the takes that this run makes.
    """

    clip: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    count: npt.NDArray[np.int64]
    windows: npt.NDArray[np.int64]
    attempt: npt.NDArray[np.int64]


def find_gaps(there: npt.NDArray[np.int64] | None, total: int) -> list[tuple[int, int]]:
    """First window and length of each stretch of windows below `total` that is not there."""
    if there is None:
        return [(0, total)]
    absent = np.setdiff1d(np.arange(total), there)
    runs = np.split(absent, np.flatnonzero(np.diff(absent) > 1) + 1)
    return [(int(run[0]), len(run)) for run in runs if len(run)]


def shard_whole_clips(windows: npt.NDArray[np.int64], attempt: npt.NDArray[np.int64]) -> Sharding:
    """Whole clips, one at least a unit, and some 16 units unless those would be very small or very large."""
    most = max(_MIN_LABEL_WINDOWS, min(MAX_LABEL_WINDOWS, int(windows.sum()) // _UNITS_WANTED))
    bounds, held = [0], 0
    for position, count in enumerate(windows.tolist()):
        if held and held + count > most:
            bounds.append(position)
            held = 0
        held += count
    bounds = [*bounds, len(windows)] if len(windows) else bounds
    clip = np.arange(len(windows), dtype=np.int64)
    return Sharding(clip, np.zeros_like(clip), windows, np.array(bounds, np.int64), windows, attempt)


def find_long_units(sharding: Sharding) -> npt.NDArray[np.bool_]:
    """Which units of whole clips are one long recording, bool [unit]; such a one never shares its unit."""
    return sharding.n_windows[sharding.bounds[:-1]] > MAX_LABEL_WINDOWS


def select_units(sharding: Sharding, chosen: npt.NDArray[np.bool_]) -> Sharding:
    """Some of the units, bool [unit], as they are."""
    sizes = np.diff(sharding.bounds)
    kept = np.repeat(chosen, sizes)
    bounds = np.append(0, np.cumsum(sizes[chosen])).astype(np.int64)
    return replace(
        sharding,
        clip=sharding.clip[kept],
        first_window=sharding.first_window[kept],
        n_windows=sharding.n_windows[kept],
        bounds=bounds,
    )


def split_long_recordings(sharding: Sharding) -> tuple[Sharding, npt.NDArray[np.int64]]:
    """Split long recordings into segments, each a unit of its own.

    Returns
    -------
    sharding
        All other units are as they were.
    unit
        int64 [unit]: the unit that each one was, or is a segment of.
    """
    most, is_long = MAX_LABEL_WINDOWS, sharding.n_windows > MAX_LABEL_WINDOWS
    segments = np.where(is_long, -(-sharding.n_windows // most), 1)
    source = np.repeat(np.arange(len(segments)), segments)
    number = np.arange(len(source)) - (np.cumsum(segments) - segments)[source]
    first = np.where(is_long[source], number * most, sharding.first_window[source])
    count = np.where(is_long[source], np.minimum(most, sharding.n_windows[source] - first), sharding.n_windows[source])
    begins = np.isin(source, sharding.bounds[:-1]) & (number == 0) | is_long[source]
    bounds = np.append(np.flatnonzero(begins), len(source)).astype(np.int64)
    unit = np.searchsorted(sharding.bounds, source[bounds[:-1]], side="right") - 1
    return replace(sharding, clip=sharding.clip[source], first_window=first, n_windows=count, bounds=bounds), unit


def weigh_units(sharding: Sharding, size_bytes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What units weigh, float64 [unit]: of each clip the share of its file's bytes that its windows are.

    Parameters
    ----------
    size_bytes
        float64 [take], NaN: unknown. Such a one weighs by its windows, each like one of the others.
    """
    a_window = size_bytes / sharding.windows
    known = np.isfinite(a_window)
    a_window = np.where(known, a_window, a_window[known].mean() if known.any() else 1.0)
    weight = sharding.n_windows * a_window[sharding.clip]
    return np.add.reduceat(weight, sharding.bounds[:-1]) if len(weight) else weight


def assign_shards(missing: MissingWindows, per_shard: int) -> Sharding:
    """Lay all stretches end to end and cut them at stretches' and shards' borders."""
    ends = np.cumsum(missing.count)
    total = int(ends[-1]) if len(ends) else 0
    borders = np.arange(0, total, per_shard)
    begins = ends - missing.count
    starts = np.unique(np.concatenate([begins, borders])).astype(np.int64)
    stretch = np.searchsorted(ends, starts, side="right")
    return Sharding(
        clip=missing.clip[stretch],
        first_window=missing.first[stretch] + starts - begins[stretch],
        n_windows=np.diff(np.append(starts, total)),
        bounds=np.append(np.searchsorted(starts, borders), len(starts)).astype(np.int64),
        windows=missing.windows,
        attempt=missing.attempt,
    )
