"""Training: repeatable, killable, and clear about what it cannot do; `test_fitting` says when it ends early."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from hubbub.config import Layout, Settings, Windows
from hubbub.config.frontends import MelSettings
from hubbub.errors import BundleError, SettingsError, StorageError, StoreError, TrainingError
from hubbub.models.bundle import load_bundle

keras = pytest.importorskip("keras")

from hubbub.config.network_features import HEADS  # noqa: E402
from hubbub.learn.networks import NAMES, Shape, find_recipe  # noqa: E402
from hubbub.learn.pretrained import PUBLISHED  # noqa: E402
from hubbub.learn.splits import SplitRule, split_rows  # noqa: E402
from hubbub.learn.train import train  # noqa: E402

EPOCHS = 3


def weights(bundle: Path) -> list[np.ndarray]:
    return load_bundle(bundle)._model.get_weights()


def assert_same(one: Path, other: Path) -> None:
    for mine, theirs in zip(weights(one), weights(other), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.fixture(scope="module")
def trained(tiny_store, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "bundle"
    train(tiny_store, out, test_fold=1, epochs=EPOCHS, seed=3)
    return out


def test_a_bundle_says_what_it_is(trained, tiny_store):
    bundle = load_bundle(trained)
    said = bundle.description
    assert bundle.labels == ["hiss", "hum", "ring"]
    assert (bundle.activation, bundle.settings_hash) == ("sigmoid", tiny_store.settings_hash)
    assert said["rows"] == {"train": 15, "validation": 3, "test": 6, "skipped": 0}
    assert [line["epoch"] for line in said["history"]] == [1, 2, 3]
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"} < set(said["history"][0])
    assert said["split"]["test_fold"] == 1
    assert "hiss, hum, ring" in (trained / "README.md").read_text()
    assert list((trained / "logs").iterdir())
    assert not trained.with_name("bundle.partial").exists()


def test_the_model_standardises_with_training_rows_alone(trained, tiny_store):
    bundle = load_bundle(trained)
    split = split_rows(tiny_store.rows(), SplitRule(**bundle.description["split"]))
    frames = tiny_store.read_rows(split.train["row"]).astype(np.float64).reshape(-1, tiny_store.n_bands)
    said = bundle.description["standardisation"]
    np.testing.assert_allclose(said["mean_db"], frames.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(said["std_db"], frames.std(axis=0), rtol=1e-9)
    layer = bundle._model.get_layer("standardise")
    np.testing.assert_allclose(np.ravel(layer.scale), 1 / frames.std(axis=0), rtol=1e-5)
    np.testing.assert_allclose(np.ravel(layer.offset), -frames.mean(axis=0) / frames.std(axis=0), rtol=1e-5)


@pytest.mark.slow
def test_test_rows_are_read_by_the_leakage_check_alone(tiny_store, tmp_path, clips, build):
    poisoned = [clip | ({"values": np.float16(np.nan)} if clip["fold"] == 2 else {}) for clip in clips()]
    store = build(tmp_path / "store", poisoned)
    result = train(store, tmp_path / "bundle", test_fold=2, epochs=1, allow_leakage=True)
    assert np.isfinite(result.history[0]["loss"])


@pytest.mark.slow
def test_the_same_seed_makes_the_same_weights(trained, tiny_store, tmp_path):
    train(tiny_store, tmp_path / "again", test_fold=1, epochs=EPOCHS, seed=3)
    assert_same(trained, tmp_path / "again")


@pytest.mark.slow
def test_another_seed_makes_others(trained, tiny_store, tmp_path):
    train(tiny_store, tmp_path / "other", test_fold=1, epochs=EPOCHS, seed=4)
    with pytest.raises(AssertionError):
        assert_same(trained, tmp_path / "other")


@pytest.mark.slow
def test_crops_train_a_model_that_hears_a_crop_and_never_padding(cropped_store, tmp_path):
    """Padding is NaN here: one frame of it in a crop, and the loss or the statistics were none."""
    result = train(cropped_store, tmp_path / "bundle", test_fold=1, epochs=2)
    said = load_bundle(tmp_path / "bundle").description
    assert (said["window_s"], said["n_frames"], said["n_bands"]) == (0.5, 17, 16)
    assert all(np.isfinite([line["loss"], line["val_loss"]]).all() for line in result.history)
    assert said["calibration"]["rows"] > 4 * 2 * said["rows"]["validation"]  # each row's crops, and as many backgrounds


@pytest.mark.slow
def test_crops_are_other_ones_at_every_epoch_and_the_same_at_the_same(cropped_store, tmp_path, monkeypatch):
    import hubbub.learn.streams as module

    drawn: list[dict] = []
    draw = module.random_crops

    def noted(settings, rows, **when):
        crops = draw(settings, rows, **when)
        drawn.append(dict(zip(rows["row"], crops.begin, strict=True)) | when)
        return crops

    monkeypatch.setattr(module, "random_crops", noted)
    for name in ("one", "two"):
        train(cropped_store, tmp_path / name, test_fold=1, epochs=2, model="seed-cnn")
    first, second, again, at_last = drawn
    assert (first, second) == (again, at_last)
    assert {row: begin for row, begin in first.items() if begin != second[row]}.keys() > {"epoch"}
    assert_same(tmp_path / "one", tmp_path / "two")


def test_rows_shorter_than_a_crop_are_heard_with_their_padding(tmp_path, clips, build_cropped):
    short = [clip | {"valid_frames": 5, "padding": -100.0} for clip in clips()]
    store = build_cropped(tmp_path / "store", short)
    train(store, tmp_path / "bundle", test_fold=1, epochs=1, model="seed-cnn")
    mean_db = load_bundle(tmp_path / "bundle").description["standardisation"]["mean_db"]
    assert min(mean_db) > -45  # the padding's -100 is not in it


def test_augmented_copies_train_and_do_nothing_else(tmp_path, clips, build):
    poison = {"variant": 1, "values": np.float16(np.nan)}
    test_copies = [clip | poison for clip in clips() if clip["fold"] == 1]  # read them, and nothing is finite
    copies = [clip | {"variant": number} for clip in clips() if clip["fold"] != 1 for number in (1, 2)]
    store = build(tmp_path / "store", clips() + test_copies + copies)
    result = train(store, tmp_path / "bundle", test_fold=1, epochs=1, model="seed-cnn")
    assert result.rows == {"train": 15 * 3, "validation": 3, "test": 6, "skipped": 0}
    assert np.isfinite(result.history[0]["loss"])


def test_a_second_run_does_nothing(trained, tiny_store):
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*")}
    result = train(tiny_store, trained, test_fold=1, epochs=EPOCHS, seed=3)
    assert result.was_done
    assert len(result.history) == EPOCHS
    assert {path: path.stat().st_mtime_ns for path in trained.rglob("*")} == before


TRAINING = """
import sys
from hubbub.learn.train import train
store, out = sys.argv[1:]
train(store, out, test_fold=1, epochs=3, seed=3, on_epoch=lambda line: print(line["epoch"], flush=True))
"""


def test_killed_in_the_middle_it_goes_on_and_ends_equal(trained, tiny_store, tmp_path):
    out = tmp_path / "bundle"
    command = [sys.executable, "-c", TRAINING, str(tiny_store.path), str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        time.sleep(0.02)  # into the second epoch
        os.kill(process.pid, signal.SIGKILL)
    assert not out.exists()
    with pytest.raises(TrainingError, match=r"unfinished work of another command, with seed: 3, not 8\. Run that"):
        train(tiny_store, out, test_fold=1, epochs=EPOCHS, seed=8)
    result = train(tiny_store, out, test_fold=1, epochs=EPOCHS, seed=3)
    assert result.resumed_epoch >= 1
    assert [line["epoch"] for line in result.history] == [1, 2, 3]
    assert_same(trained, out)


@pytest.mark.parametrize("step", [pytest.param("model_card", marks=pytest.mark.slow), "write_bundle"])
def test_a_disk_that_is_full_at_the_end_leaves_no_bundle_and_the_next_run_finishes(
    tiny_store, tmp_path, monkeypatch, step
):
    import hubbub.learn.train as module

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    out = tmp_path / "bundle"
    with monkeypatch.context() as patched:
        patched.setattr(module, step, full)
        with pytest.raises(StorageError, match="No space left.*free some space"):
            train(tiny_store, out, model="seed-cnn", test_fold=1, epochs=1)
    assert not out.exists()
    result = train(tiny_store, out, model="seed-cnn", test_fold=1, epochs=1)
    assert result.resumed_epoch == 1
    assert load_bundle(out).labels == ["hiss", "hum", "ring"]


SMALL = {"model.weights": "random", "model.stages": "head", "model.side_px": 75}
"""Settings with which a network for photographs is quick, and needs no file."""

ALIKE = {"cnn-64", "cnn-stft-32", "inception-v3", "efficientnet-b0"}
"""Networks whose layers and optimizers are those of others."""

LONG = {"default", "detector", "crnn", "cnn-128", "mobilenet-v2"}
"""Networks that take long, and that `hubbub demo`, the tests of transfer and those of networks train or run, too."""

MODELS = [pytest.param(name, marks=[pytest.mark.slow] * (name in ALIKE | LONG)) for name in NAMES if name not in HEADS]


@pytest.mark.usefixtures("few_scenes")
@pytest.mark.parametrize("name", MODELS)
def test_every_model_learns_what_is_easy(name, tmp_path, clips, build):
    from hubbub.pipelines.evaluate import evaluate

    store = build(tmp_path / "store", clips(per_fold=6))
    settings = SMALL if name in PUBLISHED else None
    train(store, tmp_path / "bundle", model=name, test_fold=1, epochs=12, settings=settings)
    assert evaluate(tmp_path / "bundle", store, tmp_path / "evaluation").accuracy >= 0.9


@pytest.mark.slow
def test_the_default_model_learns_what_is_easy_from_what_is_no_decibels(tmp_path, clips, build):
    from hubbub.pipelines.evaluate import evaluate

    settings = Settings(
        frontend=MelSettings(sample_rate=8000, n_fft=512, hop_samples=250, n_mels=16),
        windows=Windows(duration_s=0.5),
        layout=Layout(rows_per_shard=8, rows_per_chunk=4),
    )
    rng, made = np.random.default_rng(0), []
    for clip in clips(per_fold=6):
        power = rng.exponential(1e-5, (17, 16)).astype(np.float32)
        begin = 5 * ("hiss", "hum", "ring").index(clip["labels"][0])
        power[:, begin : begin + 5] *= 1000
        made.append(clip | {"values": power})
    store = build(tmp_path / "store", made, settings)
    train(store, tmp_path / "bundle", test_fold=1, epochs=12)
    assert evaluate(tmp_path / "bundle", store, tmp_path / "evaluation").accuracy >= 0.9


def build_network(name: str, precision: str = "float32"):
    from hubbub.learn.dataset import BandStatistics
    from hubbub.learn.precision import use_precision

    recipe, statistics = find_recipe(name), BandStatistics(np.zeros(128), np.ones(128))
    with use_precision(precision):
        return recipe.build(Shape(216, 128, 10), statistics, recipe.defaults.model)


@pytest.mark.parametrize("name", MODELS)
def test_in_any_precision_features_are_standardised_and_scores_given_in_float32(name):
    model = build_network(name, "mixed_bfloat16")
    kinds = {layer.name: layer.compute_dtype for layer in model.layers}
    assert kinds["scores"] == "float32"
    assert {kind for layer, kind in kinds.items() if layer == "standardise"} == {"float32"}
    assert "bfloat16" in kinds.values()
    assert keras.config.dtype_policy().name == "float32"


SETTINGS = [
    {
        "train.augment": False,
        "train.label_smoothing": 0.1,
        "train.precision": "mixed_bfloat16",
        "model.dropout": 0.0,
    },
    pytest.param({"train.precision": "mixed_float16", "train.jit": True}, marks=pytest.mark.slow),
]


@pytest.mark.slow
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_settings_are_in_the_bundle_and_another_one_is_another_command(tiny_store, tmp_path, settings):
    train(tiny_store, tmp_path / "bundle", test_fold=1, epochs=1, settings=settings)
    bundle = load_bundle(tmp_path / "bundle")
    said = bundle.description["recipe_settings"]
    for key, value in settings.items():
        section, name = key.split(".")
        assert said[section][name] == value
    assert bundle._model.get_layer("scores").compute_dtype == "float32"
    assert {layer.compute_dtype for layer in bundle._model.layers} == {"float32"}
    with pytest.raises(BundleError, match=r"made with recipe_settings\..*: .*, not "):
        train(tiny_store, tmp_path / "bundle", test_fold=1, epochs=1)


def test_settings_decide_the_batch_the_epochs_and_the_learning_rate(tiny_store, tmp_path):
    settings = {"train": {"batch_rows": 5, "epochs": 2}, "model.learning_rate": 0.0625}
    result = train(tiny_store, tmp_path / "bundle", test_fold=1, model="seed-cnn", settings=settings)
    assert [line["learning_rate"] for line in result.history] == [0.0625] * 2
    assert load_bundle(tmp_path / "bundle").description["command"]["batch_rows"] == 5


def test_smoothing_divides_a_share_of_each_target_and_leaves_negatives():
    from hubbub.learn.smoothing import TargetSmoothing

    _, targets = TargetSmoothing(0.3)(np.zeros((2, 1, 1), "f4"), np.array([[1, 0, 0], [0, 0, 0]], "f4"), None)
    np.testing.assert_allclose(targets, [[0.8, 0.1, 0.1], [0, 0, 0]], atol=1e-6)


def test_seed_cnn_is_the_network_of_the_tutorial():
    model = build_network("seed-cnn")
    kinds = [type(layer).__name__ for layer in model.layers]
    assert [kind for kind in kinds if kind in ("Conv2D", "MaxPooling2D", "Dropout")] == [
        "Conv2D",
        "MaxPooling2D",
        "Dropout",
    ] * 4
    convolutions = [layer for layer in model.layers if type(layer).__name__ == "Conv2D"]
    assert [(layer.filters, layer.kernel_size) for layer in convolutions] == [(n, (3, 3)) for n in (32, 64, 128, 256)]
    assert [layer.rate for layer in model.layers if type(layer).__name__ == "Dropout"] == [0.2, 0.2, 0.2, 0.5]
    assert kinds[-2:] == ["GlobalAveragePooling2D", "Dense"]


REFUSED = [
    ({"model": "defualt"}, r"no model 'defualt': did you mean 'default'\? \(known: .*, default, dense, detector"),
    ({"epochs": 0}, r"train.epochs: expected at least 1 \(given: 0\)"),
    ({"settings": {"learning_rate": 1}}, r"unknown setting 'learning_rate': did you mean 'model.learning_rate'\?"),
    ({"epochs": 2, "settings": {"train.epochs": 3}}, "epochs 2, and train.epochs 3; give one of the two"),
    ({"model": "seed-cnn", "settings": {"train.augment": True}}, "seed-cnn has no augmentation; leave it false"),
    ({"seed": -1}, "seed -1"),
    ({"validation_share": 1.0}, r"train.validation_share: .*\(given: 1.0\)"),
    ({"test_fold": 9}, r"no fold 9; choose one of those \(there are: 1, 2, 3, 4\)"),
    ({"test_fold": None}, "which rows test"),
]


@pytest.mark.parametrize(("asked", "message"), REFUSED)
def test_refused_with_a_reason(tiny_store, tmp_path, asked, message):
    with pytest.raises((TrainingError, SettingsError), match=message):
        train(tiny_store, tmp_path / "bundle", **{"test_fold": 1} | asked)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_something_else_is_left_alone(tiny_store, tmp_path):
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "thesis.tex").write_text("dear")
    with pytest.raises(StoreError, match="holds something else.*thesis.tex"):
        train(tiny_store, tmp_path / "bundle", test_fold=1, epochs=1)
    assert (tmp_path / "bundle" / "thesis.tex").read_text() == "dear"


def test_another_bundle_is_not_overwritten(trained, tiny_store):
    with pytest.raises(BundleError, match=r"holds another model, made with epochs: 3, not 2"):
        train(tiny_store, trained, test_fold=1, epochs=2, seed=3)


def test_a_folder_that_cannot_be_written(tiny_store, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises((StorageError, StoreError), match="cannot write|is a file"):
        train(tiny_store, tmp_path / "file" / "bundle", test_fold=1, epochs=1)


@pytest.mark.slow
def test_what_a_run_was_asked_lies_beside_its_checkpoints(tiny_store, tmp_path):
    seen = {}

    def look(line):
        partial = tmp_path / "bundle.partial"
        seen["command"] = json.loads((partial / "command.json").read_text())
        seen[line["epoch"]] = sorted(path.name for path in (partial / "checkpoints").iterdir())

    train(tiny_store, tmp_path / "bundle", model="seed-cnn", test_fold=1, epochs=2, on_epoch=look)
    assert seen["command"]["model"] == "seed-cnn"
    assert "00000002" in seen[2]
    assert len(seen[2]) <= 2  # the last and the best


def test_a_store_of_two_groups_says_that_nothing_validates(build, tmp_path, clips):
    few = [clip | {"group": f"site {clip['fold']}"} for clip in clips(n_folds=2)]
    said = []
    store = build(tmp_path / "store", few)
    result = train(store, tmp_path / "bundle", model="seed-cnn", test_fold=1, epochs=1, on_warning=said.append)
    assert any("no rows validate: 1 group to train on" in text for text in said)
    assert "no rows validate" in (tmp_path / "bundle" / "README.md").read_text()
    assert list(result.warnings) == load_bundle(tmp_path / "bundle").description["warnings"] == said
