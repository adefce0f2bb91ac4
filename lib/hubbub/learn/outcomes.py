"""What a table of predictions says: what each clip carries, and what a model called.

The columns ``true`` and ``scores`` say it where clips carry one label each. Where some carry several, ``labels`` and
``called`` are there as well, lists of names, and ``true`` is the label that counts in a confusion matrix.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from hubbub.learn.clip_metrics import Calls, call_labels
from hubbub.learn.targets import mark_labels

COLUMNS = ("labels", "called")
"""Those of clips that carry several labels."""


def read_calls(predictions: pd.DataFrame, labels: Sequence[str]) -> tuple[Calls, npt.NDArray[np.float64]]:
    """Read predictions.

    Parameters
    ----------
    predictions
        One row a clip: true, scores [label], and `COLUMNS` where clips carry several labels.
    labels
        In the order of the scores.

    Returns
    -------
    calls, scores
        The scores are float64 [clip, label].
    """
    scores = np.stack(predictions["scores"].to_list()).astype(np.float64)
    if "labels" not in predictions:
        return call_labels(mark_labels([[label] for label in predictions["true"]], labels), scores), scores
    marked, called = (mark_labels(predictions[name].to_list(), labels) for name in COLUMNS)
    return Calls(marked, called, scores.argmax(axis=1).astype(np.int64)), scores


def describe_calls(calls: Calls, labels: Sequence[str]) -> dict[str, pa.Array]:
    """Return `COLUMNS` of a table of predictions."""
    return {
        name: pa.array(
            [[labels[place] for place in np.flatnonzero(row).tolist()] for row in part], pa.list_(pa.string())
        )
        for name, part in zip(COLUMNS, (calls.marked, calls.called), strict=True)
    }
