"""Clip tables of recordings that do not exist, for benchmarks that read no audio."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def make_clips(n: int) -> pa.Table:
    """Clips of a network of recorders, as their names, versions and labels would be."""
    import pyarrow as pa

    from hubbub.clips.table import CLIP_SCHEMA, clip_id

    uris = [f"2026/site-{number % 400:03d}/night-{number % 97:02d}/{number:07d}.wav" for number in range(n)]
    known = {
        "clip_id": [clip_id(uri) for uri in uris],
        "uri": uris,
        "labels": [[f"label {number % 50}"] for number in range(n)],
        "fold": [1 + number % 5 for number in range(n)],
        "group": [f"site-{number % 400:03d}" for number in range(n)],
        "version": [f"441044-{1_767_225_600_000_000_000 + number * 1_234_567}" for number in range(n)],
    }
    same = {"size_bytes": 441_044, "duration_s": 5.0, "sample_rate": 44_100, "channels": 1}
    columns = [
        pa.array(known[field.name], field.type)
        if field.name in known
        else pa.repeat(pa.scalar(same.get(field.name), field.type), n)
        for field in CLIP_SCHEMA
    ]
    return pa.table(columns, schema=CLIP_SCHEMA)
