"""Class folders that are wrapped, within splits, or named by a table beside them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hubbub.clips.sources import Columns, list_source
from hubbub.errors import ClipTableError
from tests.trees import labels, listed, touch, write


@pytest.mark.parametrize("inner", [("dog", "rain"), ("deep",), ("2026-05-17",)])
def test_one_folder_that_holds_folders_is_refused_with_what_settles_it(tmp_path: Path, inner: tuple[str, ...]):
    touch(tmp_path, *(f"set/{folder}/1.wav" for folder in inner))
    with pytest.raises(ClipTableError) as told:
        listed(tmp_path)
    message = str(told.value)
    assert f"lie in one folder, set, which holds {len(inner)} folder" in message
    assert f"hubbub index {tmp_path}/set -o FILE" in message
    assert f"hubbub index {tmp_path} --format folder -o FILE" in message
    assert f"hubbub index {tmp_path} --format flat -o FILE" in message
    assert set(map(tuple, labels(listed(tmp_path, "folder")).values())) == {("set",)}
    if len(inner) == 2:
        assert set(map(tuple, labels(listed(tmp_path / "set")).values())) == {("dog",), ("rain",)}


@pytest.mark.parametrize(
    "names",
    [
        ("dog/1.wav", "dog/2.wav"),
        ("dog/deep/1.wav", "dog/2.wav", "rain/3.wav"),
        ("dog/deep/1.wav", "rain/deep/3.wav"),  # one name in all of them tells no classes apart
    ],
)
def test_folders_whose_class_is_plain_are_labels(tmp_path: Path, names: tuple[str, ...]):
    assert labels(listed(touch(tmp_path, *names))) == {name: [name.split("/")[0]] for name in names}


def test_places_that_share_their_class_folders_are_refused_with_what_settles_it(tmp_path: Path):
    """The places were taken for classes, without a word."""
    touch(tmp_path, *(f"{place}/{kind}/1.wav" for place in ("park", "road") for kind in ("cat", "dog")))
    with pytest.raises(ClipTableError) as told:
        listed(tmp_path)
    assert "2 folders (park, road) share 2 folders (cat, dog), so either may be the classes" in str(told.value)
    assert "--pattern '(?P<place>[^/]+)/(?P<label>[^/]+)/.+'" in str(told.value)
    found = listed(tmp_path, pattern="(?P<place>[^/]+)/(?P<label>[^/]+)/.+")
    assert {(clip["place"], *clip["labels"]) for clip in found.clips} == {
        (place, kind) for place in ("park", "road") for kind in ("cat", "dog")
    }


def test_the_background_noise_of_speech_commands_is_no_class(tmp_path: Path):
    words = [f"{word}/{number}.wav" for word in ("yes", "no") for number in range(10)]
    listing = listed(touch(tmp_path, *words, "_background_noise_/pink_noise.wav"))
    assert labels(listing)["_background_noise_/pink_noise.wav"] == []
    assert listing.evidence.endswith("20 of 21 files lie in 2 class folders; 1 beside them stays unlabelled")


def test_classes_that_share_folders_of_sessions_are_labels(tmp_path: Path):
    names = [f"{kind}/{session}/1.wav" for kind in ("cat", "dog") for session in ("day1", "day2")]
    assert labels(listed(touch(tmp_path, *names))) == {name: [name[:3]] for name in names}


@pytest.mark.parametrize("folders", [("siteA", "siteB"), ("site 1", "site 2"), ("Plot_3", "plot-4"), ("sensors",)])
def test_places_and_devices_are_no_labels(tmp_path: Path, folders: tuple[str, ...]):
    names = [f"{folder}/20260501_000000.wav" for folder in folders]
    assert labels(listed(touch(tmp_path, *names))) == {name: [] for name in names}


def test_a_table_beside_recordings_that_is_not_read_is_told(tmp_path: Path):
    touch(tmp_path, "sounds/1.wav", "sounds/2.wav")
    write(tmp_path / "clips.csv", "file,kind\n1.wav,dog\n2.wav,rain\n")
    (told,) = [note for note in listed(tmp_path).notes if "table" in note]
    assert told.startswith("1 table (clips.csv) not read")
    assert f"hubbub index {tmp_path}/clips.csv -o FILE --path-column NAME --label-column NAME" in told


def test_recordings_of_a_split_without_class_folders_stay_unlabelled(tmp_path: Path):
    touch(tmp_path, *(f"train/{kind}/{number}.wav" for kind in ("cat", "dog") for number in range(2)))
    touch(tmp_path, "test/cats/7.wav", "test/test/8.wav", "test/test/9.wav")
    listing = listed(tmp_path)
    assert listing.evidence == "read as splits: 5 of 7 files lie in class folders within test, train"
    held = {clip["uri"]: (clip["labels"], clip["split"]) for clip in listing.clips}
    assert held["test/cats/7.wav"] == (["cat"], "test")
    assert held["test/test/8.wav"] == ([], "test")
    assert held["train/dog/1.wav"] == (["dog"], "train")
    assert "2 of 7 files lie in no class folder but in test/test; they stay unlabelled" in listing.notes


SPLITS = "test_cat,test_dog,train_cat,train_dog\nc1.wav,d1.wav,c2.wav,d2.wav\n,,c3.wav,\n"


@pytest.mark.parametrize(
    ("table", "folder"),
    [
        ("t.csv", "."),
        ("t.csv", "audio"),
        ("t.csv", "cats_dogs/all"),
        ("meta/t.csv", "audio"),
        ("meta/t.csv", "cats_dogs/all"),
        ("cats_dogs/t.csv", "cats_dogs"),
        ("cats_dogs/t.csv", "."),
    ],
)
def test_a_table_of_splits_lies_one_folder_down_or_beside_the_audio(tmp_path: Path, table: str, folder: str):
    write(tmp_path / table, SPLITS)
    touch(tmp_path / folder, "c1.wav", "d1.wav", "c2.wav", "d2.wav", "other.wav")
    listing = listed(tmp_path)
    assert listing.evidence.startswith("read as split-columns: ")
    found = {(listing.root / clip["uri"]).relative_to(tmp_path): clip for clip in listing.clips}
    there = {str(path): (clip["labels"], clip["split"]) for path, clip in found.items() if (tmp_path / path).exists()}
    within = "" if folder == "." else f"{folder}/"
    assert there == {
        f"{within}c1.wav": (["cat"], "test"),
        f"{within}d1.wav": (["dog"], "test"),
        f"{within}c2.wav": (["cat"], "train"),
        f"{within}d2.wav": (["dog"], "train"),
    }
    assert "1 listed file (c3.wav) missing; it becomes a failed row" in listing.notes
    assert any(note.startswith("1 recording (") and "other.wav) not listed" in note for note in listing.notes)


def test_a_table_of_splits_without_any_of_its_recordings_is_refused(tmp_path: Path):
    write(tmp_path / "meta" / "t.csv", SPLITS)
    with pytest.raises(ClipTableError, match=r"none of its 5 files exists, not even c1\.wav"):
        listed(touch(tmp_path, "other.wav"))


def test_links_to_folders_elsewhere_are_told(tmp_path: Path):
    touch(tmp_path, "set/dog/1.wav", "set/rain/2.wav", "elsewhere/3.wav")
    (tmp_path / "set" / "siren").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "set" / "also").symlink_to("dog", target_is_directory=True)
    listing = listed(tmp_path / "set")
    assert len(listing.clips) == 2
    assert listing.notes == [
        "1 link (siren) to folders elsewhere not followed; index what they lead to, or put it in their place"
    ]


def test_folders_that_cannot_be_read_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Root reads any folder, so that the refusal is injected."""
    touch(tmp_path, "dog/1.wav", "rain/2.wav", "secret/3.wav")
    really = os.scandir

    def refuse(path):
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied", str(path))
        return really(path)

    monkeypatch.setattr(os, "scandir", refuse)
    listing = listed(tmp_path)
    assert len(listing.clips) == 2
    assert listing.notes == ["1 folder (secret (Permission denied)) cannot be read"]
    with pytest.raises(ClipTableError, match=r"secret holds no recordings; .*; 1 folder \(\. \(Permission denied\)\)"):
        listed(tmp_path / "secret")


def test_accents_in_two_encodings_are_one_label(tmp_path: Path):
    """Archives made on macOS hold decomposed letters."""
    touch(
        tmp_path,
        "train/M\u00f6we/1.wav",
        "train/dog/2.wav",
        "train/dog/5.wav",
        "test/Mo\u0308we/3.wav",
        "test/dog/4.wav",
    )
    listing = listed(tmp_path)
    assert len({label for found in labels(listing).values() for label in found}) == 2


def test_folders_of_recorders_may_be_sites(tmp_path: Path):
    touch(tmp_path, "market/20260501_060000.wav", "park/20260501_060000.wav")
    (note,) = listed(tmp_path).notes
    assert "their folders may be sites and no classes" in note
    pattern = note.partition("--pattern '")[2].partition("'")[0]
    clips = list(list_source(tmp_path, None, Columns(), pattern=pattern).clips)
    assert [(clip["labels"], clip["site"]) for clip in clips] == [([], "market"), ([], "park")]
    touch(tmp_path, "park/dog.wav")
    assert not listed(tmp_path).notes
