"""`hubbub compare` as a user types it: the same clips, others, and folders that are no evaluation."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pandas as pd
import pytest

from hubbub.errors import UsageError
from hubbub.pipelines.compare import compare
from tests.jobs.command import hubbub, refuse, succeed

LABELS = ["cat", "dog"]


def write(folder: Path, right: list[bool], *, first: int = 0, labels: list[str] = LABELS) -> Path:
    """An evaluation of clips, of which even numbers are cats and odd ones dogs."""
    folder.mkdir()
    (folder / "evaluation.json").write_text(json.dumps({"labels": labels}))
    true = [LABELS[(first + number) % 2] for number in range(len(right))]
    named = [label if hit else LABELS[1 - LABELS.index(label)] for label, hit in zip(true, right, strict=True)]
    scores = [[0.9 if label == one else 0.1 for label in labels] for one in named]
    clips = [f"clip {first + number}" for number in range(len(right))]
    table = pd.DataFrame({"clip_id": clips, "true": true, "scores": scores})
    table.to_parquet(folder / "predictions.parquet")
    return folder


def test_two_models_side_by_side(tmp_path: Path):
    one = write(tmp_path / "one", [True] * 10)
    two = write(tmp_path / "two", [True] * 5 + [False] * 5, labels=["dog", "cat"])
    said = succeed("compare", one, two, env=os.environ | {"COLUMNS": "300"})
    assert re.search(r"first\W+\S*/one\b", said)
    assert re.search(r"second\W+\S*/two\b", said)
    assert "100.0%, 50.0%" in said
    assert "first 5, second 0 (McNemar's p 0.062)" in said
    assert "-50.0 points of accuracy" in said
    found = compare(two, one)
    assert (found.test.only_first, found.test.only_second, found.clips) == (0, 5, 10)


def test_only_shared_clips_count(tmp_path: Path):
    one, two = write(tmp_path / "one", [True] * 10), write(tmp_path / "two", [True] * 10, first=6)
    found = compare(one, two)
    assert found.clips == 4
    assert "compared on the 4 clips that both tested, of 10 and 10" in hubbub("compare", one, two).stderr


def test_other_clips_are_refused(tmp_path: Path):
    one, two = write(tmp_path / "one", [True] * 4), write(tmp_path / "two", [True] * 4, first=50)
    with pytest.raises(
        UsageError, match="have no clip with the same label in common: the one tested 4 clips, the other 4"
    ):
        compare(one, two)


def test_what_is_no_evaluation_is_refused(tmp_path: Path):
    one = write(tmp_path / "one", [True])
    assert f"{tmp_path} is no evaluation; make one with: hubbub evaluate" in refuse("compare", one, tmp_path)
