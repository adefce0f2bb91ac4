"""Parameters and multiply-adds: counted by hand, by TensorFlow's profiler, and as published."""

from __future__ import annotations

from typing import Any

import pytest

keras = pytest.importorskip("keras")

from keras import layers  # noqa: E402

from hubbub.errors import TrainingError  # noqa: E402
from hubbub.learn.network_cost import build_for_own_features, count_multiply_adds  # noqa: E402
from hubbub.learn.networks import find_recipe  # noqa: E402

BY_HAND = [
    ([layers.Conv2D(7, 3)], (10, 8, 2), (8 * 6) * 7 * (3 * 3 * 2)),
    ([layers.Conv2D(7, (5, 1), strides=2, padding="same")], (10, 8, 2), (5 * 4) * 7 * (5 * 1 * 2)),
    ([layers.Conv2D(6, 3, groups=2, padding="same")], (4, 4, 4), 16 * 6 * (3 * 3 * 2)),
    ([layers.Conv1D(7, 3, padding="same", dilation_rate=2)], (10, 2), 10 * 7 * (3 * 2)),
    ([layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same")], (4, 4, 5), 16 * 5 * 2 * 9),
    ([layers.SeparableConv2D(6, 3, padding="same")], (4, 4, 5), 16 * (5 * 9 + 5 * 6)),
    ([layers.Dense(3)], (10, 4), 10 * 4 * 3),
    # Three gates, each of the values and of the last output.
    ([layers.GRU(6)], (10, 4), 10 * 3 * 6 * (4 + 6)),
    ([layers.LSTM(6, return_sequences=True)], (10, 4), 10 * 4 * 6 * (4 + 6)),
    ([layers.Flatten(), layers.BatchNormalization(), layers.ReLU(), layers.Dropout(0.5)], (10, 4), 0),
]


def chain(parts: list[keras.Layer], shape: tuple[int | None, ...]) -> keras.Model:
    first = hidden = keras.Input(shape)
    for part in parts:
        hidden = part(hidden)
    return keras.Model(first, hidden)


@pytest.mark.parametrize(("parts", "shape", "expected"), BY_HAND, ids=lambda given: str(given)[:40])
def test_layers_cost_what_a_person_counts(parts, shape, expected):
    assert count_multiply_adds(chain(parts, shape), shape) == expected


def test_a_layer_counts_as_often_as_it_is_called_and_a_network_within_a_network_too():
    dense, inner = layers.Dense(4), chain([layers.Dense(5), layers.Dense(4)], (4,))
    outer = chain([dense, dense, inner, inner], (4,))
    assert count_multiply_adds(outer, (4,)) == 2 * 4 * 4 + 2 * (4 * 5 + 5 * 4)


def test_sizes_that_a_network_leaves_open_are_those_given():
    open_ended = chain([layers.Conv2D(3, 3, padding="same"), layers.GlobalMaxPooling2D()], (None, 8, 1))
    assert count_multiply_adds(open_ended, (10, 8, 1)) == 10 * 8 * 3 * 9


def test_a_layer_of_an_unknown_kind_is_refused_by_its_name():
    network = chain([layers.EinsumDense("abc,cd->abd", output_shape=(None, 3), name="mix")], (5, 4))
    with pytest.raises(TrainingError, match=r"of layer mix cannot be counted: .*\(given: EinsumDense\)"):
        count_multiply_adds(network, (5, 4))


def profile(model: keras.Model, shape: tuple[int, ...]) -> int:
    """Multiply-adds of convolutions and matrix products, as TensorFlow's profiler has them: two operations each."""
    tensorflow = pytest.importorskip("tensorflow")
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    v1 = tensorflow.compat.v1
    concrete = tensorflow.function(model).get_concrete_function(tensorflow.TensorSpec((1, *shape), "float32"))
    graph = convert_variables_to_constants_v2(concrete).graph
    options = v1.profiler.ProfileOptionBuilder(v1.profiler.ProfileOptionBuilder.float_operation())
    with graph.as_default():
        found = v1.profiler.profile(graph, cmd="scope", options=options.with_empty_output().build())
    kinds = {operation.name: operation.type for operation in graph.get_operations()}

    def add_up(node: Any) -> int:
        counts = kinds.get(node.name) in ("Conv2D", "DepthwiseConv2dNative", "MatMul")
        return counts * node.float_ops + sum(map(add_up, node.children))

    return add_up(found) // 2


# Not of crnn, whose loop it counts once, nor of detector, whose dilated convolutions TensorFlow pads.
@pytest.mark.parametrize("name", ["default", "cnn-128"])
def test_the_profiler_of_tensorflow_counts_the_same(name):
    shape, model = build_for_own_features(find_recipe(name), n_labels=10)
    sizes = (shape.n_frames, shape.n_bands)
    assert count_multiply_adds(model, sizes) == profile(model, sizes)


PUBLISHED = [
    ("MobileNetV2", 224, 3.5e6, 300e6),  # arXiv 1801.04381, table 4
    pytest.param("MobileNet", 224, 4.2e6, 569e6, marks=pytest.mark.slow),  # arXiv 1704.04861, table 8
    pytest.param("EfficientNetB0", 224, 5.3e6, 0.39e9, marks=pytest.mark.slow),  # arXiv 1905.11946, table 2
]


@pytest.mark.parametrize(("name", "side", "parameters", "multiply_adds"), PUBLISHED)
def test_networks_of_the_literature_have_their_published_figures(name, side, parameters, multiply_adds):
    model = getattr(keras.applications, name)(weights=None)
    assert model.count_params() == pytest.approx(parameters, rel=0.02)
    assert count_multiply_adds(model, (side, side, 3)) == pytest.approx(multiply_adds, rel=0.02)


def test_the_network_of_salamon_and_bello_has_its_size():
    """By hand: 5 x 5 filters without padding, pooled by 4 x 2; 48 x 2 x 25 values into the dense layer."""
    shape, model = build_for_own_features(find_recipe("cnn-128"), n_labels=10)
    assert (shape.n_frames, shape.n_bands) == (128, 128)
    dense = 48 * 2 * 25 * 64 + 64 + 64 * 10 + 10
    assert model.count_params() == 24 * 26 + 48 * (24 * 25 + 1) + 48 * (48 * 25 + 1) + dense
