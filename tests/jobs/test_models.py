"""`hubbub models`: every model with what it costs, and one in detail."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import hubbub
from hubbub.config.network_features import choose_features
from hubbub.config.recipes import DEFAULTS
from tests.jobs.command import refuse, succeed

pytest.importorskip("keras")


ROOT = Path(__file__).resolve().parents[2]


def read_counts(text: str) -> dict[str, tuple[str, str]]:
    """Parameters and multiply-adds by name, of the lines of a table."""
    found = re.findall(r"^(\S+) +([\d,]+) +([\d.]+ [kMG])\b", text, re.MULTILINE)
    return {name: (parameters, multiply_adds) for name, parameters, multiply_adds in found}


@pytest.mark.slow
def test_every_model_is_listed_with_what_it_costs_as_the_page_shows_it() -> None:
    said = succeed("models")
    known = hubbub.list_models()
    assert [facts.name for facts in known] == list(DEFAULTS)
    counts = read_counts(said)
    assert {name: parameters for name, (parameters, _) in counts.items()} == {
        facts.name: f"{facts.parameters:,}" for facts in known
    }
    assert counts["cnn-128"] == ("241,434", "19.4 M")
    assert read_counts((ROOT / "docs" / "howto" / "networks.md").read_text(encoding="utf-8")) == counts
    assert len(re.findall("Apache-2.0$", said, re.MULTILINE)) == 3
    assert "its own features (hubbub settings --for NAME) and 10 labels" in " ".join(said.split())


def test_one_model_is_shown_with_its_features_and_its_recipe() -> None:
    said = " ".join(succeed("models", "cnn-stft-32").replace("│", " ").split())
    assert "stft-db, 16,000 Hz, 626 frames x 129 bands of 5 s: hubbub settings --for cnn-stft-32" in said
    assert "Adam, learning rate 0.001" in said
    assert "2,061,370" in said
    facts = hubbub.describe_model("cnn-stft-32")
    assert facts.features == choose_features("cnn-stft-32")
    assert (facts.shape, facts.activation, facts.weights_licence) == ((626, 129), "softmax", None)


def test_an_unknown_model_gets_the_nearest() -> None:
    assert "no model 'cnn128': did you mean 'cnn-128'?" in refuse("models", "cnn128")
