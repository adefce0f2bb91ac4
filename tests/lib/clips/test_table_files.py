"""Tables as people have them: separators, encodings, paths of another machine, doubled rows, labels spelt twice."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from hubbub.clips.labels import find_spellings, normalise_labels, warn_of_spellings
from hubbub.clips.sources import Columns, Listing, list_source
from hubbub.errors import ClipTableError


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def listed(source: Path, **columns: str) -> Listing:
    return list_source(source, None, Columns(**{"path": "file", "label": "kind"} | columns))


def labels(listing: Listing) -> dict[str, list[str]]:
    return {clip["uri"]: clip["labels"] for clip in listing.clips}


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ("file,kind\na.wav,größer\n".encode(), None),
        ("\ufefffile,kind\na.wav,größer\n".encode(), None),  # Excel's UTF-8
        ("file,kind\na.wav,größer\n".encode("utf-16"), None),
        ("file,kind\na.wav,größer\n".encode("cp1252"), "was read as Windows-1252; save it as UTF-8 where letters"),
        ("file;kind\na.wav;größer\n".encode(), "its columns are parted by semicolons"),  # Excel where 1,5 is a number
        ("file\tkind\na.wav\tgrößer\n".encode(), "its columns are parted by tabs"),
        ("file|kind\na.wav|größer\n".encode(), "its columns are parted by bars"),
        ('"file";"kind"\n"a.wav";"größer"\n'.encode(), "semicolons"),
        (" file , kind \na.wav,größer\n".encode(), None),
        ("file,kind\r\na.wav,größer\r\n".encode(), None),
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
    assert listing.notes == [f"2 of 3 files found by name below {tmp_path}"]


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
    assert listing.notes == ["left out 1 row that repeat another, such as a.wav"]


ROWS = [{"file": "a.wav", "kind": "dog", "n": 7, "where": {"lat": 1.5}}, {"file": "b.wav", "kind": None, "n": None}]


@pytest.mark.parametrize("ending", ["jsonl", "ndjson", "json", "parquet"])
def test_other_tables_are_read_by_the_same_columns(tmp_path: Path, ending: str):
    touch(tmp_path, "a.wav", "b.wav")
    source = tmp_path / f"t.{ending}"
    if ending == "parquet":
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
        ("t.jsonl", "{", "cannot be read as JSON lines: "),
        ("t.parquet", "no", "cannot be read as Parquet: "),
        ("t.csv", "file,kind\nhttps://example.org/a.wav,dog\n", r"holds addresses, such as https://.*; download the"),
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


def clips_of(*names: str) -> list[dict]:
    return [{"uri": f"{number}.wav", "labels": [name]} for number, name in enumerate(names)]


def test_labels_in_several_spellings_are_told_and_made_one():
    clips = clips_of("Dog", "Dog", "dog ", "car_horn", "car horn", "car-horn", "car horn", "rain")
    groups = find_spellings(clips)
    assert warn_of_spellings(groups) == [
        "2 labels in several spellings: 'Dog' 2, 'dog ' 1; 'car horn' 2, 'car_horn' 1, 'car-horn' 1; "
        "--normalise-labels makes each one"
    ]
    changed, notes = normalise_labels(clips, groups)
    assert Counter(clip["labels"][0] for clip in changed) == {"Dog": 3, "car horn": 4, "rain": 1}
    assert notes[0] == "'Dog' 2, 'dog ' 1 became 'Dog'"
    assert find_spellings(changed) == []


def test_a_clip_with_both_spellings_has_the_label_once():
    clips = [{"uri": "a.wav", "labels": ["Dog", "dog", "rain"]}]
    (changed,) = normalise_labels(clips, find_spellings(clips))[0]
    assert changed["labels"] == ["Dog", "rain"]
