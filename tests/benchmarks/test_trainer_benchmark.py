"""The trainer's benchmark trains, measures and judges; its figures are not judged here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")

COMMAND = Path(__file__).resolve().parents[2] / "benchmarks" / "trainer.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, COMMAND, *arguments], capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_it_runs_small_and_has_a_figure_for_every_case():
    done = run("--rows", "256", "--rounds", "1", "--model", "seed-cnn", "--backends", "tensorflow")
    assert done.returncode == 0, done.stderr
    figures = r"^ *tensorflow +(\d+) +float32 +(yes|no) +([\d,]+) +-?[\d.]+% +[\d,]+"
    lines = re.findall(figures, done.stdout, re.MULTILINE)
    # seed-cnn has no augmentation: nothing is said to have it.
    assert ("32", "no") in {(batch, augmented) for batch, augmented, _ in lines}
    assert all(augmented == "no" and int(rate.replace(",", "")) > 0 for _, augmented, rate in lines)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--backends", "theano"), "unknown: theano; choose from tensorflow,jax,torch"),
        (("--rows", "8", "--backends", "tensorflow"), "--rows 8; give at least"),
    ],
)
def test_what_cannot_be_is_refused(arguments: tuple[str, ...], said: str):
    done = run(*arguments)
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr
