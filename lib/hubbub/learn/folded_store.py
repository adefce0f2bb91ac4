"""A feature store whose clips have other folds than their own: for cross-validation by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

import numpy as np
import pandas as pd

from hubbub.errors import TrainingError
from hubbub.io.text import count_noun
from hubbub.learn.splits import labelled_rows, select_recorded
from hubbub.store.features import FeatureStore


@dataclass(frozen=True)
class FoldedStore(FeatureStore):
    """A store that gives each clip the fold of a table."""

    fold_of: Mapping[str, int] = field(default_factory=dict, repr=False)
    """Fold of each clip_id; a clip that is not in it has none."""

    def rows(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """As `FeatureStore.rows`, with the folds of the table."""
        if columns is not None and "fold" not in columns:
            return super().rows(columns)
        rows = super().rows(None if columns is None else list(dict.fromkeys([*columns, "clip_id"])))
        rows = rows.assign(fold=rows["clip_id"].map(self.fold_of).astype("Int32"))
        return rows if columns is None else rows[list(columns)]


def fold_store(store: FeatureStore, fold_of: Mapping[str, int]) -> FoldedStore:
    """Return a store with the folds of a table."""
    return FoldedStore(**{one.name: getattr(store, one.name) for one in fields(store)}, fold_of=fold_of)


def draw_folds(rows: pd.DataFrame, *, folds: int, seed: int = 0) -> dict[str, int]:
    """Divide labelled clips into folds of whole groups, each with about the same share of every label.

    A group is that of the clip table, or else a clip's file (`hubbub.learn.splits`). The order of the rows changes
    nothing.

    Parameters
    ----------
    rows
        As `FeatureStore.rows` gives them.
    folds
        How many, at least 2.
    seed
        Decides which groups are together.

    Returns
    -------
    dict
        Fold of each clip_id, from 1.

    Raises
    ------
    TrainingError
        For fewer than 2 folds, or more folds than groups, or than groups of the commonest label.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    if folds < 2:
        raise TrainingError(f"--folds {folds}; give at least 2")
    labelled, _ = labelled_rows(select_recorded(rows))
    clips = labelled.drop_duplicates("clip_id").sort_values("clip_id")
    most = min(clips["unit"].nunique(), int(clips["label"].value_counts().max()))
    if folds > most:
        raise TrainingError(f"--folds {folds}, but {count_noun(most, 'group')} to divide; give at most {most}")
    rule = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    fold_of: dict[str, int] = {}
    ids = clips["clip_id"].to_numpy()
    for number, (_, test) in enumerate(rule.split(np.zeros(len(clips)), clips["label"], clips["unit"]), 1):
        fold_of |= dict.fromkeys(ids[test], number)
    return fold_of
