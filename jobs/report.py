"""``hubbub report``: evaluations, label tables and clip tables as one HTML page."""

from __future__ import annotations

from typing import Annotated

import typer

from hubbub.io.paths import StoragePath, parse_path

from . import options


def report(
    sources: Annotated[
        list[StoragePath],
        typer.Argument(
            parser=parse_path,
            help="Folders made by hubbub evaluate or hubbub label; clip tables, such as those of hubbub search.",
            metavar="RUN|LABELS|CLIPS…",
        ),
    ],
    output: Annotated[
        StoragePath, typer.Option("--output", "-o", parser=parse_path, help="The page to write.", metavar="FILE.html")
    ],
    truth: Annotated[
        StoragePath | None,
        typer.Option(
            parser=parse_path,
            help="CSV of true events (uri, label, onset_s, offset_s), to show and score.",
            metavar="FILE",
        ),
    ] = None,
    title: Annotated[str, typer.Option(help="Heading of the page.", metavar="TEXT")] = "hubbub report",
    samples: Annotated[
        int | None,
        typer.Option(
            help="Events of each label to show, spread over their scores. Default: 15 minutes of recordings whole; of "
            "more, 10.",
            metavar="N",
        ),
    ] = None,
    max_size: Annotated[
        float, typer.Option(help="Size of the page at most; it says what was left out.", metavar="MB")
    ] = 50.0,
    root: Annotated[
        StoragePath | None,
        typer.Option(parser=parse_path, help="Where the recordings lie now, if they have moved.", metavar="DIR"),
    ] = None,
    timezone: Annotated[
        str, typer.Option(help="Of days and hours of label tables, such as Europe/Berlin.", metavar="NAME")
    ] = "UTC",
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Write one self-contained page: scores, confusion, an archive in charts, spectrograms with events, players.

    Example: hubbub report evaluation labels -o report.html
    """
    from hubbub.pipelines.report import report as write_page

    from .console import reporter

    write_page(
        sources,
        output,
        truth=truth,
        title=title,
        samples=samples,
        max_size_mb=max_size,
        root=root,
        timezone=timezone,
        reporter=reporter,
    )
