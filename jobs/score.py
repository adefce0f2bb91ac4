"""``hubbub score``: label tables against the events that people annotated."""

from __future__ import annotations

from typing import Annotated

import typer

from hubbub.io.paths import StoragePath, parse_path

from . import options


def score(
    labels: options.Labels,
    reference: Annotated[
        StoragePath,
        typer.Argument(
            parser=parse_path,
            help="True events: CSV, TSV, Raven, JAMS, or a folder of them, or of Audacity labels.",
            metavar="REFERENCE",
        ),
    ],
    output: Annotated[
        StoragePath | None,
        typer.Option("--output", "-o", parser=parse_path, help="Write all scores to a file.", metavar="FILE.json"),
    ] = None,
    tolerance: Annotated[
        list[float] | None,
        typer.Option(help="How far an onset may be off; repeat for more. Default: 1 and 0.2.", metavar="S"),
    ] = None,
    segment: Annotated[float, typer.Option(help="Length of a segment.", metavar="S")] = 1.0,
    every_recording: Annotated[
        bool, typer.Option("--all", help="Score recordings that the reference does not name as having no events.")
    ] = False,
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Score found events: precision, recall, F1 and error rate, onset errors, and scores over all thresholds.

    Example: hubbub score labels scenes/truth.csv
    """
    from hubbub.pipelines.score import describe_scores
    from hubbub.pipelines.score import score as score_labels

    from .console import reporter

    tolerances = tolerance or [1.0, 0.2]
    result = score_labels(
        labels,
        reference,
        output,
        tolerances_s=tolerances,
        segment_s=segment,
        every_recording=every_recording,
        reporter=reporter,
    )
    reporter.show_table("score: done", describe_scores(result, tolerances))
