"""What a network costs: its parameters, and the multiply-adds of one row, counted layer by layer.

Counted are products of weights and values, in convolutions, dense and recurrent layers. Not counted, as in the
literature: activations, normalisation, pooling and resizing, which are a few per cent of a network of convolutions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import layers

from hubbub.errors import TrainingError
from hubbub.learn.crops import input_frames
from hubbub.learn.dataset import BandStatistics
from hubbub.learn.networks import Recipe, Shape


def build_for_own_features(recipe: Recipe, *, n_labels: int) -> tuple[Shape, keras.Model]:
    """Build a recipe's network, untrained, for the features that it is made for.

    Returns
    -------
    shape, model
        What it is built for, and the network.
    """
    settings = recipe.features
    n_frames, n_bands = input_frames(settings), settings.frontend.n_bands
    if recipe.plan_frames is not None:
        multiple = recipe.plan_frames(settings).multiple
        n_frames = -(-n_frames // multiple) * multiple
    shape = Shape(n_frames, n_bands, n_labels, settings)
    return shape, recipe.build(shape, BandStatistics(np.zeros(n_bands), np.ones(n_bands)), recipe.defaults.model)


def count_multiply_adds_per_s(recipe: Recipe, shape: Shape, model: keras.Model) -> float:
    """Count the multiply-adds of a second of sound, rows side by side; `shape` and `model` as they were built."""
    settings = recipe.features
    # A network of frames scores a stream, of which a row's frames are any stretch.
    hop_s = None if recipe.plan_frames is None else settings.frontend.hop_samples / settings.frontend.sample_rate
    row_s = settings.windows.input_s if hop_s is None else shape.n_frames * hop_s
    return count_multiply_adds(model, (shape.n_frames, shape.n_bands)) / row_s


def count_multiply_adds(model: keras.Model, shape: tuple[int, ...]) -> int:
    """Count the multiply-adds of one pass over one row.

    Parameters
    ----------
    model
        A functional model of one input.
    shape
        Of the input, without the batch; no size of it is None.

    Raises
    ------
    TrainingError
        A layer has weights, and is of a kind that is not known here.
    """
    total = 0

    def call(operation: Any, *values: Any, **options: Any) -> Any:
        nonlocal total
        result = operation(*values, **options)
        if isinstance(operation, layers.Layer):
            (first, *_) = keras.tree.flatten(values)
            total += _count(operation, tuple(first.shape[1:]), result)
        return result

    # The same layers on an input of known size: nothing is built or made anew.
    given = keras.Input(shape)
    keras.models.clone_model(model, input_tensors=given, clone_function=lambda layer: layer, call_function=call)
    return total


def _count(layer: keras.Layer, shape: tuple[int, ...], result: Any) -> int:
    """Multiply-adds of one call of a layer on an input of a shape, without the batch."""
    if isinstance(layer, keras.Model):
        return count_multiply_adds(layer, shape)
    count = next((_KINDS[kind] for kind in type(layer).__mro__ if kind in _KINDS), None)
    if count is not None:
        return count(layer, shape, result)
    if any(len(weight.shape) > 1 for weight in layer.weights):
        raise TrainingError(
            f"the multiply-adds of layer {layer.name} cannot be counted: expected a kind of layer that "
            f"hubbub.learn.network_cost knows (given: {type(layer).__name__}); add it there"
        )
    return 0


def _count_convolution(layer: Any, shape: tuple[int, ...], result: Any) -> int:
    """Every weight of the kernel once a place of the result; groups and depths are in the kernel's size."""
    return math.prod(layer.kernel.shape) * _count_places(layer, result)


def _count_separable(layer: Any, shape: tuple[int, ...], result: Any) -> int:
    kernels = (layer.depthwise_kernel, layer.pointwise_kernel)
    return sum(math.prod(kernel.shape) for kernel in kernels) * _count_places(layer, result)


def _count_dense(layer: Any, shape: tuple[int, ...], result: Any) -> int:
    return math.prod(layer.kernel.shape) * math.prod(shape[:-1])


def _count_recurrent(layer: Any, shape: tuple[int, ...], result: Any) -> int:
    kernels = (layer.cell.kernel, layer.cell.recurrent_kernel)
    return sum(math.prod(kernel.shape) for kernel in kernels) * shape[0]


def _count_places(layer: Any, result: Any) -> int:
    """Places of the result of a convolution: all sizes but those of batch and channels."""
    sizes = result.shape[1:-1] if layer.data_format == "channels_last" else result.shape[2:]
    return math.prod(sizes)


_KINDS: Mapping[type, Callable[[Any, tuple[int, ...], Any], int]] = {
    layers.Conv1D: _count_convolution,
    layers.Conv2D: _count_convolution,
    layers.DepthwiseConv1D: _count_convolution,
    layers.DepthwiseConv2D: _count_convolution,
    layers.SeparableConv1D: _count_separable,
    layers.SeparableConv2D: _count_separable,
    layers.Dense: _count_dense,
    layers.GRU: _count_recurrent,
    layers.LSTM: _count_recurrent,
    layers.SimpleRNN: _count_recurrent,
}
"""How to count the multiply-adds of a layer from its input's shape and its result."""
