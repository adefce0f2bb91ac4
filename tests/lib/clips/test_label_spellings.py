"""Labels that differ in their spelling only: which count as one, and which spelling stays."""

from __future__ import annotations

from collections import Counter

import pytest

from hubbub.clips.labels import find_spellings, group_spellings, normalise_labels, warn_of_spellings


def clips_of(*names: str) -> list[dict]:
    return [{"uri": f"{number}.wav", "labels": [name]} for number, name in enumerate(names)]


def test_labels_in_several_spellings_are_told_and_made_one():
    clips = clips_of("Dog", "Dog", "dog ", "car_horn", "car horn", "car-horn", "car horn", "rain")
    groups = find_spellings(clips)
    assert warn_of_spellings(groups) == [
        "2 labels in several spellings: 'Dog' 2, 'dog ' 1; 'car horn' 2, 'car_horn' 1, 'car-horn' 1; "
        "--normalise-labels makes each of them one label"
    ]
    changed, notes = normalise_labels(clips, groups)
    assert Counter(clip["labels"][0] for clip in changed) == {"Dog": 3, "car horn": 4, "rain": 1}
    assert notes[0] == "'Dog' 2, 'dog ' 1 became 'Dog'"
    assert find_spellings(changed) == []


def test_a_clip_with_both_spellings_has_the_label_once():
    clips = [{"uri": "a.wav", "labels": ["Dog", "dog", "rain"]}]
    (changed,) = normalise_labels(clips, find_spellings(clips))[0]
    assert changed["labels"] == ["Dog", "rain"]


@pytest.mark.parametrize(
    ("labels", "is_one"),
    [
        (["b\u00e4r", "ba\u0308r"], True),  # composed, as Linux writes it, and in parts, as a Mac does
        (["dog", "_dog-"], True),
        (["dog", " dog\t"], True),
        (["car  horn", "car-_horn"], True),
        (["STRASSE", "straße"], True),
        (["dog", "dogs"], False),
        (["carhorn", "car horn"], False),
        (["-", "_"], False),
        (["bär", "bar"], False),
    ],
)
def test_what_is_one_label(labels: list[str], is_one: bool):
    assert group_spellings(labels) == ([labels] if is_one else [])


def test_one_spelling_of_labels_in_parts_is_composed():
    clips = clips_of("ba\u0308r", "ba\u0308r", "b\u00e4r")
    changed, notes = normalise_labels(clips, find_spellings(clips))
    assert {clip["labels"][0] for clip in changed} == {"b\u00e4r"}
    assert notes == ["'ba\u0308r' 2, 'b\u00e4r' 1 (letters composed in two ways) became 'b\u00e4r'"]
