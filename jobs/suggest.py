"""``hubbub suggest``: windows that are worth a person's ear, as a table and as clips."""

from __future__ import annotations

from typing import Annotated

import typer

from hubbub.io.paths import StoragePath, parse_path

from . import options


def suggest(
    source: Annotated[
        StoragePath,
        typer.Argument(
            parser=parse_path,
            help="Label tables, made by hubbub label; or a feature store, made by hubbub embed or hubbub features.",
            metavar="LABELS|STORE",
        ),
    ],
    output: Annotated[
        StoragePath,
        typer.Option("--output", "-o", parser=parse_path, help="A new folder for table and clips.", metavar="FOLDER"),
    ],
    strategy: Annotated[
        str,
        typer.Option(
            help="uncertain: least sure of; diverse: unlike each other; top: highest scores; balanced: as many of each "
            "label and range of scores.",
            metavar="NAME",
        ),
    ] = "uncertain",
    count: Annotated[int, typer.Option("--count", "-n", help="How many windows to suggest.", metavar="N")] = 100,
    label: Annotated[
        list[str] | None, typer.Option(help="A label that matters; repeat for more. Default: all.", metavar="NAME")
    ] = None,
    model: Annotated[
        StoragePath | None,
        typer.Option(parser=parse_path, help="Of a store: the model that scores its rows.", metavar="BUNDLE"),
    ] = None,
    exclude: Annotated[
        list[StoragePath] | None,
        typer.Option(
            "--except",
            parser=parse_path,
            help="Leave out what was heard already: suggestions.csv with verdicts, a clip table trained on, any table "
            "with uri, start_s, end_s, or LABELS/reviews; repeat for more.",
            metavar="TABLE",
        ),
    ] = None,
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Find the windows of an archive that are most worth a person's ear, and cut them out as WAV files.

    The table has a column for the label and one for a verdict; hubbub index reads it when they are filled in.

    Example: hubbub suggest labels --strategy uncertain -n 100 -o suggestions
    """
    from hubbub.pipelines.suggest import suggest as suggest_windows

    from .console import reporter

    found = suggest_windows(
        source,
        output,
        strategy=strategy,
        count=count,
        labels=label or (),
        model=model,
        exclude=exclude or (),
        reporter=reporter,
    )
    if found.failed:
        raise typer.Exit(1)
