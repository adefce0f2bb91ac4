"""The reporter: what a pipeline tells a person. Pipelines never print; they call the reporter that is handed in.

`Reporter` itself is silent. `hubbub.pipelines.console` has the reporter that prints.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from threading import Event
from typing import Any

Advance = Callable[[float], None]
"""Adds a number of items to a progress bar."""


class Reporter:
    """Receives the messages of a pipeline and shows nothing."""

    def say(self, text: str) -> None:
        """Show a line of results."""

    def warn(self, text: str) -> None:
        """Show a line that needs attention."""

    def show_table(self, title: str, rows: Mapping[str, Any]) -> None:
        """Show one table of names and values."""

    def show_progress(
        self, what: str, total: float, unit: str, *, done: float = 0, started: float | None = None
    ) -> AbstractContextManager[Advance]:
        """Show how many items are done, the rate and the time left.

        Parameters
        ----------
        what, total, unit
            Name of the stage, number of its items, and their plural noun.
        done
            Items done by an earlier run.
        started
            When the stage began (`time.monotonic`); None: now.

        Yields
        ------
        callable
            To be called with the number of further items done.
        """
        return nullcontext(lambda count: None)

    def follow(self, what: str, look: Callable[[], tuple[float, str]]) -> AbstractContextManager[None]:
        """Show a stage that reports its own state.

        Parameters
        ----------
        what
            Name of the stage.
        look
            Returns the fraction done, 0…1, and the state as text; called from another thread.
        """
        return nullcontext()

    def show_waiting(self, what: str) -> AbstractContextManager[None]:
        """Show that a step of unknown length is under way."""
        return nullcontext()

    def drain_on_signal(
        self, stop: Event, in_flight: Callable[[], int], is_settled: Callable[[], bool]
    ) -> AbstractContextManager[None]:
        """Let Ctrl-C set `stop`, where the person is at a command line; elsewhere signals are left alone.

        Parameters are those of `hubbub.pipelines.signals.drain_on_signal`.
        """
        return nullcontext()


SILENT = Reporter()


def choose_reporter(reporter: Reporter | None, *, progress: bool = False) -> Reporter:
    """Return the given reporter; without one, a console reporter if `progress` is set, else a silent one."""
    if reporter is not None:
        return reporter
    if not progress:
        return SILENT
    from hubbub.pipelines.console import ConsoleReporter  # rich is not needed by silent calls

    return ConsoleReporter()


@contextmanager
def show_epochs(reporter: Reporter, what: str) -> Iterator[Callable[[Mapping[str, float]], None]]:
    """Show training epoch by epoch.

    Yields
    ------
    callable
        To be called after each epoch with its line of the history, plus `epochs`, the greatest number of epochs.
    """
    with ExitStack() as stack:
        advance: Advance | None = None
        started = time.monotonic()

        def on_epoch(line: Mapping[str, float]) -> None:
            nonlocal advance
            if advance is None:
                done = line["epoch"] - 1  # by an earlier run that was killed
                bar = reporter.show_progress(what, line["epochs"], "epochs", done=done, started=started)
                advance = stack.enter_context(bar)
            advance(1)

        yield on_epoch


@contextmanager
def show_rows(reporter: Reporter, what: str) -> Iterator[Callable[[int, int], None]]:
    """Show rows being gone through, until all are.

    Yields
    ------
    callable
        To be called with rows done, and rows in all.
    """
    with ExitStack() as stack:
        advance: Advance | None = None
        shown = 0

        def on_rows(done: int, total: int) -> None:
            nonlocal advance, shown
            if advance is None:
                advance = stack.enter_context(reporter.show_progress(what, total, "rows"))
            advance(done - shown)
            shown = done
            if done >= total:  # whatever comes next has a bar of its own
                stack.close()

        yield on_rows
