"""Xeno-canto: its JSON beside the recordings, whole or cut, and what a broken one gets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hubbub.errors import ClipTableError
from tests.trees import labels, listed, touch, write


def test_xeno_canto_is_labelled_by_species(tmp_path: Path):
    one = {"id": "134880", "gen": "Troglodytes", "sp": "troglodytes", "en": "Wren", "rec": "A. Bird", "cnt": "Poland"}
    one |= {"lat": "51.8", "lng": "19.2", "date": "2013-04-21", "time": "07:00", "q": "A", "also": ["Parus major"]}
    other = {"id": "9", "gen": "Strix", "sp": "aluco", "lat": None, "lng": "east", "date": "", "time": "?"}
    missing = {"id": "77", "gen": "Strix", "sp": "aluco"}
    write(tmp_path / "meta" / "page1.json", json.dumps({"numRecordings": "3", "recordings": [one, other, missing]}))
    touch(tmp_path, "XC134880-Wren.mp3", "owls/xc9.mp3", "owls/other.mp3")
    listing = listed(tmp_path)
    assert listing.evidence == "read as xeno-canto: meta/page1.json holds recordings of Xeno-canto, such as XC134880"
    wren, owl = listing.clips
    assert (wren["uri"], wren["labels"], wren["group"]) == (
        "XC134880-Wren.mp3",
        ["Troglodytes troglodytes"],
        "A. Bird, 2013-04-21",
    )
    assert (wren["latitude"], wren["longitude"], wren["also_heard"]) == (51.8, 19.2, "Parus major")
    assert "recorded_at" not in wren
    assert (owl["uri"], owl["group"], owl["latitude"], owl["longitude"]) == ("owls/xc9.mp3", "XC9", None, None)
    assert listing.notes == [
        "1 recording (owls/other.mp3) not listed; passed over",
        "1 of the recordings in the metadata not here, such as XC77; passed over",
    ]


def test_metadata_in_a_folder_of_its_own_open_the_set(tmp_path: Path):
    """The list of formats shows this tree, and says that a set opens by one of its tables."""
    write(tmp_path / "metadata" / "page-1.json", page(WREN))
    touch(tmp_path, "XC12-Wren.mp3")
    listing = listed(tmp_path / "metadata" / "page-1.json")
    assert (listing.root, set(labels(listing))) == (tmp_path, {"XC12-Wren.mp3"})


def test_json_of_others_is_not_xeno_canto(tmp_path: Path):
    write(tmp_path / "settings.json", '{"recordings": [{"id": 1}]}')
    write(tmp_path / "broken.json", "{")
    touch(tmp_path, "dog/1.wav", "rain/2.wav")
    assert listed(tmp_path).evidence.startswith("read as folder")


def page(*recordings: dict[str, object], **fields: object) -> str:
    return json.dumps(fields | {"recordings": recordings})


WREN = {"id": "12", "gen": "Troglodytes", "sp": "troglodytes"}
OWL = {"id": "9", "gen": "Strix", "sp": "aluco"}


def test_one_recording_in_several_files_is_kept_in_all(tmp_path: Path):
    write(tmp_path / "a.json", page(WREN))
    touch(tmp_path, "XC12.mp3", "XC12_2.mp3", "XC 12 song.wav", "XC123.mp3")
    listing = listed(tmp_path)
    assert set(labels(listing)) == {"XC12.mp3", "XC12_2.mp3", "XC 12 song.wav"}
    assert {clip["group"] for clip in listing.clips} == {"XC12"}
    assert listing.notes == ["1 recording (XC123.mp3) not listed; passed over"]


@pytest.mark.parametrize(("gen", "sp"), [(None, None), ("Strix", None), (None, "aluco"), ("", ""), (" ", "aluco")])
def test_half_a_species_is_no_label_and_told(tmp_path: Path, gen: str | None, sp: str | None):
    write(tmp_path / "a.json", page(WREN, OWL | {"gen": gen, "sp": sp}))
    touch(tmp_path, "XC12.mp3", "XC9.mp3")
    listing = listed(tmp_path)
    assert labels(listing) == {"XC12.mp3": ["Troglodytes troglodytes"], "XC9.mp3": []}
    assert listing.notes == ["1 recording (XC9.mp3) without a species in the metadata, and so without a label"]


def test_pages_that_lack_are_told(tmp_path: Path):
    """A query's pages lie in one folder and give the same total; the API gives 500 recordings a page at the most."""
    write(tmp_path / "wrens" / "1.json", page(WREN, numRecordings="3", page=1, numPages=2))
    write(tmp_path / "owls" / "1.json", page(OWL, numRecordings=1, page=1, numPages=1))
    touch(tmp_path, "XC12.mp3", "XC9.mp3")
    assert listed(tmp_path).notes == [
        "the JSON pages in wrens hold 1 of the 3 recordings that the query found; get the other pages, too"
    ]
    write(tmp_path / "wrens" / "2.json", page(WREN | {"id": "1"}, WREN | {"id": "2"}, numRecordings="3", page=2))
    touch(tmp_path, "XC1.mp3", "XC2.mp3")
    assert listed(tmp_path).notes == []


def test_the_json_file_is_a_source_itself(tmp_path: Path):
    source = write(tmp_path / "page.json", page(WREN))
    write(tmp_path / "other.json", page(OWL))
    touch(tmp_path, "wrens/XC12.mp3", "XC9.mp3")
    listing = listed(source)
    assert listing.evidence == "read as xeno-canto: page.json holds recordings of Xeno-canto, such as XC12"
    assert labels(listing) == {"wrens/XC12.mp3": ["Troglodytes troglodytes"]}
    single = write(tmp_path / "single.json", json.dumps(OWL))
    assert labels(listed(single)) == {"XC9.mp3": ["Strix aluco"]}
    (tmp_path / "XC9.mp3").unlink()
    with pytest.raises(ClipTableError, match=r"none of the 1 recording that its metadata tells of is in .*XC9\.mp3"):
        listed(single)


@pytest.mark.parametrize("broken", [page(OWL)[:-4], "[" * 100_000 + '"gen"'])
def test_a_broken_page_is_named(tmp_path: Path, broken: str):
    write(tmp_path / "1.json", page(WREN))
    source = write(tmp_path / "2.json", broken)
    touch(tmp_path, "XC12.mp3", "XC9.mp3")
    for given_path, name in ((tmp_path, None), (source, "xeno-canto")):
        with pytest.raises(ClipTableError, match=r"2\.json cannot be read as JSON \(.*\); get it from Xeno-canto"):
            listed(given_path, name)


def test_a_broken_file_of_others_stops_nothing(tmp_path: Path):
    write(tmp_path / "1.json", page(WREN).encode("utf-16"))
    write(tmp_path / "settings.json", "{// mine")
    touch(tmp_path, "XC12.mp3")
    assert len(listed(tmp_path).clips) == 1
