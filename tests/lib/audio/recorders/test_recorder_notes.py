"""Notes in headers: each chunk, where it may stand, and files that are broken or hostile."""

from __future__ import annotations

import os
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from hubbub.audio.recorders import HeaderNotes, describe_recording, read_header_notes
from hubbub.audio.recorders.notes import LONGEST_CHUNK
from tests.lib.audio.recorders.header_cases import (
    GUANO,
    SAMPLES,
    W64_TAIL,
    bext,
    chunk,
    facts_of,
    info,
    read,
    rf64,
    w64,
    wamd,
    wav,
)

GUANO_FACTS = {
    "recorder": "Wildlife Acoustics, Inc. Song Meter Mini",
    "recorder_serial": "2MA04827",
    "site": "DACH-Süd",
    "gain_setting": "18 dB",
    "gain_db": 18.0,
    "latitude": 46.76539,
    "longitude": 8.73814,
    "temperature_c": -1.25,
}
GUAN = chunk(b"guan", GUANO.encode())
IXML = (
    "<?xml version='1.0'?><BWFXML><LOCATION><LOCATION_NAME>Roof &amp; yard</LOCATION_NAME>"
    "<LOCATION_GPS>52.5, 13.4</LOCATION_GPS></LOCATION><BEXT><BWF_ORIGINATION_DATE>2026-05-17</BWF_ORIGINATION_DATE>"
    "<BWF_ORIGINATION_TIME>04:30:00</BWF_ORIGINATION_TIME></BEXT></BWFXML>"
)


def test_guano_is_read():
    facts = facts_of(wav(GUAN))
    assert facts.recorded_at == datetime(2025, 2, 27, 6, 39, 2, tzinfo=UTC)
    assert facts.columns() == GUANO_FACTS
    assert facts.problem is None


@pytest.mark.parametrize(
    ("text", "columns", "why"),
    [
        ("Loc Position: 0.0 0.0", {}, "no satellite was found"),
        ("Loc Position: 91 8", {}, "no latitude"),
        ("Loc Position: 46.7", {}, "half a position"),
        ("Loc Position: nan nan", {}, "no number"),
        ("Temperature Int: 20\nTemperature Ext: 3.5", {"temperature_c": 3.5}, "outside wins"),
        ("Temperature Int: hot", {}, "no number"),
        ("PET|Gain: 80", {"gain_setting": "80"}, "a gain without a unit"),
        ('WA|Song Meter|Audio settings: [{"gain":6},{"gain":18}]', {"gain_setting": "6, 18 dB"}, "two channels"),
        ("WA|Song Meter|Audio settings: [{“gain”:12}]", {"gain_setting": "12 dB", "gain_db": 12.0}, "Kaleidoscope"),
        ("Serial: S4A1\nWA|Song Meter|Prefix: S4A1", {"recorder_serial": "S4A1"}, "a serial number is no site"),
        ("Make: a\x1b[31m\tb", {"recorder": "a\\x1b[31m b"}, "no control characters"),
        (" \0Model : X \r", {"recorder": "X"}, "spaces around"),
        ("no colon\n:\n: empty key\nkey:", {}, "lines that say nothing"),
    ],
)
def test_fields_of_guano(text: str, columns: dict[str, object], why: str):
    assert facts_of(wav(chunk(b"guan", text.encode()))).columns() == columns, why


@pytest.mark.parametrize(
    ("stamp", "recorded_at", "local_time", "problem"),
    [
        ("2026-05-17T04:30:00Z", datetime(2026, 5, 17, 4, 30, tzinfo=UTC), None, None),
        ("2026-05-17 04:30:00.5-03:30", datetime(2026, 5, 17, 8, 0, 0, 500_000, tzinfo=UTC), None, None),
        ("2026-05-17T04:30", None, datetime(2026, 5, 17, 4, 30), None),
        ("2026-02-30T04:30:00Z", None, None, "there is no 30 February 2026"),
        ("2026-05-17T04:30:00+19:00", None, None, "there is no offset +19:00 from UTC"),
        ("yesterday", None, None, "'yesterday' is no time such as 2026-05-17T04:30:00+02:00"),
    ],
)
def test_timestamps_of_guano(
    stamp: str, recorded_at: datetime | None, local_time: datetime | None, problem: str | None
):
    facts = facts_of(wav(chunk(b"guan", f"Timestamp: {stamp}\n".encode())))
    assert (facts.recorded_at, facts.local_time) == (recorded_at, local_time)
    assert (problem or "") in (facts.problem or "")
    assert (problem is None) == (facts.problem is None)


@pytest.mark.parametrize(
    ("notes", "recorded_at", "place"),
    [
        ({"start": "2026-05-17 04:30:00+02:00"}, datetime(2026, 5, 17, 2, 30, tzinfo=UTC), None),
        ({"start": "2026-05-17 04:30:00.250"}, None, None),
        ({"place": "WGS84,42.43068,N,71.45617,W,100"}, None, (42.43068, -71.45617)),
        ({"place": ",27.5,S,153.0,E"}, None, (-27.5, 153.0)),
        ({"place": "WGS84,-27.5,153.0"}, None, (-27.5, 153.0)),
        ({"place": "WGS84"}, None, None),
    ],
)
def test_wamd_is_read(notes: dict[str, str], recorded_at: datetime | None, place: tuple[float, float] | None):
    facts = facts_of(wav(after=(wamd(model="SM4", serial="S4A02641", prefix="POND", inside="12.3C", **notes),)))
    assert facts.recorded_at == recorded_at
    assert ((facts.latitude, facts.longitude) if place else None) == place
    assert (facts.recorder, facts.serial, facts.site) == ("Wildlife Acoustics SM4", "S4A02641", "POND")
    assert facts.temperature_c == 12.3


def test_wamd_of_another_version_is_left_alone():
    assert read(wav(chunk(b"wamd", struct.pack("<HIH", 0, 2, 2) + b"\1\0\3\0\0\0SM9"))) == HeaderNotes()


@pytest.mark.parametrize(
    ("date", "time", "local_time", "problem"),
    [
        ("2026-05-17", "04:30:00", datetime(2026, 5, 17, 4, 30), None),
        ("2026:05:17", "04-30-00", datetime(2026, 5, 17, 4, 30), None),  # the standard allows other separators
        ("0000-00-00", "00:00:00", None, None),
        ("", "", None, None),
        ("2026-13-17", "04:30:00", None, "there is no month 13"),
        ("May 17 26", "04:30", None, "'May 17 26 04:30' is no date and time"),
    ],
)
def test_bext_is_read(date: str, time: str, local_time: datetime | None, problem: str | None):
    facts = facts_of(wav(bext(date, time)))
    assert (facts.local_time, facts.recorded_at, facts.recorder) == (local_time, None, "Zoom F6")
    assert (problem or "") in (facts.problem or "")
    assert (problem is None) == (facts.problem is None)


def test_ixml_is_read_even_when_it_is_cut_off():
    for text in (IXML, IXML.removesuffix("</BEXT></BWFXML>")):
        facts = facts_of(wav(after=(chunk(b"iXML", text.encode()),)))
        assert facts.local_time == datetime(2026, 5, 17, 4, 30)
        assert facts.columns() == {"site": "Roof & yard", "latitude": 52.5, "longitude": 13.4}


def test_entities_in_ixml_are_not_expanded():
    bomb = "<!DOCTYPE a [<!ENTITY b 'x'><!ENTITY c '&b;&b;'>]>" + IXML.replace("Roof &amp; yard", "&c;")
    assert facts_of(wav(chunk(b"iXML", bomb.encode()))).site == "&c;"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (wav(GUAN), "before the samples"),
        (wav(after=(GUAN,)), "behind the samples"),
        (wav(after=(GUAN,), samples=SAMPLES + b"\1"), "behind an odd number of bytes"),
        (wav(chunk(b"JUNK", b"x" * 4331), chunk(b"odd ", b"123"), GUAN), "behind others, odd and long"),
        (rf64(GUAN), "RF64"),
        (rf64(GUAN, samples=SAMPLES + b"\1"), "RF64, an odd number of bytes"),
        (w64((b"fmt ", b"x" * 16), (b"data", SAMPLES[:397]), (b"guan", GUANO.encode())), "W64, padded to 8"),
        (wav(GUAN, GUAN, chunk(b"guan", b"Loc Position: 1 1")), "the first counts"),
        (wav(chunk(b"guan", b"\xef\xbb\xbf" + GUANO.encode())), "with a byte order mark"),
        (wav(chunk(b"guan", (GUANO + " " * 100_000).encode())), "space kept free behind"),
    ],
)
def test_notes_are_found_wherever_they_stand(content: bytes, why: str):
    notes = read(content)
    assert notes.problems == (), why
    assert describe_recording("x.wav", notes).columns() == GUANO_FACTS, why


def test_text_that_is_no_utf8_is_latin1():
    assert facts_of(wav(chunk(b"guan", "Model: Gerät".encode("latin-1")))).recorder == "Gerät"


BROKEN = [
    (wav(GUAN)[:-200], "chunk 'data' says 800 bytes, which is beyond the end of the file", "cut off in its samples"),
    (wav(after=(GUAN[:100],)), "chunk 'guan' says", "cut off in its notes"),
    (wav(GUAN, chunk(b"JUNK", b"", 2**32 - 2)), "chunk 'JUNK' says 4294967294 bytes", "a hostile length"),
    (wav(GUAN, b"\0" * 16), "no chunk", "zeros between"),
    (wav(GUAN, *[chunk(b"JUNK", b"")] * 80), "more than 64 chunks", "chunks without end"),
    (rf64()[:28] + b"\xff" * 8 + rf64()[36:], "beyond the end of the file", "a length of 2**64 - 1"),
    (w64((b"fmt ", b""), (b"data", b""))[:-8] + b"\0" * 8, "no chunk", "W64 with a length of 0"),
    (w64((b"guan", GUANO.encode()))[:80], "beyond the end", "W64 cut off"),
]


@pytest.mark.parametrize(("content", "problem", "why"), BROKEN)
def test_broken_chunks_are_told_and_what_came_before_is_kept(content: bytes, problem: str, why: str):
    notes = read(content)
    assert any(problem in told for told in notes.problems), (why, notes)
    if content.find(GUAN) == 36:
        assert describe_recording("x.wav", notes).columns() == GUANO_FACTS


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty"),
        (b"RIFF", "four bytes"),
        (b"fLaC" + b"\0" * 100, "FLAC has no chunks"),
        (wav(), "no notes"),
        (wav()[:12], "nothing but the mark"),
        (wav()[:-800][:40] + b"\xff\xff\xff\xff" + SAMPLES, "written to a pipe: the length was never known"),
        (wav() + b"\0\0\0", "less than a chunk behind"),
    ],
)
def test_files_without_notes_give_none_and_no_complaint(content: bytes, why: str):
    assert read(content) == HeaderNotes(), why


def test_reads_are_few_and_bounded():
    """One for the header and one behind the samples; nothing of the samples."""
    reads: list[tuple[int, int]] = []
    content = wav(info(), after=(GUAN, wamd(model="SM4"), bext()), samples=bytes(2**22))

    def pread(count: int, offset: int) -> bytes:
        reads.append((count, offset))
        return content[offset : offset + count]

    assert len(read_header_notes(pread, len(content)).statements) == 4
    assert len(reads) == 2
    assert sum(count for count, _ in reads) <= 2**13


def test_a_long_chunk_is_read_to_its_bound():
    counts: list[int] = []
    content = wav(chunk(b"guan", GUANO.encode() + b"\n" * 2**22))

    def pread(count: int, offset: int) -> bytes:
        counts.append(count)
        return content[offset : offset + count]

    assert describe_recording("x.wav", read_header_notes(pread, len(content))).columns() == GUANO_FACTS
    assert max(counts) == LONGEST_CHUNK


def test_no_more_than_a_few_chunks_of_notes_are_read():
    assert len(read(wav(*[GUAN] * 20)).statements) == 8


@pytest.mark.parametrize("kind", ["WAV", "RF64", "W64", "WAVEX"])
def test_chunks_behind_the_samples_of_files_by_libsndfile_are_found(kind: str, tmp_path: Path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(1001, np.float32), 8000, format=kind, subtype="PCM_16")
    with path.open("ab") as file:
        body = GUANO.encode()
        guid = b"guan" + W64_TAIL + struct.pack("<Q", 24 + len(body)) + body
        file.write(b"\0" * (-file.tell() % 8) + guid if kind == "W64" else GUAN)
    notes = read_header_notes(str(path))
    assert notes.problems == ()
    assert describe_recording("x.wav", notes).columns() == GUANO_FACTS


def test_paths_descriptors_and_functions_read_the_same(tmp_path: Path):
    content = wav(info(), after=(GUAN,))
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    fd = os.open(path, os.O_RDONLY)
    try:
        assert read_header_notes(path) == read_header_notes(str(path)) == read_header_notes(fd) == read(content)
        assert os.lseek(fd, 0, os.SEEK_CUR) == 0
    finally:
        os.close(fd)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path):
    assert "No such file" in read_header_notes(tmp_path / "gone.wav").problems[0]
    assert "directory" in read_header_notes(tmp_path).problems[0]
    assert "null byte" in read_header_notes(Path("a\0b")).problems[0]

    def fail(count: int, offset: int) -> bytes:
        raise TimeoutError("the bucket does not answer")

    assert "the bucket does not answer" in read_header_notes(fail, 1000).problems[0]
    with pytest.raises(ValueError, match="size is missing"):
        read_header_notes(fail)


NOTE_CHUNKS = st.sampled_from([b"guan", b"wamd", b"LIST", b"bext", b"iXML", b"data", b"ds64", b"\0\0\0\0"])
LENGTHS = st.integers(0, 2**32 - 1) | st.none()


@given(
    head=st.sampled_from([b"RIFF\0\0\0\0WAVE", b"RF64\xff\xff\xff\xffWAVE", w64()]),
    parts=st.lists(st.tuples(NOTE_CHUNKS, st.binary(max_size=60), LENGTHS), max_size=6),
    tail=st.binary(max_size=20),
)
def test_no_bytes_raise(head: bytes, parts: list[tuple[bytes, bytes, int | None]], tail: bytes):
    content = head + b"".join(chunk(name, body, length) for name, body, length in parts) + tail
    facts = describe_recording("20260517_043000.wav", read(content))
    "".join(str(value) for value in facts.columns().values()).encode()


@given(st.data())
def test_no_damage_to_good_notes_raises(data: st.DataObject):
    content = bytearray(
        wav(info(artist="AudioMoth 24F3190361DA3578"), bext(), after=(GUAN, wamd(place="WGS84,1,N,2,E")))
    )
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    facts = describe_recording("x.wav", read(bytes(content[: data.draw(st.integers(0, len(content)))])))
    assert facts.latitude is None or abs(facts.latitude) <= 90
    assert facts.recorded_at is None or facts.recorded_at.utcoffset() == timedelta(0)
