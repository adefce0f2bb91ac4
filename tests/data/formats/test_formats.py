"""Stores, label tables, bundles and clip tables of earlier versions open, grow and verify."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hubbub
from hubbub.clips.table import read_table
from hubbub.labels.tables import open_labels
from hubbub.models.bundle import load_bundle
from tests.data.formats.make_formats import LABELS, RATE_HZ, ROOT, touch, write_archive
from tests.jobs.command import hubbub as command
from tests.jobs.command import succeed

HERE = Path(__file__).resolve().parent
SCORE_TOLERANCE = 2e-3
"""Scores of one model on two processors; stored scores are float16."""


@pytest.fixture(scope="module", params=sorted(path.name for path in HERE.glob("v*")))
def written(request: pytest.FixtureRequest) -> Path:
    """Return a folder that an earlier version wrote."""
    return HERE / request.param


@pytest.fixture(scope="module")
def expected(written: Path) -> dict[str, Any]:
    """Return what its writer found in it."""
    return json.loads((written / "expected.json").read_text())


@pytest.fixture
def copied(written: Path, tmp_path: Path) -> Path:
    """Return a copy that may be written to, with the archive it was made from beside it, one clip the richer."""
    shutil.copytree(written, tmp_path / "old")
    write_archive(tmp_path / "archive")
    shutil.copy(tmp_path / "archive" / "hum" / "hum-0.wav", tmp_path / "archive" / "hum" / "new.wav")
    touch(tmp_path / "archive")
    run = tmp_path / "old" / "labels" / "run.json"  # label tables go on where their archive lies: here
    run.write_text(run.read_text().replace(str(ROOT), str(tmp_path / "archive")))
    return tmp_path


def test_a_clip_table_is_read(written: Path) -> None:
    table = read_table(written / "clips.parquet")
    labels = table.rows["labels"].to_pylist()
    assert len(table) == 17
    assert sorted({label for some in labels for label in some}) == list(LABELS)
    assert set(table.rows["sample_rate"].to_pylist()) == {RATE_HZ, None}


def test_a_store_opens_with_the_values_it_was_written_with(written: Path, expected: dict[str, Any]) -> None:
    store = hubbub.open_store(written / "store")
    rows = store.rows()
    assert len(rows) == expected["rows"]
    assert store.settings.hash == expected["settings_hash"]
    values = store.read_rows(rows["row"].to_numpy())
    assert float(values.astype(np.float64).sum()) == expected["values_sum"]


def test_a_bundle_scores_as_it_did(written: Path, expected: dict[str, Any]) -> None:
    store, bundle = hubbub.open_store(written / "store"), load_bundle(written / "bundle")
    assert bundle.model_hash == expected["model_hash"]
    scores = bundle.predict(store.read_rows(store.rows()["row"].to_numpy()[:4]))
    np.testing.assert_allclose(scores, expected["scores"], atol=SCORE_TOLERANCE)


def test_label_tables_open_with_the_events_they_were_written_with(written: Path, expected: dict[str, Any]) -> None:
    labels = open_labels(written / "labels")
    assert (len(labels.files()), len(labels.windows())) == (expected["files"], expected["windows"])
    found = labels.events()[["uri", "label", "onset_s", "offset_s"]]
    pd.testing.assert_frame_equal(found.reset_index(drop=True), pd.DataFrame(expected["events"]))


def test_a_store_grows_by_its_new_clip_alone_and_verifies(copied: Path, expected: dict[str, Any]) -> None:
    clips, store = copied / "clips.parquet", copied / "old" / "store"
    succeed("index", copied / "archive", "-o", clips)
    done = command("features", clips, "-o", store, "--cluster", "serial")
    assert done.returncode == 1, done.stderr  # the clip that failed before is left alone, and still told
    rows = hubbub.open_store(store).rows()
    assert len(rows) == expected["rows"] + 2  # two windows of half a second
    assert set(rows["uri"][-2:]) == {"hum/new.wav"}
    assert rows["attempts"].max() == 1
    succeed("verify", store)


def test_label_tables_grow_by_the_new_file_alone_and_verify(copied: Path, expected: dict[str, Any]) -> None:
    labels = copied / "old" / "labels"
    before = {path.name: path.stat().st_mtime_ns for path in (labels / "windows").iterdir()}
    done = command(
        "label", copied / "archive", "--model", copied / "old" / "bundle", "-o", labels, "--cluster", "serial"
    )
    assert done.returncode == 1, done.stderr
    assert len(open_labels(labels).files()) == expected["files"] + 1
    after = {path.name: path.stat().st_mtime_ns for path in (labels / "windows").iterdir()}
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 1
    succeed("verify", labels)


def test_events_of_old_label_tables_are_made_anew(copied: Path, expected: dict[str, Any]) -> None:
    labels = copied / "old" / "labels"
    succeed("events", labels, "--threshold", "0.99")
    assert len(open_labels(labels).events()) == 0
    succeed("events", labels, "--threshold", "0.99", "--threshold", "hum=0.12")
    found = open_labels(labels).events()[["uri", "label", "onset_s", "offset_s"]]
    pd.testing.assert_frame_equal(found.reset_index(drop=True), pd.DataFrame(expected["events"]))


def test_an_old_bundle_is_evaluated_on_an_old_store(copied: Path) -> None:
    succeed("evaluate", copied / "old" / "bundle", copied / "old" / "store", "-o", copied / "report")
    assert "accuracy" in json.loads((copied / "report" / "evaluation.json").read_text())
