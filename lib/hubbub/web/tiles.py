"""Spectrogram tiles: any stretch of a recording at any zoom, each a small picture made when it is asked for.

A tile of level z spans 2**z seconds in `COLUMNS` columns, tile n from n * 2**z seconds on. A column shows the loudest
of the frames in it. Where a tile spans more samples than `MOST_SAMPLES`, a column shows `FRAMES` frames around its
middle alone: a day is drawn in seconds, and the page says so.

Levels are in dB of a full-scale sine, -120 to 0, as grey of 0 to 255; the page colours them, so contrast and theme need
no new tile.
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hubbub.audio.decode import can_seek, decode_blocks, load_audio
from hubbub.errors import UsageError

COLUMNS, LINES = 512, 256
LEVELS = range(-2, 19)
"""From a quarter of a second to three days a tile."""

FLOOR_DB = -120.0
MOST_SAMPLES = 2**24
"""Decoded whole for a tile, 64 MiB; above, columns are sampled."""

FRAMES = 8
"""Frames that are looked at in a column, at most."""

SCALES = ("mel", "linear")

CACHE_BYTES = 96 * 2**20
"""Tiles kept in memory."""

_FFT_S = (0.004, 0.046)  # shortest and longest frame
_FRAMES_AT_ONCE = 1024

Floats = npt.NDArray[np.float32]
Pieces = Iterator[tuple[slice, Floats]]
"""Columns, and their frames: float32 [column x frames a column, sample]."""


def is_sampled(level: int, sample_rate: int) -> bool:
    """Whether a tile of this level shows only some of the frames."""
    return 2.0**level * sample_rate > MOST_SAMPLES


def describe_tiles(sample_rate: int | None) -> dict[str, Any]:
    """What a viewer has to know of a recording's tiles; of one that cannot be read (None) there are no scales."""
    sampled = [] if sample_rate is None else [level for level in LEVELS if is_sampled(level, sample_rate)]
    return {
        "lines": LINES,
        "tile_columns": COLUMNS,
        "levels": [LEVELS[0], LEVELS[-1]],
        "scales": [] if sample_rate is None else list(SCALES),
        "sampled_from": sampled[0] if sampled else None,
    }


def line_edges_hz(scale: str, sample_rate: int) -> npt.NDArray[np.float64]:
    """Borders of the lines in Hz, float64 [LINES + 1], from 0 to half the sample rate.

    Raises
    ------
    UsageError
        There is no such scale.
    """
    if scale not in SCALES:
        raise UsageError(f"scale {scale[:20]!r}: expected one of {', '.join(SCALES)}")
    top_hz = sample_rate / 2
    if scale == "linear":
        return np.linspace(0.0, top_hz, LINES + 1)
    top_mel = 2595 * np.log10(1 + top_hz / 700)  # the HTK formula
    return 700 * (10 ** (np.linspace(0.0, top_mel, LINES + 1) / 2595) - 1)


def draw_tile(path: Path, sample_rate: int, *, level: int, number: int, scale: str) -> bytes:
    """Draw a tile as a PNG of `COLUMNS` x `LINES` grey pixels, time to the right, frequency upwards.

    Parameters
    ----------
    path
        The recording, on this machine.
    sample_rate
        Its own, Hz.
    level, number
        Of the tile, see the module.
    scale
        ``mel`` or ``linear``.

    Raises
    ------
    UsageError
        There is no such level, tile or scale.
    AudioError
        The recording cannot be decoded.
    """
    from PIL import Image

    if level not in LEVELS or not 0 <= number * 2.0**level < 2**40:
        expected = f"a level from {LEVELS[0]} to {LEVELS[-1]}, and a tile from 0 on"
        raise UsageError(f"tile {number} of level {level}: expected {expected}")
    edges_hz = line_edges_hz(scale, sample_rate)
    levels_db = compute_levels(path, sample_rate, level=level, number=number, edges_hz=edges_hz)
    grey = np.clip(np.rint((levels_db - FLOOR_DB) * (255 / -FLOOR_DB)), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(grey.T[::-1]), mode="L").save(file, format="PNG", compress_level=3)
    return file.getvalue()


def compute_levels(
    path: Path, sample_rate: int, *, level: int, number: int, edges_hz: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """Levels of a tile in dB of a full-scale sine, float32 [COLUMNS, LINES]; `FLOOR_DB` where there is no audio."""
    span_s = 2.0**level
    column_s = span_s / COLUMNS
    n_fft = choose_fft(sample_rate, column_s)
    bins = _find_bins(edges_hz, sample_rate, n_fft)
    middles = (number * span_s + (np.arange(COLUMNS) + 0.5) * column_s) * sample_rate
    step = column_s * sample_rate  # samples a column
    count = int(np.clip(np.ceil(step / (n_fft / 2)), 1, FRAMES))
    sampled = is_sampled(level, sample_rate)
    # Frames spread evenly over a column that is decoded whole; side by side in the middle of one that is sampled.
    apart = n_fft / 2 if sampled else step / count
    centres = np.rint(middles[:, None] + (np.arange(count) - (count - 1) / 2) * apart).astype(np.int64)
    read = _read_at_once if not sampled else _read_each if can_seek(path) else _read_passing
    levels = np.full((COLUMNS, len(edges_hz) - 1), FLOOR_DB, np.float32)
    for columns, frames in read(path, sample_rate, centres, n_fft):
        levels[columns] = _measure(frames, bins, count)
    return levels


def choose_fft(sample_rate: int, column_s: float) -> int:
    """Samples of a frame, a power of two: about two columns, within what tells both tones and clicks."""
    wanted_s = float(np.clip(4 * column_s, *_FFT_S))
    return int(2 ** np.clip(np.round(np.log2(wanted_s * sample_rate)), 6, 15))


def _find_bins(edges_hz: npt.NDArray[np.float64], sample_rate: int, n_fft: int) -> npt.NDArray[np.int64]:
    """First bin of each line, and the one after its last: int64 [2, line]; at least one bin a line."""
    edges = edges_hz * n_fft / sample_rate
    first = np.clip(np.rint(edges[:-1]), 0, n_fft // 2).astype(np.int64)
    stop = np.clip(np.rint(edges[1:]), 1, n_fft // 2 + 1).astype(np.int64)
    return np.stack([first, np.maximum(stop, first + 1)])


def _measure(frames: Floats, bins: npt.NDArray[np.int64], count: int) -> Floats:
    """Loudest of `count` frames and of each line's bins: float32 [column, line] of [column x count, sample]."""
    n_fft = frames.shape[1]
    window = np.hanning(n_fft + 1)[:-1].astype(np.float32)
    spectrum = np.abs(np.fft.rfft(frames * window)).astype(np.float32) * (2 / window.sum())
    loudest = spectrum.reshape(-1, count, spectrum.shape[1]).max(axis=1)
    # reduceat takes each line from its first bin to the next line's; where lines share a bin it is that bin.
    padded = np.concatenate([loudest, np.zeros((len(loudest), 1), np.float32)], axis=1)
    lines = np.maximum.reduceat(padded, bins.T.ravel(), axis=1)[:, ::2]
    return np.maximum(20 * np.log10(np.maximum(lines, 1e-7)), FLOOR_DB).astype(np.float32)


def _cut(samples: Floats, first: int, centres: npt.NDArray[np.int64], n_fft: int) -> Floats:
    """Frames around `centres` of samples that begin at `first`; what lies outside is silence."""
    begins = centres.ravel() - n_fft // 2 - first
    places = begins[:, None] + np.arange(n_fft)
    inside = (places >= 0) & (places < len(samples))
    return np.where(inside, samples[np.clip(places, 0, max(0, len(samples) - 1))], np.float32(0))


def _read_at_once(path: Path, rate: int, centres: npt.NDArray[np.int64], n_fft: int) -> Pieces:
    first = max(0, int(centres.min()) - n_fft)
    samples = load_audio(path, sample_rate=rate, first=first, count=int(centres.max()) + n_fft - first)
    a_time = max(1, _FRAMES_AT_ONCE // centres.shape[1])
    for begin in range(0, len(centres) if len(samples) else 0, a_time):
        columns = slice(begin, begin + a_time)
        yield columns, _cut(samples, first, centres[columns], n_fft)


def _read_each(path: Path, rate: int, centres: npt.NDArray[np.int64], n_fft: int) -> Pieces:
    for column, own in enumerate(centres):
        first = max(0, int(own.min()) - n_fft // 2)
        samples = load_audio(path, sample_rate=rate, first=first, count=int(own.max()) + n_fft // 2 - first)
        if not len(samples):
            return
        yield slice(column, column + 1), _cut(samples, first, own, n_fft)


def _read_passing(path: Path, rate: int, centres: npt.NDArray[np.int64], n_fft: int) -> Pieces:
    """Decode all of it once, a block at a time: formats in which nobody can jump."""
    column, held, first = 0, np.zeros(0, np.float32), max(0, int(centres.min()) - n_fft)
    for block in decode_blocks(path, sample_rate=rate, first=first, count=int(centres.max()) + n_fft - first):
        held = np.concatenate([held, block])
        while column < len(centres) and first + len(held) >= int(centres[column].max()) + n_fft // 2:
            yield slice(column, column + 1), _cut(held, first, centres[column], n_fft)
            column += 1
        if column == len(centres):
            return
        drop = min(len(held), max(0, int(centres[column].min()) - n_fft - first))
        held, first = held[drop:], first + drop
    for rest in range(column, len(centres)):
        if int(centres[rest].min()) < first + len(held):
            yield slice(rest, rest + 1), _cut(held, first, centres[rest], n_fft)


class ByteCache:
    """Results kept by key, the oldest of which go when there are too many bytes; thread-safe."""

    def __init__(self, most_bytes: int = CACHE_BYTES) -> None:
        self._most, self._held_bytes = most_bytes, 0
        self._held: OrderedDict[Hashable, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """Return what is kept under `key`, or make and keep it."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        made = make()
        with self._lock:
            if key not in self._held:
                self._held[key] = made
                self._held_bytes += len(made)
            while self._held_bytes > self._most and len(self._held) > 1:
                self._held_bytes -= len(self._held.popitem(last=False)[1])
        return made
