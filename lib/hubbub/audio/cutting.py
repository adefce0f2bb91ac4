"""Cut a stretch out of a recording, into a WAV file that any player plays."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from hubbub.audio.decode import decode_blocks, read_audio_info
from hubbub.errors import EmptyAudio
from hubbub.io.atomic import atomic_write

_FULL_SCALE = 32768


def cut_stretch(recording: Path, out: Path, *, start_s: float, end_s: float) -> None:
    """Write a stretch, mono, at the recording's own rate, 16 bits a sample; in bounded memory.

    Parameters
    ----------
    recording
        On this machine.
    out
        The WAV, there whole or not at all; shorter than the stretch where the recording ends before.
    start_s, end_s
        Seconds from the recording's start.

    Raises
    ------
    AudioError
        The recording cannot be decoded, or has no sound there.
    StorageError
        `out` cannot be written.
    """
    rate = read_audio_info(recording).sample_rate
    first, count = round(start_s * rate), max(1, round((end_s - start_s) * rate))
    # The standard library's writer: it says when a disk is full, where libsndfile's stops.
    with atomic_write(out) as partial, open(partial, "wb") as file, wave.open(file) as sound:
        sound.setparams((1, 2, rate, 0, "NONE", ""))
        for block in decode_blocks(recording, sample_rate=rate, first=first, count=count):
            scaled = np.clip(np.rint(block * np.float32(_FULL_SCALE)), -_FULL_SCALE, _FULL_SCALE - 1)
            sound.writeframes(scaled.astype("<i2").tobytes())
        if not sound.tell():
            raise EmptyAudio(f"{recording.name} has no sound from {start_s:g} s on")
