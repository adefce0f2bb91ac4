"""The benchmarks of the data-set check, of headers and of listings start, and print a line a way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "arguments", "lines"),
    [
        ("check.py", ["--tiny", "20"], ["tiny WAVs"]),
        (
            "listing.py",
            ["--objects", "50,2000", "--headers", "20", "--check"],
            ["listed, --dry-run", "indexed, headers not read", "indexed, headers by range"],
        ),
        ("probe.py", ["--files", "20", "--check"], ["threads in the driver", "serial", "local cluster, 2 workers"]),
    ],
)
def test_the_benchmark_prints_its_table(script: str, arguments: list[str], lines: list[str]) -> None:
    done = subprocess.run([sys.executable, FOLDER / script, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert all(line in done.stdout for line in lines)
