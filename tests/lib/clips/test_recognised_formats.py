"""What a source is recognised as, with which evidence, and what is refused rather than guessed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from hubbub.clips.sources import Columns, list_formats, list_source
from hubbub.errors import ClipTableError
from tests.trees import labels, listed, touch


@pytest.mark.parametrize("format", list_formats().values(), ids=lambda format: format.name)
def test_every_format_describes_itself(format):
    assert format.name == format.name.lower()
    assert format.holds
    assert format.example.strip() == format.example
    assert list_formats()[format.name] is format


def test_files_beside_class_folders_stay_unlabelled_and_are_told(tmp_path: Path):
    """Three loose files used to make all 124 clips unlabelled."""
    names = [f"class {folder}/{number}.wav" for folder in "abcdefghijk" for number in range(11)]
    touch(tmp_path, *names, "one.wav", "two.wav", "three.wav")
    listing = listed(tmp_path)
    assert listing.evidence == "read as folder: 121 of 124 files lie in 11 class folders; 3 beside them stay unlabelled"
    assert labels(listing)["class a/0.wav"] == ["class a"]
    assert [uri for uri, found in labels(listing).items() if not found] == ["one.wav", "three.wav", "two.wav"]


def test_a_tree_that_may_be_two_things_is_refused_with_both_commands(tmp_path: Path):
    touch(tmp_path, "dog/1.wav", "dog/2.wav", "a.wav", "b.wav")
    with pytest.raises(ClipTableError) as told:
        listed(tmp_path)
    assert "2 of 4 recordings lie in 1 folder (dog) and 2 beside them" in str(told.value)
    assert f"hubbub index {tmp_path} --format folder -o FILE" in str(told.value)
    assert f"hubbub index {tmp_path} --format flat -o FILE" in str(told.value)
    assert labels(listed(tmp_path, "folder"))["dog/1.wav"] == ["dog"]
    assert labels(listed(tmp_path, "flat"))["dog/1.wav"] == []


@pytest.mark.parametrize(
    "folder", ["audio", "wav", "WAVs", "recordings", "data", "fold1", "Fold 10", "2026-05-17", "20260517", "unlabelled"]
)
def test_folders_that_say_how_files_are_kept_are_no_labels(tmp_path: Path, folder: str):
    touch(tmp_path, f"{folder}/1.wav", f"{folder}/2.wav")
    listing = listed(tmp_path)
    assert set(map(tuple, labels(listing).values())) == {()}
    assert f"({folder})" in listing.evidence


@pytest.mark.parametrize("folder", ["dog", "7", "audiobook", "train horn", "test tube", "wave breaking", "day"])
def test_folders_whose_names_only_begin_like_those_are_labels(tmp_path: Path, folder: str):
    touch(tmp_path, f"{folder}/1.wav", "rain/2.wav")
    assert labels(listed(tmp_path)) == {f"{folder}/1.wav": [folder], "rain/2.wav": ["rain"]}


def test_links_in_circles_end(tmp_path: Path):
    touch(tmp_path, "dog/1.wav", "rain/2.wav")
    (tmp_path / "dog" / "again").symlink_to(tmp_path, target_is_directory=True)
    listing = listed(tmp_path)
    assert len(listing.clips) == 2
    assert listing.notes == []


def test_named_groups_of_a_pattern_are_columns(tmp_path: Path):
    touch(tmp_path, "x/dog_garden_3_20260517T0430Z.wav", "x/rain_roof_1_20260518T0430Z.flac")
    listing = listed(tmp_path, pattern=r"(?P<label>[a-z]+)_(?P<group>[a-z]+)_(?P<fold>\d)_(?P<recorded_at>\w+)")
    assert list(listing.clips) == [
        {"uri": "x/dog_garden_3_20260517T0430Z.wav", "labels": ["dog"], "group": "garden", "fold": 3}
        | {"recorded_at": datetime(2026, 5, 17, 4, 30, tzinfo=UTC)},
        {"uri": "x/rain_roof_1_20260518T0430Z.flac", "labels": ["rain"], "group": "roof", "fold": 1}
        | {"recorded_at": datetime(2026, 5, 18, 4, 30, tzinfo=UTC)},
    ]


def test_a_pattern_with_a_slash_is_matched_with_the_path(tmp_path: Path):
    touch(tmp_path, "berlin/dog_1.wav")
    (clip,) = listed(tmp_path, pattern=r"(?P<city>\w+)/(?P<label>\w+)_\d+").clips
    assert clip == {"uri": "berlin/dog_1.wav", "city": "berlin", "labels": ["dog"]}


def test_names_that_do_not_match_are_unlabelled_and_named(tmp_path: Path):
    touch(tmp_path, "dog_1.wav", "rain_2.wav", "3.wav")
    listing = listed(tmp_path, pattern=r"(?P<label>[a-z]+)_.*")
    assert labels(listing) == {"dog_1.wav": ["dog"], "rain_2.wav": ["rain"], "3.wav": []}
    assert any(note.startswith("1 name of 3 does not match") and note.endswith(": 3.wav") for note in listing.notes)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(?P<label>[a-z]+", r"is no regular expression: .*; expected one such as '\(\?P<label>"),
        ("[a-z]+_.*", r"has no named group; name what a part is"),
        ("(?P<uri>[a-z]+)", r"the group 'uri' has a meaning in hubbub's tables; name it otherwise"),
        ("(?P<label>q+)_.*", r"matches none of 12 names; make it fit names such as:\n  dog_0\.wav\n"),
        ("(?P<fold>[a-z]+)_.*", r"dog_0\.wav: --pattern: column 'fold' holds 'dog'; expected whole numbers"),
    ],
)
def test_a_pattern_that_does_not_do_says_why(tmp_path: Path, pattern: str, message: str):
    touch(tmp_path, *(f"dog_{number}.wav" for number in range(12)))
    with pytest.raises(ClipTableError, match=message):
        listed(tmp_path, pattern=pattern)


def test_format_names_asks_for_its_pattern(tmp_path: Path):
    with pytest.raises(ClipTableError, match=r"say which parts of a name are what with --pattern"):
        listed(touch(tmp_path, "dog_1.wav"), "names")


def test_heart_sounds_are_known_by_their_names(tmp_path: Path):
    touch(
        tmp_path,
        *(
            "extrahls__201101070953.wav",
            "normal_noisynormal_101_1305030823364_A.wav",
            "murmur__112_1306243000964_B.wav",
        ),
        *("Bunlabelledtest__101_1305030823364_A.wav", "artifact__201012172012.wav"),
    )
    listing = listed(tmp_path)
    assert listing.evidence == "read as heart-sounds: 5 of 5 names have the shape of extrahls__201101070953.wav"
    held = {clip["uri"].split("_")[0]: clip for clip in listing.clips}
    assert held["extrahls"] == {"uri": "extrahls__201101070953.wav", "labels": ["extrahls"], "noise": None} | {
        "take": "201101070953",
        "split": None,
        "group": None,
    }
    assert (held["normal"]["group"], held["Bunlabelledtest"]["group"]) == ("101", "101"), "one patient's"
    assert held["normal"]["noise"] == "noisynormal"
    assert (held["Bunlabelledtest"]["labels"], held["Bunlabelledtest"]["split"]) == ([], "test")


def test_spoken_digits_are_known_by_their_names(tmp_path: Path):
    touch(tmp_path, "7_jackson_32.wav", "0_theo_4.wav")
    clips = listed(tmp_path).clips
    assert next(iter(clips)) == {"uri": "0_theo_4.wav", "labels": ["0"], "group": "theo", "take": "4"}


def test_a_preset_refuses_options_of_other_formats(tmp_path: Path):
    touch(tmp_path, "7_jackson_32.wav", "0_theo_4.wav")
    with pytest.raises(ClipTableError, match=r"format spoken-digits reads no labels from names; leave --pattern out"):
        listed(tmp_path, "spoken-digits", pattern="(?P<label>.)")
    with pytest.raises(ClipTableError, match=r"format esc50 has columns of its own"):
        list_source(tmp_path, "esc50", Columns(path="x"))


def test_esc50_is_known_by_the_folder_as_downloaded(tmp_path: Path):
    touch(tmp_path, "ESC-50-master/audio/1-100032-A-0.wav", "ESC-50-master/LICENSE")
    (tmp_path / "ESC-50-master" / "meta").mkdir()
    (tmp_path / "ESC-50-master" / "meta" / "esc50.csv").write_text(
        "filename,fold,target,category,esc10,src_file,take\n1-100032-A-0.wav,1,0,dog,True,100032,A\n"
    )
    for source in (tmp_path, tmp_path / "ESC-50-master", tmp_path / "ESC-50-master" / "meta" / "esc50.csv"):
        listing = listed(source)
        assert listing.evidence == "read as esc50: esc50.csv has the columns filename, fold and category"
        (clip,) = listing.clips
        assert (clip["uri"], clip["labels"], clip["fold"], clip["group"]) == ("1-100032-A-0.wav", ["dog"], 1, "100032")
