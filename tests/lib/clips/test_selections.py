"""Annotated recordings: every event that Raven or Audacity marked is a clip of its recording."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubbub.clips.sources import Columns, Listing, list_source
from hubbub.errors import ClipTableError

RAVEN = """Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tSpecies
1\tWaveform 1\t1\t1.5\t2.25\t\t\twren
1\tSpectrogram 1\t1\t1.5\t2.25\t2000\t8000\twren
2\tSpectrogram 1\t1\t10\t11\t300.5\t900\towl
"""
AUDACITY = "1.500000\t3.250000\train\n\\\t100.0\t900.0\n7.0\t8.0\tdog bark\n"


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def listed(source: Path, format: str | None = None) -> Listing:
    return list_source(source, format, Columns())


def test_raven_and_audacity_are_read_beside_their_recordings(tmp_path: Path):
    write(tmp_path / "garden.wav")
    write(tmp_path / "garden.Table.1.selections.txt", RAVEN)
    write(tmp_path / "x" / "roof.flac")
    write(tmp_path / "notes" / "roof.txt", AUDACITY)
    write(tmp_path / "x" / "quiet.wav")
    write(tmp_path / "x" / "readme.txt", "about quiet.wav")
    listing = listed(tmp_path)
    assert listing.evidence == (
        "read as selections: garden.Table.1.selections.txt is a selection table of Raven's beside garden.wav"
    )
    assert listing.clips == [
        {"uri": "garden.wav", "labels": ["wren"], "start_s": 1.5, "end_s": 2.25, "group": "garden.wav"}
        | {"is_event": True, "low_hz": None, "high_hz": None},
        {"uri": "garden.wav", "labels": ["owl"], "start_s": 10.0, "end_s": 11.0, "group": "garden.wav"}
        | {"is_event": True, "low_hz": 300.5, "high_hz": 900.0},
        {"uri": "x/roof.flac", "labels": ["rain"], "start_s": 1.5, "end_s": 3.25, "group": "x/roof.flac"}
        | {"is_event": True},
        {"uri": "x/roof.flac", "labels": ["dog bark"], "start_s": 7.0, "end_s": 8.0, "group": "x/roof.flac"}
        | {"is_event": True},
    ]
    assert listing.notes == ["1 recording (x/quiet.wav) without annotations left out"]


def test_notes_beside_recordings_are_no_annotations(tmp_path: Path):
    write(tmp_path / "a.wav")
    write(tmp_path / "a.txt", "recorded in the garden")
    assert listed(tmp_path).evidence.startswith("read as flat")


def test_one_annotated_recording_among_many_changes_nothing(tmp_path: Path):
    for number in range(20):
        write(tmp_path / ("dog" if number % 2 else "rain") / f"{number}.wav")
    write(tmp_path / "dog" / "1.txt", AUDACITY)
    assert listed(tmp_path).evidence.startswith("read as folder")
    assert [clip["uri"] for clip in listed(tmp_path, "selections").clips] == ["dog/1.wav", "dog/1.wav"]


def test_two_recordings_of_one_name_are_not_guessed(tmp_path: Path):
    for folder in ("x", "y"):
        write(tmp_path / folder / "a.wav")
    write(tmp_path / "notes" / "a.txt", AUDACITY)
    with pytest.raises(ClipTableError, match="holds no annotated recordings; expected a folder with"):
        listed(tmp_path, "selections")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            RAVEN.replace("1.5", "soon"),
            r"read as annotations: a\.txt: onset_s holds 'soon'; expected seconds",
        ),
        (RAVEN.replace("Species", "Mood"), r"lacks label; expected it beside: Selection, View"),
        (RAVEN.replace("11\t", "9\t"), r"1 annotation of no length, such as owl at 10 s; give each an end after"),
        (AUDACITY + "nonsense\n", r"'nonsense'; expected onset, offset and label, parted by tabs"),
    ],
)
def test_annotations_that_do_not_do_say_why(tmp_path: Path, text: str, message: str):
    write(tmp_path / "a.wav")
    write(tmp_path / "a.txt", text)
    with pytest.raises(ClipTableError, match=message):
        listed(tmp_path)
