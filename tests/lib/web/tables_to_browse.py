"""Label tables for the page's tests: a few recordings of noise and tones, two sites, two days, all kinds of names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import soundfile

from hubbub.clips.table import CLIP_SCHEMA
from hubbub.config import Settings
from hubbub.labels.events import EventRule
from hubbub.labels.tables import LabelTables, create_labels

LABELS = ["dog", "rain", "<script>alert(1)</script>"]
CARRIED = pa.schema([*CLIP_SCHEMA, ("city", pa.string()), ("latitude", pa.float64()), ("longitude", pa.float64())])
RATE, DURATION_S, HOP_S, WINDOW_S = 8000, 30.0, 1.0, 5.0
BEGIN = datetime(2026, 3, 28, 22, 30, tzinfo=UTC)


def make_run(root: Path, **changed: Any) -> dict[str, Any]:
    """What run.json holds of them."""
    settings = Settings()
    run = {"model_hash": "m" * 16, "settings_hash": settings.hash, "settings": settings.model_dump(mode="json")}
    run |= {"labels": LABELS, "hop_s": HOP_S, "rules": {label: EventRule().to_dict() for label in LABELS}}
    return run | {"root": str(root), "command": "hubbub label"} | changed


def make_file(number: int, **changed: Any) -> dict[str, Any]:
    """One row of files/."""
    row = {
        "uri": f"site {number % 2}/Łódź <b>{number}</b>.wav",
        "clip_id": f"{number:032x}",
        "status": "ok",
        "attempts": 1,
        "duration_s": DURATION_S,
        "sample_rate": RATE,
        "channels": 1,
        "windows": int(DURATION_S / HOP_S),
        "version": "1",
        "recorded_at": BEGIN + timedelta(minutes=40 * number),
        "group": f"site {number % 2}",
        "city": ["Łódź", None, "Rīga"][number % 3],
        "latitude": [50.0, 50.1, None][number % 3],
        "longitude": [19.0, 19.2, 19.3][number % 3],
    }
    return row | changed


def make_events(file: dict[str, Any], count: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Events of a file at random, no two of a label alike."""
    found = []
    for onset_s in np.sort(rng.uniform(0, DURATION_S - 3, count)).tolist():
        peak = float(np.float32(rng.uniform(0.5, 1.0)))
        at = None if file["recorded_at"] is None else file["recorded_at"] + timedelta(seconds=onset_s)
        times = {"onset_s": onset_s, "offset_s": onset_s + float(rng.uniform(0.2, 2.5)), "onset_at": at}
        found.append(file | {"label": LABELS[int(rng.integers(len(LABELS)))], "peak": peak, "mean": peak * 0.8} | times)
    return found


def write_unit(
    tables: LabelTables, unit: int, files: list[dict[str, Any]], *, events: int = 6, seed: int | None = None
) -> list[dict[str, Any]]:
    """Write a unit of files; returns its events."""
    rng = np.random.default_rng(unit if seed is None else seed)
    schemas = tables.schemas(CARRIED)
    ok = [file for file in files if file["status"] == "ok"]
    found = [event for file in ok for event in make_events(file, events, rng)]
    windows = []
    for file in ok:
        begin_s = file.get("clip_start_s") or 0.0
        for place in range(file["windows"]):
            start_s = begin_s + place * HOP_S
            scores = rng.uniform(0, 1, len(tables.labels)).astype(np.float16)
            windows.append(file | {"start_s": start_s, "end_s": start_s + WINDOW_S, "scores": scores})
    tables.write_unit(
        unit,
        files=pa.Table.from_pylist(files, schema=schemas.files),
        windows=pa.Table.from_pylist(windows, schema=schemas.windows),
        events=pa.Table.from_pylist(found, schema=schemas.events),
    )
    return found


def write_recording(path: Path, *, seconds: float = DURATION_S, rate: int = RATE, hz: float = 1000.0) -> None:
    """Write a recording of noise, with a tone in its second second."""
    rng = np.random.default_rng(0)
    samples = 0.01 * rng.standard_normal(round(seconds * rate))
    at_s = np.arange(len(samples)) / rate
    samples += np.where((at_s >= 1) & (at_s < 2), 0.5 * np.sin(2 * np.pi * hz * at_s), 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples.astype(np.float32), rate, subtype="PCM_16")


def make_tables(folder: Path, *, files: int = 6, units: int = 3, sound: bool = False, **changed: Any) -> LabelTables:
    """Write label tables of `files` recordings, one of them failed, over `units` units."""
    root = folder.parent / f"{folder.name} recordings"
    tables = create_labels(folder, make_run(root, clips=files, **changed))
    rows = [make_file(number) for number in range(files)]
    failed = {"status": "failed", "error": "DecodeError: no audio <i>", "duration_s": None, "windows": None}
    if files > 2:
        rows[2] |= failed
    if files > 3:
        rows[3]["recorded_at"] = None
    for unit in range(units):
        write_unit(tables, unit, rows[unit::units])
    if sound:
        for row in rows:
            if row["status"] == "ok":
                write_recording(root / row["uri"])
    return tables
