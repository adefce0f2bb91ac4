"""`benchmarks/browse.py` starts: a small archive is written, opened twice and asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "browse.py"


def test_it_prints_how_long_opening_and_answers_take():
    words = ["--hours", "6", "--events", "60", "--rounds", "1"]
    done = subprocess.run([sys.executable, BENCHMARK, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Opening: 60 events, 6 hours, 10 classes" in done.stdout
    assert "filter: all of these" in done.stdout
    assert "memory at most:" in done.stdout
