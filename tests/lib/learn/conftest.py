"""A tiny feature store of made-up sounds, written by the real store code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hubbub.clips.table import CLIP_SCHEMA, clip_id
from hubbub.config import Layout, LogMelSettings, Settings, Windows
from hubbub.store.features import FeatureStore
from hubbub.store.opening import create_store
from hubbub.store.rows import checksum, row_schema

SETTINGS = Settings(
    frontend=LogMelSettings(sample_rate=8000, n_fft=512, hop_samples=250, n_mels=16),
    windows=Windows(duration_s=0.5),
    layout=Layout(rows_per_shard=8, rows_per_chunk=4),
)
"""17 frames of 16 bands: the smallest rows that every model takes."""

CROPPED = SETTINGS.model_copy(update={"windows": Windows(mode="random", duration_s=1.5, crop_s=0.5)})
"""Rows of 49 frames, of which a model hears 17."""

CROPPED_FRAMES = 49

LABELS = ("hiss", "hum", "ring")


def build_store(path: Path, clips: Sequence[dict[str, Any]], settings: Settings = SETTINGS) -> FeatureStore:
    """Write one row a clip (or one a window, where a clip says how many `windows` it has)."""
    store = create_store(path, settings, source="made up")
    lines = [(clip, window) for clip in clips for window in range(clip.get("windows", 1))]
    store.grow(-(-len(lines) // store.rows_per_shard))
    schema = row_schema(pa.schema([*CLIP_SCHEMA]))
    for first in range(0, len(lines), store.rows_per_shard):
        _write(store, first // store.rows_per_shard, lines[first : first + store.rows_per_shard], schema)
    return store


def _write(store: FeatureStore, shard: int, lines: Sequence[tuple[dict[str, Any], int]], schema: pa.Schema) -> None:
    values = np.full((store.rows_per_shard, store.n_frames, store.n_bands), np.nan, store.settings.dtype)
    rows = []
    for place, (clip, window) in enumerate(lines):
        row = shard * store.rows_per_shard + place
        values[place] = clip.get("values", _sound(store, clip, seed=row))
        rows.append(
            {"row": row, "clip_id": clip_id(clip["uri"]), "window": window, "windows": clip.get("windows", 1)}
            | {
                "channel": "mix",
                "variant": 0,
                "policy_rule": "",
                "start_s": 0.5 * window,
                "valid_frames": store.n_frames,
                "status": "ok",
                "attempts": 1,
            }
            | {"crc32": checksum(values[place]), "version": "1"}
            | {name: value for name, value in clip.items() if name in schema.names and name != "windows"}
        )
    lines_table = pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema=schema)
    store.write_shard(shard, values, lines_table)


def _sound(store: FeatureStore, clip: dict[str, Any], *, seed: int) -> np.ndarray:
    """Noise, louder in the bands of the clip's label."""
    rng = np.random.default_rng(seed)
    values = rng.normal(-40.0, 5.0, (store.n_frames, store.n_bands))
    for label in clip["labels"]:
        third = store.n_bands // 3
        begin = third * LABELS.index(label) if label in LABELS else 0
        values[:, begin : begin + third] += 30.0
    return values


def build_cropped_store(path: Path, clips: Sequence[dict[str, Any]]) -> FeatureStore:
    """A store of longer rows, each with 17 to 49 valid frames; what is padding is NaN, so that nobody can have read it.

    A clip may say otherwise with `valid_frames`.
    """
    shape = (CROPPED_FRAMES, SETTINGS.frontend.n_bands)
    whole = []
    for number, clip in enumerate(clips):
        valid = clip.get("valid_frames", 17 + number * 5 % 33)
        values = np.random.default_rng(number).normal(-40.0, 5.0, shape)
        third = SETTINGS.frontend.n_bands // 3
        begin = third * LABELS.index(clip["labels"][0])
        values[:, begin : begin + third] += 30.0
        values[valid:] = clip.get("padding", np.nan)
        whole.append(clip | {"values": values.astype(np.float16), "valid_frames": valid})
    return build_store(path, whole, CROPPED)


def make_clips(n_folds: int = 4, per_fold: int = 2, labels: Sequence[str] = LABELS) -> list[dict[str, Any]]:
    """`per_fold` clips a label and fold, each its own group."""
    return [
        {"uri": f"{label}-{fold}-{take}.wav", "labels": [label], "fold": fold, "group": f"{label}-{fold}-{take}"}
        for fold in range(1, n_folds + 1)
        for label in labels
        for take in range(per_fold)
    ]


@pytest.fixture
def clips() -> Callable[..., list[dict[str, Any]]]:
    return make_clips


@pytest.fixture
def build() -> Callable[..., FeatureStore]:
    return build_store


@pytest.fixture
def build_cropped() -> Callable[..., FeatureStore]:
    return build_cropped_store


@pytest.fixture(scope="session")
def cropped_store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """24 rows of up to 49 frames, of which a model hears 17 at a time."""
    return build_cropped_store(tmp_path_factory.mktemp("cropped") / "store", make_clips())


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Three labels in four folds, two clips each: 24 rows in 3 shards."""
    return build_store(tmp_path_factory.mktemp("tiny") / "store", make_clips())
