"""When something sounds in a clip: the stretches whose level stands out, pauses within them included.

One rule for all of hubbub: it makes the frame targets that `detector` trains on, and the true events of mixed scenes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

RANGE_DB = 30.0
"""A frame is active down to this far below the loudest: a listener follows a decay about so far in a quiet place."""

STEADY_DB = 12.0
"""A clip whose level varies by less, from its quietest tenth to its loudest frames, sounds all the time, as rain."""

ABOVE_FLOOR = 0.35
"""Where a clip has noise of its own, how far above it a frame must be, as a share of the way to the loudest."""

PAUSE_S = 1.0
"""A pause up to this long belongs to the event around it, as between ticks of a clock."""

SILENCE_BELOW_DB = 80.0
"""What lies this far below the loudest frame is silence that someone padded, not noise of the clip's own."""


def find_active_frames(level_db: npt.NDArray[np.floating], frame_s: float) -> npt.NDArray[np.bool_]:
    """Return which frames of a clip are active.

    Parameters
    ----------
    level_db
        float [frame], level of each frame in dB.
    frame_s
        Seconds from one frame to the next.

    Returns
    -------
    active
        bool [frame]; pauses up to `PAUSE_S` between active frames are active.
    """
    if not len(level_db):
        return np.zeros(0, bool)
    level_db = np.asarray(level_db, np.float64)
    peak_db = float(level_db.max())
    audible = level_db[level_db > peak_db - SILENCE_BELOW_DB]
    floor_db = _find_percentile(audible, 10)
    if peak_db - floor_db < STEADY_DB:
        active = level_db > peak_db - RANGE_DB
    else:
        active = level_db > max(peak_db - RANGE_DB, floor_db + ABOVE_FLOOR * (peak_db - floor_db))
    return close_pauses(active, round(PAUSE_S / frame_s))


def _find_percentile(values: npt.NDArray[np.floating], percent: float) -> float:
    """`numpy.percentile` of one line of numbers, in a tenth of its time: it is asked for of every sound of a scene."""
    place = percent / 100 * (len(values) - 1)
    below = int(place)
    above = min(below + 1, len(values) - 1)
    parted = np.partition(values, (below, above))
    return float(parted[below] + (place - below) * (parted[above] - parted[below]))


def close_pauses(active: npt.NDArray[np.bool_], longest: int) -> npt.NDArray[np.bool_]:
    """Mark pauses of up to `longest` frames between active frames as active; bool [frame]."""
    closed = active.copy()
    first, stop = find_runs(~active)
    for begin, end in zip(first, stop, strict=True):
        if 0 < begin and end < len(active) and end - begin <= longest:
            closed[begin:end] = True
    return closed


def find_runs(active: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the first frame and the one after the last of each run of True."""
    steps = np.diff(active.astype(np.int8), prepend=0, append=0)
    return np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
