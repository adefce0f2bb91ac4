"""Cut a stretch out of a recording, into a WAV or FLAC file that any player plays."""

from __future__ import annotations

import os
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import soundfile

from hubbub.audio.decode import decode_blocks, read_audio_info
from hubbub.errors import DecodeError, EmptyAudio
from hubbub.io.atomic import atomic_write
from hubbub.io.paths import StoragePath

FLAC_MOST_HZ = 655_350
"""The highest rate that FLAC can hold (RFC 9639, section 9.1.2 and its STREAMINFO)."""

_FULL_SCALE = 32768
_Write = Callable[[npt.NDArray[np.int16]], None]


def cut_stretch(
    recording: Path, out: StoragePath, *, start_s: float, end_s: float, sample_rate: int | None = None
) -> None:
    """Write a stretch, mono, at the recording's own rate, 16 bits a sample; in bounded memory.

    Parameters
    ----------
    recording
        On this machine.
    out
        FLAC where the name ends in ``.flac``, else WAV; there whole or not at all; shorter than the stretch where the
        recording ends before.
    start_s, end_s
        Seconds from the recording's start.
    sample_rate
        The recording's rate in Hz, for those who know it; None: it is read, which costs a decoding of some formats.

    Raises
    ------
    AudioError
        The recording cannot be decoded, has no sound there, or a rate that FLAC cannot hold.
    StorageError
        `out` cannot be written.
    """
    rate = sample_rate or read_audio_info(recording).sample_rate
    first, count = round(start_s * rate), max(1, round((end_s - start_s) * rate))
    writer = _write_flac if out.suffix.lower() == ".flac" else _write_wav
    is_empty = True
    with atomic_write(out) as partial, open(partial, "wb") as file, writer(file, rate) as write:
        for block in decode_blocks(recording, sample_rate=rate, first=first, count=count):
            scaled = np.clip(np.rint(block * np.float32(_FULL_SCALE)), -_FULL_SCALE, _FULL_SCALE - 1)
            write(scaled.astype(np.int16))
            is_empty = False
        if is_empty:
            raise EmptyAudio(f"{recording.name} has no sound from {start_s:g} s on")


@contextmanager
def _write_wav(file: IO[bytes], rate: int) -> Iterator[_Write]:
    # The standard library's writer: it says when a disk is full, where libsndfile's stops.
    with wave.open(file) as sound:
        sound.setparams((1, 2, rate, 0, "NONE", ""))
        yield lambda samples: sound.writeframes(samples.astype("<i2").tobytes())


@contextmanager
def _write_flac(file: IO[bytes], rate: int) -> Iterator[_Write]:
    if rate > FLAC_MOST_HZ:
        raise DecodeError(f"a rate of {rate} Hz is more than FLAC holds; expected {FLAC_MOST_HZ} Hz at most")
    held = _FullDiskTeller(file)
    try:
        with soundfile.SoundFile(held, "w", rate, 1, format="FLAC", subtype="PCM_16") as sound:
            yield sound.write
    except (AssertionError, soundfile.SoundFileError):  # which libsndfile's caller raises where a write fell short
        if held.error is None:
            raise
    if held.error is not None:
        raise held.error
    file.flush()


class _FullDiskTeller:
    """A file that remembers why it could not be written: libsndfile is told in a callback, and forgets the reason."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.error: OSError | None = None
        self.tell, self.read = file.tell, file.read

    def write(self, data: bytes) -> int:
        return self._remember(lambda: self._file.write(data))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._remember(lambda: self._file.seek(offset, whence))

    def flush(self) -> None:
        self._remember(lambda: self._file.flush() or 0)

    def _remember(self, act: Callable[[], int]) -> int:
        try:
            return act()
        except OSError as error:
            self.error = self.error or error
            return 0
