"""Clips with several labels are trained on, scored, cross-validated, compared and shown."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hubbub.errors import TrainingError
from hubbub.learn.evaluate import evaluate, write_evaluation
from hubbub.learn.splits import SplitRule, split_rows
from hubbub.learn.train import train
from hubbub.models.bundle import load_bundle
from hubbub.pipelines.compare import compare
from hubbub.pipelines.crossval import crossval
from hubbub.report.evaluation import evaluation_section

pytest.importorskip("keras")

CARRIED = (["hiss"], ["hum"], ["ring"], ["hiss", "hum"], ["hum", "ring"], ["hiss", "hum", "ring"])


def make_clips(n_folds: int = 2, per_fold: int = 4) -> list[dict]:
    return [
        {"uri": f"{'-'.join(labels)}-{fold}-{take}.wav", "labels": labels, "fold": fold}
        for fold in range(1, n_folds + 1)
        for labels in CARRIED
        for take in range(per_fold)
    ]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    from tests.lib.learn.conftest import build_store

    return build_store(tmp_path_factory.mktemp("several") / "store", make_clips())


@pytest.fixture(scope="module")
def bundle(store, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("several") / "bundle"
    train(store, out, test_fold=2, epochs=30, settings={"train.augment": False})
    return out


@pytest.fixture(scope="module")
def evaluation(bundle, store, tmp_path_factory) -> Path:
    out, opened = tmp_path_factory.mktemp("several") / "evaluation", load_bundle(bundle)
    write_evaluation(evaluate(opened, store), opened, store, out)
    return out


@pytest.mark.slow
def test_every_label_of_a_clip_is_learned(bundle, store):
    opened = load_bundle(bundle)
    assert opened.description["multilabel"] is True
    rows = split_rows(store.rows(), SplitRule("fold", 2)).test
    scores = opened.predict(np.stack(list(store.read_rows(rows["row"].tolist()))).astype(np.float32))
    for names, row in zip(rows["labels"], scores, strict=True):
        assert {label for label, score in zip(opened.labels, row, strict=True) if score >= 0.5} == set(names)


def test_an_evaluation_says_what_clips_carry_and_what_was_called(evaluation):
    data = json.loads((evaluation / "evaluation.json").read_text())
    table = pd.read_parquet(evaluation / "predictions.parquet")
    assert data["clips"] == len(table) == 24
    assert [tuple(names) for names in table["labels"]] == [tuple(clip["labels"]) for clip in make_clips()[24:]]
    # By hand: a label is called where its score reaches the threshold; a clip is right where its best label is its own.
    support = {label: sum(label in names for names in table["labels"]) for label in data["labels"]}
    assert {score["label"]: score["support"] for score in data["per_class"]} == support
    assert support == {"hiss": 12, "hum": 16, "ring": 12}
    right = [row.predicted in row.labels for row in table.itertuples()]
    assert data["accuracy"] == np.mean(right) == 1.0
    for score in data["per_class"]:
        hits = sum(score["label"] in row.labels and score["label"] in row.called for row in table.itertuples())
        assert score["recall"] == hits / score["support"]


def test_the_report_says_how_several_labels_count(evaluation):
    body = evaluation_section(evaluation).body
    assert "Clips carry several labels. Accuracy is the share of clips" in body


def test_a_model_is_compared_with_itself_on_all_clips(evaluation):
    found = compare(evaluation, evaluation)
    said = json.loads((evaluation / "evaluation.json").read_text())
    assert found.clips == 24
    assert found.first.accuracy == said["accuracy"]
    assert found.first.macro_f1 == pytest.approx(said["macro_f1"])
    assert (found.test.only_first, found.test.only_second) == (0, 0)


@pytest.mark.slow
def test_folds_together_hold_every_clip_once(store, tmp_path):
    settings = {"train.augment": False, "train.epochs": 1}
    found = crossval(store, tmp_path / "run", settings=settings, cluster="serial")
    table = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    assert sorted(table["uri"]) == sorted(clip["uri"] for clip in make_clips())
    assert {score.label: score.support for score in found.scores.pooled.per_class} == {
        "hiss": 24,
        "hum": 32,
        "ring": 24,
    }


def test_a_model_of_one_label_a_clip_says_so(store, tmp_path):
    with pytest.raises(TrainingError, match=r"24 clips with several labels, such as .*hum.* use --model default"):
        train(store, tmp_path / "bundle", model="seed-cnn", test_fold=2)
    assert not (tmp_path / "bundle").exists()
