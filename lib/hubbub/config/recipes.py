"""Settings of recipes: what a person may change about a network and its training, with the defaults of each recipe.

Networks themselves are in `hubbub.learn.networks`; what is here needs no Keras, so that it is read in no time.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from hubbub.config import assign_setting, nest_settings, read_settings_file
from hubbub.config.base import Frozen, say_expected
from hubbub.errors import SettingsError, TrainingError, suggest_nearest


class ModelSettings(Frozen):
    """A network and its optimizer."""

    learning_rate: float = Field(1e-3, gt=0, le=1, description="the highest, where the recipe has a schedule")
    weight_decay: float = Field(0.0, ge=0, lt=1, description="decoupled, as of AdamW; 0: none")
    dropout: float = Field(0.3, ge=0, lt=1, description="share of values dropped before the scores")


class ImageModelSettings(ModelSettings):
    """A network for photographs, and how what it knows is carried over to spectrograms."""

    weights: str = Field(
        "imagenet",
        min_length=1,
        description="what it begins with: imagenet, random, or a file of weights (.h5, .keras), here or at https://",
    )
    stages: Literal["head", "two", "whole"] = Field(
        "two", description="head: the last layer trains; two: then the upper layers as well; whole: all from the start"
    )
    head_share: float = Field(
        0.5, gt=0, lt=1, description="stages two: share of the epochs in which the last layer trains alone"
    )
    unfrozen_share: float = Field(
        0.3, gt=0, le=1, description="stages two: share of the layers, from the top, that train as well"
    )
    unfrozen_rate: float = Field(
        0.1, gt=0, le=1, description="stages two: share of model.learning_rate that they train at"
    )
    channels: Literal["same", "deltas"] = Field(
        "same", description="same: the spectrogram three times; deltas: with its first and second change over time"
    )
    side_px: int | None = Field(None, ge=32, le=1024, description="side of the image; null: the network's own")


class InceptionSettings(ImageModelSettings):
    """The same; Inception takes no smaller images."""

    side_px: int | None = Field(None, ge=75, le=1024, description="side of the image; null: the network's own")


class TrainSettings(Frozen):
    """How the network is trained."""

    epochs: int | None = Field(None, ge=1, le=100_000, description="passes over the rows; null: what suits the data")
    batch_rows: int | None = Field(None, ge=1, le=65536, description="rows a batch; null: what suits the data")
    validation_share: float = Field(
        0.1, ge=0, lt=1, description="of the training rows, by group; they choose the epoch to keep; 0: none"
    )
    patience: float = Field(
        0.5, gt=0, le=1, description="share of the epochs without a better validation loss that ends training"
    )
    augment: bool = Field(True, description="change rows at random, as the recipe does it")
    balance: Literal["auto", "none", "sampling"] = Field(
        "auto", description="sampling: show rare labels as often as others; auto: where labels are unbalanced"
    )
    label_smoothing: float = Field(0.0, ge=0, lt=0.5, description="share of each target divided over all labels")
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = Field(
        "float32", description="of the network's arithmetic; its weights are float32 always"
    )
    shuffle_mb: int | None = Field(
        None,
        ge=1,
        le=10**8,
        description="MB of rows shuffled together; null: a quarter of free memory; all rows if they fit",
    )
    jit: Literal["auto"] | bool = Field("auto", description="compile by XLA; auto: on accelerators")


class RecipeSettings(Frozen):
    """All that a person may change about a recipe."""

    model: ModelSettings = ModelSettings()
    train: TrainSettings = TrainSettings()


class ImageRecipeSettings(RecipeSettings):
    """The same of a recipe with a network for photographs."""

    model: ImageModelSettings = ImageModelSettings(learning_rate=3e-4, weight_decay=0.01)


class InceptionRecipeSettings(RecipeSettings):
    """The same of Inception's."""

    model: InceptionSettings = InceptionSettings(learning_rate=3e-4, weight_decay=0.01)


DEFAULTS: Mapping[str, RecipeSettings] = {
    "default": RecipeSettings(
        model=ModelSettings(learning_rate=3e-3, weight_decay=0.02, dropout=0.3), train=TrainSettings(patience=1.0)
    ),
    "detector": RecipeSettings(
        model=ModelSettings(learning_rate=3e-3, weight_decay=0.02, dropout=0.2), train=TrainSettings(patience=1.0)
    ),
    "seed-cnn": RecipeSettings(
        model=ModelSettings(learning_rate=1e-3, weight_decay=0.0, dropout=0.5),
        train=TrainSettings(patience=0.3, augment=False),
    ),
    "cnn-64": RecipeSettings(
        model=ModelSettings(learning_rate=1e-3, weight_decay=0.0, dropout=0.5),
        train=TrainSettings(patience=0.3, augment=False),
    ),
    "cnn-128": RecipeSettings(
        model=ModelSettings(learning_rate=1e-2, weight_decay=2e-3, dropout=0.5),
        train=TrainSettings(patience=0.3, augment=False),
    ),
    "cnn-stft-32": RecipeSettings(
        model=ModelSettings(learning_rate=1e-3, weight_decay=0.0, dropout=0.5),
        # Without smoothing it grows so sure of its mistakes that the validation loss keeps an epoch too early; and of
        # few rows it learns nothing for dozens of epochs, which patience outlasts.
        train=TrainSettings(patience=1.0, augment=False, label_smoothing=0.1),
    ),
    "crnn": RecipeSettings(
        model=ModelSettings(learning_rate=1e-3, weight_decay=0.0, dropout=0.25),
        train=TrainSettings(patience=0.3, augment=False),
    ),
    "inception-v3": InceptionRecipeSettings(),
    "mobilenet-v2": ImageRecipeSettings(),
    "efficientnet-b0": ImageRecipeSettings(),
    "linear": RecipeSettings(
        model=ModelSettings(learning_rate=5e-2, weight_decay=0.02, dropout=0.0),
        train=TrainSettings(patience=1.0, augment=False),
    ),
    "dense": RecipeSettings(
        model=ModelSettings(learning_rate=1e-2, weight_decay=0.02, dropout=0.2),
        train=TrainSettings(patience=1.0, augment=False),
    ),
}
"""The settings of each recipe, where nobody changes them."""


def default_settings(model: str) -> RecipeSettings:
    """Return the settings of a recipe that nobody changed.

    Raises
    ------
    TrainingError
        There is no such model; says the nearest.
    """
    if model not in DEFAULTS:
        raise TrainingError(f"there is no model '{model}': {suggest_nearest(model, DEFAULTS)}")
    return DEFAULTS[model]


def sections_of(model: str) -> Mapping[str, type[Frozen]]:
    """Return the sections of a model's settings, each with the class that describes it."""
    chosen = default_settings(model)
    return {name: type(getattr(chosen, name)) for name in RecipeSettings.model_fields}


def keys_of(model: str) -> tuple[str, ...]:
    """Return every setting of a model, as ``--set`` writes it."""
    return tuple(f"{section}.{name}" for section, kind in sections_of(model).items() for name in kind.model_fields)


SECTIONS = tuple(RecipeSettings.model_fields)
"""The sections of `RecipeSettings`."""

KEYS = tuple(dict.fromkeys(key for model in DEFAULTS for key in keys_of(model)))
"""Every setting of any model."""


def load_recipe_settings(model: str, file: Path | None = None, assignments: Iterable[str] = ()) -> RecipeSettings:
    """Read a recipe's settings from a YAML file, then apply ``section.name=value`` assignments.

    Parameters
    ----------
    model
        Name of the recipe, which has the defaults.
    file
        YAML with any of the sections `model` and `train`; None: the defaults.
    assignments
        As given to ``--set``: ``train.epochs=20``. Values are read as YAML.

    Raises
    ------
    TrainingError
        There is no such model.
    SettingsError
        For a file that cannot be read, an unknown setting (says the nearest), or a bad value.
    """
    hint = f"hubbub settings --model {model}"
    data = {} if file is None else read_settings_file(file, "model:", hint)
    data = {section: values for section, values in data.items() if values is not None}
    for assignment in assignments:
        assign_setting(data, assignment, "train.epochs=20")
    return parse_recipe_settings(model, data, where="--set" if file is None else str(file))


def parse_recipe_settings(model: str, data: Mapping[str, Any], *, where: str = "settings") -> RecipeSettings:
    """Validate plain data, nested or with keys such as ``train.epochs``, as changes to a recipe's defaults.

    Parameters
    ----------
    model
        Name of the recipe.
    data
        Changes; what they do not name stays as the recipe has it.
    where
        Their origin, for messages.

    Raises
    ------
    TrainingError, SettingsError
        As `load_recipe_settings`.
    """
    defaults = default_settings(model)
    whole: dict[str, Any] = defaults.model_dump()
    for section, values in nest_settings(data).items():
        is_section = isinstance(whole.get(section), dict) and isinstance(values, Mapping)
        whole[section] = {**whole[section], **values} if is_section else values
    try:
        return type(defaults).model_validate(whole)
    except ValidationError as error:
        told = dict.fromkeys(_explain(item, model) for item in error.errors())
        raise SettingsError(f"{where}: " + "; ".join(told)) from None


def choose_recipe_settings(
    model: str, settings: RecipeSettings | Mapping[str, Any] | None = None, **short: Any
) -> RecipeSettings:
    """Return a recipe's settings with what a caller changes.

    Parameters
    ----------
    model
        Name of the recipe.
    settings
        As they are, or changes to the defaults; None: the defaults.
    short
        Settings that have an argument of their own, by the last part of their name; None: not given.

    Raises
    ------
    TrainingError, SettingsError
        As `load_recipe_settings`; a setting that is given twice, too.
    """
    if not isinstance(settings, RecipeSettings):
        settings = parse_recipe_settings(model, settings or {})
    data, defaults = settings.model_dump(), default_settings(model).model_dump()
    for name, value in short.items():
        if value is None:
            continue
        value, section = os.fspath(value) if isinstance(value, os.PathLike) else value, _SHORT[name]
        held, default = (one[section].get(name) for one in (data, defaults))
        if name in _GIVEN_ONCE and held not in (default, value):
            raise SettingsError(f"{name} {value}, and {section}.{name} {held}; give one of the two")
        data[section][name] = value
    return parse_recipe_settings(model, data)


_SHORT = {"epochs": "train", "batch_rows": "train", "validation_share": "train", "weights": "model"}
"""Settings with an argument of their own, and their sections."""

_GIVEN_ONCE = ("epochs", "batch_rows", "weights")
"""Of these, those that are refused where the setting says something else."""


def explain_unknown_key(name: str, model: str | None = None) -> str:
    """Say which recipe setting is meant by a name that is none: ``did you mean 'model.learning_rate'?``.

    `model` is whose settings there are; None: those of all.
    """
    if model is not None and name in KEYS:
        having = [other for other in DEFAULTS if name in keys_of(other)]
        return f"{model} has no such setting; leave it out, or use --model {' or '.join(having)}"
    keys, last = KEYS if model is None else keys_of(model), name.rpartition(".")[2]
    meant = _OTHERS_NAMES.get(last) or next((key for key in keys if key.rpartition(".")[2] == last), None)
    return f"did you mean '{meant}'? (known: {', '.join(sorted(keys))})" if meant else suggest_nearest(name, keys)


_OTHERS_NAMES = {
    "lr": "model.learning_rate",
    "wd": "model.weight_decay",
    "batch": "train.batch_rows",
    "batch_size": "train.batch_rows",
    "n_epochs": "train.epochs",
    "num_epochs": "train.epochs",
    "max_epochs": "train.epochs",
    "validation_split": "train.validation_share",
    "augmentation": "train.augment",
    "mixed_precision": "train.precision",
    "jit_compile": "train.jit",
}
"""What Keras, PyTorch and Lightning call a setting -> what it is called here."""


def _explain(item: Any, model: str) -> str:
    """One pydantic complaint about a model's settings in hubbub's words."""
    location = [str(part) for part in item["loc"]]
    name = ".".join(location[:2])
    if item["type"] == "extra_forbidden":
        return f"unknown setting '{name}': {explain_unknown_key(name, model)}"
    if len(location) == 1:
        return f"{name}: {item['input']!r} is no section of settings; expected settings in it, such as {KEYS[0]}=0.001"
    if name == "train.jit":
        return f"train.jit: expected auto, true or false (given: {item['input']!r})"
    return f"{name}: {say_expected(item)} (given: {item['input']!r})"
