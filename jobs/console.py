"""What a person sees: the plan, progress with a rate and a time left, one summary table at the end."""

from __future__ import annotations

import json
import math
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from hubbub.errors import UsageError

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

_LINE_EVERY_S = 10.0  # without a terminal, progress is a line now and then
_DRAW_EVERY_S = 0.5
_SAMPLE_S = 0.5  # between samples that a pace keeps
_SAMPLES_MOST = 1000
_WINDOW_S = 60.0
_SETTLED_S = 10.0  # after the first results, which come from all workers at once

Advance = Callable[[float], None]


class JsonLog:
    """What happens, as JSON lines; a log without a file swallows them.

    A file that can no longer be written costs its lines, and not the run.

    Raises
    ------
    UsageError
        When the file cannot be opened.
    """

    def __init__(self, path: Path | None, job: str) -> None:
        self._job = job
        self._files: list[TextIO] = []
        try:
            if path is not None:
                self._files.append(_appending(path))
        except OSError as error:
            raise UsageError(f"--log-json {path}: {error.strerror}; give a file that can be written") from None

    def write(self, event: str, **fields: Any) -> None:
        """Write one line: time (UTC), job, event, then the fields."""
        if not self._files:
            return
        head = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "job": self._job, "event": event}
        line = json.dumps(head | fields, default=str) + "\n"
        for file in list(self._files):
            try:
                file.write(line)
            except OSError as error:
                self._files.remove(file)
                warn(f"{file.name} cannot be written any more ({error.strerror}): the log ends here, the run goes on")

    @contextmanager
    def also_to(self, path: Path) -> Iterator[None]:
        """Write what happens in this context to another file as well."""
        file = _appending(path)
        self._files.append(file)
        try:
            yield
        finally:
            if file in self._files:
                self._files.remove(file)
            with suppress(OSError):
                file.close()


def _appending(path: Path) -> TextIO:
    return open(path, "a", encoding="utf-8", buffering=1)


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
def every(period_s: float, do: Callable[[], None]) -> Iterator[None]:
    """Do something now and then in a thread, for as long as the context lasts."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(period_s):
            do()

    thread = threading.Thread(target=repeat, name="hubbub-every", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def live(what: str, look: Callable[[], tuple[float, str]]) -> Iterator[None]:
    """Show how something stands that goes on by itself; a bar in a terminal, a line every ten seconds elsewhere.

    Parameters
    ----------
    look
        Says which share of it is done, 0…1, and all else in words; called from another thread.
    """
    if not err.is_terminal:

        def tell() -> None:
            err.print(escape(f"{what}: {look()[1]}"), soft_wrap=True)

        with every(_LINE_EVERY_S, tell):
            yield
        tell()
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[words]}"),
    )
    with Progress(*columns, console=err, auto_refresh=False) as bar:
        task = bar.add_task(escape(what), total=1.0, words="")

        def draw() -> None:
            share, words = look()
            bar.update(task, completed=share, words=escape(words), refresh=True)

        draw()
        with every(_DRAW_EVERY_S, draw):
            yield
        draw()


class Pace:
    """How fast amounts grow, from what they were when; in constant memory, however long that goes on.

    Parameters
    ----------
    amounts
        What they are now, when it begins.
    now_s
        The clock's time; a clock that never goes back.
    """

    def __init__(self, amounts: Sequence[float], now_s: float) -> None:
        self._samples: list[tuple[float, tuple[float, ...]]] = [(now_s, tuple(amounts))]

    def add(self, amounts: Sequence[float], now_s: float) -> None:
        """Note what they are now."""
        sample, samples = (now_s, tuple(amounts)), self._samples
        # The start and the first result stay as they are: between them is what starting takes.
        if len(samples) > 3 and samples[-1][0] - samples[-2][0] < _SAMPLE_S:
            samples[-1] = sample
        else:
            samples.append(sample)
        if len(samples) > _SAMPLES_MOST:
            recent = _SAMPLES_MOST // 2
            self._samples = samples[:2] + samples[2:-recent:2] + samples[-recent:]

    def rates(self, now_s: float, window_s: float = math.inf) -> tuple[float, ...]:
        """Amounts a second, over the last `window_s` or since the beginning."""
        return self._rates_since(now_s - window_s, now_s)

    def left_s(self, which: int, remaining: float, now_s: float) -> float:
        """Seconds that what remains of an amount will take; infinity before the first result.

        By the pace of the last minute, or quarter of the time where that is longer; never from before the first
        result, which comes late where workers have to start, once that is some seconds ago.
        """
        if remaining <= 0:
            return 0.0
        start_s, first_s = self._samples[0][0], self._samples[:2][-1][0]
        since_s = now_s - max(_WINDOW_S, (now_s - start_s) / 4)
        if now_s - first_s >= _SETTLED_S:
            since_s = max(since_s, first_s)
        rate = self._rates_since(since_s, now_s)[which] or self.rates(now_s)[which]
        return remaining / rate if rate > 0 else math.inf

    def _rates_since(self, since_s: float, now_s: float) -> tuple[float, ...]:
        """Amounts a second from the last sample of that time or before, or the first, until now."""
        number = bisect_right(self._samples, since_s, key=lambda sample: sample[0]) - 1
        began_s, before = self._samples[max(0, number)]
        took_s = max(now_s - began_s, 1e-9)
        return tuple((b - a) / took_s for a, b in zip(before, self._samples[-1][1], strict=True))


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
