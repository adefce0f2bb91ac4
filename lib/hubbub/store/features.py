"""The feature store: a Zarr v3 array of rows, and one Parquet part of row descriptions a shard.

::

    STORE/
      features.zarr/          group; attribute `hubbub`: format, settings and their hash, versions
        features              [row, frame, band], one shard a unit of work
        frame_s, band_hz      coordinates
      rows/00000000.parquet   the commit record of shard 0

A shard has one writer, which writes it whole and then its row part. A shard without a row part does not exist.
"""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from hubbub import __version__
from hubbub.audio.frontends import frame_s, frontend_of, n_frames
from hubbub.audio.windows import grid_of
from hubbub.clips.table import CONTRACT
from hubbub.config import Settings, difference, settings_from
from hubbub.errors import SettingsError, StoreError
from hubbub.files import refuse_foreign_folder, sweep_partials, writing
from hubbub.store.parts import joined, part_numbers, read_part, write_part
from hubbub.takes import COLUMNS as TAKE
from hubbub.takes import MIX

FORMAT = "hubbub-features/1"
ARRAYS = "features.zarr"
ROWS = "rows"

_VALUES_BY = ("numpy", "scipy", "librosa", "soxr", "zarr")  # libraries whose versions a store's values may owe to

ROW_COLUMNS = [
    pa.field("row", pa.int64()),  # null for a failed clip: it has no values
    pa.field("clip_id", pa.string(), nullable=False),
    pa.field("channel", pa.string(), nullable=False),  # mix, or the number of the one channel, from 1
    pa.field("variant", pa.int32(), nullable=False),  # 0: the clip as recorded; from 1: augmented
    pa.field("augmentation", pa.string()),  # what was done to a variant, JSON
    pa.field("window", pa.int32(), nullable=False),
    pa.field("windows", pa.int32(), nullable=False),  # how many windows the clip has, known when this part was written
    pa.field("start_s", pa.float64()),  # of the window, from the recording's start
    pa.field("valid_frames", pa.int32()),
    pa.field("status", pa.string(), nullable=False),  # ok; failed; ended: the recording ends before this window
    pa.field("error", pa.string()),
    pa.field("attempts", pa.int32(), nullable=False),
    pa.field("crc32", pa.int64()),  # of the row's bytes as stored, little-endian
]
_ADDED_COLUMNS = {"channel": MIX, "variant": 0, "augmentation": None}  # what they are in parts written without them
_CLIP_NAMES = {"start_s": "clip_start_s", "end_s": "clip_end_s"}  # the row's start_s is the window's


def row_schema(clips: pa.Schema) -> pa.Schema:
    """Schema of the row parts for a clip table's schema: the row's own columns, then the clip's."""
    own = {field.name for field in ROW_COLUMNS}
    of_clip = [field.with_name(_CLIP_NAMES.get(field.name, field.name)) for field in clips if field.name != "clip_id"]
    return pa.schema([*ROW_COLUMNS, *(field for field in of_clip if field.name not in own)])


def clip_columns(clip: dict[str, Any]) -> dict[str, Any]:
    """A clip's columns under the names that row parts give them."""
    return {_CLIP_NAMES.get(name, name): value for name, value in clip.items()}


def checksum(values: npt.NDArray[np.floating]) -> int:
    """CRC-32 of one row's values as stored."""
    little = values.dtype.newbyteorder("<")
    return zlib.crc32(np.ascontiguousarray(values, dtype=little).tobytes())


@dataclass(frozen=True)
class FeatureStore:
    """An open feature store.

    Attributes
    ----------
    path
        Its folder.
    settings
        What it was built with, `layout.rows_per_shard` resolved.
    provenance
        The whole `hubbub` attribute of the group.
    """

    path: Path
    settings: Settings
    provenance: dict[str, Any]

    @property
    def settings_hash(self) -> str:
        """Hash of the settings that decide values."""
        return self.settings.hash

    @property
    def rows_per_shard(self) -> int:
        """Rows of a shard, used or not."""
        assert self.settings.layout.rows_per_shard is not None  # resolved when the store was made
        return self.settings.layout.rows_per_shard

    @property
    def n_frames(self) -> int:
        """Frames of a row."""
        return n_frames(self.settings.frontend, grid_of(self.settings).window)

    @cached_property
    def band_hz(self) -> npt.NDArray[np.float64]:
        """Centre frequencies, float64 [band]; NaN where a band is no frequency."""
        return frontend_of(self.settings.frontend).band_hz

    @property
    def band_names(self) -> list[str]:
        """One name a band, all different."""
        return list(frontend_of(self.settings.frontend).band_names)

    @property
    def n_bands(self) -> int:
        """Bands of a frame."""
        return self.settings.frontend.n_bands

    @property
    def frame_s(self) -> npt.NDArray[np.float64]:
        """Centre times of frames from the window's start, float64 [frame]."""
        return frame_s(self.settings.frontend, self.n_frames)

    @property
    def rows_folder(self) -> Path:
        """Where the row parts lie."""
        return self.path / ROWS

    def committed(self) -> list[int]:
        """Numbers of the shards that exist."""
        return part_numbers(self.rows_folder)

    def ledger(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
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
        tables = [self._numbered_part(shard, columns) for shard in self.committed()]
        if not tables:
            return row_schema(CONTRACT).empty_table().to_pandas().assign(shard=np.int64(0))
        ledger = joined(tables).to_pandas()
        whole = {"row": "Int64", "valid_frames": "Int32", "crc32": "Int64", "fold": "Int32"}
        return ledger.astype({name: dtype for name, dtype in whole.items() if name in ledger})

    def progress(self) -> pd.DataFrame:
        """What a plan has to know of the rows that count: which windows of which clips are done, or failed."""
        return current(self.ledger([*TAKE, "window", "windows", "status", "attempts", "version"]))

    def _numbered_part(self, shard: int, columns: Sequence[str] | None) -> pa.Table:
        rows = self.read_part(shard, columns)
        return rows.append_column("shard", pa.repeat(pa.scalar(shard, pa.int64()), rows.num_rows))

    def read_part(self, shard: int, columns: Sequence[str] | None = None) -> pa.Table:
        """The row part of one shard; arguments and errors of `ledger`."""
        table, metadata = read_part(self.rows_folder, shard, columns)
        if metadata.get("settings_hash") != self.settings_hash or metadata.get("unit") != shard:
            raise StoreError(
                f"{self.rows_folder}: part {shard:08d} says it is part {metadata.get('unit')} of a store with "
                f"settings {metadata.get('settings_hash')}, not {self.settings_hash}; move it away, and the next run "
                "makes it again"
            )
        return _with_added_columns(table, columns)

    def rows(self) -> pd.DataFrame:
        """The rows that count (`current`) and are ok, sorted by `row`."""
        ledger = current(self.ledger())
        rows = ledger[ledger["status"] == "ok"].sort_values("row", ignore_index=True)
        rows = rows.astype({"row": "int64", "valid_frames": "int32", "crc32": "int64"})
        rows["labels"] = [list(labels) for labels in rows["labels"]]
        return rows.drop(columns=["status", "error"])

    def read_rows(self, rows: Sequence[int]) -> npt.NDArray[np.floating]:
        """Features of some rows, [n, frame, band] in the order given."""
        if not len(rows):
            return np.empty((0, self.n_frames, self.n_bands), self.settings.dtype)
        return self._array[np.asarray(rows, dtype=np.int64)].read().result()

    def read_shard(self, shard: int) -> npt.NDArray[np.floating]:
        """A whole shard, [rows_per_shard, frame, band]: row r at ``r - shard * rows_per_shard``, unused ones NaN."""
        first = shard * self.rows_per_shard
        return self._array[first : first + self.rows_per_shard].read().result()

    @cached_property
    def _array(self) -> Any:
        """The array as tensorstore reads it: many chunks at once, decompressed outside Python's lock."""
        import tensorstore

        path = str(self.path.resolve() / ARRAYS / "features")
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": path}}
        try:
            return tensorstore.open(spec, read=True).result()
        except ValueError as error:
            raise StoreError(f"{path} is no array that can be read: {error}") from None

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
            When the disk is full or permission is missing; the shard then does not exist.
        """
        first = shard * self.rows_per_shard
        with writing(self.path / ARRAYS):
            folder = self.path.resolve() / ARRAYS / "features"
            array = _writable_array(folder, (folder / "zarr.json").stat().st_mtime_ns)
            array[first : first + self.rows_per_shard] = values
        write_part(self.rows_folder, shard, rows, {"unit": shard, "settings_hash": self.settings_hash})

    def refresh_clips(self, clips: pa.Table) -> int:
        """Bring labels, folds and all other columns of clips up to date in the row parts; values stay as they are.

        Parameters
        ----------
        clips
            A clip table's rows. Clips that it does not have, or has with other content, are left alone.

        Returns
        -------
        int
            Clips of which something was out of date.

        Raises
        ------
        StorageError
            When a part cannot be written; it then is as it was.
        """
        stale = 0
        for shard in self.committed():
            rows = self.read_part(shard)
            fresh = _refreshed(rows, clips)
            if not fresh.equals(rows):
                changed = [not new.equals(old) for new, old in zip(_slices(fresh), _slices(rows), strict=True)]
                stale += len(pc.unique(rows["clip_id"].filter(pa.array(changed))))
                write_part(self.rows_folder, shard, fresh, {"unit": shard, "settings_hash": self.settings_hash})
        return stale

    def grow(self, n_shards: int, *, clips: int | None = None) -> None:
        """Make room for shards 0 to `n_shards` - 1, and sweep what killed writers left. Only the driver calls it.

        Parameters
        ----------
        clips
            How many the store shall hold when the run is done, so that one that broke off can be told from a whole one.
        """
        import zarr

        with writing(self.path):
            sweep_partials(self.path)
            array = zarr.open_array(self.path / ARRAYS / "features", mode="r+", zarr_format=3)
            wanted = max(n_shards * self.rows_per_shard, array.shape[0])
            if wanted != array.shape[0]:
                array.resize((wanted, *array.shape[1:]))
            if clips is not None:
                group = zarr.open_group(self.path / ARRAYS, mode="r+", zarr_format=3)
                group.attrs["hubbub"] = {**self.provenance, "clips": clips}


@lru_cache(maxsize=4)
def _writable_array(folder: Path, _described_at_ns: int) -> Any:
    """The array as zarr writes it, opened once a process; anew when its description changed, as it does on growing."""
    import zarr

    # Zarr would compare every chunk with the fill value, to leave out those that equal it: five times the work of
    # compressing it, for chunks of which there is one in a store at most.
    with zarr.config.set({"array.write_empty_chunks": True}):  # open_array takes no notice of its own `config`
        return zarr.open_array(folder, mode="r+", zarr_format=3)


def current(ledger: pd.DataFrame) -> pd.DataFrame:
    """Rows of a ledger that count: of each clip the content tried last, of each take's window the last attempt.

    Later is what has the higher number of attempts, which counts on over changed content; a shard's number says
    nothing, for holes that killed runs left are filled first.
    """
    if ledger.empty:
        return ledger
    ledger = ledger.sort_values(["attempts", "shard"], kind="stable")
    version = ledger["version"].fillna("")  # null: a file that had vanished
    newest = version.groupby(ledger["clip_id"]).transform("last")
    return ledger[version == newest].drop_duplicates([*TAKE, "window"], keep="last").reset_index(drop=True)


def _with_added_columns(table: pa.Table, wanted: Sequence[str] | None) -> pa.Table:
    """A row part with the columns that rows have today, of those wanted (None: all)."""
    for name, value in _ADDED_COLUMNS.items():
        if name not in table.column_names and (wanted is None or name in wanted):
            kind = row_schema(CONTRACT).field(name)
            table = table.append_column(kind, pa.repeat(pa.scalar(value, kind.type), table.num_rows))
    return table


def _refreshed(rows: pa.Table, clips: pa.Table) -> pa.Table:
    """A row part with the columns that its clips have now, where their content is the same."""
    where = pc.index_in(rows["clip_id"], clips["clip_id"])
    same = pc.fill_null(pc.equal(clips["version"].take(where), rows["version"]), False)
    own, sources = {field.name for field in ROW_COLUMNS}, {new: old for old, new in _CLIP_NAMES.items()}
    for field in row_schema(clips.schema):
        if field.name in own:
            continue
        new = clips[sources.get(field.name, field.name)].take(where)
        if field.name not in rows.column_names:
            rows = rows.append_column(field, pc.if_else(same, new, pa.nulls(len(rows), field.type)))
            continue
        at, kept = rows.column_names.index(field.name), rows.schema.field(field.name)
        kept = field if pa.types.is_null(kept.type) else kept
        if _fits(new.type, kept.type):
            rows = rows.set_column(at, kept, pc.if_else(same, new.cast(kept.type), rows[field.name].cast(kept.type)))
    return rows


def _fits(new: pa.DataType, kept: pa.DataType) -> bool:
    """Whether two types hold the same kind of value; lists may name their items otherwise."""
    return new == kept or (pa.types.is_list(new) and pa.types.is_list(kept) and new.value_type == kept.value_type)


def _slices(table: pa.Table) -> Iterator[pa.Table]:
    return (table.slice(index, 1) for index in range(len(table)))


def is_store(path: Path) -> bool:
    """Whether a folder looks like a feature store."""
    return (path / ARRAYS).is_dir()


def check_place(path: Path) -> None:
    """Refuse to make or grow a store where something else lies (`StoreError`)."""
    refuse_foreign_folder(path, ARRAYS, "the store")


def open_store(path: str | Path) -> FeatureStore:
    """Open a feature store.

    Raises
    ------
    StoreError
        When there is none, or it has a format this version does not read.
    """
    path = Path(path)
    document = path / ARRAYS / "zarr.json"
    try:
        provenance = json.loads(document.read_text(encoding="utf-8"))["attributes"]["hubbub"]
        if provenance["format"] != FORMAT:
            raise StoreError(f"{path} has the format {provenance['format']}; this hubbub {__version__} reads {FORMAT}")
        settings = settings_from(provenance["settings"], where=str(document))
    except FileNotFoundError:
        raise StoreError(f"{path} is no feature store; make one with: hubbub features CLIPS -o {path}") from None
    except (OSError, ValueError, KeyError, TypeError, SettingsError) as error:
        raise StoreError(f"{document} is no description of a feature store: {type(error).__name__}: {error}") from None
    if settings.hash != provenance["settings_hash"]:
        raise StoreError(f"{document}: its settings hash to {settings.hash}, but it says {provenance['settings_hash']}")
    return FeatureStore(path, settings, provenance)


def create_store(path: Path, settings: Settings, *, source: str, root: Path | None = None) -> FeatureStore:
    """Make an empty store; it appears whole or not at all.

    Parameters
    ----------
    settings
        With `layout.rows_per_shard` resolved.
    source
        What it is built from, for the record.
    root
        What its clips' uris are relative to.

    Raises
    ------
    StoreError
        When the folder holds something else.
    StorageError
        When it cannot be written.
    """
    check_place(path)
    provenance = _provenance(settings, source) | {"root": None if root is None else str(root)}
    store = FeatureStore(path, settings, provenance)
    draft = path / f".{ARRAYS}.draft-{os.getpid()}"
    with writing(path):
        store.rows_folder.mkdir(parents=True, exist_ok=True)
        for left in path.glob(f".{ARRAYS}.draft-*"):
            shutil.rmtree(left, ignore_errors=True)
        _write_arrays(draft, store)
        os.rename(draft, path / ARRAYS)
    return store


def require_settings(store: FeatureStore, settings: Settings) -> None:
    """Refuse settings that would make other values, or lie otherwise, than those of a store.

    Raises
    ------
    StoreError
        With both hashes and what differs.
    """
    if settings.hash != store.settings_hash:
        lines = "; ".join(difference(settings.values, store.settings.values))
        raise StoreError(
            f"{store.path} was built with other settings ({store.settings_hash}; asked for {settings.hash}): {lines}. "
            "Changed settings are a new store: give another -o, or leave the settings out to go on with this one"
        )
    asked, there = settings.variants, store.settings.variants
    if asked is not None and (there is None or asked.values != there.values):
        held_there = "none" if there is None else "; ".join(difference(asked.values, there.values))
        raise StoreError(
            f"{store.path} was built with other variants ({held_there}). Another policy is a new store: give another "
            "-o, or leave --variants out to go on with this one"
        )
    wanted, held = settings.layout, store.settings.layout
    if wanted.model_fields_set and any(
        getattr(wanted, name) not in (None, getattr(held, name)) for name in wanted.model_fields_set
    ):
        lines = "; ".join(
            difference(
                wanted.model_dump(include=wanted.model_fields_set), held.model_dump(include=wanted.model_fields_set)
            )
        )
        raise StoreError(f"{store.path} is laid out otherwise: {lines}. Leave the layout out to go on with this store")


def _provenance(settings: Settings, source: str) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "settings": settings.model_dump(mode="json"),
        "settings_hash": settings.hash,
        "source": source,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"hubbub": __version__} | {name: import_module(name).__version__ for name in _VALUES_BY},
    }


def _write_arrays(folder: Path, store: FeatureStore) -> None:
    import zarr
    from zarr.codecs import BloscCodec, BloscShuffle

    group = zarr.create_group(folder, zarr_format=3, attributes={"hubbub": store.provenance})
    chunk, shard = store.settings.layout.rows_per_chunk, store.rows_per_shard
    itemsize = np.dtype(store.settings.dtype).itemsize
    group.create_array(
        "features",
        shape=(0, store.n_frames, store.n_bands),
        dtype=store.settings.dtype,
        chunks=(min(chunk, shard), store.n_frames, store.n_bands),
        shards=(shard, store.n_frames, store.n_bands),
        compressors=BloscCodec(cname="lz4", clevel=5, shuffle=BloscShuffle.bitshuffle, typesize=itemsize),
        fill_value=float("nan"),
        dimension_names=("row", "frame", "band"),
        attributes=_described(store),
    )
    for name, values, unit in (("frame_s", store.frame_s, "s"), ("band_hz", store.band_hz, "Hz")):
        coordinate = group.create_array(
            name, shape=values.shape, dtype="float64", dimension_names=(name.split("_")[0],), attributes={"units": unit}
        )
        coordinate[:] = values


def _described(store: FeatureStore) -> dict[str, Any]:
    """Attributes of the array, in the names of the CF conventions; bands that are no frequencies have names instead."""
    frontend = frontend_of(store.settings.frontend)
    described = {"units": frontend.units, "long_name": frontend.long_name, "coordinates": "frame_s band_hz"}
    return described | ({"band_names": store.band_names} if np.isnan(store.band_hz).any() else {})
