"""The section about a model's test: headline, confusion matrix, scores by class, curves, worst mistakes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from hubbub.errors import UsageError
from hubbub.report.charts import LineChart, line_chart
from hubbub.report.mistakes import show_mistakes
from hubbub.report.page import Section, count, percent, render

FORMAT = "hubbub-evaluation/1"
_COLUMNS = ("clip_id", "uri", "true", "predicted", "score")
_NEWER_COLUMNS = ("confidence", "start_s", "end_s", "labels", "seed")  # that older evaluations, or most, do not have
_NEEDED = ("labels", "clips", "accuracy", "macro_f1", "confusion", "per_class")


def evaluation_section(folder: Path) -> Section:
    """Describe an evaluation: ``evaluation.json`` and ``predictions.parquet`` in `folder`.

    Raises
    ------
    UsageError
        Where either is missing, cannot be read, or has another format.
    """
    data = _read_evaluation(folder)
    predictions = _read_predictions(folder)
    history = data.get("history") or []
    n_seeds = _count_seeds(predictions)
    counted = "predictions" if n_seeds > 1 else "clips"
    wrong = predictions[predictions["true"] != predictions["predicted"]]
    body = render(
        "evaluation.html.j2",
        facts=_facts(data, counted),
        labels=data["labels"],
        matrix=_matrix(data["confusion"]),
        per_class=data["per_class"],
        charts=[chart for chart in (_curves(history, "loss"), _curves(history, "accuracy")) if chart],
        warnings=data.get("warnings", []),
        calibration=data.get("calibration"),
        bins=_reliability_bins(data.get("calibration")),
        mistakes=show_mistakes(wrong, data),
        carry_several="labels" in predictions,
        n_wrong=len(wrong),
        n_clips=len(predictions),
        counted=counted,
    )
    return Section(
        "How well the model does",
        _subtitle(data, predictions["clip_id"].nunique(), n_seeds),
        body,
        data.get("settings_hash"),
    )


def _read_evaluation(folder: Path) -> dict[str, Any]:
    path = folder / "evaluation.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(
            f"{folder} holds no evaluation.json; make one: hubbub evaluate BUNDLE STORE -o {folder}"
        ) from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    found = data.get("format") if isinstance(data, dict) else None
    if found != FORMAT:
        raise UsageError(f"{path} has the format {found!r}; expected {FORMAT!r}: evaluate again with this hubbub")
    missing = [key for key in _NEEDED if key not in data]
    if missing:
        raise UsageError(
            f"{path} lacks {', '.join(missing)}; write it again with: hubbub evaluate BUNDLE STORE -o {path.parent}"
        )
    return data


def _read_predictions(folder: Path) -> pd.DataFrame:
    path = folder / "predictions.parquet"
    try:
        table = pd.read_parquet(path)
        return table[[*_COLUMNS, *(name for name in _NEWER_COLUMNS if name in table)]]
    except FileNotFoundError:
        raise UsageError(
            f"{folder} holds no predictions.parquet; write it again with: hubbub evaluate BUNDLE STORE -o {folder}"
        ) from None
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None


def _count_seeds(predictions: pd.DataFrame) -> int:
    """Seeds of a cross-validation, whose clips are predicted once for each; 1 for an evaluation."""
    return predictions["seed"].nunique() if "seed" in predictions else 1


def _subtitle(data: dict[str, Any], n_clips: int, n_seeds: int) -> str:
    model = f"Model {data['model']}" if data.get("model") else "The model"
    fold = f" of fold {data['fold']}" if data.get("fold") is not None else ""
    clips = f"{count(n_clips)} {'clip' if n_clips == 1 else 'clips'}"
    each = f", once for each of {n_seeds} seeds: {count(data['clips'])} predictions in all" if n_seeds > 1 else ""
    return f"{model}, tested on {clips}{fold} that it was not trained on{each}."


def _facts(data: dict[str, Any], counted: str) -> list[tuple[str, str]]:
    right = sum(row[i] for i, row in enumerate(data["confusion"]))
    weakest = min(data["per_class"], key=lambda score: score["f1"], default=None)
    intervals = data.get("intervals", {})
    facts = [
        ("accuracy" + _interval(intervals.get("accuracy")), percent(data["accuracy"])),
        ("macro F1" + _interval(intervals.get("macro_f1")), percent(data["macro_f1"])),
        *_mean_average_precision(data),
        (f"{counted} right", f"{count(right)} of {count(data['clips'])}"),
        ("classes", count(len(data["labels"]))),
    ]
    return [*facts, ("weakest class", weakest["label"])] if weakest else facts


def _mean_average_precision(data: dict[str, Any]) -> list[tuple[str, str]]:
    value = data.get("mean_average_precision")  # that older evaluations do not have
    return [] if value is None else [("mean average precision", percent(value))]


def _interval(ends: dict[str, float] | None) -> str:
    """A 95 % interval as part of a fact's name; nothing where an older evaluation has none."""
    return "" if ends is None else f" (95 %: {percent(ends['low'])} to {percent(ends['high'])})"


def _reliability_bins(calibration: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Bins of confidence after temperature scaling."""
    return [] if calibration is None else list(calibration["after"]["bins"])


def _matrix(confusion: Sequence[Sequence[int]]) -> list[list[tuple[int, float]]]:
    """Return (count, share of its row) for every cell."""
    return [[(cell, cell / max(sum(row), 1)) for cell in row] for row in confusion]


def _curves(history: Sequence[dict[str, Any]], name: str) -> LineChart | None:
    series = {
        "training": [entry.get(name) for entry in history],
        "validation": [entry.get(f"val_{name}") for entry in history],
    }
    epochs = [int(entry["epoch"]) for entry in history]
    return line_chart(name.capitalize(), epochs, series, top=1.0 if name == "accuracy" else None)
