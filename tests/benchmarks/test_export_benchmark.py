"""The benchmark of exported models: every way scores, and its table says by how much each differs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(__file__).resolve().parents[2] / "benchmarks" / "export.py"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, COMMAND, *words], capture_output=True, text=True, timeout=300)


pytestmark = pytest.mark.slow  # each run imports Keras


def test_it_runs_small():
    for package in ("tensorflow", "onnx", "tf2onnx"):
        pytest.importorskip(package)
    done = run("--networks", "seed-cnn,detector", "--formats", "onnx", "--windows", "8", "--rounds", "1")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if line.split()[:1] in (["seed-cnn"], ["detector"])]
    assert [words[:2] for words in lines] == [
        [name, way] for name in ("seed-cnn", "detector") for way in ("Keras", "onnx")
    ]
    assert all(float(words[-1]) <= 1e-4 for words in lines if words[1] == "onnx")


def test_unknown_names_are_refused():
    done = run("--formats", "tflite")
    assert done.returncode == 2
    assert "unknown: tflite; choose from onnx,litert,openvino" in done.stderr
