"""Time limits of units, from their bytes and windows.

A limit is no estimate. It is some fifty times what a slow core takes, so that only what will never end meets it: a
decoder in a loop, a file system that does not answer. Too short a limit costs good recordings, too long a one some
waiting.
"""

from __future__ import annotations

import math
import os

from hubbub.errors import UsageError

TIME_LIMIT_VARIABLE = "HUBBUB_TIME_LIMIT_S"
"""Environment variable that gives other base seconds than `BASE_S`."""

BASE_S = 300.0
"""For whatever does not grow with the work: importing Keras and loading a model from a slow share, a bucket that is
asked again and again, a worker that has to share its core."""

_BYTES_A_SECOND = 250_000
"""Read and decoded; a bucket far away gives ten times that, a core decodes a hundred times as much FLAC."""

_WINDOW_S = 0.25
"""A window resampled, transformed, scored and stored; ten milliseconds on an ordinary core."""


def time_limit_s(size_bytes: float, windows: int) -> float:
    """Seconds after which a unit is thought to hang: the base, plus a time for its bytes and one for its windows.

    Parameters
    ----------
    size_bytes
        Of the files that it reads, whole, since some are decoded from their start; 0 where that is unknown.
    windows
        How many it goes through.

    Raises
    ------
    UsageError
        When the environment gives a base that is no number of seconds above 0.

    Examples
    --------
    A day of FLAC, 2 GB, of which a unit takes 128 windows, has two hours and twenty minutes:

    >>> time_limit_s(2e9, 128)
    8332.0
    """
    return _base_s() + size_bytes / _BYTES_A_SECOND + _WINDOW_S * windows


def _base_s() -> float:
    said = os.environ.get(TIME_LIMIT_VARIABLE)
    if said is None:
        return BASE_S
    try:
        base_s = float(said)
    except ValueError:
        base_s = math.nan
    if not 0 < base_s < math.inf:
        example = f"{TIME_LIMIT_VARIABLE}={BASE_S:g}"
        raise UsageError(f"{TIME_LIMIT_VARIABLE}={said}: expected a number of seconds above 0, such as {example}")
    return base_s
