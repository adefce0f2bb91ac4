"""Cut a stretch out of a recording, into a WAV file that any player plays."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hubbub.audio.decode import decode_blocks, read_audio_info
from hubbub.errors import EmptyAudio


def cut_stretch(recording: Path, out: Path, *, start_s: float, end_s: float) -> None:
    """Write a stretch, mono, at the recording's own rate, 16 bits a sample; in bounded memory.

    Parameters
    ----------
    recording
        On this machine.
    out
        The WAV; shorter than the stretch where the recording ends before.
    start_s, end_s
        Seconds from the recording's start.

    Raises
    ------
    AudioError
        The recording cannot be decoded, or has no sound there; `out` may then be there, and is no clip.
    OSError
        `out` cannot be written.
    """
    import soundfile

    rate = read_audio_info(recording).sample_rate
    first, count = round(start_s * rate), max(1, round((end_s - start_s) * rate))
    written = 0
    with soundfile.SoundFile(out, "w", rate, 1, format="WAV", subtype="PCM_16") as file:
        for block in decode_blocks(recording, sample_rate=rate, first=first, count=count):
            file.write(np.clip(block, -1.0, 1.0))
            written += len(block)
    if not written:
        raise EmptyAudio(f"{recording.name} has no sound from {start_s:g} s on")
