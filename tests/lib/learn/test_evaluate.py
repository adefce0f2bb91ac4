"""Evaluation: the files that the report reads, and the refusals."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from hubbub.config import parse_settings
from hubbub.errors import BundleError, StoreError, TrainingError

pytest.importorskip("keras")

from hubbub.learn.train import train  # noqa: E402
from hubbub.models.bundle import load_bundle  # noqa: E402
from hubbub.pipelines.evaluate import evaluate  # noqa: E402


@pytest.fixture(scope="module")
def bundle(tiny_store, tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluated") / "bundle"
    train(tiny_store, out, test_fold=1, epochs=2)
    return load_bundle(out)


def test_the_files_hold_what_the_contract_says(bundle, tiny_store, tmp_path):
    metrics = evaluate(bundle.path, tiny_store.path, tmp_path / "out")
    said = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert (said["format"], said["fold"], said["clips"]) == ("hubbub-evaluation/1", 1, 6)
    assert (said["model"], said["model_hash"]) == ("default", bundle.model_hash)
    assert said["settings_hash"] == tiny_store.settings_hash
    assert said["labels"] == ["hiss", "hum", "ring"]
    assert said["accuracy"] == metrics.accuracy
    assert np.sum(said["confusion"]) == 6
    assert [line["support"] for line in said["per_class"]] == [2, 2, 2]
    assert [line["epoch"] for line in said["history"]] == [1, 2]

    table = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    own = ["clip_id", "uri", "start_s", "end_s", "true", "predicted", "score", "confidence", "scores"]
    assert list(table.columns) == own
    assert said["intervals"]["accuracy"]["low"] <= metrics.accuracy <= said["intervals"]["accuracy"]["high"]
    assert said["calibration"]["temperature"] == bundle.description["temperature"]
    assert sum(one["clips"] for one in said["calibration"]["after"]["bins"]) == 6
    assert (table["end_s"] - table["start_s"] == 0.5).all()
    assert (table["true"] == table["predicted"]).mean() == metrics.accuracy
    for line in table.itertuples():
        assert line.score == max(line.scores)
        assert said["labels"][int(np.argmax(line.scores))] == line.predicted
    rows = tiny_store.rows().set_index("clip_id")
    features = tiny_store.read_rows(rows.loc[table["clip_id"]]["row"])
    np.testing.assert_allclose(np.stack(table["scores"]), bundle.predict(features), atol=1e-6)


def test_another_fold_can_be_asked_for(bundle, tiny_store, tmp_path):
    evaluate(bundle, tiny_store, tmp_path / "out", fold=3)
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["fold"] == 3
    with pytest.raises(TrainingError, match=r"no fold 9; choose one of those \(there are: 1, 2, 3, 4\)"):
        evaluate(bundle, tiny_store, tmp_path / "out", fold=9)


def test_a_clip_of_several_windows_has_the_mean_of_their_scores(bundle, tmp_path, clips, build):
    store = build(tmp_path / "store", [clip | {"windows": 3} for clip in clips(per_fold=1)])
    evaluate(bundle, store, tmp_path / "out")
    table = pd.read_parquet(tmp_path / "out" / "predictions.parquet").set_index("clip_id")
    assert len(table) == 3
    for name, rows in store.rows().groupby("clip_id"):
        if name in table.index:
            scores = bundle.predict(store.read_rows(rows["row"])).mean(axis=0)
            np.testing.assert_allclose(table.loc[name, "scores"], scores, atol=1e-6)


def test_an_earlier_evaluation_is_replaced_and_nothing_else(bundle, tiny_store, tmp_path):
    evaluate(bundle, tiny_store, tmp_path / "out", fold=2)
    evaluate(bundle, tiny_store, tmp_path / "out", fold=3)
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["fold"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("")
    with pytest.raises(StoreError, match="holds something else"):
        evaluate(bundle, tiny_store, tmp_path / "mine")


def test_features_of_another_frontend_are_refused(bundle, tmp_path, clips, build, tiny_store):
    values = tiny_store.settings.model_dump(mode="json")
    values["frontend"]["fmin_hz"] = 50.0
    store = build(tmp_path / "store", clips(), parse_settings(values, where="test"))
    hashes = f"{tiny_store.settings_hash}, these are {store.settings_hash}"
    with pytest.raises(BundleError, match=rf"{hashes}.*frontend.fmin_hz: 0.0, not 50.0"):
        evaluate(bundle, store, tmp_path / "out")


def test_a_label_that_the_model_does_not_know(bundle, tmp_path, clips, build):
    store = build(tmp_path / "store", clips(labels=("hiss", "moo")))
    with pytest.raises(TrainingError, match=r"2 test rows labelled 'moo'.*hiss, hum, ring"):
        evaluate(bundle, store, tmp_path / "out")


@pytest.mark.slow
def test_a_split_by_group_tests_the_groups_that_were_kept_from_training(tmp_path, clips, build):
    store = build(tmp_path / "store", clips())
    result = train(store, tmp_path / "bundle", split_by="group", epochs=1)
    metrics = evaluate(tmp_path / "bundle", store, tmp_path / "out")
    assert metrics.confusion.sum() == result.rows["test"]


def test_channels_of_a_clip_are_one_clip_and_augmented_copies_none(bundle, tmp_path, clips, build):
    rows = [clip | {"channel": name} for clip in clips(per_fold=1) for name in ("1", "2", "mix")]
    copies = [clip | {"variant": number} for clip in clips(per_fold=1) for number in (1, 2)]
    store = build(tmp_path / "store", rows + copies)
    metrics = evaluate(bundle, store, tmp_path / "out")
    assert metrics.confusion.sum() == 3
    table = pd.read_parquet(tmp_path / "out" / "predictions.parquet").set_index("clip_id")
    held = store.rows()
    assert len(held) == 12 * 5
    for name, line in table.iterrows():
        mine = held[(held["clip_id"] == name) & (held["variant"] == 0)]
        assert sorted(mine["channel"]) == ["1", "2", "mix"]
        np.testing.assert_allclose(line["scores"], bundle.predict(store.read_rows(mine["row"])).mean(axis=0), atol=1e-6)


@pytest.mark.slow
def test_crops_that_cover_a_row_are_heard_one_after_the_other(cropped_store, tmp_path):
    train(cropped_store, tmp_path / "bundle", test_fold=1, epochs=1, model="seed-cnn")
    evaluate(tmp_path / "bundle", cropped_store, tmp_path / "out")
    bundle, rows = load_bundle(tmp_path / "bundle"), cropped_store.rows().set_index("clip_id")
    table = pd.read_parquet(tmp_path / "out" / "predictions.parquet").set_index("clip_id")
    assert len(table) == 6
    begins = {17: [0], 22: [0, 5], 27: [0, 10], 32: [0, 15], 37: [0, 10, 20], 42: [0, 12, 25], 47: [0, 15, 30]}
    for name, line in table.iterrows():
        values = cropped_store.read_rows([rows.loc[name, "row"]])[0].astype(np.float32)
        crops = np.stack([values[begin : begin + 17] for begin in begins[rows.loc[name, "valid_frames"]]])
        floored = np.maximum(crops, np.maximum(crops.max(axis=(1, 2), keepdims=True) - 80, -100))
        np.testing.assert_allclose(line["scores"], bundle.predict(floored).mean(axis=0), atol=1e-6)


def test_a_bundle_of_crops_does_not_score_a_store_of_windows(cropped_store, tiny_store, tmp_path):
    train(cropped_store, tmp_path / "bundle", test_fold=1, epochs=1, model="seed-cnn")
    with pytest.raises(BundleError, match="windows.crop_s: 0.5, not None"):
        evaluate(tmp_path / "bundle", tiny_store, tmp_path / "out")
