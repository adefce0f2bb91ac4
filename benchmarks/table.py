"""One table on the terminal, plain enough for a log."""

from __future__ import annotations

from collections.abc import Sequence


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], *, sentences: bool = False) -> None:
    """Print one table: names to the left, figures to the right, and a last column of sentences where there is one."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE)
    for position, name in enumerate(header):
        wraps = sentences and position == len(header) - 1
        table.add_column(name, justify="left" if position == 0 or wraps else "right", no_wrap=not wraps)
    for row in rows:
        table.add_row(*row)
    Console(width=170).print(table)
