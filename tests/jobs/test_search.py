"""The commands of search and suggest, as a person types them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hubbub.clips.table import read_table
from tests.embedding_stores import write_embeddings
from tests.jobs.command import hubbub, refuse, succeed


@pytest.fixture(scope="module")
def embeddings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve vectors, each turned on a little, and one of zeros."""
    angles = np.cumsum(np.linspace(0.1, 0.4, 12))
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return write_embeddings(tmp_path_factory.mktemp("embeddings") / "store", np.vstack([vectors, [[0, 0]]])).path


def test_a_search_says_what_it_found(embeddings: Path, tmp_path: Path):
    said = succeed("search", embeddings, "--like", "0", "--like", "1", "--top", 3, "-o", tmp_path / "found.parquet")
    lines = [line for line in said.splitlines() if ".wav  " in line]
    assert len(lines) == 3
    assert lines[0].split()[1:5] == ["1.wav", "0.00", "to", "2.00"]
    assert lines[0].endswith("label 1")
    assert "10 rows of 2 values" in said
    assert "1 row of zeros or not finite" in said
    assert "hubbub report" in said
    assert len(read_table(tmp_path / "found.parquet")) == 3


def test_a_search_that_cannot_be_is_refused(embeddings: Path, tmp_path: Path):
    out = tmp_path / "found.parquet"
    assert "has no current row" in refuse("search", embeddings, "--like", "99", "-o", out)
    assert "Missing option '--like'" in refuse("search", embeddings, "-o", out)
    assert "is no feature store" in refuse("search", tmp_path, "--like", "1", "-o", out)
    assert not out.exists()


def test_suggestions_of_labels_go_into_a_table_and_a_page(labels: Path, tmp_path: Path):
    out = tmp_path / "suggestions"
    said = succeed("suggest", labels, "--strategy", "uncertain", "-n", 3, "-o", out)
    assert "3 windows of 3 recordings" in said
    assert f"hubbub index {out} -o heard.parquet" in said
    table = pd.read_csv(out / "suggestions.csv", dtype=object)
    table["verdict"] = ["right", "wrong", None]
    table.to_csv(out / "suggestions.csv", index=False)
    indexed = hubbub("index", out, "-o", tmp_path / "heard.parquet")
    assert indexed.returncode == 0
    assert "1 window without a label or verdict left out" in indexed.stderr
    (clip,) = read_table(tmp_path / "heard.parquet").rows.to_pylist()
    assert clip["labels"] == [table["suggested"][0]]
    succeed("report", out / "suggestions.parquet", "-o", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text().count("<audio") == 3
    again = succeed("suggest", labels, "-n", 50, "-o", tmp_path / "more", "--except", out / "suggestions.csv")
    assert "heard already" in again
    more = pd.read_csv(tmp_path / "more" / "suggestions.csv")
    assert not set(more["uri"]) & set(table["uri"][:2])  # clips of 5 s: one window each


def test_a_store_is_scored_by_its_model(store: Path, bundle: Path, tmp_path: Path):
    said = succeed(
        "suggest", store, "--model", bundle, "--strategy", "top", "--label", "dog", "-n", 2, "-o", tmp_path / "out"
    )
    assert "dog 2" in said
    assert "needs scores" in refuse("suggest", store, "--strategy", "diverse", "-o", tmp_path / "other")


def test_recordings_that_are_gone_end_in_1(labels: Path, archive: Path, tmp_path: Path):
    copy = shutil.copytree(labels, tmp_path / "labels")
    run = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps(run | {"root": str(tmp_path / "gone")}))
    done = hubbub("suggest", copy, "-n", 2, "-o", tmp_path / "out")
    assert done.returncode == 1
    assert "not cut out: " in done.stderr
    assert "DecodeError" in done.stderr
