"""Frequencies of events, where the table carries them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from hubbub.clips.annotations import BAND_COLUMNS
from hubbub.labels.export._source import read_numbers


def find_bands(events: pd.DataFrame) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the lowest and the highest frequency of each event, Hz; both NaN where the two are no band.

    They come from the columns `low_hz` and `high_hz`.
    """
    if not {*BAND_COLUMNS} <= {*events.columns}:
        unknown = np.full(len(events), np.nan)
        return unknown, unknown.copy()
    low_hz, high_hz = (read_numbers(events, column).to_numpy() for column in BAND_COLUMNS)
    is_band = (low_hz >= 0) & (high_hz > low_hz) & np.isfinite(high_hz)
    return np.where(is_band, low_hz, np.nan), np.where(is_band, high_hz, np.nan)
