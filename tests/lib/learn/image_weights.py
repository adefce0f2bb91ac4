"""Files of weights of the networks for photographs, made here in every form that Keras writes or wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np


def make_network(name: str, side_px: int, **options: Any) -> keras.Model:
    """A network of keras.applications with weights and statistics that are the same every time."""
    options = {"include_top": False, "weights": None, "input_shape": (side_px, side_px, 3)} | options
    keras.utils.set_random_seed(0)
    network = getattr(keras.applications, name)(**options)
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([_draw(one, rng) for one in layer.weights])
        if isinstance(layer, keras.layers.Normalization):
            layer.set_weights([np.array([0.4, 0.5, 0.6]), np.array([0.1, 0.2, 0.3]), np.array(0)])
            layer.finalize_state()
    return network


def _draw(variable: Any, rng: np.random.Generator) -> np.ndarray:
    """Statistics that keep what goes through the network from vanishing, and from drowning in its biases."""
    if variable.path.endswith("variance"):
        return rng.uniform(0.2, 0.4, variable.shape)
    return (1.0 if variable.path.endswith("gamma") else 0.0) + rng.normal(0, 1e-3, variable.shape)


def write_older_form(network: keras.Model, path: Path) -> Path:
    """Write as Keras 2 did, and as keras.applications publishes: a group a layer, their order among the attributes."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in network.layers]
        for layer in network.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{one.name}:0" for one in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, one in zip(names, layer.weights, strict=True):
                group[name] = np.asarray(one)
    return path


def write_newer_form(network: keras.Model, path: Path) -> Path:
    """Write as `save_weights` does today."""
    network.save_weights(path)
    return path


def write_archive(network: keras.Model, path: Path) -> Path:
    """Write as `save` does today."""
    network.save(path)
    return path
