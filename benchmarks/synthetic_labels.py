"""Label tables of any size, with events of noise: as hubbub label leaves them, without recordings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hubbub.clips.table import CLIP_SCHEMA
from hubbub.config import Settings
from hubbub.labels.events import EventRule
from hubbub.labels.tables import LabelTables, create_labels

CITIES = ("Berlin", "Łódź", "Rīga", "Tromsø", "Zürich")
CARRIED = pa.schema(
    [
        *CLIP_SCHEMA,
        ("city", pa.string()),
        ("site", pa.string()),
        ("latitude", pa.float64()),
        ("longitude", pa.float64()),
    ]
)
FILE_S, WINDOW_S = 3600.0, 5.0


def write_labels(folder: Path, *, hours: int, events: int, labels: int = 10, seed: int = 0) -> LabelTables:
    """Write label tables of one-hour recordings, a unit each, as `hubbub label` has it for long ones.

    Parameters
    ----------
    folder
        A new folder.
    hours, events
        Of audio, and in all; an hour has about as many events as another.
    labels
        How many classes.
    seed
        Decides them.
    """
    rng = np.random.default_rng(seed)
    names = [f"class {number:03d}" for number in range(labels)]
    settings = Settings()
    rules = {name: EventRule().to_dict() for name in names}
    run = {"model_hash": "0" * 16, "settings_hash": settings.hash, "settings": settings.model_dump(mode="json")}
    run |= {"labels": names, "hop_s": WINDOW_S, "rules": rules, "root": str(folder), "command": "hubbub label"}
    tables = create_labels(folder, run | {"clips": hours})
    schemas = tables.schemas(CARRIED)
    begin = datetime(2025, 1, 1, tzinfo=UTC)
    counts = rng.multinomial(events, np.full(hours, 1 / hours))
    starts = np.arange(0, FILE_S, WINDOW_S)
    for unit in range(hours):
        site = unit % 40
        at = begin + timedelta(hours=unit // 2)
        row = {
            "uri": f"site-{site:02d}/{at:%Y%m%dT%H%M%S}-{unit:06d}.flac",
            "clip_id": f"{unit:032x}",
            "status": "ok",
            "attempts": 1,
            "duration_s": FILE_S,
            "sample_rate": 48_000,
            "channels": 1,
            "windows": len(starts),
            "version": "1",
            "recorded_at": at,
            "group": f"site-{site:02d}",
            "city": CITIES[site % len(CITIES)],
            "site": f"site-{site:02d}",
            "latitude": 50 + 0.01 * (site // 7),
            "longitude": 19 + 0.015 * (site % 7),
        }
        files = pa.Table.from_pylist([row], schema=schemas.files)
        scores = rng.beta(0.6, 4.0, (len(starts), labels)).astype(np.float16)
        _write(tables, "files", unit, files)
        windows = {"start_s": starts, "end_s": starts + WINDOW_S, "scores": _as_lists(scores, schemas.windows)}
        _write(tables, "windows", unit, _spread(row, windows, schemas.windows, len(starts)))
        count = int(counts[unit])
        onset_s = np.sort(rng.uniform(0, FILE_S - 10, count))
        peak = (0.5 + 0.5 * rng.beta(2.0, 2.5, count)).astype(np.float32)
        at_us = np.datetime64(at.replace(tzinfo=None), "us") + (onset_s * 1e6).astype("timedelta64[us]")
        # Few classes are heard often, most seldom.
        chosen = np.minimum((labels * rng.random(count) ** 2).astype(int), labels - 1)
        found = {
            "label": np.array(names, object)[chosen],
            "onset_s": onset_s,
            "offset_s": onset_s + rng.exponential(2.0, count) + 0.1,
            "peak": peak,
            "mean": peak * np.float32(0.8),
            "onset_at": pa.array(at_us, pa.timestamp("us")).cast(pa.timestamp("us", "UTC")),
        }
        _write(tables, "events", unit, _spread(row, found, schemas.events, count))
    return tables


def _as_lists(scores: np.ndarray, schema: pa.Schema) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(scores.ravel()), type=schema.field("scores").type)


def _spread(row: dict, columns: dict, schema: pa.Schema, count: int) -> pa.Table:
    """Columns of `count` rows, those that are not given repeated from the recording's row."""
    arrays = []
    for field in schema:
        if field.name in columns:
            value = columns[field.name]
            arrays.append(value.cast(field.type) if isinstance(value, pa.Array) else pa.array(value, field.type))
        else:
            arrays.append(pa.repeat(pa.scalar(row.get(field.name), field.type), count))
    return pa.Table.from_arrays(arrays, schema=schema)


def _write(tables: LabelTables, folder: str, unit: int, table: pa.Table) -> None:
    """Write a part as `write_unit` does, without waiting for the disk."""
    import json

    marked = table.replace_schema_metadata({b"hubbub": json.dumps(tables._mark(folder, unit)).encode()})
    path = Path(str(tables.path)) / folder / f"{unit:08d}.parquet"
    pq.write_table(
        marked, path, compression="lz4", use_dictionary=False, write_statistics=False, write_page_checksum=True
    )
