"""`hubbub settings`: what it prints is a settings file, which says no more than the defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubbub.config import load_settings
from hubbub.config.frontends import FRONTENDS
from hubbub.config.network_features import HEADS, choose_features
from hubbub.config.recipes import DEFAULTS, keys_of, load_recipe_settings
from tests.jobs.command import refuse, succeed


@pytest.mark.parametrize("frontend", FRONTENDS)
def test_what_is_printed_is_a_settings_file_with_the_defaults(frontend: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(succeed("settings", frontend))
    assert load_settings(file) == load_settings(None, [f"frontend.name={frontend}"])


def test_every_frontend_is_listed() -> None:
    assert [line.split()[0] for line in succeed("settings", "--list").splitlines()] == list(FRONTENDS)


def test_an_unknown_frontend_gets_the_nearest() -> None:
    assert "unknown frontend 'mfc': did you mean 'mfcc'?" in refuse("settings", "mfc")


@pytest.mark.parametrize("model", DEFAULTS)
def test_a_recipes_settings_are_printed_as_a_file_with_its_defaults(model: str, tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(succeed("settings", "--model", model))
    assert load_recipe_settings(model, file) == DEFAULTS[model]
    assert all(f"{key.partition('.')[2]}: " in file.read_text() for key in keys_of(model))


@pytest.mark.parametrize("model", [model for model in DEFAULTS if model not in HEADS])
def test_the_features_of_a_network_are_printed_as_a_settings_file(model: str, tmp_path: Path) -> None:
    file = tmp_path / "features.yaml"
    file.write_text(succeed("settings", "--for", model))
    assert load_settings(file) == choose_features(model)


def test_an_unknown_network_gets_the_nearest_and_two_kinds_of_file_are_refused() -> None:
    assert "no model 'seed-cn': did you mean 'seed-cnn'?" in refuse("settings", "--for", "seed-cn")
    assert "trains on embeddings, which a model makes: hubbub embed" in refuse("settings", "--for", "linear")
    assert "give one of the two" in refuse("settings", "--for", "default", "--model", "default")
