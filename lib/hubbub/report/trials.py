"""The sections about many trainings: a cross-validation's folds, a sweep's trials."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hubbub.audio.ticks import Tick, round_ticks
from hubbub.report.charts import BOTTOM, LEFT, RIGHT, TOP
from hubbub.report.page import Section, count, percent, render


def crossval_section(scores: Mapping[str, Any], trials: Sequence[Mapping[str, Any]]) -> Section:
    """Describe the folds of a cross-validation.

    Parameters
    ----------
    scores
        `per_fold`, `accuracy` and `macro_f1`, as ``crossval.json`` has them.
    trials
        Records of its trials.
    """
    accuracy, macro_f1 = scores["accuracy"], scores["macro_f1"]
    facts = [
        ("mean accuracy", percent(accuracy["mean"])),
        ("95 % interval", f"{percent(accuracy['low'])} to {percent(accuracy['high'])}"),
        ("standard deviation of folds", percent(accuracy["std"])),
        ("mean macro F1", f"{macro_f1['mean']:.3f}"),
        ("95 % interval of macro F1", f"{macro_f1['low']:.3f} to {macro_f1['high']:.3f}"),
    ]
    failed = [one for one in trials if one["status"] != "ok"]
    body = render("crossval.html.j2", facts=facts, folds=scores["per_fold"], failed=failed)
    subtitle = f"Each of {count(len(scores['per_fold']))} folds was tested by models that were trained on the others."
    return Section("Folds", subtitle, body, None)


@dataclass(frozen=True)
class Point:
    """A trial in a plot, in the units of the picture."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class SettingPlot:
    """Values of one setting against the score."""

    setting: str
    score: str
    points: tuple[Point, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


_NO_SETTINGS = ("trial", "epochs", "val_accuracy", "val_loss", "status", "error", "seconds")


def sweep_section(
    ranking: Sequence[Mapping[str, Any]], score: str, command: str | None, test: Mapping[str, Any] | None
) -> Section:
    """Describe a sweep.

    Parameters
    ----------
    ranking
        One line a trial, the best first, as ``sweep.json`` has them.
    score
        ``accuracy`` or ``loss``, by which trials are ranked.
    command
        What trains the winner; None: no trial ended well.
    test
        Scores of the winner on test rows; None: not tested.
    """
    well = [one for one in ranking if one["status"] == "ok"]
    settings = [key for key in ranking[0] if key not in _NO_SETTINGS]
    varied = [key for key in settings if len({str(one[key]) for one in ranking}) > 1]
    facts = [("trials", count(len(ranking))), ("ended well", count(len(well)))]
    if test is not None:
        accuracy, macro_f1 = test["accuracy"], test["macro_f1"]
        facts += [
            ("winner's test accuracy", percent(accuracy["mean"])),
            ("95 % interval", f"{percent(accuracy['low'])} to {percent(accuracy['high'])}"),
            ("winner's test macro F1", f"{macro_f1['mean']:.3f}"),
            ("95 % interval of macro F1", f"{macro_f1['low']:.3f} to {macro_f1['high']:.3f}"),
        ]
    body = render(
        "sweep.html.j2",
        facts=facts,
        command=command,
        settings=varied,
        ranking=well,
        plots=[plot_setting(key, well, score) for key in varied if well],
        failed=[one for one in ranking if one["status"] != "ok"],
    )
    subtitle = f"Trials are ranked by their {score} on validation rows; the test rows were scored for the winner only."
    return Section("Trials", subtitle, body, None)


def plot_setting(setting: str, ranking: Sequence[Mapping[str, Any]], score: str) -> SettingPlot:
    """Lay out a point a trial: the setting's value across, the score upwards.

    Numbers are on a line, or on a logarithmic one where the highest is ten times the lowest; other values are evenly
    spaced.
    """
    values = [one[setting] for one in ranking]
    heights = [float(one[f"val_{score}"]) for one in ranking]
    places, ticks = _place_values(values)
    low, high = min(heights), max(heights)
    margin = 0.08 * (high - low) or 0.01

    def place_y(height: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * (height - low + margin) / (high - low + 2 * margin)

    points = (
        Point(x, place_y(height), f"{one['trial']}: {setting} {value}, {score} {height:.3f}")
        for x, height, value, one in zip(places, heights, values, ranking, strict=True)
    )
    y_ticks = (Tick(place_y(tick), f"{tick:g}") for tick in round_ticks(low - margin, high + margin, at_most=6))
    return SettingPlot(setting, f"validation {score}", tuple(points), ticks, tuple(y_ticks))


def _place_values(values: Sequence[Any]) -> tuple[list[float], tuple[Tick, ...]]:
    """Positions of values from left to right, and ticks at each, at most eight."""
    is_number = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if is_number:
        is_log = min(values) > 0 and max(values) >= 10 * min(values)
        scaled = [math.log10(value) if is_log else float(value) for value in values]
    else:
        names = sorted({str(value) for value in values})
        scaled = [float(names.index(str(value))) for value in values]
    low, high = min(scaled), max(scaled)
    width = RIGHT - LEFT - 60
    places = [LEFT + 30 + width * ((one - low) / (high - low) if high > low else 0.5) for one in scaled]
    at = sorted(
        {(place, f"{value:.4g}" if is_number else str(value)) for place, value in zip(places, values, strict=True)}
    )
    step = -(-len(at) // 8)
    return places, tuple(Tick(place, text) for place, text in at[::step])
