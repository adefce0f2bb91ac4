"""The memory of a listing and of its table does not grow with the number of recordings, but for 16 bytes of each."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hubbub.audio.recorders import RecordingFacts
from hubbub.clips import index as clips_index
from hubbub.clips import table_parts
from hubbub.clips.sources.tree import Tree
from hubbub.clips.table import clip_id
from hubbub.io import spool
from hubbub.pipelines.index import index

FEW, MANY = 2_000, 8_000
MOST_BYTES = 60
"""Of memory a further recording: 16 for its id, as much while ids are sorted, and what Python keeps free for more."""


def measure_peak(folder: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Index so many recordings that nobody reads, and return the most that Python had allocated, bytes."""

    def walk(tree: Tree, source: Path) -> Iterator[tuple[str, dict[str, Any]]]:
        numbers = range(count)
        return ((f"kind-{number % 7}/night-{number % 50}/{number:06d}.wav", {}) for number in numbers)

    monkeypatch.setattr(Tree, "_walk", walk)
    gc.collect()
    tracemalloc.start()
    result = index(folder, folder / "clips.parquet")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.summary.clips == count
    assert len(result.summary.labels) == 7
    return peak


@pytest.mark.slow
def test_memory_does_not_grow_with_the_recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def probe(listed: dict[str, Any], *_: Any, **__: Any) -> tuple[dict[str, Any], None, RecordingFacts]:
        return {"clip_id": clip_id(listed["uri"]), **listed}, None, RecordingFacts()

    monkeypatch.setattr(clips_index, "probe_clip", probe)
    monkeypatch.setattr(clips_index, "_AHEAD", 100)
    monkeypatch.setattr(table_parts, "_ROWS_A_GROUP", 1000)
    for name, value in {"_RUN": 1000, "_RUN_PAGE": 10, "_PAGE": 100, "_IN_MEMORY_BYTES": 10_000}.items():
        monkeypatch.setattr(spool, name, value)
    measure_peak(tmp_path, 100, monkeypatch)  # so that modules are imported
    few, many = (measure_peak(tmp_path, count, monkeypatch) for count in (FEW, MANY))
    assert many - few < MOST_BYTES * (MANY - FEW)
