"""AudioMoth's notes: the comment of each firmware, and the GUANO of the newest."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hubbub.audio.recorders import HeaderNotes
from tests.lib.audio.recorders.header_cases import COMMENT, chunk, facts_of, info, read, wav

MOTH_FACTS = {
    "recorder": "AudioMoth",
    "recorder_serial": "24F3190361DA3578",
    "gain_setting": "medium",
    "temperature_c": 23.4,
    "battery_v": 4.1,
}

BY = "by AudioMoth 24F3190361DA3578"
COMMENTS = [  # as the firmware's sprintf writes them, from 1.0 to now
    ("", f"{BY} at gain setting 2 while battery state was 4.1V", "04:30", "medium", 4.1, None),
    (" (UTC)", f"{BY} at gain setting 0 while battery state was < 3.6V", "04:30", "low", None, None),
    (" (UTC+5:45)", f"{BY} at gain setting 4 while battery state was greater than 4.9V.", "22:45", "high", None, None),
    (
        " (UTC-3:30)",
        f"{BY} at gain setting 1 while battery state was 4.1V. Recording cancelled before completion.",
        *("08:00", "low-medium", 4.1, None),
    ),
    (
        " (UTC-0:30)",
        f"{BY} at medium-high gain setting while battery state was less than 2.5V and temperature was -12.3C.",
        *("05:00", "medium-high", None, -12.3),
    ),
    (" (UTC+2)", COMMENT.partition(" (UTC+2) ")[2], "02:30", "medium", 4.1, 23.4),
    (" (UTC)", f"{BY} at gain setting 3 while battery state was > 5.0V", "04:30", "medium-high", None, None),
    (
        " (UTC+13)",
        f"{BY} at low gain while battery was greater than 4.9V and temperature was 20.5C. Frequency trigger (40.0kHz "
        "and window length of 128 samples) threshold was 0.5% with 3s minimum trigger duration.",
        *("15:30", "low", None, 20.5),
    ),
    (
        " (UTC-9)",
        f"{BY} at low-medium gain while battery was 3.6V and temperature was -0.4C. Band-pass filter with frequencies "
        "of 1.0kHz and 9.6kHz applied. Amplitude threshold was 0.0065% with 10s minimum trigger duration. Recording "
        "stopped by magnetic switch.",
        *("13:30", "low-medium", 3.6, -0.4),
    ),
    (
        " (UTC+0:30)",
        f"{BY} at high gain while battery was less than 2.5V and temperature was 101.0C. Recording stopped due to SD "
        "card write error.",
        *("04:00", "high", None, None),
    ),
    (
        " (UTC)",
        f"{BY} using external microphone at high gain while battery was 4.2V and temperature was 0.0C. Amplitude "
        "threshold was -40 dB with 1s minimum trigger duration.",
        *("04:30", "high", 4.2, 0.0),
    ),
]


@pytest.mark.parametrize(("zone", "rest", "utc", "gain", "battery", "warmth"), COMMENTS)
def test_comments_of_every_firmware_of_audiomoth(
    zone: str, rest: str, utc: str, gain: str, battery: float | None, warmth: float | None
):
    facts = facts_of(wav(info(f"Recorded at 04:30:00 17/05/2026{zone} {rest}")))
    assert facts.recorded_at is not None
    assert f"{facts.recorded_at:%H:%M}" == utc
    assert (facts.gain, facts.battery_v, facts.temperature_c) == (gain, battery, warmth)
    assert (facts.recorder, facts.serial) == ("AudioMoth", "24F3190361DA3578")


def test_during_a_deployment_the_serial_number_is_the_artists():
    comment = COMMENT.replace("by AudioMoth 24F3190361DA3578", "during deployment 0123456789ABCDEF")
    assert facts_of(wav(info(comment, artist="AudioMoth 24F3190361DA3578"))).columns() == MOTH_FACTS
    assert facts_of(wav(info(comment))).serial is None


def test_hydromoth_is_told_from_audiomoth():
    comment = COMMENT.replace("by AudioMoth", "by HydroMoth")
    assert facts_of(wav(info(comment))).recorder == "HydroMoth"
    deployed = COMMENT.replace("by AudioMoth 24F3190361DA3578", "during deployment 0123456789ABCDEF")
    assert facts_of(wav(info(deployed, artist="HydroMoth 24F3190361DA3578"))).recorder == "HydroMoth"


MOTH_GUANO = (  # as the newest firmware's sprintf writes it, behind the samples
    "GUANO|Version:1.0\nMake:Open Acoustic Devices\nModel:AudioMoth\nSerial:24F3190361DA3578\n"
    "OAD|Deployment ID:0123456789ABCDEF\nFirmware Version:AudioMoth-Firmware-Basic (1.12.0)\n"
    "Timestamp:2026-05-17T04:30:00+02:00\nLoc Position:52.50 -13.40\nOAD|Loc Source:Configuration app\n"
    "Original Filename:20260517_043000.WAV\nOAD|Recording Settings:48000 GAIN 3 BPF 1000 9600 AMP -40dB 10 LGR\n"
    "OAD|Battery Voltage:4.1\nTemperature Int:-0.4"
)


@pytest.mark.parametrize(("volts", "battery"), [("4.1", 4.1), ("2.4", None), ("5.0", None)])
def test_guano_of_audiomoth_has_gain_and_battery(volts: str, battery: float | None):
    """2.4 stands for less than 2.5 V there, and 5.0 for more than 4.9 V."""
    content = MOTH_GUANO.replace("Voltage:4.1", f"Voltage:{volts}").encode()
    facts = facts_of(
        wav(info(), after=(chunk(b"guan", content),)) if battery else wav(after=(chunk(b"guan", content),))
    )
    assert facts.recorded_at == datetime(2026, 5, 17, 2, 30, tzinfo=UTC)
    assert (facts.gain, facts.battery_v, facts.temperature_c) == ("medium-high", battery, -0.4)
    assert (facts.recorder, facts.serial) == ("Open Acoustic Devices AudioMoth", "24F3190361DA3578")
    assert (facts.latitude, facts.longitude, facts.problem) == (52.5, -13.4, None)


def test_entries_of_odd_length_are_stepped_over():
    entries = chunk(b"ISFT", b"x" * 13) + chunk(b"ICMT", COMMENT.encode() + b"\0" * (len(COMMENT) % 2 + 1))
    assert facts_of(wav(chunk(b"LIST", b"INFO" + entries))).columns() == MOTH_FACTS


def test_comments_of_others_say_nothing():
    assert read(wav(info("Recorded at the sea by my brother"))) == HeaderNotes()
    assert read(wav(chunk(b"LIST", b"adtl" + chunk(b"ICMT", COMMENT.encode())))) == HeaderNotes()


def test_an_impossible_time_in_a_comment_is_told():
    facts = facts_of(wav(info(COMMENT.replace("17/05", "31/02"))))
    assert facts.recorded_at is None
    assert "there is no 31 February 2026" in (facts.problem or "")
    assert facts.columns() == MOTH_FACTS
