"""The file of a sweep: which recipe settings to try, how to choose among them, when to give up a trial."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, ValidationError, field_validator, model_validator

from hubbub.config import nest_settings, read_settings_file
from hubbub.config.base import Frozen, say_expected
from hubbub.config.recipes import KEYS, SECTIONS, explain_unknown_key, parse_recipe_settings
from hubbub.errors import SettingsError, suggest_nearest

EXAMPLE = "settings: {model.learning_rate: [0.001, 0.003]}"
_WHOLE = ("train.epochs", "train.batch_rows")


class Range(Frozen):
    """Values from `low` to `high`, of which a random search draws."""

    low: float
    high: float
    log: bool = Field(False, description="draw the logarithm evenly")

    @model_validator(mode="after")
    def _rises(self) -> Range:
        if not self.low < self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"low {self.low:g} has no logarithm; give one above 0, or log: false")
        return self

    def draw(self, rng: np.random.Generator) -> float:
        """Draw a value, of 4 digits, which a person can type."""
        if self.log:
            value = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        else:
            value = rng.uniform(self.low, self.high)
        return min(self.high, max(self.low, float(f"{value:.4g}")))


class Halving(Frozen):
    """Successive halving: all trials train a few epochs, the best part of them goes on, again and again."""

    factor: int = Field(3, ge=2, le=100, description="one in so many goes on, with so many times the epochs")
    min_epochs: int = Field(5, ge=1, le=10_000, description="epochs of the first round")


class Grid(Frozen):
    """What a sweep tries."""

    search: Literal["grid", "random"] = Field("grid", description="grid: every combination; random: some, drawn")
    trials: int | None = Field(None, ge=1, le=100_000, description="search random: how many")
    seed: int = Field(0, ge=0, description="of the trainings, and of what is drawn")
    score: Literal["accuracy", "loss"] = Field("accuracy", description="on validation rows; it ranks the trials")
    halving: Halving | None = None
    model: tuple[str, ...] = ("default",)
    settings: dict[str, tuple[Any, ...] | Range] = Field(default_factory=dict)

    @field_validator("model", mode="before")
    @classmethod
    def _one_is_a_list(cls, given: Any) -> Any:
        return (given,) if isinstance(given, str) else given

    @model_validator(mode="after")
    def _fits_the_search(self) -> Grid:
        ranges = [key for key, values in self.settings.items() if isinstance(values, Range)]
        if self.search == "grid" and ranges:
            raise ValueError(f"{ranges[0]} is a range, which search random draws from; give a list, or search: random")
        if (self.trials is None) == (self.search == "random"):
            raise ValueError("search random and trials go together: give both, or neither")
        if empty := [key for key, values in self.settings.items() if values == ()]:
            raise ValueError(f"{empty[0]} has no values; give at least one")
        return self


@dataclass(frozen=True)
class Choice:
    """What one trial is: a store, a model, and changes to the model's recipe."""

    store: int
    """Number of the store."""

    model: str
    changes: tuple[tuple[str, Any], ...]
    """Setting and value, in the order of the file."""


def load_grid(file: Path) -> Grid:
    """Read the file of a sweep.

    Raises
    ------
    SettingsError
        For a file that cannot be read, an unknown key or setting (says the nearest), or a bad value.
    """
    try:
        data = read_settings_file(file, "settings:", f"echo '{EXAMPLE}'")
    except SettingsError as error:
        raise SettingsError(str(error).replace("settings file", "sweep file", 1)) from None
    if unknown := sorted(data.keys() - Grid.model_fields.keys()):
        name = str(unknown[0])
        hint = suggest_nearest(name, Grid.model_fields)
        if name in SECTIONS or name.partition(".")[0] in SECTIONS or any(key.endswith(f".{name}") for key in KEYS):
            hint = f"recipe settings stand below 'settings:', such as {EXAMPLE}"
        raise SettingsError(f"{file}: unknown key '{name}': {hint}")
    settings = _flatten(file, data.get("settings") or {})
    given = {key: value for key, value in data.items() if value is not None} | {"settings": settings}
    try:
        grid = Grid.model_validate(given)
    except ValidationError as error:
        raise SettingsError(f"{file}: " + "; ".join(dict.fromkeys(map(_explain, error.errors())))) from None
    read = {key: _read_values(grid.model, key, values, file) for key, values in grid.settings.items()}
    return grid.model_copy(update={"settings": read})


def _read_values(models: tuple[str, ...], key: str, values: tuple[Any, ...] | Range, file: Path) -> Any:
    """Check a setting's values for every model; read those of a list as the recipe does: YAML takes 1e-05 for text."""
    if isinstance(values, Range):
        for end in (values.low, values.high):
            _read_value(models, key, round(end) if key in _WHOLE else end, file)
        return values
    return tuple(_read_value(models, key, value, file) for value in values)


def _read_value(models: tuple[str, ...], key: str, value: Any, file: Path) -> Any:
    section, _, name = key.partition(".")
    parsed = [parse_recipe_settings(model, {key: value}, where=str(file)) for model in models]
    return getattr(getattr(parsed[0], section), name) if parsed else value


def list_choices(grid: Grid, n_stores: int) -> list[Choice]:
    """Return what the trials are, each once: all combinations, or those that the seed draws."""
    every = _combine(grid, n_stores) if grid.search == "grid" else _draw(grid, n_stores)
    return list(dict.fromkeys(every))


def _combine(grid: Grid, n_stores: int) -> Iterator[Choice]:
    names = list(grid.settings)
    for store, model, *values in itertools.product(range(n_stores), grid.model, *grid.settings.values()):
        yield Choice(int(store), str(model), tuple(zip(names, values, strict=True)))


def _draw(grid: Grid, n_stores: int) -> Iterator[Choice]:
    assert grid.trials is not None
    for number in range(grid.trials):
        rng = np.random.default_rng([grid.seed, number])
        store, model = int(rng.integers(n_stores)), grid.model[rng.integers(len(grid.model))]
        changes = []
        for key, values in grid.settings.items():
            value = values.draw(rng) if isinstance(values, Range) else values[rng.integers(len(values))]
            changes.append((key, round(value) if key in _WHOLE and isinstance(values, Range) else value))
        yield Choice(store, model, tuple(changes))


def _flatten(file: Path, settings: Any) -> dict[str, Any]:
    """Turn sections into ``section.name``; refuse names that are no recipe settings."""
    if not isinstance(settings, dict):
        raise SettingsError(f"{file}: settings: {settings!r} is no section; give lists or ranges, such as {EXAMPLE}")
    flat: dict[str, Any] = {}
    for section, values in nest_settings(settings).items():
        inner = values.items() if section in SECTIONS and isinstance(values, dict) else [(None, values)]
        for name, value in inner:
            key = section if name is None else f"{section}.{name}"
            if key not in KEYS:
                raise SettingsError(f"{file}: settings: unknown setting '{key}': {explain_unknown_key(key)}")
            flat[key] = value
    for key, value in flat.items():
        if not isinstance(value, list | dict):
            raise SettingsError(f"{file}: {key}: {value!r} is one value; give a list, such as {key}: [{value}]")
    return flat


def _explain(item: Any) -> str:
    """One pydantic complaint in hubbub's words."""
    name = ".".join(str(part) for part in item["loc"] if part not in ("Range", "tuple[Any, ...]", "tuple"))
    if item["type"] == "extra_forbidden":
        known = Halving if name.startswith("halving") else Range
        return f"unknown key '{name}': {suggest_nearest(name.rpartition('.')[2], known.model_fields)}"
    message = say_expected(item)
    return f"{name}: {message} (given: {item['input']!r})" if name else message
