"""The benchmark of the engine starts, sends a plan through a cluster, and judges what it found.

Its figures are not judged here.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(__file__).resolve().parents[2] / "benchmarks" / "engine.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, COMMAND, *arguments], capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_it_runs_small_and_every_unit_comes_back():
    done = run("--clips", "95", "--units", "20", "--workers", "1", "--rounds", "1", "--limit", "4")
    assert done.returncode == 0, done.stderr
    assert "units, and clips in them" in done.stdout
    assert "19, 95" in done.stdout, "19 units of 5 clips: no unit is empty"
    assert re.search(r"every unit came back\s+yes\s+yes\s+met", done.stdout), done.stdout


def test_a_wrong_number_is_refused():
    done = run("--units", "0")
    assert done.returncode == 2
    assert "'0' is no whole number above 0" in done.stderr
