"""Recordings for tests: sounds, and files of them in every format, written here and now."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile

LAYOUTS = {1: "mono", 2: "stereo"}


def noise(seconds: float, sample_rate: int, *, channels: int = 1, seed: int = 0) -> np.ndarray:
    """Return float32 [samples, channels] of white noise."""
    samples = np.random.default_rng(seed).normal(0, 0.3, (round(seconds * sample_rate), channels))
    return samples.clip(-1, 1).astype(np.float32)


def sweep(seconds: float, sample_rate: int, *, channels: int = 1, seed: int = 0) -> np.ndarray:
    """Return float32 [samples, channels] of a rising tone in a little noise: every place differs from every other."""
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    tone = 0.4 * np.sin(2 * np.pi * (100 + 0.1 * sample_rate * time / max(seconds, 1e-9)) * time)
    hiss = np.random.default_rng(seed).normal(0, 0.02, (len(time), channels))
    return (tone[:, None] + hiss).clip(-1, 1).astype(np.float32)


def write(path: Path, samples: np.ndarray, sample_rate: int, **options) -> Path:
    """Write through libsndfile; in blocks, for 1.2.2 crashes when it writes a long Vorbis file at once."""
    parts = (samples[begin : begin + 65_536] for begin in range(0, len(samples), 65_536))
    return write_parts(path, parts, sample_rate, channels=samples.shape[1], **options)


def write_parts(path: Path, parts: Iterable[np.ndarray], sample_rate: int, *, channels: int = 1, **options) -> Path:
    """Write samples through libsndfile as they come."""
    with soundfile.SoundFile(path, "w", sample_rate, channels, **options) as file:
        for part in parts:
            file.write(part)
    return path


def write_container(
    path: Path,
    samples: np.ndarray,
    sample_rate: int,
    *,
    codec: str = "aac",
    container: str | None = None,
    options: dict[str, str] | None = None,
    bit_rate: int | None = None,
    pictures: int = 0,
    streams: int = 1,
) -> Path:
    """Write through PyAV: `streams` audio streams (the second silent), beside so many pictures of video."""
    with av.open(str(path), "w", format=container, options=options or {}) as file:
        video = _video(file) if pictures else None
        layout = LAYOUTS[samples.shape[1]]
        audio = [file.add_stream(codec, rate=sample_rate, layout=layout) for _ in range(streams)]
        for stream in audio:
            if bit_rate:
                stream.bit_rate = bit_rate
        file.start_encoding()
        if video is not None:
            for _ in range(pictures):
                picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
                file.mux(video.encode(picture))
            file.mux(video.encode(None))
        for number, stream in enumerate(audio):
            for frame in _frames(samples if number == 0 else np.zeros_like(samples), sample_rate, stream):
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
    return path


def _video(file) -> av.VideoStream:
    stream = file.add_stream("mpeg4", rate=10)
    stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
    return stream


def _frames(samples: np.ndarray, sample_rate: int, stream) -> Iterator[av.AudioFrame]:
    layout = stream.layout.name
    convert = av.AudioResampler(format=stream.format.name, layout=layout, rate=sample_rate)
    size = stream.codec_context.frame_size or 1024
    for begin in range(0, len(samples), size):
        part = np.ascontiguousarray(samples[begin : begin + size].T)
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = sample_rate, begin, Fraction(1, sample_rate)
        yield from convert.resample(frame)


def without_info(mp3: bytes) -> bytes:
    """Return an MP3 without its first frame, which holds no sound but says how long the others are."""
    start = max(mp3.find(b"Xing"), mp3.find(b"Info"))
    assert start > 0
    return mp3[mp3.index(mp3[:2] if mp3[0] == 0xFF else b"\xff\xfb", start) :]


def with_flac_length(flac: bytes, frames: int) -> bytes:
    """Return a FLAC file that states another length (36 bits; 0: unknown)."""
    return flac[:21] + bytes([flac[21] & 0xF0 | frames >> 32]) + struct.pack(">I", frames & 0xFFFFFFFF) + flac[26:]


def with_wav_length(wav: bytes, length: int) -> bytes:
    """Return a WAV file whose data chunk states another length in bytes."""
    at = wav.index(b"data") + 4
    return wav[:at] + struct.pack("<I", length) + wav[at + 4 :]
