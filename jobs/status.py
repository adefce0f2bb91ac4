"""``hubbub status``: the progress of a run, read from another shell or another machine."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from hubbub.io.paths import StoragePath, parse_path

from . import options


def status(
    path: Annotated[
        StoragePath,
        typer.Argument(
            parser=parse_path,
            help="A run folder; or a store or label tables: its newest run.",
            metavar="RUN|STORE|LABELS",
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Print progress until the run ends.")] = False,
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Show the progress of a run of features, label, compact or verify --repair.

    A run on this machine is found alive or dead by its process. A run on another machine is found by its next beat,
    within a few seconds.

    Exit codes: 0 the run goes on or is done, 1 it failed, was stopped or broke off, 2 there is no such run.

    Example: hubbub status store --watch
    """
    from hubbub.pipelines.status import describe_status, find_run_folder, read_status

    from .console import out, reporter

    folder = find_run_folder(path)
    seen = read_status(folder)
    while watch and seen.is_active:
        reporter.warn(str(seen))
        seen = read_status(folder, seen)
    if as_json:
        out.print_json(json.dumps(seen.document | {"state": seen.state, "why": seen.why, "run": str(folder)}))
    else:
        reporter.show_table(f"{seen.document['job']}: {seen.state}", describe_status(folder, seen))
    raise typer.Exit(1 if seen.has_failed else 0)
