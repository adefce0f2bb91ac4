"""``hubbub export``: events for other programs."""

from __future__ import annotations

from typing import Annotated

import typer

from hubbub.io.paths import StoragePath, parse_path

from . import options


def export(
    labels: options.Labels,
    format: Annotated[
        str,
        typer.Option(
            help="Tables: csv, jsonl, daily, geojson, birdnet, kaleidoscope. Annotations: audacity, elan, jams, raven, "
            "textgrid. Audio: clips, wav-cues.",
            metavar="NAME",
        ),
    ],
    output: Annotated[
        StoragePath, typer.Option("--output", "-o", parser=parse_path, help="Folder to write to.", metavar="DIR")
    ],
    timezone: Annotated[
        str | None,
        typer.Option(
            help="daily, kaleidoscope: whose days and hours, such as Europe/Berlin; default: UTC.", metavar="ZONE"
        ),
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="daily: also by a column of the clip table, such as city.", metavar="COLUMN")
    ] = None,
    spreadsheet: Annotated[
        bool,
        typer.Option("--spreadsheet", help="csv, daily: write ' before text that spreadsheets take for a formula."),
    ] = False,
    points: Annotated[
        str | None, typer.Option(help="geojson: recordings or events; default: recordings.", metavar="WHAT")
    ] = None,
    padding: Annotated[
        float | None, typer.Option(help="clips: seconds around an event; default: 1.", metavar="S")
    ] = None,
    per_label: Annotated[
        int | None,
        typer.Option(
            "--per-label", help="clips: most of each label, over all ranges of scores; default: all.", metavar="N"
        ),
    ] = None,
    root: Annotated[
        StoragePath | None,
        typer.Option(
            parser=parse_path, help="clips, wav-cues: where the recordings lie now, if they moved.", metavar="DIR"
        ),
    ] = None,
    confirmed: Annotated[
        bool, typer.Option("--confirmed", help="Only events that most reviewers call right (hubbub browse).")
    ] = False,
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Write events for other programs: tables, annotations, maps, markers or clips.

    Example: hubbub export labels --format raven -o selections
    """
    from hubbub.labels.export import ExportOptions
    from hubbub.pipelines.export import export as export_events

    from .console import reporter

    chosen = ExportOptions(timezone, by, spreadsheet, points, padding, per_label, root)
    if export_events(labels, output, format=format, options=chosen, confirmed=confirmed, reporter=reporter).failed:
        raise typer.Exit(1)
