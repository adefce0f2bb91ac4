"""Any recording to blocks of mono float32 at one rate, in bounded memory.

Positions are samples at the rate asked for, counted from the start of the recording, so that a stretch decoded
alone holds the same values as the same stretch of the whole (to `SEAM_TOLERANCE`).
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from hubbub.errors import DecodeError, EmptyAudio, NonFiniteAudio

BLOCK_VALUES = 2**20
"""Samples times channels read at once: 4 MiB, 23 s of mono at 44.1 kHz."""

SEAM_TOLERANCE = 1e-6
"""Largest difference, full scale being 1, between a stretch decoded alone and the same stretch of the whole.

Holds for the rates that recorders have. Between rates with hardly a common divisor (48,828 to 32,000 Hz) soxr
interpolates its filter, and the difference may be 5e-5.
"""

_HALO_S = 0.1  # sound decoded around a stretch, so that the resampling filter has settled where it begins and ends
_OGG_PAGE_FRAMES = 255 * 4096  # the most a page holds: 255 packets of the longest block that Vorbis has


@dataclass(frozen=True)
class AudioInfo:
    """What a recording's header says: rate in Hz, channels, duration in seconds."""

    sample_rate: int
    channels: int
    duration_s: float


def probe(path: Path) -> AudioInfo:
    """Read a recording's header.

    Raises
    ------
    DecodeError
        For anything that is no readable audio file.
    """
    with _open(path) as file:
        return AudioInfo(file.samplerate, file.channels, file.frames / file.samplerate)


def load(path: Path, *, sample_rate: int, first: int = 0, count: int | None = None) -> npt.NDArray[np.float32]:
    """Decode a stretch at once; the arguments and errors of `blocks`. Returns float32 [samples]."""
    parts = list(blocks(path, sample_rate=sample_rate, first=first, count=count))
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def blocks(
    path: Path, *, sample_rate: int, first: int = 0, count: int | None = None
) -> Iterator[npt.NDArray[np.float32]]:
    """Decode, mix to mono (the mean of the channels) and resample (soxr HQ, as librosa), a block at a time.

    Parameters
    ----------
    path
        The recording.
    sample_rate
        Hz of the samples returned.
    first
        Where to begin, in samples at `sample_rate`.
    count
        How many samples at most; None: to the end.

    Yields
    ------
    float32 [samples]
        Never empty; together the stretch, shorter where the recording ends.

    Raises
    ------
    DecodeError
        The file is missing, no regular file, or cannot be decoded.
    EmptyAudio
        The recording holds no samples at all.
    NonFiniteAudio
        A sample of the stretch is NaN or infinite.
    """
    with _open(path) as file:
        begin, skip = _aligned_start(first, file.samplerate, sample_rate)
        if file.frames == 0:
            raise EmptyAudio(f"{path.name} holds no samples")
        if begin >= file.frames:
            return
        end = None if count is None else math.ceil(((first + count) / sample_rate + _HALO_S) * file.samplerate)
        mono = _mono_blocks(file, begin, end)
        yield from _stretch(_resampled(mono, file.samplerate, sample_rate), skip, count)


def _open(path: Path) -> soundfile.SoundFile:
    try:
        # A FIFO or a device would block or never end.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise DecodeError(f"{path.name} is no regular file")
        return soundfile.SoundFile(os.fsencode(path))  # as bytes: old archives hold names that are no UTF-8
    except soundfile.LibsndfileError as error:
        raise DecodeError(f"{path.name} is not audio that can be decoded ({error.error_string})") from None
    except TypeError:
        raise DecodeError(f"{path.name} is headerless by its name: nothing says its rate and channels") from None
    except OSError as error:
        raise DecodeError(f"{path.name} cannot be opened ({error.strerror})") from None


def _aligned_start(first: int, source_rate: int, rate: int) -> tuple[int, int]:
    """Source frame to begin at, and resampled samples to skip from there to reach `first`.

    Resampling starts on a source frame that falls on a whole output sample, or the phase would differ.
    """
    divisor = math.gcd(source_rate, rate)
    source_step, step = source_rate // divisor, rate // divisor
    halo = 0 if source_rate == rate else math.ceil(_HALO_S * rate)
    steps = max(0, first - halo) // step
    return steps * source_step, first - steps * step


def _mono_blocks(file: soundfile.SoundFile, begin: int, end: int | None) -> Iterator[npt.NDArray[np.float32]]:
    frames = max(1, BLOCK_VALUES // file.channels)
    position = begin
    try:
        _go_to(file, begin, frames)
        while len(block := file.read(_left(frames, position, end), dtype="float32", always_2d=True)):
            yield _checked(block, position / file.samplerate, file.samplerate)
            position += len(block)
    except soundfile.LibsndfileError as error:
        at_s = position / file.samplerate
        raise DecodeError(
            f"{Path(os.fsdecode(file.name)).name} breaks off at {at_s:.3f} s ({error.error_string})"
        ) from None


def _left(frames: int, position: int, end: int | None) -> int:
    return frames if end is None else max(0, min(frames, end - position))


def _go_to(file: soundfile.SoundFile, begin: int, frames: int) -> None:
    """Move to a frame.

    libvorbis seeks wrongly within a file's last page (by hundreds of frames), so Ogg is sought before that page at
    the latest, and read from there.
    """
    position = max(0, min(begin, file.frames - _OGG_PAGE_FRAMES)) if file.format == "OGG" else begin
    if position:
        file.seek(position)
    while position < begin and (passed := len(file.read(min(frames, begin - position), always_2d=True))):
        position += passed


def _checked(block: npt.NDArray[np.float32], start_s: float, sample_rate: int) -> npt.NDArray[np.float32]:
    with np.errstate(invalid="ignore"):  # infinities that cancel are told below
        mono = block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)
    finite = np.isfinite(mono)
    if not finite.all():
        first = int(np.argmin(finite))
        raise NonFiniteAudio(f"the sample at {start_s + first / sample_rate:.3f} s is {mono[first]}")
    return mono


def _resampled(
    mono: Iterator[npt.NDArray[np.float32]], source_rate: int, rate: int
) -> Iterator[npt.NDArray[np.float32]]:
    if source_rate == rate:
        yield from mono
        return
    # A stream gives the bits of a single call, whatever the block lengths.
    stream = soxr.ResampleStream(source_rate, rate, 1, dtype="float32", quality="HQ")
    for block in mono:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.empty(0, np.float32), last=True)


def _stretch(
    parts: Iterator[npt.NDArray[np.float32]], skip: int, count: int | None
) -> Iterator[npt.NDArray[np.float32]]:
    left = math.inf if count is None else count
    for part in parts:
        part, skip = part[skip:], max(0, skip - len(part))
        if len(part) > left:
            part = part[: int(left)]
        left -= len(part)
        if len(part):
            yield part
        if left <= 0:
            return
