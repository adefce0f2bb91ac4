"""``hubbub evaluate``: how good a bundle is on clips it has not seen."""

from __future__ import annotations

from typing import Annotated

import typer

from hubbub.io.paths import StoragePath, parse_path

from . import options


def evaluate(
    bundle: Annotated[
        StoragePath, typer.Argument(parser=parse_path, help="A model bundle, made by hubbub train.", metavar="BUNDLE")
    ],
    store: Annotated[
        StoragePath, typer.Argument(parser=parse_path, help="A feature store with the same settings.", metavar="STORE")
    ],
    output: Annotated[
        StoragePath,
        typer.Option("--output", "-o", parser=parse_path, help="Folder for scores and report.", metavar="REPORT"),
    ],
    fold: Annotated[
        int | None, typer.Option(help="Fold to test on. Default: what training kept out.", metavar="K")
    ] = None,
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Measure a bundle on test clips, and write its scores, its predictions and a report.

    Intervals hold 95 % of what other draws of as many clips would give.

    Example: hubbub evaluate bundle store -o evaluation
    """
    from hubbub.pipelines.evaluate import evaluate as evaluate_bundle

    from .console import reporter

    scores = evaluate_bundle(bundle, store, output, fold=fold, reporter=reporter)
    ends = scores.intervals
    weakest = min(scores.per_class, key=lambda score: score.f1)
    reporter.show_table(
        "evaluate: done",
        {
            "accuracy": f"{scores.accuracy:.1%} ({ends.accuracy.low:.1%} to {ends.accuracy.high:.1%})",
            "macro F1": f"{scores.macro_f1:.3f} ({ends.macro_f1.low:.3f} to {ends.macro_f1.high:.3f})",
            "calibration error": f"{scores.ece:.3f}",
            "weakest label": f"{weakest.label} (F1 {weakest.f1:.2f})",
            "result": scores.out,
            "report": scores.report,
        },
    )
