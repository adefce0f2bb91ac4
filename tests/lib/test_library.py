"""The library: a notebook's lines, the same results as the command line's, silence, and clear errors."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hubbub
from hubbub.errors import BundleError, ClipTableError, LabelsError, SettingsError, StoreError, UsageError
from tests.jobs.command import succeed

SETTINGS = {"frontend.n_mels": 32, "windows.duration_s": 1.0}
SCORE_TOLERANCE = 2e-3
"""Scores are stored as float16; weights of one seed are equal."""

LABELS = ("dog", "rain", "rooster")


@pytest.fixture(scope="module")
def recordings(esc10_mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return `esc10.csv` and `audio/` with three classes of five folds."""
    folder = tmp_path_factory.mktemp("recordings")
    table = pd.read_csv(esc10_mini / "esc10.csv")
    chosen = table[table["category"].isin(LABELS)]
    (folder / "audio").mkdir()
    for name in chosen["filename"]:
        shutil.copy(esc10_mini / "audio" / name, folder / "audio")
    chosen.to_csv(folder / "esc10.csv", index=False)
    return folder


def notebook(recordings: Path, out: Path, **cluster: Any) -> dict[str, Any]:
    """Run the lines of a notebook; `cluster` is ``client=`` or ``cluster=``."""
    clips = hubbub.index(recordings / "esc10.csv", out=out / "clips.parquet")
    store = hubbub.build_features(clips, out / "store", settings=SETTINGS, **cluster)
    bundle = hubbub.train(store, out / "bundle", test_fold=1, model="seed-cnn", epochs=1)
    scores = hubbub.evaluate(bundle, store)
    labels = hubbub.label(recordings / "audio", bundle, out / "labels", thresholds=0.3, **cluster)
    return {"clips": clips, "store": store, "bundle": bundle, "scores": scores, "labels": labels}


def commands(recordings: Path, out: Path) -> dict[str, Any]:
    """Run the same by the command line."""
    settings = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]
    serial = ("--cluster", "serial")
    succeed("index", recordings / "esc10.csv", "-o", out / "clips.parquet")
    succeed("features", out / "clips.parquet", "-o", out / "store", *settings, *serial)
    succeed("train", out / "store", "-o", out / "bundle", "--test-fold", 1, "--model", "seed-cnn", "--epochs", 1)
    succeed("evaluate", out / "bundle", out / "store", "-o", out / "evaluation")
    model = ("--model", out / "bundle")
    succeed("label", recordings / "audio", *model, "-o", out / "labels", "--threshold", 0.3, *serial)
    return {
        "clips": hubbub.read_clips(out / "clips.parquet"),
        "store": hubbub.open_store(out / "store"),
        "bundle": hubbub.open_bundle(out / "bundle"),
        "labels": hubbub.open_labels(out / "labels"),
    }


@pytest.fixture(scope="module")
def made(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what a notebook with a Dask client of its own makes, and the client's state afterwards."""
    from distributed import Client, LocalCluster

    out = tmp_path_factory.mktemp("notebook")
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        found = notebook(recordings, out, client=client)
        return found | {"status": client.status, "after": client.submit(sum, [1, 2]).result(timeout=30), "out": out}


def test_a_notebook_with_a_client_of_its_own_gets_events(made: dict[str, Any]) -> None:
    events = made["labels"].events()
    assert isinstance(events, pd.DataFrame)
    assert {"uri", "label", "onset_s", "offset_s"} <= set(events.columns)
    assert len(made["labels"].files()) == 30
    assert len(made["store"].rows()) == 30
    assert made["scores"].predictions["true"].value_counts().to_dict() == dict.fromkeys(LABELS, 2)
    assert made["scores"].confusion.shape == (3, 3)
    assert 0 <= made["scores"].accuracy <= 1


def test_the_client_is_left_open_and_as_it_was(made: dict[str, Any]) -> None:
    assert (made["status"], made["after"]) == ("running", 3)


def test_both_faces_make_the_same(made: dict[str, Any], recordings: Path, tmp_path: Path) -> None:
    typed = commands(recordings, tmp_path)
    assert typed["clips"].rows.equals(made["clips"].rows)
    ours, theirs = (one["store"].rows().sort_values("clip_id").reset_index(drop=True) for one in (made, typed))
    pd.testing.assert_frame_equal(ours.drop(columns="row"), theirs.drop(columns="row"))
    values = [one["store"].read_rows(rows["row"].to_numpy()) for one, rows in ((made, ours), (typed, theirs))]
    np.testing.assert_array_equal(*values)
    assert typed["bundle"].settings_hash == made["bundle"].settings_hash
    assert typed["bundle"].description["split"] == made["bundle"].description["split"]
    order = ["uri", "start_s"]
    windows = [one["labels"].windows().sort_values(order).reset_index(drop=True) for one in (made, typed)]
    pd.testing.assert_frame_equal(windows[0][order], windows[1][order])
    scores = [np.stack(frame["scores"]).astype(float) for frame in windows]
    np.testing.assert_allclose(*scores, atol=SCORE_TOLERANCE)


def test_every_object_says_what_it_is(made: dict[str, Any]) -> None:
    out = made["out"]
    assert repr(made["clips"]) == f"<ClipTable '{out / 'clips.parquet'}': 30 clips, 3 labels (dog, rain, rooster)>"
    settings = made["store"].settings.hash
    assert repr(made["store"]) == (
        f"<FeatureStore '{out / 'store'}': rows of 44 frames x 32 bands, float16, log-mel, settings {settings}>"
    )
    assert repr(made["bundle"]) == (
        f"<Bundle '{out / 'bundle'}': seed-cnn, 3 labels (dog, rain, rooster), settings {settings}>"
    )
    assert repr(made["labels"]) == f"<LabelTables '{out / 'labels'}': 3 labels (dog, rain, rooster), hop 0.2 s>"
    assert repr(made["scores"]).startswith("<Evaluation: accuracy ")
    assert repr(made["scores"]).endswith(", 6 clips, fold 1>")


def test_an_evaluation_is_written_where_it_is_wanted(made: dict[str, Any], tmp_path: Path) -> None:
    scores = hubbub.evaluate(made["bundle"], made["store"], tmp_path / "evaluation")
    assert scores.report == tmp_path / "evaluation" / "report.html"
    assert scores.report.exists()
    page = hubbub.write_report([scores, made["labels"]], tmp_path / "page.html")
    assert "<!DOCTYPE html>" in Path(page).read_text()


def test_events_are_found_again_and_exported(made: dict[str, Any], tmp_path: Path) -> None:
    shutil.copytree(made["out"] / "labels", tmp_path / "labels")
    labels = hubbub.find_events(tmp_path / "labels", thresholds=0.999)
    assert len(labels.events()) == 0
    labels = hubbub.find_events(labels, thresholds=dict.fromkeys(LABELS, 0.01))
    assert len(labels.events()) > 0
    assert hubbub.export_events(labels, tmp_path / "csv", format="csv")


def test_a_store_is_summarised_verified_and_compacted(made: dict[str, Any], tmp_path: Path) -> None:
    shutil.copytree(made["out"] / "store", tmp_path / "store")
    assert hubbub.summarise_store(tmp_path / "store").clips_ok == 30
    assert hubbub.verify(tmp_path / "store", cluster="serial").is_ok
    assert len(hubbub.compact(tmp_path / "store", cluster="serial").rows()) == 30
    shard = next(
        path for path in (tmp_path / "store" / "features.zarr" / "features" / "c").rglob("*") if path.is_file()
    )
    shard.write_bytes(shard.read_bytes()[:-40])
    assert not hubbub.verify(tmp_path / "store", cluster="serial").is_ok


def test_a_run_without_progress_prints_nothing(recordings: Path, tmp_path: Path) -> None:
    script = f"""
import hubbub
clips = hubbub.index({str(recordings / "esc10.csv")!r}, out={str(tmp_path / "clips.parquet")!r})
store = hubbub.build_features(clips, {str(tmp_path / "store")!r}, settings={SETTINGS!r}, cluster="serial")
hubbub.summarise_store(store), hubbub.verify(store, cluster="serial")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_progress_is_printed_where_it_is_wanted(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = hubbub.index(recordings / "esc10.csv", progress=True)
    hubbub.build_features(clips, tmp_path / "store", settings=SETTINGS, cluster="serial", progress=True)
    printed = capsys.readouterr()
    assert "features: done" in printed.out
    assert "30 of 30 clips" in printed.err


def test_importing_hubbub_imports_nothing_else() -> None:
    heavy = (
        "numpy",
        "pandas",
        "pyarrow",
        "dask",
        "distributed",
        "keras",
        "tensorflow",
        "librosa",
        "zarr",
        "typer",
        "rich",
    )
    script = f"import sys, hubbub; dir(hubbub); print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there_and_described() -> None:
    assert set(hubbub.__all__) <= set(dir(hubbub))
    for name in set(hubbub.__all__) - {"__version__", "errors"}:
        assert getattr(hubbub, name).__doc__, name
    assert hubbub.errors.UsageError is UsageError
    with pytest.raises(AttributeError, match="no attribute 'fit'"):
        _ = hubbub.fit


class _NoClient:
    """Something that is no client."""

    def __repr__(self) -> str:
        return "<a cluster>"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda m: hubbub.build_features(m["store"], "x"),
            TypeError,
            r"clips is FeatureStore .*; expected a path, a URL",
        ),
        (lambda m: hubbub.build_features(3, "x"), TypeError, "clips is int 3; expected a path, a URL or the ClipTable"),
        (lambda m: hubbub.build_features(m["clips"], 3), TypeError, "out is int 3; expected a path or a URL"),
        (lambda m: hubbub.train(m["bundle"], "x"), TypeError, "store is Bundle .*the FeatureStore that hubbub"),
        (
            lambda m: hubbub.evaluate(m["store"], m["store"]),
            TypeError,
            "bundle is FeatureStore .*the Bundle that",
        ),
        (lambda m: hubbub.label(m["bundle"], m["bundle"], "x"), TypeError, "source is Bundle .*; expected a path"),
        (lambda m: hubbub.open_labels(m["bundle"]), TypeError, "labels is Bundle .*the LabelTables that hubbub.label"),
        (lambda m: hubbub.read_clips("nowhere.parquet"), ClipTableError, "make a clip table with: hubbub index"),
        (lambda m: hubbub.train(m["out"] / "bundle", "x"), StoreError, "bundle is no feature store|is not a feature"),
        (lambda m: hubbub.open_bundle(m["out"] / "store"), BundleError, "is no model bundle|is not a model bundle"),
        (lambda m: hubbub.open_labels(m["out"] / "store"), LabelsError, "store"),
        (lambda m: hubbub.build_features(m["clips"], "x", settings={"frontend.n_mel": 3}), SettingsError, "n_mels"),
        (
            lambda m: hubbub.build_features(m["clips"], "x", settings=3),
            TypeError,
            "settings is int 3; expected a",
        ),
        (
            lambda m: hubbub.build_features(m["clips"], "x", client=_NoClient()),
            TypeError,
            "<a cluster>; expected a",
        ),
        (lambda m: hubbub.build_features(m["clips"], "x", cluster="loca"), UsageError, "expected serial, local or"),
        (lambda m: hubbub.index("gopher://x"), UsageError, "gopher:// is not read or written; expected a local path"),
        (
            lambda m: hubbub.find_events(m["labels"], thresholds={"dgo": 1}),
            UsageError,
            "unknown label 'dgo': did you",
        ),
        (lambda m: hubbub.export_events(m["labels"], "x", format="cvs"), UsageError, "csv"),
    ],
)
def test_bad_input_is_refused_with_what_to_pass(
    made: dict[str, Any], call: Callable[[dict[str, Any]], Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        with pytest.raises(error, match=message):
            call(made)
        assert list(tmp_path.rglob("*.parquet")) == []
    finally:
        os.chdir(before)


def test_a_closed_client_and_a_client_beside_a_cluster_are_refused(made: dict[str, Any], tmp_path: Path) -> None:
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster, Client(cluster) as client:
        with pytest.raises(UsageError, match="client and cluster='serial' were both given; pass one of them"):
            hubbub.build_features(made["clips"], tmp_path / "a", client=client, cluster="serial")
    with pytest.raises(UsageError, match="the client is closed; expected a connected distributed.Client"):
        hubbub.build_features(made["clips"], tmp_path / "b", client=client)
