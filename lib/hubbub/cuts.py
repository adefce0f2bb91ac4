"""Stretches of windows laid end to end and cut into units, as arrays: pure arithmetic of a plan (`hubbub.plan`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_UNITS_WANTED = 16  # of labelling, so that a small set still spreads over workers
_LABEL_WINDOWS_LEAST, _LABEL_WINDOWS_MOST = 16, 512  # a model of 10 ms a window takes 5 s for the most


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


@dataclass(frozen=True)
class Missing:
    """What is to be computed: stretches of windows, arrays [stretch], and what each take is like, arrays [take].

    `clip` is a position among the takes that this run makes.
    """

    clip: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    count: npt.NDArray[np.int64]
    windows: npt.NDArray[np.int64]
    attempt: npt.NDArray[np.int64]


def gaps(there: npt.NDArray[np.int64] | None, total: int) -> list[tuple[int, int]]:
    """First window and length of each stretch of windows below `total` that is not there."""
    if there is None:
        return [(0, total)]
    absent = np.setdiff1d(np.arange(total), there)
    runs = np.split(absent, np.flatnonzero(np.diff(absent) > 1) + 1)
    return [(int(run[0]), len(run)) for run in runs if len(run)]


def whole_cuts(windows: npt.NDArray[np.int64], attempt: npt.NDArray[np.int64]) -> Cuts:
    """Whole clips, one at least a unit, and some 16 units unless those would be very small or very large."""
    most = max(_LABEL_WINDOWS_LEAST, min(_LABEL_WINDOWS_MOST, int(windows.sum()) // _UNITS_WANTED))
    bounds, held = [0], 0
    for position, count in enumerate(windows.tolist()):
        if held and held + count > most:
            bounds.append(position)
            held = 0
        held += count
    bounds = [*bounds, len(windows)] if len(windows) else bounds
    clip = np.arange(len(windows), dtype=np.int64)
    return Cuts(clip, np.zeros_like(clip), windows, np.array(bounds, np.int64), windows, attempt)


def cut(missing: Missing, per_shard: int) -> Cuts:
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
