"""Tables as people have them: separators, encodings, paths of another machine, doubled rows, labels spelt twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hubbub.clips.sources import Columns, Listing, list_source
from hubbub.errors import ClipTableError
from tests.trees import labels, touch, write


def listed(source: Path, **columns: str) -> Listing:
    return list_source(source, None, Columns(**{"path": "file", "label": "kind"} | columns))


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ("file,kind\na.wav,größer\n".encode(), None),
        ("\ufefffile,kind\na.wav,größer\n".encode(), None),  # Excel's UTF-8
        ("file,kind\na.wav,größer\n".encode("utf-16"), None),
        ("file,kind\na.wav,größer\n".encode("cp1252"), "was read as Windows-1252; if letters come out wrong"),
        ("file;kind\na.wav;größer\n".encode(), "its columns are parted by semicolons"),  # Excel where 1,5 is a number
        ("file\tkind\na.wav\tgrößer\n".encode(), "its columns are parted by tabs"),
        ("file|kind\na.wav|größer\n".encode(), "its columns are parted by bars"),
        ('"file";"kind"\n"a.wav";"größer"\n'.encode(), "semicolons"),
        (" file , kind \na.wav,größer\n".encode(), None),
        ("file,kind\r\na.wav,größer\r\n".encode(), None),
        ("file,kind\ra.wav,größer\r".encode(), None),  # a Mac's of long ago
        ("sep=,\r\nfile,kind\r\na.wav,größer\r\n".encode(), None),  # what Excel is told by
        ("sep=;\nfile;kind\na.wav;größer\n".encode(), "semicolons"),
    ],
)
def test_encoding_and_separator_are_found_out(tmp_path: Path, content: bytes, note: str | None):
    touch(tmp_path, "a.wav")
    (tmp_path / "t.csv").write_bytes(content)
    listing = listed(tmp_path / "t.csv")
    assert labels(listing) == {"a.wav": ["größer"]}
    assert (len(listing.notes), note is None or note in listing.notes[0]) == (note is not None, True)


def test_separators_within_cells_part_nothing(tmp_path: Path):
    touch(tmp_path, "a.wav")
    (tmp_path / "t.csv").write_text('file,kind\na.wav,"dog; loud | near"\n')
    assert labels(listed(tmp_path / "t.csv")) == {"a.wav": ["dog; loud | near"]}


@pytest.mark.parametrize(
    ("name", "path", "found"),
    [
        ("audio\\dog\\1.wav", "audio/dog/1.wav", "audio/dog/1.wav"),
        ("C:\\Users\\me\\set\\dog\\1.wav", "dog/1.wav", "dog/1.wav"),
        ("/home/me/set/dog/1.wav", "audio/dog/1.wav", "dog/1.wav"),  # below audio/, where a table's files may lie
    ],
)
def test_paths_of_another_machine_are_found_by_their_ends(tmp_path: Path, name: str, path: str, found: str):
    touch(tmp_path, path)
    (tmp_path / "t.csv").write_text(f"file,kind\n{name},dog\n")
    listing = listed(tmp_path / "t.csv")
    assert labels(listing) == {found: ["dog"]}
    assert listing.notes[0].startswith(f"paths such as {name} were read as {found} below ")


def test_files_are_found_by_name_below_the_table(tmp_path: Path):
    """Only three folders were looked in, none of them ``audio/fold1``."""
    touch(tmp_path, "audio/fold1/a.wav", "audio/fold2/b.wav")
    (tmp_path / "t.csv").write_text("file,kind\na.wav,dog\nb.wav,rain\nc.wav,dog\n")
    listing = listed(tmp_path / "t.csv")
    assert labels(listing) == {"audio/fold1/a.wav": ["dog"], "audio/fold2/b.wav": ["rain"], "c.wav": ["dog"]}
    assert listing.notes == [
        f"2 of 3 files found by name below {tmp_path}",
        "1 listed file (c.wav) missing; it becomes a failed row",
    ]


@pytest.mark.parametrize("folder", ["metadata", "Meta", "annotations"])
def test_files_are_found_by_name_beside_a_folder_of_tables(tmp_path: Path, folder: str):
    """UrbanSound8K's own table, its columns named, was refused."""
    touch(tmp_path, "audio/fold1/a.wav", "audio/fold2/b.wav")
    table = write(tmp_path / folder / "t.csv", "file,kind\na.wav,dog\nb.wav,rain\n")
    listing = listed(table)
    assert labels(listing) == {"audio/fold1/a.wav": ["dog"], "audio/fold2/b.wav": ["rain"]}
    assert listing.notes == [f"2 of 2 files found by name below {tmp_path}"]


def test_files_are_not_sought_around_any_other_folder(tmp_path: Path):
    touch(tmp_path, "audio/fold1/a.wav")
    table = write(tmp_path / "elsewhere" / "t.csv", "file,kind\na.wav,dog\n")
    with pytest.raises(ClipTableError, match="none of its 1 file exists"):
        listed(table)


def test_names_that_two_files_have_are_not_guessed(tmp_path: Path):
    touch(tmp_path, "x/1/a.wav", "x/2/a.wav")
    (tmp_path / "t.csv").write_text("file,kind\na.wav,dog\n")
    with pytest.raises(ClipTableError, match="none of its 1 file exists"):
        listed(tmp_path / "t.csv")


def test_rows_that_repeat_another_are_left_out_and_told(tmp_path: Path):
    touch(tmp_path, "a.wav", "b.wav")
    (tmp_path / "t.csv").write_text("file,kind\na.wav,dog\nb.wav,rain\na.wav,dog\n")
    listing = listed(tmp_path / "t.csv")
    assert [clip["uri"] for clip in listing.clips] == ["a.wav", "b.wav"]
    assert listing.notes == ["left out 1 row that repeats another, such as a.wav"]


ROWS = [{"file": "a.wav", "kind": "dog", "n": 7, "where": {"lat": 1.5}}, {"file": "b.wav", "kind": None, "n": None}]


@pytest.mark.parametrize("ending", ["jsonl", "ndjson", "json", "parquet", "pq"])
def test_other_tables_are_read_by_the_same_columns(tmp_path: Path, ending: str):
    touch(tmp_path, "a.wav", "b.wav")
    source = tmp_path / f"t.{ending}"
    if ending in ("parquet", "pq"):
        pd.DataFrame(ROWS).astype({"n": "Int64"}).to_parquet(source)
    else:
        source.write_text(json.dumps(ROWS) if ending == "json" else "\n".join(map(json.dumps, ROWS)))
    listing = listed(source)
    assert listing.clips == [
        {"uri": "a.wav", "labels": ["dog"], "n": 7, "where": '{"lat": 1.5}'},
        {"uri": "b.wav", "labels": [], "n": None, "where": None},
    ]


def test_lists_of_labels_are_labels(tmp_path: Path):
    touch(tmp_path, "a.wav")
    (tmp_path / "t.jsonl").write_text(json.dumps({"file": "a.wav", "kind": ["dog", "rain", "dog"]}))
    assert labels(listed(tmp_path / "t.jsonl")) == {"a.wav": ["dog", "rain"]}


def test_a_clip_table_needs_no_index(tmp_path: Path):
    from hubbub.clips.table import make_table, write_table

    touch(tmp_path, "a.wav")
    write_table(make_table([{"clip_id": "1", "uri": "a.wav", "labels": []}], tmp_path), tmp_path / "t.parquet")
    with pytest.raises(ClipTableError, match="it is a table of hubbub's already; a clip table needs no index"):
        listed(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.json", '{"file": "a.wav"}', "cannot be read as JSON: expected one object a clip"),
        ("t.jsonl", "[1]\n", "cannot be read as JSON lines: expected one object a clip"),
        ("t.jsonl", '{"file": "a.wav"}\n\n{"file"', "cannot be read as JSON lines: line 3: Expecting ':' delimiter at"),
        ("t.json", "[" * 100_000, "cannot be read as JSON: its values are nested too deeply"),
        ("t.jsonl", '{"file": ' * 100_000, "cannot be read as JSON lines: its values are nested too deeply"),
        ("t.json", "[]", "t.json has no rows; expected one row a clip"),
        ("t.csv", "file,kind, kind\na.wav,dog,cat\n", r"1 name \('kind'\) of several columns; rename all but one"),
        ("t.json", '[{"file": "a.wav", "kind": 1, " kind": 2}]', r"1 name \('kind'\) of several columns"),
        ("t.csv", "file,kind\na.wav,dog,cat\n", "cannot be read as CSV: .*Expected 2 fields in line 2, saw 3"),
        ("t.parquet", "no", "cannot be read as Parquet: "),
        ("t.csv", "file,kind\nhttps://example.org/a.wav,dog\n", "lists addresses, such as https://.*hubbub fetch"),
    ],
)
def test_a_table_that_does_not_do_says_why(tmp_path: Path, name: str, text: str, message: str):
    touch(tmp_path, "a.wav")
    (tmp_path / name).write_text(text)
    with pytest.raises(ClipTableError, match=message):
        listed(tmp_path / name)


def test_a_column_of_names_is_offered_and_never_taken(tmp_path: Path):
    touch(tmp_path, "a.wav")
    (tmp_path / "t.csv").write_text("kind,wave\ndog,a.wav\n")
    with pytest.raises(
        ClipTableError, match=r"\(there are: kind, wave\); 'wave' looks like it: hubbub index .* 'wave'"
    ):
        list_source(tmp_path / "t.csv", None, Columns())


def frame(source: Path) -> dict[str, list[Any]]:
    """Columns of a listing's clips by name."""
    clips = list_source(source, None, Columns(path="file")).clips
    return {name: [clip[name] for clip in clips] for name in clips[0] if name not in ("uri", "labels")}


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["7", ""], [7, None]),
        (["-7", "0"], [-7, 0]),
        (["7", "0.5"], [7.0, 0.5]),
        (["1e3", ".5"], [1000.0, 0.5]),
        (["007", "8"], ["007", "8"]),
        (["9007199254740993", "1"], [9007199254740993, 1]),  # more than a float holds
        (["12345678901234567890", "1"], ["12345678901234567890", "1"]),  # more than 64 bits
        (["12345678901234567890", "0.5"], ["12345678901234567890", "0.5"]),
        (["1_2", "3"], ["1_2", "3"]),  # a number to Python
        (["inf", "nan"], ["inf", "nan"]),
        (["1e999", "1"], ["1e999", "1"]),
    ],
)
def test_columns_are_numbers_where_nothing_is_lost(tmp_path: Path, cells: list[str], values: list[Any]):
    touch(tmp_path, "0.wav", "1.wav")
    (tmp_path / "t.csv").write_text("file,n\n" + "".join(f"{row}.wav,{cell}\n" for row, cell in enumerate(cells)))
    assert frame(tmp_path / "t.csv")["n"] == values
    assert [type(value) for value in frame(tmp_path / "t.csv")["n"]] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("separator", "cells", "values", "is_noted"),
    [
        (";", ["0,5", "1,25"], [0.5, 1.25], True),
        (";", ["0,5", "2"], [0.5, 2.0], True),
        ("\t", ["0,5", "-1,25"], [0.5, -1.25], True),
        (";", ["0,5", "0.5"], ["0,5", "0.5"], False),
        (";", ["1,2,3", "4"], ["1,2,3", "4"], False),
        (";", ["3", "4"], [3, 4], False),
        (",", ['"0,5"', '"1,25"'], ["0,5", "1,25"], False),  # a comma is no decimal one where it parts columns
    ],
)
def test_decimal_commas(tmp_path: Path, separator: str, cells: list[str], values: list[Any], is_noted: bool):
    touch(tmp_path, "0.wav", "1.wav")
    rows = [f"{row}.wav{separator}{cell}" for row, cell in enumerate(cells)]
    (tmp_path / "t.csv").write_text("\n".join([f"file{separator}n", *rows]))
    assert frame(tmp_path / "t.csv")["n"] == values
    notes = list_source(tmp_path / "t.csv", None, Columns(path="file")).notes
    assert ("t.csv: decimal commas were read in 1 column (n): 0,5 is 0.5" in notes) is is_noted


def test_decimal_commas_are_seconds_and_no_labels(tmp_path: Path):
    touch(tmp_path, "a.wav")
    (tmp_path / "t.csv").write_text("file;kind;from\na.wav;1,5;0,5\na.wav;2,5;1,5\n")
    listing = listed(tmp_path / "t.csv", start_s="from")
    assert [(clip["labels"], clip["start_s"]) for clip in listing.clips] == [(["1,5"], 0.5), (["2,5"], 1.5)]


def test_lines_that_end_in_a_separator_make_no_column(tmp_path: Path):
    touch(tmp_path, "a.wav", "b.wav")
    (tmp_path / "t.csv").write_text("file,n,\na.wav,1,\nb.wav,2,\n")
    assert frame(tmp_path / "t.csv") == {"n": [1, 2]}


def test_a_separator_of_lines_within_text_ends_no_line(tmp_path: Path):
    touch(tmp_path, "a.wav")
    (tmp_path / "t.jsonl").write_text('{"file": "a.wav", "note": "one\u2028two\x85"}\r\n', encoding="utf-8")
    assert frame(tmp_path / "t.jsonl") == {"note": ["one\u2028two\x85"]}


def test_numbers_beyond_64_bits_are_text(tmp_path: Path):
    touch(tmp_path, "a.wav", "b.wav")
    (tmp_path / "t.json").write_text(f'[{{"file": "a.wav", "n": {2**64}}}, {{"file": "b.wav", "n": 1}}]')
    assert frame(tmp_path / "t.json") == {"n": [str(2**64), "1"]}


@pytest.mark.parametrize(
    "kind", [pa.binary(), pa.large_binary(), pa.binary(3), pa.list_(pa.binary()), pa.struct([("bytes", pa.binary())])]
)
def test_bytes_in_parquet_are_refused_in_words(tmp_path: Path, kind: pa.DataType):
    table = pa.table({"file": ["a.wav"], "audio": pa.nulls(1, kind)})
    pq.write_table(table, touch(tmp_path, "a.wav") / "t.parquet")
    with pytest.raises(ClipTableError, match=r"as Parquet: 1 column \(audio\) of bytes; expected text and numbers"):
        listed(tmp_path / "t.parquet")


def test_two_columns_of_one_name_in_parquet_are_refused(tmp_path: Path):
    table = pa.table([pa.array(["a.wav"]), pa.array([1]), pa.array([2])], names=["file", "kind", "kind"])
    pq.write_table(table, touch(tmp_path, "a.wav") / "t.parquet")
    with pytest.raises(ClipTableError, match=r"1 name \('kind'\) of several columns"):
        listed(tmp_path / "t.parquet")


def test_a_broken_parquet_file_is_one_line(tmp_path: Path):
    pq.write_table(pa.table({"file": ["a.wav"] * 1000}), touch(tmp_path, "a.wav") / "t.parquet")
    content = bytearray((tmp_path / "t.parquet").read_bytes())
    content[4:40] = b"\xff" * 36
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(ClipTableError, match="cannot be read as Parquet: ") as raised:
        listed(tmp_path / "t.parquet")
    assert "\n" not in str(raised.value)
