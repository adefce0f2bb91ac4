"""Tags of FLAC, Ogg and MP3: files by libsndfile and by FFmpeg, and tags made by hand that those do not write."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from hubbub.audio.recorders import HeaderNotes, RecordingFacts, describe_recording, read_header_notes
from hubbub.clips.index import index_listing
from hubbub.clips.sources import Columns, list_source
from tests.lib.audio.recorders.header_cases import COMMENT, GUANO, bext, chunk, facts_of, info, read, wav

ARTIST = "AudioMoth 24F3190361DA3578"
WHEN = datetime(2026, 5, 17, 2, 30, tzinfo=UTC)
LOCAL = datetime(2026, 5, 17, 4, 30)
FORMS = {"a.flac": ("FLAC", None), "a.ogg": ("OGG", "VORBIS"), "a.opus": ("OGG", "OPUS"), "a.mp3": ("MP3", None)}


def make_by_libsndfile(path: Path, **tags: str) -> Path:
    kind, subtype = FORMS[path.name]
    with soundfile.SoundFile(path, "w", 48000, 1, format=kind, subtype=subtype) as file:
        for name, text in tags.items():
            setattr(file, name, text)
        file.write(np.zeros(4800, np.float32))
    return path


def make_by_ffmpeg(path: Path, tags: dict[str, str], **options: str) -> Path:
    codec, samples = {
        ".flac": ("flac", np.zeros((1, 4800), np.int16)),
        ".opus": ("libopus", np.zeros((1, 4800), np.float32)),
        ".mp3": ("libmp3lame", np.zeros((1, 4800), np.float32)),
    }[path.suffix]
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=48000, layout="mono")
        container.metadata.update(tags)
        frame = av.AudioFrame.from_ndarray(samples, "s16" if path.suffix == ".flac" else "fltp", "mono")
        frame.sample_rate = 48000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return path


def facts_of_file(path: Path) -> RecordingFacts:
    notes = read_header_notes(path)
    assert notes.problems == ()
    return describe_recording("x", notes)


@pytest.mark.parametrize("name", FORMS)
def test_the_comment_of_audiomoth_in_tags_by_libsndfile(name: str, tmp_path: Path):
    facts = facts_of_file(make_by_libsndfile(tmp_path / name, comment=COMMENT, artist=ARTIST, title="Süd", date="2026"))
    assert (facts.recorded_at, facts.gain, facts.battery_v, facts.temperature_c) == (WHEN, "medium", 4.1, 23.4)
    assert (facts.recorder, facts.serial) == ("AudioMoth", "24F3190361DA3578")
    assert facts.evidence == "the time is from the AudioMoth comment in the tags, which knows its zone"


@pytest.mark.parametrize("name", ["b.flac", "b.opus", "b.mp3"])
def test_a_wav_converted_by_ffmpeg_keeps_its_notes(name: str, tmp_path: Path):
    """FFmpeg calls a comment DESCRIPTION in FLAC and Ogg, and gives date and time of `bext` apart."""
    (tmp_path / "a.wav").write_bytes(wav(bext(), info("no sentence", artist="me")))
    with av.open(str(tmp_path / "a.wav")) as source:
        tags = dict(source.metadata)
    facts = facts_of_file(make_by_ffmpeg(tmp_path / name, tags | {"comment": COMMENT, "artist": ARTIST}))
    assert (facts.recorded_at, facts.serial) == (WHEN, "24F3190361DA3578")
    if name != "b.mp3":  # there FFmpeg makes of the time one of today
        plain = facts_of_file(make_by_ffmpeg(tmp_path / name, tags))
        assert (plain.local_time, plain.recorder) == (LOCAL, "Zoom F6")


@pytest.mark.parametrize("version", ["3", "4"])
def test_the_encodings_of_id3_are_read(version: str, tmp_path: Path):
    """FFmpeg writes UTF-16 in version 2.3, where a letter needs it, and UTF-8 in 2.4."""
    tags = {"comment": f"{COMMENT} ü–", "artist": ARTIST}
    assert facts_of_file(make_by_ffmpeg(tmp_path / "b.mp3", tags, id3v2_version=version)).recorded_at == WHEN


FRONTIER = {
    "SensorFirmwareVersion": "V3.30",
    "RecordingStart": "2026-05-17T04:30:00+0200",
    "BatteryLevel": "93% 12.16V",
    "SensorLocation": "-27.3888+152.8808",
    "SensorUid": "000000004b123456",
    "ChannelGain": "40dB",
}


def test_tags_of_frontier_labs(tmp_path: Path):
    facts = facts_of_file(make_by_ffmpeg(tmp_path / "b.flac", FRONTIER))
    assert facts.recorded_at == WHEN
    assert facts.columns() == {
        "recorder": "Frontier Labs",
        "recorder_serial": "000000004b123456",
        "gain_setting": "40dB",
        "gain_db": 40.0,
        "latitude": -27.3888,
        "longitude": 152.8808,
        "battery_v": 12.16,
    }
    unset = FRONTIER | {"SensorLocation": "unknown", "BatteryLevel": "unknown", "RecordingStart": "2026-05-17 04:30:00"}
    facts = facts_of_file(make_by_ffmpeg(tmp_path / "b.flac", unset))
    assert (facts.local_time, facts.latitude, facts.battery_v) == (LOCAL, None, None)


@pytest.mark.parametrize(
    ("date", "local", "utc", "why"),
    [
        ("2026-05-17T04:30:00", LOCAL, None, "the recorder's clock"),
        ("2026-05-17 04:30:00", LOCAL, None, "a space"),
        ("2026-05-17T04:30+02:00", None, WHEN, "with its zone"),
        ("2026-05-17", None, None, "no time of day"),
        ("2026", None, None, "a year"),
        ("2026-05-17T00:00:00Z", None, None, "the day of a release"),
        ("spring", None, None, "no date"),
    ],
)
@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.mp3"])
def test_a_date_counts_where_it_has_a_time_of_day(
    name: str, date: str, local: datetime | None, utc: datetime | None, why: str, tmp_path: Path
):
    title = "A title too long for ID3v1, 2026-01-01T10:20:30"
    facts = facts_of_file(make_by_libsndfile(tmp_path / name, date=date, title=title, comment="in the garden"))
    assert (facts.local_time, facts.recorded_at) == (local, utc), why


def test_a_date_that_cannot_be_is_told(tmp_path: Path):
    notes = read_header_notes(make_by_libsndfile(tmp_path / "a.flac", date="2026-02-30T04:30:00"))
    assert describe_recording("x", notes).problem == "the tag 'DATE': there is no 30 February 2026"


def test_the_name_wins_over_a_date_and_the_difference_is_told(tmp_path: Path):
    notes = read_header_notes(make_by_libsndfile(tmp_path / "a.ogg", date="2026-05-18T04:30:00"))
    facts = describe_recording("20260517_043000.ogg", notes)
    assert facts.local_time == LOCAL
    assert "are 1 day, 0:00:00 apart" in (facts.problem or "")


def test_index_takes_the_time_from_tags(tmp_path: Path):
    make_by_libsndfile(tmp_path / "a.flac", comment=COMMENT, artist=ARTIST)
    table, unreadable = index_listing(list_source(tmp_path, "flat", Columns()))
    assert (table.rows["recorded_at"].to_pylist(), unreadable) == ([WHEN], [])


def flac(*blocks: tuple[int, bytes]) -> bytes:
    """Make the blocks before the samples of a FLAC file."""
    parts = [bytes([kind]) + len(body).to_bytes(3, "big") + body for kind, body in blocks]
    return b"fLaC" + b"".join(parts) + b"\x81\0\0\0" + b"\xff\xf8" * 10


def comments(*texts: str) -> bytes:
    packed = (struct.pack("<I", len(text.encode())) + text.encode() for text in texts)
    return struct.pack("<I", 4) + b"test" + struct.pack("<I", len(texts)) + b"".join(packed)


def ogg(*packets: bytes, page_bytes: int = 255 * 255) -> bytes:
    """Make an Ogg stream; a packet longer than a page goes on on the next."""
    pages = b""
    for packet in packets:
        lengths = [255] * (len(packet) // 255) + [len(packet) % 255]
        most = page_bytes // 255
        for at in range(0, len(lengths), most):
            part = lengths[at : at + most]
            body = packet[at * 255 :][: sum(part)]
            pages += b"OggS\0\0" + bytes(8) + b"seri" + bytes(8) + bytes([len(part), *part]) + body
    return pages


def id3(*frames: bytes, version: int = 3, flags: int = 0, tail: bytes = b"\xff\xfb\x90\x64" * 4) -> bytes:
    body = b"".join(frames) + bytes(20)
    if flags & 0x80:
        body = body.replace(b"\xff", b"\xff\x00")
    size = bytes(len(body) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3" + bytes([version, 0, flags]) + size + body + tail


def frame(name: bytes, body: bytes, flags: bytes = b"\0\0") -> bytes:
    if len(name) == 3:
        return name + len(body).to_bytes(3, "big") + body
    return name + struct.pack(">I", len(body)) + flags + body


SAID = b"\x00eng\x00" + COMMENT.encode()
WIDE = b"\x01eng" + "Notiz\0".encode("utf-16") + COMMENT.encode("utf-16")
PICTURE = "METADATA_BLOCK_PICTURE=" + "A" * 50_000


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (flac((4, comments(f"Comment={COMMENT}"))), "a name in any case"),
        (flac((0, bytes(34)), (6, bytes(100_000)), (4, comments(f"COMMENT={COMMENT}"))), "behind a picture"),
        (flac((4, comments(PICTURE, f"COMMENT={COMMENT}"))), "a picture among them"),
        (id3(frame(b"TIT2", b"\0x"), tail=flac((4, comments(f"COMMENT={COMMENT}")))), "ID3 before FLAC"),
        (flac((2, b"riff" + info())), "kept by flac --keep-foreign-metadata"),
        (ogg(b"\x01vorbis", b"\x03vorbis" + comments(PICTURE, f"COMMENT={COMMENT}"), b"\x05vorbis"), "two pages"),
        (ogg(b"OpusHead", b"OpusTags" + comments(f"DESCRIPTION={COMMENT}"), b"x", page_bytes=255), "many pages"),
        (ogg(b"\x7fFLAC", b"\x84\0\0\0" + comments(f"COMMENT={COMMENT}"), b"x"), "FLAC in Ogg"),
        (ogg(b"Speex   1.2", comments(f"COMMENT={COMMENT}"), b"x"), "Speex"),
        (id3(frame(b"COMM", SAID)), "2.3"),
        (id3(frame(b"COM", SAID), version=2), "2.2"),
        (id3(frame(b"COMM", WIDE)), "UTF-16 with a description"),
        (id3(frame(b"APIC", bytes(90_000)), frame(b"COMM", SAID)), "behind a picture"),
        (id3(frame(b"COMM", WIDE), flags=0x80), "unsynchronised"),
        (id3(struct.pack(">IHI", 6, 0, 0), frame(b"COMM", SAID), flags=0x40), "an extended header"),
    ],
)
def test_tags_are_found_wherever_they_stand(content: bytes, why: str):
    notes = read(content)
    assert notes.problems == (), why
    assert describe_recording("x", notes).recorded_at == WHEN, why


def test_foreign_chunks_of_flac_are_read_as_those_of_wav():
    content = flac((2, b"riff" + chunk(b"guan", GUANO.encode())), (2, b"peem" + bytes(40)), (2, b"riff" + bext()))
    assert [statement.source for statement in read(content).statements] == ["chunk 'guan'", "chunk 'bext'"]


def test_three_frames_of_id3_are_one_date():
    frames = (frame(b"TYER", b"\x002026"), frame(b"TDAT", b"\x001705"), frame(b"TIME", b"\x000430"))
    assert facts_of(id3(*frames)).local_time == LOCAL


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (flac((4, comments(f"COMMENT={COMMENT}", "DATE=2026")[:-3])), "a tag longer than its block"),
        (flac((4, b"")), "an empty block"),
        (ogg(b"\x01vorbis", b"\x03vorbis" + comments("A=b")[:-2], b"\x05vorbis"), "a tag longer than its packet"),
        (id3(frame(b"COMM", SAID), b"TIT2\x7f\xff\xff\xff\0\0x"), "a frame longer than the tag"),
        (id3(frame(b"COMM", SAID), b"\x01\x02\x03\x04 no frame"), "what is no frame"),
    ],
)
def test_broken_tags_are_told_and_what_came_before_is_kept(content: bytes, why: str):
    notes = read(content)
    assert notes.problems == ("the header is broken: the tags break off",), why
    if COMMENT.encode() in content:
        assert describe_recording("x", notes).recorded_at == WHEN


def test_a_packed_frame_is_passed_over():
    assert read(id3(frame(b"COMM", SAID, b"\0\x80"))) == HeaderNotes()


def test_few_bytes_are_read(tmp_path: Path):
    path = make_by_libsndfile(tmp_path / "a.flac", comment=COMMENT)
    content, counts = path.read_bytes() + bytes(2**22), []

    def pread(count: int, offset: int) -> bytes:
        counts.append(count)
        return content[offset : offset + count]

    assert read_header_notes(pread, len(content)).statements
    assert counts == [4096]


@given(st.sampled_from([b"fLaC", b"OggS\0\0", b"ID3\x03\0", b"ID3\x04\0\x80", b"ID3\x02\0"]), st.binary(max_size=400))
def test_no_tags_raise(head: bytes, rest: bytes):
    read(head + rest)


@given(st.data())
def test_no_damage_to_good_tags_raises(data: st.DataObject):
    good = data.draw(
        st.sampled_from(
            [
                flac((4, comments(f"COMMENT={COMMENT}", "DATE=2026-05-17T04:30"))),
                ogg(b"\x01vorbis", b"\x03vorbis" + comments(f"COMMENT={COMMENT}"), b"x"),
                id3(frame(b"COMM", WIDE), frame(b"TDRC", b"\x032026"), version=4),
            ]
        )
    )
    content = bytearray(good[: data.draw(st.integers(1, len(good)))])
    for _ in range(data.draw(st.integers(0, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    read(bytes(content))
