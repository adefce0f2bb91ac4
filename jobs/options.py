"""Options that several commands share, so that they read the same everywhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

DEBUG_VARIABLE = "HUBBUB_DEBUG"


def _debug(value: bool) -> bool:
    if value:
        os.environ[DEBUG_VARIABLE] = "1"
    return value


Cluster = Annotated[
    str,
    typer.Option(help="Where to run: serial, local, or a Dask scheduler such as tcp://host:8786.", metavar="CLUSTER"),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Worker processes of a local cluster; default: one a core.", metavar="N")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Try clips again that failed in earlier runs.")]
LogJson = Annotated[
    Path | None, typer.Option("--log-json", help="Append what happens to FILE, one JSON object a line.", metavar="FILE")
]
Debug = Annotated[bool, typer.Option("--debug", callback=_debug, help="Show tracebacks of errors.")]
Bundle = Annotated[Path, typer.Option("--model", help="The model bundle to label with.", metavar="BUNDLE")]
Threshold = Annotated[
    list[str] | None,
    typer.Option(
        help="Score at which an event begins: 0.6 for all labels, or dog=0.7 for one; repeat for more. "
        "Default: as it was; at first the bundle's own.",
        metavar="[LABEL=]SCORE",
    ),
]
Release = Annotated[
    float | None,
    typer.Option(
        help="Share of the threshold below which an event ends. Default: as it was; at first 0.7.", metavar="0…1"
    ),
]
MinDuration = Annotated[float | None, typer.Option("--min-duration", help="Drop shorter events.", metavar="S")]
MergeGap = Annotated[
    float | None, typer.Option("--merge-gap", help="Join events of one label this close.", metavar="S")
]
