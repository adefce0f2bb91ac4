"""Rows of a feature store as clips, a window each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hubbub.clips.table import CLIP_SCHEMA, RESERVED_COLUMNS, ClipTable, check_rows, clip_id
from hubbub.io.paths import StoragePath, parse_path
from hubbub.store.features import FeatureStore
from hubbub.store.parts import concatenate_tables
from hubbub.store.rows import CLIP_NAMES


def find_clip_root(store: FeatureStore) -> StoragePath:
    """Return what the uris of a store's clips are relative to; the folder around it where the store does not say."""
    root = store.provenance.get("root")
    return store.path.parent if root is None else parse_path(str(root))


def make_window_clips(
    store: FeatureStore, rows: Sequence[int] | npt.NDArray[np.int64], columns: Mapping[str, Any]
) -> ClipTable:
    """Make a clip table of rows, in their order: each clip is the window of one row, within its clip.

    Labels, fold, split, group and all carried columns are those of the row's clip.

    Parameters
    ----------
    rows
        Numbers of rows, no two of which are the same window of a clip.
    columns
        Further columns, one value a row; a carried column of the same name gives way.

    Raises
    ------
    StoreError
        For a row part that is torn.
    """
    wanted = np.asarray(rows, np.int64)
    parts = []
    for shard in np.unique(wanted // store.rows_per_shard).tolist():
        part = store.read_part(shard)
        parts.append(part.filter(pc.is_in(part["row"], pa.array(wanted))))
    held = concatenate_tables(parts)
    order = np.argsort(held["row"].to_numpy(), kind="stable")
    places = np.argsort(np.argsort(wanted, kind="stable"), kind="stable")
    held = held.take(pa.array(order[places]))
    start_s = held["start_s"].to_numpy()
    end_s = start_s + store.settings.windows.duration_s
    for name in ("duration_s", CLIP_NAMES["end_s"]):
        end_s = np.fmin(end_s, held[name].cast(pa.float64()).to_numpy())
    uris = held["uri"].to_pylist()
    ids = [clip_id(*span) for span in zip(uris, start_s.tolist(), end_s.tolist(), strict=True)]
    own = {"clip_id": pa.array(ids), "start_s": pa.array(start_s), "end_s": pa.array(end_s)}
    contract = {name: own[name] if name in own else held[name] for name in CLIP_SCHEMA.names}
    taken = {*contract, *RESERVED_COLUMNS, *columns}
    carried = {name: held[name] for name in held.column_names if name not in taken}
    further = {name: pa.array(values) for name, values in columns.items()}
    return ClipTable(check_rows(pa.table(contract | further | carried), "the windows"), find_clip_root(store))
