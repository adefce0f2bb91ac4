"""Measure a bundle on clips it has not seen. What ``hubbub evaluate`` does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hubbub.io.text import count_noun
from hubbub.models.backends import import_keras
from hubbub.models.bundle import Bundle
from hubbub.pipelines.inputs import as_bundle, as_path, as_store
from hubbub.pipelines.reporting import Reporter, choose_reporter
from hubbub.pipelines.train import require_local
from hubbub.store.features import FeatureStore

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from hubbub.learn.clip_metrics import ClassScore, ClipMetrics
    from hubbub.learn.intervals import ScoreIntervals
    from hubbub.pipelines.inputs import PathLike


@dataclass(frozen=True, repr=False)
class Evaluation:
    """Scores of a bundle on test clips.

    Attributes
    ----------
    metrics
        Accuracy, F1, confusion, scores a label.
    predictions
        One row a clip: clip_id, uri, start_s, end_s, true, predicted, score, confidence, and scores [label].
    labels
        In the order of the confusion matrix.
    fold
        The test fold; None where the split is another.
    out, report
        The folder written, and the report page in it; None where none was asked for.
    intervals
        95 % intervals of accuracy and macro F1, by a bootstrap over clips.
    ece
        Expected calibration error after temperature scaling.
    """

    metrics: ClipMetrics
    predictions: pd.DataFrame
    labels: list[str]
    fold: int | None
    intervals: ScoreIntervals
    ece: float
    out: Path | None = None
    report: Path | None = None

    @property
    def accuracy(self) -> float:
        """Share of clips whose highest score is their label's."""
        return self.metrics.accuracy

    @property
    def macro_f1(self) -> float:
        """Mean of the labels' F1."""
        return self.metrics.macro_f1

    @property
    def per_class(self) -> tuple[ClassScore, ...]:
        """Precision, recall and F1 of each label."""
        return self.metrics.per_class

    @property
    def confusion(self) -> np.ndarray:
        """int64 [true label, predicted label]."""
        return self.metrics.confusion

    def __repr__(self) -> str:
        """Describe the scores in one line."""
        where = f", fold {self.fold}" if self.fold is not None else ""
        clips = count_noun(len(self.predictions), "clip")
        return f"<Evaluation: accuracy {self.accuracy:.1%}, macro F1 {self.macro_f1:.3f}, {clips}{where}>"


def evaluate(
    bundle: PathLike | Bundle,
    store: PathLike | FeatureStore,
    out: PathLike | None = None,
    *,
    fold: int | None = None,
    progress: bool = False,
    reporter: Reporter | None = None,
) -> Evaluation:
    """Evaluate a bundle; see `hubbub.evaluate`."""
    reporter = choose_reporter(reporter, progress=progress)
    folder = None
    if out is not None:
        folder = require_local(as_path(out, "out"), "evaluate into a folder here, then copy it")
    with reporter.show_waiting("loading Keras"):
        import_keras()
        from hubbub.learn import evaluate as clips
    model, features = as_bundle(bundle), as_store(store)
    if folder is not None:
        clips.check_evaluation_folder(folder)
    with reporter.show_waiting("scoring test clips"):
        scores = clips.evaluate(model, features, fold=fold)
    if folder is not None:
        clips.write_evaluation(scores, model, features, folder)
    kept = clips.held_out_fold(model)
    if fold is not None and kept is not None and fold != kept:
        reporter.warn(f"fold {fold} was used for training, unless this is another data set: fold {kept} was kept out")
    return Evaluation(
        scores.metrics,
        scores.predictions.to_pandas(),
        model.labels,
        scores.fold,
        scores.intervals,
        scores.calibrated.ece,
        folder,
        None if folder is None else _write_page(folder),
    )


def _write_page(folder: Path) -> Path:
    from hubbub.report import evaluation_section, write_report

    return write_report([evaluation_section(folder)], folder / "report.html", title="hubbub evaluation")
