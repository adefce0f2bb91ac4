"""Embeddings by networks of ours: what feeds the layer of scores; copies of models; heads with their backbones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hubbub.config import Settings, Windows
from hubbub.config.frontends import EmbeddingSettings
from hubbub.errors import BundleError
from hubbub.io.atomic import hash_file
from hubbub.io.paths import parse_path
from hubbub.models import copies, embedding
from hubbub.models.bundle import Bundle, load_bundle, read_bundle
from hubbub.models.copies import check_copy, copy_model
from hubbub.models.embedding import export_embedding, has_exported
from hubbub.models.heads import BACKBONE, HeadModel, embed_samples
from hubbub.models.opening import check_model, find_model, list_needs, open_embedder, open_model
from tests.lib.models.sounds import draw_windows
from tests.tone_model import write_tone_model
from tests.untrained import RATE, WINDOW_S, write_untrained

keras = pytest.importorskip("keras")

ROUNDING = 1e-4
"""Of ONNX Runtime beside Keras, as a share of the largest value."""

NETWORKS = ("seed-cnn", "default", "detector")
EXPORTED = ("seed-cnn", "detector")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle of each network."""
    folder = tmp_path_factory.mktemp("bundles")
    for name in NETWORKS:
        write_untrained(folder / name, name)
    return folder


def embed_by_hand(bundle: Bundle, features: np.ndarray) -> np.ndarray:
    """Values before the last layer, row by row; of frames their mean."""
    network = bundle.network
    cut = keras.Model(network.inputs, network.get_layer("scores").input)
    found = []
    for row in features.astype(np.float32):
        padded = row[None] if bundle.frames is None else bundle.frames.pad(row[None])
        values = keras.ops.convert_to_numpy(cut(padded, training=False))
        if bundle.frames is not None:
            values = values[:, : bundle.frames.count(len(row))].mean(axis=1)
        found.append(values[0])
    return np.array(found)


@pytest.mark.parametrize("name", NETWORKS)
def test_an_embedding_is_what_feeds_the_scores(folder: Path, name: str):
    bundle = load_bundle(folder / name)
    features = bundle.prepare(draw_windows(18))
    found, expected = bundle.embed(features), embed_by_hand(bundle, features)
    assert (found.shape, found.dtype) == ((18, bundle.dimension), np.float32)
    np.testing.assert_allclose(found, expected, atol=ROUNDING * np.abs(expected).max())
    if bundle.frames is None:  # and the last layer makes the scores of them
        kernel, bias = (keras.ops.convert_to_numpy(part) for part in bundle.network.get_layer("scores").weights)
        logits = found @ kernel + bias
        by_hand = 1 / (1 + np.exp(-logits)) if name == "default" else np.exp(logits) / np.exp(logits).sum(1)[:, None]
        np.testing.assert_allclose(bundle.predict(features), by_hand, atol=1e-5)


def test_rows_beside_it_change_no_embedding(folder: Path):
    bundle = load_bundle(folder / "default")
    features = bundle.prepare(draw_windows(19))
    together = bundle.embed(features)
    among_others = np.where(np.arange(19)[:, None, None] % 3 == 0, features, features[::-1])
    np.testing.assert_array_equal(bundle.embed(among_others)[::3], together[::3])
    for first in range(0, 19, 6):
        np.testing.assert_array_equal(bundle.embed(features[first:])[0], bundle.embed(features[first : first + 1])[0])
    # Alone it has another place in its batch, which some processors' kernels round otherwise.
    alone = np.concatenate([bundle.embed(row[None]) for row in features])
    np.testing.assert_allclose(alone, together, rtol=0, atol=1e-6 * np.abs(together).max())
    assert bundle.embed(features[:0]).shape == (0, bundle.dimension)
    with pytest.raises(BundleError, match="expected rows of 17 frames x 16 bands"):
        bundle.embed(features[:, :5])


def test_an_older_bundle_that_does_not_say_its_dimension_has_one(folder: Path, tmp_path: Path):
    old = tmp_path / "old"
    shutil.copytree(folder / "seed-cnn", old)
    change_description(old, dimension=None)
    assert load_bundle(old).dimension == load_bundle(folder / "seed-cnn").dimension == 256


def change_description(bundle: Path, **changed: object) -> None:
    file = bundle / "bundle.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))


@pytest.fixture(scope="module")
def exported(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies of the bundles, with the networks that embed for ONNX Runtime."""
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    target = tmp_path_factory.mktemp("exported")
    for name in EXPORTED:
        copy_model(folder / name, target / name, export=True)
    return target


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPORTED)
def test_onnx_runtime_embeds_the_same_and_no_row_knows_those_beside_it(folder: Path, exported: Path, name: str):
    bundle, original = read_bundle(exported / name), load_bundle(folder / name)
    assert has_exported(bundle.description)
    assert bundle.model_hash == original.model_hash
    assert list_needs(exported / name) == ("onnxruntime",)
    features = bundle.prepare(draw_windows(21))
    found, expected = bundle.embed(features), original.embed(features)
    np.testing.assert_allclose(found, expected, atol=ROUNDING * max(1.0, np.abs(expected).max()))
    np.testing.assert_array_equal(np.concatenate([bundle.embed(row[None]) for row in features]), found)
    assert "_model" not in vars(bundle)  # Keras was not asked


def test_a_network_that_differs_is_not_written(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(embedding, "MOST_SHARE", -1.0)
    bundle = load_bundle(folder / "seed-cnn")
    assert export_embedding(bundle, bundle.network, tmp_path / "embedding.onnx") is None
    assert not list(tmp_path.iterdir())


def test_a_copy_is_whole_or_none(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source, target = exported / "seed-cnn", tmp_path / "copy"
    model_hash = read_bundle(source).model_hash
    write = copies.write_bytes

    def die(path: Path, data: bytes) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(copies, "write_bytes", die)
    with pytest.raises(KeyboardInterrupt):
        copy_model(source, target)
    with pytest.raises(BundleError, match="holds 0 models; expected a bundle, or one YAML file"):
        check_copy(target, model_hash)
    monkeypatch.setattr(copies, "write_bytes", write)
    assert copy_model(source, target) == check_copy(target, model_hash) == target
    for name in ("model.keras", "embedding.onnx"):
        assert hash_file(target / name) == hash_file(source / name)
    with pytest.raises(BundleError, match=rf"has the hash {model_hash}, expected {'0' * 16}"):
        check_copy(target, "0" * 16)


@pytest.mark.parametrize("name", ["model.keras", "embedding.onnx"])
def test_a_changed_copy_is_refused(exported: Path, tmp_path: Path, name: str):
    target = tmp_path / "copy"
    shutil.copytree(exported / "seed-cnn", target)
    with open(target / name, "ab") as file:
        file.write(b"more")
    with pytest.raises(BundleError, match="changed or cut short"):
        check_copy(target, read_bundle(exported / "seed-cnn").model_hash)


def test_a_model_of_others_is_copied_with_what_its_yaml_names(tmp_path: Path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    source = write_tone_model(tmp_path / "source")
    copy = copy_model(source, tmp_path / "copy", export=True)
    assert copy == find_model(tmp_path / "copy") == tmp_path / "copy" / "tones.yaml"
    model, original = open_embedder(copy), open_embedder(source)
    assert check_copy(tmp_path / "copy", original.model_hash) == copy
    source.rename(source.with_name("renamed.yml"))
    copy = copy_model(source.with_name("renamed.yml"), tmp_path / "copy")  # again, as after a damage
    assert check_copy(tmp_path / "copy", original.model_hash) == copy == tmp_path / "copy" / "renamed.yml"
    windows = draw_windows(3)
    np.testing.assert_array_equal(model.embed(model.prepare(windows)), original.embed(original.prepare(windows)))


def test_a_copy_in_a_bucket_is_the_same_model(exported: Path, s3: str):
    target = parse_path(f"{s3}/store/model")
    copy_model(exported / "seed-cnn", target)
    original = read_bundle(exported / "seed-cnn")
    check_copy(target, original.model_hash)
    model = open_embedder(target)
    features = original.prepare(draw_windows(3))
    np.testing.assert_array_equal(model.embed(features), original.embed(features))


def write_head(folder: Path, backbone: Path, *, dtype: str = "float32") -> Path:
    """Write an untrained head on a backbone's embeddings, with its copy."""
    model = open_embedder(backbone)
    settings = Settings(
        frontend=EmbeddingSettings(
            model="tests", model_hash=model.model_hash, dimension=model.dimension, sample_rate=RATE
        ),
        windows=Windows(mode="all", duration_s=WINDOW_S),
        dtype=dtype,
    )
    write_untrained(folder, "linear", settings, standardisation={})
    copy_model(backbone, folder / BACKBONE)
    return folder


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_head_scores_what_its_backbone_makes(folder: Path, tmp_path: Path, dtype: str):
    path = write_head(tmp_path / "head", folder / "seed-cnn", dtype=dtype)
    check_model(path)
    model = open_model(path)
    assert isinstance(model, HeadModel)
    assert (model.labels, model.dimension) == (["hiss", "hum", "ring"], None)
    backbone, windows = load_bundle(folder / "seed-cnn"), draw_windows(5)
    rows = model.prepare(windows)
    assert (rows.shape, rows.dtype) == ((5, 1, 256), np.dtype(dtype))
    expected = backbone.embed(backbone.prepare(windows)).astype(dtype)
    np.testing.assert_array_equal(rows[:, 0], expected)
    np.testing.assert_array_equal(rows, embed_samples(backbone, windows, model.settings))
    np.testing.assert_array_equal(model.predict(rows), load_bundle(path).predict(expected[:, None]))


def test_a_head_embeds_nothing_itself(folder: Path, tmp_path: Path):
    path = write_head(tmp_path / "head", folder / "seed-cnn")
    told = rf"is a head on embeddings, which its backbone makes; embed with --model {path}/backbone"
    with pytest.raises(BundleError, match=told):
        open_embedder(path)
    with pytest.raises(BundleError, match=told):
        open_model(path).embed(np.zeros((1, 1, 256)))
    assert open_embedder(path / BACKBONE).dimension == 256


def test_a_head_with_another_backbone_is_refused(folder: Path, tmp_path: Path):
    path = write_head(tmp_path / "head", folder / "seed-cnn")
    own = read_bundle(folder / "seed-cnn").model_hash
    shutil.rmtree(path / BACKBONE)
    for use in (open_model, check_model):
        with pytest.raises(BundleError, match="holds 0 models"):
            use(path)
    copy_model(folder / "default", path / BACKBONE)
    for use in (open_model, check_model):
        with pytest.raises(BundleError, match=rf"was trained on embeddings of {own}: one of the two was changed"):
            use(path)


def test_the_backbone_counts_in_a_heads_hash(folder: Path, tmp_path: Path):
    one = read_bundle(write_head(tmp_path / "one", folder / "seed-cnn"))
    assert one.model_hash != hash_file(one.path / "model.keras")
    other = one.description["settings"]
    other["frontend"]["model_hash"] = "0" * 16
    change_description(one.path, settings=other)
    with pytest.raises(BundleError, match="was changed or cut short"):
        read_bundle(one.path)
