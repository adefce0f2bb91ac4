"""How well batches are mixed: how far the classes in each lie from those of the whole set."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def mixture_distance(classes: npt.NDArray[np.int64], batch_rows: int) -> float:
    """Mean total variation distance between the classes of each batch and those of all rows.

    0 where each batch has the classes of the set in its proportions, near 1 where each has one of many classes. Chance
    alone gives more than 0: compare with `ideal_mixture_distance`.

    Parameters
    ----------
    classes
        int64 [row], the class of each row, from 0, in the order in which rows are served.
    batch_rows
        Rows a batch; a last, smaller one is left out unless it is the only one.
    """
    if not len(classes):
        return 0.0
    n_classes, batch_rows = int(classes.max()) + 1, min(batch_rows, len(classes))
    n_batches = len(classes) // batch_rows
    batch = np.repeat(np.arange(n_batches), batch_rows)
    cell = batch * n_classes + classes[: len(batch)]
    shares = np.bincount(cell, minlength=n_batches * n_classes).reshape(n_batches, n_classes) / batch_rows
    of_all = np.bincount(classes, minlength=n_classes) / len(classes)
    return float(np.abs(shares - of_all).sum(axis=1).mean() / 2)


def ideal_mixture_distance(classes: npt.NDArray[np.int64], batch_rows: int, *, seed: int = 0) -> float:
    """`mixture_distance` of the same rows in the order of a random permutation, which no shuffling is fairer than."""
    return mixture_distance(np.random.default_rng(seed).permutation(classes), batch_rows)
