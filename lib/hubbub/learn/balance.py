"""Balanced sampling: rare labels are shown as often as others."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

UNBALANCED = 3.0
"""Rows of the most frequent label, times those of the rarest, from which ``auto`` balances."""

MOST_REPEATS = 10
"""Times that a row is shown in an epoch, at most: a label with two clips is not learned by showing them all day."""


def needs_balance(targets: npt.NDArray[np.int64], balance: Literal["auto", "none", "sampling"]) -> bool:
    """Whether rows are sampled by label; `targets` is int64 [row], the label of each."""
    counts = np.bincount(targets)
    counts = counts[counts > 0]
    return balance == "sampling" or (balance == "auto" and counts.max() >= UNBALANCED * counts.min())


def sample_balanced(targets: npt.NDArray[np.int64], *, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Draw as many rows as there are, every label about as often as any other.

    A label with more rows than its share shows some of them in each epoch, one with fewer shows its rows several times,
    `MOST_REPEATS` at most; then the others share what is left.

    Parameters
    ----------
    targets
        int64 [row], the label of each row.
    seed, epoch
        Decide which rows are drawn.

    Returns
    -------
    places
        int64 [row], places in `targets`, as many as these.
    """
    rng = np.random.default_rng([seed, epoch, 2])
    labels, counts = np.unique(targets, return_counts=True)
    drawn = [
        _draw(np.flatnonzero(targets == label), quota, rng)
        for label, quota in zip(labels.tolist(), _share_out(counts, len(targets)), strict=True)
    ]
    return np.concatenate(drawn)


def _share_out(counts: npt.NDArray[np.int64], total: int) -> list[int]:
    """Rows that each label shows in an epoch; they add up to the total."""
    quotas = np.zeros(len(counts), np.int64)
    left, rarest_first = total, np.argsort(counts, kind="stable")
    for done, label in enumerate(rarest_first.tolist()):
        quotas[label] = min(left // (len(counts) - done), MOST_REPEATS * counts[label])
        left -= quotas[label]
    quotas[rarest_first[-1]] += left
    return quotas.tolist()


def _draw(places: npt.NDArray[np.int64], quota: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Every place as often as any other, give or take one."""
    rounds = [rng.permutation(places) for _ in range(-(-quota // len(places)))]
    return np.concatenate(rounds)[:quota] if rounds else places[:0]
