"""The spectrogram of a recording as a picture with its axes; bounded for a recording of any length."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hubbub.audio import decode
from hubbub.audio.frontends import get_frontend, n_frames
from hubbub.audio.playback import to_data_url
from hubbub.audio.ticks import Tick, round_ticks
from hubbub.config.frontends import FourierFrames, Frames, LogMelSettings
from hubbub.errors import EmptyAudio

LONGEST_S = 600.0
"""What of a recording is shown and played at most, in seconds."""

_MOST_SAMPLES = 2**24  # what a picture may hold in memory, 64 MiB; at very high rates this is the limit
_COLUMNS, _LINES = 1400, 256  # of a picture, at most
_VALUES_A_BLOCK = 2**20
_RANGE_DB = 80.0


@dataclass(frozen=True)
class Picture:
    """A spectrogram with what its axes need."""

    data: str
    """PNG as a data URL; time to the right, bands upwards."""
    shown_s: float
    """Length of the time axis in seconds."""
    band_ticks: tuple[Tick, ...]
    """Frequencies, at percent from the top."""
    time_ticks: tuple[Tick, ...]
    """Times, at percent from the left."""


def draw_picture(path: Path, settings: Frames, *, start_s: float = 0.0, end_s: float = LONGEST_S) -> Picture:
    """Draw the spectrogram of a recording in the frontend's frames, and in its bands where those are in dB.

    For any other frontend it is a log-mel spectrogram, of the same frames where there are some.

    Parameters
    ----------
    path
        The recording.
    settings
        The frontend's.
    start_s, end_s
        What of it is drawn, in seconds; `LONGEST_S` at most.

    Raises
    ------
    AudioError
        Where it cannot be decoded, or holds no samples.
    """
    rate = settings.sample_rate
    most = min(round(min(end_s - start_s, LONGEST_S) * rate), _MOST_SAMPLES)
    samples = decode.load_audio(path, sample_rate=rate, first=round(start_s * rate), count=most)
    if not len(samples):
        raise EmptyAudio(f"{path.name} holds no samples")
    shown_s = len(samples) / rate
    drawn = _choose_display(settings)
    band_hz = np.maximum.reduceat(get_frontend(drawn).band_hz, _first_bands(drawn.n_bands))
    return Picture(
        to_data_url("image/png", _png(_columns_db(samples, drawn))),
        shown_s,
        _band_ticks(band_hz),
        time_ticks(shown_s),
    )


def _choose_display(settings: Frames) -> FourierFrames:
    """Settings of the spectrogram that is drawn."""
    if not isinstance(settings, FourierFrames):
        settings = LogMelSettings(sample_rate=settings.sample_rate)
    if not settings.is_db:
        shared = settings.model_dump(include={*FourierFrames.model_fields, "n_mels", "fmin_hz", "fmax_hz"})
        # More bands than this and the lowest are empty.
        settings = LogMelSettings(**{"n_mels": max(1, min(128, settings.n_fft // 8))} | shared)
    # Each block must share one scale with the others, so nothing may depend on a block's own peak.
    return settings.model_copy(update={"top_db": None, "ref": 1.0})


def draw_values(
    values: npt.NDArray[np.floating], *, shown_s: float, band_hz: npt.NDArray[np.float64], band_names: Sequence[str]
) -> Picture:
    """Draw features that are there already, in the bands that they have.

    Parameters
    ----------
    values
        [frame, band], at least one frame; what is not finite is drawn as the lowest.
    shown_s
        Length of the frames together, in seconds, above 0.
    band_hz
        float64 [band]; where one is no frequency, the axis has names of bands, and each band its own scale.
    band_names
        One name a band.
    """
    shown = np.asarray(values, np.float32)
    shown = np.where(np.isfinite(shown), shown, shown[np.isfinite(shown)].min(initial=0.0))
    if np.isfinite(band_hz).all():
        ticks = _band_ticks(band_hz)
    else:
        low, high = shown.min(axis=0), shown.max(axis=0)
        shown = (shown - low) / np.maximum(high - low, 1e-12)
        places = np.unique(np.linspace(0, len(band_names) - 1, min(len(band_names), 6)).round().astype(int))
        ticks = tuple(Tick(100 * (1 - (band + 0.5) / len(band_names)), band_names[band]) for band in places)
    low_value, high_value = np.percentile(shown, [0.5, 99.9])
    data = to_data_url("image/png", _encode_png(shown, float(low_value), float(high_value)))
    return Picture(data, shown_s, ticks, time_ticks(shown_s))


def _first_bands(n_bands: int) -> np.ndarray:
    """The first band of each line of the picture, int64 [line]; a line shows the loudest of its bands."""
    n_lines = min(n_bands, _LINES)
    return np.arange(n_lines) * n_bands // n_lines


def time_ticks(shown_s: float) -> tuple[Tick, ...]:
    """Return about ten round times along an axis of `shown_s` seconds, at percent."""
    step_s = next((s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60) if shown_s / s <= 12.5), 120)
    if shown_s < 0.5:
        values = round_ticks(0.0, shown_s, at_most=8)
    else:
        values = [number * step_s for number in range(int(shown_s / step_s + 1e-9) + 1)]
    return tuple(Tick(100 * value / shown_s, _time_text(value, step_s)) for value in values)


def _time_text(seconds: float, step_s: float) -> str:
    if step_s < 1:
        return f"{seconds:g} s"
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _columns_db(samples: np.ndarray, settings: FourierFrames) -> np.ndarray:
    """Return float32 [column, line]: the loudest of the frames and bands that fall there."""
    total = n_frames(settings, len(samples))
    n_columns = min(total, _COLUMNS)
    first_bands = _first_bands(settings.n_bands)
    columns = np.full((n_columns, len(first_bands)), -np.inf, np.float32)
    for first, frames in _frame_blocks(samples, settings):
        column = (np.arange(first, first + len(frames)) * n_columns) // total
        np.maximum.at(columns, column, np.maximum.reduceat(frames, first_bands, axis=1))
    return columns


def _frame_blocks(samples: np.ndarray, settings: FourierFrames) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the number of the first frame, and frames [frame, band], a block at a time, equal to the whole's."""
    frontend, hop = get_frontend(settings), settings.hop_samples
    total = n_frames(settings, len(samples))
    a_block = max(1, _VALUES_A_BLOCK // settings.n_fft)
    halo = -(-settings.n_fft // 2 // hop) + 1
    for first in range(0, total, a_block):
        stop = min(first + a_block, total)
        before = min(first, halo)
        stretch = samples[(first - before) * hop : (stop + halo) * hop]
        yield first, frontend(stretch)[before : before + stop - first]


def _png(columns_db: np.ndarray) -> bytes:
    high_db = float(columns_db.max())
    low_db = max(high_db - _RANGE_DB, float(np.percentile(columns_db, 10)) - 6.0, -100.0)
    return _encode_png(columns_db, low_db, high_db)


def _encode_png(values: np.ndarray, low: float, high: float) -> bytes:
    """Draw [column, line] with 256 colours; a palette makes the file a third as long as true colour."""
    from matplotlib import colormaps
    from PIL import Image

    scaled = (values - low) / max(high - low, 1e-6)
    levels = np.clip(scaled * 255, 0, 255).astype(np.uint8).T[::-1]
    image = Image.fromarray(np.ascontiguousarray(levels), mode="P")
    palette = (colormaps["magma"](np.arange(256))[:, :3] * 255).round().astype(np.uint8)
    image.putpalette(palette.tobytes())
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return file.getvalue()


def _band_ticks(band_hz: np.ndarray) -> tuple[Tick, ...]:
    """Return octaves that lie within the bands, from the top down as far as there is room between them."""
    octaves = [hz for hz in (125 * 2**n for n in reversed(range(12))) if band_hz[0] <= hz <= band_hz[-1]]
    at = 100 * (1 - (np.interp(octaves, band_hz, np.arange(len(band_hz))) + 0.5) / len(band_hz))
    ticks: list[Tick] = []
    for hz, place in zip(octaves, at.tolist(), strict=True):
        if place <= 96 and (not ticks or place - ticks[-1].at >= 9):
            ticks.append(Tick(place, f"{hz / 1000:g} kHz" if hz >= 1000 else f"{hz:g} Hz"))
    return tuple(ticks)
