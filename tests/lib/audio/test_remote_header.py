"""Headers of recordings in buckets: the same as of the whole recording, for a small part of its bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubbub.audio import remote, remote_header
from hubbub.audio.decode import AudioInfo, read_audio_info
from hubbub.audio.recorders import read_header_notes
from hubbub.audio.remote_header import read_remote_header
from hubbub.errors import AudioError, FileChanged
from hubbub.io.paths import parse_path
from tests.data.recordings import noise, write
from tests.servers.server import Server

SECONDS, RATE = 60, 44_100
CASES = [
    # name, options of soundfile, the largest share of its bytes that is asked for
    ("a.wav", {"subtype": "PCM_16"}, 0.1),
    ("a.rf64", {"format": "RF64", "subtype": "PCM_24"}, 0.1),
    ("a.aiff", {"subtype": "PCM_16"}, 0.1),
    ("a.caf", {"subtype": "PCM_16"}, 0.1),
    ("a.flac", {"subtype": "PCM_24"}, 0.4),
    ("a.ogg", {"format": "OGG", "subtype": "VORBIS"}, 0.9),
    ("a.mp3", {"format": "MP3"}, 0.9),
]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes of each request, as they come."""
    counts: list[int] = []
    really = remote.read_range

    def read_range(source, begin, etag, count=None):
        found = really(source, begin, etag, count)
        counts.append(len(found[2]))
        return found

    monkeypatch.setattr(remote_header, "read_range", read_range)
    monkeypatch.setattr(remote, "read_range", read_range)
    return counts


def put(server: Server, s3: str, name: str, data: bytes) -> None:
    server.client().put_object(Bucket=s3.removeprefix("s3://"), Key=name, Body=data)


@pytest.mark.parametrize(("name", "options", "share"), CASES, ids=[case[0] for case in CASES])
def test_a_header_tells_what_the_recording_does(
    s3: str, moto_server: Server, tmp_path: Path, asked: list[int], name: str, options: dict, share: float
):
    path = write(tmp_path / name, noise(SECONDS, RATE), RATE, **options)
    put(moto_server, s3, name, path.read_bytes())
    header = read_remote_header(parse_path(f"{s3}/{name}"))
    assert header.info == read_audio_info(path)
    assert header.size_bytes == path.stat().st_size
    assert header.notes == read_header_notes(path)
    assert sum(asked) <= share * path.stat().st_size


def test_a_small_recording_takes_one_request(s3: str, moto_server: Server, tmp_path: Path, asked: list[int]):
    path = write(tmp_path / "a.wav", noise(1, RATE), RATE, subtype="PCM_16")
    put(moto_server, s3, "a.wav", path.read_bytes())
    assert read_remote_header(parse_path(f"{s3}/a.wav")).info == AudioInfo(RATE, 1, 1.0)
    assert asked == [path.stat().st_size]


def test_an_mp3_whose_frames_must_be_counted_is_fetched(s3: str, moto_server: Server, tmp_path: Path):
    whole = write(tmp_path / "a.mp3", noise(120, RATE), RATE, format="MP3").read_bytes()
    cut = tmp_path / "cut.mp3"
    cut.write_bytes(whole[: len(whole) * 3 // 4])  # its Info frame speaks of more frames than follow
    put(moto_server, s3, "cut.mp3", cut.read_bytes())
    assert read_remote_header(parse_path(f"{s3}/cut.mp3")).info == read_audio_info(cut)


def test_what_is_no_audio_is_told_in_the_same_words(s3: str, moto_server: Server, tmp_path: Path):
    for name, data in (("small.wav", b"no sound"), ("large.wav", b"no sound" * 100_000)):
        (tmp_path / name).write_bytes(data)
        put(moto_server, s3, name, data)
        info = read_remote_header(parse_path(f"{s3}/{name}")).info
        with pytest.raises(AudioError) as told:
            read_audio_info(tmp_path / name)
        assert isinstance(info, AudioError)
        assert str(info) == str(told.value)


def test_a_recording_that_changes_between_two_ranges_is_refused(
    s3: str, moto_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    data = write(tmp_path / "a.flac", noise(SECONDS, RATE), RATE).read_bytes()
    put(moto_server, s3, "a.flac", data)
    really = remote.read_range

    def read_range(source, begin, etag, count=None):
        found = really(source, begin, etag, count)
        if begin == 0:
            put(moto_server, s3, "a.flac", data[:-1] + b"x")
        return found

    monkeypatch.setattr(remote_header, "read_range", read_range)
    with pytest.raises(FileChanged, match="changed since it was indexed"):
        read_remote_header(parse_path(f"{s3}/a.flac"))
