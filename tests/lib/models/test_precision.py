"""Half precision: the same scores and embeddings to within what 16 bits hold, and no layer forgotten."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hubbub
from hubbub.errors import LabelsError, StoreError, UsageError
from hubbub.models.bundle import load_bundle
from hubbub.models.opening import open_embedder
from hubbub.models.precision import lower_precision
from tests.lib.models.sounds import draw_windows, write_recording
from tests.tone_model import write_tone_model
from tests.untrained import WINDOW_S, write_untrained

keras = pytest.importorskip("keras")

WITHIN = {"float16": 1e-2, "bfloat16": 3e-2}
"""Of scores, and of embeddings as a share of the largest."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles")
    for name in ("seed-cnn", "default", "detector"):
        write_untrained(folder / name, name)
    return folder


@pytest.mark.parametrize(
    ("name", "precision"), [("seed-cnn", "float16"), ("default", "bfloat16"), ("detector", "float16")]
)
def test_scores_and_embeddings_stay_where_they_are(folder: Path, name: str, precision: str):
    plain, lowered = load_bundle(folder / name), load_bundle(folder / name, runtime=f"keras-{precision}")
    layers = {layer.name: layer.compute_dtype for layer in lowered.network.layers if layer.weights}
    assert {dtype for layer, dtype in layers.items() if layer != "scores"} == {precision}
    assert layers["scores"] == "float32"
    assert {str(weight.dtype) for weight in lowered.network.weights} == {"float32"}
    features = plain.prepare(draw_windows(20))
    scores = lowered.predict(features)
    np.testing.assert_allclose(scores, plain.predict(features), atol=WITHIN[precision])
    embeddings, expected = lowered.embed(features), plain.embed(features)
    assert (scores.dtype, embeddings.dtype) == (np.float32, np.float32)
    np.testing.assert_allclose(embeddings, expected, atol=WITHIN[precision] * np.abs(expected).max())
    assert not np.array_equal(embeddings, expected)
    if plain.frames is not None:
        block = plain.frames.pad(features[:1].astype(np.float32))[0]
        np.testing.assert_allclose(lowered.score_block(block), plain.score_block(block), atol=WITHIN[precision])


def test_networks_in_networks_are_lowered_too():
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)], name="inner")
    given = keras.Input((4,))
    whole = keras.Model(given, keras.layers.Dense(2, name="scores")(inner(given)))
    lowered = lower_precision(whole, "bfloat16")
    assert lowered.get_layer("inner").layers[0].compute_dtype == "bfloat16"
    assert lowered.get_layer("scores").compute_dtype == "float32"
    values = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    np.testing.assert_allclose(np.asarray(lowered(values)), np.asarray(whole(values)), atol=3e-2)


def test_a_store_is_embedded_in_the_precision_it_began_with(folder: Path, tmp_path: Path):
    write_recording(tmp_path / "sounds" / "a.wav", 2.0)
    embed = {"model": folder / "seed-cnn", "cluster": "serial"}
    plain = hubbub.embed(tmp_path / "sounds", tmp_path / "plain", **embed)
    store = hubbub.embed(tmp_path / "sounds", tmp_path / "store", precision="bfloat16", **embed)
    assert plain.settings_hash != store.settings_hash
    rows = store.rows()["row"].tolist()
    held, expected = store.read_rows(rows), plain.read_rows(rows)
    np.testing.assert_allclose(held, expected, atol=WITHIN["bfloat16"] * np.abs(expected).max())
    assert not np.array_equal(held, expected)
    lowered = open_embedder(folder / "seed-cnn", precision="bfloat16")
    write_recording(tmp_path / "sounds" / "b.wav", WINDOW_S, seed=1)
    hubbub.embed(tmp_path / "sounds", store.path, cluster="serial")
    grown = hubbub.open_store(store.path)
    assert len(grown.rows()) == len(rows) + 1
    assert lowered.model_hash == grown.settings.frontend.model_hash
    with pytest.raises(StoreError, match="--precision float32: .* was built with bfloat16"):
        hubbub.embed(tmp_path / "sounds", store.path, precision="float32", cluster="serial")


@pytest.mark.slow
def test_label_tables_are_scored_in_the_precision_they_began_with(folder: Path, tmp_path: Path):
    write_recording(tmp_path / "sounds" / "a.wav", 2.0)
    label = {"bundle": folder / "default", "cluster": "serial"}
    plain = hubbub.label(tmp_path / "sounds", out=tmp_path / "plain", **label).windows()
    tables = hubbub.label(tmp_path / "sounds", out=tmp_path / "labels", precision="bfloat16", **label)
    scores, expected = (np.stack(one["scores"].to_list()) for one in (tables.windows(), plain))
    np.testing.assert_allclose(scores, expected, atol=WITHIN["bfloat16"])
    assert not np.array_equal(scores, expected)
    write_recording(tmp_path / "sounds" / "b.wav", 1.0, seed=1)
    assert len(hubbub.label(tmp_path / "sounds", out=tables.path, **label).files()) == 2
    for precision in ("float32", "float16"):
        with pytest.raises(LabelsError, match="runtime: "):
            hubbub.label(tmp_path / "sounds", out=tables.path, precision=precision, **label)
    with pytest.raises(LabelsError, match="runtime: 'keras-float16', not None"):
        hubbub.label(tmp_path / "sounds", out=tmp_path / "plain", precision="float16", **label)


def test_what_has_no_such_precision_is_refused(folder: Path, tmp_path: Path):
    write_recording(tmp_path / "sounds" / "a.wav", 2.0)
    sounds, out = tmp_path / "sounds", tmp_path / "out"
    for call in (hubbub.embed, hubbub.label):
        with pytest.raises(UsageError, match="--precision half: expected float32 or float16 or bfloat16"):
            call(sounds, **_arguments(call, out, folder / "seed-cnn"), precision="half", cluster="serial")
    pytest.importorskip("onnx")
    others = write_tone_model(tmp_path / "model")
    with pytest.raises(UsageError, match=r"a model of others, which computes as its file says; leave --precision out"):
        hubbub.embed(sounds, out, model=others, precision="float16", cluster="serial")


def _arguments(call: object, out: Path, model: Path) -> dict[str, Path]:
    return {"out": out, "model": model} if call is hubbub.embed else {"out": out, "bundle": model}
