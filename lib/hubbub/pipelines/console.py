"""The console reporter: lines, tables and progress bars in a terminal.

All text that is printed passes `_printable`: names of files, labels and errors cannot send control characters to the
terminal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table

from hubbub.io.text import make_visible
from hubbub.pipelines.periodic import call_every
from hubbub.pipelines.quantities import format_duration, format_rate
from hubbub.pipelines.reporting import Advance, Reporter

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

_LINE_EVERY_S = 10.0  # without a terminal, progress is a line every few seconds
_DRAW_EVERY_S = 0.5


class ConsoleReporter(Reporter):
    """Prints results to stdout; warnings and progress to stderr."""

    def say(self, text: str) -> None:
        """Print a line to stdout."""
        out.print(_printable(text), soft_wrap=True)

    def warn(self, text: str) -> None:
        """Print a line to stderr."""
        err.print(_printable(text), style="yellow", soft_wrap=True)

    def show_table(self, title: str, rows: Mapping[str, Any]) -> None:
        """Print one table of names and values."""
        table = Table(title=_printable(title), title_justify="left", title_style="bold", show_header=False)
        table.pad_edge = False
        table.add_column(style="cyan", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in rows.items():
            table.add_row(_printable(name), _printable(str(value)))
        out.print(table)

    def show_progress(
        self, what: str, total: float, unit: str, *, done: float = 0, started: float | None = None
    ) -> AbstractContextManager[Advance]:
        """Show a bar in a terminal, lines elsewhere; parameters as in `Reporter.show_progress`."""
        counter = _Counter(total, unit, done, time.monotonic() if started is None else started)
        return _bar(what, counter) if err.is_terminal else _lines(what, counter)

    def follow(self, what: str, look: Callable[[], tuple[float, str]]) -> AbstractContextManager[None]:
        """Show a bar in a terminal, a line every ten seconds elsewhere; parameters as in `Reporter.follow`."""
        return _live_bar(what, look) if err.is_terminal else _live_lines(what, look)

    @contextmanager
    def show_waiting(self, what: str) -> Iterator[None]:
        """Show a spinner in a terminal."""
        if not err.is_terminal:
            yield
            return
        with err.status(_printable(what)):
            yield


class _Counter:
    """Counts items, and describes their rate."""

    def __init__(self, total: float, unit: str, done: float, started: float) -> None:
        self.total, self.unit, self.done = total, unit, done
        self._before, self._started = done, started

    def add(self, count: float) -> str:
        self.done += count
        rate = (self.done - self._before) / max(time.monotonic() - self._started, 1e-9)
        left_s = (self.total - self.done) / rate if rate else float("inf")
        return f"{self.unit}, {format_rate(rate)} a second, {format_duration(left_s)} left"


def _printable(text: str) -> str:
    """Escape control characters for the terminal, and markup for rich."""
    return escape(make_visible(text))


@contextmanager
def _bar(what: str, counter: _Counter) -> Iterator[Advance]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}"),
        TimeElapsedColumn(),
    )
    with ProgressBar(*columns, console=err) as bar:
        task = bar.add_task(_printable(what), total=counter.total, completed=int(counter.done), pace=counter.unit)

        def advance(count: float) -> None:
            bar.update(task, advance=count, pace=counter.add(count))

        yield advance


@contextmanager
def _lines(what: str, counter: _Counter) -> Iterator[Advance]:
    printed_at = time.monotonic()

    def advance(count: float) -> None:
        nonlocal printed_at
        pace = counter.add(count)
        if time.monotonic() - printed_at >= _LINE_EVERY_S or (counter.done >= counter.total and count):
            printed_at = time.monotonic()
            err.print(_printable(f"{what}: {counter.done:g} of {counter.total:g} {pace}"), soft_wrap=True)

    yield advance


@contextmanager
def _live_bar(what: str, look: Callable[[], tuple[float, str]]) -> Iterator[None]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[state]}"),
    )
    with ProgressBar(*columns, console=err, auto_refresh=False) as bar:
        task = bar.add_task(_printable(what), total=1.0, state="")

        def draw() -> None:
            fraction, state = look()
            bar.update(task, completed=fraction, state=_printable(state), refresh=True)

        draw()
        with call_every(_DRAW_EVERY_S, draw):
            yield
        draw()


@contextmanager
def _live_lines(what: str, look: Callable[[], tuple[float, str]]) -> Iterator[None]:
    def print_line() -> None:
        err.print(_printable(f"{what}: {look()[1]}"), soft_wrap=True)

    with call_every(_LINE_EVERY_S, print_line):
        yield
    print_line()
