"""``hubbub index``: a folder, a CSV or a bucket to a clip table."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from hubbub.io.paths import StoragePath, parse_path

from . import options

_SHOWN = 5
_Column = "Column of a CSV that holds the"


def index(
    source: Annotated[
        StoragePath,
        typer.Argument(parser=parse_path, help="A folder of recordings, or a CSV file; also s3://….", metavar="SOURCE"),
    ],
    output: Annotated[
        StoragePath,
        typer.Option("--output", "-o", parser=parse_path, help="The clip table to write (Parquet).", metavar="FILE"),
    ],
    format: Annotated[
        str | None,
        typer.Option(
            help="folder (a class a sub-folder), flat (unlabelled), esc50, csv. Default: what fits.", metavar="NAME"
        ),
    ] = None,
    path_column: Annotated[str | None, typer.Option(help=f"{_Column} file names.", metavar="NAME")] = None,
    label_column: Annotated[str | None, typer.Option(help=f"{_Column} labels.", metavar="NAME")] = None,
    fold_column: Annotated[str | None, typer.Option(help=f"{_Column} folds (whole numbers).", metavar="NAME")] = None,
    split_column: Annotated[
        str | None, typer.Option(help=f"{_Column} splits (train, val, test).", metavar="NAME")
    ] = None,
    group_column: Annotated[
        str | None,
        typer.Option(help=f"{_Column} source recordings, never split across train and test.", metavar="NAME"),
    ] = None,
    start_column: Annotated[str | None, typer.Option(help=f"{_Column} segments' starts in s.", metavar="NAME")] = None,
    end_column: Annotated[str | None, typer.Option(help=f"{_Column} segments' ends in s.", metavar="NAME")] = None,
    recorded_at_column: Annotated[
        str | None, typer.Option(help=f"{_Column} times recordings began (ISO 8601, UTC if no zone).", metavar="NAME")
    ] = None,
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """List recordings and their labels in a clip table.

    A folder with a class a sub-folder, a flat folder, a CSV in ESC-50's shape (its files beside it, in audio/ or in
    ../audio/), or any CSV whose columns you name.
    """
    from hubbub.clips.index import index_listing
    from hubbub.clips.sources import Columns, list_source
    from hubbub.clips.table import write_table
    from hubbub.io.atomic import refuse_foreign_file

    from . import console

    columns = Columns(
        path=path_column,
        label=label_column,
        fold=fold_column,
        split=split_column,
        group=group_column,
        start_s=start_column,
        end_s=end_column,
        recorded_at=recorded_at_column,
    )
    refuse_foreign_file(output, b"PAR1", "a clip table")
    listing = list_source(source, format, columns)
    for note in listing.notes:
        console.warn(note)
    with console.progress("index", len(listing.clips), "clips") as advance:
        table, unreadable = index_listing(listing, on_clip=lambda: advance(1))
    write_table(table, output)
    rows = table.rows
    labels = Counter(label for labels in rows["labels"].to_pylist() for label in labels)
    folds = sorted({fold for fold in rows["fold"].to_pylist() if fold is not None})
    hours = sum(value or 0.0 for value in rows["duration_s"].to_pylist()) / 3600
    console.summary(
        "index: done",
        {
            "clips": len(table),
            "sound": f"{hours:.3g} h in all files",
            "labels": ", ".join(f"{label} {count}" for label, count in sorted(labels.items())) or "none",
            "folds": ", ".join(map(str, folds)) or "none",
            "unreadable": len(unreadable),
            "result": output,
        },
    )
    for line in unreadable[:_SHOWN]:
        console.warn(f"unreadable: {line}")
    if len(unreadable) > _SHOWN:
        console.warn(f"… and {len(unreadable) - _SHOWN} more: in {output} they are those without a duration_s")
    if unreadable:
        console.warn(f"{len(unreadable)} files cannot be read; they stay in the table and become failed rows")
