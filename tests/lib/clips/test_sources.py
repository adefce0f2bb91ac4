"""Listing data sets: each kind of source, and what a wrong one gets."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from hubbub.errors import ClipTableError
from tests.trees import labels, listed, touch, write

STRANGE_NAMES = [
    "two words.wav",
    "straße ☃.wav",
    "a#b.wav",
    "key=value.wav",
    "100%.wav",
    "it's.wav",
    "q?.wav",
    "[x].wav",
]


def test_a_folder_of_folders_has_a_class_a_folder(tmp_path: Path):
    touch(tmp_path, "dog/1.wav", "dog/deep/2.flac", "rain/3.OGG", "rain/notes.txt", ".hidden/4.wav", "rain/.5.wav")
    listing = listed(tmp_path)
    assert labels(listing) == {"dog/1.wav": ["dog"], "dog/deep/2.flac": ["dog"], "rain/3.OGG": ["rain"]}
    assert listing.root == tmp_path
    assert listing.notes == ["passed over 1 file whose names are not those of recordings (found: 1 .txt)"]


def test_a_flat_folder_is_unlabelled(tmp_path: Path):
    touch(tmp_path, "a.wav", "2024-05-01/b.wav")
    assert labels(listed(tmp_path)) == {"a.wav": [], "2024-05-01/b.wav": []}


def test_formats_can_be_said(tmp_path: Path):
    touch(tmp_path, "dog/1.wav")
    assert labels(listed(tmp_path, "flat")) == {"dog/1.wav": []}
    assert labels(listed(touch(tmp_path, "0.wav"), "folder")) == {"0.wav": [], "dog/1.wav": ["dog"]}


def test_hidden_files_do_not_make_a_folder_flat(tmp_path: Path):
    """A Mac leaves ``._1.wav`` beside files that it copies to other disks."""
    touch(tmp_path, "dog/1.wav", "._1.wav")
    assert labels(listed(tmp_path)) == {"dog/1.wav": ["dog"]}


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_strange_names_in_folders(tmp_path: Path, name: str):
    touch(tmp_path, f"my class=1 #2/{name}")
    assert labels(listed(tmp_path)) == {f"my class=1 #2/{name}": ["my class=1 #2"]}


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_strange_names_in_csv_files(tmp_path: Path, name: str):
    touch(tmp_path, name)
    source = write(tmp_path / "clips.csv", f'path,label\n"{name}",x\n')
    assert labels(listed(source, path="path", label="label")) == {name: ["x"]}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], r"holds no recordings; expected files such as \.wav"),
        (["a.txt", "b.txt", "c.md"], r"holds no recordings \(found: 2 \.txt, 1 \.md\)"),
        (["README"], "1 no ending"),
        ([".hidden.wav"], "holds no recordings"),
    ],
)
def test_a_folder_without_recordings(tmp_path: Path, names: list[str], message: str):
    with pytest.raises(ClipTableError, match=message):
        listed(touch(tmp_path, *names))


def test_sources_that_are_not_there_or_not_fitting(tmp_path: Path):
    with pytest.raises(ClipTableError, match="nowhere does not exist; expected a folder of recordings or a CSV file"):
        listed(tmp_path / "nowhere")
    with pytest.raises(ClipTableError, match=r"unknown format 'esc-50': did you mean 'esc50'\?"):
        listed(touch(tmp_path, "a.wav"), "esc-50")
    with pytest.raises(ClipTableError, match="is a folder; the --…-column options and --label-separator are for"):
        listed(tmp_path, path="x")
    with pytest.raises(ClipTableError, match="is no folder"):
        listed(write(tmp_path / "x.csv", "a\n1\n"), "folder")
    with pytest.raises(ClipTableError, match=r"a\.wav"):
        listed(tmp_path / "a.wav")
    with pytest.raises(ClipTableError, match="cannot be read as CSV"):
        listed(tmp_path, "csv")


@pytest.mark.parametrize(("table", "audio"), [("esc.csv", "."), ("esc.csv", "audio"), ("meta/esc.csv", "audio")])
def test_esc50_finds_its_files_in_each_place(tmp_path: Path, esc10_mini: Path, table: str, audio: str):
    (tmp_path / table).parent.mkdir(exist_ok=True)
    (tmp_path / audio).mkdir(exist_ok=True)
    shutil.copy(esc10_mini / "esc10.csv", tmp_path / table)
    for path in sorted((esc10_mini / "audio").iterdir())[:3]:
        (tmp_path / audio / path.name).symlink_to(path)
    listing = listed(tmp_path / table)
    assert listing.root == (tmp_path / audio).resolve()
    assert len(listing.clips) == 100  # the other 97 become failed rows, not a silence


def test_esc50_carries_what_it_does_not_name(esc10_mini: Path):
    clips = listed(esc10_mini / "esc10.csv").clips
    assert Counter(clip["labels"][0] for clip in clips) == Counter(dict.fromkeys(labels_of_esc10(clips), 10))
    assert Counter(clip["fold"] for clip in clips) == dict.fromkeys(range(1, 6), 20)
    assert clips[0] == {
        "uri": "1-172649-A.ogg",
        "labels": ["helicopter"],
        "fold": 1,
        "group": "172649",
        "target": 6,
        "take": "A",
    }


def labels_of_esc10(clips) -> set[str]:
    found = {clip["labels"][0] for clip in clips}
    assert len(found) == 10
    return found


def test_esc50_has_columns_of_its_own(esc10_mini: Path):
    with pytest.raises(ClipTableError, match="format esc50 has columns of its own"):
        listed(esc10_mini / "esc10.csv", "esc50", path="filename")


def test_esc50_without_its_columns_says_which_there_are(tmp_path: Path):
    touch(tmp_path, "a.wav")
    with pytest.raises(ClipTableError, match=r"no column 'filename' .*known: file, kind"):
        listed(write(tmp_path / "x.csv", "file,kind\na.wav,dog\n"), "esc50")


def test_any_csv_with_columns_named(tmp_path: Path):
    touch(tmp_path, "a.wav", "b.wav")
    source = write(
        tmp_path / "x.csv",
        "file,kind,cv,part,site,from,to,city,mood\n"
        "a.wav,dog,1,train,s1,0,2.5,Malmö,0.5\na.wav,,,,,2.5,,,\nb.wav,cat,2,test,s2,,,Oslo,1\n",
    )
    listing = listed(
        source, path="file", label="kind", fold="cv", split="part", group="site", start_s="from", end_s="to"
    )
    assert listing.clips == [
        {"uri": "a.wav", "labels": ["dog"], "fold": 1, "split": "train", "group": "s1"}
        | {"start_s": 0.0, "end_s": 2.5, "city": "Malmö", "mood": 0.5},
        {"uri": "a.wav", "labels": [], "fold": None, "split": None, "group": None}
        | {"start_s": 2.5, "end_s": None, "city": None, "mood": None},
        {"uri": "b.wav", "labels": ["cat"], "fold": 2, "split": "test", "group": "s2"}
        | {"start_s": None, "end_s": None, "city": "Oslo", "mood": 1.0},
    ]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("path,label\na.wav,7\nb.wav,\n", "7"),  # an empty cell must not make 7.0 of 7
        ("path,label\na.wav,007\n", "007"),  # codes keep their zeros
        ("path,label\na.wav,None\n", "None"),  # a class may be called so
        ("path,label\na.wav,NA\n", "NA"),
        ("path,label\na.wav,True\n", "True"),
    ],
)
def test_labels_are_text_as_it_stands_in_the_file(tmp_path: Path, text: str, label: str):
    touch(tmp_path, "a.wav", "b.wav")
    listing = listed(write(tmp_path / "x.csv", text), path="path", label="label")
    assert listing.clips[0]["labels"] == [label]


@pytest.mark.parametrize(
    ("cell", "separator", "labels"),
    [
        ("rain;wind", ";", ["rain", "wind"]),
        ("rain; heavy wind ;;rain", ";", ["rain", "heavy wind"]),  # spaces belong to no label, and each counts once
        ("rain;wind", None, ["rain;wind"]),
        ('"dog,7,NA"', ",", ["dog", "7", "NA"]),
        ("7", "|", ["7"]),
        ("", ";", []),
    ],
)
def test_a_cell_may_hold_several_labels(tmp_path: Path, cell: str, separator: str | None, labels: list[str]):
    touch(tmp_path, "a.wav")
    source = write(tmp_path / "x.csv", f"path,tags\na.wav,{cell}\n")
    (clip,) = listed(source, path="path", label="tags", label_separator=separator).clips
    assert clip["labels"] == labels
    with pytest.raises(ClipTableError, match=r"--label-separator parts the cells of a column; .* --label-column"):
        listed(source, path="path", label_separator=";")


def test_groups_are_text_as_it_stands_in_the_file(tmp_path: Path):
    touch(tmp_path, "a.wav")
    listing = listed(write(tmp_path / "x.csv", "path,site\na.wav,12\nb.wav,\n"), path="path", group="site")
    assert [clip["group"] for clip in listing.clips] == ["12", None]


def test_file_addresses_stay_what_they_are(tmp_path: Path):
    touch(tmp_path, "a.wav")
    source = write(tmp_path / "x.csv", f"path\na.wav\nfile://{tmp_path}/a.wav\n")
    assert [clip["uri"] for clip in listed(source, path="path").clips] == ["a.wav", f"file://{tmp_path}/a.wav"]


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("file,kind\na.wav,dog\n", {}, r"say which column .*--path-column \(there are: file, kind\)"),
        ("file,kind\na.wav,dog\n", {"path": "fiel"}, r"no column 'fiel' \(--path-column\): did you mean 'file'\?"),
        ("file\na.wav\n", {"path": "file", "label": "kind"}, r"no column 'kind' \(--label-column\): known are file"),
        ("file\na.wav\n", {"path": "file", "start_s": "t"}, r"'t' \(--start-column\)"),
        ("file,fold\na.wav,1\n", {"path": "file"}, r"'fold' has a meaning .*--fold-column fold"),
        ("file,kind\na.wav,dog\n,cat\n", {"path": "file"}, "column 'file' has 1 empty name, the first in row 2"),
        (
            "file,cv\na.wav,first\n",
            {"path": "file", "fold": "cv"},
            "column 'cv' holds 'first'; expected whole numbers",
        ),
        ("file,cv\na.wav,1.5\n", {"path": "file", "fold": "cv"}, "expected whole numbers"),  # not silently fold 1
        (
            "file,t\na.wav,soon\n",
            {"path": "file", "start_s": "t"},
            r"x\.csv: row 1 below the header: column 't' holds 'soon'; expected seconds",
        ),
        ("file\nno.wav\n", {"path": "file"}, r"none of its 1 file exists, not even no\.wav \(looked in .*audio"),
        ("file\n", {"path": "file"}, "has a header and no rows"),
        ("", {"path": "file"}, "cannot be read as CSV"),
        ('file\n"a.wav\n', {"path": "file"}, "cannot be read as CSV"),
    ],
)
def test_a_csv_that_does_not_do_says_why(tmp_path: Path, text: str, columns: dict[str, str], message: str):
    touch(tmp_path, "a.wav")
    with pytest.raises(ClipTableError, match=message):
        listed(write(tmp_path / "x.csv", text), "csv", **columns)


def test_a_name_that_is_no_utf8_is_refused_or_listed_and_no_crash(tmp_path: Path):
    """Old archives hold names in Latin-1, which Python reads as text with surrogates."""
    from hubbub.clips.index import index_listing

    try:
        os.close(os.open(os.fsencode(tmp_path) + b"/caf\xe9.wav", os.O_CREAT | os.O_WRONLY))
    except OSError:
        pytest.skip("this file system takes no such names")
    try:
        table, _ = index_listing(listed(tmp_path))
    except ClipTableError as error:
        text = str(error)
    else:
        text = table.rows["uri"].to_pylist()[0]
    assert text.endswith(".wav") or "caf" in text
