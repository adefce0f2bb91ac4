"""A feature store that compares rows with their checksums as they are read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hubbub.errors import TrainingError
from hubbub.learn.reader import ShardReader
from hubbub.store.rows import checksum


@dataclass(frozen=True)
class ChecksummedStore:
    """Reads as the store does, and refuses shards in which a row is not what was written."""

    store: ShardReader
    """The store."""

    rows: pd.DataFrame
    """With columns `row`, `crc32` and `uri`: the rows that are compared; others of a shard are not."""

    @property
    def path(self) -> Any:
        """Where the store lies."""
        return self.store.path

    @property
    def rows_per_shard(self) -> int:
        """Rows of a shard, used or not."""
        return self.store.rows_per_shard

    @property
    def n_frames(self) -> int:
        """Frames of a row."""
        return self.store.n_frames

    @property
    def n_bands(self) -> int:
        """Bands of a frame."""
        return self.store.n_bands

    @property
    def settings(self) -> Any:
        """What the store was built with."""
        return self.store.settings

    @cached_property
    def _sorted(self) -> pd.DataFrame:
        return self.rows.drop_duplicates("row").sort_values("row")

    def read_shard(self, shard: int) -> npt.NDArray[np.floating]:
        """A whole shard, [rows_per_shard, frame, band].

        Raises
        ------
        TrainingError
            A row of it is missing, or its bytes are not those that were written.
        """
        values = self.store.read_shard(shard)
        first = shard * self.rows_per_shard
        begin, end = np.searchsorted(self._sorted["row"], [first, first + self.rows_per_shard])
        lines = self._sorted.iloc[begin:end]
        for number, crc32, uri in zip(lines["row"].tolist(), lines["crc32"].tolist(), lines["uri"], strict=True):
            row = values[number - first]
            if checksum(row) != crc32:
                raise TrainingError(
                    f"row {number} of the store ({uri}) {_what_is_wrong(row)}; run: hubbub verify {self.path} --repair"
                )
        return values


def _what_is_wrong(row: npt.NDArray[np.floating]) -> str:
    if np.isnan(row).all():
        return "is missing: its shard has vanished"
    return "does not hold what was written: its checksum differs"
