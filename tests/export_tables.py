"""Events and files for tests of exports: names and labels that have broken other programs, segments, hours of sound."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import soundfile

from hubbub.clips.table import CLIP_SCHEMA, clip_id
from hubbub.config import Settings
from hubbub.labels.events import EventRule
from hubbub.labels.schemas import label_schemas
from hubbub.labels.tables import LabelTables, create_labels

SCRIPT, QUOTED, POLISH, FORMULA = "<script>alert(1)</script>", 'say "hi",\tshe said', "Łódź & 🐦", "=1+1"
LABELS = ["dog", SCRIPT, QUOTED, POLISH, FORMULA, "never found"]
EVENT_NAMES = ["uri", "label", "onset_s", "offset_s", "peak", "mean"]


def events_table(*rows: tuple[Any, ...], **carried: Any) -> pd.DataFrame:
    """Build events from (uri, label, onset_s, offset_s, peak, mean)."""
    table = pd.DataFrame(list(rows), columns=EVENT_NAMES)
    table["onset_at"] = pd.Series(pd.NaT, index=range(len(rows)), dtype="datetime64[us, UTC]")
    types = {"uri": "string", "label": "string", **dict.fromkeys(EVENT_NAMES[2:], "float64")}
    return table.astype(types).assign(**carried)


def files_table(*uris: str, **columns: Any) -> pd.DataFrame:
    """Build files that were analysed: 22,050 Hz, an hour long, unless `columns` say otherwise."""
    known = {"status": "ok", "sample_rate": 22050, "duration_s": 3600.0}
    return pd.DataFrame({"uri": list(uris), **{**known, **columns}}).astype({"uri": "string"})


AWKWARD = events_table(
    ("deep/Łódź 1.wav", "dog", 1.25, 3.5, 0.9, 0.7),
    ("deep/Łódź 1.wav", SCRIPT, 2.0, 3.000001, 1.0, 0.95),
    ("deep/Łódź 1.wav", QUOTED, 2.5, 2.75, 0.5, 0.4),
    ("hour.wav", POLISH, 3599.123456, 3599.987654, 0.6, 0.5),
    ("hour.wav", FORMULA, 0.0, 3600.0, 0.55, 0.5),
    ("hour.wav", "dog", 3598.000001, 3598.000002, 0.75, 0.5),
)
"""Events of two recordings; a third has none, a fourth failed."""

AWKWARD_FILES = pd.concat(
    [
        files_table("deep/Łódź 1.wav", "hour.wav", "quiet.wav"),
        files_table("failed.wav", status="failed", sample_rate=None, duration_s=None),
    ],
    ignore_index=True,
)


def write_label_tables(
    path: Path,
    root: Path,
    files: Sequence[dict[str, Any]],
    events: Sequence[dict[str, Any]],
    *,
    labels: Sequence[str] = ("dog", "rain"),
    carried: Sequence[pa.Field] = (),
) -> LabelTables:
    """Write label tables of one unit, as `hubbub label` does; files and events by their columns."""
    run = {
        "model_hash": "m" * 16,
        "settings_hash": Settings().hash,
        "settings": Settings().model_dump(mode="json"),
        "labels": list(labels),
        "hop_s": 1.0,
        "rules": {label: EventRule().to_dict() for label in labels},
        "root": str(root),
        "command": "hubbub label",
    }
    tables = create_labels(path, run)
    schemas = label_schemas(pa.schema([*CLIP_SCHEMA, *carried]), len(labels))
    told = []
    for file in files:
        begin_s, end_s = file.get("clip_start_s"), file.get("clip_end_s")
        own = {"clip_id": clip_id(file["uri"], begin_s, end_s), "status": "ok", "attempts": 1}
        told.append({**own, **file})
    ids = {(file["uri"], file.get("clip_start_s")): file["clip_id"] for file in told}
    found = [
        {"clip_id": ids[event["uri"], event.get("clip_start_s")], "peak": 0.75, "mean": 0.5, **event}
        for event in events
    ]
    tables.write_unit(
        0,
        files=pa.Table.from_pylist(told, schema=schemas.files),
        windows=pa.Table.from_pylist([], schema=schemas.windows),
        events=pa.Table.from_pylist(found, schema=schemas.events),
    )
    return tables


def write_clock(path: Path, duration_s: float, *, rate: int = 8000, **how: Any) -> None:
    """Write a recording of which each sample says when it is, in whole hundredths of a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = (np.arange(round(duration_s * rate)) * 100 // rate).astype(np.int16)
    soundfile.write(path, samples, rate, **how)
