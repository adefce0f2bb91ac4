"""The small data sets of docs/accuracy.md: the same seed makes the same recordings, sorted by class, groups whole."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


def make(name: str, out: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, FOLDER / "data_sets.py", name, "-o", out, *arguments]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True)


def read(folder: Path) -> list[dict[str, str]]:
    with (folder / "clips.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "clips", "classes"), [("tones", 600, 6), ("imbalanced", 60, 2)])
def test_a_set_is_sorted_by_class_its_groups_are_whole_and_it_is_the_same_again(
    name: str, clips: int, classes: int, tmp_path: Path
):
    for folder in (tmp_path / "one", tmp_path / "two"):
        assert make(name, folder).returncode == 0
    rows = read(tmp_path / "one")
    labels = [row["label"] for row in rows]
    assert (len(rows), len(set(labels))) == (clips, classes)
    assert labels == sorted(labels)
    assert len({(row["group"], row["fold"]) for row in rows}) == len({row["group"] for row in rows})
    assert {row["fold"] for row in rows} == set("12345")
    for row in rows[:: clips // 6]:
        one, two = ((tmp_path / folder / row["path"]).read_bytes() for folder in ("one", "two"))
        assert one == two
        samples = np.frombuffer(one[44:], "<i2")
        assert len(samples) == 8000
        assert 0 < np.abs(samples.astype(int)).max() < 32767


def test_what_cannot_be_made_says_why(tmp_path: Path):
    done = make("esc10", tmp_path / "esc10")
    assert done.returncode != 0
    assert "esc10 needs --source FOLDER" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "esc10" / "clips.csv").exists()
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "mine.txt").write_text("mine")
    done = make("tones", foreign)
    assert done.returncode != 0
    assert str(foreign) in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in foreign.iterdir()] == ["mine.txt"]
