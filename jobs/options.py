"""Options that several commands share, so that they read the same everywhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Protocol

import typer

from hubbub.io.paths import StoragePath, parse_path
from hubbub.io.storage_options import load_storage_file

DEBUG_VARIABLE = "HUBBUB_DEBUG"
INTERRUPTED = 130
"""Exit code of a command that was stopped."""

SCHEDULER_VARIABLE = "DASK_SCHEDULER_ADDRESS"


def _debug(value: bool) -> bool:
    if value:
        os.environ[DEBUG_VARIABLE] = "1"
    return value


def _storage(file: Path | None) -> Path | None:
    if file is not None:
        load_storage_file(file)
    return file


class _Result(Protocol):
    """What a distributed job returns."""

    @property
    def is_stopped(self) -> bool: ...

    @property
    def is_complete(self) -> bool: ...


def exit_code(result: _Result) -> int:
    """Return 0 when all is done, 1 when clips failed or are missing, 130 when Ctrl-C drained the run."""
    return INTERRUPTED if result.is_stopped else 0 if result.is_complete else 1


_WHERE = "Where to run: serial, local, an address such as tcp://host:8786, or a cluster file (FILE.yaml)."
Cluster = Annotated[str, typer.Option(help=_WHERE, metavar="CLUSTER", envvar=SCHEDULER_VARIABLE)]
ClusterIfAny = Annotated[
    str | None,
    typer.Option(
        help=f"{_WHERE} Default: this process where little is to do, else local.",
        metavar="CLUSTER",
        envvar=SCHEDULER_VARIABLE,
    ),
]
Ship = Annotated[bool, typer.Option("--ship", help="Send this hubbub to workers that have none, or another.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Worker processes of a local cluster; default: one a core.", metavar="N")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Try clips again that failed in earlier runs.")]
LogJson = Annotated[
    Path | None, typer.Option("--log-json", help="Append what happens to FILE, one JSON object a line.", metavar="FILE")
]
Debug = Annotated[bool, typer.Option("--debug", callback=_debug, help="Show tracebacks of errors.")]
Storage = Annotated[
    Path | None,
    # Eager: what it says holds for the places among the other words of the command.
    typer.Option(
        callback=_storage,
        is_eager=True,
        help="YAML with endpoint_url, region, profile, keys or anonymous: true, for s3:// places. "
        "Default: the usual AWS environment.",
        metavar="FILE",
    ),
]
RecipeFile = Annotated[
    Path | None,
    typer.Option(
        "--settings", help="Recipe settings (YAML); hubbub settings --model NAME prints all of them.", metavar="FILE"
    ),
]
RecipeSet = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="One recipe setting, such as model.learning_rate=0.001; repeat for more.", metavar="KEY=VALUE"
    ),
]
_BEGIN = "What image networks begin with: imagenet, random, a .h5 or .keras file, or its https:// address. "
Weights = Annotated[
    str | None, typer.Option(help=_BEGIN + "Short for model.weights, which is imagenet by default.", metavar="WEIGHTS")
]
Precision = Annotated[
    str | None, typer.Option(help="What a bundle's network computes in: float32, float16 or bfloat16.", metavar="TYPE")
]
Labels = Annotated[
    StoragePath, typer.Argument(parser=parse_path, help="Label tables, made by hubbub label.", metavar="LABELS")
]
