"""Ids of very many clips, in few bytes: to find one again, or twice."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_BYTES = 16


class ClipIds:
    """Clip ids as hashes of 16 bytes; that is all that memory holds of a clip while a table is made."""

    def __init__(self) -> None:
        self._hashes = bytearray()
        self._n_sorted = 0

    def __len__(self) -> int:
        """Return the number of ids, doubled ones counted as often as they are there."""
        return len(self._hashes) // _BYTES

    def add(self, ids: Sequence[str]) -> None:
        """Add ids."""
        self._hashes += _hash_all(ids)

    def contain(self, ids: Sequence[str]) -> list[bool]:
        """Whether each id is one of these."""
        hashes, wanted = self._sort(), _as_array(_hash_all(ids))
        if not len(hashes):
            return [False] * len(ids)
        places = np.minimum(np.searchsorted(hashes, wanted), len(hashes) - 1)
        return [bool(found) for found in hashes[places] == wanted]

    def find_doubled(self) -> ClipIds:
        """Find the ids that are there more than once, each of them once."""
        hashes, doubled = self._sort(), ClipIds()
        doubled._hashes += np.unique(hashes[1:][hashes[1:] == hashes[:-1]]).tobytes()
        return doubled

    def _sort(self) -> npt.NDArray[np.bytes_]:
        hashes = _as_array(self._hashes)
        if self._n_sorted < len(hashes):
            hashes.sort()
            self._n_sorted = len(hashes)
        return hashes


def _hash_all(ids: Sequence[str]) -> bytes:
    return b"".join(hashlib.blake2b(one.encode(), digest_size=_BYTES).digest() for one in ids)


def _as_array(hashes: bytearray | bytes) -> npt.NDArray[np.bytes_]:
    return np.frombuffer(hashes, f"S{_BYTES}")
