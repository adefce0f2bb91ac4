"""Decode any recording to blocks of float32 at one sample rate, in bounded memory.

Positions are samples at the rate asked for, counted from the start of the recording, so that a stretch decoded
alone holds the same values as the same stretch of the whole (to `SEAM_TOLERANCE`).

What a file is, its content says, not its name. libsndfile is asked first (`sndfile`), PyAV for what it refuses
(`containers`); `headers` knows which headers lie.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import soxr

from hubbub.audio.headers import RangedFile, identify_format, lost_share, read_head
from hubbub.audio.sndfile import SoundFile, UnsupportedFile
from hubbub.errors import AudioError, DecodeError, EmptyAudio, NonFiniteAudio

BLOCK_VALUES = 2**20
"""Samples times channels held at once, before resampling and after: 4 MiB, 23 s of mono at 44.1 kHz."""

SEAM_TOLERANCE = 1e-6
"""Largest difference, full scale being 1, between a stretch decoded alone and the same stretch of the whole.

Holds for the rates that recorders have. Between rates with hardly a common divisor (48,828 to 32,000 Hz) soxr
interpolates its filter, and the difference may be 5e-5.
"""

SAMPLE_RATES_HZ = (100, 10_000_000)
"""Lowest and highest rate that is believed: hydrophones reach 2 MHz, what lies beyond is a broken header."""

MAX_AMPLITUDE = 1e10
"""Samples beyond this, full scale being 1, are no audio: files of floats in 32-bit integer range reach 2e9, and the
power of what is louder has no room in float32."""

# Sound decoded around a stretch, so that the resampling filter has settled where it begins and ends: the longer of
# these, the samples being those of the lower rate.
_HALO_S, _HALO_SAMPLES = 0.1, 100


@dataclass(frozen=True)
class AudioInfo:
    """What a recording is: rate in Hz, channels, duration in seconds."""

    sample_rate: int
    channels: int
    duration_s: float


class Decoder(Protocol):
    """An open recording, whoever decodes it.

    Attributes
    ----------
    sample_rate
        Hz.
    channels
        How many.
    stated_frames
        Samples a channel as the header says, or more where it says none: decoding gives no more than these.
    seeks
        Whether a place in the middle is reached without decoding all that comes before it.
    """

    sample_rate: int
    channels: int
    header_frames: float
    can_seek: bool

    def n_frames(self, block_frames: int) -> float:
        """Samples a channel that decoding gives, counted by decoding `block_frames` at a time if need be."""

    def read(self, begin: int, end: int | None, block_frames: int) -> Generator[npt.NDArray[np.float32]]:
        """Yield float32 [frames, channels], at most `block_frames` at a time, from frame `begin` to `end`."""

    def close(self) -> None:
        """Let go of the decoder."""


def read_audio_info(path: Path) -> AudioInfo:
    """Tell a recording's rate, channels and duration; decoding it gives that duration.

    Reads the header, and the whole recording where headers of its format are not to be trusted:

    - read from the header: WAV, AIFF, CAF, AU, W64, RF64, Ogg Vorbis, Opus, MP3 with an Info frame that fits the file,
      FLAC that holds the last sample which its header promises;
    - counted by decoding, in bounded memory: MP3 without an Info frame or with one that does not fit, FLAC without a
      length or with too long a one, and all that PyAV reads (MP4, WebM, WMA, ADTS).

    Raises
    ------
    DecodeError
        For anything that is no readable audio file, or breaks off while it is counted.
    EmptyAudio
        For a container (MP4, WebM ...) without a sample in it; of other formats the duration is then 0.
    """
    with _open_recording(path) as recording:
        frames = recording.n_frames(_block_frames(recording, recording.sample_rate))
        return AudioInfo(recording.sample_rate, recording.channels, frames / recording.sample_rate)


def read_ranged_info(file: RangedFile, name: str) -> AudioInfo | None:
    """Tell the same of a file elsewhere by ranges of it; None where libsndfile does not read it."""
    try:
        recording = SoundFile(file, file.size, name)
    except UnsupportedFile:
        return None
    try:
        _refuse_absurd(recording, name)
        frames = recording.n_frames(_block_frames(recording, recording.sample_rate))
        return AudioInfo(recording.sample_rate, recording.channels, frames / recording.sample_rate)
    except AudioError:
        return None  # or ranges broke off; the whole recording tells which
    finally:
        recording.close()


def can_seek(path: Path) -> bool:
    """Whether a stretch from the middle of a recording costs no more than that stretch; errors of `read_audio_info`.

    Opus and what PyAV reads are decoded from the start, because a stretch would else differ from the whole.
    """
    with _open_recording(path) as recording:
        return recording.can_seek


@dataclass(frozen=True)
class ChannelStream:
    """A recording as it is stored: every channel, at its own rate.

    Attributes
    ----------
    sample_rate
        Hz.
    channels
        How many.
    header_frames
        Samples a channel as the header says; more than any recording holds where the header says none.
    lost_share
        Share of the samples that the header promises beyond the file's end, 0…1 (`headers.lost_share`).
    blocks
        float32 [frames, channels], never empty, full scale being 1; NaN, infinite and absurd samples are passed on.
    """

    sample_rate: int
    channels: int
    header_frames: float
    lost_share: float
    blocks: Iterator[npt.NDArray[np.float32]]


@contextmanager
def read_channels(path: Path) -> Iterator[ChannelStream]:
    """Give all samples of a recording, neither mixed, resampled nor refused, in bounded memory.

    Raises
    ------
    DecodeError
        The file is missing, no regular file, cannot be decoded, breaks off, or changes while it is read.
    EmptyAudio
        A container (MP4, WebM ...) holds no samples; of other formats there are then no blocks.
    """
    with _open_recording(path) as recording:
        rate, frames = recording.sample_rate, recording.read(0, None, _block_frames(recording, recording.sample_rate))
        with closing(frames), open(path, "rb") as file:
            lost = lost_share(file.fileno(), os.fstat(file.fileno()).st_size)
            yield ChannelStream(rate, recording.channels, recording.header_frames, lost, frames)


def load_audio(
    path: Path, *, sample_rate: int, channel: int | None = None, first: int = 0, count: int | None = None
) -> npt.NDArray[np.float32]:
    """Decode a stretch at once; the arguments and errors of `decode_blocks`. Returns float32 [samples]."""
    parts = list(decode_blocks(path, sample_rate=sample_rate, channel=channel, first=first, count=count))
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def decode_blocks(
    path: Path, *, sample_rate: int, channel: int | None = None, first: int = 0, count: int | None = None
) -> Iterator[npt.NDArray[np.float32]]:
    """Decode, mix to mono or take one channel, and resample (soxr HQ, as librosa), a block at a time.

    Parameters
    ----------
    path
        The recording.
    sample_rate
        Hz of the samples returned.
    channel
        The channel to take, counted from 0; None: the mean of all.
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
        The file is missing, no regular file, cannot be decoded, has no such channel, or changes while it is read.
    EmptyAudio
        The recording holds no samples at all.
    NonFiniteAudio
        A sample of the stretch is NaN, infinite, or beyond `MAX_AMPLITUDE`.
    """
    with _open_recording(path) as recording:
        if channel is not None and not 0 <= channel < recording.channels:
            raise DecodeError(f"{path.name} has no channel {channel}; it has {recording.channels}, counted from 0")
        rate = recording.sample_rate
        begin, skip = aligned_start(first, rate, sample_rate)
        if recording.header_frames == 0:
            raise EmptyAudio(f"{path.name} holds no samples")
        if begin >= recording.header_frames:
            return
        end = None if count is None else math.ceil(((first + count) / sample_rate + _halo_s(rate, sample_rate)) * rate)
        with closing(recording.read(begin, end, _block_frames(recording, sample_rate))) as frames:
            mono = _mono_blocks(frames, channel, begin, rate, path.name)
            yield from _read_span(_resample(mono, rate, sample_rate), skip, count)


@contextmanager
def _open_recording(path: Path) -> Iterator[Decoder]:
    """Open a recording by what it holds, and close all of it again.

    Raises
    ------
    DecodeError
        For what cannot be opened or decoded; if the file changed meanwhile, this is what is told.
    EmptyAudio
        When a container holds no samples.
    """
    fd, before = _descriptor(path)
    try:
        try:
            recording = _choose_decoder(fd, before.st_size, path.name)
            try:
                _refuse_absurd(recording, path.name)
                yield recording
            finally:
                recording.close()
        except AudioError:
            _refuse_changed(fd, before, path.name)
            raise
        except OSError as error:  # a failing disk, a server gone
            raise DecodeError(f"{path.name} cannot be read ({error.strerror})") from None
        _refuse_changed(fd, before, path.name)
    finally:
        os.close(fd)


def _descriptor(path: Path) -> tuple[int, os.stat_result]:
    try:
        # Without waiting: opening a FIFO would wait for a writer, and reading a device might never end.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DecodeError(f"{path.name} cannot be opened ({reason})") from None
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise DecodeError(f"{path.name} is no regular file")
    return fd, status


def _refuse_changed(fd: int, before: os.stat_result, name: str) -> None:
    """What was read of a file that is written to meanwhile is of no one version."""
    now = os.fstat(fd)
    if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise DecodeError(f"{name} changed while it was read")


def _choose_decoder(fd: int, size: int, name: str) -> Decoder:
    if size == 0:
        raise DecodeError(f"{name} is not audio that can be decoded (the file is empty: 0 bytes)")
    try:
        return SoundFile(fd, size, name)
    except UnsupportedFile as reason:
        refused = f"{name} is not audio that can be decoded ({reason}"
    kind = identify_format(read_head(fd))
    if kind is None:
        raise DecodeError(f"{refused})")
    from hubbub.audio.containers import Container, PyAVMissing

    try:
        return Container(fd, name, kind)
    except PyAVMissing:
        if kind.by_libsndfile:
            raise DecodeError(f"{refused}; PyAV may know more: pip install 'hubbub[av]')") from None
        raise DecodeError(f"{name} is {kind.name}, which needs PyAV: pip install 'hubbub[av]'") from None
    except AudioError:
        if kind.by_libsndfile:  # its reason is the better one, and the same with PyAV and without
            raise DecodeError(f"{refused})") from None
        raise


def _refuse_absurd(recording: Decoder, name: str) -> None:
    lowest, highest = SAMPLE_RATES_HZ
    if not lowest <= recording.sample_rate <= highest:
        expected = f"expected {lowest} to {highest}"
        raise DecodeError(f"{name} states a sample rate of {recording.sample_rate} Hz; {expected}")


def _block_frames(recording: Decoder, sample_rate: int) -> int:
    """Frames to read at once, so that neither they nor what they become at `sample_rate` are over `BLOCK_VALUES`."""
    most = BLOCK_VALUES // max(recording.channels, math.ceil(sample_rate / recording.sample_rate))
    return max(1, most)


def _halo_s(source_rate: int, rate: int) -> float:
    return max(_HALO_S, _HALO_SAMPLES / min(source_rate, rate))


def aligned_start(first: int, source_rate: int, rate: int) -> tuple[int, int]:
    """Source frame to begin at, and resampled samples to skip from there to reach `first`.

    Resampling starts on a source frame that falls on a whole output sample, or the phase would differ.
    """
    divisor = math.gcd(source_rate, rate)
    source_step, step = source_rate // divisor, rate // divisor
    halo = 0 if source_rate == rate else math.ceil(_halo_s(source_rate, rate) * rate)
    steps = max(0, first - halo) // step
    return steps * source_step, first - steps * step


def _mono_blocks(
    frames: Iterator[npt.NDArray[np.float32]], channel: int | None, begin: int, sample_rate: int, name: str
) -> Iterator[npt.NDArray[np.float32]]:
    position = begin
    for block in frames:
        yield _check_samples(_mono(block, channel), position / sample_rate, sample_rate)
        position += len(block)
    if position == 0:
        raise EmptyAudio(f"{name} holds no samples")


def _mono(block: npt.NDArray[np.float32], channel: int | None) -> npt.NDArray[np.float32]:
    if block.shape[1] == 1:
        return block[:, 0]
    if channel is not None:
        return np.ascontiguousarray(block[:, channel])
    with np.errstate(invalid="ignore"):  # infinities that cancel are told later
        return block.mean(axis=1)


def _check_samples(mono: npt.NDArray[np.float32], start_s: float, sample_rate: int) -> npt.NDArray[np.float32]:
    if not (
        mono.max(initial=0) <= MAX_AMPLITUDE and mono.min(initial=0) >= -MAX_AMPLITUDE
    ):  # so written, NaN is caught too
        first = int(np.argmin(np.abs(mono) <= MAX_AMPLITUDE))
        at = f"the sample at {start_s + first / sample_rate:.3f} s is {mono[first]:g}"
        raise NonFiniteAudio(f"{at}; expected {MAX_AMPLITUDE:g} at most" if np.isfinite(mono[first]) else at)
    return mono


def _resample(
    mono: Iterator[npt.NDArray[np.float32]], source_rate: int, rate: int
) -> Iterator[npt.NDArray[np.float32]]:
    if source_rate == rate:
        yield from mono
        return
    # A stream gives the bits of a single call, whatever the block lengths.
    stream = soxr.ResampleStream(source_rate, rate, 1, dtype="float32", quality="HQ")
    held = next(mono, None)
    if held is None:
        return
    for block in mono:
        yield stream.resample_chunk(held)
        held = block
    yield stream.resample_chunk(held, last=True)


def _read_span(
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
