"""UrbanSound8K and the challenge on Kaggle, with the gaps and the wrapping that copies of them have."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubbub.errors import ClipTableError
from tests.trees import labels, listed, touch, write

HEADER = "slice_file_name,fsID,start,end,salience,fold,classID,class"


def urbansound(folder: Path, *rows: str, header: str = HEADER) -> Path:
    write(folder / "metadata" / "UrbanSound8K.csv", "\n".join([header, *rows, ""]))
    return touch(folder, "audio/fold5/1-3-0-0.wav", "audio/fold5/2-2-0-1.wav")


def test_a_slice_without_class_is_unlabelled(tmp_path: Path):
    urbansound(tmp_path, "1-3-0-0.wav,1,0,1,1,5,3,", "2-2-0-1.wav,2,,,1,5,2,siren")
    listing = listed(tmp_path)
    assert labels(listing) == {"audio/fold5/1-3-0-0.wav": [], "audio/fold5/2-2-0-1.wav": ["siren"]}
    assert listing.notes == []


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1-3-0-0.wav,1,0,1,1,,3,siren", r"row 2 \(1-3-0-0\.wav\): fold is empty; expected 1 to 10"),
        ("1-3-0-0.wav,1,0,1,1,five,3,siren", r"row 2 \(1-3-0-0\.wav\): fold five is none of the official ones"),
        ("1-3-0-0.wav,1,0,1,1,2.5,3,siren", r"row 2 \(1-3-0-0\.wav\): fold 2\.5 is none of the official ones"),
        (",1,0,1,1,5,3,siren", r"row 2 has no slice_file_name; give every row a file name"),
    ],
)
def test_a_slice_that_lies_nowhere_is_refused_with_its_row(tmp_path: Path, row: str, message: str):
    urbansound(tmp_path, "2-2-0-1.wav,2,0,1,1,5,2,siren", row)
    with pytest.raises(ClipTableError, match=message):
        listed(tmp_path)


def test_carried_columns_that_mean_something_here_are_renamed(tmp_path: Path):
    header = f"{HEADER},duration_s,label,source_label"
    urbansound(tmp_path, "1-3-0-0.wav,1,0,1,1,5,3,siren,1.5,loud,s", header=header)
    listing = listed(tmp_path)
    (clip,) = listing.clips
    assert (clip["source_duration_s"], clip["source_source_label"], clip["source_label"]) == (1.5, "loud", "s")
    assert listing.notes[0] == (
        "UrbanSound8K.csv: carried columns whose names have a meaning here: duration_s as source_duration_s, label as "
        "source_source_label"
    )


KAGGLE = {"train.csv": "ID,Class\n0,siren\n1,\n", "test.csv": "ID\n5\n"}


def kaggle(folder: Path, **tables: str) -> Path:
    for name, text in {**KAGGLE, **{f"{split}.csv": text for split, text in tables.items()}}.items():
        write(folder / name, text)
    return touch(folder, "Train/0.wav", "Train/1.wav", "Test/5.wav")


def test_the_challenge_opens_where_it_is_wrapped_in_one_more_folder(tmp_path: Path):
    kaggle(tmp_path / "urban" / "sounds")
    for source in (tmp_path, tmp_path / "urban", tmp_path / "urban" / "sounds"):
        listing = listed(source)
        assert listing.evidence == (
            "read as urbansound-kaggle: train.csv has ID and Class, and a folder train has numbered recordings"
        )
        assert listing.root == tmp_path / "urban" / "sounds"
        assert labels(listing) == {"Train/0.wav": ["siren"], "Train/1.wav": [], "Test/5.wav": []}
        assert listing.notes == []


@pytest.mark.parametrize("folder", [".", "{split}"])
def test_a_table_of_the_challenge_opens_by_itself(tmp_path: Path, folder: str):
    kaggle(tmp_path)
    found = {}
    for split in ("train", "test"):
        source = tmp_path / folder.format(split=split) / f"{split}.csv"
        source.parent.mkdir(exist_ok=True)
        (tmp_path / f"{split}.csv").rename(source)
        listing = listed(source)
        assert listing.evidence.startswith("read as urbansound-kaggle: ")
        assert listing.root == tmp_path
        assert listing.notes == []
        found[split] = labels(listing)
    assert found == {"train": {"Train/0.wav": ["siren"], "Train/1.wav": []}, "test": {"Test/5.wav": []}}


def test_a_blank_number_is_refused_with_its_row(tmp_path: Path):
    kaggle(tmp_path, train="ID,Class\n0,siren\n,drilling\n")
    with pytest.raises(ClipTableError, match=r"train\.csv: row 2 has no ID; give every row the number of its recordi"):
        listed(tmp_path)


def test_the_challenge_without_its_recordings_is_refused(tmp_path: Path):
    for name, text in KAGGLE.items():
        write(tmp_path / name, text)
    with pytest.raises(ClipTableError, match=r"none of the 3 listed files exists, not even Train/0\.wav; keep Train/"):
        listed(tmp_path, "urbansound-kaggle")
    with pytest.raises(ClipTableError, match=r"holds no recordings \(found: 2 \.csv\)"):
        listed(tmp_path)


def test_another_table_called_train_is_not_the_challenge(tmp_path: Path):
    touch(tmp_path, "Train/0.wav")
    write(tmp_path / "train.csv", "file,kind\n0.wav,dog\n")
    with pytest.raises(ClipTableError, match=r"say which column holds the file names"):
        listed(tmp_path / "train.csv")
    with pytest.raises(ClipTableError, match=r"holds no train\.csv with the columns ID and Class; expected it beside"):
        listed(tmp_path, "urbansound-kaggle")
