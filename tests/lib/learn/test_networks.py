"""Networks: what their graphs hold, how large they are, and shapes at the edges."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import get_window

keras = pytest.importorskip("keras")

from keras import layers  # noqa: E402

from hubbub.config.recipes import choose_recipe_settings  # noqa: E402
from hubbub.learn.dataset import BandStatistics  # noqa: E402
from hubbub.learn.fitting import build_network, compile_model  # noqa: E402
from hubbub.learn.networks import NAMES, Shape, find_recipe  # noqa: E402
from hubbub.learn.networks.fourier import power_spectra  # noqa: E402
from hubbub.learn.networks.standard import shrink, standardise  # noqa: E402
from hubbub.learn.pretrained import PUBLISHED  # noqa: E402

MOST_PARAMETERS = 2_000_000
DEFAULT_SHAPE = Shape(n_frames=216, n_bands=128, n_labels=10)

EXPORTED_OPERATIONS = {"Absolute", "Add", "Exp", "GetItem", "Log", "Maximum", "Mean", "Multiply", "Pad", "Sqrt"}
"""Of `keras.ops`, as nodes of a functional model: each of them is written by tf2onnx."""


def build(name: str, shape: Shape) -> keras.Model:
    statistics = BandStatistics(np.full(shape.n_bands, -30.0), np.full(shape.n_bands, 10.0))
    return find_recipe(name).build(shape, statistics, find_recipe(name).defaults.model)


# The networks for photographs have one form.
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("inception-v3", "efficientnet-b0")])
def test_graphs_hold_layers_and_operations_that_exporters_write(name):
    nodes = build(name, DEFAULT_SHAPE).operations
    others = {type(node).__name__ for node in nodes if not isinstance(node, keras.Layer)}
    assert others <= EXPORTED_OPERATIONS
    assert not any("fft" in type(node).__name__.lower() or "stft" in node.name for node in nodes)


def test_the_default_network_keeps_no_tensor_outside_its_weights_and_settings():
    """`Normalization` with a mean given does; tf2onnx makes inputs of them."""
    assert not [layer for layer in build("default", DEFAULT_SHAPE).layers if isinstance(layer, layers.Normalization)]


# Those of cnn-64 and cnn-128 hold layers of the others alone.
@pytest.mark.parametrize("name", ["default", "cnn-stft-32", "crnn"])
def test_an_exported_network_gives_the_same_scores(name, tmp_path):
    pytest.importorskip("tf2onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    model = build(name, Shape(n_frames=50, n_bands=16, n_labels=3))
    rows = np.random.default_rng(0).normal(-30, 10, (4, 50, 16)).astype(np.float32)
    expected = keras.ops.convert_to_numpy(model(rows))
    model.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (scores,) = session.run(None, {session.get_inputs()[0].name: rows})
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_bands_are_standardised():
    statistics = BandStatistics(np.array([-50.0, 0.0, 3e-6]), np.array([0.1, 20.0, 1e-6]))
    row = keras.Input((7, 3))
    rows = (statistics.mean + statistics.std * np.random.default_rng(0).normal(0, 1, (4, 7, 3))).astype(np.float32)
    given = keras.Model(row, standardise(row, statistics))(rows)
    np.testing.assert_allclose(given, (rows - statistics.mean) / statistics.std, atol=1e-3)


def test_the_default_network_is_small():
    assert build("default", DEFAULT_SHAPE).count_params() <= MOST_PARAMETERS


def stft_power(series: np.ndarray, *, length: int, hop: int) -> np.ndarray:
    """Window by window, with NumPy's transform and SciPy's window."""
    padded = np.pad(series, ((0, 0), (0, 0), (length // 2, length // 2)), mode="reflect")
    starts = range(0, padded.shape[-1] - length + 1, hop)
    windows = np.stack([padded[..., start : start + length] for start in starts], axis=2)
    return np.abs(np.fft.rfft(windows * get_window("hann", length))) ** 2


@pytest.mark.parametrize(("n_frames", "length"), [(216, 64), (101, 64), (64, 64), (33, 33), (4, 4)])
def test_the_power_spectra_are_those_of_the_stft(n_frames, length):
    series = np.random.default_rng(0).normal(0, 1, (3, 5, n_frames)).astype(np.float32)
    hop = max(1, length // 4)
    row = keras.Input((5, n_frames))
    given = keras.ops.convert_to_numpy(keras.Model(row, power_spectra(row, length=length, hop=hop))(series))
    np.testing.assert_allclose(given, stft_power(series, length=length, hop=hop), rtol=1e-4, atol=1e-4)


def test_the_power_spectra_are_those_of_keras():
    series = np.random.default_rng(0).normal(0, 1, (3, 5, 216)).astype(np.float32)
    row = keras.Input((5, 216))
    given = keras.ops.convert_to_numpy(keras.Model(row, power_spectra(row, length=64, hop=16))(series))
    real, imaginary = keras.ops.stft(series, 64, 16, 64, window="hann")
    expected = keras.ops.convert_to_numpy(real * real + imaginary * imaginary)
    np.testing.assert_allclose(given, expected, rtol=1e-4, atol=1e-4)


def test_the_transform_is_not_trained_and_survives_saving(tmp_path):
    model = build("default", Shape(n_frames=50, n_bands=16, n_labels=3))
    assert not model.get_layer("fourier").trainable_variables
    model.save(tmp_path / "model.keras")
    rows = np.random.default_rng(0).normal(-30, 10, (4, 50, 16)).astype(np.float32)
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_allclose(again(rows), model(rows), atol=1e-6)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("detector", *PUBLISHED)])
@pytest.mark.parametrize("shape", [(2, 4, 2), (3, 1, 2), (44, 16, 2), (47, 257, 5)])
def test_networks_take_small_shapes(name, shape, tmp_path):
    n_frames, n_bands, n_labels = shape
    model = build(name, Shape(n_frames, n_bands, n_labels))
    rows = np.random.default_rng(0).normal(-30, 10, (2, n_frames, n_bands)).astype(np.float32)
    scores = keras.ops.convert_to_numpy(model(rows))
    if shape == (44, 16, 2):  # of which a file in Keras's safe mode is the same network
        model.save(tmp_path / "model.keras")
        np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)(rows), scores)
    assert scores.shape == (2, n_labels)
    assert np.isfinite(scores).all()


def test_a_picture_is_shrunk_by_means_of_all_its_frames():
    """Interpolation alone would look at 64 of 626 frames."""
    picture = keras.Input((626, 129, 1))
    shrunk = keras.Model(picture, shrink(picture, 32))
    for frame in (0, 7, 300, 613):
        one = np.zeros((1, 626, 129, 1), np.float32)
        one[0, frame] = 1.0
        seen = keras.ops.convert_to_numpy(shrunk(one))
        assert seen.shape == (1, 32, 32, 1)
        assert seen.max() > 0.5 / 19


def test_a_picture_of_the_right_size_stays_as_it_is():
    picture = keras.Input((32, 32, 1))
    rows = np.random.default_rng(0).normal(0, 1, (1, 32, 32, 1)).astype(np.float32)
    np.testing.assert_allclose(keras.Model(picture, shrink(picture, 32))(rows), rows, atol=1e-6)


@pytest.mark.parametrize("precision", [pytest.param("float32", marks=pytest.mark.slow), "mixed_float16"])
def test_a_training_step_is_traced_once(precision):
    """Variables that a step makes are a reason to trace it a second time: some seconds of every training."""
    shape, statistics = (
        Shape(n_frames=32, n_bands=16, n_labels=3),
        BandStatistics(np.full(16, -30.0), np.full(16, 10.0)),
    )
    settings = choose_recipe_settings("default", {"train.precision": precision})
    recipe = find_recipe("default")
    model = build_network(recipe, shape, statistics, settings, batch_rows=8)
    compile_model(model, recipe, settings, steps=4, batch_rows=8, learning_rate=0.001)
    traced, step = [], model.train_step

    def count(batch: object) -> object:
        traced.append(batch)
        return step(batch)

    model.train_step = count
    rows, targets = np.zeros((4, 32, 16), np.float32), np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    model.fit(rows, targets, batch_size=2, epochs=2, verbose=0)
    assert len(traced) == 1
