"""Long recordings: an hour takes no more memory than ten minutes, and any stretch of it is the one of the whole."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hubbub.audio.decode import SEAM_TOLERANCE, decode_blocks, load_audio, read_audio_info
from tests.data.recordings import with_flac_length, without_info, write_container, write_parts

RATE = 8_000
WANTED = 6_000  # resampled, and so that the whole is known to be cut at any place

MINUTES = {  # how long the file of each format is: as long as it is cheap to write
    "wav": 60,
    "flac": 60,
    "flac without a length": 30,
    "aiff": 30,
    "ogg": 15,
    "opus": 4,
    "mp3": 15,
    "mp3 without an info frame": 15,
    "m4a": 5,
    "webm": 3,
    "mka": 30,
}
GROWTH_BYTES = 12 * 2**20
"""How much more an hour may take at its peak than ten minutes: allocators and page caches vary by some MiB."""


def minute(number: int) -> np.ndarray:
    """Return float32 [samples, 1]: cheap to encode, and unlike any other minute, in that its tone rises with it."""
    time = np.arange(60 * RATE) / RATE
    return (0.3 * np.sin(2 * np.pi * (200 + 20 * number) * time) * (time % 7 < 5)).astype(np.float32)[:, None]


def write_long(path: Path, kind: str, minutes: int) -> Path:
    """Write a recording of so many minutes, a minute at a time."""
    parts = (minute(number) for number in range(minutes))
    suffix = kind.split()[0]
    if suffix in ("m4a", "webm", "mka"):
        whole = np.concatenate(list(parts))
        written = {"m4a": ("ipod", "aac"), "webm": ("webm", "libopus"), "mka": ("matroska", "pcm_s16le")}[suffix]
        return write_container(path, whole, RATE, container=written[0], codec=written[1])
    options = {"opus": {"format": "OGG", "subtype": "OPUS"}}.get(suffix, {"format": suffix.upper()})
    write_parts(path, parts, RATE, **options)
    if kind == "flac without a length":
        path.write_bytes(with_flac_length(path.read_bytes(), 0))
    if kind == "mp3 without an info frame":
        path.write_bytes(without_info(path.read_bytes()))
    return path


LENGTHY = {"m4a", "mka", "mp3 without an info frame", "webm"}
"""Kinds whose test takes longest: run by name."""


@pytest.fixture(
    scope="module", params=[pytest.param(kind, marks=[pytest.mark.slow] * (kind in LENGTHY)) for kind in MINUTES]
)
def long(request, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A long recording, and its kind."""
    kind = request.param
    return write_long(tmp_path_factory.mktemp("long") / kind.replace(" ", "-"), kind, MINUTES[kind]), kind


def stretches(n_samples: int) -> Iterator[tuple[int, int]]:
    """Some from all over the recording, and both ends."""
    yield from [(0, 5_000), (n_samples - 5_000, 5_000), (n_samples - 1, 1), (n_samples - 10, 1_000)]
    for first in np.linspace(5_000, n_samples - 10_000, 8).astype(int):
        yield int(first), 5_000


def test_stretches_of_a_long_recording_equal_it_streamed(long: tuple[Path, str]):
    path, kind = long
    info = read_audio_info(path)
    assert abs(info.duration_s - MINUTES[kind] * 60) < 0.5
    # The whole is held here, and only here, as what the stretches are held against.
    whole = np.concatenate(list(decode_blocks(path, sample_rate=WANTED)))
    assert abs(len(whole) - info.duration_s * WANTED) < 1
    for first, count in stretches(len(whole)):
        part = load_audio(path, sample_rate=WANTED, first=first, count=count)
        np.testing.assert_allclose(part, whole[first : first + count], rtol=0, atol=SEAM_TOLERANCE, err_msg=str(first))
    assert np.abs(whole).max() > 0.1


PEAK = """
import resource, sys
from pathlib import Path
from hubbub.audio.decode import decode_blocks, load_audio, read_audio_info

path = Path(sys.argv[1])
duration_s = read_audio_info(path).duration_s
samples = sum(len(block) for block in decode_blocks(path, sample_rate=6000))
load_audio(path, sample_rate=6000, first=samples - 1000, count=1000)
load_audio(path, sample_rate=6000, first=samples // 2, count=1000)
if sys.platform == "linux":  # where ru_maxrss begins at the size of the process that started this one
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    peak = int(status["VmHWM"].split()[0]) * 1024
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(duration_s, samples / 6000, peak)
"""


def peak_bytes(path: Path, *, minutes: float) -> int:
    """Peak memory of a fresh process that probes a recording, streams it, and loads two stretches of it."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, timeout=300, check=True
    )
    stated_s, decoded_s, peak = map(float, done.stdout.split())
    assert abs(stated_s - minutes * 60) < 0.02 * minutes * 60
    assert abs(decoded_s - stated_s) < 0.01
    return int(peak)


def written(folder: Path, kind: str, minutes: int) -> Path:
    """A recording of so many minutes; MPEG streams are minutes laid one behind the other, which is quicker."""
    path = folder / f"{minutes}.{kind}"
    if kind == "aac":
        part = write_container(folder / "part", minute(1), RATE, container="adts").read_bytes()
        path.write_bytes(part * minutes)
    elif kind == "mp3":
        part = without_info(write_parts(folder / "part", [minute(1)], RATE, format="MP3").read_bytes())
        path.write_bytes(part * minutes)
    else:
        write_long(path, kind, minutes)
    return path


@pytest.mark.parametrize(
    "kind", ["wav", "mp3", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("flac", "aac"))]
)
def test_an_hour_takes_no_more_memory_than_ten_minutes(tmp_path: Path, kind: str):
    """An hour here is 115 MB of float32 as decoded, and 86 MB resampled; ten minutes are a sixth of it."""
    ten = peak_bytes(written(tmp_path, kind, 10), minutes=10)
    hour = peak_bytes(written(tmp_path, kind, 60), minutes=60)
    assert hour - ten < GROWTH_BYTES
