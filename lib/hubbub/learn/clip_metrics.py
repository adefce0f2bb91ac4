"""Scores of clips: accuracy, F1, confusion, precision and recall of each label.

A clip carries one label or several. It is recognised where its highest score is at one of them. Where clips carry one
label each, that label is the one called; where they carry several, every label is called whose score reaches its
threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

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
class Calls:
    """What clips carry, and what was called of them."""

    marked: npt.NDArray[np.bool_]
    """bool [clip, label], what they carry."""
    called: npt.NDArray[np.bool_]
    """bool [clip, label], what a model says of them."""
    top: npt.NDArray[np.int64]
    """int64 [clip], the label of the highest score; of equal scores the first."""

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Bool [clip], whether the highest score is at a label that the clip carries."""
        return np.take_along_axis(self.marked, self.top[:, None], axis=1)[:, 0]

    def of(self, clips: npt.NDArray[np.int64]) -> Calls:
        """Those of some clips, by their places."""
        return Calls(self.marked[clips], self.called[clips], self.top[clips])

    @property
    def true(self) -> npt.NDArray[np.int64]:
        """int64 [clip], the label that counts in a confusion matrix.

        The one called where it is right, else the rarest that the clip carries.
        """
        support = self.marked.sum(axis=0)
        rarest = np.where(self.marked, support, len(self.marked) + 1).argmin(axis=1)
        return np.where(self.right, self.top, rarest)


def call_labels(
    marked: npt.NDArray[np.bool_],
    scores: npt.NDArray[np.floating],
    thresholds: npt.NDArray[np.floating] | None = None,
) -> Calls:
    """Say what scores call.

    Parameters
    ----------
    marked
        bool [clip, label], what clips carry.
    scores
        float [clip, label], finite.
    thresholds
        float [label], scores from which labels are called; None: each clip has one label, that of the highest score.

    Raises
    ------
    ValueError
        For shapes that do not fit each other, a clip that carries no label, or a score that is NaN.
    """
    marked, scores = np.asarray(marked), np.asarray(scores)
    if marked.ndim != 2 or scores.shape != marked.shape or marked.dtype != bool:
        raise ValueError(
            f"expected marked, bool [clip, label], and as many scores; got {marked.dtype} {list(marked.shape)} and "
            f"{list(scores.shape)}"
        )
    if np.isnan(scores).any():
        raise ValueError(
            f"{np.isnan(scores).any(axis=1).sum()} of {count_noun(len(scores), 'clip')} have a score that is NaN"
        )
    if not marked.any(axis=1).all():
        raise ValueError(f"{(~marked.any(axis=1)).sum()} of {count_noun(len(marked), 'clip')} carry no label")
    top = scores.argmax(axis=1).astype(np.int64)
    called = np.arange(marked.shape[1]) == top[:, None] if thresholds is None else scores >= thresholds
    return Calls(marked, called, top)


@dataclass(frozen=True)
class ClipMetrics:
    """How well clips were recognised."""

    labels: tuple[str, ...]
    """Labels, in the order of the confusion matrix."""
    accuracy: float
    """Share of clips whose highest score is at a label that they carry; 0 without clips."""
    macro_f1: float
    """Mean F1 over the labels that were true or called at least once (as scikit-learn's)."""
    confusion: np.ndarray
    """int64 [true label, label of the highest score], counts of clips; of several true labels, `Calls.true`."""
    per_class: tuple[ClassScore, ...]
    """One score a label, in the order of `labels`."""

    @property
    def mean_average_precision(self) -> float | None:
        """Mean of the labels' average precision; None where no label has one."""
        known = [score.average_precision for score in self.per_class if score.average_precision is not None]
        return float(np.mean(known)) if known else None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: labels, clips, accuracy, macro_f1, mean_average_precision, confusion, per_class."""
        return {
            "labels": list(self.labels),
            "clips": int(self.confusion.sum()),
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "mean_average_precision": self.mean_average_precision,
            "confusion": self.confusion.tolist(),
            "per_class": [asdict(score) for score in self.per_class],
        }


def clip_metrics(calls: Calls, scores: npt.NDArray[np.floating], labels: Sequence[str]) -> ClipMetrics:
    """Score what was called.

    Parameters
    ----------
    calls
        Of the clips.
    scores
        float [clip, label], as for `call_labels`.
    labels
        Names, in the order of the scores' columns.
    """
    count = len(labels)
    confusion = np.bincount(calls.true * count + calls.top, minlength=count * count).reshape(count, count)
    hits, called, support = (part.sum(axis=0) for part in (calls.called & calls.marked, calls.called, calls.marked))
    per_class = tuple(
        ClassScore(
            label,
            *precision_recall_f1(int(hits[place]), int(called[place]), int(support[place])),
            int(support[place]),
            *_rank_scores(calls.marked[:, place], scores[:, place]),
        )
        for place, label in enumerate(labels)
    )
    seen = (called + support) > 0
    f1 = np.array([score.f1 for score in per_class])
    return ClipMetrics(
        labels=tuple(labels),
        accuracy=ratio(int(calls.right.sum()), len(calls.right)),
        macro_f1=float(f1[seen].mean()) if seen.any() else 0.0,
        confusion=confusion.astype(np.int64),
        per_class=per_class,
    )


def _rank_scores(is_so: np.ndarray, scores: np.ndarray) -> tuple[float | None, float | None]:
    """Average precision and area under the ROC curve, by scikit-learn."""
    if is_so.all() or not is_so.any():
        return None, None
    from sklearn.metrics import average_precision_score, roc_auc_score

    return float(average_precision_score(is_so, scores)), float(roc_auc_score(is_so, scores))
