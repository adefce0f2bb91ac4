"""Label tables that people review, and verdicts on their events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from hubbub.clips.table import CLIP_SCHEMA
from hubbub.config import Settings
from hubbub.io.paths import StoragePath, parse_path
from hubbub.labels.events import EventRule
from hubbub.labels.reviews.schema import Verdict, identify_event
from hubbub.labels.schemas import label_schemas
from hubbub.labels.tables import LabelTables, create_labels
from hubbub.pipelines.events import find_events

LABELS = ["dog", "rain", "<b>größe</b>"]
RUN: dict[str, Any] = {
    "model_hash": "m" * 16,
    "settings_hash": Settings().hash,
    "settings": Settings().model_dump(mode="json"),
    "labels": LABELS,
    "hop_s": 1.0,
    "rules": {label: vars(EventRule()) for label in LABELS},
    "root": "/sounds",
    "command": "hubbub label",
}


def make_tables(path: str | StoragePath, **changed: Any) -> LabelTables:
    """Make empty label tables."""
    return create_labels(parse_path(path), RUN | changed)


def judge(number: int = 0, verdict: str = "yes", **changed: Any) -> Verdict:
    """Return a verdict on the event `number`."""
    fields = {
        "verdict": verdict,
        "kind": "event",
        "uri": "a.wav",
        "clip_id": "0" * 32,
        "event_label": "dog",
        "onset_s": float(number),
        "offset_s": number + 1.5,
        "score": 0.75,
        "source": "random",
        **changed,
    }
    fields.setdefault("label", fields["event_label"] if fields["verdict"] == "yes" else None)
    fields.setdefault(
        "event",
        identify_event(fields["clip_id"], fields["event_label"], fields["onset_s"], fields["offset_s"]),
    )
    return Verdict(**fields)


def fill_tables(tables: LabelTables, peaks: Mapping[str, Sequence[float]], *, files: int = 4) -> LabelTables:
    """Give tables windows of 5 s, and an event of 10 s for each peak, whose second half scores 0.25; a unit a file.

    Recordings are ``<number> größe.wav``, of the group ``site <number modulo 2>``.
    """
    count = max(map(len, peaks.values()), default=0)
    columns = [np.pad(np.asarray(peaks.get(label, []), float), (0, count))[:count] for label in tables.labels]
    loud = np.stack(columns, 1).astype(np.float16)
    clips = pa.schema([*CLIP_SCHEMA])
    schemas = label_schemas(clips, len(tables.labels))
    for unit in range(files):
        own = loud[unit::files]
        scores = np.zeros((3 * len(own), len(tables.labels)), np.float16)
        scores[::3] = own
        scores[1::3] = np.where(own > 0, 0.25, 0)
        file = {"uri": f"{unit} größe.wav", "clip_id": f"{unit:032x}", "group": f"site {unit % 2}", "version": "1"}
        windows = [
            {**file, "start_s": 5.0 * n, "end_s": 5.0 * n + 5, "scores": list(row)} for n, row in enumerate(scores)
        ]
        row = {**file, "status": "ok", "attempts": 1, "windows": len(windows), "duration_s": 5.0 * len(windows)}
        tables.write_unit(
            unit,
            files=pa.Table.from_pylist([row], schema=schemas.files),
            windows=pa.Table.from_pylist(windows, schema=schemas.windows),
            events=pa.Table.from_pylist([], schema=schemas.events),
        )
    return find_events(tables, thresholds=0.3)


def judge_row(event: Mapping[str, Any], verdict: str, **changed: Any) -> Verdict:
    """Return a verdict on a row of the events table."""
    told = {name: event[name] for name in ("uri", "clip_id", "onset_s", "offset_s")}
    return judge(0, verdict, **told, event_label=event["label"], score=float(event["peak"]), **changed)
