"""Options of ``hubbub index`` that say what a source means."""

from __future__ import annotations

from typing import Annotated

import typer

_COLUMN = "Column of a CSV that holds the"

Pattern = Annotated[
    str | None,
    typer.Option(
        help="Labels in names: a regular expression whose named groups become columns, such as "
        "'(?P<label>\\w+)-.*'; label, fold, split, group and recorded_at have a meaning.",
        metavar="REGEX",
    ),
]
NormaliseLabels = Annotated[
    bool,
    typer.Option(
        "--normalise-labels", help="Make one label of those that differ in case, blanks, hyphens or underscores only."
    ),
]
Timezone = Annotated[
    str | None,
    typer.Option(help="Zone of recorders' clocks, such as Europe/Berlin, UTC, +02:00, local.", metavar="ZONE"),
]
Append = Annotated[bool, typer.Option("--append", help="Add the files that FILE does not have yet.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show ten clips as they are understood, and stop.")]
Check = Annotated[
    bool, typer.Option("--check", help="Decode every recording, and exit with 1 where training would be wrong.")
]
PathColumn = Annotated[str | None, typer.Option(help=f"{_COLUMN} file names.", metavar="NAME")]
LabelColumn = Annotated[str | None, typer.Option(help=f"{_COLUMN} labels.", metavar="NAME")]
LabelSeparator = Annotated[
    str | None,
    typer.Option(
        help="What parts several labels in one cell, such as ';'. Default: a cell is one label.", metavar="TEXT"
    ),
]
FoldColumn = Annotated[str | None, typer.Option(help=f"{_COLUMN} folds (whole numbers).", metavar="NAME")]
SplitColumn = Annotated[str | None, typer.Option(help=f"{_COLUMN} splits (train, val, test).", metavar="NAME")]
GroupColumn = Annotated[
    str | None, typer.Option(help=f"{_COLUMN} source recordings, never split across train and test.", metavar="NAME")
]
StartColumn = Annotated[str | None, typer.Option(help=f"{_COLUMN} segments' starts in s.", metavar="NAME")]
EndColumn = Annotated[str | None, typer.Option(help=f"{_COLUMN} segments' ends in s.", metavar="NAME")]
OnsetColumn = Annotated[
    str | None, typer.Option(help=f"{_COLUMN} events' onsets in s: each row becomes one event.", metavar="NAME")
]
OffsetColumn = Annotated[str | None, typer.Option(help=f"{_COLUMN} events' offsets in s.", metavar="NAME")]
RecordedAtColumn = Annotated[
    str | None, typer.Option(help=f"{_COLUMN} times recordings began (ISO 8601, UTC if no zone).", metavar="NAME")
]


def print_formats(value: bool) -> None:
    """Print every format with its example, and stop."""
    if not value:
        return
    from hubbub.clips.sources import list_formats

    from .console import reporter

    for known in list_formats().values():
        lines = "".join(f"\n    {line}" for line in known.example.splitlines())
        reporter.say(f"{known.name}: {known.holds}{lines}")
    raise typer.Exit


Formats = Annotated[
    bool,
    typer.Option("--formats", callback=print_formats, is_eager=True, help="List the formats with an example each."),
]
