"""Memory that was freed, given back to the system."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache

import pyarrow as pa


def release_freed_memory() -> None:
    """Give freed memory back: small pieces of a table leave holes between others, which no whole column fits into.

    Arrow's own memory everywhere; the C library's where it has ``malloc_trim``, as on Linux with glibc.
    """
    pa.default_memory_pool().release_unused()
    trim = _find_malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _find_malloc_trim() -> Callable[[int], int] | None:
    return getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
