"""Cross-validation: what its trials add up to. What runs the trials is in `hubbub.pipelines.crossval`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hubbub.learn.clip_metrics import Calls, ClipMetrics, clip_metrics
from hubbub.learn.intervals import RESAMPLES
from hubbub.learn.outcomes import read_calls
from hubbub.learn.reliability import Reliability, compare_confidence


@dataclass(frozen=True)
class FoldScore:
    """Scores of one test fold, means over its seeds."""

    fold: int
    accuracy: float
    macro_f1: float
    clips: int
    seeds: int
    """Trials of the fold that ended well."""


@dataclass(frozen=True)
class Spread:
    """A score over all folds."""

    mean: float
    """Over folds, each the mean of its seeds."""

    std: float
    """Of the folds, with n - 1; 0 for one fold."""

    low: float
    """Lower end of the 95 % interval of the mean: bootstrap over the clips of each fold."""

    high: float
    """Upper end."""


@dataclass(frozen=True)
class CrossvalScores:
    """Scores over all folds and seeds."""

    folds: tuple[FoldScore, ...]
    accuracy: Spread
    macro_f1: Spread
    pooled: ClipMetrics
    """Of the predictions of all folds and seeds together: a clip counts once a seed."""
    reliability: Reliability
    """Of the same predictions, by their confidence after temperature scaling."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "per_fold": [asdict(one) for one in self.folds],
            "accuracy": asdict(self.accuracy),
            "macro_f1": asdict(self.macro_f1),
            "ece": self.reliability.ece,
        }


def score_folds(predictions: pd.DataFrame, labels: Sequence[str], *, seed: int = 0) -> CrossvalScores:
    """Score the predictions of all trials.

    Parameters
    ----------
    predictions
        One row a clip and trial: clip_id, fold, seed, confidence, and what `hubbub.learn.outcomes` reads.
    labels
        In the order of the scores.
    seed
        Of the bootstrap.
    """
    calls, scores = read_calls(predictions, labels)
    folds = []
    for fold, rows in predictions.groupby("fold", sort=True).indices.items():
        of_fold = np.asarray(rows)
        per_seed = [
            clip_metrics(calls.of(of_fold[own]), scores[of_fold[own]], labels)
            for own in predictions.iloc[of_fold].groupby("seed", sort=True).indices.values()
        ]
        clips = int(predictions.iloc[of_fold]["clip_id"].nunique())
        accuracy = float(np.mean([one.accuracy for one in per_seed]))
        macro_f1 = float(np.mean([one.macro_f1 for one in per_seed]))
        folds.append(FoldScore(int(str(fold)), accuracy, macro_f1, clips, seeds=len(per_seed)))
    intervals = _bootstrap(predictions, calls, seed)
    return CrossvalScores(
        tuple(folds),
        _spread([one.accuracy for one in folds], intervals[0]),
        _spread([one.macro_f1 for one in folds], intervals[1]),
        clip_metrics(calls, scores, labels),
        compare_confidence(predictions["confidence"].to_numpy(np.float64), calls.right),
    )


def _spread(values: Sequence[float], interval: tuple[float, float]) -> Spread:
    std = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return Spread(float(np.mean(values)), std, *interval)


def _bootstrap(predictions: pd.DataFrame, calls: Calls, seed: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """95 % intervals of the mean accuracy and macro F1 over trials: each fold's clips are drawn with replacement.

    A clip that is drawn is drawn for all seeds, so that more seeds do not make more clips.
    """
    rng = np.random.default_rng(seed)
    _, trial = np.unique(predictions["fold"] * 10_000 + predictions["seed"], return_inverse=True)
    _, clip = np.unique(predictions["clip_id"], return_inverse=True)
    clips_of = [np.unique(clip[predictions["fold"] == fold]) for fold in predictions["fold"].unique()]
    trials = [np.flatnonzero(trial == number) for number in range(int(trial.max()) + 1)]
    hit = (calls.marked & calls.called).astype(np.float64)
    size, right = calls.marked.astype(np.float64) + calls.called, calls.right
    drawn = np.empty((RESAMPLES, 2))
    for number in range(RESAMPLES):
        times = np.bincount(np.concatenate([rng.choice(own, len(own)) for own in clips_of]), minlength=clip.max() + 1)
        scores = [_score_draw(times[clip[rows]], hit[rows], size[rows], right[rows]) for rows in trials]
        drawn[number] = np.mean(scores, axis=0)
    (low, low_f1), (high, high_f1) = np.percentile(drawn, [2.5, 97.5], axis=0).tolist()
    return (low, high), (low_f1, high_f1)


def _score_draw(
    times: npt.NDArray[np.int64],
    hit: npt.NDArray[np.float64],
    size: npt.NDArray[np.float64],
    right: npt.NDArray[np.bool_],
) -> tuple[float, float]:
    """Accuracy and macro F1 of a trial's clips, each drawn so many times."""
    hits, sizes = times @ hit, times @ size
    f1 = 2 * hits / np.maximum(sizes, 1)
    return float(times @ right / max(times.sum(), 1)), float(f1.sum() / max((sizes > 0).sum(), 1))


def join_predictions(
    parts: Sequence[tuple[Mapping[str, int], Sequence[str], pd.DataFrame]],
) -> tuple[pd.DataFrame, list[str]]:
    """Put the predictions of trials into one table, their scores in one order of labels.

    Parameters
    ----------
    parts
        Of each trial: its `fold` and `seed`, its labels, its predictions.

    Returns
    -------
    predictions, labels
        Sorted by fold, seed and clip_id. The score of a label that a trial did not know is 0.
    """
    labels = sorted({label for _, own, _ in parts for label in own})
    carry_several = any("labels" in table for _, _, table in parts)
    frames = []
    for columns, own, table in parts:
        if carry_several and "labels" not in table:  # no clip of this fold does
            table = table.assign(
                labels=table["true"].map(lambda name: [name]), called=table["predicted"].map(lambda name: [name])
            )
        scores = np.zeros((len(table), len(labels)), np.float32)
        scores[:, [labels.index(label) for label in own]] = np.stack(table["scores"].to_list())
        frames.append(table.assign(**columns, scores=list(scores)))
    joined = pd.concat(frames, ignore_index=True)
    return joined.sort_values(["fold", "seed", "clip_id"]).reset_index(drop=True), labels
