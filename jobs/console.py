"""The command line's reporter: prints, and lets Ctrl-C drain a run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Event

from hubbub.pipelines.console import ConsoleReporter, err, out
from hubbub.pipelines.signals import drain_on_signal

__all__ = ["err", "out", "reporter"]


class CommandReporter(ConsoleReporter):
    """A console reporter whose process belongs to the command."""

    def drain_on_signal(
        self, stop: Event, in_flight: Callable[[], int], is_settled: Callable[[], bool]
    ) -> AbstractContextManager[None]:
        """Let the first Ctrl-C or SIGTERM drain the run, and the second one abort it."""
        return drain_on_signal(stop, in_flight, is_settled, self.warn)


reporter = CommandReporter()
