"""Crops: the part of a stored row that a model gets, all of it or, with `windows.mode` ``random``, a crop.

::

    row       |. . . . . . . . . . = = =|    . audio, = padding
    random          |. . . .|                for training: anywhere in the audio, elsewhere at every epoch
    covering  |. . . .|                      for everything else: as few as hold all of the audio, evenly spread
                    |. . . .|
                          |. . . .|

A crop of a frontend in decibels is floored, and referenced, against its own peak. It then equals what the frontend
makes of that span of audio, except in the frames next to its edges (`edge_frames`), which here see the audio beyond
and there see zeros. That holds where rows keep what lies below their own floor; settings refuse to crop frontends of
which it would not hold (`Frames.not_local`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from hubbub.audio.frontends import n_frames
from hubbub.audio.windows import window_grid
from hubbub.config import Settings
from hubbub.learn.augment import Scale


@dataclass(frozen=True)
class Crops:
    """One crop of each of some rows."""

    begin: npt.NDArray[np.int64]
    """int64 [row], first frame."""

    n_frames: int
    """Frames of a crop."""

    scale: Scale | None = None
    """Decibels whose floor and reference every crop gets; None leaves values as stored."""

    def take(self, which: npt.NDArray[np.int64] | slice) -> Crops:
        """Crops of some of the rows."""
        return replace(self, begin=self.begin[which])

    def cut(self, values: npt.NDArray[np.floating], places: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Cut the crops out of rows.

        Parameters
        ----------
        values
            [row, frame, band], rows as stored.
        places
            int64 [crop], the row of each crop, which may be the same for several.

        Returns
        -------
        features
            float32 [crop, frame, band].
        """
        frames = self.begin[:, None] + np.arange(self.n_frames)[None, :]
        features = values[places[:, None], frames].astype(np.float32)
        return features if self.scale is None else self.scale.apply(features)


def input_frames(settings: Settings) -> int:
    """Frames of the model's input."""
    return n_frames(settings.frontend, window_grid(settings, hop_s=settings.windows.input_s).window)


def edge_frames(settings: Settings) -> int:
    """Frames at each end of a window whose transform reaches beyond it."""
    return -(-(settings.frontend.n_fft // 2) // settings.frontend.hop_samples)


def random_crops(settings: Settings, rows: pd.DataFrame, *, seed: int, epoch: int) -> Crops | None:
    """Draw one crop of each row, within its valid frames; from its first frame where these are fewer than a crop's.

    Parameters
    ----------
    settings
        The store's.
    rows
        With columns `row` and `valid_frames`.
    seed, epoch
        With the row's number they decide where its crop begins; which other rows there are does not.

    Returns
    -------
    crops
        In the order of `rows`; None where the model takes whole rows.
    """
    if settings.windows.crop_s is None:
        return None
    count = input_frames(settings)
    numbers = rows["row"].to_numpy(np.int64)
    drawn = np.random.default_rng([seed, epoch, 1]).random(int(numbers.max(initial=-1)) + 1)[numbers]
    last = np.maximum(rows["valid_frames"].to_numpy(np.int64) - count, 0)
    return Crops(np.floor(drawn * (last + 1)).astype(np.int64), count, _scale(settings))


def covering_crops(settings: Settings, rows: pd.DataFrame) -> tuple[pd.DataFrame, Crops | None]:
    """Cover each row's valid frames with as few crops as do, evenly spread.

    Returns
    -------
    rows
        Each as often as it has crops.
    crops
        In the order of the rows returned; None where the model takes whole rows, which are then returned as they are.
    """
    if settings.windows.crop_s is None:
        return rows, None
    count = input_frames(settings)
    valid = rows["valid_frames"].to_numpy(np.int64)
    crops = np.maximum(1, -(-valid // count))
    number = np.arange(crops.sum()) - np.repeat(np.cumsum(crops) - crops, crops)
    last = np.repeat(np.maximum(valid - count, 0), crops)
    # Rounded down, neighbours lie a crop apart at most.
    begin = number * last // np.maximum(np.repeat(crops, crops) - 1, 1)
    return rows.iloc[np.repeat(np.arange(len(rows)), crops)].reset_index(drop=True), Crops(
        begin, count, _scale(settings)
    )


def valid_within(rows: pd.DataFrame, crops: Crops | None) -> npt.NDArray[np.int64]:
    """Frames of each row, or of its crop, that are audio and not padding; they come first. int64 [row]."""
    valid = rows["valid_frames"].to_numpy(np.int64)
    return valid if crops is None else np.clip(valid - crops.begin, 0, crops.n_frames)


def _scale(settings: Settings) -> Scale | None:
    return Scale.of(settings) if settings.frontend.is_db else None
