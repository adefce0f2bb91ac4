"""Cross-validation: which clips are in which fold, what scores add up to, and trials that go on or fail."""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from hubbub.errors import TrainingError
from hubbub.learn.crossval import join_predictions, score_folds
from hubbub.learn.folded_store import draw_folds, fold_store
from hubbub.pipelines.crossval import crossval
from tests.examples import count_examples

pytest.importorskip("keras")

QUICK = {"train.epochs": 1, "train.batch_rows": 8}
SERIAL = {"model": "seed-cnn", "settings": QUICK, "cluster": "serial"}


def make_rows(groups: list[tuple[int, str]], order: int) -> pd.DataFrame:
    lines = [
        {"clip_id": f"{number:04d}", "uri": f"{number}.wav", "labels": [label], "group": f"group {group}"}
        for number, (group, label) in enumerate(groups)
    ]
    random.Random(order).shuffle(lines)
    return pd.DataFrame(lines).assign(variant=0)


GROUPS = st.lists(st.tuples(st.integers(0, 11), st.sampled_from("abc")), min_size=30, max_size=60)


@given(groups=GROUPS, folds=st.integers(2, 4), seed=st.integers(0, 9), order=st.integers(0, 99))
@settings(max_examples=count_examples(40), deadline=None)
def test_a_group_is_in_one_fold_whatever_the_order_of_the_rows(groups, folds, seed, order):
    rows = make_rows(groups, 0)
    try:
        drawn = draw_folds(rows, folds=folds, seed=seed)
    except TrainingError:
        assert rows["group"].nunique() < folds or rows["labels"].str[0].value_counts().max() < folds
        return
    assert draw_folds(make_rows(groups, order), folds=folds, seed=seed) == drawn
    assert drawn.keys() == set(rows["clip_id"])
    assert set(drawn.values()) <= set(range(1, folds + 1))
    assert (rows.assign(fold=rows["clip_id"].map(drawn)).groupby("group")["fold"].nunique() == 1).all()


def test_drawn_folds_have_about_the_same_share_of_every_label():
    rows = make_rows([(number, "abc"[number % 3]) for number in range(60)], 1)
    drawn = rows.assign(fold=rows["clip_id"].map(draw_folds(rows, folds=4)), label=rows["labels"].str[0])
    assert (drawn.groupby(["fold", "label"]).size() == 5).all()


def test_a_folded_store_gives_the_drawn_folds(tiny_store):
    rows = tiny_store.rows()
    drawn = draw_folds(rows, folds=3)
    folded = fold_store(tiny_store, drawn)
    assert dict(zip(rows["clip_id"], folded.rows()["fold"], strict=True)) == drawn
    assert list(folded.rows(["fold", "uri"])) == ["fold", "uri"]
    np.testing.assert_array_equal(folded.read_rows([3]), tiny_store.read_rows([3]))


def make_predictions(seeds: int = 2) -> pd.DataFrame:
    rng, lines = np.random.default_rng(5), []
    for seed in range(seeds):
        for clip in range(40):
            lines.append({"clip_id": f"{clip}", "fold": 1 + clip % 4, "seed": seed, "true": "abc"[clip % 3]})
            lines[-1]["scores"] = rng.random(3) + np.eye(3)[clip % 3] * 0.5
            lines[-1]["confidence"] = 0.5 if clip % 2 else 1.0
    return pd.DataFrame(lines)


def test_scores_of_folds_are_those_of_scikit_learn():
    predictions = make_predictions()
    scores = score_folds(predictions, "abc")
    predictions["predicted"] = ["abc"[row.argmax()] for row in predictions["scores"]]
    expected = []
    for _, rows in predictions.groupby("fold"):
        per_seed = [own for _, own in rows.groupby("seed")]
        accuracy = np.mean([accuracy_score(own["true"], own["predicted"]) for own in per_seed])
        macro_f1 = np.mean([f1_score(own["true"], own["predicted"], average="macro") for own in per_seed])
        expected.append((accuracy, macro_f1, 10, 2))
    found = [(one.accuracy, one.macro_f1, one.clips, one.seeds) for one in scores.folds]
    np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(scores.accuracy.mean, np.mean([line[0] for line in expected]))
    np.testing.assert_allclose(scores.accuracy.std, np.std([line[0] for line in expected], ddof=1))
    assert scores.accuracy.low < scores.accuracy.mean < scores.accuracy.high
    assert scores.macro_f1.low < scores.macro_f1.mean < scores.macro_f1.high
    assert scores.pooled.confusion.sum() == 80
    right = (predictions["true"] == predictions["predicted"]).astype(float)
    gap = abs(right.groupby(predictions["confidence"]).mean() - [0.5, 1.0])  # 40 of either confidence
    assert scores.reliability.ece == scores.to_dict()["ece"] == pytest.approx(gap.mean())


def test_seeds_that_agree_do_not_narrow_the_interval():
    one = make_predictions(seeds=1)
    three = pd.concat([one.assign(seed=seed) for seed in range(3)], ignore_index=True)
    assert asdict(score_folds(three, "abc").accuracy) == pytest.approx(asdict(score_folds(one, "abc").accuracy))


def test_labels_that_a_trial_does_not_know_score_0():
    table = pd.DataFrame({"clip_id": ["x"], "true": ["b"], "scores": [np.array([0.2, 0.7])]})
    joined, labels = join_predictions(
        [({"fold": 2, "seed": 0}, ["a", "c"], table), ({"fold": 1, "seed": 0}, ["b", "c"], table)]
    )
    assert labels == ["a", "b", "c"]
    np.testing.assert_allclose(np.stack(joined["scores"]), [[0, 0.2, 0.7], [0.2, 0, 0.7]])


@pytest.fixture(scope="module")
def two_folds(tmp_path_factory):
    """24 clips of three labels in two folds."""
    from tests.lib.learn.conftest import build_store, make_clips

    return build_store(tmp_path_factory.mktemp("two-folds") / "store", make_clips(n_folds=2, per_fold=4))


@pytest.fixture(scope="module")
def run(two_folds, tmp_path_factory):
    return crossval(two_folds, tmp_path_factory.mktemp("crossval") / "run", seeds=2, **SERIAL)


def test_every_fold_and_seed_is_trained_tested_and_counted(run):
    assert run.is_complete
    names = {f"fold-{fold}_seed-{seed}" for fold in (1, 2) for seed in (0, 1)}
    assert {path.name for path in (run.out / "trials").iterdir()} == names
    for name in names:
        assert json.loads((run.out / "trials" / name / "bundle" / "bundle.json").read_text())["split"]["by"] == "fold"
    said = json.loads((run.out / "crossval.json").read_text())
    assert said["accuracy"]["mean"] == run.scores.accuracy.mean
    predictions = pd.read_parquet(run.out / "predictions.parquet")
    assert len(predictions) == 24 * 2
    assert (predictions.groupby(["clip_id", "seed"]).size() == 1).all()
    page = (run.out / "report.html").read_text()
    assert all(word in page for word in ("By fold", "Confusion matrix", "macro F1", "95 % interval"))
    assert "24 clips that it was not trained on, once for each of 2 seeds: 48 predictions in all" in page


def test_a_second_run_trains_nothing(run, two_folds, monkeypatch):
    import hubbub.pipelines.trials as module

    monkeypatch.setattr(module, "_train", lambda *args: pytest.fail("a finished trial was trained again"))
    assert crossval(two_folds, run.out, seeds=2, **SERIAL).scores.to_dict() == run.scores.to_dict()


def test_another_command_is_refused(run, two_folds):
    with pytest.raises(TrainingError, match=r"of another command, with recipe_settings.train.epochs: 1, not 2"):
        crossval(two_folds, run.out, seeds=2, **SERIAL | {"settings": QUICK | {"train.epochs": 2}})


@pytest.mark.slow
def test_a_trial_that_dies_is_a_row_with_its_reason_and_is_tried_again_when_asked(two_folds, tmp_path, monkeypatch):
    import hubbub.learn.train as module

    whole = module.train

    def train(store, out, **options):
        if options["test_fold"] == 2:
            raise ValueError("the dog ate it")
        return whole(store, out, **options)

    out = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(module, "train", train)
        result = crossval(two_folds, out, folds=2, **SERIAL)
        assert not result.is_complete
        assert [one.fold for one in result.scores.folds] == [1]
        assert [one["error"] for one in result.results.failed] == ["ValueError: the dog ate it"]
        assert "the dog ate it" in (out / "report.html").read_text()
        assert "the dog ate it" in (out / "crossval.json").read_text()
    assert not crossval(two_folds, out, folds=2, **SERIAL).is_complete
    result = crossval(two_folds, out, folds=2, retry_failed=True, **SERIAL)
    assert result.is_complete
    assert [one.clips for one in result.scores.folds] == [12, 12]
    drawn = pd.read_parquet(out / "folds.parquet").set_index("clip_id")["fold"]
    predictions = pd.read_parquet(out / "predictions.parquet")
    assert (predictions["fold"] == predictions["clip_id"].map(drawn)).all()


def test_refused_with_a_reason(tiny_store, tmp_path, build, clips):
    for asked, message in [
        ({"folds": 1}, "--folds 1; give at least 2"),
        ({"folds": 9}, "--folds 9, but 8 groups to divide; give at most 8"),
        ({"seeds": 0}, "--seeds 0; give at least 1"),
    ]:
        with pytest.raises(TrainingError, match=message):
            crossval(tiny_store, tmp_path / "run", **asked, **SERIAL)
    bare = build(tmp_path / "store", [clip | {"fold": None} for clip in clips()])
    with pytest.raises(TrainingError, match="have 0 folds; give --folds 5"):
        crossval(bare, tmp_path / "run", **SERIAL)
    assert not (tmp_path / "run").exists()


def test_a_dry_run_writes_nothing(tiny_store, tmp_path: Path):
    assert crossval(tiny_store, tmp_path / "run", dry_run=True, **SERIAL).n_trials == 4
    assert not (tmp_path / "run").exists()
