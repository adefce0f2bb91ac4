"""``hubbub verify``: every row accounted for, every checksum right; ``--repair`` computes broken clips again."""

from __future__ import annotations

from typing import Annotated

import typer

from hubbub.io.paths import StoragePath, parse_path

from . import options


def verify(
    path: Annotated[
        StoragePath, typer.Argument(parser=parse_path, help="A feature store or label tables.", metavar="STORE|LABELS")
    ],
    clips: Annotated[
        StoragePath | None,
        typer.Option(
            parser=parse_path,
            help="Check also that each clip of this table is in the store; --repair then computes missing clips.",
            metavar="CLIPS",
        ),
    ] = None,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Compute broken clips again from their recordings, and remove leftovers."),
    ] = False,
    cluster: options.ClusterIfAny = None,
    workers: options.Workers = None,
    ship: options.Ship = False,
    log_json: options.LogJson = None,
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Check a feature store or label tables against their own records, on a disk or in a bucket.

    Example: hubbub verify store --repair
    """
    from hubbub.pipelines.verify import verify as verify_folder

    from .console import reporter

    found = verify_folder(
        path,
        clips=clips,
        repair=repair,
        cluster=cluster,
        workers=workers,
        ship=ship,
        log_json=log_json,
        reporter=reporter,
    )
    raise typer.Exit(0 if found.is_ok and (found.is_repaired or not repair) else 1)
