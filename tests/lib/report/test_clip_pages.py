"""Clips on a page: which are shown, what is told of each, and what cannot hurt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import hubbub
from hubbub.clips.table import ClipTable, clip_id, make_table, write_table
from hubbub.errors import ClipTableError, UsageError
from hubbub.report import clips as clip_pages
from hubbub.report import clips_section

RATE = 8000


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sounds")
    soundfile.write(folder / "a.wav", 0.1 * np.random.default_rng(0).normal(size=4 * RATE), RATE)
    return folder


def make(root: Path, *clips: dict) -> ClipTable:
    own = [{"uri": "a.wav", "labels": [], "start_s": 0.0, "end_s": 0.5, **clip} for clip in clips]
    return make_table([{"clip_id": clip_id(c["uri"], c["start_s"], c["end_s"]), **c} for c in own], root)


def test_ranked_clips_are_shown_in_their_order(sounds: Path):
    rows = [
        {"start_s": number / 4, "end_s": number / 4 + 0.25, "rank": 9 - number, "similarity": number / 10}
        for number in range(9)
    ]
    body = clips_section(make(sounds, *rows)).body
    places = [body.index(f"{rank}. <span") for rank in range(1, 10)]
    assert places == sorted(places)
    assert body.index("similarity: 0.800") < body.index("similarity: 0.700")
    assert body.count("<audio") == 9
    assert "9 clips, the first ranks first." in clips_section(make(sounds, *rows)).subtitle


def test_of_many_clips_some_are_shown(sounds: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(clip_pages, "MOST", 3)
    rows = [{"start_s": number / 10, "end_s": number / 10 + 0.1, "labels": [f"label {number}"]} for number in range(9)]
    body = clips_section(make(sounds, *rows)).body
    assert body.count("<audio") == 3
    assert "3 of 9 clips are shown: one at every so many rows" in body
    assert all(f"label {number}" in body for number in (0, 4, 8))
    ranked = clips_section(make(sounds, *({"rank": 9 - n} | row for n, row in enumerate(rows)))).body
    assert "3 of 9 clips are shown: those of the first ranks" in ranked
    assert all(f"label {number}" in ranked for number in (6, 7, 8))


def test_text_from_files_is_escaped(sounds: Path):
    evil = "<script>alert(1)</script>"
    table = make(sounds, {"labels": [evil], "suggested": evil, "reason": evil}, {"uri": f"{evil}.wav", "rank": None})
    body = clips_section(table).body
    assert "<script>" not in body
    assert body.count("&lt;script&gt;") >= 4


def test_a_clip_that_cannot_be_read_says_why(sounds: Path):
    body = clips_section(make(sounds, {"uri": "gone.wav"}, {"start_s": 9.0, "end_s": 9.5}, {})).body
    assert "This clip cannot be shown. DecodeError: " in body
    assert "This clip cannot be shown. EmptyAudio: a.wav holds no samples" in body
    assert body.count("<audio") == 1


def test_a_long_clip_is_shown_in_part(sounds: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(clip_pages, "TOTAL_SHOWN_S", 2.0)
    whole = {"start_s": None, "end_s": None}
    body = clips_section(make(sounds, whole)).body
    assert 'data-shown-s="2.0"' in body
    both = clips_section(make(sounds, whole, {})).body
    assert 'data-shown-s="1.0"' in both
    assert 'data-shown-s="0.5"' in both


@pytest.mark.parametrize("rank", ["first", 1.5, [1]])
def test_a_column_of_ranks_that_are_none_is_no_order(sounds: Path, rank: object):
    assert "1. <span" not in clips_section(make(sounds, {"rank": rank})).body


def test_a_clip_table_is_a_source_of_the_report(sounds: Path, tmp_path: Path):
    write_table(make(sounds, {"labels": ["dog"]}), tmp_path / "clips.parquet")
    text = hubbub.write_report([tmp_path / "clips.parquet"], tmp_path / "page.html").read_text()
    assert "Clips of clips.parquet" in text
    assert "<b>dog</b>" in text
    (tmp_path / "notes.txt").write_text("notes")
    with pytest.raises(ClipTableError, match="is no clip table"):
        hubbub.write_report([tmp_path / "notes.txt"], tmp_path / "page.html")
    with pytest.raises(UsageError, match=r"or a clip table \(a file\)"):
        hubbub.write_report([sounds], tmp_path / "page.html")
