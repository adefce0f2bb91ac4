"""Retries with backoff, for errors that are transient."""

from __future__ import annotations

import errno
import random
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from hubbub.errors import UsageError

T = TypeVar("T")

_BACKOFFS_S = (0.5, 2.0, 8.0)
_UNIT_BACKOFFS_S = (1.0, 4.0, 16.0, 60.0)
_TRANSIENT_ERRNOS = {
    *(errno.EIO, errno.EAGAIN, errno.EBUSY, errno.ESTALE, errno.EINTR, errno.ENFILE, errno.EMFILE),
    *(errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENOTCONN),
}
_TRANSIENT_KINDS = {"EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "ConnectionClosedError"}
_TRANSIENT_CODES = {
    *("SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests", "429"),
    *("InternalError", "ServiceUnavailable", "RequestTimeout", "500", "502", "503", "504"),
}


def retry_with_backoff(do: Callable[[], T]) -> T:
    """Call a function, and call it again after each of a few backoffs while its error is transient.

    Raises
    ------
    Exception
        What `do` raised at its last try, or at any try where the error is not transient; `UsageError` at once, since
        requests to a bucket are retried already.
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
    """Give the backoffs between the tries of a unit, s; jittered, so that units do not come back all at once."""
    for pause_s in _UNIT_BACKOFFS_S:
        yield pause_s * random.uniform(0.5, 1.0)


def is_transient(error: BaseException | None) -> bool:
    """Tell whether an error, or its cause, may be gone after a while: one of a network, a server, or a remote disk.

    A full disk, a missing permission and a broken file are not transient.
    """
    while error is not None:
        code = ((getattr(error, "response", None) or {}).get("Error") or {}).get("Code")
        is_passing = (
            isinstance(error, (TimeoutError, ConnectionError))
            or (isinstance(error, OSError) and error.errno in _TRANSIENT_ERRNOS)
            or type(error).__name__ in _TRANSIENT_KINDS
            or code in _TRANSIENT_CODES
        )
        if is_passing:
            return True
        error = error.__cause__ or error.__context__
    return False
