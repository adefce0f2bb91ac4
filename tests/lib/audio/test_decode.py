"""Decoding: librosa's values, any stretch like the whole, bounded memory, and a reason for each file that is none."""

from __future__ import annotations

import os
import struct
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile

from hubbub.audio import decode
from hubbub.audio.decode import SEAM_TOLERANCE, AudioInfo, blocks, load, probe
from hubbub.errors import DecodeError, EmptyAudio, NonFiniteAudio

ODD_RATE_SEAM_TOLERANCE = 5e-5
"""Seam tolerance where rates share no small ratio: soxr then interpolates its filter, to 16 bits and not to 20."""

MONO_TOLERANCE = 2e-7
"""Two float32 sums of 8 channels in different orders."""

RATES = [  # source, wanted
    (48_000, 22_050),  # 320 to 147
    (44_100, 22_050),  # halved, the usual case
    (22_050, 22_050),  # not resampled at all
    (8_000, 22_050),  # telephones, upwards
    (192_000, 22_050),  # bat recorders
    (44_100, 16_000),
    (96_000, 1_000),  # the lowest rate that settings allow
    (1_000, 22_050),
]
BREAKS_OFF = {"flac"}
"""Formats of which libsndfile decodes nothing once the end is missing; the others give what is there."""

ODD_RATES = [(44_101, 22_050), (24_414, 16_000), (48_828, 32_000), (12_207, 22_050)]  # TDT's and drifting clocks


def noise(seconds: float, sample_rate: int, *, channels: int = 1, seed: int = 0) -> np.ndarray:
    samples = np.random.default_rng(seed).normal(0, 0.3, (round(seconds * sample_rate), channels))
    return samples.clip(-1, 1).astype(np.float32)


def write(path: Path, samples: np.ndarray, sample_rate: int, **options) -> Path:
    # In blocks: libsndfile 1.2.2 crashes when it writes a long Vorbis file at once.
    with soundfile.SoundFile(path, "w", sample_rate, samples.shape[1], **options) as file:
        for begin in range(0, len(samples), 65_536):
            file.write(samples[begin : begin + 65_536])
    return path


def stretches(n_samples: int, *, count: int, longest: int) -> Iterator[tuple[int, int]]:
    """Random stretches, and the ones where things go wrong: at both ends, and around the halo."""
    random = np.random.default_rng(1)
    yield from [(0, 1), (0, n_samples), (1, 100), (n_samples - 1, 1), (n_samples - 700, 700), (2205, 10), (2206, 10)]
    for _ in range(count):
        yield int(random.integers(n_samples)), int(random.integers(1, longest))


def worst_seam(path: Path, sample_rate: int, *, count: int = 15) -> float:
    """Largest difference between stretches decoded alone and the same stretches of the whole; lengths must agree."""
    whole, worst = load(path, sample_rate=sample_rate), 0.0
    for first, length in stretches(len(whole), count=count, longest=sample_rate):
        part, expected = load(path, sample_rate=sample_rate, first=first, count=length), whole[first : first + length]
        assert len(part) == len(expected), (first, length)
        worst = max(worst, float(np.abs(part - expected).max(initial=0)))
    return worst


def test_equals_librosa_on_every_clip(esc10_mini: Path):
    for path in sorted((esc10_mini / "audio").iterdir()):
        theirs, _ = librosa.load(path, sr=22050)
        np.testing.assert_array_equal(load(path, sample_rate=22050), theirs, err_msg=path.name)


@pytest.mark.parametrize(("source", "wanted"), RATES + ODD_RATES)
def test_equals_librosa_at_other_rates(tmp_path: Path, source: int, wanted: int):
    path = write(tmp_path / "a.wav", noise(1.3, source), source, subtype="FLOAT")
    np.testing.assert_array_equal(load(path, sample_rate=wanted), librosa.load(path, sr=wanted)[0])


@pytest.mark.parametrize(("source", "wanted"), RATES)
def test_a_stretch_equals_that_stretch_of_the_whole(tmp_path: Path, source: int, wanted: int):
    path = write(tmp_path / "a.wav", noise(3.1, source), source, subtype="FLOAT")
    assert worst_seam(path, wanted) <= SEAM_TOLERANCE


@pytest.mark.parametrize(("source", "wanted"), ODD_RATES)
def test_a_stretch_equals_that_stretch_of_the_whole_at_odd_rates(tmp_path: Path, source: int, wanted: int):
    path = write(tmp_path / "a.wav", noise(3.1, source), source, subtype="FLOAT")
    assert worst_seam(path, wanted) <= ODD_RATE_SEAM_TOLERANCE


@pytest.mark.parametrize("source", [22_050, 44_100, 48_000])
@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff"])
def test_a_stretch_equals_that_stretch_of_the_whole_in_every_format(tmp_path: Path, suffix: str, source: int):
    path = write(tmp_path / f"a.{suffix}", noise(6, source, channels=2), source)
    assert worst_seam(path, 22_050) <= SEAM_TOLERANCE


def test_a_stretch_equals_that_stretch_of_real_sound(esc10_mini: Path):
    """Vorbis seeks into the last page wrongly (libvorbis takes it for as long as its last packet is untrimmed)."""
    for path in sorted((esc10_mini / "audio").iterdir())[::6]:
        assert worst_seam(path, 22_050, count=10) <= SEAM_TOLERANCE, path.name


@pytest.mark.parametrize("block_values", [1_000, 4_096, 65_537])
@pytest.mark.parametrize(("source", "wanted"), [(44_100, 22_050), (48_000, 22_050), (22_050, 22_050)])
def test_block_lengths_do_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: int, wanted: int, block_values: int
):
    path = write(tmp_path / "a.wav", noise(2, source, channels=2), source)
    whole, part = load(path, sample_rate=wanted), load(path, sample_rate=wanted, first=20_000, count=9_000)
    monkeypatch.setattr(decode, "BLOCK_VALUES", block_values)
    np.testing.assert_array_equal(load(path, sample_rate=wanted), whole)
    np.testing.assert_array_equal(load(path, sample_rate=wanted, first=20_000, count=9_000), part)


def test_blocks_are_never_empty_and_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(decode, "BLOCK_VALUES", 500)
    path = write(tmp_path / "a.wav", noise(0.5, 44_100), 44_100)
    lengths = [len(block) for block in blocks(path, sample_rate=22_050, first=3_000, count=4_000)]
    assert min(lengths) > 0
    assert sum(lengths) == 4_000


@pytest.mark.parametrize("channels", range(1, 9))
@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_channels_are_averaged(tmp_path: Path, channels: int, suffix: str):
    path = write(tmp_path / f"a.{suffix}", noise(0.2, 22_050, channels=channels), 22_050)
    stored, _ = soundfile.read(path, dtype="float64", always_2d=True)
    mono = load(path, sample_rate=22_050)
    assert mono.dtype == np.float32
    np.testing.assert_allclose(mono, stored.mean(axis=1), rtol=0, atol=MONO_TOLERANCE)


def test_a_stretch_past_the_end_is_empty_or_shorter(tmp_path: Path):
    path = write(tmp_path / "a.wav", noise(1, 44_100), 44_100)
    assert len(load(path, sample_rate=22_050, first=22_000, count=500)) == 50
    assert len(load(path, sample_rate=22_050, first=22_050)) == 0
    assert len(load(path, sample_rate=22_050, first=10**9, count=5)) == 0
    assert len(load(path, sample_rate=22_050, count=0)) == 0


@pytest.mark.parametrize(("suffix", "channels"), [("wav", 1), ("flac", 2), ("ogg", 1)])
def test_probe_reads_the_header(tmp_path: Path, suffix: str, channels: int):
    path = write(tmp_path / f"a.{suffix}", noise(1.5, 44_100, channels=channels), 44_100)
    assert probe(path) == AudioInfo(sample_rate=44_100, channels=channels, duration_s=1.5)


def test_memory_does_not_grow_with_the_recording(tmp_path: Path):
    """Half an hour of sound is 159 MB of float32 at 22,050 Hz; `blocks` holds a few blocks of 4 MiB."""
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", 44_100, 1, subtype="PCM_U8") as file:
        for _ in range(30):
            file.write(np.zeros(44_100 * 60, np.int16))
    tracemalloc.start()
    try:
        samples = sum(len(block) for block in blocks(path, sample_rate=22_050))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert samples == 22_050 * 1800
    assert peak < 6 * 4 * decode.BLOCK_VALUES


def no_file(folder: Path) -> Path:
    return folder / "a.wav"


def empty_file(folder: Path) -> Path:
    (folder / "a.wav").touch()
    return folder / "a.wav"


def text_file(folder: Path) -> Path:
    (folder / "a.wav").write_text("this is no sound")
    return folder / "a.wav"


def directory(folder: Path) -> Path:
    (folder / "a.wav").mkdir()
    return folder / "a.wav"


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "a.wav")
    return folder / "a.wav"


def device(folder: Path) -> Path:
    (folder / "a.wav").symlink_to("/dev/zero")
    return folder / "a.wav"


def dangling_link(folder: Path) -> Path:
    (folder / "a.wav").symlink_to(folder / "gone")
    return folder / "a.wav"


def file_as_folder(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file" / "a.wav"


def raw_samples(folder: Path) -> Path:
    """By its name libsndfile takes it for headerless samples, and asks the caller for the rate."""
    (folder / "a.raw").write_bytes(bytes(1000))
    return folder / "a.raw"


def too_long_a_name(folder: Path) -> Path:
    return folder / ("a" * 300 + ".wav")


def only_a_header(folder: Path) -> Path:
    path = write(folder / "a.flac", noise(1, 22_050), 22_050)
    path.write_bytes(path.read_bytes()[:30])
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (no_file, r"a\.wav cannot be opened \(No such file or directory\)"),
        (empty_file, r"a\.wav is not audio that can be decoded"),
        (text_file, r"a\.wav is not audio that can be decoded \(Format not recogni[sz]ed"),
        (directory, r"a\.wav is no regular file"),
        (fifo, r"a\.wav is no regular file"),  # opening it would wait for a writer for ever
        (device, r"a\.wav is no regular file"),  # reading it would never end
        (dangling_link, r"a\.wav cannot be opened"),
        (file_as_folder, r"a\.wav cannot be opened \(Not a directory\)"),
        (raw_samples, r"a\.raw is headerless by its name"),
        (too_long_a_name, "cannot be opened"),
        (only_a_header, r"a\.flac is not audio that can be decoded"),
    ],
)
@pytest.mark.timeout(20)
def test_what_is_no_audio_is_a_decode_error(tmp_path: Path, make, message: str):
    path = make(tmp_path)
    with pytest.raises(DecodeError, match=message):
        probe(path)
    with pytest.raises(DecodeError, match=message):
        load(path, sample_rate=22_050)


@pytest.mark.parametrize("suffix", ["wav", "aiff"])
def test_a_file_without_samples_is_empty(tmp_path: Path, suffix: str):
    path = write(tmp_path / f"a.{suffix}", np.zeros((0, 1), np.float32), 22_050)
    with pytest.raises(EmptyAudio, match=rf"a\.{suffix} holds no samples"):
        load(path, sample_rate=22_050)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_sample_that_is_no_number_is_told_with_its_place(tmp_path: Path, value: float, channels: int):
    samples = noise(2, 22_050, channels=channels)
    samples[33_075, -1] = value
    path = write(tmp_path / "a.wav", samples, 22_050, subtype="FLOAT")
    with pytest.raises(NonFiniteAudio, match=r"1\.500 s is -?(nan|inf)"):
        load(path, sample_rate=16_000)


def test_infinities_that_would_cancel_are_found(tmp_path: Path):
    samples = noise(1, 22_050, channels=2)
    samples[100] = np.inf, -np.inf
    path = write(tmp_path / "a.wav", samples, 22_050, subtype="FLOAT")
    with pytest.raises(NonFiniteAudio):
        load(path, sample_rate=22_050)


@pytest.mark.parametrize(("first", "count"), [(0, 44_100), (110_250, None)])
def test_a_bad_sample_outside_the_stretch_does_no_harm(tmp_path: Path, first: int, count: int | None):
    """Segments of one recording are clips of their own: the bad one fails, its neighbours do not."""
    samples = noise(10, 22_050)
    samples[22_050 * 3] = np.nan
    path = write(tmp_path / "a.wav", samples, 22_050, subtype="FLOAT")
    part = load(path, sample_rate=22_050, first=first, count=count)
    assert np.isfinite(part).all()


def truncated(folder: Path, suffix: str, *, keep: float = 0.5) -> Path:
    path = write(folder / f"a.{suffix}", noise(4, 22_050), 22_050)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    return path


@pytest.mark.parametrize("suffix", ["wav", "ogg", "mp3", "flac", "aiff"])
def test_a_truncated_file_gives_what_is_there_or_says_where_it_breaks_off(tmp_path: Path, suffix: str):
    path = truncated(tmp_path, suffix)
    if suffix in BREAKS_OFF:
        with pytest.raises(DecodeError, match=rf"a\.{suffix}"):
            load(path, sample_rate=22_050)
        return
    samples = load(path, sample_rate=22_050)
    assert 0.3 * 4 < len(samples) / 22_050 < 0.7 * 4
    assert np.isfinite(samples).all()


def test_a_header_that_promises_more_than_there_is(tmp_path: Path):
    """A recorder that lost power leaves a WAV header of full length."""
    path = write(tmp_path / "a.wav", noise(1, 22_050), 22_050, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = struct.pack("<I", 100 * 44_100)
    path.write_bytes(data)
    assert len(load(path, sample_rate=22_050)) == 22_050


def test_parts_of_the_whole_laid_end_to_end_are_the_whole(tmp_path: Path):
    path = write(tmp_path / "a.wav", noise(2, 44_100), 44_100, subtype="FLOAT")
    whole = load(path, sample_rate=22_050)
    borders = [0, 1, 500, 10_000, 30_001, len(whole)]
    parts = [load(path, sample_rate=22_050, first=a, count=b - a) for a, b in pairwise(borders)]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=0, atol=SEAM_TOLERANCE)
