"""Files of weights in every form, and files that are something else: read as data, or refused with the reason."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from hubbub.errors import TrainingError

keras = pytest.importorskip("keras")

from hubbub.learn.dataset import BandStatistics  # noqa: E402
from hubbub.learn.networks import Shape, find_recipe  # noqa: E402
from hubbub.learn.networks.images import IMAGE_NETWORK, IMAGENET_STD, NORMALISER  # noqa: E402
from hubbub.learn.weight_files import MOST_BYTES, open_weights  # noqa: E402
from tests.lib.learn.image_weights import (  # noqa: E402
    make_network,
    write_archive,
    write_newer_form,
    write_older_form,
)

SIDE_PX = 32
IMAGES = np.random.default_rng(1).uniform(0, 255, (2, SIDE_PX, SIDE_PX, 3)).astype(np.float32)


def build(name: str, **changes: object) -> keras.Model:
    recipe = find_recipe(name)
    settings = recipe.defaults.model.model_copy(update={"side_px": SIDE_PX} | changes)
    return recipe.build(Shape(17, 16, 3), BandStatistics(np.zeros(16), np.ones(16)), settings)


def see(network: keras.Model) -> np.ndarray:
    return network.predict_on_batch(IMAGES)


@pytest.fixture(scope="module")
def mobilenet() -> keras.Model:
    return make_network("MobileNetV2", SIDE_PX)


@pytest.fixture(scope="module")
def network() -> keras.Model:
    """What the weights are loaded into, again and again."""
    return build("mobilenet-v2")


@pytest.fixture
def weights(mobilenet, tmp_path) -> Path:
    return write_newer_form(mobilenet, tmp_path / "made.weights.h5")


def load(network: keras.Model, file: Path, name: str = "mobilenet-v2") -> keras.Model:
    """The image network with the weights of a file."""
    recipe = find_recipe(name)
    assert recipe.load_weights is not None
    for layer in network.get_layer(IMAGE_NETWORK).layers:
        layer.set_weights([np.zeros(one.shape) for one in layer.weights])
    recipe.load_weights(network, file)
    return network.get_layer(IMAGE_NETWORK)


FORMS = {
    "older.h5": write_older_form,
    "newer.weights.h5": write_newer_form,
    "archive.keras": write_archive,
    "older, whole.h5": write_archive,
}


@pytest.mark.parametrize("form", FORMS)
def test_any_form_gives_the_network_what_the_file_has(form: str, mobilenet, network, tmp_path):
    file = FORMS[form](mobilenet, tmp_path / form)
    np.testing.assert_array_equal(see(load(network, file)), see(mobilenet))


@pytest.mark.parametrize("form", ["older.h5", "newer.weights.h5"])
def test_the_last_layer_of_a_file_is_left_out(form: str, network, tmp_path):
    whole = make_network("MobileNetV2", SIDE_PX, include_top=True, classes=7)
    file = FORMS[form](whole, tmp_path / form)
    expected = keras.Model(whole.input, whole.get_layer("out_relu").output)
    np.testing.assert_array_equal(see(load(network, file)), see(expected))


def test_a_network_within_another_is_found(mobilenet, network, tmp_path):
    """As in what people fine-tuned themselves, and in a bundle's own model."""
    image = keras.Input((SIDE_PX, SIDE_PX, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(mobilenet(image, training=False))
    tuned = keras.Model(image, keras.layers.Dense(2)(pooled))
    file = write_archive(tuned, tmp_path / "tuned.keras")
    np.testing.assert_array_equal(see(load(network, file)), see(mobilenet))


def test_what_a_file_says_beside_its_weights_is_not_read(mobilenet, network, tmp_path):
    """A `Lambda` layer holds code; of an archive, only the arrays are looked at."""
    whole, file = write_archive(mobilenet, tmp_path / "whole.keras"), tmp_path / "odd.keras"
    with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(file, "w") as changed:
        changed.writestr("model.weights.h5", archive.read("model.weights.h5"))
        changed.writestr("config.json", '{"class_name": "Lambda", "config": {"function": "import os"}}')
    np.testing.assert_array_equal(see(load(network, file)), see(mobilenet))


def check_alike(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Values may differ by a thousandth of the largest: small ones are differences of large ones, rounded."""
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-3 * np.abs(theirs).max())


@pytest.mark.slow
def test_the_first_step_of_efficientnet_comes_along_and_its_bundle_is_a_file_of_weights(tmp_path):
    made = make_network("EfficientNetB0", SIDE_PX)
    network = build("efficientnet-b0")
    for form in ("older.h5", "newer.weights.h5"):
        loaded = load(network, FORMS[form](made, tmp_path / form), "efficientnet-b0")
        check_alike(see(loaded), see(made))
    # A bundle's model has another layer in its place.
    network.save(tmp_path / "bundle.keras")
    again = load(network, tmp_path / "bundle.keras", "efficientnet-b0")
    check_alike(see(again), see(made))
    # ImageNet's weights have deviations where variances belong, which keras.applications mends by a layer more.
    (normaliser,) = (layer for layer in made.layers if isinstance(layer, keras.layers.Normalization))
    normaliser.set_weights([np.array([0.485, 0.456, 0.406]), IMAGENET_STD, np.array(0)])
    loaded = load(network, write_older_form(made, tmp_path / "imagenet.h5"), "efficientnet-b0")
    step = keras.Model(loaded.input, loaded.get_layer(NORMALISER).output)
    np.testing.assert_allclose(see(step), (IMAGES / 255 - [0.485, 0.456, 0.406]) / IMAGENET_STD, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_inception_is_loaded_as_well_and_told_apart(network, tmp_path):
    made = make_network("InceptionV3", 75)
    recipe = find_recipe("inception-v3")
    settings = recipe.defaults.model.model_copy(update={"side_px": 75})
    other = recipe.build(Shape(17, 16, 3), BandStatistics(np.zeros(16), np.ones(16)), settings)
    images = np.random.default_rng(1).uniform(-1, 1, (2, 75, 75, 3)).astype(np.float32)
    for form in ("older.h5", "newer.weights.h5"):
        file = FORMS[form](made, tmp_path / form)
        loaded = load(other, file, "inception-v3")
        np.testing.assert_array_equal(loaded.predict_on_batch(images), made.predict_on_batch(images))
        with pytest.raises(
            TrainingError, match="look like those of inception-v3; expected the weights of mobilenet-v2"
        ):
            load(network, file)


def test_weights_of_another_network_are_named_with_what_was_expected(network, tmp_path):
    file = write_newer_form(make_network("EfficientNetB0", SIDE_PX), tmp_path / "other.weights.h5")
    with pytest.raises(TrainingError) as refused:
        load(network, file)
    said = str(refused.value)
    assert f"{file} holds " in said
    assert "4,049,571 values" in said
    assert (
        "which look like those of efficientnet-b0; expected the weights of mobilenet-v2, 104 layers with 2,257," in said
    )


def test_weights_of_another_width_are_refused(network, tmp_path):
    file = write_older_form(make_network("MobileNetV2", SIDE_PX, alpha=0.35), tmp_path / "narrow.h5")
    with pytest.raises(
        TrainingError, match=r"the first Conv1 \(3 x 3 x 3 x 16\); expected the weights of mobilenet-v2"
    ):
        load(network, file)


def spoil_nan(file: h5py.File) -> None:
    file["layers/conv2d/vars/0"][0, 0, 0, 0] = np.nan


def link_elsewhere(file: h5py.File) -> None:
    del file["layers/conv2d/vars/0"]
    file["layers/conv2d/vars/0"] = h5py.ExternalLink("/etc/passwd", "/")


def link_softly(file: h5py.File) -> None:
    file["more"] = h5py.SoftLink("/layers")


def store_elsewhere(file: h5py.File) -> None:
    file.create_dataset("more", (4,), "f4", external=[("/etc/passwd", 0, 16)])


def claim_much(file: h5py.File) -> None:
    file.create_dataset("more", (MOST_BYTES,), "f4", chunks=True)


def hold_many(file: h5py.File) -> None:
    for number in range(20_001):
        file.create_group(f"more/{number}")


def go_round(file: h5py.File) -> None:
    file["layers/conv2d/back"] = file["layers"]


SPOILT: list[tuple[Callable[[h5py.File], None], str]] = [
    (spoil_nan, "holds values that are not finite, in layers/conv2d/vars/0"),
    (link_elsewhere, "refers to another place, by layers/conv2d/vars/0; expected weights alone"),
    (link_softly, "refers to another place, by more"),
    (store_elsewhere, "refers to other files, in more"),
    (claim_much, "claims to hold .* bytes of weights; expected at most"),
    (hold_many, "holds more than the weights of a network"),
    (go_round, "holds more than the weights of a network"),
]


@pytest.mark.parametrize(("spoil", "message"), SPOILT, ids=lambda value: getattr(value, "__name__", ""))
def test_a_file_that_is_more_than_weights_is_refused(spoil, message, weights, network):
    with h5py.File(weights, "r+") as file:
        spoil(file)
    with pytest.raises(TrainingError, match=message):
        load(network, weights)


def test_a_file_that_is_cut_short_or_something_else_is_refused(weights, network, tmp_path):
    whole = weights.read_bytes()
    for content, message in (
        (whole[: len(whole) // 2], "cannot be read as weights"),
        (b"<html>not found</html>", "is no file of weights; expected a file of Keras, .h5, .weights.h5 or .keras"),
        (b"", "is no file of weights"),
        (b"PK\x03\x04 and no more", "cannot be read as weights"),
    ):
        weights.write_bytes(content)
        with pytest.raises(TrainingError, match=message):
            load(network, weights)
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("readme.txt", "no weights here")
    with pytest.raises(TrainingError, match="cannot be read as weights"):
        load(network, tmp_path / "other.keras")


def test_an_archive_that_unpacks_to_too_much_is_not_unpacked(tmp_path, monkeypatch):
    import hubbub.learn.weight_files as module

    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    with zipfile.ZipFile(tmp_path / "bomb.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(100_000))
    with (
        pytest.raises(TrainingError, match="unpacks to 100000 bytes; expected at most 1000"),
        open_weights(tmp_path / "bomb.keras"),
    ):
        pass
