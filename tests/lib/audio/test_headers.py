"""Headers with a wrong length: `read_audio_info` gives the duration that decoding gives, and no audio is left out."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from hubbub.audio import decode, sndfile
from hubbub.audio.decode import SEAM_TOLERANCE, load_audio, read_audio_info
from hubbub.audio.headers import CorrectedFile, identify_format
from hubbub.errors import DecodeError
from tests.data.recordings import noise, sweep, with_flac_length, with_wav_length, without_info, write, write_container

RATE = 22_050
ENCODER_DELAY_S = 0.08
"""The most an MP3 encoder adds before and after, which only an Info frame says to cut off."""


def met(path: Path) -> float:
    """Duration of a recording; asserts that header and decoding agree on it, to the sample."""
    info = read_audio_info(path)
    assert info.duration_s * info.sample_rate == pytest.approx(len(load_audio(path, sample_rate=info.sample_rate)))
    return info.duration_s


def changed(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "length",
    [
        0,  # a recorder that lost power before it wrote the length
        2**32 - 1,  # written to a pipe
        2**32 - 2,
        2**31 - 1,
        10**6,  # longer than the file
    ],
)
def test_a_wav_whose_data_length_is_wrong_is_read_to_its_end(tmp_path: Path, length: int):
    path = write(tmp_path / "a.wav", sweep(2, RATE), RATE)
    whole = load_audio(path, sample_rate=RATE)
    changed(path, with_wav_length(path.read_bytes(), length))
    assert met(path) == 2
    np.testing.assert_array_equal(load_audio(path, sample_rate=RATE), whole)
    np.testing.assert_array_equal(load_audio(path, sample_rate=RATE, first=30_000, count=999), whole[30_000:30_999])


def test_a_wav_that_states_less_than_follows_is_believed(tmp_path: Path):
    path = write(tmp_path / "a.wav", sweep(2, RATE), RATE)
    changed(path, with_wav_length(path.read_bytes(), RATE * 2))
    assert met(path) == 1


def test_chunks_behind_the_samples_are_no_sound(tmp_path: Path):
    path = write(tmp_path / "a.wav", sweep(2, RATE), RATE)
    changed(path, path.read_bytes() + b"LIST" + struct.pack("<I", 1000) + bytes(1000))
    assert met(path) == 2


def test_an_empty_wav_with_chunks_behind_stays_empty(tmp_path: Path):
    path = write(tmp_path / "a.wav", np.zeros((0, 1), np.float32), RATE)
    changed(path, path.read_bytes() + b"LIST" + struct.pack("<I", 1000) + bytes(1000))
    assert read_audio_info(path).duration_s == 0


def test_a_wav_over_4_gib_is_read_to_its_end(tmp_path: Path):
    """Its length does not fit into 32 bits, so the header holds the remainder. The file here is a hole in the disk."""
    path = write(tmp_path / "a.wav", np.zeros((0, 1), np.float32), 192_000, subtype="PCM_16")
    header = path.read_bytes()
    header = header[: header.index(b"data") + 8]
    frames = 2**31 + 192_000 * 2
    with open(path, "wb") as file:
        file.write(with_wav_length(header, 2 * frames % 2**32))
        file.truncate(len(header) + 2 * frames)
    info = read_audio_info(path)
    assert info.duration_s == frames / 192_000
    assert len(load_audio(path, sample_rate=192_000, first=frames - 1000)) == 1000


@pytest.mark.parametrize("part", ["SSND", "COMM"])
@pytest.mark.parametrize("value", [0, 2**32 - 1, 10**6])
def test_an_aiff_whose_length_is_wrong_is_read_to_its_end(tmp_path: Path, part: str, value: int):
    path = write(tmp_path / "a.aiff", sweep(2, RATE), RATE)
    content = bytearray(path.read_bytes())
    at = content.index(part.encode()) + {"SSND": 4, "COMM": 10}[part]
    content[at : at + 4] = struct.pack(">I", value)
    assert met(changed(path, bytes(content))) == 2


@pytest.mark.parametrize("frames", [0, 2**36 - 1, 2 * RATE + 1, 100_000])
def test_a_flac_without_a_length_or_with_too_long_a_one_is_counted(tmp_path: Path, frames: int):
    path = write(tmp_path / "a.flac", sweep(2, RATE), RATE)
    whole = load_audio(path, sample_rate=RATE)
    changed(path, with_flac_length(path.read_bytes(), frames))
    assert met(path) == 2
    np.testing.assert_array_equal(load_audio(path, sample_rate=RATE), whole)
    np.testing.assert_array_equal(load_audio(path, sample_rate=RATE, first=30_000, count=999), whole[30_000:30_999])
    assert len(load_audio(path, sample_rate=RATE, first=50_000, count=10)) == 0


@pytest.fixture(params=["quiet-loud", "loud-quiet", "even"])
def mp3(request, tmp_path: Path) -> Path:
    """An MP3 whose first frames tell nothing of how long the others are: variable bitrate."""
    loud, silent = sweep(3, 44_100, channels=2), np.zeros((44_100 * 5, 2), np.float32)
    sound = {"quiet-loud": [silent, loud], "loud-quiet": [loud, silent], "even": [loud, loud]}[request.param]
    return write(tmp_path / "a.mp3", np.concatenate(sound), 44_100)


def test_an_mp3_without_an_info_frame_is_whole(mp3: Path):
    whole = load_audio(mp3, sample_rate=44_100)
    changed(mp3, without_info(mp3.read_bytes()))
    duration_s = met(mp3)
    assert len(whole) / 44_100 < duration_s < len(whole) / 44_100 + ENCODER_DELAY_S
    # The same sound: only later, by what the encoder put before it.
    bare = load_audio(mp3, sample_rate=44_100)
    delay = 576  # LAME's; the decoder's own 529 are cut off either way
    np.testing.assert_allclose(bare[delay : delay + len(whole)], whole, rtol=0, atol=SEAM_TOLERANCE)
    part = load_audio(mp3, sample_rate=44_100, first=150_000, count=20_000)
    np.testing.assert_allclose(part, bare[150_000:170_000], rtol=0, atol=SEAM_TOLERANCE)


def test_an_mp3_in_constant_bitrate_without_an_info_frame_is_whole(tmp_path: Path):
    path = tmp_path / "a.mp3"
    for rate, channels, bit_rate in [(44_100, 2, 128_000), (44_100, 1, 32_000), (16_000, 1, 8_000), (8_000, 1, 8_000)]:
        write_container(
            path,
            sweep(5, rate, channels=channels),
            rate,
            codec="libmp3lame",
            options={"write_xing": "0"},
            bit_rate=bit_rate,
        )
        assert 5 <= met(path) < 5 + 4 * 1152 / rate


@pytest.mark.parametrize("keep", [0.3, 0.5, 0.77, 0.999])
@pytest.mark.parametrize("info", [True, False])
def test_an_mp3_cut_off_has_the_duration_that_is_there(mp3: Path, keep: float, info: bool):
    content = mp3.read_bytes() if info else without_info(mp3.read_bytes())
    whole_s = read_audio_info(mp3).duration_s
    changed(mp3, content[: int(len(content) * keep)])
    assert 0 < met(mp3) < whole_s + ENCODER_DELAY_S


def test_two_mp3s_in_one_file_are_both_heard(mp3: Path):
    whole_s, content = read_audio_info(mp3).duration_s, mp3.read_bytes()
    changed(mp3, content + content)
    assert 2 * whole_s <= met(mp3) < 2 * (whole_s + ENCODER_DELAY_S)


def test_tags_around_an_mp3_do_not_make_it_counted(mp3: Path, monkeypatch: pytest.MonkeyPatch):
    content, whole_s = mp3.read_bytes(), read_audio_info(mp3).duration_s
    monkeypatch.setattr(sndfile.SoundFile, "read", None)  # counting would call it
    picture = b"ID3\x03\x00\x00\x00\x00\x07\x76" + bytes(1014)
    assert read_audio_info(changed(mp3, picture + content)).duration_s == whole_s
    assert read_audio_info(changed(mp3, content + b"TAG" + bytes(125))).duration_s == whole_s
    assert read_audio_info(changed(mp3, content + b"APETAGEX" + bytes(300))).duration_s == whole_s


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "aiff", "mp3", "caf", "w64", "rf64", "au"])
def test_a_header_that_can_be_trusted_is_all_that_is_read(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch):
    path = write(tmp_path / f"a.{suffix}", sweep(2, RATE), RATE)
    monkeypatch.setattr(sndfile.SoundFile, "read", None)
    assert read_audio_info(path).duration_s == 2


@pytest.mark.parametrize("keep", [0.4, 0.6, 0.8, 0.95])
@pytest.mark.parametrize(("suffix", "options"), [("ogg", {}), ("opus", {"format": "OGG", "subtype": "OPUS"})])
def test_an_ogg_cut_off_has_the_duration_that_is_there(tmp_path: Path, suffix: str, options: dict, keep: float):
    path = write(tmp_path / f"a.{suffix}", noise(10, 24_000), 24_000, **options)
    content = path.read_bytes()
    assert 10 * keep - 2 < met(changed(path, content[: int(len(content) * keep)])) < 10 * keep + 1


def test_an_ogg_whose_last_page_says_no_time_has_the_duration_that_is_there(tmp_path: Path):
    path = write(tmp_path / "a.ogg", noise(10, RATE), RATE)
    content = bytearray(path.read_bytes())
    last = content.rindex(b"OggS")
    content[last + 6 : last + 14] = b"\xff" * 8
    assert 8 < met(changed(path, bytes(content))) <= 10


@pytest.mark.parametrize("rate", [1, 10, 99, 10_000_001, 2**31 - 1])
def test_a_rate_that_no_recorder_has_is_refused(tmp_path: Path, rate: int):
    path = write(tmp_path / "a.wav", noise(0.1, RATE), RATE)
    content = path.read_bytes()
    changed(path, content[:24] + struct.pack("<I", rate) + content[28:])
    message = rf"a\.wav states a sample rate of {rate} Hz; expected 100 to 10000000"
    with pytest.raises(DecodeError, match=message):
        read_audio_info(path)
    with pytest.raises(DecodeError, match=message):
        load_audio(path, sample_rate=RATE)


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [(24, b"\0\0\0\0", "Internal error"), (24, b"\xff" * 4, "Internal error"), (22, b"\0\0", "Channel count is zero")]
    + [(22, b"\xff\xff", "Too many channels")],
    ids=["0 Hz", "-1 Hz", "no channels", "65535 channels"],
)
def test_an_absurd_header_is_refused(tmp_path: Path, offset: int, value: bytes, reason: str):
    path = write(tmp_path / "a.wav", noise(0.1, RATE), RATE)
    content = path.read_bytes()
    changed(path, content[:offset] + value + content[offset + len(value) :])
    for use in (read_audio_info, lambda path: load_audio(path, sample_rate=RATE)):
        with pytest.raises(DecodeError, match=rf"a\.wav is not audio that can be decoded \({reason}"):
            use(path)


def test_a_flac_that_breaks_off_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write(tmp_path / "a.flac", noise(4, RATE), RATE)
    content = path.read_bytes()
    changed(path, content[: len(content) // 2])
    monkeypatch.setattr(decode, "BLOCK_VALUES", 2**20)
    with pytest.raises(DecodeError, match=r"a\.flac breaks off after (1\.[6-9]|2\.0)\d* s \(flac decoder lost sync\)"):
        load_audio(path, sample_rate=RATE)


@pytest.mark.parametrize("skip", [0, 3, 10])
def test_a_view_is_the_file_with_another_beginning(tmp_path: Path, skip: int):
    path = tmp_path / "a"
    path.write_bytes(bytes(range(100)))
    seen = b"new head" + bytes(range(skip, 100))
    with open(path, "rb") as file:
        view = CorrectedFile(file.fileno(), b"new head", skip)
        assert view.read() == seen
        assert (view.read(10), view.seek(0, 2)) == (b"", len(seen))
        for begin in (0, 5, 8, 20, len(seen) - 2, len(seen) + 5):
            assert view.seek(begin) == begin
            assert view.read(12) == seen[begin : begin + 12]
        view.seek(4)
        assert view.seek(3, 1) == view.tell() == 7
        view.seek(2**70)
        assert view.read(10) == b""


@pytest.mark.parametrize(
    "text", [b"#EXTM3U\nhttp://example.org/a.mp3", b"ffconcat version 1.0\nfile /etc/passwd", b"<svg/>", b"\x89PNG\r\n"]
)
def test_lists_of_other_files_are_no_audio(text: bytes):
    """FFmpeg would follow them."""
    assert identify_format(text) is None
