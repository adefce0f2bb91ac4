"""A function called periodically in a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def call_every(period_s: float, function: Callable[[], None]) -> Iterator[None]:
    """Call a function every `period_s` seconds in a thread, until the context ends."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(period_s):
            function()

    thread = threading.Thread(target=repeat, name="hubbub-every", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
