"""Annotated recordings: every event that Raven or Audacity marked is a clip of its recording."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubbub.clips.index import index_listing
from hubbub.errors import ClipTableError
from tests.trees import listed, touch, write

RAVEN = """Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tSpecies
1\tWaveform 1\t1\t1.5\t2.25\t\t\twren
1\tSpectrogram 1\t1\t1.5\t2.25\t2000\t8000\twren
2\tSpectrogram 1\t1\t10\t11\t300.5\t900\towl
"""
AUDACITY = "1.500000\t3.250000\train\n\\\t100.0\t900.0\n7.0\t8.0\tdog bark\n"


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
        | {"is_event": True, "low_hz": 2000.0, "high_hz": 8000.0},
        {"uri": "garden.wav", "labels": ["owl"], "start_s": 10.0, "end_s": 11.0, "group": "garden.wav"}
        | {"is_event": True, "low_hz": 300.5, "high_hz": 900.0},
        {"uri": "x/roof.flac", "labels": ["rain"], "start_s": 1.5, "end_s": 3.25, "group": "x/roof.flac"}
        | {"is_event": True, "low_hz": 100.0, "high_hz": 900.0},
        {"uri": "x/roof.flac", "labels": ["dog bark"], "start_s": 7.0, "end_s": 8.0, "group": "x/roof.flac"}
        | {"is_event": True, "low_hz": None, "high_hz": None},
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


MANY = """Selection\tView\tBegin Time (s)\tEnd Time (s)\tBegin File\tFile Offset (s)\tAnnotation
1\tSpectrogram 1\t1.5\t2.25\ta.wav\t1.5\twren
2\tSpectrogram 1\t71.5\t72\tb.wav\t11.5\towl
3\tSpectrogram 1\t130\t131\tgone.wav\t10\towl
"""


def spans(source: Path) -> list[tuple[str, str, float, float]]:
    return [(clip["uri"], *clip["labels"], clip["start_s"], clip["end_s"]) for clip in listed(source).clips]


def test_a_table_names_its_recordings_and_each_has_times_of_its_own(tmp_path: Path):
    """Raven's times run on from file to file; the offset in the file is what counts."""
    touch(tmp_path, "x/a.wav", "x/b.wav", "x/c.wav")
    write(tmp_path / "survey.selections.txt", MANY)
    assert spans(tmp_path) == [("x/a.wav", "wren", 1.5, 2.25), ("x/b.wav", "owl", 11.5, 12.0)]
    listing = listed(tmp_path)
    assert listing.evidence == (
        "read as selections: survey.selections.txt is a selection table of Raven's that names 2 recordings here"
    )
    assert listing.notes == [
        "1 recording (x/c.wav) without annotations left out",
        "1 annotation without a recording here: of gone.wav; passed over",
    ]


def test_paths_of_another_machine_lead_to_the_recording(tmp_path: Path):
    touch(tmp_path, "day1/a.wav", "day2/a.wav")
    text = "Begin Time (s)\tEnd Time (s)\tBegin Path\tLabel\n1\t2\tC:\\field\\day2\\a.wav\towl\n"
    write(tmp_path / "x.selections.txt", text)
    assert spans(tmp_path) == [("day2/a.wav", "owl", 1.0, 2.0)]
    write(tmp_path / "x.selections.txt", text.replace("day2", "day3"))
    with pytest.raises(ClipTableError, match=r"no annotated recordings.*there are 1 annotation without a recording"):
        listed(tmp_path, "selections")


def test_a_table_is_opened_by_its_name(tmp_path: Path):
    touch(tmp_path, "garden.wav", "roof.wav")
    for name in ("garden.Table.12.selections.txt", "garden.selection.txt", "garden.wav.Table.1.selections.txt"):
        table = write(tmp_path / name, RAVEN)
        assert listed(table).evidence == f"read as selections: {name} is a selection table of Raven's"
        assert [clip["uri"] for clip in listed(table).clips] == ["garden.wav", "garden.wav"]
        table.unlink()
    track = write(tmp_path / "roof.txt", AUDACITY)
    assert spans(track) == [("roof.wav", "rain", 1.5, 3.25), ("roof.wav", "dog bark", 7.0, 8.0)]


def test_a_table_of_a_renamed_recording_is_read_for_its_namesake(tmp_path: Path):
    touch(tmp_path, "garden.wav")
    write(tmp_path / "garden.Table.1.selections.txt", MANY.split("2\tSpec")[0].replace("a.wav", "old.wav"))
    assert spans(tmp_path) == [("garden.wav", "wren", 1.5, 2.25)]
    assert listed(tmp_path).notes == [
        "1 table (garden.Table.1.selections.txt) of a recording that is not here, read for the one that each table is "
        "named after"
    ]


def test_selections_of_one_number_in_two_recordings_are_two(tmp_path: Path):
    touch(tmp_path, "a.wav", "b.wav")
    write(tmp_path / "both.selections.txt", MANY.replace("\n2\t", "\n1\t"))
    assert len(spans(tmp_path)) == 2


def test_a_band_is_that_of_the_spectrogram(tmp_path: Path):
    """Raven gives a waveform no band, or all frequencies; whichever view comes first."""
    touch(tmp_path, "a.wav")
    head, wave, spectrogram = RAVEN.splitlines()[:3]
    for rows in ([wave, spectrogram], [spectrogram, wave], [wave.replace("\t\t\t", "\t0\t24000\t"), spectrogram]):
        write(tmp_path / "a.selections.txt", "\n".join([head, *rows]))
        (clip,) = listed(tmp_path).clips
        assert (clip["low_hz"], clip["high_hz"]) == (2000.0, 8000.0)
    write(tmp_path / "a.selections.txt", "\n".join([head, wave]))
    assert listed(tmp_path).clips[0]["low_hz"] is None


def test_point_labels_are_kept_and_told(tmp_path: Path):
    touch(tmp_path, "a.wav")
    write(tmp_path / "a.txt", "0.2\t0.2\tclick\n7\t7\n8\t9\train\n")
    listing = listed(tmp_path)
    assert [(clip["labels"], clip["start_s"], clip["end_s"], clip["is_event"]) for clip in listing.clips] == [
        (["click"], 0.0, 0.7, False),
        ([], 6.5, 7.5, False),
        (["rain"], 8.0, 9.0, True),
    ]
    assert listing.notes == ["2 point labels of no length: a clip of 1 s around each, and no event"]


@pytest.mark.parametrize("lines", ["\\\t-1.000000\t6334.5", "\\\t6334.5\t-1", "\\\t6928,4\t6928,4"])
def test_frequencies_of_audacity(tmp_path: Path, lines: str):
    """-1 stands for no bound."""
    touch(tmp_path, "a.wav")
    write(tmp_path / "a.txt", f"1,5\t2,5\ttweet\n{lines}\n3\t4\train\n")
    tweet, rain = listed(tmp_path).clips
    numbers = [float(cell.replace(",", ".")) for cell in lines.split("\t")[1:]]
    assert (tweet["start_s"], tweet["end_s"]) == (1.5, 2.5)
    assert [tweet["low_hz"], tweet["high_hz"]] == [None if number < 0 else number for number in numbers]
    assert rain["low_hz"] is None


@pytest.mark.parametrize(
    ("encoding", "notes"),
    [
        ("utf-8-sig", []),
        ("utf-16", []),
        ("latin-1", ["no UTF-8 and read as Windows-1252; save as UTF-8 where letters come out wrong"]),
    ],
)
def test_encodings_and_decimal_commas(tmp_path: Path, encoding: str, notes: list[str]):
    touch(tmp_path, "a.wav", "b.wav")
    raven = RAVEN.replace("wren", "Zaunkönig").replace("1.5", "1,5").replace("2.25", "2,25").replace("300.5", "300,5")
    write(tmp_path / "a.Table.2.selections.txt", raven.replace("\n", "\r\n").encode(encoding))
    write(tmp_path / "b.txt", "0,5\t1,5\tGrünfink\n".encode(encoding))
    assert spans(tmp_path)[::2] == [("a.wav", "Zaunkönig", 1.5, 2.25), ("b.wav", "Grünfink", 0.5, 1.5)]
    assert listed(tmp_path).clips[1]["low_hz"] == 300.5
    assert [note.partition(") ")[2] for note in listed(tmp_path).notes] == notes


def test_points_and_commas_in_one_column_are_not_guessed(tmp_path: Path):
    touch(tmp_path, "a.wav")
    write(tmp_path / "a.selections.txt", RAVEN.replace("2.25", "1,234.5"))
    with pytest.raises(ClipTableError, match=r"offset_s holds '1,234\.5'; expected seconds"):
        listed(tmp_path)


@pytest.mark.parametrize("label", ['"wren', 'wren "song', '"', '"wren"'])
def test_a_quote_in_a_label_takes_no_rows_along(tmp_path: Path, label: str):
    touch(tmp_path, "a.wav")
    head, _, spectrogram, owl = RAVEN.splitlines()
    write(tmp_path / "a.selections.txt", "\n".join([head, spectrogram.replace("wren", label), owl, ""]))
    expected = "wren" if label == '"wren"' else label
    assert [clip["labels"] for clip in listed(tmp_path).clips] == [[expected], ["owl"]]


def test_a_clip_table_is_made_of_annotations(tmp_path: Path):
    touch(tmp_path, "a.wav")
    write(tmp_path / "a.txt", AUDACITY + "9\t9\tclick\n")
    table, _ = index_listing(listed(tmp_path))
    assert table.rows.select(["start_s", "end_s", "is_event", "low_hz"]).to_pylist()[::2] == [
        {"start_s": 1.5, "end_s": 3.25, "is_event": True, "low_hz": 100.0},
        {"start_s": 8.5, "end_s": 9.5, "is_event": False, "low_hz": None},
    ]
