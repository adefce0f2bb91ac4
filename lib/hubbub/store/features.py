"""The feature store: a Zarr v3 array of rows, and one Parquet part of row descriptions a shard.

::

    STORE/
      features.zarr/          group; attribute `hubbub`: format, settings and their hash, versions
        features              [row, frame, band], one shard a unit of work; of embeddings [row, dimension]
        frame_s, band_hz      coordinates; not of embeddings
      rows/00000000.parquet   the commit record of shard 0
  model/                  of embeddings: a copy of the model that makes them

A shard has one writer, which writes it whole and then its row part. A shard without a row part does not exist. A store
may lie on a disk or in a bucket (`hubbub.io.paths`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from hubbub.audio.frontends import frame_s, get_frontend, n_frames
from hubbub.audio.windows import window_grid
from hubbub.clips.table import CLIP_SCHEMA
from hubbub.config import Settings
from hubbub.errors import StoreError
from hubbub.io.atomic import explain_read_errors, explain_write_errors, read_bytes, write_bytes
from hubbub.io.folders import list_names, remove_tree, sweep_partials
from hubbub.io.lock import Holder
from hubbub.io.paths import StoragePath, absolute_path
from hubbub.store import arrays
from hubbub.store.notebook import StoreNotebook
from hubbub.store.parts import MissingPart, list_part_numbers, read_part, write_part
from hubbub.store.row_index import iterate_parts, read_parts
from hubbub.store.row_layout import RowLayout
from hubbub.store.row_updates import count_changed_clips, find_wanted_examples, update_statuses
from hubbub.store.rows import (
    PROGRESS,
    add_missing_columns,
    list_example_columns,
    row_schema,
    select_examples,
    select_latest,
)

FORMAT = "hubbub-features/3"
ARRAYS = "features.zarr"
ROWS = "rows"
_OPEN_ATTEMPTS = 5


@dataclass(frozen=True)
class RowUpdate:
    """What `FeatureStore.update_rows` changed; numbers of row parts and of clips."""

    parts: int
    """Row parts that were written again."""

    clips: int
    """Clips of which any column changed, their status too."""


@dataclass(frozen=True)
class FeatureStore(StoreNotebook):
    """An open feature store.

    Attributes
    ----------
    path
        Its folder.
    settings
        What it was built with, `layout.rows_per_shard` resolved.
    provenance
        The whole `hubbub` attribute of the group.
    holder
        Holder of the write lock (`io.lock`), checked before every write; None where no other writer can exist.
    """

    path: StoragePath
    settings: Settings
    provenance: dict[str, Any]
    holder: Holder | None = None

    def __repr__(self) -> str:
        """Describe the store in one line; reads no rows."""
        settings = self.settings
        row = f"{self.n_bands} values" if self.holds_embeddings else f"{self.n_frames} frames x {self.n_bands} bands"
        rows = f"rows of {row}, {settings.dtype}"
        return f"<FeatureStore '{self.path}': {rows}, {settings.frontend.name}, settings {settings.hash}>"

    def with_absolute_path(self) -> FeatureStore:
        """The same store by a path that means the same in every process, for tasks."""
        return replace(self, path=absolute_path(self.path))

    @cached_property
    def settings_hash(self) -> str:
        """Hash of the settings that decide values."""
        return self.settings.hash

    @property
    def rows_per_shard(self) -> int:
        """Rows of a shard, used or not."""
        assert self.settings.layout.rows_per_shard is not None  # resolved when the store was made
        return self.settings.layout.rows_per_shard

    @property
    def rows_per_chunk(self) -> int:
        """Rows that are compressed together."""
        return min(self.settings.layout.rows_per_chunk, self.rows_per_shard)

    @property
    def layout(self) -> RowLayout:
        """How rows lie in the array."""
        return RowLayout.of(self.settings)

    @property
    def holds_embeddings(self) -> bool:
        """Whether rows are embeddings, one vector a window, and not spectrograms."""
        return self.settings.frontend.name == "embedding"

    @property
    def n_frames(self) -> int:
        """Frames of a row; of an embedding 1."""
        return n_frames(self.settings.frontend, window_grid(self.settings).window)

    @cached_property
    def band_hz(self) -> npt.NDArray[np.float64]:
        """Centre frequencies, float64 [band]; NaN where a band is no frequency."""
        return get_frontend(self.settings.frontend).band_hz

    @property
    def band_names(self) -> list[str]:
        """One name a band, all different."""
        return list(get_frontend(self.settings.frontend).band_names)

    @property
    def n_bands(self) -> int:
        """Bands of a frame."""
        return self.settings.frontend.n_bands

    @property
    def frame_s(self) -> npt.NDArray[np.float64]:
        """Centre times of frames from the window's start, float64 [frame]."""
        return frame_s(self.settings.frontend, self.n_frames)

    @property
    def rows_folder(self) -> StoragePath:
        """Where the row parts lie."""
        return self.path / ROWS

    @property
    def first_shard(self) -> int:
        """Number of the first shard that counts; those before it were compacted into later ones."""
        return int(self.provenance.get("first_shard", 0))

    @property
    def first_free_shard(self) -> int:
        """Lowest number that a new shard may have: none that a compaction which broke off would make once more."""
        return max(self.first_shard, (self.provenance.get("compacting") or {}).get("from", 0))

    def committed(self) -> list[int]:
        """Numbers of the shards that exist; parts that a compaction had no time to remove do not count."""
        return [number for number in list_part_numbers(self.rows_folder) if number >= self.first_shard]

    def row_index(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Every row of every row part, with its `shard`, failed and superseded ones too.

        Parameters
        ----------
        columns
            Those to read; None: all.

        Raises
        ------
        StoreError
            For a row part that is torn, or belongs to a store with other settings.
        """
        row_index = self.row_table(columns).to_pandas()
        whole = {"row": "Int64", "valid_frames": "Int32", "crc32": "Int64", "fold": "Int32"}
        return row_index.astype({name: dtype for name, dtype in whole.items() if name in row_index})

    def progress(self) -> pd.DataFrame:
        """What a plan has to know: which windows of which clips are done, failed, or retired."""
        return select_latest(self.row_index(PROGRESS))

    def row_table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Every row of every row part, with its `shard`."""
        for look in range(_OPEN_ATTEMPTS):
            if not (numbers := self.committed()):
                return row_schema(CLIP_SCHEMA).append(pa.field("shard", pa.int64())).empty_table()
            try:
                return read_parts(
                    self.rows_folder,
                    numbers,
                    columns,
                    check=self._refuse_other_store_part,
                    completed=lambda table: add_missing_columns(table, columns),
                )
            except MissingPart:  # a compaction took it away; what it held is in others by now
                if look == _OPEN_ATTEMPTS - 1:
                    raise
        raise AssertionError  # the loop returns or raises

    def read_part(self, shard: int, columns: Sequence[str] | None = None) -> pa.Table:
        """The row part of one shard; arguments and errors of `row_index`."""
        table, metadata = read_part(self.rows_folder, shard, columns)
        self._refuse_other_store_part(shard, metadata)
        return add_missing_columns(table, columns)

    def _refuse_other_store_part(self, shard: int, metadata: dict[str, Any]) -> None:
        """Refuse a row part of another store, or of another number: its rows would be read from values not its own."""
        expected = self._mark(shard)
        if {name: metadata.get(name) for name in expected} != expected:  # older stores have no id, nor have their parts
            raise StoreError(
                f"{self.rows_folder}: part {shard:08d} says it is part {metadata.get('unit')} of the store "
                f"{metadata.get('store_id')} with settings {metadata.get('settings_hash')}; expected "
                f"{self.provenance.get('store_id')} with {self.settings_hash}. "
                f"Make its clips again with: hubbub verify {self.path} --repair"
            )

    def rows(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The rows that count and hold an example (`store.rows.select_examples`), sorted by `row`.

        Parameters
        ----------
        columns
            Those wanted; None: all. Equal lists of labels may be one object: do not change one in place.
        """
        return select_examples(self.row_table(list_example_columns(columns)), self.settings, columns)

    def read_rows(self, rows: Sequence[int]) -> npt.NDArray[np.floating]:
        """Features of some rows, [n, frame, band] in the order given."""
        if not len(rows):
            return np.empty((0, self.n_frames, self.n_bands), self.settings.dtype)
        wanted = np.asarray(rows, dtype=np.int64)
        return self._with_frames(self._array_up_to(int(wanted.max()) + 1)[wanted].read().result())

    def read_shard(self, shard: int) -> npt.NDArray[np.floating]:
        """A whole shard, [rows_per_shard, frame, band]: row r at ``r - shard * rows_per_shard``, unused ones NaN."""
        first = shard * self.rows_per_shard
        beyond = first + self.rows_per_shard
        return self._with_frames(self._array_up_to(beyond)[first:beyond].read().result())

    def _with_frames(self, values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Rows as they lie in the array, as [row, frame, band]."""
        return values.reshape(len(values), self.n_frames, self.n_bands)

    def read_into(self, first: int, into: npt.NDArray[np.floating]) -> None:
        """Read rows from `first` on into memory that is there, [row, frame, band]; whole chunks are read fastest."""
        import tensorstore

        beyond = first + len(into)
        as_stored = into.reshape(len(into), *self.layout.shape)  # a view: whoever asks hands over whole rows
        tensorstore.array(as_stored).write(self._array_up_to(beyond)[first:beyond]).result()

    def _array_up_to(self, read_row_count: int) -> Any:
        """The array, opened again where it has grown since it was opened."""
        if self._array.shape[0] < read_row_count:
            del self.__dict__["_array"]  # what cached_property keeps
        return self._array

    def shard_path(self, shard: int) -> StoragePath:
        """Where the values of a shard lie."""
        return self.array_path / self.layout.shard_key(shard)

    @property
    def array_path(self) -> StoragePath:
        """Where the array of features lies."""
        return self.path / ARRAYS / arrays.FEATURES

    @cached_property
    def _array(self) -> Any:
        with explain_read_errors(self.path):
            array = arrays.open_array(self.array_path)
        held = (array.shape[1:], array.dtype.numpy_dtype)
        if held != (self.layout.shape, np.dtype(self.settings.dtype)):
            raise StoreError(
                f"{self.array_path} holds rows of {held[0]} {held[1]}; by its settings the store has {self.n_frames} "
                f"frames x {self.n_bands} bands of {self.settings.dtype}. "
                f"Write its metadata again with: hubbub verify {self.path} --repair"
            )
        return array

    @property
    def features(self) -> Any:
        """The features as a Zarr array [row, frame, band], read-only: ``store.features[5]`` is a NumPy array.

        Embeddings are [row, dimension] there. `read_rows` reads many rows faster.
        """
        return arrays.open_with_zarr(self.array_path)

    @cached_property
    def _document(self) -> bytes:
        """The description of the array; of its length it tells nothing that lasts."""
        return read_bytes(self.array_path / arrays.DOCUMENT)

    def write_shard(self, shard: int, values: npt.NDArray[np.floating], rows: pa.Table) -> None:
        """Write one whole shard, then its row part, which commits it.

        Parameters
        ----------
        shard
            Its number.
        values
            [rows_per_shard, frame, band] in the store's dtype, NaN where a row is not used.
        rows
            Descriptions with the schema of `row_schema`.

        Raises
        ------
        StorageError
            When the disk is full or permission is missing, or another builder has taken the store over; the shard then
            does not exist.
        """
        data = arrays.encode_shard(self._document, values.reshape(len(values), *self.layout.shape))
        if self.holder is not None:
            self.holder.check(self.path)
        write_bytes(self.shard_path(shard), data)
        self._write_part(shard, rows)

    def _write_part(self, shard: int, rows: pa.Table) -> None:
        write_part(self.rows_folder, shard, rows, self._mark(shard))

    def _mark(self, shard: int) -> dict[str, Any]:
        """What a row part says of where it belongs."""
        return {"unit": shard, "settings_hash": self.settings_hash, "store_id": self.provenance.get("store_id")}

    def update_rows(self, clips: pa.Table) -> RowUpdate:
        """Bring the row parts in line with a clip table; values stay as they are.

        Labels, folds and all other columns of clips are brought up to date. Rows of clips that left the table, and of
        content and takes of before, are retired: they no longer count. Retired rows that the table wants again are
        brought back.

        Parameters
        ----------
        clips
            A clip table's rows.

        Raises
        ------
        StorageError
            When a part cannot be written; it then is as it was.
        """
        wanted, parts, changed = find_wanted_examples(clips, self.settings), 0, 0
        for shard, held in iterate_parts(self.rows_folder, self.committed(), check=self._refuse_other_store_part):
            rows = add_missing_columns(held, None)
            fresh = update_statuses(rows, wanted)
            if not fresh.equals(rows):
                parts, changed = parts + 1, changed + count_changed_clips(rows, fresh)
                self._write_part(shard, fresh)
        return RowUpdate(parts, changed)

    def grow(self, n_shards: int, *, clips: int | None = None) -> None:
        """Make room for shards 0 to `n_shards` - 1, and sweep what killed writers left. Only the driver calls it.

        Parameters
        ----------
        clips
            Clips that the store holds once the run is done; `verify` then recognises a run that broke off.
        """
        with explain_write_errors(self.path):
            sweep_partials(self.path)
            self._sweep_shards()
            document = read_bytes(self.array_path / arrays.DOCUMENT)
            wanted = max(n_shards * self.rows_per_shard, arrays.read_row_count(document))
            if wanted != arrays.read_row_count(document):
                write_bytes(self.array_path / arrays.DOCUMENT, arrays.set_row_count(document, wanted))
            if clips is not None or self.provenance["format"] != FORMAT:
                self.note(**({} if clips is None else {"clips": clips}))

    def shards_there(self) -> list[int]:
        """Numbers of the shards of which there is any object, committed or not."""
        return sorted(int(name) for name in list_names(self.array_path / "c") if name.isdecimal())

    def _sweep_shards(self) -> None:
        """Remove shards that killed writers left without a row part; those of before a compaction stay for readers."""
        committed = set(self.committed())
        for shard in self.shards_there():
            if shard >= self.first_shard and shard not in committed:
                remove_tree(self.array_path / "c" / str(shard))

    def note(self, **entries: Any) -> None:
        """Write entries, and today's format, into the group's attribute `hubbub`. Only the driver calls it."""
        document = self.path / ARRAYS / arrays.DOCUMENT
        held = json.loads(read_bytes(document))
        held["attributes"]["hubbub"] |= {"format": FORMAT, **entries}
        write_bytes(document, json.dumps(held, indent=2).encode())
