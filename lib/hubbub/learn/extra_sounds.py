"""Recordings that a training takes beside its rows: backgrounds without events, and sounds of no class.

They come from a folder, whose recordings are transformed here, or from a feature store of the same settings.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hubbub.audio import decode
from hubbub.audio.frontends import compute_stream
from hubbub.clips.sources.tree import is_audio
from hubbub.config import Settings, describe_difference
from hubbub.errors import AudioError, TrainingError
from hubbub.io.text import count_noun
from hubbub.learn.augment import Features
from hubbub.store.opening import is_store, open_store

PIECE_S = 20.0
"""Seconds of a recording that are kept together."""

SHORTEST_S = 0.5
MOST_BYTES = 256 * 2**20
"""Of features that are kept: some six hours with the default frontend. What is beyond is drawn from, evenly."""


@dataclass(frozen=True)
class ExtraSounds:
    """Features of recordings, in decibels as the store's.

    Attributes
    ----------
    pieces
        Each float32 [frame, band], of any number of frames.
    identity
        Changes with the sounds: 16 hex digits.
    """

    pieces: tuple[Features, ...]
    identity: str


def load_extra_sounds(path: Path, settings: Settings, option: str) -> ExtraSounds:
    """Load the sounds of a folder or a store.

    Parameters
    ----------
    path
        A folder of recordings, or a feature store.
    settings
        Of the training's features.
    option
        Name of the option, for messages: ``--backgrounds``.

    Raises
    ------
    TrainingError
        There are none, one is silent, too short or cannot be decoded, or the store has other settings.
    """
    if is_store(path):
        pieces = _read_store(path, settings, option)
    elif path.is_dir():
        pieces = _read_folder(path, settings, option)
    else:
        raise TrainingError(f"{option} {path}: expected a folder of recordings, or a feature store")
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(np.ascontiguousarray(piece, np.float16).tobytes())
    return ExtraSounds(tuple(pieces), digest.hexdigest()[:16])


def _read_folder(path: Path, settings: Settings, option: str) -> list[Features]:
    files = sorted(file for file in path.rglob("*") if file.is_file() and is_audio(file.name))
    if not files:
        raise TrainingError(f"{option} {path}: no recordings in it; expected WAV, FLAC, Ogg or MP3 files")
    rate, pieces, held = settings.frontend.sample_rate, [], 0
    most = MOST_BYTES // max(1, len(files))  # of each, so that all have a part
    for file in files:
        own = 0
        for samples in _read_pieces(file, rate, option):
            if own > most or held > MOST_BYTES:
                break
            features = compute_stream(samples, settings).astype(np.float32)
            pieces.append(features)
            own, held = own + features.nbytes, held + features.nbytes
    return pieces


def _read_pieces(file: Path, rate: int, option: str) -> list[npt.NDArray[np.float32]]:
    try:
        samples = decode.load_audio(file, sample_rate=rate, count=round(rate * 3600))
    except AudioError as error:
        raise TrainingError(f"{option}: {file}: {error.reason}; leave it out") from None
    if len(samples) < SHORTEST_S * rate:
        raise TrainingError(
            f"{option}: {file} has {len(samples) / rate:.2f} s; expected {SHORTEST_S:g} s at least; leave it out"
        )
    if not np.any(samples):
        raise TrainingError(f"{option}: {file} is silent: all of its samples are zero; leave it out")
    size = round(PIECE_S * rate)
    pieces = [samples[begin : begin + size] for begin in range(0, len(samples), size)]
    return [piece for piece in pieces if len(piece) >= SHORTEST_S * rate and np.any(piece)]


def _read_store(path: Path, settings: Settings, option: str) -> list[Features]:
    store = open_store(path)
    if store.settings.frontend != settings.frontend:
        ours, theirs = (one.frontend.model_dump(mode="json") for one in (settings, store.settings))
        raise TrainingError(
            f"{option} {path} has other features than the store: {'; '.join(describe_difference(theirs, ours))}; make "
            "them with the same settings, or give the folder of its recordings"
        )
    rows = store.rows()
    if rows.empty:
        raise TrainingError(f"{option} {path}: {count_noun(0, 'row')} in it; expected some")
    a_row = store.n_frames * store.n_bands * 4
    chosen = rows.iloc[
        np.unique(np.linspace(0, len(rows) - 1, min(len(rows), max(1, MOST_BYTES // a_row))).astype(int))
    ]
    values = store.read_rows(chosen["row"].to_list()).astype(np.float32)
    return [one[:valid] for one, valid in zip(values, chosen["valid_frames"].to_numpy(int), strict=True) if valid > 0]
