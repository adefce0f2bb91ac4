"""Rows on which an exported model is compared with its bundle: of sounds made here, a store, or recordings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hubbub.audio import decode
from hubbub.audio.distractors import make_distractor
from hubbub.audio.noise import make_noise
from hubbub.audio.windows import window_grid
from hubbub.clips.sources.tree import is_audio
from hubbub.errors import AudioError, UsageError
from hubbub.io.paths import StoragePath, is_local
from hubbub.io.text import make_visible
from hubbub.models.bundle import Bundle
from hubbub.models.fit import check_frontend
from hubbub.models.foreign import ForeignModel
from hubbub.models.frames import FrameLayout
from hubbub.store.opening import is_store, open_store

ROWS = 32
"""Rows compared, at most."""

LOUDEST_DB, SOFTEST_DB = 0.0, -60.0
"""Of the sounds made here."""


@dataclass(frozen=True)
class ComparedRows:
    """Rows, and where they come from."""

    values: npt.NDArray[np.floating]
    """[row, frame, band], at least one; all finite."""

    source: str
    """In words."""

    def score(self, model: Bundle | ForeignModel, frames: FrameLayout | None) -> npt.NDArray[np.float32]:
        """Scores of the rows, one after the other: float32 [row, label], or [score, label] by a network of frames.

        Parameters
        ----------
        model
            What scores.
        frames
            Of the network of frames whose blocks are the longest; None: rows are scored.
        """
        if frames is None:
            return model.predict(self.values)
        stream = self.values.reshape(-1, self.values.shape[-1])
        filled = -(-len(stream) // frames.multiple) * frames.multiple
        block = np.full((filled + 2 * frames.halo, stream.shape[1]), frames.padding, np.float32)
        block[frames.halo : frames.halo + len(stream)] = stream
        edge = frames.halo // frames.stride
        return model.score_block(block)[edge:-edge]


def choose_rows(bundle: Bundle, source: StoragePath | None) -> ComparedRows:
    """Choose up to `ROWS` rows that the bundle takes.

    Parameters
    ----------
    source
        A feature store, a folder of recordings, or one recording; None: sounds made here.

    Raises
    ------
    BundleError
        The store has other features than the bundle.
    UsageError
        There is nothing to compare on, or a recording cannot be decoded.
    """
    if source is None:
        return ComparedRows(bundle.prepare(_make_sounds(bundle)), "sounds made here")
    if is_store(source):
        return ComparedRows(_read_store(bundle, source), str(source))
    return ComparedRows(bundle.prepare(_read_recordings(bundle, source)), str(source))


def _make_sounds(bundle: Bundle) -> npt.NDArray[np.float32]:
    """Voices, other sounds and noise from loud to soft, and silence: float32 [row, sample]."""
    settings = bundle.settings
    rate, length = settings.frontend.sample_rate, window_grid(settings, hop_s=settings.windows.input_s).window
    rng, sounds = np.random.default_rng(0), [np.zeros(length, np.float32)]
    for number, level_db in enumerate(np.linspace(LOUDEST_DB, SOFTEST_DB, ROWS - 1)):
        if number % 3:
            sound = make_distractor(rng, duration_s=length / rate, sample_rate=rate, is_voice=number % 3 == 1)
        else:
            sound = 0.1 * make_noise(rng, length, rate)
        sounds.append((sound * 10 ** (level_db / 20)).astype(np.float32))
    return np.stack(sounds)


def _read_store(bundle: Bundle, source: StoragePath) -> npt.NDArray[np.floating]:
    store = open_store(source)
    check_frontend(bundle.settings, store.settings)
    numbers = store.rows(["row"])["row"].to_numpy()
    chosen = [int(numbers[place]) for place in _spread(len(numbers))]
    values = store.read_rows(chosen)[:, : bundle.description["n_frames"]]
    values = values[np.isfinite(values).all(axis=(1, 2))]
    if not len(values):
        raise UsageError(f"--compare {source} holds no rows; expected a feature store with some, or recordings")
    return values


def _read_recordings(bundle: Bundle, source: StoragePath) -> npt.NDArray[np.float32]:
    """Windows of recordings, one after the other from the begin of each: float32 [row, sample]."""
    if not is_local(source):
        raise UsageError(f"--compare {source}: expected a feature store, or recordings on this machine: copy some here")
    files = _list_recordings(source)
    some = [files[place] for place in _spread(len(files))]
    each = -(-ROWS // len(some))
    windows = [window for file in some for window in _read_windows(file, bundle, each)]
    if not windows:
        raise UsageError(f"--compare {source}: its recordings hold no samples; expected some that do")
    return np.stack(windows[:ROWS])


def _list_recordings(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    files = sorted(file for file in source.rglob("*") if file.is_file() and is_audio(file.name))
    if not files:
        raise UsageError(f"--compare {source}: expected a feature store, a folder of recordings, or one recording")
    return files


def _read_windows(file: Path, bundle: Bundle, most: int) -> list[npt.NDArray[np.float32]]:
    settings = bundle.settings
    channel = 0 if settings.channels == "first" else None
    grid = window_grid(settings, hop_s=settings.windows.input_s)
    try:
        samples = decode.load_audio(
            file, sample_rate=settings.frontend.sample_rate, channel=channel, count=grid.span(most)
        )
    except AudioError as error:
        raise UsageError(f"--compare {make_visible(str(file))}: {error.reason}; leave it out") from None
    return [window.samples for window in grid.split([samples])]


def _spread(count: int) -> list[int]:
    """Up to `ROWS` places among so many, evenly."""
    return np.unique(np.linspace(0, count - 1, min(ROWS, count)).astype(int)).tolist()
