"""Which training rows validate: whole groups, every label as evenly among them as groups allow."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

from hubbub.learn.targets import pair_labels

MANY_GROUPS = 5_000
"""Groups above which each one is drawn by itself: as fair where groups are many, and much faster than dealing them."""


def select_validation(train: pd.DataFrame, *, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Return which training rows validate, bool [row].

    At least one group does where there are two or more, one of which can go: every label keeps a group to train on.
    Groups are dealt by scikit-learn's `StratifiedGroupKFold`; the order of the rows changes nothing.

    Parameters
    ----------
    train
        With columns `unit` (the group), `label` and `labels`.
    share
        Share of the rows wanted, 0 up to 1; 0 for none.
    seed
        Decides which groups are drawn.
    """
    chosen = np.zeros(len(train), bool)
    if share <= 0 or not len(train):
        return chosen
    can_go = ~train["unit"].isin(_keep_a_group_each(train, seed)).to_numpy()
    free = train[can_go]
    n_groups = free["unit"].nunique()
    if not n_groups:
        return chosen
    wanted = max(1.0, share * len(train))
    parts = min(n_groups, max(1, round(len(free) / wanted)))
    chosen[can_go] = _deal(free, parts, seed) if parts > 1 else True
    return chosen


def _deal(free: pd.DataFrame, parts: int, seed: int) -> npt.NDArray[np.bool_]:
    """One of `parts` about equal parts, bool [row]."""
    units, most = free["unit"].unique(), int(free["label"].value_counts().iloc[0])
    if len(units) > MANY_GROUPS or most < 2:  # scikit-learn deals no labels that are there once
        drawn = sorted(units, key=draw_groups(seed, "validation"))[: max(1, len(units) // parts)]
        return free["unit"].isin(drawn).to_numpy()
    import warnings

    from sklearn.model_selection import StratifiedGroupKFold

    # Sorted: the dealing depends on the first appearance of labels and groups.
    order = np.lexsort((free["label"].to_numpy(str), free["unit"].to_numpy(str)))
    ordered, chosen = free.iloc[order], np.zeros(len(free), bool)
    with warnings.catch_warnings():  # a label with fewer groups than parts is in some of them only
        warnings.simplefilter("ignore", UserWarning)
        dealt = StratifiedGroupKFold(max(2, min(parts, most)), shuffle=True, random_state=seed)
        _, places = next(iter(dealt.split(ordered, ordered["label"], ordered["unit"])))
    chosen[order[places]] = True
    return chosen


def _keep_a_group_each(train: pd.DataFrame, seed: int) -> set[str]:
    """Groups that train whatever is drawn, so that every label has one; as few as a greedy choice finds."""
    draw = draw_groups(seed, "training")
    pairs = pair_labels(train)[["label", "unit"]].drop_duplicates()
    kept: set[str] = set()
    # Labels of few groups choose first: their group often serves others, too.
    for label in pairs["label"].value_counts(ascending=True).index:
        units = pairs.loc[pairs["label"] == label, "unit"]
        if not kept.intersection(units):
            kept.add(min(units, key=draw))
    return kept


def draw_groups(seed: int, purpose: str) -> Callable[[str], bytes]:
    """Sort key that shuffles: it depends on the seed and the name alone, so other groups change nothing."""
    return lambda unit: hashlib.sha256(f"{seed}/{purpose}/{unit}".encode()).digest()
