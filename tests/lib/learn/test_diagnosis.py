"""A training that teaches nothing says so, and one that teaches something does not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

from hubbub.learn.diagnosis import find_split_warnings, find_training_warnings, loss_at_chance
from hubbub.learn.splits import Split

LABELS = ("bark", "rain", "siren", "train")
EVENLY = np.tile(np.arange(4), 10)


def history(loss: float, accuracy: float, *, epochs: int = 8, **validation: float) -> list[dict[str, float]]:
    return [{"epoch": epoch + 1, "loss": loss, "accuracy": accuracy} | validation for epoch in range(epochs)]


def warnings_of(lines: list[dict[str, float]], predicted: np.ndarray = EVENLY, **options) -> list[str]:
    own = {"targets": EVENLY, "labels": LABELS, "activation": "softmax"} | options
    one_hot = np.eye(len(own["labels"]))
    marked = one_hot[own.pop("targets")] > 0
    return find_training_warnings(lines, kept_epoch=len(lines), marked=marked, scores=one_hot[predicted], **own)


def test_the_loss_at_chance_is_that_of_a_model_that_knows_only_the_shares():
    targets = np.repeat(np.arange(3), [6, 3, 1])
    shares = np.array([0.6, 0.3, 0.1])
    assert loss_at_chance(shares, "softmax") == pytest.approx(log_loss(targets, np.tile(shares, (10, 1))))
    each = [log_loss(targets == label, np.full(10, share)) for label, share in enumerate(shares)]
    assert loss_at_chance(shares, "sigmoid") == pytest.approx(np.mean(each))


def test_a_training_that_learns_has_no_warnings():
    assert warnings_of(history(0.4, 0.9, val_loss=0.6, val_accuracy=0.8)) == []


def test_a_loss_at_chance_is_told_with_causes():
    (text, _) = warnings_of(history(1.38, 0.3, val_loss=1.40, val_accuracy=0.3))
    assert "the validation loss of the last 5 epochs was 1.400 or more" in text
    assert "has 1.386; likely causes: labels that do not fit" in text
    assert warnings_of(history(1.38, 0.9, epochs=4)) == []  # fewer than five epochs say nothing


def test_accuracy_under_twice_chance_is_told():
    (text,) = warnings_of(history(1.0, 0.9, val_loss=1.0, val_accuracy=0.4))
    assert text.startswith("validation accuracy ended at 40.0%, expected at least 43.8%")
    assert "training accuracy ended at 30.0%" in warnings_of(history(1.0, 0.3))[0]


def test_two_labels_are_judged_from_chance_upwards():
    """Twice chance of two labels would be all of them."""
    two = {"targets": np.tile([0, 1], 10), "labels": LABELS[:2], "predicted": np.tile([0, 1], 10)}
    assert warnings_of(history(0.5, 0.9, val_loss=0.5, val_accuracy=0.7), **two) == []
    assert warnings_of(history(0.5, 0.9, val_loss=0.5, val_accuracy=0.6), **two)


def test_a_label_that_is_never_predicted_is_named():
    (text,) = warnings_of(history(0.4, 0.9), predicted=np.minimum(EVENLY, 2))
    assert text.startswith("1 label (train) never predicted, though there in the 40 rows looked at")


def split(train: list[str], validation: list[str], test: list[str], skipped: int = 0) -> Split:
    def rows(names: list[str]) -> pd.DataFrame:
        numbers = [f"{place}" for place in range(len(names))]
        carried = [(name,) for name in names]
        return pd.DataFrame({"label": names, "labels": carried, "unit": numbers, "clip_id": numbers})

    labels = tuple(sorted({*train}))
    table = np.eye(len(labels), dtype=np.float32)
    return Split(labels, table, rows(train), rows(validation), rows(test), skipped)


def test_a_good_split_has_no_warnings():
    assert find_split_warnings(split(list("aabb"), list("ab"), list("ab"))) == []


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (split(list("aabb"), [], list("ab")), "no rows validate: 4 groups to train on"),
        (split(list("aabb"), list("ab"), list("a")), "1 label (b) without a test row"),
        (split(list("aab"), list("a"), list("ab")), "1 label (b) with one clip to train on"),
        (split(["Dog", "dog"] * 2, ["dog"], ["Dog", "dog"]), "labels 'Dog' and 'dog' differ in case, blanks"),
        (split(["car_horn", "car horn"] * 2, ["car horn"], ["car_horn", "car horn"]), "differ in case, blanks, hyph"),
        (split(list("aabb"), list("ab"), list("ab"), skipped=3), "3 rows without a label left out"),
    ],
)
def test_what_people_should_know_about_a_split(made: Split, message: str):
    (text,) = find_split_warnings(made)
    assert message in text
