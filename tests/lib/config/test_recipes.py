"""Settings of recipes: defaults, changes by file and by assignment, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hubbub.config.recipes import (
    DEFAULTS,
    KEYS,
    choose_recipe_settings,
    keys_of,
    load_recipe_settings,
    parse_recipe_settings,
)
from hubbub.errors import HubbubError, SettingsError, TrainingError

IMAGES = "mobilenet-v2"
"""A model that has every setting that there is."""

VALUES = {
    "model.learning_rate": st.floats(1e-6, 1.0),
    "model.weight_decay": st.floats(0.0, 0.99),
    "model.dropout": st.floats(0.0, 0.99),
    "train.epochs": st.none() | st.integers(1, 1000),
    "train.batch_rows": st.none() | st.integers(1, 4096),
    "train.validation_share": st.floats(0.0, 0.99),
    "train.patience": st.floats(0.01, 1.0),
    "train.augment": st.booleans(),
    "train.balance": st.sampled_from(["auto", "none", "sampling"]),
    "train.label_smoothing": st.floats(0.0, 0.49),
    "train.precision": st.sampled_from(["float32", "mixed_bfloat16", "mixed_float16"]),
    "train.shuffle_mb": st.one_of(st.none(), st.integers(1, 10**6)),
    "train.jit": st.sampled_from(["auto", True, False]),
    "model.weights": st.sampled_from(["imagenet", "random", "weights.h5", "https://example.org/weights.h5"]),
    "model.stages": st.sampled_from(["head", "two", "whole"]),
    "model.head_share": st.floats(0.01, 0.99),
    "model.unfrozen_share": st.floats(0.01, 1.0),
    "model.unfrozen_rate": st.floats(0.01, 1.0),
    "model.channels": st.sampled_from(["same", "deltas"]),
    "model.side_px": st.none() | st.integers(75, 1024),
}


@st.composite
def changes_of(draw: st.DrawFn) -> tuple[str, dict]:
    """A model, and changes to some of its settings."""
    model = draw(st.sampled_from(sorted(DEFAULTS)))
    return model, draw(st.fixed_dictionaries({}, optional={key: VALUES[key] for key in keys_of(model)}))


def test_every_setting_has_values_to_try() -> None:
    assert set(VALUES) == set(KEYS) == set(keys_of(IMAGES))


@given(asked=changes_of())
def test_what_is_changed_is_changed_and_nothing_else(asked: tuple[str, dict]) -> None:
    model, changes = asked
    keys = keys_of(model)
    flat = {key: getattr(getattr(DEFAULTS[model], key.split(".")[0]), key.split(".")[1]) for key in keys}
    settings = parse_recipe_settings(model, changes)
    assert {key: getattr(getattr(settings, key.split(".")[0]), key.split(".")[1]) for key in keys} == flat | changes
    assigned = [f"{key}={yaml.safe_dump(value, default_flow_style=True).split()[0]}" for key, value in changes.items()]
    assert load_recipe_settings(model, None, assigned) == settings
    assert parse_recipe_settings(model, settings.model_dump(mode="json")) == settings  # as a bundle keeps them


@given(key=st.sampled_from(KEYS), place=st.integers(0, 30), letter=st.sampled_from("xyz"))
def test_a_misspelt_setting_is_refused_with_the_nearest(key: str, place: int, letter: str) -> None:
    section, name = key.split(".")
    place %= len(name)
    with pytest.raises(SettingsError, match=rf"unknown setting '{section}\..*did you mean '{key}'\?"):
        parse_recipe_settings(IMAGES, {f"{section}.{name[:place]}{letter}{name[place:]}": 1})


@given(key=st.sampled_from(KEYS), value=st.sampled_from([-1, 1e9, "many", [1], {"a": 1}, float("nan")]))
def test_a_bad_value_is_refused_by_name_or_taken_never_crashed_on(key: str, value: object) -> None:
    if key == "model.weights" and value == "many":  # the name of a file
        return
    with pytest.raises(SettingsError, match=key):
        parse_recipe_settings(IMAGES, {key: value})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"train": 5}, "train: 5 is no section of settings; expected settings in it"),
        ({"epochs": 5}, r"unknown setting 'epochs': did you mean 'train.epochs'\?"),
        ({"model.lr": 0.1}, r"unknown setting 'model.lr': did you mean 'model.learning_rate'\?"),
        ({"train.batch_size": 8}, r"unknown setting 'train.batch_size': did you mean 'train.batch_rows'\?"),
        ({"train.epochs": "many"}, r"train.epochs: expected a whole number \(given: 'many'\)"),
        ({"modle.dropout": 0.1}, "unknown setting 'modle': "),
        ({"train.balance": "weights"}, r"train.balance: .*'auto', 'none' or 'sampling' \(given: 'weights'\)"),
        ({"train.jit": "fast"}, r"train.jit: expected auto, true or false \(given: 'fast'\)"),
    ],
)
def test_refused_with_a_reason(data: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse_recipe_settings("default", data)


@pytest.mark.parametrize(
    "name", "lr wd batch batch_size n_epochs max_epochs validation_split mixed_precision jit_compile".split()
)
def test_a_name_of_another_library_is_answered_with_ours(name: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_recipe_settings("default", {f"train.{name}": 1})
    meant = str(refused.value).partition("did you mean '")[2].partition("'")[0]
    assert meant in KEYS


def test_an_unknown_model_gets_the_nearest() -> None:
    with pytest.raises(TrainingError, match=r"no model 'seed-cn': did you mean 'seed-cnn'\?"):
        load_recipe_settings("seed-cn")


def test_a_file_gives_sections_and_assignments_come_after_it(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("model:\n  dropout: 0.1\ntrain:\n")
    settings = load_recipe_settings("default", file, ["model.dropout=0.2", "train.epochs=7"])
    assert (settings.model.dropout, settings.train.epochs, settings.train.patience) == (0.2, 7, 1.0)
    with pytest.raises(HubbubError, match="does not exist; print one to start from: hubbub settings --model default >"):
        load_recipe_settings("default", tmp_path / "none.yaml")


@pytest.mark.parametrize("key", [key for key in KEYS if key not in keys_of("default")])
def test_a_setting_that_the_model_has_not_is_refused_with_the_models_that_have_it(key: str) -> None:
    value = getattr(DEFAULTS[IMAGES].model, key.split(".")[1])
    message = f"'{key}': default has no such setting; leave it out, or use --model inception-v3 or mobilenet-v2 or effi"
    with pytest.raises(SettingsError, match=message):
        parse_recipe_settings("default", {key: value})


def test_a_short_form_and_its_setting_may_agree() -> None:
    assert choose_recipe_settings(IMAGES, {"model.weights": "a.h5"}, weights=Path("a.h5")).model.weights == "a.h5"
    assert choose_recipe_settings("default", {"train.epochs": 3}, epochs=3).train.epochs == 3
    assert choose_recipe_settings("default", None, epochs=3).train.epochs == 3
