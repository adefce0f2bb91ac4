"""Schemas of the label tables: the columns of files, windows and events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from hubbub.clips.table import CLIP_SCHEMA
from hubbub.labels.frames import FrameScores
from hubbub.store.rows import clip_columns

_FILE_COLUMNS = [
    pa.field("uri", pa.string(), nullable=False),
    pa.field("status", pa.string(), nullable=False),  # ok, failed
    pa.field("error", pa.string()),
    pa.field("attempts", pa.int32(), nullable=False),
    pa.field("duration_s", pa.float64()),  # as decoded
    pa.field("sample_rate", pa.int32()),
    pa.field("channels", pa.int32()),
    pa.field("windows", pa.int32()),
    pa.field("version", pa.string()),
]
_EVENT_COLUMNS = [
    pa.field("uri", pa.string(), nullable=False),
    pa.field("label", pa.string(), nullable=False),
    pa.field("onset_s", pa.float64(), nullable=False),
    pa.field("offset_s", pa.float64(), nullable=False),
    pa.field("peak", pa.float32(), nullable=False),
    pa.field("mean", pa.float32(), nullable=False),
    pa.field("onset_at", pa.timestamp("us", tz="UTC")),
]
_NOT_CARRIED_COLUMNS = {"labels", "fold", "split", "size_bytes"}  # of no meaning to labelled sound


@dataclass(frozen=True)
class LabelSchemas:
    """Schemas of the three kinds of part, for one clip table and one model."""

    files: pa.Schema
    windows: pa.Schema
    events: pa.Schema


def label_schemas(clips: pa.Schema, n_labels: int, frames: FrameScores | None = None) -> LabelSchemas:
    """Schemas for a clip table's schema and a model's number of labels; carried columns come last.

    Windows of models that score frames hold bytes (`hubbub.labels.frames`).
    """
    scores = pa.list_(pa.float16(), n_labels)
    stored = scores if frames is None else pa.list_(pa.uint8(), frames.per_window * n_labels)
    carried = [field for field in clips if field.name not in CLIP_SCHEMA.names]
    segment = [
        pa.field("clip_id", pa.string()),
        pa.field("clip_start_s", pa.float64()),
        pa.field("clip_end_s", pa.float64()),
    ]
    summary = [pa.field("mean_scores", scores), pa.field("peak_scores", scores)]
    window = [
        ("uri", pa.string()),
        ("clip_id", pa.string()),
        ("start_s", pa.float64()),
        ("end_s", pa.float64()),
        ("scores", stored),
    ]
    return LabelSchemas(
        files=pa.schema(
            [*_FILE_COLUMNS, *summary, CLIP_SCHEMA.field("recorded_at"), *segment, CLIP_SCHEMA.field("group"), *carried]
        ),
        windows=pa.schema(window),
        events=pa.schema([*_EVENT_COLUMNS, segment[0], *carried]),
    )


def carried_columns(clip: dict[str, Any]) -> dict[str, Any]:
    """A clip's columns under the names that label tables give them, without those that mean nothing there."""
    return {name: value for name, value in clip_columns(clip).items() if name not in _NOT_CARRIED_COLUMNS}
