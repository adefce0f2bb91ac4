"""Time zones: what people type, and the hours when clocks change."""

from __future__ import annotations

import re
import zoneinfo
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.audio.recorders import describe_recording, parse_timezone
from hubbub.errors import UsageError

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


def fixed(minutes: int) -> timezone:
    return timezone(timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("Europe/Berlin", BERLIN),
        ("europe/berlin", BERLIN),
        (" America/New York ", zoneinfo.ZoneInfo("America/New_York")),
        ("UTC", UTC),
        ("z", UTC),
        ("GMT", UTC),
        ("+02:00", fixed(120)),
        ("+0545", fixed(345)),
        ("-3", fixed(-180)),
        ("UTC-03:30", fixed(-210)),
        ("utc+2", fixed(120)),
        ("+14:00", fixed(840)),
    ],
)
def test_zones_are_parsed(text: str, zone: object):
    assert parse_timezone(text) == zone


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Europe/Berln", "there is no time zone 'Europe/Berln'; did you mean Europe/Berlin"),
        ("Berlin", "did you mean Europe/Berlin"),
        ("new york", "did you mean America/New_York"),
        ("Katmandoo", "did you mean Asia/Katmandu"),
        ("+15:00", "there is no time zone '+15:00'; expected an IANA name such as Europe/Berlin, an offset"),
        ("+02:75", "expected an IANA name"),
        ("", "there is no time zone ''; expected"),
        ("../../etc/passwd", "expected an IANA name"),
        ("Europe", "expected an IANA name"),
        ("x\x1b[31m", r"'x\x1b[31m'"),
    ],
)
def test_unknown_zones_are_refused_and_the_nearest_named(text: str, message: str):
    with pytest.raises(UsageError, match=re.escape(message)):
        parse_timezone(text)


@given(st.text(max_size=300))
def test_no_text_breaks_the_parser(text: str):
    try:
        zone = parse_timezone(text)
    except UsageError:
        return
    assert zone.utcoffset(datetime(2026, 1, 1)) is not None


def test_local_is_the_zone_of_this_machine_with_its_daylight_saving(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TZ", "Australia/Lord_Howe")
    assert parse_timezone("local") == zoneinfo.ZoneInfo("Australia/Lord_Howe")
    monkeypatch.setenv("TZ", ":UTC")
    assert parse_timezone("Local") == UTC


CHANGES = [
    ("Europe/Berlin", "20260329_015959", "2026-03-29T00:59:59", None),
    ("Europe/Berlin", "20260329_023000", "2026-03-29T01:30:00", "does not exist"),
    ("Europe/Berlin", "20260329_030000", "2026-03-29T01:00:00", None),
    ("Europe/Berlin", "20261025_015959", "2026-10-24T23:59:59", None),
    ("Europe/Berlin", "20261025_023000", "2026-10-25T00:30:00", "exists twice"),
    ("Europe/Berlin", "20261025_030000", "2026-10-25T02:00:00", None),
    ("America/New_York", "20260308_023000", "2026-03-08T07:30:00", "does not exist"),
    ("America/New_York", "20261101_013000", "2026-11-01T05:30:00", "exists twice"),
    ("Australia/Lord_Howe", "20261004_021500", "2026-10-03T15:45:00", "does not exist"),  # half an hour only
    ("Australia/Lord_Howe", "20261004_023000", "2026-10-03T15:30:00", None),
    ("Australia/Lord_Howe", "20260405_014500", "2026-04-04T14:45:00", "exists twice"),
    ("Asia/Kathmandu", "20260329_023000", "2026-03-28T20:45:00", None),  # 5 h 45 min, no daylight saving
    ("UTC", "20260329_023000", "2026-03-29T02:30:00", None),
    ("+01:00", "20260329_023000", "2026-03-29T01:30:00", None),
]


@pytest.mark.parametrize(("zone", "clock", "expected", "told"), CHANGES)
def test_hours_when_clocks_change_follow_the_rule_and_are_told(zone: str, clock: str, expected: str, told: str | None):
    facts = describe_recording(f"{clock}.wav", timezone=parse_timezone(zone))
    assert facts.recorded_at == datetime.fromisoformat(expected).replace(tzinfo=UTC)
    assert (told is None) == (facts.problem is None)
    assert (told or "") in (facts.problem or "")
    assert zone in facts.evidence or facts.evidence.endswith("UTC+01:00")


def test_a_time_in_a_gap_is_that_of_a_clock_not_put_forward():
    """Half past two in the missing hour is what a clock shows that still runs on winter time."""
    missing = describe_recording("20260329_023000.wav", timezone=BERLIN).recorded_at
    winter = describe_recording("20260329_023000.wav", timezone=fixed(60)).recorded_at
    assert missing == winter
