"""A small city for pictures: real clips one after the other, as a good model would have labelled them."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import soundfile
import soxr

from hubbub.labels.events import EventRule
from hubbub.labels.tables import LabelTables, create_labels
from tests.lib.web.tables_to_browse import CARRIED, make_run

RATE, CLIP_S, HOP_S, WINDOW_S = 22_050, 5.0, 0.5, 1.0
PLACES = (("Old Market", "Riga", 56.9447, 24.1160), ("Harbour", "Riga", 56.9583, 24.0960))
PLACES += (("Zoo Gate", "Berlin", 52.5079, 13.3378), ("Canal", "Berlin", 52.4968, 13.4220))


def make_city(folder: Path, sounds: Path, *, recordings: int = 16, clips_each: int = 6, seed: int = 3) -> LabelTables:
    """Write recordings and their label tables.

    Parameters
    ----------
    folder
        A new folder, with ``labels`` and ``recordings`` in it then.
    sounds
        The folder of esc10-mini.
    recordings, clips_each
        How many, and how many clips of `CLIP_S` seconds each has.
    seed
        Decides which clips, and the scores.
    """
    rng = np.random.default_rng(seed)
    with open(sounds / "esc10.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    labels = sorted({row["category"] for row in rows})
    rules = {label: EventRule(0.4, 0.3).to_dict() for label in labels}
    run = make_run(folder / "recordings", labels=labels, rules=rules, hop_s=HOP_S, clips=recordings)
    tables = create_labels(folder / "labels", run)
    for unit in range(recordings):
        chosen = [rows[int(place)] for place in rng.integers(0, len(rows), clips_each)]
        _write_unit(tables, unit, chosen, sounds, labels, rng)
    return tables


def _write_unit(
    tables: LabelTables, unit: int, chosen: list[dict[str, str]], sounds: Path, labels: list[str], rng: Any
) -> None:
    site, city, latitude, longitude = PLACES[unit % len(PLACES)]
    at = datetime(2026, 5, 4, 4, tzinfo=UTC) + timedelta(hours=7 * unit)
    uri = f"{city.lower()}/{site.lower().replace(' ', '-')}-{at:%Y%m%d-%H%M}.flac"
    duration_s = CLIP_S * len(chosen)
    file = {
        "uri": uri,
        "clip_id": f"{unit:032x}",
        "status": "ok",
        "attempts": 1,
        "duration_s": duration_s,
        "sample_rate": RATE,
        "channels": 1,
        "windows": int(duration_s / HOP_S),
        "version": "1",
        "recorded_at": at,
        "group": site,
        "city": city,
        "latitude": latitude,
        "longitude": longitude,
    }
    path = Path(str(tables.root)) / uri
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.concatenate([_read(sounds / "audio" / row["filename"]) for row in chosen]), RATE)
    start_s = np.arange(0, duration_s, HOP_S)
    scores = rng.beta(1.2, 14, (len(start_s), len(labels)))
    events = []
    for place, row in enumerate(chosen):
        onset_s, offset_s = place * CLIP_S + rng.uniform(0, 0.8), (place + 1) * CLIP_S - rng.uniform(0.2, 1.5)
        peak = float(np.float32(np.clip(rng.normal(0.78, 0.16), 0.42, 0.99)))
        label = row["category"] if rng.random() < 0.35 + 0.65 * peak else labels[int(rng.integers(len(labels)))]
        inside = (start_s + WINDOW_S / 2 >= onset_s) & (start_s + WINDOW_S / 2 <= offset_s)
        rise = np.sin(np.linspace(0.35, np.pi - 0.35, int(inside.sum()))) ** 0.5
        scores[inside, labels.index(label)] = peak * rise * rng.uniform(0.9, 1.0, int(inside.sum()))
        times = {"onset_s": onset_s, "offset_s": offset_s, "onset_at": at + timedelta(seconds=onset_s)}
        events.append(file | times | {"label": label, "peak": peak, "mean": peak * 0.85})
    schemas = tables.schemas(CARRIED)
    windows = [
        file | {"start_s": float(start), "end_s": float(start) + WINDOW_S, "scores": row}
        for start, row in zip(start_s, scores.astype(np.float16), strict=True)
    ]
    tables.write_unit(
        unit,
        files=pa.Table.from_pylist([file], schema=schemas.files),
        windows=pa.Table.from_pylist(windows, schema=schemas.windows),
        events=pa.Table.from_pylist(events, schema=schemas.events),
    )


def _read(path: Path) -> np.ndarray:
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = soxr.resample(samples.mean(axis=1), rate, RATE)
    length = round(CLIP_S * RATE)
    return np.pad(mono[:length], (0, max(0, length - len(mono))))
