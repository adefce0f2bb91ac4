"""Training in stages from weights of others: repeatable, killable, and each stage changes what it says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from hubbub.errors import BundleError, SettingsError, TrainingError
from hubbub.models.bundle import load_bundle

keras = pytest.importorskip("keras")

from hubbub.config.recipes import choose_recipe_settings  # noqa: E402
from hubbub.learn.crops import covering_crops  # noqa: E402
from hubbub.learn.fitting import build_network  # noqa: E402
from hubbub.learn.frozen import FrozenSource, KeptOutputs, open_frozen_source  # noqa: E402
from hubbub.learn.networks.images import IMAGE_NETWORK, take_head  # noqa: E402
from hubbub.learn.tf_data import Failures  # noqa: E402
from hubbub.learn.train import train  # noqa: E402
from hubbub.learn.training_job import TrainingJob, plan_training  # noqa: E402
from tests.lib.learn.image_weights import make_network, write_newer_form  # noqa: E402

SETTINGS = {"model.side_px": 32, "model.channels": "deltas"}
ASKED = {"model": "mobilenet-v2", "test_fold": 1, "epochs": 4, "seed": 3, "settings": SETTINGS}
"""Two epochs of the head, two of the upper layers."""


class Killed(Exception):
    """Stands for what ends a process in the middle."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    return write_newer_form(make_network("MobileNetV2", 32), tmp_path_factory.mktemp("weights") / "made.weights.h5")


@pytest.fixture(scope="module")
def trained(tiny_store, weights, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "bundle"
    train(tiny_store, out, weights=weights, **ASKED)
    return out


def arrays_of(network: keras.Model) -> dict[str, list[np.ndarray]]:
    return {layer.name: layer.get_weights() for layer in network.layers if layer.weights}


def test_the_bundle_says_what_it_began_with_and_how_it_was_trained(trained, weights):
    said = load_bundle(trained).description
    assert said["weights"]["file"] == "made.weights.h5"
    assert said["command"]["weights"] == said["weights"]["sha256"]
    assert "weights" not in said["command"]["recipe_settings"]["model"]
    assert said["command"]["recipe_settings"]["model"]["channels"] == "deltas"
    rates = [line["learning_rate"] for line in said["history"]]
    assert max(rates[:2]) == pytest.approx(3e-4)
    assert max(rates[2:]) == pytest.approx(3e-5)
    assert all("val_loss" in line for line in said["history"])
    card = (trained / "README.md").read_text()
    assert f"weights of `made.weights.h5` (SHA-256 `{said['weights']['sha256'][:16]}…`); licence: not known" in card


def test_upper_layers_trained_and_the_others_are_those_of_the_file(trained):
    kept = load_bundle(trained)
    assert kept.description["kept_epoch"] > 2  # else nothing of this would be seen
    began, ended = arrays_of(make_network("MobileNetV2", 32)), arrays_of(kept._model.get_layer(IMAGE_NETWORK))
    changed = {
        name for name, arrays in began.items() if any((a != b).any() for a, b in zip(arrays, ended[name], strict=True))
    }
    assert "Conv_1" in changed
    assert not any("BN" in name or "bn" in name for name in changed)
    assert not any(name.startswith(("Conv1", "expanded", *(f"block_{n}_" for n in range(1, 11)))) for name in changed)


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [(3,), (1, 2, 3)], ids=["once", "thrice"])
def test_a_training_that_is_killed_ends_as_if_it_had_not_been(trained, weights, tiny_store, tmp_path, epochs):
    """Within each stage, and between them."""
    out = tmp_path / "bundle"
    for epoch in epochs:

        def kill(line, epoch=epoch):
            if line["epoch"] == epoch:
                raise Killed

        with pytest.raises(Killed):
            train(tiny_store, out, weights=weights, on_epoch=kill, **ASKED)
        assert json.loads((out.with_name("bundle.partial") / "checkpoints" / f"{epoch:08d}" / "state.json").read_text())
    result = train(tiny_store, out, weights=weights, **ASKED)
    assert result.resumed_epoch == 3
    ours, theirs = (load_bundle(path) for path in (out, trained))
    assert ours.description["history"] == theirs.description["history"]
    for one, other in zip(ours._model.get_weights(), theirs._model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_other_weights_are_another_command(trained, weights, tiny_store, tmp_path):
    other = shutil.copy(weights, tmp_path / "other.weights.h5")
    with h5py.File(other, "r+") as opened:
        opened["layers/conv2d/vars/0"][0, 0, 0, 0] += 1.0
    with pytest.raises(BundleError, match="holds another model, made with weights: .*, not "):
        train(tiny_store, trained, weights=other, **ASKED)
    with pytest.raises(BundleError, match="holds another model, made with weights: .*, not 'random'"):
        train(tiny_store, trained, weights="random", **ASKED)


HEAD = ASKED | {"settings": SETTINGS | {"model.stages": "head"}, "epochs": 1}


def plan(store, out: Path, **changes: object) -> TrainingJob:
    settings = choose_recipe_settings("mobilenet-v2", SETTINGS | {"model.weights": "random"} | changes, epochs=4)
    return plan_training(store, out, "mobilenet-v2", 1, None, settings, 3)


def test_outputs_are_computed_once_and_those_that_are_damaged_again(tiny_store, tmp_path, monkeypatch):
    """15 rows train and 3 validate; 2 backgrounds: in files of 8 rows, in one of which a kill comes."""
    import hubbub.learn.frozen as module
    import hubbub.learn.streams as streams

    monkeypatch.setattr(module, "PART_BATCHES", 1)
    for one in (module, streams):
        monkeypatch.setattr(one, "VALIDATION_ROWS", 8)
    job = plan(tiny_store, tmp_path / "bundle")
    network = build_network(job.recipe, job.shape, job.statistics, job.recipe_settings, batch_rows=8)
    parts = take_head(network)
    seen: list[int] = []
    predict = parts.frozen.predict_on_batch

    def count(rows: np.ndarray) -> np.ndarray:
        seen.append(int((rows != 0).any(axis=(1, 2)).sum()))
        return predict(rows)

    def kill(done: int, total: int) -> None:
        assert total == 20
        if done == 15:
            raise Killed

    monkeypatch.setattr(parts.frozen, "predict_on_batch", count)
    with pytest.raises(Killed):
        open_frozen_source(job, parts, kill)
    assert seen == [8, 7]
    source = open_frozen_source(job, parts)
    assert seen == [8, 7, 7, 2, 3]  # of the second file nothing had been written
    folder = job.partial / "frozen" / "training"
    assert sorted(path.name for path in folder.iterdir()) == ["00000.npy", "00001.npy", "parts.json"]
    content = bytearray((folder / "00001.npy").read_bytes())
    content[-5] ^= 255
    (folder / "00001.npy").unlink()  # which is mapped into memory
    (folder / "00001.npy").write_bytes(content)
    again = open_frozen_source(job, parts)
    assert seen == [8, 7, 7, 2, 3, 7]
    for one, other in zip(source.training.parts, again.training.parts, strict=True):
        np.testing.assert_array_equal(one, other)
    rows = tiny_store.read_rows(sorted(job.split.train["row"])).astype(np.float32)
    # Each row at its own place of a batch that is filled up: some processors' kernels round otherwise at another place.
    expected = np.concatenate([predict(rows[:8]), predict(np.concatenate([rows[8:], np.zeros_like(rows[:1])]))[:7]])
    np.testing.assert_allclose(source.training.take(np.arange(15)), expected, rtol=1e-5)


def test_every_row_and_every_background_is_shown_once_an_epoch(tiny_store, tmp_path):
    job = plan(tiny_store, tmp_path / "bundle", **{"train.batch_rows": 1, "train.label_smoothing": 0.3})
    outputs = np.arange(17, dtype=np.float32)[:, None]
    kinds = np.arange(15) % 3
    source = FrozenSource(job, KeptOutputs((outputs,)), kinds, kinds, KeptOutputs((outputs[:3],)), kinds[:3])
    epochs = [list(source.open_training(epoch, Failures())) for epoch in (0, 1, 0)]
    shown = [[int(values[0, 0]) for values, _ in batches] for batches in epochs]
    assert [sorted(one) for one in shown] == [list(range(17))] * 3
    assert shown[0] == shown[2] != shown[1]
    targets = {int(values[0, 0]): wanted[0] for values, wanted in epochs[0]}
    np.testing.assert_allclose(targets[4], [0.1, 0.8, 0.1], atol=1e-6)
    np.testing.assert_array_equal([targets[15], targets[16]], np.zeros((2, 3)))
    ((values, wanted),) = source.open_validation(Failures())
    np.testing.assert_array_equal(values, outputs[:3])
    np.testing.assert_array_equal(wanted, np.eye(3))


def test_crops_are_heard_as_those_that_cover_each_row(cropped_store, tmp_path):
    """Rows of which training hears a crop: the frozen layers' outputs are of all of each row, never of its padding."""
    job = plan(cropped_store, tmp_path / "bundle", **{"train.augment": False})
    parts = take_head(build_network(job.recipe, job.shape, job.statistics, job.recipe_settings, batch_rows=8))
    source = open_frozen_source(job, parts)
    _, crops = covering_crops(cropped_store.settings, job.split.train)
    assert crops is not None
    assert len(source.training) == len(source.kinds) == len(crops.begin) > len(job.split.train)
    assert len(source.validation) > len(job.split.validation)
    assert all(np.isfinite(part).all() for part in source.training.parts)


@pytest.mark.parametrize(
    ("asked", "kind", "message"),
    [
        ({"weights": "none.h5"}, TrainingError, "there is no such file"),
        ({"weights": "random", "epochs": 1}, SettingsError, "model.stages: two needs an epoch of each"),
        (
            {"weights": "a.h5", "settings": {"model.weights": "b.h5"}},
            SettingsError,
            "weights a.h5, and model.weights b",
        ),
        (
            {"model": "default", "weights": "random", "settings": None},
            SettingsError,
            "default has no such setting; leave it",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_is_refused_before_anything_is_written(asked, kind, message, tiny_store, tmp_path):
    with pytest.raises(kind, match=message):
        train(tiny_store, tmp_path / "bundle", **ASKED | asked)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_weights_of_another_network_are_refused_and_the_next_command_begins_anew(weights, tiny_store, tmp_path):
    other = write_newer_form(make_network("MobileNetV2", 32, alpha=0.35), tmp_path / "narrow.weights.h5")
    with pytest.raises(TrainingError, match="expected the weights of mobilenet-v2"):
        train(tiny_store, tmp_path / "bundle", weights=other, **HEAD)
    assert [path.name for path in tmp_path.iterdir()] == [other.name], "nothing that is in the way of the next command"


def test_kept_outputs_are_taken_from_any_of_their_files():
    whole = np.random.default_rng(0).normal(3, 2, (10, 4)).astype(np.float32)
    kept = KeptOutputs((whole[:4], whole[4:8])) + KeptOutputs((whole[8:],))
    places = np.array([9, 0, 3, 4, 4, 8])
    np.testing.assert_array_equal(kept.take(places), whole[places])
    mean, std = kept.measure()
    np.testing.assert_allclose(mean, whole.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(std, whole.std(axis=0), rtol=1e-6)
    assert len(kept) == 10
