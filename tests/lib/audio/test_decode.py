"""Decoding: librosa's values, any stretch like the whole, bounded memory, and a reason for each file that is none."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import struct
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import librosa
import numpy as np
import psutil
import pytest
import soundfile

from hubbub.audio import decode
from hubbub.audio.decode import SEAM_TOLERANCE, AudioInfo, decode_blocks, load_audio, read_audio_info
from hubbub.errors import DecodeError, EmptyAudio, NonFiniteAudio
from tests.data.recordings import noise, sweep, write, write_container, write_parts

ODD_RATE_SEAM_TOLERANCE = 5e-5
"""Seam tolerance where rates share no small ratio: soxr then interpolates its filter, to 16 bits and not to 20."""

MONO_TOLERANCE = 4e-7
"""Two float32 sums of 32 channels in different orders."""

DEPTHS = {  # the largest error of a sample that the format allows, full scale being 1
    "PCM_U8": 1 / 127,
    "PCM_16": 1 / 32767,
    "PCM_24": 1 / 2**22,
    "PCM_32": 1 / 2**23,  # what float32 holds of it
    "FLOAT": 0,
    "DOUBLE": 0,
    "ULAW": 0.02,
    "ALAW": 0.02,
    "IMA_ADPCM": 0.2,
    "MS_ADPCM": 0.2,
}

RATES = [  # source, wanted
    (48_000, 22_050),  # 320 to 147
    (44_100, 22_050),  # halved, the usual case
    (22_050, 22_050),  # not resampled at all
    (8_000, 22_050),  # telephones, upwards
    (192_000, 22_050),  # bat recorders
    (384_000, 22_050),
    (44_100, 16_000),
    (96_000, 1_000),  # the lowest rate that settings allow
    (1_000, 22_050),
    (100, 22_050),  # the lowest that is read
]
BREAKS_OFF = {"flac"}
"""Formats of which libsndfile decodes nothing once the end is missing; the others give what is there."""

ODD_RATES = [(44_101, 22_050), (24_414, 16_000), (48_828, 32_000), (12_207, 22_050)]  # TDT's and drifting clocks


def stretches(n_samples: int, *, count: int, longest: int) -> Iterator[tuple[int, int]]:
    """Random stretches, and the ones where things go wrong: at both ends, and around the halo."""
    random = np.random.default_rng(1)
    yield from [(0, 1), (0, n_samples), (1, 100), (n_samples - 1, 1), (n_samples - 700, 700), (2205, 10), (2206, 10)]
    for _ in range(count):
        yield int(random.integers(n_samples)), int(random.integers(1, longest))


def worst_seam(path: Path, sample_rate: int, *, count: int = 15) -> float:
    """Largest difference between stretches decoded alone and the same stretches of the whole; lengths must agree."""
    whole, worst = load_audio(path, sample_rate=sample_rate), 0.0
    for first, length in stretches(len(whole), count=count, longest=sample_rate):
        part, expected = (
            load_audio(path, sample_rate=sample_rate, first=first, count=length),
            whole[first : first + length],
        )
        assert len(part) == len(expected), (first, length)
        worst = max(worst, float(np.abs(part - expected).max(initial=0)))
    return worst


def test_equals_librosa_on_every_clip(esc10_mini: Path):
    for path in sorted((esc10_mini / "audio").iterdir()):
        theirs, _ = librosa.load(path, sr=22050)
        np.testing.assert_array_equal(load_audio(path, sample_rate=22050), theirs, err_msg=path.name)


@pytest.mark.parametrize(("source", "wanted"), RATES + ODD_RATES)
def test_equals_librosa_at_other_rates(tmp_path: Path, source: int, wanted: int):
    path = write(tmp_path / "a.wav", noise(1.3, source), source, subtype="FLOAT")
    np.testing.assert_array_equal(load_audio(path, sample_rate=wanted), librosa.load(path, sr=wanted)[0])


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


@pytest.mark.parametrize(
    ("codec", "rate", "bit_rate"),
    [
        *(("libmp3lame", *rates) for rates in [(44_100, 32_000), (32_000, 32_000), (22_050, 8_000), (8_000, 8_000)]),
        *(("libopus", *rates) for rates in [(48_000, 6_000), (48_000, 16_000), (48_000, 96_000), (16_000, 12_000)]),
    ],
)
@pytest.mark.parametrize("info", [True, False])
def test_a_stretch_equals_that_stretch_of_the_whole_where_frames_build_on_many_before(
    tmp_path: Path, esc10_mini: Path, codec: str, rate: int, bit_rate: int, info: bool
):
    """By more than a seek of libsndfile's goes back: MP3 borrows their bits, Opus predicts from their sound."""
    kind, options = ("mp3", {"write_xing": str(int(info))}) if codec == "libmp3lame" else ("ogg", {})
    path = tmp_path / "a"
    clips = sorted((esc10_mini / "audio").iterdir())[75:80] if info else sorted((esc10_mini / "audio").iterdir())[:5]
    sound = np.concatenate([load_audio(clip, sample_rate=rate) for clip in clips])[:, None]
    write_container(path, sound, rate, codec=codec, container=kind, bit_rate=bit_rate, options=options)
    assert worst_seam(path, read_audio_info(path).sample_rate) <= SEAM_TOLERANCE


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
    whole, part = load_audio(path, sample_rate=wanted), load_audio(path, sample_rate=wanted, first=20_000, count=9_000)
    monkeypatch.setattr(decode, "BLOCK_VALUES", block_values)
    np.testing.assert_array_equal(load_audio(path, sample_rate=wanted), whole)
    np.testing.assert_array_equal(load_audio(path, sample_rate=wanted, first=20_000, count=9_000), part)


def test_blocks_are_never_empty_and_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(decode, "BLOCK_VALUES", 500)
    path = write(tmp_path / "a.wav", noise(0.5, 44_100), 44_100)
    lengths = [len(block) for block in decode_blocks(path, sample_rate=22_050, first=3_000, count=4_000)]
    assert min(lengths) > 0
    assert sum(lengths) == 4_000


@pytest.mark.parametrize(
    ("suffix", "channels"), [("wav", n) for n in (*range(1, 9), 16, 31, 32)] + [("flac", n) for n in range(1, 9)]
)
def test_channels_are_averaged_or_taken_alone(tmp_path: Path, suffix: str, channels: int):
    path = write(tmp_path / f"a.{suffix}", noise(0.2, 22_050, channels=channels), 22_050)
    stored, _ = soundfile.read(path, dtype="float64", always_2d=True)
    mono = load_audio(path, sample_rate=22_050)
    assert mono.dtype == np.float32
    np.testing.assert_allclose(mono, stored.mean(axis=1), rtol=0, atol=MONO_TOLERANCE)
    for channel in range(channels):
        alone = load_audio(path, sample_rate=22_050, channel=channel)
        assert (alone.dtype, alone.flags.c_contiguous) == (np.float32, True)
        np.testing.assert_array_equal(alone, stored[:, channel].astype(np.float32))


def test_a_channel_alone_is_resampled_and_cut_as_a_mono_file_is(tmp_path: Path):
    samples = noise(3, 48_000, channels=3)
    path = write(tmp_path / "three.wav", samples, 48_000, subtype="FLOAT")
    for channel in range(3):
        mono = write(tmp_path / "mono.wav", samples[:, channel : channel + 1], 48_000, subtype="FLOAT")
        for stretch in ({}, {"first": 30_000, "count": 9_000}):
            alone = load_audio(path, sample_rate=22_050, channel=channel, **stretch)
            np.testing.assert_array_equal(alone, load_audio(mono, sample_rate=22_050, **stretch))


@pytest.mark.parametrize("channel", [-1, 2, 100])
def test_a_channel_that_is_not_there_is_told(tmp_path: Path, channel: int):
    path = write(tmp_path / "a.wav", noise(0.1, 22_050, channels=2), 22_050)
    with pytest.raises(DecodeError, match=rf"a\.wav has no channel {channel}; it has 2, counted from 0"):
        load_audio(path, sample_rate=22_050, channel=channel)


def test_a_bad_sample_in_another_channel_does_no_harm(tmp_path: Path):
    samples = noise(1, 22_050, channels=2)
    samples[100, 0] = np.nan
    path = write(tmp_path / "a.wav", samples, 22_050, subtype="FLOAT")
    assert np.isfinite(load_audio(path, sample_rate=22_050, channel=1)).all()
    with pytest.raises(NonFiniteAudio):
        load_audio(path, sample_rate=22_050, channel=0)


@pytest.mark.parametrize("subtype", DEPTHS)
@pytest.mark.parametrize("container", ["WAV", "RF64", "W64", "AIFF", "CAF", "AU"])
def test_every_depth_of_every_container(tmp_path: Path, container: str, subtype: str):
    if not soundfile.check_format(container, subtype):
        return  # there is no such file
    samples = sweep(0.5, 22_050, channels=2)
    path = write(tmp_path / "a", samples, 22_050, format=container, subtype=subtype)
    decoded = np.stack([load_audio(path, sample_rate=22_050, channel=channel) for channel in (0, 1)], axis=1)
    np.testing.assert_allclose(decoded[: len(samples)], samples, rtol=0, atol=DEPTHS[subtype])


def test_a_stretch_past_the_end_is_empty_or_shorter(tmp_path: Path):
    path = write(tmp_path / "a.wav", noise(1, 44_100), 44_100)
    assert len(load_audio(path, sample_rate=22_050, first=22_000, count=500)) == 50
    assert len(load_audio(path, sample_rate=22_050, first=22_050)) == 0
    assert len(load_audio(path, sample_rate=22_050, first=10**9, count=5)) == 0
    assert len(load_audio(path, sample_rate=22_050, count=0)) == 0


@pytest.mark.parametrize(("suffix", "channels"), [("wav", 1), ("flac", 2), ("ogg", 1)])
def test_probe_reads_the_header(tmp_path: Path, suffix: str, channels: int):
    path = write(tmp_path / f"a.{suffix}", noise(1.5, 44_100, channels=channels), 44_100)
    assert read_audio_info(path) == AudioInfo(sample_rate=44_100, channels=channels, duration_s=1.5)


@pytest.mark.parametrize(
    ("source", "wanted", "channels"),
    [(192_000, 22_050, 32), (192_000, 192_000, 32), (1_000, 192_000, 1), (8_000, 48_000, 2), (384_000, 8_000, 1)],
)
def test_a_block_is_bounded_in_values_before_resampling_and_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: int, wanted: int, channels: int
):
    monkeypatch.setattr(decode, "BLOCK_VALUES", 4096)
    longest, read = 0, soundfile.SoundFile.read

    def watched(self, frames, **options):
        nonlocal longest
        block = read(self, frames, **options)
        longest = max(longest, block.size)
        return block

    path = write(tmp_path / "a.wav", noise(10 * 4096 / source / channels, source, channels=channels), source)
    monkeypatch.setattr(soundfile.SoundFile, "read", watched)
    parts = list(decode_blocks(path, sample_rate=wanted))
    assert 4096 / 200 < longest <= 4096
    # The resampler holds back as much as its filter is long, and may give it all at once.
    assert max(map(len, parts)) <= 4096 + 1000 * max(1, wanted / source)
    assert sum(map(len, parts)) == pytest.approx(10 * 4096 / channels * wanted / source, abs=wanted / source + 1)


def test_memory_does_not_grow_with_the_recording(tmp_path: Path):
    """Half an hour of sound is 159 MB of float32 at 22,050 Hz; `decode_blocks` holds a few blocks of 4 MiB."""
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", 44_100, 1, subtype="PCM_U8") as file:
        for _ in range(30):
            file.write(np.zeros(44_100 * 60, np.int16))
    tracemalloc.start()
    try:
        samples = sum(len(block) for block in decode_blocks(path, sample_rate=22_050))
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
    """Nothing says their rate and channels."""
    (folder / "a.raw").write_bytes(bytes(1000))
    return folder / "a.raw"


def null_byte_in_the_name(folder: Path) -> Path:
    return folder / "a\0.wav"


def socket_file(folder: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(folder):
        server.bind("a.wav")  # alone: a socket's path may have 100 bytes
    return folder / "a.wav"


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
        (empty_file, r"a\.wav is not audio that can be decoded \(the file is empty: 0 bytes\)"),
        (text_file, r"a\.wav is not audio that can be decoded \(Format not recogni[sz]ed"),
        (directory, r"a\.wav is no regular file"),
        (fifo, r"a\.wav is no regular file"),  # opening it would wait for a writer for ever
        (device, r"a\.wav is no regular file"),  # reading it would never end
        (dangling_link, r"a\.wav cannot be opened"),
        (file_as_folder, r"a\.wav cannot be opened \(Not a directory\)"),
        (raw_samples, r"a\.raw is not audio that can be decoded \(Format not recogni[sz]ed"),
        (too_long_a_name, "cannot be opened"),
        (null_byte_in_the_name, r"cannot be opened \(embedded null byte\)"),
        (socket_file, r"a\.wav cannot be opened"),
        (only_a_header, r"a\.flac is not audio that can be decoded"),
    ],
)
@pytest.mark.timeout(20)
def test_what_is_no_audio_is_a_decode_error(tmp_path: Path, make, message: str):
    path = make(tmp_path)
    with pytest.raises(DecodeError, match=message):
        read_audio_info(path)
    with pytest.raises(DecodeError, match=message):
        load_audio(path, sample_rate=22_050)


@pytest.mark.parametrize("suffix", ["wav", "aiff"])
def test_a_file_without_samples_is_empty(tmp_path: Path, suffix: str):
    path = write(tmp_path / f"a.{suffix}", np.zeros((0, 1), np.float32), 22_050)
    with pytest.raises(EmptyAudio, match=rf"a\.{suffix} holds no samples"):
        load_audio(path, sample_rate=22_050)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_sample_that_is_no_number_is_told_with_its_place(tmp_path: Path, value: float, channels: int):
    samples = noise(2, 22_050, channels=channels)
    samples[33_075, -1] = value
    path = write(tmp_path / "a.wav", samples, 22_050, subtype="FLOAT")
    with pytest.raises(NonFiniteAudio, match=r"1\.500 s is -?(nan|inf)"):
        load_audio(path, sample_rate=16_000)


@pytest.mark.parametrize("value", [1.1e10, -3e30])
def test_a_sample_beyond_any_sound_is_told_with_its_place(tmp_path: Path, value: float):
    samples = noise(1, 22_050) * 2e9  # as some write 32-bit integers
    samples[11_025] = value
    path = write(tmp_path / "a.wav", samples, 22_050, subtype="FLOAT")
    with pytest.raises(NonFiniteAudio, match=rf"0\.500 s is {re.escape(f'{value:g}')}; expected 1e\+10 at most"):
        load_audio(path, sample_rate=16_000)
    assert len(load_audio(path, sample_rate=16_000, count=5_000)) == 5_000


def test_infinities_that_would_cancel_are_found(tmp_path: Path):
    samples = noise(1, 22_050, channels=2)
    samples[100] = np.inf, -np.inf
    path = write(tmp_path / "a.wav", samples, 22_050, subtype="FLOAT")
    with pytest.raises(NonFiniteAudio):
        load_audio(path, sample_rate=22_050)


@pytest.mark.parametrize(("first", "count"), [(0, 44_100), (110_250, None)])
def test_a_bad_sample_outside_the_stretch_does_no_harm(tmp_path: Path, first: int, count: int | None):
    """Segments of one recording are clips of their own: the bad one fails, its neighbours do not."""
    samples = noise(10, 22_050)
    samples[22_050 * 3] = np.nan
    path = write(tmp_path / "a.wav", samples, 22_050, subtype="FLOAT")
    part = load_audio(path, sample_rate=22_050, first=first, count=count)
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
            load_audio(path, sample_rate=22_050)
        return
    samples = load_audio(path, sample_rate=22_050)
    assert 0.3 * 4 < len(samples) / 22_050 < 0.7 * 4
    assert np.isfinite(samples).all()


def test_a_header_that_promises_more_than_there_is(tmp_path: Path):
    """A recorder that lost power leaves a WAV header of full length."""
    path = write(tmp_path / "a.wav", noise(1, 22_050), 22_050, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = struct.pack("<I", 100 * 44_100)
    path.write_bytes(data)
    assert len(load_audio(path, sample_rate=22_050)) == 22_050


def test_parts_of_the_whole_laid_end_to_end_are_the_whole(tmp_path: Path):
    path = write(tmp_path / "a.wav", noise(2, 44_100), 44_100, subtype="FLOAT")
    whole = load_audio(path, sample_rate=22_050)
    borders = [0, 1, 500, 10_000, 30_001, len(whole)]
    parts = [load_audio(path, sample_rate=22_050, first=a, count=b - a) for a, b in pairwise(borders)]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=0, atol=SEAM_TOLERANCE)


@pytest.mark.parametrize(
    "name", ["a.wav", "a.mp3", "a.raw", "a.gsm", "a.vox", "a.au", "a.txt", "a", os.fsdecode(b"\xff\xfe.ogg")]
)
@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
def test_content_decides_and_not_the_name(tmp_path: Path, kind: str, name: str):
    """The last name is no UTF-8, as in archives older than that."""
    path = write(tmp_path / "known", sweep(0.3, 22_050), 22_050, format=kind)
    expected = load_audio(path, sample_rate=22_050)
    other = path.rename(tmp_path / name)
    np.testing.assert_array_equal(load_audio(other, sample_rate=22_050), expected)
    assert read_audio_info(other).duration_s == pytest.approx(0.3)


def test_a_disk_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def failing(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    path = write(tmp_path / "a.wav", noise(0.1, 22_050), 22_050)
    monkeypatch.setattr(os, "pread", failing)
    with pytest.raises(DecodeError, match=r"a\.wav cannot be read \(Input/output error\)"):
        read_audio_info(path)


def long_recording(folder: Path, suffix: str) -> Path:
    """Some blocks long (`BLOCK_VALUES` being small), so that much of it is read after the first."""
    return write(folder / f"a.{suffix}", noise(20, 22_050), 22_050)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("change", ["cut off", "emptied", "longer", "written over"])
def test_a_file_that_changes_while_it_is_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, change: str
):
    monkeypatch.setattr(decode, "BLOCK_VALUES", 10_000)
    path = long_recording(tmp_path, suffix)
    os.utime(path, ns=(0, 0))  # so that another time is seen however coarse the disk's clock is
    parts = decode_blocks(path, sample_rate=22_050)
    next(parts)
    if change in ("cut off", "emptied"):
        os.truncate(path, path.stat().st_size // 2 if change == "cut off" else 0)
    else:
        with open(path, "r+b") as file:
            file.seek(0, 2 if change == "longer" else 0)
            file.write(bytes(1000))
    with pytest.raises(DecodeError, match=rf"a\.{suffix} changed while it was read"):
        list(parts)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_a_file_that_is_deleted_while_it_is_read_is_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
):
    monkeypatch.setattr(decode, "BLOCK_VALUES", 10_000)
    path = long_recording(tmp_path, suffix)
    parts = decode_blocks(path, sample_rate=22_050)
    samples = len(next(parts))
    path.unlink()
    assert samples + sum(map(len, parts)) == 20 * 22_050


def test_files_are_closed_however_reading_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(decode, "BLOCK_VALUES", 10_000)
    good, bad = long_recording(tmp_path, "wav"), text_file(tmp_path / "..")
    cut = truncated(tmp_path, "flac")
    before = psutil.Process().num_fds()
    load_audio(good, sample_rate=22_050)
    for broken in (bad, cut):
        for use in (read_audio_info, lambda path: load_audio(path, sample_rate=22_050)):
            with pytest.raises(DecodeError):
                use(broken) and load_audio(broken, sample_rate=22_050)
    abandoned = decode_blocks(good, sample_rate=22_050)
    next(abandoned)
    assert psutil.Process().num_fds() > before
    abandoned.close()
    assert psutil.Process().num_fds() == before


def test_a_long_silence_costs_no_more_than_its_blocks(tmp_path: Path):
    """An hour in 32 channels at 192 kHz would be 88 GB; a minute shows the same."""
    path, second = tmp_path / "a.wav", np.zeros((192_000, 32), np.int16)
    write_parts(path, (second for _ in range(5)), 192_000, channels=32, subtype="PCM_U8")
    tracemalloc.start()
    try:
        assert sum(len(block) for block in decode_blocks(path, sample_rate=192_000)) == 5 * 192_000
        assert tracemalloc.get_traced_memory()[1] < 4 * 4 * decode.BLOCK_VALUES
    finally:
        tracemalloc.stop()
