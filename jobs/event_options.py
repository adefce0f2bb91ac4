"""Options that say what makes an event of scores, for the commands that find events."""

from __future__ import annotations

from typing import Annotated

import typer

from hubbub.io.paths import StoragePath, parse_path

Threshold = Annotated[
    list[str] | None,
    typer.Option(
        help="Score at which an event begins: 0.6 for all labels, or dog=0.7 for one; repeat for more. "
        "unknown=0.3 (or off): events of what scores so much for some label, and is none of them. "
        "Default: as it was; at first the bundle's own.",
        metavar="[LABEL=]SCORE",
    ),
]
Release = Annotated[
    float | None,
    typer.Option(
        help="Share of the threshold below which an event ends. Default: as it was; at first the bundle's own.",
        metavar="0…1",
    ),
]
MinDuration = Annotated[float | None, typer.Option("--min-duration", help="Drop shorter events.", metavar="S")]
MergeGap = Annotated[
    float | None, typer.Option("--merge-gap", help="Join events of one label this close.", metavar="S")
]
Rules = Annotated[
    StoragePath | None,
    typer.Option(
        parser=parse_path,
        help="A YAML file of rules, a label a line: dog: 0.7, or dog: {threshold: 0.7, release: 0.4}. Labels not in it "
        "stay.",
        metavar="FILE.yaml",
    ),
]
FromReviews = Annotated[
    bool,
    typer.Option("--from-reviews", help="Take thresholds of reviewed labels from verdicts; --precision says which."),
]
Precision = Annotated[
    float | None,
    typer.Option(help="With --from-reviews: the share of events that shall be right.", metavar="0…1"),
]
