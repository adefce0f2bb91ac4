"""`hubbub models`: every model with what it costs, and one in detail."""

from __future__ import annotations

import pytest

import hubbub
from hubbub.config.network_features import choose_features
from hubbub.config.recipes import DEFAULTS
from tests.jobs.command import refuse, succeed

pytest.importorskip("keras")


def test_every_model_is_listed_with_what_it_costs() -> None:
    said = succeed("models")
    known = hubbub.list_models()
    assert [facts.name for facts in known] == list(DEFAULTS)
    lines = {line.split()[0]: line.split() for line in said.splitlines() if line}
    for facts in known:
        assert lines[facts.name][1] == f"{facts.parameters:,}"
        assert facts.source.split()[0] in lines[facts.name]
    assert lines["cnn-128"][:4] == ["cnn-128", "241,434", "19.4", "M"]
    assert "its own features (hubbub settings --for NAME) and 10 labels" in " ".join(said.split())


def test_one_model_is_shown_with_its_features_and_its_recipe() -> None:
    said = " ".join(succeed("models", "cnn-stft-32").replace("│", " ").split())
    assert "stft-db, 16,000 Hz, 626 frames x 129 bands of 5 s: hubbub settings --for cnn-stft-32" in said
    assert "Adam, learning rate 0.001" in said
    facts = hubbub.describe_model("cnn-stft-32")
    assert facts.features == choose_features("cnn-stft-32")
    assert (facts.shape, facts.activation, facts.weights_licence) == ((626, 129), "softmax", None)


def test_an_unknown_model_gets_the_nearest() -> None:
    assert "no model 'cnn128': did you mean 'cnn-128'?" in refuse("models", "cnn128")
