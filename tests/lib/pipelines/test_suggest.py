"""Suggestions: a table and clips for a person, of label tables and of stores; what was heard is not suggested again."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import soundfile

import hubbub
from hubbub.clips.table import read_table
from hubbub.config import parse_settings
from hubbub.errors import BundleError, ClipTableError, StorageError, UsageError
from hubbub.labels.events import EventRule
from hubbub.labels.reviews.journal import ReviewJournal
from hubbub.labels.schemas import label_schemas
from hubbub.labels.tables import LabelTables, create_labels, open_labels
from hubbub.pipelines.suggest import suggest
from tests.data.reviews import judge
from tests.embedding_stores import write_embeddings

RATE = 8000
LABELS = ["dog", "rain"]
NAMES = ("a.wav", "deep/b b.wav", "c\u202e.wav", "=cmd.wav")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four recordings of 8 s; a sample of each says when it is, in whole tenths of a second."""
    folder = tmp_path_factory.mktemp("archive")
    (folder / "deep").mkdir()
    for number, name in enumerate(NAMES):
        samples = (np.arange(8 * RATE) // 800 + 100 * number) / 32768
        soundfile.write(folder / name, np.stack([samples, samples], axis=1), RATE, subtype="PCM_16")
    return folder


def write_labels(
    path: Path, root: Path, *, order: int = 1, per_unit: int = 2, activation: str = "sigmoid"
) -> LabelTables:
    """Label tables of windows of 2 s every second; scores grow with the recording and time."""
    run = {
        "model_hash": "m" * 16,
        "settings_hash": "0" * 16,
        "settings": parse_settings({"windows": {"duration_s": 2.0}}, where="test").model_dump(mode="json"),
        "labels": LABELS,
        "hop_s": 1.0,
        "rules": {label: EventRule().to_dict() for label in LABELS},
        "root": str(root),
        "command": "hubbub label",
        "activation": activation,
    }
    tables = create_labels(path, run)
    schemas = label_schemas(pa.schema([]), 2)
    names = list(NAMES)[::order]
    for unit, begin in enumerate(range(0, len(names), per_unit)):
        files, windows = [], []
        for name in names[begin : begin + per_unit]:
            number = NAMES.index(name)
            file = {"uri": name, "clip_id": f"id {number}", "status": "ok", "attempts": 1, "duration_s": 8.0}
            file["group"] = f"place {number % 2}" if number else None
            files.append(file)
            for start in range(7):
                score = 0.1 * number + 0.05 * start + 0.1
                scores = [np.float16(score), np.float16(0.9 - score)]
                windows.append(file | {"start_s": float(start), "end_s": start + 2.0, "scores": scores})
        tables.write_unit(
            unit,
            files=pa.Table.from_pylist(files, schema=schemas.files),
            windows=pa.Table.from_pylist(windows[::order], schema=schemas.windows),
            events=pa.Table.from_pylist([], schema=schemas.events),
        )
    return tables


@pytest.fixture(scope="module")
def labels(archive: Path) -> LabelTables:
    return write_labels(archive.parent / "labels", archive)


def read(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "suggestions.csv", keep_default_na=False)


def test_a_person_gets_a_table_and_clips(labels: LabelTables, archive: Path, tmp_path: Path):
    found = hubbub.suggest(labels, tmp_path / "out", strategy="top", labels=["dog"], count=5)
    table = read(tmp_path / "out")
    assert table.columns[:6].tolist() == ["rank", "clip", "suggested", "score", "label", "verdict"]
    assert table["rank"].tolist() == [1, 2, 3, 4, 5]
    assert table["score"].tolist() == pytest.approx([0.7, 0.6, 0.6, 0.5, 0.5], abs=1e-3)
    assert table["start_s"].tolist()[0] == 6.0
    assert table["uri"].tolist()[0] == str(archive / "=cmd.wav")
    assert set(table["suggested"]) == {"dog"}
    assert set(table["label"]) == set(table["verdict"]) == set(table["problem"]) == {""}
    assert table["reason"].tolist()[0] == "dog scores 0.70"
    assert sorted(os.listdir(tmp_path / "out" / "clips")) == [Path(name).name for name in sorted(table["clip"])]
    for row in table.to_dict("records"):
        samples, rate = soundfile.read(tmp_path / "out" / row["clip"], dtype="int16")
        whole, _ = soundfile.read(row["uri"], dtype="int16")
        assert rate == RATE
        begin = round(row["start_s"] * RATE)
        assert samples.tolist() == whole[begin : begin + 2 * RATE, 0].tolist()
    groups = dict(zip(table["uri"], table["group"], strict=True))
    assert groups[str(archive / "=cmd.wav")] == "place 1"  # where the clip table named one, that
    again = read_table(tmp_path / "out" / "suggestions.parquet")
    assert again.rows.equals(found.rows)
    assert again.rows["labels"].to_pylist() == [[]] * 5
    assert again.rows["suggested"].to_pylist() == ["dog"] * 5
    assert again.rows["uri"].to_pylist() == table["uri"].tolist()


def test_names_of_clips_are_safe(labels: LabelTables, tmp_path: Path):
    hubbub.suggest(labels, tmp_path / "out", count=20)
    names = [path.name for path in (tmp_path / "out" / "clips").iterdir()]
    assert len(names) == 16  # of each recording four windows that do not overlap
    assert all(name.isascii() and " " not in name for name in names)
    assert sum("-cmd-" in name for name in names) == 4
    assert sum("-b_b-" in name for name in names) == 4


@pytest.mark.parametrize("strategy", ["uncertain", "diverse", "top", "balanced"])
def test_the_order_of_files_and_units_changes_nothing(
    labels: LabelTables, archive: Path, tmp_path: Path, strategy: str
):
    hubbub.suggest(labels, tmp_path / "one", strategy=strategy, count=6)
    other = write_labels(tmp_path / "labels", archive, order=-1, per_unit=1)
    hubbub.suggest(other, tmp_path / "two", strategy=strategy, count=6)
    one, two = tmp_path / "one", tmp_path / "two"
    assert (one / "suggestions.csv").read_bytes() == (two / "suggestions.csv").read_bytes()
    for name in os.listdir(one / "clips"):
        assert (one / "clips" / name).read_bytes() == (two / "clips" / name).read_bytes()


def test_a_balanced_table_says_how_many_windows_are_in_each_range(labels: LabelTables, tmp_path: Path):
    hubbub.suggest(labels, tmp_path / "out", strategy="balanced", count=6)
    table = read(tmp_path / "out")
    windows = labels.windows()
    scores = np.stack(windows["scores"].to_list()).astype(float)
    for row in table.to_dict("records"):
        low, high = (float(text) for text in row["range"].split(" to "))
        of_label = scores[:, LABELS.index(row["suggested"])]
        assert row["in_range"] == ((of_label >= low) & (of_label < high)).sum()


def test_a_recording_that_cannot_be_read_is_a_row_with_its_reason(archive: Path, tmp_path: Path):
    root = tmp_path / "root"
    (root / "deep").mkdir(parents=True)
    for name in NAMES[1:]:
        (root / name).write_bytes((archive / name).read_bytes())
    (root / NAMES[1]).write_bytes(b"RIFF no sound")
    made = suggest(write_labels(tmp_path / "labels", root), tmp_path / "out", count=8)
    table = read(tmp_path / "out")
    assert made.failed == 4
    bad = table[table["clip"] == ""]
    assert set(bad["uri"]) == {str(root / NAMES[0]), str(root / NAMES[1])}
    assert bad["problem"].str.startswith("DecodeError: ").all()
    assert len(os.listdir(tmp_path / "out" / "clips")) == 4


def test_what_was_heard_is_not_suggested_again(labels: LabelTables, archive: Path, tmp_path: Path):
    """Verdicts, whichever; windows that overlap them; a clip table; but not what nobody went through."""
    hubbub.suggest(labels, tmp_path / "one", count=8, strategy="top")
    path = tmp_path / "one" / "suggestions.csv"
    table = pd.read_csv(path, dtype=object)
    table.loc[:1, "verdict"] = ["right", "wrong"]
    table.loc[2, "label"] = "rain"
    table.to_csv(path, index=False)
    heard = {(row["uri"], float(row["start_s"])) for row in table.iloc[:3].to_dict("records")}
    again = hubbub.suggest(labels, tmp_path / "two", count=100, strategy="top", exclude=[path]).rows.to_pylist()
    for row in again:
        assert all(row["uri"] != uri or abs(row["start_s"] - start_s) >= 2 for uri, start_s in heard)
    unheard = {(row["uri"], float(row["start_s"])) for row in table.iloc[3:].to_dict("records")}
    assert unheard <= {(row["uri"], row["start_s"]) for row in again}
    clips = hubbub.index(archive / "deep")
    events = pd.DataFrame({"uri": ["a.wav"], "label": ["dog"], "onset_s": [0.0], "offset_s": [3.0]})
    third = hubbub.suggest(labels, tmp_path / "three", count=100, exclude=[clips, events]).rows.to_pylist()
    assert {row["uri"] for row in third} == {str(archive / name) for name in NAMES if "deep" not in name}
    assert min(row["start_s"] for row in third if row["uri"].endswith("a.wav")) >= 3.0


def test_what_was_reviewed_is_not_suggested_again(labels: LabelTables, archive: Path, tmp_path: Path):
    copy = open_labels(shutil.copytree(labels.path, tmp_path / "labels"))
    windows = hubbub.suggest(copy, tmp_path / "one", count=100, strategy="top").rows.to_pylist()
    uri, start_s = windows[0]["uri"], windows[0]["start_s"]
    name = os.path.relpath(uri, copy.root)  # reviews name recordings as the label tables do
    with ReviewJournal(copy.path, "ada") as journal:
        journal.add(judge(0, "unsure", uri=name, onset_s=start_s + 0.1, offset_s=start_s + 0.2))
        journal.add(judge(0, uri=windows[-1]["uri"], onset_s=0.0, offset_s=99.0))
        journal.undo(judge(0, uri="x", onset_s=0.0, offset_s=99.0).event)
    again = hubbub.suggest(copy, tmp_path / "two", count=100, strategy="top", exclude=[copy.path / "reviews"])
    found = {(row["uri"], row["start_s"]) for row in again.rows.to_pylist()}
    assert (uri, start_s) not in found
    assert any(one == windows[-1]["uri"] for one, _ in found)
    assert len(found) >= len(windows) - 3


def test_a_store_of_embeddings_has_windows_unlike_each_other(archive: Path, tmp_path: Path):
    """Rows of augmented sound, and those that do not count, are no windows of a recording."""
    vectors = np.eye(6)[[0, 0, 1, 2, 3, 4, 5, 5]]
    rows: list[dict[str, Any]] = [{"uri": NAMES[number % 4], "clip_id": f"{number % 4:032x}"} for number in range(8)]
    for number, row in enumerate(rows):
        row |= {"window": number // 4, "start_s": 4.0 * (number // 4), "duration_s": 8.0, "group": "market"}
    rows[2] |= {"status": "retired"}
    rows[3] |= {"variant": 1, "policy_rule": "x"}
    store = write_embeddings(tmp_path / "store", vectors, rows=rows, root=archive)
    found = hubbub.suggest(store, tmp_path / "out", strategy="diverse", count=20)
    assert len(found) == 4  # of eight: two do not count, and two equal others
    assert found.rows["group"].to_pylist() == ["market"] * 4
    assert read(tmp_path / "out")["suggested"].tolist() == [""] * 4
    reviewed = pd.DataFrame({"uri": ["=cmd.wav", NAMES[0]], "start_s": [4.0, 0.0], "end_s": [6.0, 2.0]})
    rest = hubbub.suggest(store, tmp_path / "rest", strategy="diverse", count=20, exclude=[reviewed])
    assert {(row["uri"], row["start_s"]) for row in rest.rows.to_pylist()} == {
        (str(archive / NAMES[0]), 4.0),
        (str(archive / NAMES[1]), 4.0),
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"strategy": "tops"}, "--strategy tops: did you mean 'top'?"),
        ({"count": 0}, "-n 0: expected 1 to 10,000 windows"),
        ({"labels": ["dogs"]}, "--label dogs: .* did you mean 'dog'?"),
        ({"strategy": "diverse", "labels": ["dog"]}, "--label goes with uncertain, top and balanced"),
        ({"model": "bundle"}, "which have scores; leave --model out"),
        ({"out": "s3://bucket/out"}, "expected a folder on this machine"),
    ],
)
def test_what_cannot_be_suggested_is_refused(labels: LabelTables, tmp_path: Path, arguments: dict[str, Any], said: str):
    out = arguments.pop("out", tmp_path / "out")
    with pytest.raises(UsageError, match=said):
        hubbub.suggest(labels, out, **arguments)
    assert os.listdir(tmp_path) == []


def test_features_alone_have_no_scores(labels: LabelTables, tmp_path: Path):
    store = write_embeddings(tmp_path / "store", np.eye(3))
    with pytest.raises(UsageError, match="needs scores, and .* holds features alone; .* or --strategy diverse"):
        hubbub.suggest(store, tmp_path / "out")
    with pytest.raises(BundleError, match="is no model bundle"):
        hubbub.suggest(store, tmp_path / "out", model=tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="--label cat: .*known are dog, rain"):
        hubbub.suggest(labels, tmp_path / "out", labels="cat")
    with pytest.raises(ClipTableError, match=r"none\.csv does not exist; expected a table"):
        hubbub.suggest(labels, tmp_path / "out", exclude=str(tmp_path / "none.csv"))
    with pytest.raises(UsageError, match="nope does not exist; expected label tables or a feature store"):
        hubbub.suggest(tmp_path / "nope", tmp_path / "out")
    with pytest.raises(UsageError, match="is neither label tables nor a feature store"):
        hubbub.suggest(tmp_path / "empty", tmp_path / "out")


def test_a_table_that_a_person_filled_in_is_never_overwritten(labels: LabelTables, tmp_path: Path):
    hubbub.suggest(labels, tmp_path / "out", count=2)
    with pytest.raises(UsageError, match=r"holds suggestions already; .* --except .*suggestions.csv"):
        hubbub.suggest(labels, tmp_path / "out", count=2)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    with pytest.raises(UsageError, match="holds something else"):
        hubbub.suggest(labels, tmp_path / "other", count=2)
    (tmp_path / "empty").mkdir()
    assert len(hubbub.suggest(labels, tmp_path / "empty", count=2)) == 2


def test_nothing_is_left_of_suggestions_that_broke_off(
    labels: LabelTables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def break_off(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hubbub.pipelines.suggest.write_table", break_off)
    with pytest.raises(KeyboardInterrupt):
        hubbub.suggest(labels, tmp_path / "out", count=2)
    assert os.listdir(tmp_path) == []


def test_a_full_disk_ends_the_run_and_leaves_nothing(labels: LabelTables, small_disk: Path):
    with pytest.raises(StorageError, match="free some space"):
        hubbub.suggest(labels, small_disk / "out", count=16)
    assert os.listdir(small_disk) == []


def test_when_all_was_heard_it_says_so(labels: LabelTables, tmp_path: Path):
    everything = pd.DataFrame({"uri": list(NAMES)})
    with pytest.raises(UsageError, match="no window to suggest: 28 windows, all of them heard already"):
        hubbub.suggest(labels, tmp_path / "out", exclude=[everything])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,label\na.wav,dog\n", "has no column 'uri'"),
        (
            "uri,start_s,end_s,suggested,label,verdict\na.wav,0,1,dog,,perhaps\n",
            "row 1 below the header has the verdict 'perhaps'",
        ),
        ("uri,start_s,end_s\na.wav,soon,later\n", "columns start_s and end_s hold seconds"),
    ],
)
def test_a_table_of_what_was_heard_that_cannot_be_read_is_refused(
    labels: LabelTables, tmp_path: Path, text: str, said: str
):
    (tmp_path / "heard.csv").write_text(text)
    with pytest.raises((ClipTableError, UsageError), match=said):
        hubbub.suggest(labels, tmp_path / "out", exclude=[tmp_path / "heard.csv"])
