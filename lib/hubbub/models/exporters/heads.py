"""A head on embeddings, and the bundle that makes them, as one network of the backbone's features.

::

    features -> backbone up to its scores -> of a network of frames their mean -> rounded as in the store -> head
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hubbub.errors import BundleError
from hubbub.models.bundle import Bundle, load_bundle
from hubbub.models.embedding import cut_network
from hubbub.models.foreign_files import is_foreign
from hubbub.models.heads import BACKBONE, refuse_other_backbone, round_embeddings
from hubbub.models.opening import find_model


@dataclass(frozen=True)
class JoinedHead(Bundle):
    """A head that takes what its backbone takes: a bundle like any other, for exporters."""

    head: Bundle | None = None
    """Scores embeddings."""

    backbone: Bundle | None = None
    """Makes them."""

    def predict(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Score the backbone's features; see `Bundle.predict`."""
        head, backbone = self._parts
        return head.predict(round_embeddings(backbone.embed(features), head.settings))

    @cached_property
    def network(self) -> Any:
        """One `keras.Model` of both."""
        import keras

        head, backbone = self._parts
        shape = (backbone.description["n_frames"], backbone.description["n_bands"])
        features = keras.Input(shape, name="features")
        hidden = _embed(features, backbone)
        if head.settings.dtype == "float16":
            hidden = _round_to_float16(hidden)
        return keras.Model(features, head.network(keras.ops.expand_dims(hidden, 1)))

    @property
    def _parts(self) -> tuple[Bundle, Bundle]:
        assert self.head is not None
        assert self.backbone is not None
        return self.head, self.backbone


def join_head(head: Bundle) -> JoinedHead:
    """Join a head with its backbone.

    Raises
    ------
    BundleError
        The backbone is a model of others, or not the one that the head was trained on.
    """
    path = find_model(head.path / BACKBONE)
    if is_foreign(path):
        raise BundleError(
            f"{head.path} is a head on embeddings of a model of others ({path.name}), and the two make no one network; "
            f"use both: hubbub label RECORDINGS --model {head.path}"
        )
    backbone = load_bundle(path, runtime="keras")
    refuse_other_backbone(head.path, head.settings, backbone.model_hash)
    taken = {name: backbone.description[name] for name in ("n_frames", "n_bands")}
    description = {**head.description, **taken}
    return JoinedHead(head.path, description, backbone.settings, head.model_hash, "keras", head, backbone)


def _round_to_float16(values: Any) -> Any:
    """Round float32 to the 11 binary digits of float16, by T. J. Dekker's splitting (Numer. Math. 18, 1971).

    A cast there and back would say the same, and runtimes take the two out as if they did nothing.
    """
    scaled = values * (2.0**13 + 1)
    return scaled - (scaled - values)


def _embed(features: Any, backbone: Bundle) -> Any:
    """Embeddings as `hubbub.models.embedding.Embedder` makes them."""
    import keras

    cut, frames = cut_network(backbone.network, backbone.path), backbone.frames
    if frames is None:
        return cut(features)
    missing = -features.shape[1] % frames.multiple
    padded = keras.ops.pad(features, ((0, 0), (0, missing), (0, 0)), constant_values=frames.padding)
    return keras.ops.mean(cut(padded)[:, : frames.count(features.shape[1])], axis=1)
