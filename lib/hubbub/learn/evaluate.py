"""Measure a bundle on test rows of a store: one JSON file of scores, one table of predictions.

::

    EVALUATION/
      evaluation.json        scores with intervals, confusion, scores by class, calibration, history of the training
      predictions.parquet    clip_id, uri, start_s, end_s, true, predicted, score, confidence, scores; one row a clip;
                             labels and called, lists of names, where clips carry several labels
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hubbub.audio.windows import window_grid
from hubbub.errors import StoreError, TrainingError
from hubbub.io.atomic import explain_write_errors
from hubbub.io.folders import refuse_foreign_folder
from hubbub.io.text import count_noun
from hubbub.learn.attention import map_mistakes
from hubbub.learn.checksummed_store import ChecksummedStore
from hubbub.learn.clip_metrics import Calls, ClipMetrics, call_labels, clip_metrics
from hubbub.learn.crops import covering_crops
from hubbub.learn.dataset import iterate_batches
from hubbub.learn.intervals import ScoreIntervals, bootstrap_interval
from hubbub.learn.outcomes import describe_calls
from hubbub.learn.reliability import Reliability, label_probabilities, measure_reliability
from hubbub.learn.splits import SplitRule, labelled_rows, select_recorded, select_test
from hubbub.learn.targets import mark_labels, pair_labels
from hubbub.models.bundle import Bundle
from hubbub.models.fit import check_frontend
from hubbub.store.features import FeatureStore

FORMAT = "hubbub-evaluation/1"
SCORES, PREDICTIONS = "evaluation.json", "predictions.parquet"


@dataclass(frozen=True)
class ClipEvaluation:
    """Scores of test clips.

    Attributes
    ----------
    metrics
        Accuracy, F1, confusion, scores a label.
    predictions
        One row a clip: clip_id, uri, start_s and end_s of what was scored, true, predicted, its score, its confidence
        (a probability, calibrated), scores [label]; labels and called where clips carry several labels.
    fold
        The test fold; None where the split is another.
    intervals
        95 % intervals of accuracy and macro F1.
    temperature
        By which confidence is calibrated; it was fitted on validation rows at training.
    uncalibrated, calibrated
        How confidence and accuracy agree without it and with it.
    """

    metrics: ClipMetrics
    predictions: pa.Table
    fold: int | None
    intervals: ScoreIntervals
    temperature: float
    uncalibrated: Reliability
    calibrated: Reliability


def evaluate(bundle: Bundle, store: FeatureStore, *, fold: int | None = None) -> ClipEvaluation:
    """Score the test clips of a store.

    A clip with several windows, crops or channels gets the mean of their scores; variants are left out.

    Parameters
    ----------
    bundle, store
        Opened.
    fold
        The fold to score; None for the rows that training kept out.

    Raises
    ------
    BundleError
        The store's features are not those of the model's frontend: says both hashes and what differs.
    TrainingError
        There is nothing to score, a label that the model does not know, or a row that is missing or damaged.
    """
    check_frontend(bundle.settings, store.settings)
    clips, scores = score_clips(bundle, store, _test_rows(bundle, store, fold))
    marked = mark_labels(clips["labels"].to_list(), bundle.labels)
    one_is_right = not bundle.description.get("multilabel", False) and bool((marked.sum(axis=1) == 1).all())
    thresholds = np.array([bundle.thresholds[label] for label in bundle.labels])
    calls = call_labels(marked, scores, None if one_is_right else thresholds)
    tested_fold = fold if fold is not None else bundle.description["split"]["test_fold"]
    temperature = float(bundle.description.get("temperature", 1.0))
    before, after = (
        label_probabilities(scores, bundle.activation, value, one_is_right=one_is_right) for value in (1.0, temperature)
    )
    predictions = _make_predictions(clips, calls, scores, after.max(axis=1), bundle.labels)
    if not one_is_right:
        for name, column in describe_calls(calls, bundle.labels).items():
            predictions = predictions.append_column(name, column)
    return ClipEvaluation(
        clip_metrics(calls, scores, bundle.labels),
        predictions,
        tested_fold,
        bootstrap_interval(calls),
        temperature,
        measure_reliability(before, marked),
        measure_reliability(after, marked),
    )


def check_evaluation_folder(out: Path) -> None:
    """Refuse a folder that holds anything but an earlier evaluation; raises `StoreError`."""
    refuse_foreign_folder(out, SCORES, "the evaluation")


def write_evaluation(evaluation: ClipEvaluation, bundle: Bundle, store: FeatureStore, out: Path) -> None:
    """Write an evaluation folder, whole or not at all; it replaces an earlier evaluation.

    Raises
    ------
    StoreError
        `out` holds something else.
    StorageError
        The disk is full or permission is missing.
    """
    summary = _summary(bundle, store, evaluation.fold) | evaluation.metrics.to_dict()
    summary["intervals"] = asdict(evaluation.intervals)
    summary["calibration"] = {
        "temperature": evaluation.temperature,
        "before": evaluation.uncalibrated.to_dict(),
        "after": evaluation.calibrated.to_dict(),
    }
    summary["history"] = bundle.description["history"]
    summary["warnings"] = bundle.description.get("warnings", [])
    summary["settings"] = store.settings.model_dump(mode="json")
    summary["root"] = store.provenance.get("root")
    summary["window_s"] = bundle.description["window_s"]
    rows = _test_rows(bundle, store, evaluation.fold)
    summary["attention"] = map_mistakes(bundle, store, rows, evaluation.predictions.to_pandas())
    _write(out, summary, evaluation.predictions)


def score_clips(
    bundle: Bundle, store: FeatureStore, rows: pd.DataFrame
) -> tuple[pd.DataFrame, npt.NDArray[np.float64]]:
    """Score rows and average each clip's windows, the crops that cover them, and its channels.

    Returns
    -------
    clips
        clip_id, uri, labels, start_s and end_s of their windows, one row a clip, in the order of their first row.
    scores
        float64 [clip, label].
    """
    heard, crops = covering_crops(store.settings, rows)
    clip, _ = pd.factorize(heard["clip_id"])
    total = np.zeros((clip.max() + 1, len(bundle.labels)))
    checked = ChecksummedStore(store, rows)
    for batch in iterate_batches(checked, heard["row"].to_numpy(), clip.astype(np.int64), batch_rows=64, crops=crops):
        np.add.at(total, batch.targets, bundle.predict(batch.features))
    clips = rows.drop_duplicates("clip_id")[["clip_id", "uri", "labels"]].reset_index(drop=True)
    starts = rows.groupby("clip_id", sort=False)["start_s"].agg(["min", "max"])
    clips["start_s"] = starts["min"].to_numpy()
    clips["end_s"] = starts["max"].to_numpy() + window_grid(store.settings).window / store.settings.frontend.sample_rate
    return clips, total / np.bincount(clip)[:, None]


def _test_rows(bundle: Bundle, store: FeatureStore, fold: int | None) -> pd.DataFrame:
    rule = SplitRule(**bundle.description["split"])
    labelled, _ = labelled_rows(select_recorded(store.rows()))
    chosen = rule if fold is None else replace(rule, by="fold", test_fold=fold)
    rows = labelled[select_test(labelled, chosen)]
    carried = pair_labels(rows)["label"]
    unknown = sorted(set(carried) - set(bundle.labels))
    if unknown:
        raise TrainingError(
            f"{count_noun((carried == unknown[0]).sum(), 'test row')} labelled '{unknown[0]}', which "
            "the model does not "
            f"know (known: {', '.join(bundle.labels)})"
        )
    return rows


def _summary(bundle: Bundle, store: FeatureStore, fold: int | None) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "bundle": str(bundle.path),
        "store": str(store.path),
        "model": bundle.description["model"],
        "model_hash": bundle.model_hash,
        "settings_hash": store.settings_hash,
        "fold": fold,
        "trained_on": fold is not None and fold != held_out_fold(bundle),
    }


def held_out_fold(bundle: Bundle) -> int | None:
    """Return the fold that training kept out; None where the split is another."""
    return bundle.description["split"]["test_fold"]


def _make_predictions(
    clips: pd.DataFrame,
    calls: Calls,
    scores: npt.NDArray[np.float64],
    confidence: npt.NDArray[np.float64],
    labels: list[str],
) -> pa.Table:
    best = calls.top
    return pa.table(
        {
            "clip_id": pa.array(clips["clip_id"], pa.string()),
            "uri": pa.array(clips["uri"], pa.string()),
            "start_s": pa.array(clips["start_s"], pa.float64()),
            "end_s": pa.array(clips["end_s"], pa.float64()),
            "true": pa.array([labels[index] for index in calls.true], pa.string()),
            "predicted": pa.array([labels[index] for index in best], pa.string()),
            "score": pa.array(scores[np.arange(len(best)), best], pa.float32()),
            "confidence": pa.array(confidence, pa.float32()),
            "scores": pa.array(list(scores.astype(np.float32)), pa.list_(pa.float32())),
        }
    )


def _refuse_other_files(out: Path) -> None:
    """An earlier evaluation makes way for a new one, with everything in its folder: so nothing else may lie there."""
    others = sorted(set(os.listdir(out)) - {SCORES, PREDICTIONS, "report.html"}) if out.is_dir() else []
    if others:
        raise StoreError(f"{out} holds something else as well ({others[0]}); give a new folder for the evaluation")


def _write(out: Path, summary: dict[str, Any], predictions: pa.Table) -> None:
    """Write both files beside the place, then put the folder there; an earlier evaluation makes way for it."""
    draft, old = (out.with_name(f".{out.name}.{role}-{os.getpid()}") for role in ("partial", "old"))
    with explain_write_errors(out):
        _refuse_other_files(out)
        try:
            draft.mkdir(parents=True)
            (draft / SCORES).write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n", encoding="utf-8")
            pq.write_table(predictions, draft / PREDICTIONS, compression="zstd")
            if out.exists():
                os.rename(out, old)
            os.rename(draft, out)
        finally:
            for left in (draft, old):
                shutil.rmtree(left, ignore_errors=True)
