"""Embeddings by a network of ours: what feeds its layer of scores; of a network of frames, the mean over its frames.

The network up to there is written for ONNX Runtime when a store is begun with it (`export_embedding`), where the
exporter is installed: a worker then embeds without loading Keras, and faster. Else Keras computes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hubbub.errors import BundleError
from hubbub.io.atomic import hash_file, local_file
from hubbub.io.paths import StoragePath
from hubbub.models.backends import import_keras
from hubbub.models.batches import CPU_ROWS, Compute, RowBatches
from hubbub.models.frames import FrameLayout
from hubbub.models.gpu import CUDA, keras_has_gpu, list_providers
from hubbub.models.onnx_export import export_onnx
from hubbub.models.runtimes.onnx import has_onnx_runtime, open_onnx

FILE, ENTRY = "embedding.onnx", "embedding"
"""The file in a bundle, and the entry of `bundle.json` with its hash."""

SCORES = "scores"
"""Name of the layer that gives the scores, in every network of ours."""

ONNX_MULTIPLE = 4
"""ONNX Runtime gets a multiple of so many rows: one row alone goes another way through a matrix product."""

MOST_SHARE = 1e-4
"""Largest difference that is taken for rounding, as a share of the largest value."""


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


@dataclass(frozen=True)
class Embedder:
    """Embeds rows, each by itself."""

    batches: RowBatches
    """The network, in batches."""

    frames: FrameLayout | None
    """How the frames of a network of frames lie; None for one of whole rows."""

    @classmethod
    def of(cls, compute: Compute, frames: FrameLayout | None, *, multiple: int = CPU_ROWS, on_gpu: bool) -> Embedder:
        """Make one of what computes a batch; arguments of `RowBatches`."""

        def pool(batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            if frames is None:
                return np.asarray(compute(batch))
            by_frame = np.asarray(compute(frames.pad(batch)))
            return by_frame[:, : frames.count(batch.shape[1])].mean(axis=1)

        return cls(RowBatches(pool, multiple=multiple, on_gpu=on_gpu), frames)

    def __call__(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Embed [row, frame, band], one row at least: float32 [row, dimension]."""
        return self.batches(features)


def open_embedder(bundle: Bundle, network: Callable[[], Any], *, by_onnx: bool = True) -> Embedder:
    """Open what embeds rows for a bundle.

    Parameters
    ----------
    network
        Loads its `keras.Model`, where that is needed.
    by_onnx
        Whether ONNX Runtime may, where the bundle has the file: that is float32.

    Raises
    ------
    BundleError
        A file is missing, changed or cut short, or Keras is needed and not installed.
    """
    by_onnx = by_onnx and has_exported(bundle.description)
    on_cuda = by_onnx and CUDA in list_providers()
    if not by_onnx or (keras_has_gpu() and not on_cuda):
        cut = cut_network(network(), bundle.path)
        return Embedder.of(cut.predict_on_batch, bundle.frames, on_gpu=keras_has_gpu())
    with local_file(bundle.path / FILE) as local:
        check_exported(local.parent, bundle.description)
        return Embedder.of(open_onnx(local).run_first, bundle.frames, multiple=ONNX_MULTIPLE, on_gpu=on_cuda)


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
    found = export_onnx(cut, path, features, output=ENTRY, most_difference=MOST_SHARE * max(1.0, largest))
    return None if found is None else found | {"hash": hash_file(path)}


def _draw_features(bundle: Bundle) -> npt.NDArray[np.float32]:
    """Rows like those that the network was trained on: each band with its mean and spread."""
    description = bundle.description
    shape = (ONNX_MULTIPLE, description["n_frames"], description["n_bands"])
    held = description.get("standardisation", {})
    mean, std = (np.asarray(held.get(f"{name}_db", held.get(name, 1.0))) for name in ("mean", "std"))
    drawn = (np.random.default_rng(0).normal(size=shape) * std + mean).astype(np.float32)
    return drawn if bundle.frames is None else bundle.frames.pad(drawn)
