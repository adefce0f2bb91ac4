"""``hubbub index``: a data set, a folder, a CSV or a bucket to a clip table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hubbub.errors import UsageError
from hubbub.io.paths import StoragePath, parse_path

from . import index_options, options

if TYPE_CHECKING:
    from hubbub.clips.table import ClipTable


def index(
    source: Annotated[
        StoragePath,
        typer.Argument(
            parser=parse_path, help="A data set, a folder of recordings, or a CSV file; also s3://….", metavar="SOURCE"
        ),
    ],
    output: Annotated[
        StoragePath | None,
        typer.Option("--output", "-o", parser=parse_path, help="The clip table to write (Parquet).", metavar="FILE"),
    ] = None,
    format: Annotated[
        str, typer.Option(help="The format of the source; auto: recognise it. --formats lists all.", metavar="NAME")
    ] = "auto",
    formats: index_options.Formats = False,
    pattern: index_options.Pattern = None,
    normalise_labels: index_options.NormaliseLabels = False,
    timezone: index_options.Timezone = None,
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
    append: index_options.Append = False,
    dry_run: index_options.DryRun = False,
    check: index_options.Check = False,
    cluster: options.ClusterIfAny = None,
    workers: options.Workers = None,
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """List recordings and their labels in a clip table.

    Recognises common data sets and says by what; reads class folders, names that hold labels, and any table whose
    columns you name. Recorders tell times and sites. With --check and without -o, SOURCE is a clip table.

    Example: hubbub index recordings/ -o clips.parquet
    """
    from hubbub.clips.sources import Columns
    from hubbub.pipelines import index as job

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
        job.show_listing(
            source,
            format=format,
            columns=columns,
            pattern=pattern,
            normalise_labels=normalise_labels,
            reporter=reporter,
        )
        return
    if output is None and check:
        _check(source, cluster, workers)
        return
    if output is None:
        raise UsageError(f"say where the clip table goes: hubbub index {source} -o clips.parquet")
    result = job.index(
        source,
        output,
        format=format,
        columns=columns,
        pattern=pattern,
        normalise_labels=normalise_labels,
        timezone=timezone,
        append=append,
        cluster=cluster,
        workers=workers,
        reporter=reporter,
    )
    job.report_index(result, output, reporter)
    if check:
        _check(result.table, cluster, workers)


def _check(clips: StoragePath | ClipTable, cluster: str | None, workers: int | None) -> None:
    from hubbub.pipelines.check_clips import check_clips

    from .console import reporter

    found = check_clips(clips, cluster=cluster, workers=workers, reporter=reporter)
    if found is not None and not found.is_ok:
        raise typer.Exit(1)
