"""The benchmarks of search write a store that is one, and find the same rows in every way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.embedding_stores import write_embeddings

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


def run(script: str, *words: object) -> str:
    command = [sys.executable, str(FOLDER / script), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
def test_all_ways_find_the_same_rows(tmp_path: Path):
    said = run(
        "search.py", "--rows", 1500, "--dimension", 8, "--rounds", 1, "--ways", "default,numpy", "--keep", tmp_path
    )
    assert "The 50 nearest of 1,500 rows of 8 float16" in said
    assert "the same rows   the same" in said
    assert len(list((tmp_path / "store" / "rows").iterdir())) == 2


def test_the_share_of_right_windows_is_that_of_a_slow_count(tmp_path: Path):
    """Three labels in turns along a circle: of a clip's windows, those of its own recording do not count."""
    random = np.random.default_rng(0)
    vectors = np.eye(3)[np.arange(36) // 3 % 3] + 0.4 * random.normal(size=(36, 3))
    write_embeddings(tmp_path / "store", vectors)
    said = run("search_precision.py", tmp_path / "store", "--top", 5)
    label = np.arange(36) // 3 % 3
    unit = vectors.astype(np.float32).astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    shares = []
    for clip in range(12):
        own = np.arange(36) // 3 == clip
        cosine = unit @ unit[own].mean(axis=0)
        nearest = np.argsort(-np.where(own, -2, cosine), kind="stable")[:5]
        shares.append((label[nearest] == clip % 3).mean())
    assert f"{np.mean(shares):.3f}" in said.splitlines()[-2] + said.splitlines()[-1]
    assert f"{9 / 33:.3f}" in said
