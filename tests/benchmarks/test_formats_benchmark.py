"""The benchmark of formats makes sounds and knows its files; the formats themselves are compared by a test."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

COMMAND = Path(__file__).resolve().parents[2] / "benchmarks" / "formats.py"


@pytest.mark.slow
def test_it_runs_small_and_agrees():
    for package in ("tensorflow", "onnx", "ai_edge_litert"):
        pytest.importorskip(package)
    if find_spec("basic_pitch") is None:
        pytest.skip("basic-pitch, a wheel with weights, is not installed: make install")
    done = subprocess.run(
        [sys.executable, COMMAND, "--seconds", "5", "--check"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert {"onnx", "litert", "saved-model"} <= set(done.stdout.split())


def test_an_unknown_option_is_refused():
    done = subprocess.run([sys.executable, COMMAND, "--formats"], capture_output=True, text=True, timeout=100)
    assert done.returncode == 2
    assert "unrecognized arguments: --formats" in done.stderr
