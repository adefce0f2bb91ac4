"""Stores of made-up embeddings, written by the real store code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hubbub.clips.table import CLIP_SCHEMA, clip_id
from hubbub.config import Settings, parse_settings
from hubbub.store.features import FeatureStore
from hubbub.store.opening import create_store, open_store
from hubbub.store.rows import checksum, row_schema

WINDOW_S, HOP_S = 2.0, 1.0


def make_settings(dimension: int, *, dtype: str = "float32", rows_per_shard: int = 8, **model: Any) -> Settings:
    """Settings of embeddings of 2 s, every second."""
    frontend = {"name": "embedding", "model": "made up", "model_hash": "0123456789abcdef", "sample_rate": 8000} | model
    data = {
        "frontend": frontend | {"dimension": dimension},
        "windows": {"mode": "all", "duration_s": WINDOW_S, "hop_s": HOP_S},
        "dtype": dtype,
        "layout": {"rows_per_shard": rows_per_shard, "rows_per_chunk": 4},
    }
    return parse_settings(data, where="test")


def write_embeddings(
    path: Path,
    vectors: np.ndarray,
    *,
    rows: Sequence[Mapping[str, Any]] | None = None,
    carried: Mapping[str, pa.DataType] | None = None,
    root: Path | None = None,
    **settings: Any,
) -> FeatureStore:
    """Write vectors [row, dimension], three windows a clip; `rows` says what is to be otherwise, row by row."""
    store = create_store(path, make_settings(vectors.shape[1], **settings), source="made up", root=root)
    schema = row_schema(pa.schema([*CLIP_SCHEMA, *(carried or {}).items()]))
    per_shard = store.rows_per_shard
    store.grow(-(-len(vectors) // per_shard))
    for first in range(0, len(vectors), per_shard):
        own = vectors[first : first + per_shard].astype(store.settings.dtype)
        values = np.full((per_shard, 1, vectors.shape[1]), np.nan, store.settings.dtype)
        values[: len(own), 0] = own
        lines = [
            describe_row(first + place, values[place]) | dict(rows[first + place] if rows else {})
            for place in range(len(own))
        ]
        store.write_shard(first // per_shard, values, pa.Table.from_pylist(lines, schema=schema))
    return open_store(path)


def describe_row(number: int, values: np.ndarray) -> dict[str, Any]:
    """Row `number`: window 0, 1 or 2 of the clip ``<n>.wav`` of 4 s."""
    clip, window = divmod(number, 3)
    uri = f"{clip}.wav"
    return {
        "row": number,
        "clip_id": clip_id(uri),
        "uri": uri,
        "window": window,
        "windows": 3,
        "start_s": window * HOP_S,
        "channel": "mix",
        "variant": 0,
        "policy_rule": "",
        "status": "ok",
        "attempts": 1,
        "valid_frames": 1,
        "crc32": checksum(values),
        "labels": [f"label {clip % 3}"],
        "version": "1",
        "duration_s": 4.0,
    }
