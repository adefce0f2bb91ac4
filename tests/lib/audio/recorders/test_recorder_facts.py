"""Name and header together: which time wins, what contradicts, and what the clip table carries."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hubbub.audio.recorders import HeaderNotes, RecordingFacts, describe_recording, parse_timezone, read_header_notes
from hubbub.audio.recorders.statement import Facts
from hubbub.clips.table import CLIP_SCHEMA, RESERVED_COLUMNS
from tests.lib.audio.recorders.header_cases import bext, chunk, info, wamd, wav

BERLIN = parse_timezone("Europe/Berlin")
HALF_PAST_TWO = datetime(2026, 5, 17, 2, 30, tzinfo=UTC)


def notes(*chunks: bytes) -> HeaderNotes:
    content = wav(*chunks)
    return read_header_notes(lambda count, offset: content[offset : offset + count], len(content))


def guano(stamp: str) -> bytes:
    return chunk(b"guan", f"Timestamp: {stamp}".encode())


CASES = [
    ("20260517_043000.WAV", [info()], None, HALF_PAST_TWO, None, "name and comment agree, two hours apart"),
    (
        "20260517_023000.WAV",
        [info()],
        BERLIN,
        HALF_PAST_TWO,
        None,
        "a name in UTC: the header wins over the zone given",
    ),
    ("20260517_043001.WAV", [info()], None, HALF_PAST_TWO, None, "a second between name and note"),
    ("20260517_042959.WAV", [info()], None, HALF_PAST_TWO, None, "a second the other way"),
    ("20260517_101500.WAV", [info()], None, HALF_PAST_TWO, None, "7 h 45 min apart: zones do that"),
    (
        "20260517_043700.WAV",
        [info()],
        None,
        HALF_PAST_TWO,
        "2:07:00 apart, no difference of time zones",
        "seven minutes",
    ),
    ("20260518_043000.WAV", [info()], None, HALF_PAST_TWO, "1 day, 2:00:00 apart", "another day"),
    ("20260517T023000Z.wav", [guano("2026-05-17T04:30:00")], None, HALF_PAST_TWO, None, "a zone in the name wins"),
    (
        "20260517T023000Z.wav",
        [guano("2026-05-17T06:30:00+02:00")],
        None,
        datetime(2026, 5, 17, 4, 30, tzinfo=UTC),
        "2:00:00 apart; the chunk 'guan' is taken",
        "two zones, one wrong",
    ),
    ("20260517_043000.wav", [bext()], BERLIN, HALF_PAST_TWO, None, "two clocks that agree"),
    (
        "20260517_043000.wav",
        [bext(time="05:30:00")],
        BERLIN,
        HALF_PAST_TWO,
        "1:00:00 apart; the name",
        "the name over bext",
    ),
    ("x.wav", [bext(), guano("2026-05-17T04:30:00")], BERLIN, HALF_PAST_TWO, None, "two notes that agree"),
    (
        "x.wav",
        [bext(date="2026-05-16"), wamd(start="2026-05-17 04:30:00")],
        BERLIN,
        HALF_PAST_TWO,
        "1 day, 0:00:00 apart; the chunk 'wamd'",
        "wamd over bext",
    ),
    (
        "20261317_043000.wav",
        [info()],
        None,
        HALF_PAST_TWO,
        "there is no month 13",
        "the name is wrong, the header is not",
    ),
]


@pytest.mark.parametrize(("name", "chunks", "zone", "recorded_at", "problem", "why"), CASES)
def test_which_time_wins_and_what_is_told(name, chunks, zone, recorded_at, problem, why):
    facts = describe_recording(name, notes(*chunks), zone)
    assert facts.recorded_at == recorded_at, why
    assert (problem is None) == (facts.problem is None), (why, facts.problem)
    assert (problem or "") in (facts.problem or "")


def test_without_a_zone_the_clocks_time_is_told_as_such():
    facts = describe_recording("SITE_20260517_043000.wav", notes(bext()))
    assert (facts.recorded_at, facts.local_time) == (None, datetime(2026, 5, 17, 4, 30))
    assert facts.evidence == "the time is from the name (Song Meter scheme, likely), which does not know its zone"


def test_evidence_says_where_the_time_is_from():
    assert describe_recording("x.wav", notes(info())).evidence == (
        "the time is from the AudioMoth comment in chunk 'LIST', which knows its zone"
    )
    assert describe_recording("20260517_043000.wav", timezone=BERLIN).evidence.endswith(
        "in the time zone Europe/Berlin"
    )
    no_time = describe_recording("x.wav", notes(wamd(model="SM4")))
    assert no_time.evidence == "no time is known; other facts are from chunk 'wamd'"


def test_each_fact_is_from_the_first_source_that_knows_it():
    header = notes(chunk(b"guan", b"Temperature Int: 7"), wamd(model="SM4", inside="9C", place="WGS84,1,N,2,E"))
    facts = describe_recording("POND_0+1_20260517_043000.wav", header)
    assert facts.columns() == {
        "site": "POND",
        "recorder": "Wildlife Acoustics SM4",
        "latitude": 1.0,
        "longitude": 2.0,
        "temperature_c": 7.0,
    }


def test_columns_are_free_names_of_the_clip_table():
    filled = RecordingFacts(site="a", recorder="b", serial="c", gain="d", gain_db=1.0, latitude=2.0, longitude=3.0,
                            temperature_c=4.0, battery_v=5.0)  # fmt: skip
    assert not set(filled.columns()) & (RESERVED_COLUMNS | set(CLIP_SCHEMA.names))
    assert len(filled.columns()) == 9
    assert RecordingFacts().columns() == {}


def test_nothing_known_is_nothing_said():
    assert describe_recording("dog.wav") == RecordingFacts()
    assert describe_recording("dog.wav", HeaderNotes()) == RecordingFacts()
    assert describe_recording("dog.wav", HeaderNotes(problems=("broken",))) == RecordingFacts(problem="broken")


def test_the_how_to_page_tells_what_is_so():
    """Each name of its first table is read, each of the digits it rules out is not, and its columns are the columns."""
    page = (Path(__file__).parents[4] / "docs" / "howto" / "recorders.md").read_text(encoding="utf-8")
    names = page.partition("## Names")[2].partition("## Notes")[0]
    rows = [row for row in names.splitlines() if row.startswith("| ") and "`" in row]
    assert len(rows) == 7
    for row in rows:
        scheme, examples, gives, sure = row.strip("| ").split(" | ")
        for example in re.findall("`([^`]+)`", examples):
            facts = describe_recording(example)
            assert f"{sure})" in facts.evidence, (scheme, example)
            assert ("UTC" in gives) or facts.local_time, example
    for example in re.findall(r"`([^`]+\.wav|60000000.WAV)`", names.partition("resemble")[2]):
        assert describe_recording(example) == RecordingFacts()
    columns = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", page.partition("## Columns")[2], re.M)))
    filled = RecordingFacts(**{field.name: "known" for field in fields(Facts)})
    assert columns == ["recorded_at", *filled.columns()]
