"""Several hundred bad recordings, the same in every run: cut off, flipped, empty, no audio at all, absurd.

No file is made unreadable by its permissions: root, as whom tests may run, reads any file, and nothing would be shown.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.data.recordings import sweep, with_flac_length, with_wav_length, without_info, write, write_container

RATE = 22_050
SECONDS = 1.2
FLIPPED_HEADERS, FLIPPED_BODIES = 10, 10
HEADER_BYTES = 128
"""Where the first flips fall; those in the body fall behind."""


def formats(folder: Path) -> dict[str, bytes]:
    """A good file of each format, by its ending."""
    sound = sweep(SECONDS, RATE)
    options = {
        "wav": {"format": "WAV", "subtype": "PCM_16"},
        "flac": {"format": "FLAC"},
        "ogg": {"format": "OGG"},
        "opus": {"format": "OGG", "subtype": "OPUS"},
        "mp3": {"format": "MP3"},
        "aiff": {"format": "AIFF"},
    }
    path = folder / "part"
    made = {}
    for name, option in options.items():
        rate = 24_000 if name == "opus" else RATE
        made[name] = write(path, sound, rate, **option).read_bytes()
    made["m4a"] = write_container(path, sound, RATE, container="ipod").read_bytes()
    path.unlink()
    return made


def make(folder: Path, seed: int = 0) -> int:
    """Fill a folder with bad files; returns how many. The same seed makes the same damage.

    Some are no regular files, which only a list of names brings into a clip table.
    """
    good = formats(folder)
    files = {**dict(_cut_off(good)), **dict(_flipped(good, random.Random(seed))), **_strange(good)}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    for name, samples, rate, options in _odd_sounds():
        write(folder / name, samples, rate, **options)
    (folder / "directory.wav").mkdir()
    os.mkfifo(folder / "fifo.wav")
    (folder / "dangling.wav").symlink_to("nowhere")
    (folder / "device.wav").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(folder):
        server.bind("socket.wav")  # alone: a socket's path may have 100 bytes
    return len(list(folder.iterdir()))


def _cut_off(good: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Each format, ended at every 5 % of its length."""
    for suffix, content in good.items():
        for percent in range(0, 100, 5):
            yield f"cut-{percent:02d}.{suffix}", content[: len(content) * percent // 100]


def _flipped(good: dict[str, bytes], random: random.Random) -> Iterator[tuple[str, bytes]]:
    """Each format with bits flipped: a few in the first bytes, many behind."""
    for suffix, content in good.items():
        for number in range(FLIPPED_HEADERS):
            yield f"header-{number}.{suffix}", _flip(content, random, 0, HEADER_BYTES, random.randint(1, 6))
        for number in range(FLIPPED_BODIES):
            yield f"body-{number}.{suffix}", _flip(content, random, HEADER_BYTES, len(content), random.randint(1, 60))


def _flip(content: bytes, random: random.Random, begin: int, end: int, count: int) -> bytes:
    flipped = bytearray(content)
    for _ in range(count):
        flipped[random.randrange(begin, min(end, len(content)))] ^= 1 << random.randrange(8)
    return bytes(flipped)


def _strange(good: dict[str, bytes]) -> dict[str, bytes]:
    """What is no audio, or has an absurd header."""
    wav, flac = good["wav"], good["flac"]

    def field(at: int, kind: str, value: int) -> bytes:
        return wav[:at] + struct.pack(kind, value) + wav[at + struct.calcsize(kind) :]

    return {
        "nothing.wav": b"",
        "one-byte.wav": b"R",
        "one-byte.mp3": b"\xff",
        "zeros.wav": bytes(20_000),
        "zeros.mp3": bytes(20_000),
        "ones.mp3": b"\xff" * 20_000,
        "text.wav": b"this is no sound\n" * 200,
        "text.mp3": b"this is no sound\n" * 200,
        "table.wav": b'{"labels": ["dog"], "uri": "a.wav"}',
        "page.ogg": b"<!doctype html><title>404 Not Found</title>" * 50,
        "playlist.m4a": b"#EXTM3U\nhttp://127.0.0.1:9/a.mp3\n",
        "script.mkv": b"ffconcat version 1.0\nfile good.wav\n",
        "random.wav": random.Random(7).randbytes(20_000),
        "random.mp3": b"ID3" + random.Random(8).randbytes(20_000),
        "only-a-tag.mp3": b"ID3\x04\x00\x00\x00\x00\x7f\x7f" + bytes(16_383),
        "only-riff.wav": wav[:12],
        "only-a-header.wav": wav[:44],
        "only-flac.flac": b"fLaC",
        "only-ogg.ogg": b"OggS",
        "only-ftyp.m4a": good["m4a"][:32],
        "only-ebml.webm": b"\x1aE\xdf\xa3" + bytes(100),
        "0-hz.wav": field(24, "<I", 0),
        "1-hz.wav": field(24, "<I", 1),
        "4-ghz.wav": field(24, "<I", 2**32 - 1),
        "2-ghz.wav": field(24, "<I", 2**31 - 1),
        "0-channels.wav": field(22, "<H", 0),
        "65535-channels.wav": field(22, "<H", 65_535),
        "1024-channels.wav": field(22, "<H", 1024),
        "0-bits.wav": field(34, "<H", 0),
        "65535-bits.wav": field(34, "<H", 65_535),
        "unknown-codec.wav": field(20, "<H", 0x7777),
        "length-0.wav": with_wav_length(wav, 0),
        "length-4-gib.wav": with_wav_length(wav, 2**32 - 1),
        "length-2-gib.wav": with_wav_length(wav, 2**31 - 1),
        "length-odd.wav": with_wav_length(wav, 10_001),
        "length-0.flac": with_flac_length(flac, 0),
        "length-2-years.flac": with_flac_length(flac, 2**36 - 1),
        "no-info.mp3": without_info(good["mp3"]),
        "twice.mp3": good["mp3"] * 2,
        "twice.ogg": good["ogg"] + good["opus"],
        "wav-within.mp3": wav,
        "mp3-within.wav": good["mp3"],
        "m4a-within.ogg": good["m4a"],
        "flac-behind-a-tag.flac": b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10) + flac,
    }


def _odd_sounds() -> Iterator[tuple[str, np.ndarray, int, dict]]:
    """Well-formed files whose sound is odd."""
    second, floats = np.zeros((RATE, 1), np.float32), {"subtype": "FLOAT"}
    square = np.sign(np.sin(np.arange(RATE) * 0.1))[:, None].astype(np.float32)
    yield "no-samples.wav", second[:0], RATE, {}
    yield "no-samples.flac", second[:0], RATE, {}
    yield "1-sample.wav", second[:1] + 0.5, RATE, {}
    for suffix in ("wav", "flac", "ogg", "mp3", "aiff"):
        yield f"2-samples.{suffix}", second[:2] + 0.5, RATE, {}
    yield "all-nan.wav", second * np.nan, RATE, floats
    yield "one-nan.wav", np.where(np.arange(RATE)[:, None] == 20_000, np.nan, second).astype(np.float32), RATE, floats
    yield "infinite.wav", second + np.inf, RATE, floats
    yield "infinities-that-cancel.wav", np.hstack([second + np.inf, second - np.inf]), RATE, floats
    yield "huge.wav", square * 1e30, RATE, floats
    yield "silence.wav", second, RATE, {}
    yield "dc.wav", second + 1.0, RATE, floats
    yield "clipped.wav", square, RATE, {}
    yield "clipped.mp3", square, RATE, {}
    yield "1-khz.wav", sweep(2, 1_000), 1_000, {}
    yield "384-khz.flac", sweep(0.2, 384_000), 384_000, {}
    yield "32-channels.wav", sweep(0.5, RATE, channels=32), RATE, {}
