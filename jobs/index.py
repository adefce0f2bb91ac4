"""``hubbub index``: a folder, a CSV or a bucket to a clip table."""

from __future__ import annotations

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
    label_separator: Annotated[
        str | None,
        typer.Option(
            help="What parts several labels in one cell, such as ';'. Default: a cell is one label.", metavar="TEXT"
        ),
    ] = None,
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
    onset_column: Annotated[
        str | None, typer.Option(help=f"{_Column} events' onsets in s: each row becomes one event.", metavar="NAME")
    ] = None,
    offset_column: Annotated[str | None, typer.Option(help=f"{_Column} events' offsets in s.", metavar="NAME")] = None,
    recorded_at_column: Annotated[
        str | None, typer.Option(help=f"{_Column} times recordings began (ISO 8601, UTC if no zone).", metavar="NAME")
    ] = None,
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """List recordings and their labels in a clip table.

    Reads a folder with a class a sub-folder, a flat folder, a CSV in ESC-50's shape (its files beside it, in audio/ or
    in ../audio/), or any CSV whose columns you name.

    Example: hubbub index recordings/ -o clips.parquet
    """
    from hubbub.clips.sources import Columns
    from hubbub.io.text import count_noun
    from hubbub.pipelines.index import index as index_recordings

    from .console import reporter

    columns = Columns(
        path=path_column,
        label=label_column,
        fold=fold_column,
        split=split_column,
        group=group_column,
        start_s=start_column,
        end_s=end_column,
        onset_s=onset_column,
        offset_s=offset_column,
        recorded_at=recorded_at_column,
        label_separator=label_separator,
    )
    result = index_recordings(source, output, format=format, columns=columns, reporter=reporter)
    unreadable = result.unreadable
    reporter.show_table(
        "index: done",
        {
            "clips": len(result.table),
            "audio": f"{result.audio_s / 3600:.3g} h in all files",
            "labels": ", ".join(f"{label} {count}" for label, count in sorted(result.labels.items())) or "none",
            "folds": ", ".join(map(str, result.folds)) or "none",
            "unreadable": len(unreadable),
            "result": output,
        },
    )
    for line in unreadable[:_SHOWN]:
        reporter.warn(f"unreadable: {line}")
    if len(unreadable) > _SHOWN:
        reporter.warn(f"… and {len(unreadable) - _SHOWN} more: the clips in {output} without a duration_s")
    if unreadable:
        files = count_noun(len(unreadable), "file")
        reporter.warn(f"{files} cannot be read; the clips stay in the table and become failed rows")
