"""The PyAV (FFmpeg) decoder: M4A, MP4, WebM, Matroska, WMA, ADTS, and all that libsndfile refuses.

PyAV is an extra, ``hubbub[av]``, and is imported when the first such file comes. How long such a recording is, is
always counted by decoding: containers state it roughly (WebM to a millisecond, ADTS not at all, MP4 with or without
what its edit list cuts off). A stretch is decoded from the start on, because seeks are exact neither in time (WebM
stamps milliseconds) nor in value (AAC decoders draw noise from a generator that a seek does not wind back).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from hubbub.audio.headers import CorrectedFile, FileFormat
from hubbub.errors import AudioError, DecodeError, EmptyAudio

_GATHERED_FRAMES = 2**16  # frames are gathered to blocks of about this length, for decoders give a thousand at a time

_Samples = npt.NDArray[Any]


class PyAVMissing(Exception):
    """PyAV is not installed."""


class Container:
    """The first audio stream of one open file.

    Attributes
    ----------
    sample_rate
        Hz, of the first frame decoded: an AAC header may state half the rate.
    channels
        How many.
    stated_frames
        Infinite: what the container states is not believed.
    can_seek
        Never: time stamps are rough, and decoders remember.
    """

    can_seek = False

    def __init__(self, fd: int, name: str, kind: FileFormat) -> None:
        """Open a file by its descriptor, which stays the caller's.

        Raises
        ------
        DecodeError
            Without an audio stream, or for what PyAV cannot decode.
        EmptyAudio
            When the audio stream holds nothing.
        NoPyAV
            When it is not installed.
        """
        self._fd, self._name, self._kind, self._av = fd, name, kind, _pyav()
        first = next(self._frames(), None)
        if first is None:
            raise EmptyAudio(f"{name} holds no samples")
        self.sample_rate: int = first.sample_rate
        self.channels: int = len(first.layout.channels)
        self.header_frames = math.inf

    def close(self) -> None:
        """Nothing stays open between reads."""

    def n_frames(self, block_frames: int) -> float:
        """Frames that decoding gives, counted by decoding."""
        return sum(frame.samples for frame in self._frames())

    def read(self, begin: int, end: int | None, block_frames: int) -> Generator[npt.NDArray[np.float32]]:
        """Read from one frame to another, or to the end.

        Yields
        ------
        float32 [frames, channels]
            At most `block_frames`, never empty.

        Raises
        ------
        DecodeError
            Where the file breaks off, or goes on with another rate or other channels.
        """
        size = max(1, min(block_frames, _GATHERED_FRAMES))
        held: list[_Samples] = []
        length = 0
        for part in self._parts(begin, end):
            held.append(part)
            length += len(part)
            if length >= size:
                joined = np.concatenate(held)
                whole = length - length % size
                yield from (joined[at : at + size] for at in range(0, whole, size))
                held, length = [joined[whole:]], length - whole
        if length:
            yield np.concatenate(held)

    def _parts(self, begin: int, end: int | None) -> Iterator[_Samples]:
        """Decoded frames as float32 [frames, channels], cut to the stretch."""
        position = 0
        for frame in self._frames():
            at_s = position / self.sample_rate
            if (frame.sample_rate, len(frame.layout.channels)) != (self.sample_rate, self.channels):
                raise DecodeError(f"{self._name} changes its rate or channels at {at_s:.3f} s")
            first, last = position, position + frame.samples
            position = last
            if end is not None and first >= end:
                return
            if last > begin:
                yield _float32(frame, self.channels)[max(0, begin - first) : None if end is None else end - first]

    def _frames(self) -> Iterator[Any]:
        """Decode from the start; everything is closed however this ends."""
        decoded = 0
        with self._refusing(lambda: decoded):
            # The kind is given, never guessed: FFmpeg would follow a play list to other files.
            with self._av.open(
                CorrectedFile(self._fd), format=self._kind.demuxer, metadata_errors="replace", buffer_size=2**16
            ) as container:
                if not container.streams.audio:
                    raise DecodeError(f"{self._name} holds no audio")
                for frame in self._decode_frames(container):
                    yield frame
                    decoded += frame.samples

    def _decode_frames(self, container: Any) -> Iterator[Any]:
        """Frames of the first audio stream. Packets cut off at the end are left out, ones broken before it are not."""
        broken: Exception | None = None
        frames = 0
        for packet in container.demux(container.streams.audio[0]):
            try:
                decoded = [frame for frame in packet.decode() if frame.samples]
            except self._av.error.InvalidDataError as error:
                broken = error
                continue
            if broken is not None and decoded and packet.size:
                raise broken
            frames += len(decoded)
            yield from decoded
        if broken is not None and not frames:
            raise broken

    @contextmanager
    def _refusing(self, decoded: Callable[[], int]) -> Iterator[None]:
        """Tell what PyAV raises on broken files as a DecodeError.

        It has errors of its own, and beside them ValueError, OverflowError, EOFError, MemoryError and more.
        """
        try:
            yield
        except AudioError:
            raise
        except Exception as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            if decoded() and type(error).__name__ == "PatchWelcomeError":
                # FFmpeg follows a chain of streams, but not to one of another kind.
                at_s = decoded() / self.sample_rate
                raise DecodeError(f"{self._name} changes its rate, channels or coding at {at_s:.3f} s") from None
            if decoded():
                where = f"breaks off after {decoded() / self.sample_rate:.3f} s"
            else:
                where = f"is {self._kind.name} that cannot be decoded"
            raise DecodeError(f"{self._name} {where} ({reason})") from None


def _pyav() -> ModuleType:
    try:
        import av
    except ImportError:
        raise PyAVMissing from None
    return av


def _float32(frame: Any, channels: int) -> npt.NDArray[np.float32]:
    """Return a decoded frame as float32 [frames, channels], full scale being 1 as with libsndfile."""
    values = frame.to_ndarray()
    samples = values.T if frame.format.is_planar else values.reshape(-1, channels)
    if samples.dtype.kind == "f":
        return samples.astype(np.float32, copy=False)
    bits = 8 * samples.dtype.itemsize
    offset = 2.0 ** (bits - 1) if samples.dtype.kind == "u" else 0.0
    return ((samples - offset) / 2.0 ** (bits - 1)).astype(np.float32)
