"""Warnings about a training: a split that could not be made, and a model that learned nothing or too little.

They are said on the screen, in the model card and in the report; each says what was seen, what it means and the likely
causes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from hubbub.clips.labels import SPELLING, group_spellings
from hubbub.io.text import count_noun, list_few
from hubbub.learn.splits import Split
from hubbub.learn.targets import pair_labels

CHANCE_EPOCHS = 5
"""Epochs at the end of a training whose loss is compared with chance."""

THRESHOLD = 0.5
"""Score at which a label counts as present, where no validation rows could choose one."""

CHANCE_LOSS = 0.98
"""Share of the loss at chance from which a loss counts as chance."""

_CAUSES = (
    "likely causes: labels that do not fit the recordings, recordings that are silent or cut off (hubbub info STORE), "
    "too few recordings, a learning rate that is too high (--set model.learning_rate=0.0003)"
)


def find_split_warnings(split: Split) -> list[str]:
    """Return what people should know about a split before training, a sentence or two each."""
    warnings = []
    if split.validation.empty:
        n_groups = split.train["unit"].nunique()
        warnings.append(
            f"no rows validate: {count_noun(n_groups, 'group')} to train on, and every label must keep one. The last "
            "epoch is kept, and thresholds stay at 0.5; add recordings from other places, or set train.validation_share"
        )
    train, validation, test = (pair_labels(part) for part in (split.train, split.validation, split.test))
    present = {*train["label"], *validation["label"]}
    untested = sorted(present - set(test["label"]))
    if untested:
        warnings.append(
            f"{list_few(untested, 'label')} without a test row: no score will say how well it is recognised"
        )
    clips = train.groupby("label")["clip_id"].nunique()
    single = sorted(clips[clips == 1].index)
    if single:
        warnings.append(f"{list_few(single, 'label')} with one clip to train on: expected ten or more")
    warnings += _find_labels_spelt_alike(present)
    if split.skipped:
        warnings.append(f"{count_noun(split.skipped, 'row')} without a label left out")
    return warnings


def _find_labels_spelt_alike(labels: set[str]) -> list[str]:
    return [
        f"labels {' and '.join(map(repr, same))} differ in {SPELLING}, and count as different labels; "
        "rename one of them if they are the same"
        for same in group_spellings(sorted(labels))
    ]


def loss_at_chance(shares: npt.NDArray[np.float64], activation: Literal["softmax", "sigmoid"]) -> float:
    """Return the loss of a model that gives every row the labels' shares, in nats.

    Parameters
    ----------
    shares
        float64 [label], of the rows that carry each; they add up to 1 where rows carry one label each.
    activation
        ``softmax``: categorical cross-entropy, the entropy of the shares. ``sigmoid``: binary cross-entropy, the mean
        over the labels.
    """
    p = np.clip(shares, 1e-12, 1 - 1e-12)
    if activation == "softmax":
        return float(-(p * np.log(p)).sum())
    return float(-(p * np.log(p) + (1 - p) * np.log(1 - p)).mean())


def find_training_warnings(
    history: Sequence[Mapping[str, float]],
    *,
    kept_epoch: int,
    marked: npt.NDArray[np.bool_],
    scores: npt.NDArray[np.floating],
    labels: Sequence[str],
    activation: Literal["softmax", "sigmoid"],
) -> list[str]:
    """Return warnings about a training that taught nothing, or not all labels.

    Parameters
    ----------
    history
        One line an epoch: loss, accuracy; val_loss and val_accuracy where rows validate.
    kept_epoch
        The epoch whose weights are kept, from 1.
    marked, scores
        [row, label]: what the validation rows carry, or training rows where none validate, and the kept model's scores.
    labels
        Names.
    activation
        Of the scores.
    """
    shares = marked.sum(axis=0) / max(len(marked), 1)
    return [
        *_find_loss_at_chance(history, loss_at_chance(shares, activation)),
        *_find_accuracy_at_chance(history[kept_epoch - 1], float(shares.max())),
        *_find_labels_never_predicted(marked, scores, labels),
    ]


def _find_loss_at_chance(history: Sequence[Mapping[str, float]], chance: float) -> list[str]:
    losses = [line.get("val_loss", line["loss"]) for line in history[-CHANCE_EPOCHS:]]
    if len(losses) < CHANCE_EPOCHS or min(losses) < CHANCE_LOSS * chance:
        return []
    kind = "validation loss" if "val_loss" in history[-1] else "loss"
    return [
        f"the {kind} of the last {CHANCE_EPOCHS} epochs was {min(losses):.3f} or more; a model that knows only how "
        f"frequent the labels are has {chance:.3f}; {_CAUSES}"
    ]


def _find_accuracy_at_chance(kept: Mapping[str, float], chance: float) -> list[str]:
    kind = "validation" if "val_accuracy" in kept else "training"
    accuracy = kept.get("val_accuracy", kept.get("accuracy", 1.0))
    # Twice chance says nothing of two labels: there it is a quarter of the way from chance to all.
    least = min(2 * chance, chance + 0.25 * (1 - chance))
    if accuracy >= least:
        return []
    return [
        f"{kind} accuracy ended at {accuracy:.1%}, expected at least {least:.1%}: always naming the most frequent "
        f"label is right in {chance:.1%}; {_CAUSES}"
    ]


def _find_labels_never_predicted(
    marked: npt.NDArray[np.bool_], scores: npt.NDArray[np.floating], labels: Sequence[str]
) -> list[str]:
    there, named = set(np.flatnonzero(marked.any(axis=0)).tolist()), set(scores.argmax(axis=1).tolist())
    if (marked.sum(axis=1) > 1).any():  # rows have room for more than the highest score
        named |= set(np.flatnonzero((scores >= THRESHOLD).any(axis=0)).tolist())
    never = [labels[index] for index in sorted(there - named)]
    if not never:
        return []
    return [
        f"{list_few(never, 'label')} never predicted, though there in the {count_noun(len(marked), 'row')} looked at; "
        "likely causes: too few recordings of it, recordings that sound like another label's, labels that are wrong"
    ]
