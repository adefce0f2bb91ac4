"""Heads on embeddings: a bundle that scores what another model, its backbone, makes of sound.

::

    HEAD/
      model.keras, bundle.json, README.md   the head, a bundle whose features are embeddings
      backbone/                             the model that makes them: a bundle, or a YAML file and what it names
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hubbub.audio.frontends import cast_features
from hubbub.config import Settings
from hubbub.config.frontends import EmbeddingSettings
from hubbub.errors import BundleError
from hubbub.io.paths import StoragePath
from hubbub.models.bundle import Bundle
from hubbub.models.precision import Precision

if TYPE_CHECKING:
    from hubbub.models.opening import WindowModel

BACKBONE = "backbone"


@dataclass(frozen=True)
class HeadModel:
    """A head and its backbone; see `hubbub.models.opening.WindowModel`. What `prepare` makes are embeddings."""

    head: Bundle
    """Scores embeddings."""

    backbone: WindowModel
    """Makes them."""

    def __repr__(self) -> str:
        """Describe the model in one line."""
        return f"<HeadModel '{self.path}': {self.head!r} on {self.backbone!r}>"

    @property
    def path(self) -> StoragePath:
        """Folder of the head's bundle."""
        return self.head.path

    @property
    def settings(self) -> Settings:
        """Of the embeddings, as the store that trained the head had them."""
        return self.head.settings

    @property
    def model_hash(self) -> str:
        """16 hex digits over head and backbone."""
        return self.head.model_hash

    @property
    def description(self) -> dict[str, Any]:
        """The head's `bundle.json`."""
        return self.head.description

    @property
    def labels(self) -> list[str]:
        """Labels, in the order of the scores."""
        return self.head.labels

    def count_batch_windows(self, *, embedding: bool = False) -> int:
        """Windows that the backbone best embeds together."""
        return self.backbone.count_batch_windows(embedding=True)

    @property
    def dimension(self) -> None:
        """None: the backbone embeds, and is a model of its own."""
        return None

    def prepare(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.floating]:
        """Embed windows, float32 [window, sample]: [window, 1, dimension] rounded to the dtype of the head's store.

        Raises
        ------
        NonFiniteFeatures
            A value is not a number, or more than the dtype holds.
        """
        return embed_samples(self.backbone, samples, self.settings)

    def predict(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Score embeddings: float32 [window, label]."""
        return self.head.predict(features)

    def embed(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Raise `BundleError`: a head's embeddings are its backbone's."""
        raise BundleError(describe_backbone(self.path))


def embed_samples(model: WindowModel, samples: npt.NDArray[np.float32], settings: Settings) -> npt.NDArray[np.floating]:
    """Turn windows into rows of a store of embeddings, as training and labelling both meet them.

    Parameters
    ----------
    model
        Embeds.
    samples
        float32 [window, sample].
    settings
        Of the store, which has the dtype.

    Returns
    -------
    rows
        [window, 1, dimension].

    Raises
    ------
    NonFiniteFeatures
        A value is not a number, or more than the dtype holds.
    """
    return round_embeddings(model.embed(model.prepare(samples)), settings)


def round_embeddings(embeddings: npt.NDArray[np.float32], settings: Settings) -> npt.NDArray[np.floating]:
    """Round float32 [window, dimension] to the store's dtype, [window, 1, dimension]; errors of `embed_samples`."""
    return cast_features(embeddings[:, None], settings)


def is_head(settings: Settings) -> bool:
    """Whether a bundle of these settings is a head on embeddings."""
    return settings.frontend.name == "embedding"


def get_arithmetic(settings: Settings) -> Precision:
    """Return what the network computed in that made a store's embeddings."""
    assert isinstance(settings.frontend, EmbeddingSettings)
    return settings.frontend.arithmetic


def describe_backbone(path: StoragePath) -> str:
    """Say what to embed with in place of a head."""
    return f"{path} is a head on embeddings, which its backbone makes; embed with --model {path / BACKBONE}"


def refuse_other_backbone(path: StoragePath, settings: Settings, model_hash: str) -> None:
    """Refuse a backbone that is not the one that the head was trained on; raises `BundleError`."""
    expected = settings.frontend.model_hash  # type: ignore[union-attr]
    if model_hash != expected:
        raise BundleError(
            f"{path / BACKBONE} has the hash {model_hash}, but the head was trained on embeddings of {expected}: "
            "one of the two was changed; copy the bundle again, or train the head again"
        )
