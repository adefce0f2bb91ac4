"""Sweeps: the best trial by validation rows, rounds that halve, trials that die, and runs that are done or go on."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.errors import SettingsError, StoreError, TrainingError
from hubbub.learn.sweep import list_rounds, rank_records
from hubbub.pipelines.crossval import crossval
from hubbub.pipelines.sweep import sweep

pytest.importorskip("keras")

QUICK = {"train.epochs": [2], "train.batch_rows": [8]}


def write_grid(folder: Path, *, settings: dict | None = None, **keys: object) -> Path:
    file = folder / "grid.yaml"
    given = {"model": "seed-cnn", "settings": QUICK | (settings or {})} | keys
    file.write_text(json.dumps(given))  # JSON is YAML
    return file


@given(n=st.integers(1, 500), factor=st.integers(2, 10), first=st.integers(1, 50))
def test_rounds_halve_until_one_is_left_and_train_it_to_the_end(n: int, factor: int, first: int):
    rounds = list(list_rounds(n, factor=factor, min_epochs=first))
    assert rounds[-1] == (None, 1)
    left = n
    for number, (epochs, kept) in enumerate(rounds[:-1]):
        assert epochs == first * factor**number
        assert kept == -(-left // factor)
        left = kept
    assert left == 1


def test_what_went_further_is_better_and_what_failed_is_last():
    def record(trial: str, round_: int, accuracy: float, loss: float, status: str = "ok") -> dict:
        return {"trial": trial, "round": round_, "val_accuracy": accuracy, "val_loss": loss, "status": status}

    records = [
        record("failed", 2, 1.0, 0.0, "failed"),
        record("early", 0, 0.9, 0.1),
        record("equal", 1, 0.8, 0.4),
        record("best", 1, 0.8, 0.3),
        record("surest", 1, 0.7, 0.2),
    ]
    assert [one["trial"] for one in rank_records(records, "accuracy")] == ["best", "equal", "surest", "early", "failed"]
    assert [one["trial"] for one in rank_records(records, "loss")] == ["surest", "best", "equal", "early", "failed"]


@pytest.fixture(scope="module")
def done(tiny_store, tmp_path_factory: pytest.TempPathFactory):
    """A sweep of two learning rates, one of which can learn nothing."""
    folder = tmp_path_factory.mktemp("sweep")
    grid = write_grid(folder, settings={"train.epochs": [12], "model.learning_rate": [1e-6, 0.003]})
    return grid, sweep(tiny_store, grid, folder / "run", test_fold=1, cluster="serial")


def test_the_winner_is_chosen_on_validation_rows_and_alone_is_tested(done):
    _, result = done
    assert result.is_complete
    best, worst = result.ranking.to_dict("records")
    assert (best["model.learning_rate"], worst["model.learning_rate"]) == (0.003, 1e-6)
    assert (best["val_accuracy"], -best["val_loss"]) > (worst["val_accuracy"], -worst["val_loss"])
    said = json.loads((result.out / "sweep.json").read_text())
    assert result.test is not None
    assert [one["trial"] for one in said["ranking"]] == [best["trial"], worst["trial"]]
    assert {path.parent.name for path in (result.out / "trials").glob("*/test.json")} == {best["trial"]}
    assert result.report.is_file()


@pytest.mark.slow
def test_the_winners_command_is_one_that_train_takes(done, tmp_path: Path):
    from hubbub.models.bundle import load_bundle
    from tests.jobs.command import succeed

    words = shlex.split(done[1].command)
    words[words.index("-o") + 1] = str(tmp_path / "bundle")
    succeed(*words[1:])
    assert load_bundle(tmp_path / "bundle").description["recipe_settings"]["model"]["learning_rate"] == 0.003


def test_the_same_sweep_again_trains_nothing_and_another_is_refused(done, tiny_store, tmp_path: Path):
    grid, result = done
    before = {path: path.stat().st_mtime_ns for path in (result.out / "trials").rglob("*.json")}
    again = sweep(tiny_store, grid, result.out, test_fold=1, cluster="serial")
    assert again.ranking.equals(result.ranking)
    assert {path: path.stat().st_mtime_ns for path in (result.out / "trials").rglob("*.json")} == before
    with pytest.raises(TrainingError, match=str(result.out)):
        sweep(tiny_store, write_grid(tmp_path), result.out, test_fold=1, cluster="serial")
    with pytest.raises(TrainingError, match="is not a cross-validation, but what another command made"):
        crossval(tiny_store, result.out, cluster="serial")


@pytest.mark.slow
def test_a_trial_that_dies_is_a_row_with_its_reason_and_the_others_are_ranked(tiny_store, tmp_path: Path, monkeypatch):
    import hubbub.learn.train as module

    whole = module.train

    def train(store, out, **options):
        if options["settings"].model.learning_rate == 0.001:
            raise ValueError("the dog ate it")
        return whole(store, out, **options)

    grid = write_grid(tmp_path, settings={"model.learning_rate": [0.001, 0.002]})
    with monkeypatch.context() as patched:
        patched.setattr(module, "train", train)
        result = sweep(tiny_store, grid, tmp_path / "run", test_fold=1, cluster="serial")
        assert not result.is_complete
        assert list(result.ranking["status"]) == ["ok", "failed"]
        assert list(result.ranking["model.learning_rate"]) == [0.002, 0.001]
        assert "the dog ate it" in (result.out / "report.html").read_text()
        assert "the dog ate it" in (result.out / "sweep.json").read_text()
    assert not sweep(tiny_store, grid, result.out, test_fold=1, cluster="serial").is_complete
    again = sweep(tiny_store, grid, result.out, test_fold=1, cluster="serial", retry_failed=True)
    assert again.is_complete
    assert list(again.ranking["status"]) == ["ok", "ok"]


@pytest.mark.slow
def test_stores_are_tried_as_settings_are(tiny_store, tmp_path: Path, build, clips):
    """A store whose rows are all the same teaches nothing: the other one wins, whatever their order."""
    flat = np.full((tiny_store.n_frames, tiny_store.n_bands), -40.0)
    other = build(tmp_path / "flat", [clip | {"values": flat} for clip in clips()])
    grid = write_grid(tmp_path, settings={"train.epochs": [12], "model.learning_rate": [0.003]})
    result = sweep([other, tiny_store], grid, tmp_path / "run", test_fold=1, cluster="serial")
    assert len(result.ranking) == 2
    assert str(tiny_store.path) in shlex.split(result.command)
    assert result.ranking["val_accuracy"].is_monotonic_decreasing


@pytest.mark.slow
def test_half_the_trials_go_on(tiny_store, tmp_path: Path):
    grid = write_grid(
        tmp_path,
        settings={"train.epochs": [3], "model.learning_rate": [0.001, 0.002, 0.003, 0.004]},
        halving={"factor": 2, "min_epochs": 1},
    )
    result = sweep(tiny_store, grid, tmp_path / "run", test_fold=1, cluster="serial")
    assert result.is_complete
    assert sorted(result.ranking["epochs"]) == [1, 1, 2, 3]
    assert result.ranking["epochs"].iloc[0] == 3


@pytest.mark.slow
def test_a_random_search_draws_the_same_again_within_its_range(tiny_store, tmp_path: Path):
    grid = write_grid(
        tmp_path,
        search="random",
        trials=3,
        settings={"model.learning_rate": {"low": 0.0001, "high": 0.01, "log": True}},
    )
    one, two = (sweep(tiny_store, grid, tmp_path / name, test_fold=1, cluster="serial") for name in ("one", "two"))
    rates = one.ranking["model.learning_rate"]
    assert rates.between(0.0001, 0.01).all()
    assert rates.nunique() == 3
    assert one.ranking["model.learning_rate"].tolist() == two.ranking["model.learning_rate"].tolist()


def test_a_store_twice_and_a_grid_that_cannot_be_are_refused(tiny_store, tmp_path: Path):
    with pytest.raises(StoreError, match="is given twice; give each store once"):
        sweep([tiny_store, tiny_store], write_grid(tmp_path), tmp_path / "run", test_fold=1, cluster="serial")
    for settings, said in [
        ({"model.learning_rate": {"low": 0.1, "high": 0.2}}, "is a range, which search random draws from"),
        ({"model.learning_rates": [0.1]}, "model.learning_rate"),
        ({"model.learning_rate": []}, "has no values; give at least one"),
    ]:
        with pytest.raises(SettingsError, match=said):
            sweep(tiny_store, write_grid(tmp_path, settings=settings), tmp_path / "run", cluster="serial")
    assert not (tmp_path / "run").exists()
