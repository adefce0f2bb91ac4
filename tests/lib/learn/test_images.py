"""Spectrograms as images: what networks for photographs get to see, and which of their layers train when."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from hubbub.errors import HubbubError

keras = pytest.importorskip("keras")

from hubbub.config.recipes import parse_recipe_settings  # noqa: E402
from hubbub.learn.dataset import BandStatistics  # noqa: E402
from hubbub.learn.networks import Shape, find_recipe  # noqa: E402
from hubbub.learn.networks.images import (  # noqa: E402
    IMAGE_NETWORK,
    SCORES,
    plan_stages,
    take_head,
    unfreeze_top,
)

SHAPE = Shape(17, 16, 3)
MEAN, STD = np.linspace(-60, -20, 16), np.linspace(5, 12, 16)
ROWS = (MEAN + STD * np.random.default_rng(0).normal(0, 1, (6, 17, 16))).astype(np.float32)


def choose(**changes: object):
    changes = {"side_px": 32} | changes
    return parse_recipe_settings("mobilenet-v2", {f"model.{name}": value for name, value in changes.items()}).model


def build(name: str = "mobilenet-v2", shape: Shape = SHAPE, **changes: object) -> keras.Model:
    return find_recipe(name).build(shape, BandStatistics(MEAN, STD), choose(**changes))


def see_image(network: keras.Model) -> np.ndarray:
    """What the image network gets."""
    seen = keras.Model(network.input, network.get_layer("pixels").output)
    return keras.ops.convert_to_numpy(seen(ROWS))


@pytest.fixture(scope="module")
def network() -> keras.Model:
    return build()


def stretch(values: np.ndarray, axis: int) -> np.ndarray:
    """Linear interpolation to 32 pixels along an axis, one line after the other."""
    length = values.shape[axis]
    at = (np.arange(32) + 0.5) * length / 32 - 0.5
    return np.apply_along_axis(lambda line: np.interp(at, np.arange(length), line), axis, values)


def test_bands_lie_down_the_image_and_time_across_standardised_within_what_photographs_have(network):
    image = see_image(network)
    assert image.shape == (6, 32, 32, 3)
    standard = 0.5 * ((ROWS - MEAN) / STD).transpose(0, 2, 1)  # a standard deviation is a quarter of black to white
    np.testing.assert_allclose(image[..., 0], stretch(stretch(standard, 1), 2), atol=1e-4)
    np.testing.assert_array_equal(image[..., 0], image[..., 1])
    np.testing.assert_array_equal(image[..., 0], image[..., 2])


def test_efficientnet_gets_pixels_from_0_to_255(network):
    np.testing.assert_allclose(see_image(build("efficientnet-b0")), 127.5 + 127.5 * see_image(network), atol=1e-3)


def test_deltas_are_those_of_librosa_but_for_their_scale():
    """And the scale leaves noise as spread as it was."""
    shape = Shape(40, 16, 3)
    network = build(shape=shape, channels="deltas")
    rows = (MEAN + STD * np.random.default_rng(1).normal(0, 1, (1, 40, 16))).astype(np.float32)
    (inner,) = (layer for layer in network.layers if type(layer).__name__ == "Concatenate")
    seen = keras.ops.convert_to_numpy(keras.Model(network.input, inner.output)(rows))[0]
    standard = ((rows[0] - MEAN) / STD).T
    np.testing.assert_allclose(seen[..., 0], standard, atol=1e-4)
    for channel, order in ((1, 1), (2, 2)):
        expected = librosa.feature.delta(standard, width=9, order=order)[:, 4:-4]
        ours = seen[:, 4:-4, channel]
        scale = np.sum(ours * expected) / np.sum(expected**2)
        np.testing.assert_allclose(ours, scale * expected, atol=1e-4)
        assert 0.8 < ours.std() / standard.std() < 1.25


def test_the_head_on_the_frozen_layers_outputs_is_the_network(network):
    parts = take_head(network)
    outputs = parts.frozen.predict_on_batch(ROWS)
    assert outputs.shape == (6, 1280)
    assert parts.adapt is not None
    parts.adapt(outputs.mean(axis=0), outputs.std(axis=0))
    np.testing.assert_allclose(parts.fitted.predict_on_batch(outputs), network.predict_on_batch(ROWS), atol=1e-6)
    assert [one.path.split("/")[-2:] for one in parts.fitted.trainable_variables] == [
        [SCORES, "kernel"],
        [SCORES, "bias"],
    ]
    assert len(network.trainable_variables) == 2


def test_outputs_that_hardly_change_are_not_blown_up(network):
    parts = take_head(network)
    assert parts.adapt is not None
    mean, std = np.zeros(1280), np.ones(1280)
    std[0], mean[1:3], std[2] = 1e-9, 100, 5
    parts.adapt(mean, std)
    scale = 1 / np.sqrt(parts.fitted.get_layer("standard_outputs").moving_variance)
    np.testing.assert_allclose(scale[:4], [200, 0.5, 0.2, 1], rtol=1e-3)
    parts.adapt(np.zeros(1280), np.zeros(1280))
    standard = parts.fitted.get_layer("standard_outputs")
    np.testing.assert_allclose(standard(np.ones((1, 1280), np.float32)), 1.0, rtol=1e-3)


@pytest.mark.parametrize(("share", "trained"), [(0.01, 1), (0.3, 16), (1.0, 52)])
def test_layers_are_unfrozen_from_the_top_and_batch_normalisation_stays(share, trained, network):
    unfreeze_top(network, share=share)
    image_network = network.get_layer(IMAGE_NETWORK)
    having = [layer for layer in image_network.layers if layer.weights]
    kernels = [layer for layer in having if not isinstance(layer, keras.layers.BatchNormalization)]
    assert [bool(layer.trainable_variables) for layer in kernels] == [False] * (52 - trained) + [True] * trained
    assert not any(layer.trainable_variables for layer in having if isinstance(layer, keras.layers.BatchNormalization))
    assert len(network.trainable_variables) == trained + 2


def test_batch_normalisation_learns_nothing_where_the_upper_layers_train(network):
    unfreeze_top(network, share=1.0)
    before = network.predict_on_batch(ROWS)
    network(ROWS, training=True)
    np.testing.assert_array_equal(network.predict_on_batch(ROWS), before)


def test_all_of_it_learns_where_all_trains():
    whole = build(stages="whole")
    norm = whole.get_layer(IMAGE_NETWORK).get_layer("bn_Conv1")
    before = keras.ops.convert_to_numpy(norm.moving_mean)
    whole(ROWS, training=True)
    assert np.abs(keras.ops.convert_to_numpy(norm.moving_mean) - before).max() > 0
    assert norm.momentum == 0.9


@pytest.mark.slow
def test_a_copy_and_a_saved_one_have_the_same_weights_in_the_same_places(network, tmp_path):
    """Checkpoints are numbered: the layers that were frozen, and those that were not, must count alike."""
    unfreeze_top(network, share=0.3)
    copy = keras.Model.from_config(network.get_config())
    copy.set_weights(network.get_weights())
    np.testing.assert_array_equal(copy.predict_on_batch(ROWS), network.predict_on_batch(ROWS))
    network.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    np.testing.assert_array_equal(loaded.predict_on_batch(ROWS), network.predict_on_batch(ROWS))


STAGES = [
    ({"stages": "head"}, 7, [(0, 7, 3e-4)]),
    ({"stages": "whole"}, 7, [(0, 7, 3e-4)]),
    ({"stages": "two"}, 7, [(0, 4, 3e-4), (4, 7, 3e-5)]),
    ({"stages": "two"}, 2, [(0, 1, 3e-4), (1, 2, 3e-5)]),
    ({"stages": "two", "head_share": 0.99}, 10, [(0, 9, 3e-4), (9, 10, 3e-5)]),
    (
        {"stages": "two", "head_share": 0.01, "unfrozen_rate": 0.5, "learning_rate": 0.01},
        10,
        [(0, 1, 0.01), (1, 10, 0.005)],
    ),
]


@pytest.mark.parametrize(("changes", "epochs", "expected"), STAGES, ids=str)
def test_epochs_are_divided_into_stages(changes, epochs, expected):
    stages = plan_stages(epochs, choose(**changes))
    assert [(one.first, one.last) for one in stages] == [(first, last) for first, last, _ in expected]
    np.testing.assert_allclose([one.learning_rate for one in stages], [rate for *_, rate in expected])


REFUSED = [
    (lambda: plan_stages(1, choose(stages="two")), "model.stages: two needs an epoch of each; give at least 2"),
    (lambda: build(shape=Shape(1, 1280, 3)), r"rows of 1 x 1280 \(frames x bands\) make no image"),
    (lambda: build(shape=Shape(8000, 1, 3)), "make no image; make features of several frames and bands"),
    (lambda: build(shape=Shape(4, 16, 3), channels="deltas"), "rows of 4 frames are too short for changes over time"),
    (lambda: choose(side_px=31), "model.side_px: expected at least 32"),
    (lambda: parse_recipe_settings("inception-v3", {"model.side_px": 74}), "model.side_px: expected at least 75"),
    (
        lambda: parse_recipe_settings("default", {"model.channels": "deltas"}),
        "unknown setting 'model.channels': default has no such setting; leave it out, or use --model inception-v3 or",
    ),
]


@pytest.mark.parametrize(("do", "message"), REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_what_cannot_be_is_refused(do, message):
    with pytest.raises(HubbubError, match=message):
        do()
