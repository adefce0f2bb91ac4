"""``hubbub verify``: every row accounted for, every checksum right."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options


def verify(
    path: Annotated[Path, typer.Argument(help="A feature store or label tables.", metavar="STORE|LABELS")],
    clips: Annotated[
        Path | None, typer.Option(help="Check as well that each clip of this table is in the store.", metavar="CLIPS")
    ] = None,
    debug: options.Debug = False,
) -> None:
    """Check a feature store or label tables against their own records."""
    from hubbub.clips.table import read_table
    from hubbub.errors import StoreError
    from hubbub.store.features import is_store, open_store
    from hubbub.store.tables import is_labels, open_labels
    from hubbub.store.verify import verify_clips, verify_files, verify_labels, verify_shard

    from . import console

    problems = []
    if is_store(path):
        store = open_store(path)
        units = store.committed()
        with console.progress("verify", len(units), "shards") as advance:
            for shard in units:
                problems += verify_shard(store, shard)
                advance(1)
        problems += verify_clips(store, None if clips is None else read_table(clips))
    elif is_labels(path):
        tables = open_labels(path)
        units = tables.committed()
        with console.progress("verify", len(units), "units") as advance:
            for unit in units:
                problems += verify_labels(tables, unit)
                advance(1)
        problems += verify_files(tables)
    else:
        raise StoreError(f"{path} is neither a feature store nor label tables; expected a folder that hubbub made")
    for problem in problems:
        console.say(f"{problem.where}: {problem.what}")
    console.summary("verify: done", {"checked": f"{len(units)} units", "problems": len(problems)})
    raise typer.Exit(1 if problems else 0)
