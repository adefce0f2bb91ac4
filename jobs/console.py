"""What a person sees: the plan, progress with a rate and a time left, one summary table at the end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from hubbub.errors import UsageError

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

_LINE_EVERY_S = 10.0  # without a terminal, progress is a line now and then

Advance = Callable[[float], None]


class JsonLog:
    """What happens, as JSON lines; a log without a file swallows them.

    Raises
    ------
    UsageError
        When the file cannot be opened.
    """

    def __init__(self, path: Path | None, job: str) -> None:
        self._job = job
        try:
            self._file = None if path is None else open(path, "a", encoding="utf-8", buffering=1)
        except OSError as error:
            raise UsageError(f"--log-json {path}: {error.strerror}; give a file that can be written") from None

    def write(self, event: str, **fields: Any) -> None:
        """Write one line: time (UTC), job, event, then the fields."""
        if self._file is not None:
            head = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "job": self._job, "event": event}
            self._file.write(json.dumps(head | fields, default=str) + "\n")


def summary(title: str, rows: Mapping[str, Any]) -> None:
    """Print one table of names and values."""
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False, pad_edge=False)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(escape(name), escape(str(value)))
    out.print(table)


def say(text: str) -> None:
    """Print a line as it is."""
    out.print(escape(text), soft_wrap=True)


def warn(text: str) -> None:
    """Print a line to stderr."""
    err.print(escape(text), style="yellow", soft_wrap=True)


@contextmanager
def progress(what: str, total: float, unit: str, *, done: float = 0, started: float | None = None) -> Iterator[Advance]:
    """Show how far a stage is, how fast, and how long it still takes; a bar in a terminal, lines elsewhere.

    Parameters
    ----------
    done
        Of `total`, what was done before.
    started
        When the stage began (`time.monotonic`); None: now.

    Yields
    ------
    callable
        To be called with how many more `unit` are done.
    """
    meter = _Meter(total, unit, done, time.monotonic() if started is None else started)
    with (_bar if err.is_terminal else _lines)(what, meter) as advance:
        yield advance


@contextmanager
def _bar(what: str, meter: _Meter) -> Iterator[Advance]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err) as bar:
        task = bar.add_task(escape(what), total=meter.total, completed=int(meter.done), pace=meter.unit)

        def advance(count: float) -> None:
            bar.update(task, advance=count, pace=meter.add(count))

        yield advance


@contextmanager
def _lines(what: str, meter: _Meter) -> Iterator[Advance]:
    said_at = time.monotonic()

    def advance(count: float) -> None:
        nonlocal said_at
        pace = meter.add(count)
        if time.monotonic() - said_at >= _LINE_EVERY_S or (meter.done >= meter.total and count):
            said_at = time.monotonic()
            err.print(escape(f"{what}: {meter.done:g} of {meter.total:g} {pace}"), soft_wrap=True)

    yield advance


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Say that something takes a while whose length is not known."""
    if err.is_terminal:
        with err.status(escape(what)):
            yield
    else:
        yield


@contextmanager
def epochs(what: str) -> Iterator[Callable[[Mapping[str, float]], None]]:
    """Show training epoch by epoch.

    Yields
    ------
    callable
        To be called after each epoch with its line of the history and `epochs`, how many there may be.
    """
    with ExitStack() as stack:
        advance: Advance | None = None
        started = time.monotonic()

        def on_epoch(line: Mapping[str, float]) -> None:
            nonlocal advance
            if advance is None:
                done = line["epoch"] - 1  # by an earlier run that was killed
                advance = stack.enter_context(progress(what, line["epochs"], "epochs", done=done, started=started))
            advance(1)

        yield on_epoch


class _Meter:
    """Counts, and says the pace."""

    def __init__(self, total: float, unit: str, done: float, started: float) -> None:
        self.total, self.unit, self.done = total, unit, done
        self._before, self._started = done, started

    def add(self, count: float) -> str:
        self.done += count
        rate = (self.done - self._before) / max(time.monotonic() - self._started, 1e-9)
        left_s = (self.total - self.done) / rate if rate else float("inf")
        return f"{self.unit}, {rate:.3g} a second, {duration(left_s)} left"


def duration(seconds: float) -> str:
    """Seconds in words that fit a column: ``45 s``, ``3 min 20 s``, ``5 h 02 min``."""
    if seconds == float("inf"):
        return "unknown time"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(count: float) -> str:
    """Bytes in words: ``41.2 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
