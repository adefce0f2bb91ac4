"""The functions of ``import hubbub`` about what can be trained; what ``hubbub models`` shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hubbub.config.recipes import DEFAULTS, default_settings
from hubbub.models.backends import import_keras

if TYPE_CHECKING:
    from hubbub.config import Settings
    from hubbub.config.recipes import RecipeSettings

N_LABELS = 10
"""Labels of the networks whose parameters and multiply-adds are counted."""


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a model, whatever it is trained on."""

    name: str
    """As ``--model`` takes it."""

    summary: str
    """One sentence."""

    source: str
    """Who described the network, and where."""

    weights_licence: str | None
    """Licence of the weights that training begins with; None where it begins with random ones."""

    features: Settings
    """The features that the network is made for."""

    shape: tuple[int, int]
    """Frames and bands of its input, with these features."""

    parameters: int
    """Weights, those that are not trained too, of the network for these features and `N_LABELS` labels."""

    multiply_adds_per_s: float
    """Of the same network, for a second of sound, windows side by side."""

    activation: Literal["softmax", "sigmoid"]
    """`softmax`: tells one label a clip. `sigmoid`: judges each label alone."""

    settings: RecipeSettings
    """Of the recipe, where nobody changes them."""

    optimizer: str
    """Keras's name of it."""

    batch_rows: int
    """Rows a training batch where there are plenty."""

    most_epochs: int
    """Epochs at most, by default, where rows are few."""


def list_models() -> tuple[ModelFacts, ...]:
    """Tell what is known of each model that can be trained.

    Each network is built, for the features that it is made for and ten labels, to count what it costs.

    Examples
    --------
    >>> {facts.name: facts.parameters for facts in hubbub.list_models()}  # doctest: +SKIP
    """
    return tuple(map(describe_model, DEFAULTS))


def describe_model(name: str) -> ModelFacts:
    """Tell what is known of one model.

    Parameters
    ----------
    name
        As ``--model`` takes it.

    Raises
    ------
    hubbub.errors.TrainingError
        There is no such model; says the nearest.

    Examples
    --------
    >>> hubbub.describe_model("cnn-128").features  # doctest: +SKIP
    """
    default_settings(name)  # refuses a name that is none before Keras is loaded
    import_keras()
    from hubbub.learn.network_cost import build_for_own_features, count_multiply_adds_per_s
    from hubbub.learn.networks import find_recipe

    recipe = find_recipe(name)
    shape, network = build_for_own_features(recipe, n_labels=N_LABELS)
    return ModelFacts(
        name=name,
        summary=recipe.summary,
        source=recipe.source,
        weights_licence=recipe.weights_licence,
        features=recipe.features,
        shape=(shape.n_frames, shape.n_bands),
        parameters=network.count_params(),
        multiply_adds_per_s=count_multiply_adds_per_s(recipe, shape, network),
        activation=recipe.activation,
        settings=recipe.defaults,
        optimizer=type(recipe.optimizer(1, recipe.defaults.model)).__name__,
        batch_rows=recipe.batch_rows,
        most_epochs=recipe.most_epochs,
    )
