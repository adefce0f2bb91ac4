"""The bundle: what was saved is what is loaded, and what was damaged is not."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hubbub.config import Settings, parse_settings
from hubbub.errors import BundleError
from hubbub.models.bundle import load_bundle, write_bundle
from hubbub.models.fit import check_frontend

keras = pytest.importorskip("keras")


def description(**changed) -> dict:
    settings = Settings()
    return {
        "labels": ["dog", "rain"],
        "activation": "sigmoid",
        "thresholds": {"dog": 0.5, "rain": 0.4},
        "settings": settings.model_dump(mode="json"),
        "settings_hash": settings.hash,
        "n_frames": 4,
        "n_bands": 3,
    } | changed


@pytest.fixture
def folder(tmp_path):
    keras.utils.set_random_seed(0)
    layers = [keras.Input((4, 3)), keras.layers.Flatten(), keras.layers.Dense(2, activation="sigmoid")]
    write_bundle(tmp_path / "bundle", keras.Sequential(layers), description(), "# A card\n")
    return tmp_path / "bundle"


def rows(n: int) -> np.ndarray:
    return np.random.default_rng(n).normal(size=(n, 4, 3)).astype(np.float16)


def test_what_was_saved_is_loaded(folder):
    bundle = load_bundle(folder)
    assert bundle.labels == ["dog", "rain"]
    assert bundle.thresholds == {"dog": 0.5, "rain": 0.4}
    assert (bundle.activation, bundle.settings, bundle.settings_hash) == ("sigmoid", Settings(), Settings().hash)
    assert len(bundle.model_hash) == 16
    dense = keras.saving.load_model(folder / "model.keras").layers[-1]
    kernel, bias = (keras.ops.convert_to_numpy(part) for part in (dense.kernel, dense.bias))
    by_hand = 1 / (1 + np.exp(-(rows(5).astype(np.float32).reshape(5, 12) @ kernel + bias)))
    np.testing.assert_allclose(bundle.predict(rows(5)), by_hand, atol=1e-6)


@pytest.mark.parametrize("n", [0, 1, 15, 16, 17, 40])  # none, one, around a batch, several batches
def test_any_number_of_rows_each_scored_as_if_alone(folder, n):
    bundle = load_bundle(folder)
    scores = bundle.predict(rows(n))
    assert (scores.shape, scores.dtype) == ((n, 2), np.float32)
    alone = [bundle.predict(row[None])[0] for row in rows(n)]
    np.testing.assert_array_equal(scores, np.array(alone, np.float32).reshape(n, 2))


def test_rows_of_another_shape_are_refused(folder):
    with pytest.raises(BundleError, match=r"4 frames x 3 bands; got \[2, 3, 4\]"):
        load_bundle(folder).predict(np.zeros((2, 3, 4)))


def spoil_json(folder, **changed):
    file = folder / "bundle.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))


DAMAGE = [
    # what happened, what the message says
    (lambda folder: (folder / "bundle.json").unlink(), "is no model bundle; give a folder that was made with: "),
    (lambda folder: (folder / "bundle.json").write_text("{"), "cannot be read"),
    (lambda folder: (folder / "bundle.json").write_text("[]"), "has the format None; expected 'hubbub-bundle/1'"),
    (lambda folder: spoil_json(folder, format="hubbub-bundle/9"), "has the format 'hubbub-bundle/9'"),
    (lambda folder: (folder / "model.keras").unlink(), "model.keras is missing"),
    (lambda folder: (folder / "model.keras").write_bytes(b"PK cut short"), "was changed or cut short"),
    (lambda folder: spoil_json(folder, settings_hash="0" * 16), "expected 0000000000000000"),
    (lambda folder: spoil_json(folder, settings=None), "bundle.json is damaged: it has no settings; copy the bundle"),
    (lambda folder: spoil_json(folder, labels=None), "bundle.json is damaged: it has no labels; copy the bundle"),
    (lambda folder: spoil_json(folder, settings={"dtype": "int8"}), "is a damaged bundle.*dtype"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGE)
def test_damage_is_told(folder, damage, message):
    damage(folder)
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)


def test_code_in_a_model_is_not_run(folder):
    ran = []
    layers = [keras.Input((4, 3)), keras.layers.Lambda(lambda x: ran.append(1) or x), keras.layers.Flatten()]
    write_bundle(folder, keras.Sequential(layers), description(), "")
    ran.clear()
    with pytest.raises(BundleError, match="cannot be loaded"):
        load_bundle(folder)
    assert not ran


def test_a_frontend_that_differs_is_refused_with_both_hashes():
    other = parse_settings({"frontend": {"n_mels": 64}}, where="test")
    check_frontend(Settings(), Settings())
    with pytest.raises(BundleError, match=rf"{Settings().hash}, these are {other.hash}.*n_mels: 128, not 64"):
        check_frontend(Settings(), other)


def test_embeddings_and_features_are_told_apart_in_a_sentence():
    frontend = {"name": "embedding", "sample_rate": 8000, "dimension": 4, "model": "m", "model_hash": "0" * 16}
    embeddings = Settings.model_validate({"frontend": frontend})
    with pytest.raises(BundleError, match=r"takes embeddings, and the store holds features \(log-mel\); expected"):
        check_frontend(embeddings, Settings())
    with pytest.raises(BundleError, match=r"takes features \(log-mel\), and the store holds embeddings; expected"):
        check_frontend(Settings(), embeddings)


def test_many_models_in_one_process_are_no_news(tmp_path, caplog):
    """TensorFlow warns where a function is traced again and again: Keras's is traced once for each network."""
    for number in range(7):
        layers = [keras.Input((4, 3)), keras.layers.Flatten(), keras.layers.Dense(2, name="scores")]
        write_bundle(tmp_path / str(number), keras.Sequential(layers), description(), "")
        load_bundle(tmp_path / str(number), runtime="keras").network.predict_on_batch(np.zeros((1, 4, 3), np.float32))
    assert "retracing" not in caplog.text
