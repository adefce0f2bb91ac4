"""DCASE's sets as they lie on disks: several tables with folders of their own, gaps, and columns of other meaning."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubbub.clips.index import index_listing
from hubbub.errors import ClipTableError
from tests.trees import labels, listed, touch, write


def scenes(folder: Path) -> Path:
    write(
        folder / "meta.csv",
        "filename\tscene_label\tidentifier\tgroup\tduration_s\n"
        "audio/airport-lisbon-1000-40000-a.wav\tairport\tlisbon-1000\tx\t10\n"
        "audio/bus-paris-7-201-a.wav\t\tparis-7\ty\t10\n",
    )
    setup = folder / "evaluation_setup"
    write(setup / "fold1_train.csv", "filename\tscene_label\naudio/airport-lisbon-1000-40000-a.wav\tairport\n")
    write(setup / "fold1_evaluate.csv", "filename\tscene_label\naudio/bus-paris-7-201-a.wav\tbus\n")
    return touch(folder, "audio/airport-lisbon-1000-40000-a.wav", "audio/bus-paris-7-201-a.wav")


def test_scenes_opened_by_their_table_keep_the_split(tmp_path: Path):
    scenes(tmp_path)
    for source in (tmp_path, tmp_path / "meta.csv"):
        airport, bus = listed(source).clips
        assert (airport["split"], bus["split"]) == ("train", "test")
        assert (airport["labels"], bus["labels"]) == (["airport"], [])
        assert (bus["group"], bus["source_group"], bus["source_duration_s"]) == ("paris-7", "y", 10)


def test_a_second_table_of_scenes_is_told(tmp_path: Path):
    scenes(tmp_path / "development")
    scenes(tmp_path / "evaluation")
    notes = listed(tmp_path).notes
    assert f"1 further table ({tmp_path}/evaluation/meta.csv) of scenes passed over; index each by itself" in notes


def test_a_row_without_a_name_is_refused(tmp_path: Path):
    write(tmp_path / "meta.csv", "filename,scene_label\na.wav,bus\n,bus\n")
    with pytest.raises(ClipTableError, match=r"meta\.csv: row 2 has no filename; give every row a file name"):
        listed(touch(tmp_path, "a.wav"))


EVENTS = "filename\tonset\toffset\tevent_label\n"


def domestic(folder: Path) -> Path:
    write(folder / "metadata" / "train" / "synthetic.tsv", f"{EVENTS}1.wav\t0\t2\tDog\n")
    write(folder / "metadata" / "validation" / "validation.tsv", f"{EVENTS}1.wav\t0\t2\tSpeech\n2.wav\t1\t3\tCat\n")
    return touch(folder, "audio/train/synthetic/1.wav", "audio/validation/1.wav", "audio/validation/2.wav")


def test_each_table_of_strong_labels_has_its_own_folder(tmp_path: Path):
    """Numbered files of one name lie in both folders: one place for all tables gave them wrong labels."""
    listing = listed(domestic(tmp_path))
    assert listing.root == tmp_path / "audio"
    assert labels(listing) == {"train/synthetic/1.wav": ["Dog"], "validation/1.wav": ["Speech"]} | {
        "validation/2.wav": ["Cat"]
    }
    assert [clip["group"] for clip in listing.clips] == list(labels(listing))
    assert listing.notes == []
    one = listed(tmp_path / "metadata" / "validation" / "validation.tsv")
    assert (one.root, labels(one)) == (tmp_path / "audio" / "validation", {"1.wav": ["Speech"], "2.wav": ["Cat"]})


def test_a_table_whose_recordings_are_elsewhere_is_told(tmp_path: Path):
    domestic(tmp_path)
    write(tmp_path / "metadata" / "eval" / "public.tsv", f"{EVENTS}9.wav\t0\t2\tDog\n")
    listing = listed(tmp_path)
    assert len(listing.clips) == 3
    (note,) = listing.notes
    assert note.startswith("passed over ")
    assert "public.tsv: none of its 1 file exists, not even 9.wav" in note


def test_events_of_the_same_times_are_one_clip(tmp_path: Path):
    write(
        tmp_path / "x.tsv", f"{EVENTS}a.wav\t0\t10\tDishes\na.wav\t0\t10\tSpeech\na.wav\t0\t10\tDishes\nb.wav\t\t\t\n"
    )
    listing = listed(touch(tmp_path, "a.wav", "b.wav"))
    assert [clip["labels"] for clip in listing.clips] == [["Dishes", "Speech"], []]
    assert listing.notes == ["2 events with the times of another became one clip with it"]
    assert len(index_listing(listing)[0]) == 2


def test_columns_of_strong_labels_that_mean_something_here_are_renamed(tmp_path: Path):
    write(tmp_path / "x.csv", "filename,onset,offset,event_label,group,duration_s,start_s\na.wav,0,2,,g,10,7\n")
    (clip,) = listed(touch(tmp_path, "a.wav")).clips
    assert clip == {"uri": "a.wav", "labels": [], "start_s": 0.0, "end_s": 2.0, "is_event": True, "group": "a.wav"} | {
        "source_group": "g",
        "source_duration_s": 10,
        "source_start_s": 7,
    }
