"""Data sets as they are downloaded: each opens by its folder and by its table, with its folds, groups and labels."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from hubbub.errors import ClipTableError
from tests.trees import labels, listed, touch, write

URBANSOUND = """slice_file_name,fsID,start,end,salience,fold,classID,class
100032-3-0-0.wav,100032,0,0.317551,1,5,3,dog_bark
100263-2-0-117.wav,100263,58.5,62.5,1,5,2,children_playing
101415-3-0-2.wav,101415,1.0,5.0,2,1,3,dog_bark
"""


@pytest.fixture
def urbansound(tmp_path: Path) -> Path:
    write(tmp_path / "UrbanSound8K" / "metadata" / "UrbanSound8K.csv", URBANSOUND)
    names = ("fold5/100032-3-0-0.wav", "fold5/100263-2-0-117.wav", "fold1/101415-3-0-2.wav")
    touch(tmp_path / "UrbanSound8K" / "audio", *names)
    return tmp_path / "UrbanSound8K"


def test_urbansound8k_has_its_folds_and_groups(urbansound: Path):
    for source in (urbansound, urbansound.parent, urbansound / "metadata" / "UrbanSound8K.csv"):
        listing = listed(source)
        assert listing.evidence.startswith("read as urbansound8k: ")
        assert listing.root == urbansound
        assert not listing.notes
        assert listing.clips[1] == {
            "uri": "audio/fold5/100263-2-0-117.wav",
            "labels": ["children_playing"],
            "fold": 5,
            "group": "100263",
            "freesound_start_s": 58.5,
            "freesound_end_s": 62.5,
            "salience": 1,
            "classID": 2,
        }
        assert Counter(clip["fold"] for clip in listing.clips) == {5: 2, 1: 1}


def test_recordings_beside_a_data_set_are_told(urbansound: Path):
    """A folder of several sets was read as one of them, without a word of the others."""
    touch(urbansound.parent / "mine", "a.wav", "b.wav")
    (told,) = listed(urbansound.parent).notes
    assert told.startswith(f"2 recordings lie outside {urbansound}, in 1 folder (mine), and not in this table; ")


def test_folds_that_esc50_does_not_have_are_told(tmp_path: Path):
    write(tmp_path / "meta/esc50.csv", "filename,fold,category\n1-1-A-0.wav,1,dog\n9-2-A-1.wav,9,rain\n")
    touch(tmp_path / "audio", "1-1-A-0.wav", "9-2-A-1.wav")
    assert listed(tmp_path).notes == ["1 fold (9) not of ESC-50, which has 1 to 5"]


def test_urbansound8k_names_what_is_missing_and_what_is_not_listed(urbansound: Path):
    (urbansound / "audio" / "fold1" / "101415-3-0-2.wav").unlink()
    touch(urbansound, "audio/fold2/extra.wav")
    listing = listed(urbansound)
    assert len(listing.clips) == 3
    assert listing.notes == [
        "1 listed file (audio/fold1/101415-3-0-2.wav) missing; it becomes a failed row",
        "1 recording (audio/fold2/extra.wav) not listed; passed over",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",5,3,dog_bark", ",11,3,dog_bark", r"fold 11 is none of the official ones; expected 1 to 10"),
        ("fsID", "id", r"has no column 'fsID'"),
        ("-3-0-", "-9-9-", None),
        ("100", "999", None),
    ],
)
def test_a_table_of_urbansound8k_that_does_not_do_says_why(urbansound: Path, old: str, new: str, message: str | None):
    write(urbansound / "metadata" / "UrbanSound8K.csv", URBANSOUND.replace(old, new))
    if message is None:
        assert any("missing" in note for note in listed(urbansound).notes)
        return
    with pytest.raises(ClipTableError, match=message):
        listed(urbansound)


def test_urbansound8k_without_its_recordings_is_refused(tmp_path: Path):
    write(tmp_path / "metadata" / "UrbanSound8K.csv", URBANSOUND)
    with pytest.raises(
        ClipTableError, match=r"none of the 3 listed files exists, not even audio/fold1/101415-3-0-2\.wav"
    ):
        listed(tmp_path)


@pytest.mark.parametrize("folders", [("Train", "Test"), ("train", "test"), ("train/Train", "test/Test")])
def test_urban_sounds_of_kaggle_have_a_test_without_labels(tmp_path: Path, folders: tuple[str, str]):
    beside = "/" not in folders[0]
    write(tmp_path / ("train.csv" if beside else "train/train.csv"), "ID,Class\n0,siren\n1,drilling\n")
    write(tmp_path / ("test.csv" if beside else "test/test.csv"), "ID\n5\n6\n")
    touch(tmp_path, *(f"{folders[0]}/{number}.wav" for number in (0, 1)), f"{folders[1]}/5.wav")
    listing = listed(tmp_path)
    assert listing.evidence.startswith("read as urbansound-kaggle: ")
    assert listing.clips == [
        {"uri": f"{folders[0]}/0.wav", "labels": ["siren"], "split": "train"},
        {"uri": f"{folders[0]}/1.wav", "labels": ["drilling"], "split": "train"},
        {"uri": f"{folders[1]}/5.wav", "labels": [], "split": "test"},
        {"uri": "Test/6.wav", "labels": [], "split": "test"},
    ]
    assert listing.notes == ["1 listed file (Test/6.wav) missing; it becomes a failed row"]


def test_cats_and_dogs_are_one_class_in_both_splits(tmp_path: Path):
    touch(tmp_path, "cats_dogs/train/cat/1.wav", "cats_dogs/train/dog/2.wav", "cats_dogs/test/cats/3.wav")
    touch(tmp_path, "cats_dogs/test/dogs/4.wav")
    for source in (tmp_path, tmp_path / "cats_dogs"):
        listing = listed(source)
        assert listing.evidence.startswith("read as splits: 4 of 4 files lie in class folders within ")
        held = {clip["uri"].split("/")[-1]: (clip["labels"], clip["split"]) for clip in listing.clips}
        assert held == {
            "1.wav": (["cat"], "train"),
            "2.wav": (["dog"], "train"),
            "3.wav": (["cat"], "test"),
            "4.wav": (["dog"], "test"),
        }
        assert listing.notes == [
            "folders that are named differently in each split are one label: cats as cat, dogs as dog"
        ]


def test_folders_beside_each_other_are_never_made_one(tmp_path: Path):
    touch(tmp_path, "train/bus/1.wav", "train/buss/2.wav", "test/bus/3.wav")
    assert sorted(map(tuple, labels(listed(tmp_path)).values())) == [("bus",), ("bus",), ("buss",)]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("fold1/dog/1.wav", "fold2/rain/2.wav"), [{"fold": 1}, {"fold": 2}]),
        (("audio/dog/1.wav", "audio/rain/2.wav"), [{}, {}]),
        (("data/train/dog/1.wav", "data/val/rain/2.wav"), [{"split": "train"}, {"split": "val"}]),
        (("train/audio/dog/1.wav", "test/audio/rain/2.wav"), [{"split": "train"}, {"split": "test"}]),
    ],
)
def test_class_folders_lie_within_folds_splits_and_folders_of_files(tmp_path: Path, names, expected):
    touch(tmp_path, *names)
    clips = {clip["uri"]: clip for clip in listed(tmp_path).clips}
    for name, label, columns in zip(names, ("dog", "rain"), expected, strict=True):
        assert clips[name] == {"uri": name, "labels": [label], **columns}


def test_folds_without_class_folders_are_no_labels(tmp_path: Path):
    """The old way labelled UrbanSound8K's files `audio` where its table was missing."""
    touch(tmp_path, "audio/fold1/1.wav", "audio/fold2/2.wav")
    listing = listed(tmp_path)
    assert set(map(tuple, labels(listing).values())) == {()}
    assert (
        listing.evidence == "read as flat: the recordings are unlabelled: the names of 1 folder (audio) are no classes"
    )


def test_fsd50k_has_its_own_splits(tmp_path: Path):
    write(
        tmp_path / "FSD50K.ground_truth" / "dev.csv",
        'fname,labels,mids,split\n64760,"Electric_guitar,Guitar,Music","/m/02sgy,/m/0342h,/m/04rlf",train\n'
        "16399,Rain,/m/06mb1,val\n",
    )
    write(tmp_path / "FSD50K.ground_truth" / "eval.csv", "fname,labels,mids\n37199,Rain,/m/06mb1\n")
    touch(tmp_path, "FSD50K.dev_audio/64760.wav", "FSD50K.dev_audio/16399.wav", "FSD50K.eval_audio/37199.wav")
    listing = listed(tmp_path)
    assert listing.evidence == "read as fsd50k: FSD50K.ground_truth/dev.csv lies in it"
    assert not listing.notes
    assert [(clip["uri"], clip["labels"], clip["split"]) for clip in listing.clips] == [
        ("FSD50K.dev_audio/64760.wav", ["Electric_guitar", "Guitar", "Music"], "train"),
        ("FSD50K.dev_audio/16399.wav", ["Rain"], "val"),
        ("FSD50K.eval_audio/37199.wav", ["Rain"], "test"),
    ]


SEGMENTS = """# Segments csv created Sun Mar  5 10:54:25 2017
# num_ytids=3, num_segs=3, num_unique_labels=2, num_positive_labels=4
# YTID, start_seconds, end_seconds, positive_labels
--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"
--ZhevVpy1s, 50.000, 60.000, "/m/012xff"
--aE2O5G5WE, 0.000, 10.000, "/m/09x0r"
"""


def test_audioset_segments_lie_over_whole_and_over_cut_recordings(tmp_path: Path):
    write(tmp_path / "balanced_train_segments.csv", SEGMENTS)
    write(
        tmp_path / "class_labels_indices.csv", 'index,mid,display_name\n0,/m/09x0r,"Speech"\n1,/m/012xff,"Toothbrush"\n'
    )
    touch(tmp_path, "audio/--PJHxphWEs.wav", "audio/Y--ZhevVpy1s_50.000.flac")
    for source in (tmp_path, tmp_path / "balanced_train_segments.csv"):
        listing = listed(source)
        assert listing.evidence.startswith("read as audioset: balanced_train_segments.csv has the columns YTID")
        assert listing.clips == [
            {"uri": "audio/--PJHxphWEs.wav", "labels": ["Speech", "/t/dd00088"], "split": "train"}
            | {"group": "--PJHxphWEs", "start_s": 30.0, "end_s": 40.0, "mids": "/m/09x0r,/t/dd00088"},
            {"uri": "audio/Y--ZhevVpy1s_50.000.flac", "labels": ["Toothbrush"], "split": "train"}
            | {"group": "--ZhevVpy1s", "mids": "/m/012xff"},
        ]
        assert listing.notes == [
            "1 listed video (--aE2O5G5WE) not here; passed over",
            "1 id (/t/dd00088) without a name among the classes; as labels they stay ids",
        ]


def test_audioset_without_names_keeps_ids_and_says_so(tmp_path: Path):
    write(tmp_path / "eval_segments.csv", SEGMENTS)
    touch(tmp_path, "--PJHxphWEs_30000_40000.wav")
    listing = listed(tmp_path)
    assert listing.clips[0]["labels"] == ["/m/09x0r", "/t/dd00088"]
    assert (listing.clips[0]["split"], "start_s" in listing.clips[0]) == ("test", False)
    assert any(note.startswith("labels stay ids such as /m/09x0r") for note in listing.notes)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("30.000, 40.000", "soon, 40.000", "expected YTID, start_seconds, end_seconds, positive_labels"),
        ("30.000, 40.000", "30.000, 20.000", "segment 1 ends at 20 s, before it begins"),
        ("--PJHxphWEs", "--xxxxxxxxx", "no recording of the 3 listed segments is there; expected files such as"),
    ],
)
def test_a_list_of_audioset_that_does_not_do_says_why(tmp_path: Path, old: str, new: str, message: str):
    write(tmp_path / "eval_segments.csv", SEGMENTS.replace(old, new))
    touch(tmp_path, "--PJHxphWEs.wav")
    with pytest.raises(ClipTableError, match=message):
        listed(tmp_path)


def test_scenes_have_places_and_the_official_split(tmp_path: Path):
    write(
        tmp_path / "meta.csv",
        "filename\tscene_label\tidentifier\tsource_label\n"
        "audio/airport-lisbon-1000-40000-a.wav\tairport\tlisbon-1000\ta\n"
        "audio/bus-paris-7-201-a.wav\tbus\tparis-7\ta\n",
    )
    touch(tmp_path, "audio/airport-lisbon-1000-40000-a.wav", "audio/bus-paris-7-201-a.wav")
    setup = tmp_path / "evaluation_setup"
    write(setup / "fold1_train.csv", "filename\tscene_label\naudio/airport-lisbon-1000-40000-a.wav\tairport\n")
    write(setup / "fold1_evaluate.csv", "filename\tscene_label\naudio/bus-paris-7-201-a.wav\tbus\n")
    listing = listed(tmp_path)
    assert listing.evidence == "read as dcase-scenes: meta.csv has the columns filename and scene_label"
    assert [(clip["uri"], clip["labels"], clip["group"], clip["split"]) for clip in listing.clips] == [
        ("audio/airport-lisbon-1000-40000-a.wav", ["airport"], "lisbon-1000", "train"),
        ("audio/bus-paris-7-201-a.wav", ["bus"], "paris-7", "test"),
    ]
    assert [clip["source_label"] for clip in listing.clips] == ["a", "a"]
    assert listed(tmp_path / "meta.csv").clips[0]["labels"] == ["airport"]


def test_strong_labels_are_events(tmp_path: Path):
    write(
        tmp_path / "metadata" / "validation.tsv",
        "filename\tonset\toffset\tevent_label\na.wav\t0.5\t2.25\tDishes\na.wav\t3\t4\tSpeech\nb.wav\t\t\t\n",
    )
    touch(tmp_path, "audio/a.wav", "audio/b.wav")
    for source in (tmp_path, tmp_path / "metadata" / "validation.tsv"):
        listing = listed(source)
        assert listing.evidence == (
            "read as dcase-events: validation.tsv has the columns filename, onset, offset and event_label"
        )
        assert listing.root == tmp_path / "audio"
        assert listing.clips == [
            {"uri": "a.wav", "labels": ["Dishes"], "start_s": 0.5, "end_s": 2.25, "is_event": True, "group": "a.wav"},
            {"uri": "a.wav", "labels": ["Speech"], "start_s": 3.0, "end_s": 4.0, "is_event": True, "group": "a.wav"},
            {"uri": "b.wav", "labels": [], "is_event": False, "group": "b.wav"},
        ]


def test_half_an_event_is_refused(tmp_path: Path):
    write(tmp_path / "x.tsv", "filename\tonset\toffset\tevent_label\na.wav\t0.5\t\tDishes\n")
    touch(tmp_path, "a.wav")
    with pytest.raises(ClipTableError, match=r"a\.wav has an event from 0\.5 to None; expected seconds for both"):
        listed(tmp_path / "x.tsv")


def test_columns_of_a_table_are_splits_and_classes(tmp_path: Path):
    write(
        tmp_path / "train_test_split.csv",
        ",test_cat,test_dog,train_cat,train_dog\n0,cat_110.wav,dog_1.wav,cat_99.wav,dog_7.wav\n1,,,cat_54.wav,\n",
    )
    touch(tmp_path, *(f"cats_dogs/train/cat/cat_{number}.wav" for number in (99, 54)), "cats_dogs/train/dog/dog_7.wav")
    touch(tmp_path, "cats_dogs/test/cats/cat_110.wav", "cats_dogs/test/dogs/dog_1.wav")
    for source in (tmp_path, tmp_path / "train_test_split.csv"):
        listing = listed(source)
        assert listing.evidence == (
            "read as split-columns: train_test_split.csv has the columns test_cat, test_dog, train_cat, train_dog"
        )
        assert [(clip["uri"], clip["labels"], clip["split"]) for clip in listing.clips] == [
            ("cats_dogs/test/cats/cat_110.wav", ["cat"], "test"),
            ("cats_dogs/test/dogs/dog_1.wav", ["dog"], "test"),
            ("cats_dogs/train/cat/cat_99.wav", ["cat"], "train"),
            ("cats_dogs/train/cat/cat_54.wav", ["cat"], "train"),
            ("cats_dogs/train/dog/dog_7.wav", ["dog"], "train"),
        ]


def test_names_of_city_archives_give_city_and_mood(tmp_path: Path):
    touch(tmp_path, "berlin/berlin_calm_17.mp3", "new-york/new-york_chaotic_3.mp3")
    listing = listed(tmp_path)
    assert list(listing.clips) == [
        {"uri": "berlin/berlin_calm_17.mp3", "labels": [], "city": "berlin", "mood": "calm", "archive_id": "17"},
        {"uri": "new-york/new-york_chaotic_3.mp3", "labels": [], "city": "new-york", "mood": "chaotic"}
        | {"archive_id": "3"},
    ]
