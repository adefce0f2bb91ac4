"""From a listing to a clip table: headers read, unreadable files kept."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hubbub.audio.recorders import parse_timezone
from hubbub.clips.index import ProbeNotes, index_listing
from hubbub.clips.sources import Columns, Listing, list_source
from hubbub.clips.table import clip_id, read_table, write_table
from hubbub.errors import ClipTableError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "sounds"
    root.mkdir()
    soundfile.write(root / "good.wav", np.zeros((4410, 2)), 44_100)
    (root / "text.wav").write_text("no sound")
    (root / "empty.wav").touch()
    (root / "gone.wav").symlink_to(root / "nowhere")
    os.mkfifo(root / "pipe.wav")
    return root


def test_headers_are_read_and_unreadable_files_stay(folder: Path):
    table, unreadable = index_listing(list_source(folder, None, Columns()))
    rows = {row["uri"]: row for row in table.rows.to_pylist()}
    assert list(rows) == ["empty.wav", "gone.wav", "good.wav", "pipe.wav", "text.wav"]
    good = rows["good.wav"]
    assert (good["duration_s"], good["sample_rate"], good["channels"]) == (0.1, 44_100, 2)
    stat = (folder / "good.wav").stat()
    assert (good["size_bytes"], good["version"]) == (stat.st_size, f"{stat.st_size}-{stat.st_mtime_ns}")
    for name in set(rows) - {"good.wav"}:
        assert rows[name]["duration_s"] is None
        assert any(line.startswith(f"{name}: ") for line in unreadable)
    assert len(unreadable) == 4
    assert rows["gone.wav"]["version"] is None
    assert rows["text.wav"]["size_bytes"] == 8


def test_names_tell_of_files_that_cannot_be_decoded(tmp_path: Path):
    """A recorder that broke is counted at the time at which it broke."""
    (tmp_path / "GARDEN_20260517_043000Z.wav").touch()
    (tmp_path / "GARDEN_20260517_053000.wav").write_text("no sound")
    table, unreadable = index_listing(list_source(tmp_path, None, Columns()), timezone=parse_timezone("Europe/Berlin"))
    assert len(unreadable) == 2
    assert table.rows["recorded_at"].to_pylist() == [
        datetime(2026, 5, 17, 4, 30, tzinfo=UTC),
        datetime(2026, 5, 17, 3, 30, tzinfo=UTC),
    ]
    assert table.rows["site"].to_pylist() == ["GARDEN", "GARDEN"]


def test_nobody_is_asked_for_the_zone_of_a_time_that_the_source_knows(tmp_path: Path):
    began = datetime(2026, 5, 17, tzinfo=UTC)
    for uri, known, local in (("a_20260517_043000.wav", began, 0), ("b_20260517_043000.wav", None, 1)):
        soundfile.write(tmp_path / uri, np.zeros(800), 8000)
        notes = ProbeNotes()
        index_listing(Listing(tmp_path, [{"uri": uri, "labels": [], "recorded_at": known}]), notes=notes)
        assert notes.local == local


def test_each_clip_is_told_of(folder: Path):
    ticks: list[int] = []
    index_listing(list_source(folder, None, Columns()), on_clip=lambda: ticks.append(1))
    assert len(ticks) == 5


def test_the_real_set_round_trips(esc10_mini: Path, tmp_path: Path):
    table, unreadable = index_listing(list_source(esc10_mini / "esc10.csv", None, Columns()))
    assert not unreadable
    write_table(table, tmp_path / "clips.parquet")
    again = read_table(tmp_path / "clips.parquet")
    assert again.rows.equals(table.rows)
    assert again.root == table.root == (esc10_mini / "audio").resolve()
    assert table.carried == ["target", "take"]
    assert min(table.rows["duration_s"].to_pylist()) > 3


def test_a_changed_file_has_another_version_and_the_same_id(folder: Path):
    def good():
        rows = index_listing(list_source(folder, None, Columns()))[0].rows.to_pylist()
        return next(row for row in rows if row["uri"] == "good.wav")

    before = good()
    os.utime(folder / "good.wav", ns=(1, 1))
    after = good()
    assert before["clip_id"] == after["clip_id"] == clip_id("good.wav")
    assert before["version"] != after["version"]


def test_segments_of_one_file_are_clips_of_their_own(folder: Path):
    clips = [{"uri": "good.wav", "labels": [], "start_s": a, "end_s": b} for a, b in [(0, 0.05), (0.05, None)]]
    table, _ = index_listing(Listing(folder, clips))
    assert len(set(table.rows["clip_id"].to_pylist())) == 2


def test_addresses_that_are_not_read_say_so(folder: Path):
    with pytest.raises(ClipTableError, match="gs:// is not read; give local paths"):
        index_listing(Listing(folder, [{"uri": "gs://bucket/a.wav", "labels": []}]))


def test_a_name_that_asks_for_headerless_samples_is_unreadable_and_no_crash(folder: Path):
    (folder / "a.raw").write_bytes(bytes(100))
    table, unreadable = index_listing(Listing(folder, [{"uri": "a.raw", "labels": []}]))
    assert len(table) == len(unreadable) == 1
