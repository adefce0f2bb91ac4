"""What rows carry, one label or several, as names and as numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd


def mark_labels(carried: Sequence[Iterable[str]], labels: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Return which of `labels` each row carries, bool [row, label]; labels that are not among them are left out."""
    index = {label: place for place, label in enumerate(labels)}
    marked = np.zeros((len(carried), len(labels)), bool)
    for row, names in enumerate(carried):
        marked[row, [index[name] for name in names if name in index]] = True
    return marked


def pair_labels(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a line for each label of each row: its `label`, and the row's other columns."""
    if (rows["labels"].map(len) == 1).all():
        return rows
    return rows.drop(columns="label", errors="ignore").explode("labels").rename(columns={"labels": "label"})


def choose_main_labels(carried: pd.Series) -> pd.Series:
    """Return the label by which each row is counted where only one can be: of several, the rarest among all rows."""
    if (carried.map(len) == 1).all():
        return carried.map(lambda names: names[0])
    counts = carried.explode().value_counts().to_dict()
    return carried.map(lambda names: min(names, key=lambda name: (counts[name], name)))


def number_kinds(
    parts: Sequence[pd.Series], labels: Sequence[str]
) -> tuple[list[npt.NDArray[np.int64]], npt.NDArray[np.float32]]:
    """Number the sets of labels that rows carry.

    Parameters
    ----------
    parts
        Of several tables, the sorted labels of each row.
    labels
        All of them.

    Returns
    -------
    targets
        Of each table int64 [row], the kind of each row. A row with one label is of the kind of that label's place.
    table
        float32 [kind, label]: what each kind carries.
    """
    kinds = {(label,): number for number, label in enumerate(labels)}
    for names in sorted({tuple(names) for part in parts for names in part} - set(kinds)):
        kinds[names] = len(kinds)
    targets = [np.array([kinds[tuple(names)] for names in part], np.int64) for part in parts]
    return targets, mark_labels(list(kinds), labels).astype(np.float32)
