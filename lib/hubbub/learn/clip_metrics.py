"""Scores of clips: accuracy, F1, confusion, precision and recall of each label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hubbub.io.text import count_noun
from hubbub.labels.event_metrics import precision_recall_f1, ratio


@dataclass(frozen=True)
class ClassScore:
    """How well one label was recognised among the clips."""

    label: str
    """The label."""
    precision: float
    """Of the clips called so, the share that are so; 0 where none was called so."""
    recall: float
    """Of the clips that are so, the share called so; 0 where none is so."""
    f1: float
    """Harmonic mean of precision and recall; 0 where both are 0."""
    support: int
    """Clips that are so."""
    average_precision: float | None = None
    """Area under precision over recall, at every threshold; None where no clip is so, or all are."""
    roc_auc: float | None = None
    """Probability that a clip that is so scores higher than one that is not; None as above."""


@dataclass(frozen=True)
class ClipMetrics:
    """How well single-label clips were recognised."""

    labels: tuple[str, ...]
    """Labels, in the order of the confusion matrix."""
    accuracy: float
    """Share of clips whose highest score is at the true label; 0 without clips."""
    macro_f1: float
    """Mean F1 over the labels that were true or predicted at least once (as scikit-learn's)."""
    confusion: np.ndarray
    """int64 [true label, predicted label], counts of clips."""
    per_class: tuple[ClassScore, ...]
    """One score a label, in the order of `labels`."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: labels, clips, accuracy, macro_f1, confusion, per_class."""
        return {
            "labels": list(self.labels),
            "clips": int(self.confusion.sum()),
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "confusion": self.confusion.tolist(),
            "per_class": [asdict(score) for score in self.per_class],
        }


def clip_metrics(true: np.ndarray, scores: np.ndarray, labels: Sequence[str]) -> ClipMetrics:
    """Score single-label predictions: the label with the highest score is the one predicted.

    Parameters
    ----------
    true
        int [clip], index into `labels`.
    scores
        float [clip, label], finite. Of equal scores the first label wins.
    labels
        Names, in the order of the scores' columns.

    Raises
    ------
    ValueError
        For shapes that do not fit each other, an index outside `labels`, or a score that is NaN.
    """
    true, scores = np.asarray(true), np.asarray(scores)
    _check_clips(true, scores, labels)
    count = len(labels)
    predicted = scores.argmax(axis=1)
    cells = true.astype(np.int64) * count + predicted
    confusion = np.bincount(cells, minlength=count * count).reshape(count, count).astype(np.int64)
    per_class = tuple(
        ClassScore(
            label, *precision_recall_f1(hits, called, support), support, *_rank_scores(true == index, scores[:, index])
        )
        for index, (label, hits, called, support) in enumerate(
            zip(
                labels,
                np.diag(confusion).tolist(),
                confusion.sum(axis=0).tolist(),
                confusion.sum(axis=1).tolist(),
                strict=True,
            )
        )
    )
    seen = (confusion.sum(axis=0) + confusion.sum(axis=1)) > 0
    f1 = np.array([score.f1 for score in per_class])
    return ClipMetrics(
        labels=tuple(labels),
        accuracy=ratio(np.trace(confusion), len(true)),
        macro_f1=float(f1[seen].mean()) if seen.any() else 0.0,
        confusion=confusion,
        per_class=per_class,
    )


def _rank_scores(is_so: np.ndarray, scores: np.ndarray) -> tuple[float | None, float | None]:
    """Average precision and area under the ROC curve, by scikit-learn."""
    if is_so.all() or not is_so.any():
        return None, None
    from sklearn.metrics import average_precision_score, roc_auc_score

    return float(average_precision_score(is_so, scores)), float(roc_auc_score(is_so, scores))


def _check_clips(true: np.ndarray, scores: np.ndarray, labels: Sequence[str]) -> None:
    if true.ndim != 1 or scores.shape != (len(true), len(labels)):
        raise ValueError(
            f"expected true [clip] and scores [clip, label] for {count_noun(len(labels), 'label')}; "
            f"got {list(true.shape)} and {list(scores.shape)}"
        )
    if len(true) and not (0 <= true.min() and true.max() < len(labels)):
        raise ValueError(f"true holds indices {true.min()} to {true.max()}; expected 0 to {len(labels) - 1}")
    if np.isnan(scores).any():
        raise ValueError(
            f"{np.isnan(scores).any(axis=1).sum()} of {count_noun(len(true), 'clip')} have a score that is NaN"
        )
