"""What PyAV decodes: M4A, WebM, video and the rest, as exactly as the others; and what is said where it is missing."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
import soundfile

from hubbub.audio import containers, decode
from hubbub.audio.decode import SEAM_TOLERANCE, AudioInfo, decode_blocks, load_audio, read_audio_info
from hubbub.errors import AudioError, DecodeError, EmptyAudio
from tests.data.recordings import noise, sweep, write, write_container

CONTAINERS = {  # name: how it is written, and the largest difference from what was written (None: not compared)
    "m4a": ({"container": "ipod"}, None),
    "mp4": ({"container": "mp4", "options": {"movflags": "faststart"}}, None),
    "mov": ({"container": "mov", "codec": "pcm_s16le"}, 1 / 32767),
    "3gp": ({"container": "3gp"}, None),
    "aac": ({"container": "adts"}, None),
    "webm": ({"container": "webm", "codec": "libopus"}, None),
    "mka": ({"container": "matroska", "codec": "flac"}, 1 / 32767),
    "mkv": ({"container": "matroska", "codec": "pcm_f32le"}, 0),
    "u8.mkv": ({"container": "matroska", "codec": "pcm_u8"}, 1 / 127),
    "s32.mkv": ({"container": "matroska", "codec": "pcm_s32le"}, 1 / 2**23),
    "f64.mkv": ({"container": "matroska", "codec": "pcm_f64le"}, 0),
    "wma": ({"container": "asf", "codec": "wmav2", "bit_rate": 128_000}, None),
    "avi": ({"container": "avi", "codec": "libmp3lame"}, None),
    "flv": ({"container": "flv"}, None),
    "ts": ({"container": "mpegts"}, None),
    "wv": ({"container": "wv", "codec": "wavpack"}, 1 / 127),
    "ac3": ({"container": "ac3", "codec": "ac3"}, None),
}
RATE = 48_000
PRIMING_S = 0.1
"""The most that an encoder adds before and after: containers say so roughly, or not at all."""

ALIKE = 0.98
"""Least correlation of a sound with itself after lossy coding."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stereo file in each container, whose right channel is half the left."""
    folder = tmp_path_factory.mktemp("containers")
    left = sweep(3, RATE)
    for name, (options, _) in CONTAINERS.items():
        write_container(folder / f"a.{name}", np.hstack([left, left / 2]), RATE, **options)
    return folder


def correlation(sound: np.ndarray, reference: np.ndarray) -> float:
    """Of two sounds where they lie best on each other, within `PRIMING_S`."""
    shifts = range(-int(PRIMING_S * RATE), int(PRIMING_S * RATE))
    length = min(len(sound), len(reference)) - 2 * len(shifts)
    middle = reference[len(shifts) : len(shifts) + length]
    scores = np.correlate(sound[len(shifts) // 2 : len(shifts) // 2 + length + len(shifts)], middle, "valid")
    best = int(np.argmax(scores)) + len(shifts) // 2
    return float(np.corrcoef(sound[best : best + length], middle)[0, 1])


@pytest.mark.parametrize("name", CONTAINERS)
def test_probe_decoding_and_what_was_written_agree(folder: Path, name: str):
    path, (_, tolerance) = folder / f"a.{name}", CONTAINERS[name]
    with pytest.raises(soundfile.LibsndfileError):
        soundfile.info(path)  # or this file would not test PyAV
    info, mix = read_audio_info(path), load_audio(path, sample_rate=RATE)
    assert info == AudioInfo(RATE, 2, len(mix) / RATE)
    assert abs(info.duration_s - 3) < PRIMING_S
    left = load_audio(path, sample_rate=RATE, channel=0)
    assert (mix.dtype, left.dtype) == (np.float32, np.float32)
    written = sweep(3, RATE)[:, 0]
    if tolerance is None:
        assert correlation(left, written) > ALIKE
    else:
        np.testing.assert_allclose(left, written, rtol=0, atol=tolerance)
        np.testing.assert_allclose(mix, written * 0.75, rtol=0, atol=tolerance + 1e-7)


@pytest.mark.parametrize("wanted", [22_050, RATE])
@pytest.mark.parametrize("name", CONTAINERS)
def test_a_stretch_equals_that_stretch_of_the_whole(folder: Path, name: str, wanted: int):
    path, random = folder / f"a.{name}", np.random.default_rng(0)
    whole = load_audio(path, sample_rate=wanted)
    firsts = [0, 1, 1023, 1024, len(whole) - 1, len(whole) - 700, *random.integers(0, len(whole), 5)]
    for first in map(int, firsts):
        count = int(random.integers(1, 9_000))
        part = load_audio(path, sample_rate=wanted, first=first, count=count)
        assert len(part) == len(whole[first : first + count])
        np.testing.assert_allclose(part, whole[first : first + count], rtol=0, atol=SEAM_TOLERANCE)
    assert len(load_audio(path, sample_rate=wanted, first=len(whole), count=5)) == 0
    assert len(load_audio(path, sample_rate=wanted, first=10**7)) == 0


@pytest.mark.parametrize("name", ["m4a", "webm", "mkv"])
@pytest.mark.parametrize("block_values", [500, 4_097])
def test_block_lengths_do_not_matter(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, block_values: int):
    path = folder / f"a.{name}"
    whole = load_audio(path, sample_rate=22_050)
    monkeypatch.setattr(decode, "BLOCK_VALUES", block_values)
    parts = list(decode_blocks(path, sample_rate=RATE))
    assert 0 < max(map(len, parts)) <= block_values // 2
    np.testing.assert_array_equal(load_audio(path, sample_rate=22_050), whole)


@pytest.mark.parametrize("name", ["m4a", "webm", "aac", "mkv", "wma", "avi"])
@pytest.mark.parametrize("called", ["a.ogg", "a.wav", "a.raw", "a", "a.txt", os.fsdecode(b"\xff.mp3")])
def test_content_decides_and_not_the_name(folder: Path, tmp_path: Path, name: str, called: str):
    path = folder / f"a.{name}"
    other = shutil.copy(path, tmp_path / called)
    np.testing.assert_array_equal(load_audio(Path(other), sample_rate=22_050), load_audio(path, sample_rate=22_050))


def test_what_libsndfile_knows_is_never_given_to_pyav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(containers, "Container", None)
    path = write(tmp_path / "a.m4a", noise(0.1, RATE), RATE, format="WAV")
    assert len(load_audio(path, sample_rate=RATE)) == 4_800


def test_a_format_of_libsndfile_with_a_codec_it_has_not(tmp_path: Path):
    """As FFmpeg writes FLAC into Ogg."""
    samples = sweep(1, RATE)
    path = write_container(tmp_path / "a.ogg", samples, RATE, codec="flac", container="ogg")
    np.testing.assert_allclose(load_audio(path, sample_rate=RATE), samples[:, 0], rtol=0, atol=1 / 32767)


def test_ogg_streams_one_behind_the_other_are_all_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As recorded radio has them, one a programme; libsndfile hears the first and says that this is all."""
    parts = [write(tmp_path / "part.ogg", sweep(seconds, RATE), RATE).read_bytes() for seconds in (1, 2)]
    path = tmp_path / "a.ogg"
    path.write_bytes(b"".join(parts))
    samples = load_audio(path, sample_rate=RATE)
    assert read_audio_info(path).duration_s == len(samples) / RATE == pytest.approx(3, abs=0.05)
    np.testing.assert_allclose(samples[:40_000], sweep(1, RATE)[:40_000, 0], rtol=0, atol=0.2)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DecodeError, match=r"\(several Ogg streams one behind the other; PyAV may know more: pip"):
        read_audio_info(path)


def test_a_video_is_its_sound(tmp_path: Path, folder: Path):
    samples = np.hstack([sweep(3, RATE), sweep(3, RATE) / 2])
    path = write_container(tmp_path / "a.mp4", samples, RATE, pictures=20)
    np.testing.assert_array_equal(load_audio(path, sample_rate=RATE), load_audio(folder / "a.mp4", sample_rate=RATE))


def test_a_video_without_sound_says_so(tmp_path: Path):
    with av.open(str(tmp_path / "a.mp4"), "w") as file:
        stream = file.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(5):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        file.mux(stream.encode(None))
    for use in (read_audio_info, lambda path: load_audio(path, sample_rate=RATE)):
        with pytest.raises(DecodeError, match=r"a\.mp4 holds no audio"):
            use(tmp_path / "a.mp4")


def test_of_many_audio_streams_the_first_is_heard(tmp_path: Path):
    path = write_container(tmp_path / "a.mka", sweep(1, RATE), RATE, codec="pcm_f32le", container="matroska", streams=2)
    np.testing.assert_array_equal(load_audio(path, sample_rate=RATE), sweep(1, RATE)[:, 0])


def test_a_stream_without_samples_is_empty(tmp_path: Path):
    path = write_container(tmp_path / "a.avi", noise(0, RATE), RATE, codec="pcm_s16le", container="avi")
    for use in (read_audio_info, lambda path: load_audio(path, sample_rate=RATE)):
        with pytest.raises(EmptyAudio, match=r"a\.avi holds no samples"):
            use(path)


@pytest.mark.parametrize("channel", [-1, 2])
def test_a_channel_that_is_not_there_is_told(folder: Path, channel: int):
    with pytest.raises(DecodeError, match=rf"a\.m4a has no channel {channel}; it has 2, counted from 0"):
        load_audio(folder / "a.m4a", sample_rate=RATE, channel=channel)


NOT_STREAMED = ("m4a", "mov", "3gp", "wv")
"""Containers whose table of contents stands at the end, so that nothing of a file cut off is heard, or whose blocks are
checked; of the others what is there is heard."""


@pytest.mark.parametrize("keep", [0.5, 0.7331, 0.9])
@pytest.mark.parametrize("name", CONTAINERS)
def test_a_file_cut_off_gives_what_is_there_or_a_reason(folder: Path, tmp_path: Path, name: str, keep: float):
    content = (folder / f"a.{name}").read_bytes()
    path = tmp_path / f"a.{name}"
    path.write_bytes(content[: int(len(content) * keep)])
    if name in NOT_STREAMED:
        with pytest.raises(DecodeError, match=rf"{path.name} (is|breaks off|is not) "):
            read_audio_info(path)
        return
    duration_s = read_audio_info(path).duration_s
    samples = load_audio(path, sample_rate=RATE)
    assert duration_s == len(samples) / RATE
    assert 3 * keep - 0.5 < duration_s < 3 * keep + 0.5
    assert np.isfinite(samples).all()


def test_sound_broken_in_the_middle_says_where(folder: Path, tmp_path: Path):
    content = bytearray((folder / "a.mp4").read_bytes())
    at = int(len(content) * 0.6)
    content[at : at + 3000] = random.Random(0).randbytes(3000)
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(DecodeError, match=r"a\.mp4 breaks off after 1\.\d+ s \(.+\)"):
        load_audio(path, sample_rate=RATE)


def test_files_are_closed_however_reading_ends(folder: Path, tmp_path: Path):
    broken = tmp_path / "a.m4a"
    broken.write_bytes((folder / "a.m4a").read_bytes()[:20_000])
    before = psutil.Process().num_fds()
    load_audio(folder / "a.webm", sample_rate=RATE, first=100, count=100)
    with pytest.raises(AudioError):
        load_audio(broken, sample_rate=RATE)
    abandoned = decode_blocks(folder / "a.m4a", sample_rate=RATE)
    next(abandoned)
    abandoned.close()
    dropped = decode_blocks(folder / "a.m4a", sample_rate=RATE)
    next(dropped)
    del dropped
    assert psutil.Process().num_fds() == before


def test_a_file_that_changes_while_it_is_read_is_told(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(decode, "BLOCK_VALUES", 2_000)
    path = Path(shutil.copy(folder / "a.mp4", tmp_path))
    os.utime(path, ns=(0, 0))
    parts = decode_blocks(path, sample_rate=RATE)
    next(parts)
    os.truncate(path, 10_000)
    with pytest.raises(DecodeError, match=r"a\.mp4 changed while it was read"):
        list(parts)


NAMES = {"m4a": "MP4, M4A or MOV", "webm": "Matroska or WebM", "wma": "WMA or another ASF file", "aac": "AAC"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("called", ["a.m4a", "b.wav"])
def test_without_pyav_the_reason_names_the_extra(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, called: str
):
    monkeypatch.setitem(sys.modules, "av", None)  # as if it were not installed
    path = Path(shutil.copy(folder / f"a.{name}", tmp_path / called))
    for use in (read_audio_info, lambda path: load_audio(path, sample_rate=RATE)):
        with pytest.raises(DecodeError) as caught:
            use(path)
        assert str(caught.value) == f"{called} is {NAMES[name]}, which needs PyAV: pip install 'hubbub[av]'"


def test_without_pyav_a_broken_wav_is_still_a_broken_wav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF\x10\0\0\0WAVE" + bytes(100))
    with pytest.raises(DecodeError, match=r"a\.wav is not audio that can be decoded \([^;]*\)$"):
        read_audio_info(path)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DecodeError, match=r"a\.wav is not audio that can be decoded \(.*; PyAV may know more: pip"):
        read_audio_info(path)


def test_pyav_is_not_imported_before_it_is_needed(tmp_path: Path):
    path = write(tmp_path / "a.wav", noise(0.1, RATE), RATE)
    code = (
        "import sys; from pathlib import Path; from hubbub.audio.decode import load_audio; "
        f"load_audio(Path({str(path)!r}), sample_rate=22050); sys.exit('av' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("text", ["#EXTM3U\n{0}\n", "ffconcat version 1.0\nfile {0}\n"])
def test_a_list_of_other_files_is_not_followed(folder: Path, tmp_path: Path, text: str):
    path = tmp_path / "a.m4a"
    path.write_text(text.format(folder / "a.m4a"))
    with pytest.raises(DecodeError, match=r"a\.m4a is not audio that can be decoded \(Format not recogni"):
        read_audio_info(path)
