"""Reusable buffers: taking new memory from the system for every batch costs more than decoding the batch."""

from __future__ import annotations

import math
import sys
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

_ALIGNMENT = 64  # bytes; what TensorFlow takes over without copying it
_UNUSED_REFERENCES = 3  # references to a buffer that only the list, the loop and `getrefcount` know


class Buffers:
    """Arrays whose memory is handed out again as soon as nothing refers to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: list[npt.NDArray[np.uint8]] = []

    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Like `np.empty`. Every view of the array, and every tensor that shares its memory, keeps it from others."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        with self._lock:
            array = self._unused(size + _ALIGNMENT)
        offset = -array.ctypes.data % _ALIGNMENT
        return array[offset : offset + size].view(dtype).reshape(shape)

    def _unused(self, size: int) -> npt.NDArray[np.uint8]:
        """A buffer that holds so much and at most twice, in use by nobody."""
        for buffer in self._held:
            if size <= buffer.nbytes <= 2 * size and sys.getrefcount(buffer) == _UNUSED_REFERENCES:
                return buffer
        buffer = np.empty(size, np.uint8)
        self._held.append(buffer)
        return buffer
