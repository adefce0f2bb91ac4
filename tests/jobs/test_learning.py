"""`hubbub train`, `evaluate`, `label`, `events`, `export` and `report` as a user types them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import soundfile

from hubbub.labels.tables import open_labels
from hubbub.models.bundle import load_bundle
from hubbub.store.opening import open_store
from tests.jobs.command import hubbub, refuse, succeed
from tests.jobs.conftest import BAD_FILES

SERIAL = ("--cluster", "serial")


@pytest.mark.slow
def test_train_again_is_done_already_and_another_command_is_refused(store: Path, bundle: Path) -> None:
    assert "was done already" in succeed("train", store, "-o", bundle, "--epochs", 1, "--model", "seed-cnn")
    assert "Give another -o" in refuse("train", store, "-o", bundle, "--epochs", 2, "--model", "seed-cnn")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--model", "seedcnn"), "did you mean 'seed-cnn'?"),
        (("--test-fold", 9), "fold 9"),
        (("--epochs", 0), "train.epochs: expected at least 1 (given: 0)"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_training_asked_wrongly_is_refused(
    options: tuple[object, ...], message: str, store: Path, tmp_path: Path
) -> None:
    assert message in refuse("train", store, "-o", tmp_path / "bundle", *options)
    assert not (tmp_path / "bundle").exists()


def test_a_bundle_refuses_a_store_with_another_frontend(clips: Path, bundle: Path, tmp_path: Path) -> None:
    succeed("features", clips, "-o", tmp_path / "store", *SERIAL, "--set", "frontend.fmin_hz=50")
    said = refuse("evaluate", bundle, tmp_path / "store", "-o", tmp_path / "evaluation")
    assert load_bundle(bundle).settings_hash in said
    assert open_store(tmp_path / "store").settings_hash in said
    assert "frontend.fmin_hz: 0.0, not 50.0" in said
    assert not (tmp_path / "evaluation").exists()


def test_evaluate_writes_scores_and_a_report(esc10_mini: Path, tmp_path: Path) -> None:
    clips, store, bundle, out = (tmp_path / name for name in ("clips.parquet", "store", "bundle", "evaluation"))
    succeed("index", esc10_mini / "esc10.csv", "-o", clips)
    succeed("features", clips, "-o", store, *SERIAL, "--set", "frontend.n_mels=32")
    succeed("train", store, "-o", bundle, "--test-fold", 1, "--epochs", 1, "--model", "seed-cnn")
    said = succeed("evaluate", bundle, store, "-o", out)
    scores = json.loads((out / "evaluation.json").read_text())
    assert f"{scores['accuracy']:.1%}" in said
    assert (scores["fold"], scores["clips"], len(scores["labels"])) == (1, 20, 10)
    assert "<html" in (out / "report.html").read_text()


def test_label_goes_over_whole_recordings_of_any_length(archive: Path, bundle: Path, tmp_path: Path) -> None:
    long, rate = tmp_path / "long.wav", 44_100
    parts = [soundfile.read(path)[0] for path in sorted(archive.rglob("*.ogg"))]
    with soundfile.SoundFile(long, "w", rate, 1) as file:
        for part in parts:
            file.write(part)
    succeed("label", long, "--model", bundle, "-o", tmp_path / "labels", *SERIAL, "--hop", 1)
    tables = open_labels(tmp_path / "labels")
    row = tables.files().iloc[0]
    duration_s = sum(map(len, parts)) / rate
    assert abs(row["duration_s"] - duration_s) < 1e-3
    windows = tables.windows()
    assert len(windows) == row["windows"]
    assert windows["start_s"].to_list() == [float(second) for second in range(len(windows))]
    assert windows["end_s"].iloc[-1] == row["duration_s"]


def test_label_again_does_nothing_and_a_grown_archive_costs_only_its_new_files(
    archive: Path, bundle: Path, tmp_path: Path
) -> None:
    grown = shutil.copytree(archive, tmp_path / "archive")
    held_back = next((grown / "dog").iterdir()).rename(tmp_path / "held-back.ogg")
    words = ("label", grown, "--model", bundle, "-o", tmp_path / "labels", *SERIAL)
    assert " 5 clips, " in succeed(*words)
    assert "0 clips, 0 windows" in succeed(*words)
    held_back.rename(grown / "dog" / "new one #1 ü.ogg")
    assert " 1 clip, " in succeed(*words)
    assert "dog/new one #1 ü.ogg" in set(open_labels(tmp_path / "labels").files()["uri"])
    succeed("verify", tmp_path / "labels")


def test_bad_files_are_rows_of_the_files_table(bad_archive: Path, bundle: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels"
    said = refuse("label", bad_archive, "--model", bundle, "-o", labels, *SERIAL, code=1)
    assert "4 clips failed" in said
    files = open_labels(labels).files().set_index("uri")
    assert len(files) == 11
    for uri, reason in BAD_FILES.items():
        assert files["error"][uri].startswith(reason)
    assert (files["status"] == "ok").sum() == 7
    done = hubbub("label", bad_archive, "--model", bundle, "-o", labels, *SERIAL, "--retry-failed")
    assert "4 clips, 4 windows" in done.stdout
    assert open_labels(labels).files().set_index("uri")["attempts"]["cat/text.wav"] == 2


def test_labels_of_another_hop_or_model_are_refused(archive: Path, bundle: Path, labels: Path) -> None:
    said = refuse("label", archive, "--model", bundle, "-o", labels, *SERIAL, "--hop", 1, "--threshold", "0.3")
    assert "was made otherwise: hop_s: 1.0, not 2.5" in said
    said = refuse("label", archive, "--model", bundle, "-o", labels, *SERIAL, "--hop", 2.5, "--threshold", "0.4")
    assert "hubbub events" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--threshold", "doog=0.5"), "unknown label 'doog': did you mean 'dog'? (known: cat, dog)"),
        (("--threshold", "high"), "expected a score such as 0.6"),
        (("--threshold", "1.5"), "threshold 1.5 is no score"),
        (("--hop", "6"), "--hop 6: expected more than 0 and at most the model's window, 5 s"),
        (("--model", "nowhere"), "nowhere is no model bundle"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_labelling_asked_wrongly_is_refused(
    options: tuple[str, ...], message: str, archive: Path, bundle: Path, tmp_path: Path
) -> None:
    words = ["label", archive, "--model", bundle, "-o", tmp_path / "labels", *SERIAL, *options]
    assert message in refuse(*words)
    assert not (tmp_path / "labels").exists()


def test_new_thresholds_make_new_events_without_the_model(labels: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(labels, tmp_path / "labels")
    before = open_labels(copy)
    said = succeed("events", copy, "--threshold", "0.01", "--threshold", "dog=0.99", "--min-duration", 1)
    after = open_labels(copy)
    assert "cat" in said
    assert after.rules["cat"].threshold == 0.01
    assert after.rules["dog"].threshold == 0.99
    assert after.rules["dog"].min_duration_s == 1
    assert (after.events()["label"] == "cat").sum() == len(after.files())  # every file, from end to end
    pd.testing.assert_frame_equal(before.windows(), after.windows())
    succeed("events", copy, "--threshold", "0.3", "--min-duration", 0)
    pd.testing.assert_frame_equal(open_labels(copy).events(), before.events())
    succeed("verify", copy)


def test_events_are_exported_and_reported(labels: Path, tmp_path: Path) -> None:
    for format in ("csv", "audacity", "raven"):
        succeed("export", labels, "--format", format, "-o", tmp_path / format)
        assert any((tmp_path / format).rglob("*"))
    assert "no export format is called 'ravn': did you mean 'raven'?" in refuse(
        "export", labels, "--format", "ravn", "-o", tmp_path / "x"
    )
    succeed("report", labels, "-o", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert page.count("<audio") == 6
    assert "holds neither an evaluation nor label tables" in refuse("report", tmp_path, "-o", tmp_path / "x.html")


@pytest.mark.slow
def test_the_dask_engine_labels_as_the_serial_one(archive: Path, bundle: Path, labels: Path, tmp_path: Path) -> None:
    words = ("--model", bundle, "-o", tmp_path / "labels", "--hop", 2.5, "--threshold", "0.3", "--workers", 2)
    succeed("label", archive, *words)
    ours, theirs = open_labels(tmp_path / "labels"), open_labels(labels)
    for table in ("files", "windows", "events"):
        pd.testing.assert_frame_equal(getattr(ours, table)(), getattr(theirs, table)())
