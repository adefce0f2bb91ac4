"""Label tables: units come back whole, and the newest word on each file counts."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hubbub.clips.table import CLIP_SCHEMA
from hubbub.config import Settings
from hubbub.errors import LabelsError, StorageError, StoreError
from hubbub.labels.events import EventRule
from hubbub.labels.run_check import require_run
from hubbub.labels.schemas import label_schemas
from hubbub.labels.tables import LabelTables, create_labels, is_labels, open_labels
from hubbub.store.parts import part_path

LABELS = ["dog", "rain"]
RULES = {label: EventRule() for label in LABELS}
RUN: dict[str, Any] = {
    "model_hash": "m" * 16,
    "settings_hash": Settings().hash,
    "settings": Settings().model_dump(mode="json"),
    "labels": LABELS,
    "hop_s": 1.0,
    "rules": {label: vars(rule) for label, rule in RULES.items()},
    "root": "/sounds",
    "command": "hubbub label",
}


@pytest.fixture
def tables(tmp_path: Path) -> LabelTables:
    return create_labels(tmp_path / "labels", dict(RUN))


def parts(*files: dict[str, Any], carried: str | None = None, label: str = "dog") -> dict[str, pa.Table]:
    """A unit's parts: each ok file has two windows and one event."""
    schemas = label_schemas(pa.schema([*CLIP_SCHEMA, *([(carried, pa.string())] if carried else [])]), 2)
    rows = [{"clip_id": f"id {file['uri']}", "status": "ok", "attempts": 1, "version": "1", **file} for file in files]
    ok = [row for row in rows if row["status"] == "ok"]
    scores = [np.float16(0.25), np.float16(0.75)]
    windows = [row | {"start_s": start, "end_s": start + 5, "scores": scores} for row in ok for start in (0.0, 1.0)]
    event = {"label": label, "onset_s": 1.0, "offset_s": 2.5, "peak": 0.75, "mean": 0.5}
    return {
        "files": pa.Table.from_pylist([row | {"windows": 2} for row in rows], schema=schemas.files),
        "windows": pa.Table.from_pylist(windows, schema=schemas.windows),
        "events": pa.Table.from_pylist([row | event for row in ok], schema=schemas.events),
    }


def test_units_come_back(tables: LabelTables):
    tables.write_unit(0, **parts({"uri": "b.wav", "duration_s": 6.0}, {"uri": "a.wav"}))
    tables.write_unit(1, **parts({"uri": "bad.wav", "status": "failed", "error": "DecodeError: no"}))
    again = open_labels(tables.path)
    assert again == tables
    assert (again.committed(), again.labels, again.root) == ([0, 1], LABELS, Path("/sounds"))
    assert again.settings == Settings()
    assert again.rules == RULES
    assert again.files()[["uri", "status"]].to_numpy().tolist() == [
        ["b.wav", "ok"],
        ["a.wav", "ok"],
        ["bad.wav", "failed"],
    ]
    assert again.windows()["uri"].tolist() == ["b.wav", "b.wav", "a.wav", "a.wav"]
    assert again.windows("a.wav")["start_s"].tolist() == [0.0, 1.0]
    assert np.stack(again.windows()["scores"].tolist()).tolist() == [[0.25, 0.75]] * 4
    assert again.events()["uri"].tolist() == ["a.wav", "b.wav"]
    assert again.events("b.wav")["offset_s"].tolist() == [2.5]
    assert again.resolve_uri("a.wav") == Path("/sounds/a.wav")


def test_empty_tables_have_their_columns_and_types(tables: LabelTables):
    assert (len(tables.files()), len(tables.windows()), len(tables.events())) == (0, 0, 0)
    tables.write_unit(0, **parts({"uri": "bad.wav", "status": "failed", "error": "x"}))
    assert len(tables.events()) == len(tables.windows()) == 0
    events = tables.events()
    assert events.dtypes[["onset_s", "offset_s", "peak"]].astype(str).tolist() == ["float64", "float64", "float32"]
    assert "datetime64" in str(events["onset_at"].dtype)


def test_a_unit_without_its_files_part_does_not_exist(tables: LabelTables):
    tables.write_unit(0, **parts({"uri": "a.wav"}))
    tables.write_unit(1, **parts({"uri": "b.wav"}))
    part_path(tables.path / "files", 0).unlink()
    assert tables.committed() == [1]
    assert set(tables.windows()["uri"]) == set(tables.events()["uri"]) == {"b.wav"}


def test_of_several_attempts_the_last_counts(tables: LabelTables):
    failed = {"uri": "a.wav", "status": "failed", "error": "DecodeError: away"}
    tables.write_unit(0, **parts(failed))
    tables.write_unit(1, **parts({"uri": "a.wav", "attempts": 2}))
    (row,) = tables.files().to_dict("records")
    assert (row["status"], row["attempts"]) == ("ok", 2)
    assert len(tables.events()) == 1
    tables.write_unit(2, **parts({"uri": "a.wav", "attempts": 3, "version": "2"}, label="rain"))
    assert tables.events()["label"].tolist() == ["rain"]
    assert len(tables.windows()) == 2


def test_a_retry_that_fills_a_hole_still_counts(tables: LabelTables):
    """A killed run leaves hole 0 and a failed file in unit 1; the retry is done in the hole."""
    tables.write_unit(1, **parts({"uri": "a.wav", "status": "failed", "error": "DecodeError: away"}))
    tables.write_unit(0, **parts({"uri": "a.wav", "attempts": 2}))
    assert tables.files()["status"].tolist() == ["ok"]
    assert len(tables.events()) == 1


def test_carried_columns_that_come_and_go(tables: LabelTables):
    tables.write_unit(0, **parts({"uri": "a.wav"}))
    tables.write_unit(1, **parts({"uri": "b.wav", "city": "Oslo"}, carried="city"))
    assert tables.events()["city"].tolist()[-1] == "Oslo"
    assert tables.event_schema(tables.read_part("files", 1).schema).names[-1] == "city"


def new_events(tables: LabelTables) -> list[tuple[int, pa.Table]]:
    return [(unit, parts({"uri": f"{unit}.wav"}, label="rain")["events"]) for unit in tables.committed()]


NEW_RULES = {label: EventRule(threshold=0.7) for label in LABELS}


def test_events_are_replaced(tables: LabelTables):
    for unit in (0, 1):
        tables.write_unit(unit, **parts({"uri": f"{unit}.wav"}))
    changed = tables.replace_events(new_events(tables), NEW_RULES)
    assert open_labels(tables.path) == changed
    assert changed.rules == NEW_RULES
    assert changed.events()["label"].tolist() == ["rain", "rain"]
    assert {path.name for path in tables.path.iterdir()} == {"run.json", "files", "windows", "events"}


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def killed(*_args: Any, **_kwargs: Any) -> None:
    raise Killed


@pytest.mark.parametrize("moment", ["while making", "before the renames", "between the renames", "before run.json"])
def test_a_kill_while_events_are_replaced_is_seen_and_mended(
    tables: LabelTables, monkeypatch: pytest.MonkeyPatch, moment: str
):
    for unit in (0, 1):
        tables.write_unit(unit, **parts({"uri": f"{unit}.wav"}))
    events, rename, renames = new_events(tables), os.rename, []

    def some_renames(source: Path, target: Path) -> None:
        if len(renames) == {"before the renames": 0, "between the renames": 1}.get(moment, 9):
            raise Killed
        renames.append(source)
        rename(source, target)

    def made():
        yield events[0]
        if moment == "while making":
            raise Killed
        yield events[1]

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", some_renames)
        if moment == "before run.json":
            patch.setattr("hubbub.labels.tables.write_json", killed)
        with pytest.raises(Killed):
            tables.replace_events(made(), NEW_RULES)
    opened = open_labels(tables.path)
    if moment in ("while making", "before the renames"):
        assert opened.events()["label"].tolist() == ["dog", "dog"], "the old ones, all of them"
    else:
        with pytest.raises(LabelsError, match=r"hubbub events"):
            opened.events()
    mended = opened.replace_events(new_events(opened), NEW_RULES)
    assert open_labels(tables.path).events()["label"].tolist() == ["rain", "rain"]
    assert {path.name for path in mended.path.iterdir()} == {"run.json", "files", "windows", "events"}


def test_parts_of_another_run_are_refused(tables: LabelTables, tmp_path: Path):
    other = create_labels(tmp_path / "other", RUN | {"model_hash": "n" * 16})
    other.write_unit(0, **parts({"uri": "a.wav"}))
    shutil.copytree(other.path / "files", tables.path / "files", dirs_exist_ok=True)
    with pytest.raises(LabelsError, match="part 00000000 belongs to another run"):
        tables.files()


@pytest.mark.parametrize("folder", ["files", "windows", "events"])
def test_torn_and_missing_parts_are_named(tables: LabelTables, folder: str):
    tables.write_unit(0, **parts({"uri": "a.wav"}))
    path = part_path(tables.path / folder, 0)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(LabelsError, match=f"{folder}/00000000.parquet cannot be read"):
        tables.read_part(folder, 0)
    if folder != "files":
        path.unlink()
        with pytest.raises(LabelsError, match="cannot be read"):
            tables.read_part(folder, 0)


def test_what_is_no_label_tables(tmp_path: Path, tables: LabelTables):
    with pytest.raises(LabelsError, match="holds no label tables; make them with: hubbub label"):
        open_labels(tmp_path)
    assert not is_labels(tmp_path)
    assert is_labels(tables.path)
    run = json.loads((tables.path / "run.json").read_text())
    for text, message in [
        (json.dumps(run | {"format": "hubbub-labels/9"}), "has the format hubbub-labels/9; expected"),
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
    ]:
        (tables.path / "run.json").write_text(text)
        with pytest.raises(LabelsError, match=message):
            open_labels(tables.path)


def test_places_where_tables_cannot_be(tmp_path: Path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    with pytest.raises(StoreError, match=r"holds something else \(cat\.jpg\); give a new folder for the labels"):
        create_labels(tmp_path / "photos", dict(RUN))
    with pytest.raises(StorageError, match="cannot write"):
        create_labels(Path("/proc/hubbub"), dict(RUN))


def test_a_creation_that_was_killed_can_be_gone_on_with(tmp_path: Path):
    for folder in ("files", "windows"):
        (tmp_path / "labels" / folder).mkdir(parents=True)
    create_labels(tmp_path / "labels", dict(RUN))
    assert open_labels(tmp_path / "labels").committed() == []


def test_another_run_is_refused_with_what_differs(tables: LabelTables):
    require_run(tables, {name: RUN[name] for name in ("model_hash", "hop_s", "rules", "root")})
    with pytest.raises(LabelsError, match=r"hop_s: 2\.0, not 1\.0\. Give another -o; .*hubbub events"):
        require_run(tables, {"hop_s": 2.0})
    with pytest.raises(LabelsError, match=r"rules\.dog\.threshold: 0\.7, not 0\.5"):
        require_run(tables, {"rules": {label: vars(rule) for label, rule in NEW_RULES.items()}})
