"""Ctrl-C and SIGTERM: the first one drains the run, the second one aborts it. Only the command line uses this."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Event

from hubbub.io.text import count_noun

_COUNT_WITHIN_S, _COUNT_EVERY_S = 0.5, 0.02


@contextmanager
def drain_on_signal(
    stop: Event, in_flight: Callable[[], int], is_settled: Callable[[], bool], warn: Callable[[str], None]
) -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM set `stop` and the second one abort. Only in the main thread.

    Parameters
    ----------
    stop
        Set by the first signal: the engine then finishes the units that workers have begun.
    in_flight
        Returns the number of units that are still finished.
    is_settled
        Whether that number is final: units that no worker has begun are taken back by then.
    warn
        Shows a line to the person.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    requests: SimpleQueue[bool] = SimpleQueue()  # `put` is reentrant, as a signal handler needs; `Event.set` is not
    n_signals = 0

    def on_signal(number: int, frame: object) -> None:
        nonlocal n_signals
        n_signals += 1
        if n_signals == 1:
            requests.put(True)
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def drain() -> None:
        if not requests.get():
            return
        stop.set()
        deadline = time.monotonic() + _COUNT_WITHIN_S
        while not is_settled() and time.monotonic() < deadline:
            time.sleep(_COUNT_EVERY_S)
        units = count_noun(in_flight(), "unit in flight is", "units in flight are")
        warn(f"stopping: {units} finished and committed; Ctrl-C again stops now")

    thread = threading.Thread(target=drain, name="hubbub-stop", daemon=True)
    # A signal that is ignored, as in a background command of a script, stays ignored.
    handled = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN]
    thread.start()
    before = {number: signal.signal(number, on_signal) for number in handled}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        requests.put(False)
        thread.join()
