"""Names of recordings: which scheme reads which, how sure it is, and what is not claimed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.audio.recorders import RecordingFacts, describe_recording

CLOCK = datetime(2026, 5, 17, 4, 30)
INSTANT = CLOCK.replace(tzinfo=UTC)
DATED = ("name (scheme of date and time, likely)", CLOCK)
SONG_METER = ("name (Song Meter scheme, certain)", CLOCK)
SITE = ("name (Song Meter scheme, likely)", CLOCK)
ISO = ("name (ISO 8601 scheme, certain)", INSTANT)
MOTH = ("name (AudioMoth scheme, certain)", CLOCK)
HEX = "name (AudioMoth scheme, hexadecimal seconds, likely)"
FRONTIER = ("name (Frontier Labs scheme, certain)", datetime(2020, 11, 6, 20, 58, 35, tzinfo=UTC))
AT_FRONTIER = {"latitude": -27.3888, "longitude": 152.8808, "recorder": "Frontier Labs"}
SM2 = {"recorder": "Wildlife Acoustics Song Meter SM2", "recorder_serial": "SM200001"}
SM4 = {"recorder": "Wildlife Acoustics Song Meter SM4", "recorder_serial": "S4A01234"}

READ: list[tuple[str, tuple[str, datetime], dict[str, object], str]] = [
    ("20260517_043000.WAV", DATED, {}, "AudioMoth writes so, and so do others"),
    ("20260517_043000T.WAV", MOTH, {"recorder": "AudioMoth"}, "the T of a triggered recording"),
    (
        "24F3190361DA3578_20260517_043000.WAV",
        MOTH,
        {"recorder": "AudioMoth", "recorder_serial": "24F3190361DA3578"},
        "",
    ),
    ("5E90A4D4.WAV", (HEX, datetime(2020, 4, 10, 16, 54, 44, tzinfo=UTC)), {"recorder": "AudioMoth"}, "UTC"),
    ("card 1/DATA/20260517_043000.WAV", DATED, {}, "the folder is no part of the name"),
    ("s3://b/k/SITE_20260517_043000.wav", SITE, {"site": "SITE"}, "an address"),
    ("SITE_20260517_043000.wav", SITE, {"site": "SITE"}, "a prefix that a person gave"),
    ("WALDEN-2_20260517_043000.wav", SITE, {"site": "WALDEN-2"}, "a dash is part of the prefix"),
    ("SITE_0+1_20260517_043000.wav", SONG_METER, {"site": "SITE"}, "SM3, stereo"),
    ("SITE_0_20260517_043000.wav", SONG_METER, {"site": "SITE"}, "SM3, channel 0"),
    ("SITE_-_20260517_043000.wav", SONG_METER, {"site": "SITE"}, "no channel"),
    ("SITE_0+1_20260517$043000.wac", SONG_METER, {"site": "SITE"}, "clock set by GPS"),
    ("S4A01234_20260517_043000.wav", SONG_METER, SM4, "a serial number is no site"),
    ("S4A01234_20260517_043000_001.wav", SONG_METER, SM4, "thousandths or a counter"),
    ("SM200001_20260517_043000.wav", SONG_METER, SM2, "SM2"),
    ("SITE_A_20260517_043000.wav", DATED, {"site": "SITE_A"}, "plot A or channel A: nobody can tell"),
    ("nord_plot_7_20260517_043000.wav", DATED, {"site": "nord_plot_7"}, "a prefix of several words"),
    ("rec_20260517_043000.wav", SITE, {}, "rec is no site"),
    ("0012_20260517_043000.wav", SITE, {}, "a counter is no site"),
    ("20260517T063000+0200_ROOF.flac", ISO, {"site": "ROOF"}, "the offset"),
    ("20260517T043000Z.wav", ISO, {}, "UTC"),
    ("2026-05-17T04-30-00Z_x.wav", ISO, {"site": "x"}, "dashes for colons"),
    ("2026-05-17T10:15:00+05:45 y.wav", ISO, {}, "what follows a space is a remark"),
    ("roof_20260517_043000-0500.wav", DATED, {"site": "roof"}, "without the T, minus may begin a counter"),
    ("roof_20260517_063000+0200.wav", ISO, {"site": "roof"}, "plus is an offset"),
    ("2026-05-17T04-30-00.wav", ("name (ISO 8601 scheme, certain)", CLOCK), {}, "no zone"),
    ("20260517T043000.250Z_x.wav", (ISO[0], INSTANT + timedelta(milliseconds=250)), {"site": "x"}, "a fraction"),
    ("20201107T065835+1000_REC [-27.3888+152.8808].flac", FRONTIER, AT_FRONTIER, "plus between"),
    ("20201107T065835+1000_REC_[-27.3888 152.8808].flac", FRONTIER, AT_FRONTIER, "a space between"),
    ("20201107T065835+1000_POND_[-27.3888+152.8808].flac", FRONTIER, {**AT_FRONTIER, "site": "POND"}, "a site"),
    ("S20201107T065835+1000_E20201107T070835+1000_-27.3888+152.8808.wav", FRONTIER, AT_FRONTIER, "start and end"),
    ("2026-05-17_04-30-00.ogg", DATED, {}, "dashes"),
    ("memo 2026-05-17 04.30.00.m4a", DATED, {"site": "memo"}, "dots"),
]


@pytest.mark.parametrize(("name", "expected", "columns", "why"), READ, ids=lambda v: str(v)[:60])
def test_names_of_recorders_are_read(name: str, expected: tuple[str, datetime], columns: dict[str, object], why: str):
    facts = describe_recording(name)
    assert (facts.recorded_at or facts.local_time) == expected[1], why
    assert (facts.recorded_at is None) == (expected[1].tzinfo is None)
    assert expected[0] in facts.evidence
    assert facts.columns() == columns, why
    assert facts.problem is None


UNCLAIMED = [
    ("201101070953.wav", "twelve digits of a sound archive"),
    ("20260517043000.wav", "fourteen digits in a row"),
    ("20260517.wav", "a day without time"),
    ("20260517_0430.wav", "minutes without seconds: also a counter"),
    ("12345678_123456.wav", "the year 1234"),
    ("120260517_0430001.wav", "digits go on"),
    ("a b 20260517_0430001.wav", "digits go on behind"),
    ("a b 120260517_043000.wav", "digits go on before"),
    ("10160435.wav", "a BATLOGGER's number, which would be a hexadecimal 1978"),
    ("60000000.WAV", "a hexadecimal 2021, but all decimal"),
    ("5e90a4d4.wav", "the firmware writes capitals"),
    ("DEADBEEF.WAV", "a hexadecimal 2088"),
    ("5E90A4D4_x.WAV", "more than the number"),
    ("1-100032-A-0.wav", "ESC-50"),
    ("7061-6-0-0.wav", "UrbanSound8K"),
    ("", "no name"),
    ("////", "no name"),
]


@pytest.mark.parametrize(("name", "why"), UNCLAIMED)
def test_digits_that_only_resemble_a_time_are_not_claimed(name: str, why: str):
    assert describe_recording(name) == RecordingFacts(), why


IMPOSSIBLE = [
    ("20261317_043000.wav", "there is no month 13"),
    ("SITE_20260230_043000.wav", "there is no 30 February 2026"),
    ("SITE_20250229_043000.wav", "there is no 29 February 2025"),
    ("20260517T250000Z.wav", "there is no hour 25"),
    ("S4A01234_20260517_046000.wav", "there is no minute 60"),
    ("2026-05-17_04-30-60.wav", "there is no second 60"),
    ("20260500_043000T.WAV", "there is no 0 May 2026"),
    ("19700101_000012.WAV", "clock was not set"),
    ("24F3190361DA3578_19700101_000012.WAV", "clock was not set"),
    ("19300101T000000Z.wav", "year 1930; expected 1971 to 2099"),
]


@pytest.mark.parametrize(("name", "reason"), IMPOSSIBLE)
def test_impossible_times_are_named(name: str, reason: str):
    facts = describe_recording(name, timezone=UTC)
    assert facts.recorded_at is None
    assert facts.local_time is None
    assert reason in (facts.problem or "")
    assert name.rsplit(".", 1)[0] in (facts.problem or "")


@given(st.text() | st.from_regex(r"[A-Z]{0,3}[-_T ]?[0-9]{4}-?[0-9]{2}-?[0-9]{2}[-_T $][0-9]{2}.{0,30}"))
def test_no_name_raises(name: str):
    facts = describe_recording(name, timezone=UTC)
    assert facts.recorded_at is None or facts.recorded_at.tzinfo is UTC
    "".join(str(value) for value in facts.columns().values()).encode()


OFFSETS = st.sampled_from([-570, -300, 0, 60, 120, 345, 630, 840])
TIMES = st.datetimes(datetime(1980, 1, 1), datetime(2099, 12, 30)).map(lambda when: when.replace(microsecond=0))


@pytest.mark.parametrize(
    "form",
    [
        "%Y%m%d_%H%M%S.WAV",
        "%Y%m%d_%H%M%ST.WAV",
        "24F3190361DA3578_%Y%m%d_%H%M%S.WAV",
        "SITE_%Y%m%d_%H%M%S.wav",
        "SITE_0+1_%Y%m%d_%H%M%S_000.wav",
        "S4A01234_%Y%m%d$%H%M%S.wav",
        "%Y-%m-%d_%H-%M-%S.wav",
        "%Y-%m-%dT%H-%M-%S.wav",
    ],
)
@given(when=TIMES, minutes=OFFSETS)
def test_a_clock_written_into_a_name_is_read_back(form: str, when: datetime, minutes: int):
    zone = timezone(timedelta(minutes=minutes))
    assert describe_recording(when.strftime(form)).local_time == when
    assert describe_recording(when.strftime(form), timezone=zone).recorded_at == when.replace(tzinfo=zone)


@pytest.mark.parametrize(
    "form",
    [
        "%Y%m%dT%H%M%S%z_SITE.flac",
        "%Y-%m-%dT%H-%M-%S%z.wav",
        "%Y%m%dT%H%M%S%z_REC [-27.3888+152.8808].flac",
        "S%Y%m%dT%H%M%S.000000%z_E20990101T000000+0000_-27.38+152.88.wav",
    ],
)
@given(when=TIMES, minutes=OFFSETS)
def test_a_time_with_its_offset_is_read_back(form: str, when: datetime, minutes: int):
    instant = when.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert describe_recording(instant.strftime(form)).recorded_at == instant


@given(st.integers(1_483_228_800, 2_051_222_399).filter(lambda seconds: not f"{seconds:X}".isdecimal()))
def test_hexadecimal_seconds_are_read_back(seconds: int):
    assert describe_recording(f"{seconds:08X}.WAV").recorded_at == datetime.fromtimestamp(seconds, UTC)
