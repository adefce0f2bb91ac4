"""Retries with backoff, for errors that are transient."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from hubbub.errors import UsageError
from hubbub.io.paths import is_transient

T = TypeVar("T")

_BACKOFFS_S = (0.5, 2.0, 8.0)
_UNIT_BACKOFFS_S = (1.0, 4.0, 16.0, 60.0)


def retry_with_backoff(do: Callable[[], T]) -> T:
    """Do something once, or once more after each of a few pauses where it fails for a cause that may pass.

    Raises
    ------
    Exception
        What `do` raised at its last try, or at any try for a cause that does not pass; `UsageError` at once: a bucket
        that cannot be read has been asked many times already.
    """
    for pause_s in _BACKOFFS_S:
        try:
            return do()
        except UsageError:
            raise
        except Exception as error:
            if not is_transient(error):
                raise
        time.sleep(pause_s * random.uniform(0.5, 1.0))
    return do()


def unit_backoffs_s() -> Iterator[float]:
    """Pauses before the next tries of a unit, s, none left after the last; jittered, lest all come back at once."""
    for pause_s in _UNIT_BACKOFFS_S:
        yield pause_s * random.uniform(0.5, 1.0)
