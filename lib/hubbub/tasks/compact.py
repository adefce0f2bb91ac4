"""One unit of `compact`: rows of old shards, each checked, into one new full shard."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hubbub.errors import StoreError
from hubbub.store.compaction import CompactUnit, SourceShard
from hubbub.store.features import FeatureStore
from hubbub.store.parts import concatenate_tables
from hubbub.store.rows import checksum
from hubbub.tasks.result import UnitResult


@dataclass(frozen=True)
class CompactTask:
    """Turns a unit into a committed shard; plain data, so that any engine can send it anywhere.

    Attributes
    ----------
    store
        The store, which has room for the unit's shard, with the claim that lets it be written (`holder`).
    """

    store: FeatureStore

    def __call__(self, unit: CompactUnit) -> UnitResult:
        """Do the unit.

        Raises
        ------
        StoreError
            When a row's values are not those that were written.
        StorageError
            When the shard cannot be written, or another has taken the store over; nothing of the unit then exists.
        """
        started = time.perf_counter()
        rows = concatenate_tables([self._rows_of(source) for source in unit.items])
        is_ok = pc.equal(rows["status"], "ok")
        values = self._values(rows.filter(is_ok))
        read_s = time.perf_counter() - started
        table = _renumber_rows(rows, is_ok, unit.index * self.store.rows_per_shard)
        self.store.write_shard(unit.index, self._shard(values), table)
        seconds = {"read": read_s, "store": time.perf_counter() - started - read_s}
        return UnitResult(
            unit=unit.index,
            ok=len(pc.unique(rows["clip_id"])),
            failed=0,
            windows=len(rows),
            rows=len(values),
            audio_s=0.0,
            bytes_read=values.nbytes,
            seconds=seconds,
        )

    def _rows_of(self, source: SourceShard) -> pa.Table:
        return self.store.read_part(source.shard).take(pa.array(source.positions, pa.int64()))

    def _values(self, rows: pa.Table) -> npt.NDArray[np.floating]:
        """Values of rows that have some, [row, frame, band], as they were written."""
        try:
            values = self.store.read_rows(rows["row"].to_pylist())
        except (ValueError, OSError) as error:  # how tensorstore says that bytes are torn
            raise self._damage_error(rows.slice(0, 1), f"cannot be read ({str(error).splitlines()[0]})") from None
        for at, (held, expected) in enumerate(zip(values, rows["crc32"].to_pylist(), strict=True)):
            if checksum(held) != expected:
                raise self._damage_error(rows.slice(at, 1), "has another checksum than when written")
        return values

    def _shard(self, values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        store = self.store
        shard = np.full((store.rows_per_shard, store.n_frames, store.n_bands), np.nan, store.settings.dtype)
        shard[: len(values)] = values
        return shard

    def _damage_error(self, rows: pa.Table, what: str) -> StoreError:
        row = rows.to_pylist()[0]
        return StoreError(
            f"{self.store.path}: row {row['row']} ({row['uri']}, window {row['window']}) in shard "
            f"{row['row'] // self.store.rows_per_shard} {what}. Nothing was lost by compacting: "
            f"run: hubbub verify {self.store.path} --repair, then compact again"
        )


def _renumber_rows(rows: pa.Table, is_ok: pa.ChunkedArray, first: int) -> pa.Table:
    """A row part with the numbers that its rows get, from `first` on; rows without values have none."""
    ok = np.asarray(is_ok)
    numbers = pa.array(first + np.cumsum(ok) - 1, pa.int64(), mask=~ok)
    return rows.set_column(rows.column_names.index("row"), rows.schema.field("row"), numbers)
