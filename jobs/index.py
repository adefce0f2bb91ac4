"""``hubbub index``: a data set, a folder, a CSV or a bucket to a clip table."""

from __future__ import annotations

from typing import Annotated

import typer

from hubbub.io.paths import StoragePath, parse_path

from . import index_options, options

_SHOWN = 5


def index(
    source: Annotated[
        StoragePath,
        typer.Argument(
            parser=parse_path, help="A data set, a folder of recordings, or a CSV file; also s3://….", metavar="SOURCE"
        ),
    ],
    output: Annotated[
        StoragePath,
        typer.Option("--output", "-o", parser=parse_path, help="The clip table to write (Parquet).", metavar="FILE"),
    ],
    format: Annotated[
        str, typer.Option(help="The format of the source; auto: recognise it. --formats lists all.", metavar="NAME")
    ] = "auto",
    formats: index_options.Formats = False,
    pattern: Annotated[
        str | None,
        typer.Option(
            help="Labels in names: a regular expression whose named groups become columns, such as "
            "'(?P<label>[a-z]+)_.*'; label, fold, split, group and recorded_at have a meaning.",
            metavar="REGEX",
        ),
    ] = None,
    timezone: Annotated[
        str | None,
        typer.Option(help="Zone of recorders' clocks, such as Europe/Berlin, UTC, +02:00, local.", metavar="ZONE"),
    ] = None,
    path_column: index_options.PathColumn = None,
    label_column: index_options.LabelColumn = None,
    label_separator: index_options.LabelSeparator = None,
    fold_column: index_options.FoldColumn = None,
    split_column: index_options.SplitColumn = None,
    group_column: index_options.GroupColumn = None,
    start_column: index_options.StartColumn = None,
    end_column: index_options.EndColumn = None,
    onset_column: index_options.OnsetColumn = None,
    offset_column: index_options.OffsetColumn = None,
    recorded_at_column: index_options.RecordedAtColumn = None,
    append: Annotated[bool, typer.Option("--append", help="Add the files that FILE does not have yet.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show ten clips as they are understood, and stop.")
    ] = False,
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """List recordings and their labels in a clip table.

    Recognises common data sets and says by what; reads folders with a class a sub-folder, names that hold labels, and
    any CSV whose columns you name. Times and sites come from recorders' names and headers.

    Example: hubbub index recordings/ -o clips.parquet
    """
    from hubbub.clips.sources import Columns
    from hubbub.io.text import count_noun
    from hubbub.pipelines.index import describe_labels, show_listing
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
    if dry_run:
        show_listing(source, format=format, columns=columns, pattern=pattern, reporter=reporter)
        return
    result = index_recordings(
        source,
        output,
        format=format,
        columns=columns,
        pattern=pattern,
        timezone=timezone,
        append=append,
        reporter=reporter,
    )
    unreadable = result.unreadable
    reporter.show_table(
        "index: done",
        {
            "clips": len(result.table),
            **({"added": result.added} if append else {}),
            "audio": f"{result.audio_s / 3600:.3g} h in all files",
            "labels": describe_labels(result.labels),
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
