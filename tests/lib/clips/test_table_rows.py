"""Rows of tables as clips: empty names, addresses, lists of labels, rows twice, and files beside those listed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hubbub.clips.sources import Columns, Listing, list_source
from hubbub.errors import ClipTableError


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def listed(source: Path, **columns: str | None) -> Listing:
    return list_source(source, None, Columns(**{"path": "file", "label": "kind"} | columns))


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        pd.DataFrame(rows).to_parquet(path)
    else:
        path.write_text(json.dumps(rows))
    return path


@pytest.mark.parametrize("name", ["", "  ", None])
def test_an_empty_file_name_is_refused_with_its_row(tmp_path: Path, name: str | None):
    touch(tmp_path, "a.wav")
    rows = [{"file": "a.wav", "kind": "dog"}, {"file": name, "kind": "cat"}, {"file": name, "kind": "dog"}]
    with pytest.raises(ClipTableError, match="column 'file' has 2 empty names, the first in row 2 below the header; "):
        listed(write_rows(tmp_path / "t.json", rows))


@pytest.mark.parametrize("name", ["t.json", "t.parquet"])
@pytest.mark.parametrize(
    ("value", "labels"),
    [
        ([" dog ", "", "rain", "dog", "  "], ["dog", "rain"]),
        (["dog", None], ["dog"]),
        ([1, 2], ["1", "2"]),
        ([], []),
        ("", []),
        ("  ", []),
        (7, ["7"]),
        (float("nan"), []),
    ],
)
def test_lists_and_values_are_labels_without_blanks_and_gaps(tmp_path: Path, name: str, value: Any, labels: list[str]):
    touch(tmp_path, "a.wav")
    (clip,) = listed(write_rows(tmp_path / name, [{"file": "a.wav", "kind": value}])).clips
    assert clip["labels"] == labels


@pytest.mark.parametrize("values", [(1, "1"), (True, 1), ("x", 0.5)])
def test_columns_of_several_types_are_refused(tmp_path: Path, values: tuple[Any, Any]):
    """1 and "1" were taken for equal, and one of two rows left out."""
    rows = [{"file": "a.wav", "n": value} for value in values]
    with pytest.raises(ClipTableError, match=f"column 'n' holds {values[0]!r} and {values[1]!r}; give it values"):
        listed(write_rows(touch(tmp_path, "a.wav") / "t.json", rows), label=None)


def test_whole_and_other_numbers_are_one_type(tmp_path: Path):
    rows = [{"file": "a.wav", "n": 1}, {"file": "b.wav", "n": 0.5}, {"file": "c.wav"}]
    clips = listed(write_rows(touch(tmp_path, "a.wav", "b.wav", "c.wav") / "t.json", rows), label=None).clips
    assert [clip["n"] for clip in clips] == [1, 0.5, None]


@pytest.mark.parametrize("column", ["file", "kind"])
@pytest.mark.parametrize(("value", "shown"), [({"x": 1}, r'\{"x": 1\}'), ([["a.wav"]], r'\[\["a.wav"\]\]')])
def test_nested_values_are_no_names(tmp_path: Path, column: str, value: Any, shown: str):
    rows = [{"file": "a.wav", "kind": "dog"} | {column: value}]
    with pytest.raises(ClipTableError, match=f"column '{column}' holds {shown}; expected text, or a list of texts"):
        listed(write_rows(touch(tmp_path, "a.wav") / "t.json", rows))


@pytest.mark.parametrize("text", ["4294967296", "99999999999999999999", "1e300", "x"])
def test_folds_beyond_a_clip_table_are_refused_while_listing(tmp_path: Path, text: str):
    (touch(tmp_path, "a.wav") / "t.csv").write_text(f"file,kind,cv\na.wav,dog,{text}\n")
    with pytest.raises(ClipTableError, match=r"column 'cv' holds .*; expected whole numbers of 32 bits"):
        listed(tmp_path / "t.csv", fold="cv")


@pytest.mark.parametrize("role", ["fold", "start_s"])
def test_times_are_no_numbers(tmp_path: Path, role: str):
    frame = pd.DataFrame({"file": ["a.wav"], "kind": ["dog"], "t": pd.to_datetime(["2026-05-17"])})
    frame.to_parquet(touch(tmp_path, "a.wav") / "t.parquet")
    with pytest.raises(ClipTableError, match="column 't' holds .*; expected"):
        listed(tmp_path / "t.parquet", **{role: "t"})


def test_blanks_around_a_label_belong_to_none(tmp_path: Path):
    (touch(tmp_path, "a.wav", "b.wav") / "t.csv").write_text("file, kind\na.wav, dog\nb.wav,dog \n")
    assert [clip["labels"] for clip in listed(tmp_path / "t.csv").clips] == [["dog"], ["dog"]]


def test_several_files_in_a_row_are_refused(tmp_path: Path):
    rows = [{"file": ["a.wav", "b.wav"], "kind": "dog"}]
    with pytest.raises(ClipTableError, match=r"'file' holds \['a.wav', 'b.wav'\]; expected one file name a row"):
        listed(write_rows(touch(tmp_path, "a.wav") / "t.json", rows))


def test_rows_that_contradict_each_other_are_refused_with_both_labels(tmp_path: Path):
    (touch(tmp_path, "a.wav", "b.wav") / "t.csv").write_text("file,kind\na.wav,dog\nb.wav,dog\na.wav,rain\n")
    with pytest.raises(ClipTableError, match=r"lists a\.wav more than once, with labels dog and rain; keep one row a"):
        listed(tmp_path / "t.csv")


def test_rows_that_spell_one_path_otherwise_repeat_each_other(tmp_path: Path):
    (touch(tmp_path, "x/a.wav") / "t.csv").write_text("file,kind\nx/a.wav,dog\n./x//a.wav,dog\nx\\a.wav,dog\n")
    listing = listed(tmp_path / "t.csv")
    assert [clip["uri"] for clip in listing.clips] == ["x/a.wav"]
    assert "left out 2 rows that repeat another, such as x/a.wav" in listing.notes


URL = "HTTPS://example.org/a.wav"


@pytest.mark.parametrize(
    ("name", "text", "columns"),
    [
        ("t.csv", f"file,kind\na.wav,dog\n{URL},dog\n", {"path": "file"}),  # in any row
        ("t.csv", f"file,kind\na.wav,dog\n  {URL.lower()},dog\n", {"path": "file"}),
        ("t.csv", f"link,kind\n{URL},dog\n", {}),
        ("t.csv", f"kind,link\n,\ncat,\ndog,{URL}\n", {}),
        ("t.txt", f"{URL}\n", {}),
        ("t.txt", f"{URL}\n{URL}?a=1,2&b=3\n", {}),
        ("t.txt", f"\n\n{URL}\r\n{URL}\r\n", {}),
        ("t.txt", f"# two birds\n{URL}\n{URL}\n", {}),
        ("t.txt", f"{URL}\n{URL}\n", {"path": "url"}),
        ("t.json", json.dumps([{"link": URL}]), {}),
    ],
)
def test_a_list_of_addresses_is_to_be_fetched(tmp_path: Path, name: str, text: str, columns: dict[str, str]):
    (touch(tmp_path, "a.wav") / name).write_text(text)
    with pytest.raises(
        ClipTableError, match=r"(?i)lists addresses, such as https://.*; expected names of files"
    ) as raised:
        list_source(tmp_path / name, None, Columns(**columns))
    assert str(raised.value).endswith(f"first: hubbub fetch {tmp_path / name} -o recordings/")


def test_names_of_files_are_offered_where_addresses_stand_beside_them(tmp_path: Path):
    (touch(tmp_path, "a.wav") / "t.csv").write_text(f"source,file\n{URL},a.wav\n")
    with pytest.raises(ClipTableError, match="say which column .*; 'file' looks like it"):
        list_source(tmp_path / "t.csv", None, Columns())


def test_files_missing_and_files_not_listed_are_counted_and_named(tmp_path: Path):
    touch(tmp_path, *(f"x/{number}.wav" for number in range(6)), "y/other.wav", "x/notes.txt", "x/.hidden.wav")
    (tmp_path / "x" / "folder.wav").mkdir()
    (tmp_path / "t.csv").write_text("file,kind\nx/0.wav,dog\nx/gone.wav,dog\nz/gone.wav,cat\nx/folder.wav,cat\n")
    assert listed(tmp_path / "t.csv").notes == [
        "3 listed files (x/folder.wav, x/gone.wav, z/gone.wav) missing; they become failed rows",
        "5 recordings (x/1.wav, x/2.wav, x/3.wav, …) not listed; passed over",
    ]


def test_nothing_is_said_where_table_and_folder_agree(tmp_path: Path):
    touch(tmp_path, "audio/a.wav", "b.wav")
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "t.csv").write_text("file,kind\na.wav,dog\n../b.wav,dog\n")
    assert listed(tmp_path / "meta" / "t.csv").notes == []


def test_files_of_whole_paths_are_looked_for_too(tmp_path: Path):
    touch(tmp_path, "far/a.wav", "far/b.wav", "near/c.wav")
    far = tmp_path / "far"
    (tmp_path / "near" / "t.csv").write_text(f"file,kind\n{far}/a.wav,dog\n{far}/gone.wav,dog\nc.wav,cat\n")
    assert listed(tmp_path / "near" / "t.csv").notes == [
        f"1 listed file ({far}/gone.wav) missing; it becomes a failed row",
        f"1 recording ({far}/b.wav) not listed; passed over",
    ]


@pytest.mark.parametrize("name", ["x" * 300 + ".wav", "a\\b\\" + "x" * 300, "a.wav/b.wav", "."])
def test_names_that_no_file_has_are_missing_and_no_crash(tmp_path: Path, name: str):
    (touch(tmp_path, "a.wav") / "t.csv").write_text(f"file,kind\na.wav,dog\n{name},cat\n")
    notes = listed(tmp_path / "t.csv").notes
    assert len(notes) == 1
    assert "1 listed file" in notes[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_read_has_its_files_missing(tmp_path: Path):
    (touch(tmp_path, "a.wav", "x/b.wav") / "t.csv").write_text("file,kind\na.wav,dog\nx/b.wav,cat\n")
    (tmp_path / "x").chmod(0)
    try:
        assert "1 listed file (x/b.wav) missing" in listed(tmp_path / "t.csv").notes[0]
    finally:
        (tmp_path / "x").chmod(0o755)


@pytest.mark.parametrize(
    ("listed_as", "lies_as"),
    [
        ("x\\b.wav", "x/b.wav"),
        ("caf\u00e9.wav", "cafe\u0301.wav"),  # a Mac's zip archives hold names in parts
        ("cafe\u0301/b.wav", "caf\u00e9/b.wav"),
        (" b.wav ", "b.wav"),
    ],
)
def test_names_spelt_otherwise_are_found_beside_plain_ones(tmp_path: Path, listed_as: str, lies_as: str):
    (touch(tmp_path, "a.wav", lies_as) / "t.csv").write_text(f"file,kind\na.wav,dog\n{listed_as},rain\n")
    listing = listed(tmp_path / "t.csv")
    assert {clip["uri"]: clip["labels"] for clip in listing.clips} == {"a.wav": ["dog"], lies_as: ["rain"]}
    alike = "" if lies_as.isascii() else ", whose letters are composed otherwise,"
    assert listing.notes == [f"paths such as {listed_as} were read as {lies_as}{alike} below {tmp_path}"]


def test_a_name_with_a_backslash_in_it_is_taken_as_it_is(tmp_path: Path):
    (touch(tmp_path, "x\\b.wav", "x/b.wav") / "t.csv").write_text("file,kind\nx\\b.wav,dog\n")
    assert [clip["uri"] for clip in listed(tmp_path / "t.csv").clips] == ["x\\b.wav"]


def test_names_in_parts_are_found_anywhere_below(tmp_path: Path):
    (touch(tmp_path, "audio/fold1/cafe\u0301.wav") / "t.csv").write_text("file,kind\ncaf\u00e9.wav,dog\n")
    assert [clip["uri"] for clip in listed(tmp_path / "t.csv").clips] == ["audio/fold1/cafe\u0301.wav"]


EVENTS = "file,kind,on,off\na.wav,dog,1,2\na.wav,rain,1,2\na.wav,dog,1,2\na.wav,dog,3,4\n"


def test_events_at_the_same_times_are_one_clip_with_several_labels(tmp_path: Path):
    (touch(tmp_path, "a.wav") / "t.csv").write_text(EVENTS)
    listing = listed(tmp_path / "t.csv", onset_s="on", offset_s="off")
    assert "left out 1 row that repeats another, such as a.wav" in listing.notes
    assert [(clip["labels"], clip["start_s"]) for clip in listing.clips] == [(["dog", "rain"], 1.0), (["dog"], 3.0)]
    assert "1 event was merged with another at the same times, such as rain in a.wav at 1 s" in listing.notes


def test_events_that_differ_in_more_than_labels_stay_two(tmp_path: Path):
    (touch(tmp_path, "a.wav") / "t.csv").write_text("file,kind,on,off,sure\na.wav,dog,1,2,yes\na.wav,rain,1,2,no\n")
    assert len(listed(tmp_path / "t.csv", onset_s="on", offset_s="off").clips) == 2


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.tsv", "filename\tonset\toffset\tevent_label\na.wav\t1\t2\tdog\na.wav\t1\t2\train\n"),
        ("a.txt", "1.0\t2.0\tdog\n1.0\t2.0\train\n"),
    ],
)
def test_events_of_every_format_are_merged(tmp_path: Path, name: str, text: str):
    (touch(tmp_path, "a.wav") / name).write_text(text)
    (clip,) = list_source(tmp_path, None, Columns()).clips
    assert clip["labels"] == ["dog", "rain"]
