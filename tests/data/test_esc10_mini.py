"""The sounds in the repository are what their script says, and each one comes with its attribution."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import soundfile

SCRIPT = Path(__file__).parent / "make_esc10_mini.py"


@pytest.fixture
def rows(esc10_mini: Path) -> list[dict[str, str]]:
    with (esc10_mini / "esc10.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def attribution(esc10_mini: Path) -> str:
    return (esc10_mini / "ATTRIBUTION.txt").read_text(encoding="utf-8")


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_two_clips_of_every_class_in_every_fold(rows: list[dict[str, str]]) -> None:
    counts = Counter((row["category"], row["fold"]) for row in rows)
    assert len(counts) == 10 * 5
    assert set(counts.values()) == {2}


def test_the_clips_listed_are_the_clips_there(esc10_mini: Path, rows: list[dict[str, str]]) -> None:
    assert sorted(row["filename"] for row in rows) == sorted(path.name for path in (esc10_mini / "audio").iterdir())


def test_every_clip_has_its_attribution_line_and_no_other_has(rows: list[dict[str, str]], attribution: str) -> None:
    attributed = re.findall(r"^- \[([^\]]+)\]:", attribution, flags=re.MULTILINE)
    assert sorted(attributed) == sorted(row["filename"] for row in rows)


def test_attribution_lines_stand_under_the_heading_of_their_class(rows: list[dict[str, str]], attribution: str) -> None:
    classes = {row["filename"]: row["category"] for row in rows}
    sections = re.split(r"^\d{3} - .*:$", attribution, flags=re.MULTILINE)[1:]
    found = [{classes[name] for name in re.findall(r"^- \[([^\]]+)\]:", section, re.MULTILINE)} for section in sections]
    assert len(found) == 10
    assert all(len(names) == 1 for names in found)
    assert len(set.union(*found)) == 10


def test_clips_of_one_recording_share_a_fold(rows: list[dict[str, str]]) -> None:
    assert len({row["src_file"] for row in rows}) == len({(row["src_file"], row["fold"]) for row in rows})


def test_a_class_and_fold_has_two_recordings(rows: list[dict[str, str]]) -> None:
    assert len({row["src_file"] for row in rows}) == len(rows)


def test_no_clip_has_a_licence_that_forbids_uses(attribution: str) -> None:
    assert set(re.findall(r"\[([^\]]+)\]$", attribution, flags=re.MULTILINE)) <= {"CC0", "CC-BY"}


def test_every_clip_is_audio_of_some_seconds(esc10_mini: Path) -> None:
    for path in (esc10_mini / "audio").iterdir():
        header = soundfile.info(path)
        assert (header.samplerate, header.channels) == (44100, 1), path.name
        assert 3 < header.duration < 8, path.name


def test_the_folder_is_what_the_script_makes_of_esc10(esc10: Path, esc10_mini: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, SCRIPT, esc10, "-o", tmp_path / "again"], check=True)
    assert contents(tmp_path / "again") == contents(esc10_mini)


def test_making_it_again_removes_what_was_there(esc10: Path, esc10_mini: Path, tmp_path: Path) -> None:
    stray = tmp_path / "audio" / "9-stray-A.ogg"
    stray.parent.mkdir()
    stray.write_bytes(b"")
    subprocess.run([sys.executable, SCRIPT, esc10, "-o", tmp_path], check=True)
    assert contents(tmp_path) == contents(esc10_mini)


def test_a_wrong_source_is_refused_with_what_was_expected(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, SCRIPT, tmp_path], capture_output=True, text=True)
    assert done.returncode == 2
    assert "holds no esc10.csv; give the folder of ESC-10" in done.stderr
