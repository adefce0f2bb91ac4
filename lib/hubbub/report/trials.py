"""The sections about many trainings: a cross-validation's folds, a sweep's trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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
