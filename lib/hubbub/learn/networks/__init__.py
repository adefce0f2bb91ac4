"""Networks by name, one file each, with the recipe that trains the network.

Every file offers a recipe; its default settings are in `hubbub.config.recipes`, and the features that it is made for in
`hubbub.config.network_features`. Networks take a store's rows (or crops of them) as they are, float [row, frame, band]
in the frontend's unit, and standardise them inside, so that whoever has the model needs nothing else.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hubbub.config import Settings
from hubbub.config.network_features import HEADS, choose_features
from hubbub.config.recipes import DEFAULTS, ModelSettings, RecipeSettings
from hubbub.errors import TrainingError, suggest_nearest
from hubbub.learn.stages import Stage, plan_one_stage

if TYPE_CHECKING:
    from hubbub.learn.augment import Augmentation
    from hubbub.learn.dataset import BandStatistics
    from hubbub.models.frames import FrameLayout

_RECIPES: Mapping[str, str] = {
    "default": "default:RECIPE",
    "detector": "detector:RECIPE",
    "seed-cnn": "seed_cnn:RECIPE",
    "cnn-64": "cnn_64:RECIPE",
    "cnn-128": "cnn_128:RECIPE",
    "cnn-stft-32": "cnn_stft_32:RECIPE",
    "crnn": "crnn:RECIPE",
    "inception-v3": "images:INCEPTION_V3",
    "mobilenet-v2": "images:MOBILENET_V2",
    "efficientnet-b0": "images:EFFICIENTNET_B0",
    "linear": "heads:LINEAR",
    "dense": "heads:DENSE",
}
"""Where the recipe of each model is, below this package; read at the first use, for it brings Keras."""

NAMES = tuple(_RECIPES)
"""Models that can be trained."""


@dataclass(frozen=True)
class Shape:
    """What a network is built for."""

    n_frames: int
    """Frames of what it hears at a time."""

    n_bands: int
    """Bands of a frame."""

    n_labels: int
    """Labels to score."""

    settings: Settings | None = None
    """Of the features, for networks that go by seconds."""


@dataclass(frozen=True)
class Recipe:
    """A network and how to train it."""

    name: str
    """What a user types."""

    summary: str
    """One sentence for the model card."""

    source: str
    """Who described the network, and where: a paper, a tutorial; ``hubbub`` for its own."""

    activation: Literal["softmax", "sigmoid"]
    """`softmax`: one label is always right, scores add up to 1. `sigmoid`: each label is judged alone, none may fit."""

    loss: str | Callable[[Any, Any], Any]
    """Keras's name of the loss, or the loss."""

    build: Callable[[Shape, BandStatistics, ModelSettings], Any]
    """Makes the `keras.Model`, uncompiled; its standardisation and its scores are float32 in any precision."""

    optimizer: Callable[[int, ModelSettings], Any]
    """Makes the optimizer for a number of steps."""

    policy: Callable[[Settings], Augmentation] | None
    """Makes the augmentation for a frontend; None where the recipe has none."""

    batch_rows: int
    """Rows a training batch where there are plenty."""

    row_passes: int
    """Rows, counted as often as they are shown, that make a whole training; sets the default number of epochs."""

    most_epochs: int
    """Epochs at most, by default, where rows are few."""

    plan_frames: Callable[[Settings], FrameLayout] | None = None
    """For networks that score frames of time, [row, frame, label]: how these lie. Their augmentation makes targets of
    that shape, and scenes of its own length."""

    load_weights: Callable[[Any, Path], None] | None = None
    """Gives a network that was built the weights of a file; None where training always begins with random ones."""

    weights_licence: str | None = None
    """Licence of the weights that training begins with; None where it begins with random ones."""

    plan_stages: Callable[[int, ModelSettings], tuple[Stage, ...]] = plan_one_stage
    """Divides a number of epochs into stages."""

    least_batch_rows: int | None = None
    """Rows a training batch at least, where rows are few; None: half of `batch_rows`."""

    settled_share: float = 0.0
    """Share of the epochs after which one may be kept: before, a learning rate that still falls makes weights that are
    good by chance, and a few dozen validation rows cannot tell."""

    @property
    def features(self) -> Settings:
        """The features that it is made for."""
        return choose_features(self.name)

    @property
    def is_head(self) -> bool:
        """Whether it trains on embeddings, and not on spectrograms."""
        return self.name in HEADS

    @property
    def defaults(self) -> RecipeSettings:
        """The settings that train it where nobody changes them."""
        return DEFAULTS[self.name]

    def batch_for(self, n_rows: int) -> int:
        """Rows a batch: fewer where rows are few, so that an epoch has several steps."""
        least = self.batch_rows // 2 if self.least_batch_rows is None else self.least_batch_rows
        return max(1, min(self.batch_rows, max(least, n_rows // 8), n_rows))

    def epochs_for(self, n_rows: int) -> int:
        """Epochs by default: 15 for any large store, up to `most_epochs` for a small one."""
        return max(15, min(self.most_epochs, round(self.row_passes / n_rows)))


def find_recipe(name: str) -> Recipe:
    """Return the recipe a user named.

    Raises
    ------
    TrainingError
        There is no such model; says the nearest.
    """
    if name not in _RECIPES:
        raise TrainingError(f"there is no model '{name}': {suggest_nearest(name, NAMES)}")
    return pkgutil.resolve_name(f"{__name__}.{_RECIPES[name]}")
