"""suggestions.csv with what a person wrote into it: labels, verdicts, and what was left empty."""

from __future__ import annotations

from pathlib import Path

import pytest

import hubbub
from hubbub.clips.sources import Columns, list_source
from hubbub.errors import ClipTableError
from tests.trees import listed, touch

HEADER = "rank,clip,suggested,score,label,verdict,reason,uri,start_s,end_s,group,problem,site\n"


def write(folder: Path, *lines: str) -> Path:
    touch(folder, "a.wav", "b.wav", "clips/00001-a.wav")
    path = folder / "suggestions.csv"
    path.write_text(HEADER + "".join(f"{line}\n" for line in lines))
    return path


def test_labels_and_verdicts_make_clips(tmp_path: Path):
    path = write(
        tmp_path,
        "1,clips/1.wav,dog,0.5,,right,why,a.wav,0,2.5,market,,north",
        "2,clips/2.wav,dog,0.5,rain; wind,,why,a.wav,5,7.5,market,,north",
        "3,clips/3.wav,dog,0.5,cat,wrong,why,b.wav,0,2.5,,,",
        "4,clips/4.wav,dog,0.5,,No,why,b.wav,5,7.5,,,",
        "5,clips/5.wav,dog,0.5,,,why,b.wav,10,12.5,,,",
        '6,clips/6.wav,"siren, far",0.5,,1,why,b.wav,15,17.5,,,',
    )
    listing = listed(path)
    assert listing.evidence == "read as suggestions: suggestions.csv has the columns suggested, label and verdict"
    clips = list(listing.clips)
    assert [clip["labels"] for clip in clips] == [["dog"], ["rain", "wind"], ["cat"], ["siren, far"]]
    assert [clip["start_s"] for clip in clips] == [0.0, 5.0, 0.0, 15.0]
    assert [clip["group"] for clip in clips] == ["market", "market", "b.wav", "b.wav"]
    assert set(clips[0]) == {"uri", "labels", "group", "start_s", "end_s", "site"}
    assert list(listing.notes)[:2] == [
        "1 window without a label or verdict left out",
        "1 window with a wrong label and no other left out",
    ]


def test_the_rest_of_the_archive_is_not_told(tmp_path: Path):
    (tmp_path / "archive").mkdir()
    for name in ("a.wav", "b.wav", "c.wav"):
        (tmp_path / "archive" / name).touch()
    path = write(tmp_path, f"1,clips/1.wav,dog,0.5,,right,why,{tmp_path}/archive/a.wav,0,2.5,,,")
    assert list(listed(path).notes) == []


def test_the_folder_opens_as_well_but_no_folder_around_it(tmp_path: Path):
    write(tmp_path / "suggestions", "1,c.wav,dog,0.5,,right,why,a.wav,0,2.5,,,")
    assert len(listed(tmp_path / "suggestions").clips) == 1
    assert "read as suggestions" not in listed(tmp_path, "flat").evidence
    assert len(listed(tmp_path, "flat").clips) == 3


def test_a_spreadsheet_may_have_written_it(tmp_path: Path):
    path = write(tmp_path)
    header = HEADER.strip().replace(",", ";")
    path.write_text(f"{header}\n1;c.wav;dog;0,5;rain;;why;a.wav;0;2,5;;;\n", encoding="utf-8-sig")
    (clip,) = listed(path).clips
    assert (clip["labels"], clip["start_s"], clip["end_s"]) == (["rain"], 0.0, 2.5)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1,c.wav,dog,0.5,,,why,a.wav,0,2.5,,,", "no window has a label yet; fill in the column label"),
        ("1,c.wav,dog,0.5,,maybe,why,a.wav,0,2.5,,,", "row 1 below the header has the verdict 'maybe'; expected right"),
        ("1,c.wav,,,,right,why,a.wav,0,2.5,,,", "row 1 below the header is right, and has no suggested label"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, line: str, said: str):
    with pytest.raises(ClipTableError, match=said):
        listed(write(tmp_path, line))


def test_other_columns_and_tables_are_refused(tmp_path: Path):
    path = write(tmp_path, "1,c.wav,dog,0.5,,right,why,a.wav,0,2.5,,,")
    with pytest.raises(ClipTableError, match="format suggestions has columns of its own"):
        list_source(path, "suggestions", Columns(path="clip"))
    path.write_text("uri,label\na.wav,dog\n")
    with pytest.raises(ClipTableError, match="has no column 'start_s'"):
        list_source(path, "suggestions", Columns())
    (tmp_path / "empty").mkdir()
    with pytest.raises(ClipTableError, match="holds no suggestions.csv"):
        list_source(tmp_path / "empty", "suggestions", Columns())


def test_heard_windows_are_added_to_a_table_of_another_folder(tmp_path: Path):
    """Their uris are addresses, which mean the same below any root; names of files do not."""
    touch(tmp_path / "train", "dog/1.wav", "rain/2.wav")
    table = tmp_path / "clips.parquet"
    hubbub.index(tmp_path / "train", table)
    path = write(
        tmp_path / "suggestions", f"1,c.wav,dog,0.5,,right,why,{tmp_path}/suggestions/a.wav,0,2.5,market,,north"
    )
    both = hubbub.index(tmp_path / "suggestions", table, append=True)
    assert both.root == tmp_path / "train"
    assert both.rows["uri"].to_pylist() == ["dog/1.wav", "rain/2.wav", f"{tmp_path}/suggestions/a.wav"]
    assert both.rows["group"].to_pylist()[-1] == "market"
    path.write_text(path.read_text().replace(f"{tmp_path}/suggestions/", "").replace(",0,2.5,", ",3,5.5,"))
    with pytest.raises(ClipTableError, match="make another table for them"):
        hubbub.index(tmp_path / "suggestions", table, append=True)
