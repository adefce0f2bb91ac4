"""The benchmark starts, goes through real clips in every way, and says what it found. Its figures are not judged."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "features.py"


def run(*arguments: str | Path, scratch: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, SCRIPT, *map(str, arguments)]
    environment = os.environ | {"TMPDIR": str(scratch)}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture(scope="module")
def done(esc10_mini: Path, scratch: Path) -> subprocess.CompletedProcess[str]:
    arguments = ["--workers", "2", "--limit", "9", "--rounds", "2", "--agreement"]
    return run("--clips", esc10_mini, *arguments, scratch=scratch)


def test_every_way_goes_through_all_clips(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr
    assert "9 clips, 2 processes, median of 2 rounds" in done.stdout
    for way in ("hubbub, stored", "joblib and librosa", "decoding alone"):
        (line,) = [line for line in done.stdout.splitlines() if line.strip().startswith(way)]
        figures = [float(figure) for figure in re.findall(r"\d+\.\d+", line)]
        assert len(figures) == 7, line
        assert min(figures[:3]) > 0, line
    assert re.search(r"joblib and librosa .* 1\.00 ", done.stdout), "the measure all others are compared with"


def test_the_values_agree_with_librosa(done: subprocess.CompletedProcess[str]) -> None:
    for row in ("float32", "anywhere above the floor"), ("float32", "within 80 dB"), ("float64", "everywhere"):
        assert any(all(word in line for word in row) for line in done.stdout.splitlines()), row
    assert "target missed: float" not in done.stdout


def test_it_leaves_no_store_behind(done: subprocess.CompletedProcess[str], scratch: Path) -> None:
    assert done.returncode == 0
    assert [path.name for path in scratch.iterdir() if "hubbub" in path.name] == []


def test_a_clip_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"no audio")
    refused = run("--clips", tmp_path, scratch=tmp_path)
    assert refused.returncode == 1
    assert "a benchmark needs clips that can be read: broken.wav" in refused.stderr
