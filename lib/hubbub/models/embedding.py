"""Embeddings by a network of ours: what feeds its layer of scores; of a network of frames, the mean over its frames.

The network up to there is written for ONNX Runtime when a store is begun with it (`export_embedding`), where the
exporter is installed: a worker then embeds without loading Keras, and faster. Else Keras computes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hubbub.errors import BundleError
from hubbub.io.atomic import hash_file, local_file
from hubbub.io.paths import StoragePath
from hubbub.models.backends import import_keras
from hubbub.models.frames import FrameLayout
from hubbub.models.onnx_export import export_onnx
from hubbub.models.runtimes.onnx import has_onnx_runtime, open_onnx

FILE, ENTRY = "embedding.onnx", "embedding"
"""The file in a bundle, and the entry of `bundle.json` with its hash."""

SCORES = "scores"
"""Name of the layer that gives the scores, in every network of ours."""

BATCH_ROWS = 16
"""Rows computed at once."""

ONNX_MULTIPLE = 4
"""ONNX Runtime gets a multiple of so many rows: one row alone goes another way through a matrix product."""

MOST_SHARE = 1e-4
"""Largest difference that is taken for rounding, as a share of the largest value."""

Compute = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]
"""Rows [row, frame, band] to what feeds the scores, [row, dimension] or [row, frame, dimension]."""


def cut_network(model: Any, path: StoragePath) -> Any:
    """Cut a `keras.Model` before its scores; raises `BundleError` for one without a layer of that name."""
    keras = import_keras()
    try:
        return keras.Model(model.inputs, model.get_layer(SCORES).input)
    except ValueError:
        raise BundleError(
            f"{path} gives no embeddings: its network has no layer '{SCORES}'; expected a bundle that hubbub trained"
        ) from None


def count_dimension(model: Any) -> int | None:
    """Values of an embedding of a `keras.Model`; None for one without a layer of scores."""
    names = [layer.name for layer in model.layers]
    return int(model.get_layer(SCORES).input.shape[-1]) if SCORES in names else None


def has_exported(description: Mapping[str, Any]) -> bool:
    """Whether ONNX Runtime embeds here: it is installed, and the bundle has the file."""
    return bool(description.get(ENTRY)) and has_onnx_runtime()


class Bundle(Protocol):
    """What is needed of a bundle (`hubbub.models.bundle`)."""

    @property
    def path(self) -> StoragePath:
        """Its folder."""

    @property
    def description(self) -> dict[str, Any]:
        """All of `bundle.json`."""

    @property
    def frames(self) -> FrameLayout | None:
        """How frame scores lie."""


class Embedder:
    """Embeds rows by batches of one size, so that no embedding depends on the rows beside it.

    Parameters
    ----------
    compute
        The network.
    multiple
        Batches are filled up to a multiple of so many rows.
    frames
        How the frames of a network of frames lie; None for one of whole rows.
    """

    def __init__(self, compute: Compute, multiple: int, frames: FrameLayout | None) -> None:
        self._compute, self._multiple, self._frames = compute, multiple, frames

    def __call__(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Embed [row, frame, band], one row at least: float32 [row, dimension]."""
        found = []
        for begin in range(0, len(features), BATCH_ROWS):
            rows = np.asarray(features[begin : begin + BATCH_ROWS], np.float32)
            batch = np.zeros((-(-len(rows) // self._multiple) * self._multiple, *rows.shape[1:]), np.float32)
            batch[: len(rows)] = rows
            found.append(self._embed_batch(batch)[: len(rows)])
        return np.concatenate(found)

    def _embed_batch(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if self._frames is None:
            return np.asarray(self._compute(batch))
        by_frame = np.asarray(self._compute(self._frames.pad(batch)))
        return by_frame[:, : self._frames.count(batch.shape[1])].mean(axis=1)


def open_embedder(bundle: Bundle, network: Callable[[], Any]) -> Embedder:
    """Open what embeds rows for a bundle.

    Parameters
    ----------
    network
        Loads its `keras.Model`, where that is needed.

    Raises
    ------
    BundleError
        A file is missing, changed or cut short, or Keras is needed and not installed.
    """
    if not has_exported(bundle.description):
        return Embedder(cut_network(network(), bundle.path).predict_on_batch, BATCH_ROWS, bundle.frames)
    with local_file(bundle.path / FILE) as local:
        check_exported(local.parent, bundle.description)
        return Embedder(open_onnx(local).run_first, ONNX_MULTIPLE, bundle.frames)


def check_exported(folder: StoragePath, description: Mapping[str, Any]) -> None:
    """Refuse a network for ONNX Runtime that is not the one that `bundle.json` describes; raises `BundleError`."""
    if not (held := description.get(ENTRY)):
        return
    try:
        if hash_file(folder / FILE) == held["hash"]:
            return
    except FileNotFoundError:
        pass
    raise BundleError(f"{folder / FILE} is missing, was changed or cut short; copy the bundle again")


def export_embedding(bundle: Bundle, network: Any, path: Path) -> dict[str, Any] | None:
    """Write the network up to its scores for ONNX Runtime, where what writes it is installed, and compare the two.

    Returns
    -------
    found
        The entry of `bundle.json`; None where Keras has to embed, and there is no file.
    """
    cut = cut_network(network, bundle.path)
    features = _draw_features(bundle)
    largest = float(np.abs(np.asarray(cut.predict_on_batch(features))).max())
    found = export_onnx(cut, path, features, most_difference=MOST_SHARE * max(1.0, largest))
    return None if found is None else found | {"hash": hash_file(path)}


def _draw_features(bundle: Bundle) -> npt.NDArray[np.float32]:
    """Rows like those that the network was trained on: each band with its mean and spread."""
    description = bundle.description
    shape = (ONNX_MULTIPLE, description["n_frames"], description["n_bands"])
    held = description.get("standardisation", {})
    mean, std = (np.asarray(held.get(f"{name}_db", held.get(name, 1.0))) for name in ("mean", "std"))
    drawn = (np.random.default_rng(0).normal(size=shape) * std + mean).astype(np.float32)
    return drawn if bundle.frames is None else bundle.frames.pad(drawn)
