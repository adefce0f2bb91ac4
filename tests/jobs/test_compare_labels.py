"""`hubbub compare` of label tables as a user types it: what changed, where it is written, what is refused."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

import hubbub
from hubbub.errors import LabelsError
from hubbub.io.paths import parse_path
from hubbub.labels.tables import open_labels
from tests.jobs.command import refuse, succeed
from tests.jobs.test_addresses import copy_folder
from tests.lib.report.test_archive_page import make_archive
from tests.servers.server import Server


@pytest.fixture
def tables(tmp_path: Path) -> tuple[Path, Path]:
    """Label tables, and a copy under another root in which an event is later, and others have another label."""
    first = make_archive(tmp_path / "city", ["dog", "<script>"], recordings=6, failed=1)
    second = tmp_path / "second"
    shutil.copytree(first.path, second)
    run = json.loads((second / "run.json").read_text())
    (second / "run.json").write_text(json.dumps(run | {"root": "/elsewhere"}))
    copy = open_labels(second)
    events = copy.read_part("events", 0).to_pandas()
    events.loc[0, "onset_s"] += 0.25
    events.loc[events["label"] == "<script>", "label"] = "rain"
    schema = copy.read_part("events", 0).schema
    part = type(copy.read_part("events", 0)).from_pandas(events, schema=schema, preserve_index=False)
    copy.replace_events([(0, part)], copy.rules)
    return first.path, second


def test_what_changed_is_told_and_written(tables: tuple[Path, Path], tmp_path: Path):
    wide = os.environ | {"COLUMNS": "300"}
    said = succeed("compare", *tables, "-o", tmp_path / "out", "--samples", 2, env=wide)
    for name, path in zip(("first", "second"), tables, strict=True):
        assert re.search(rf"{name}\W+{re.escape(str(path))}", said)
    for words in (
        "recordings in both",
        "4 vanished, 0 appeared",
        "0 in both, 0 vanished, 4 appeared",
        "onset +0.062 s",
    ):
        assert words in said, said
    assert said.count(": rain, score") == 2
    appeared, vanished, changed = (
        pd.read_csv(tmp_path / "out" / f"{name}.csv") for name in ("appeared", "vanished", "changed")
    )
    assert set(appeared["label"]) == {"rain"}
    assert set(vanished["label"]) == {"<script>"}
    assert len(appeared) == len(vanished) == 4
    assert {"city", "onset_at", "mean"} <= set(appeared.columns)
    (row,) = changed.to_dict("records")
    assert row["onset_s_second"] - row["onset_s_first"] == pytest.approx(0.25)


def test_from_python_changes_are_frames(tables: tuple[Path, Path]):
    found = hubbub.compare(open_labels(tables[0]), tables[1])
    assert found.changes.recordings == 6
    assert found.changes.by_label["label"].tolist() == ["<script>", "rain", "dog"]
    assert found.written == ()
    same = hubbub.compare(tables[0], tables[0])
    assert len(same.changes.changed) == len(same.changes.appeared) == len(same.changes.vanished) == 0


def test_tables_of_other_recordings_are_refused(tables: tuple[Path, Path], tmp_path: Path):
    other = open_labels(tables[1])
    files = other.read_part("files", 0).to_pandas()
    files["uri"] = "other/" + files["uri"]
    moved = type(other.read_part("files", 0)).from_pandas(files, schema=other.read_part("files", 0).schema)
    other.write_unit(0, files=moved, windows=other.read_part("windows", 0), events=other.read_part("events", 0))
    assert "have no recording in common: the one holds '0.wav', the other 'other/0.wav'" in refuse("compare", *tables)
    with pytest.raises(LabelsError, match="no recording in common"):
        hubbub.compare(*tables)


def test_a_file_is_no_folder_to_write_to(tables: tuple[Path, Path], tmp_path: Path):
    (tmp_path / "changes").write_text("mine")
    said = " ".join(refuse("compare", *tables, "-o", tmp_path / "changes", code=1).split())
    assert "a file lies where a folder is expected; give another folder" in said
    assert (tmp_path / "changes").read_text() == "mine"


def test_a_mixture_is_refused(tables: tuple[Path, Path], tmp_path: Path):
    evaluation = tmp_path / "evaluation"
    evaluation.mkdir()
    (evaluation / "evaluation.json").write_text("{}")
    for pair in ((tables[0], evaluation), (evaluation, tables[0])):
        assert f"{tables[0]} holds label tables and {evaluation} does not; give two of a kind" in refuse(
            "compare", *pair
        )
    assert "-o out is for label tables" in refuse("compare", evaluation, evaluation, "-o", "out")


def test_no_events_at_all_are_no_change(tmp_path: Path):
    tables = make_archive(tmp_path, ["dog"], recordings=2, events_a_label=0)
    said = succeed("compare", tables.path, tables.path)
    assert "by label" not in said
    assert "appeared, such as" not in said


def test_tables_and_recordings_in_a_bucket(tables: tuple[Path, Path], tmp_path: Path, s3: str, moto_server: Server):
    copy_folder(moto_server, tables[1], f"{s3}/labels")
    copy_folder(moto_server, open_labels(tables[0]).root, f"{s3}/moved")
    said = succeed("compare", tables[0], f"{s3}/labels", "-o", f"{s3}/changes")
    assert "0 in both, 0 vanished, 4 appeared" in said
    appeared = pd.read_csv(io.BytesIO(parse_path(f"{s3}/changes/appeared.csv").read_bytes()))
    assert len(appeared) == 4
    page = tmp_path / "page.html"
    succeed("report", f"{s3}/labels", "-o", page, "--root", f"{s3}/moved", "--samples", 1)
    text = page.read_text()
    assert text.count('class="recording sample"') == 2
    assert "cannot be shown" not in text
    shown = open_labels(f"{s3}/labels")
    assert "1 unit" in shown._repr_html_()
