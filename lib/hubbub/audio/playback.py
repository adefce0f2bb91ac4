"""A stretch of a recording as sound that browsers play, and bytes as addresses that hold them."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np

from hubbub.audio import decode

_PLAYABLE_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # what MP3 knows


def encode_audio(path: Path, *, sample_rate: int, shown_s: float, start_s: float = 0.0) -> str:
    """Encode a stretch of a recording, mono, as an MP3 (Ogg where libsndfile has none) data URL.

    Parameters
    ----------
    path
        The recording.
    sample_rate
        Hz that are heard; the nearest rate below that players know is used.
    shown_s
        Seconds that the picture shows, and so the sound plays.
    start_s
        Where in the recording they begin.

    Raises
    ------
    AudioError
        Where it cannot be decoded.
    """
    import soundfile

    known = [rate for rate in _PLAYABLE_HZ if rate <= sample_rate]
    rate = known[-1] if known else _PLAYABLE_HZ[0]
    mp3 = "MP3" in soundfile.available_formats()
    # Constant bit rate, so that a player finds the right place when it seeks.
    options = {"format": "MP3", "bitrate_mode": "CONSTANT"} if mp3 else {"format": "OGG", "subtype": "VORBIS"}
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", rate, 1, compression_level=0.7 if mp3 else 0.5, **options) as sound:
        first, count = round(start_s * rate), round(shown_s * rate)
        for block in decode.decode_blocks(path, sample_rate=rate, first=first, count=count):
            # libsndfile 1.2.2 crashes on long Vorbis writes: a second at a time.
            for at in range(0, len(block), rate):
                sound.write(np.clip(block[at : at + rate], -1.0, 1.0))
    return to_data_url("audio/mpeg" if mp3 else "audio/ogg", file.getvalue())


def to_data_url(kind: str, data: bytes) -> str:
    """Return bytes as an address that holds them, of a media type such as ``image/png``."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
