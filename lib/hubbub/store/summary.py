"""A store as a flat CSV for scikit-learn: one line a clip, the mean of every band over its frames."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hubbub.clips.examples import EXAMPLE_COLUMNS as TAKE
from hubbub.io.atomic import atomic_write
from hubbub.io.paths import StoragePath
from hubbub.store.features import FeatureStore

SUMMARY = "summary.csv"
_KEPT = ["uri", "label", "fold", "split", "group"]


def write_summary(store: FeatureStore, path: StoragePath) -> int:
    """Write the means of every clip, and of every channel and variant of it that is an example of its own, as CSV.

    Columns: clip_id, channel, variant; uri, label (several joined by ``|``), fold, split, group; frames, how many the
    means are over; then a column a band, named as `FeatureStore.band_names` has it. Means are over frames of sound:
    padding is left out. Windows that overlap count the frames that they share twice. UTF-8, one header.

    Parameters
    ----------
    path
        The file, which appears whole or not at all.

    Returns
    -------
    int
        Lines written, the header aside.

    Raises
    ------
    StoreError
        The store's parts cannot be read.
    StorageError
        The file cannot be written.
    """
    lines = 0
    with atomic_write(path) as partial, open(partial, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*TAKE, *_KEPT, "frames", *store.band_names])
        for line in _iterate_lines(store):
            writer.writerow(line)
            lines += 1
    return lines


def _iterate_lines(store: FeatureStore) -> Iterator[list[Any]]:
    """One line a take, as soon as the last of its windows has been read: sums of only those begun are in memory."""
    rows = store.rows()
    rows["label"] = ["|".join(labels) for labels in rows["labels"]]
    take = rows.groupby(TAKE, sort=False).ngroup().to_numpy()
    left = np.bincount(take)
    begun: dict[int, tuple[int, npt.NDArray[np.float64]]] = {}
    for position, valid, total in _row_sums(store, rows):
        number = int(take[position])
        frames, sums = begun.pop(number, (0, np.zeros(store.n_bands)))
        frames, sums, left[number] = frames + valid, sums + total, left[number] - 1
        if left[number]:
            begun[number] = frames, sums
        else:
            kept = rows[[*TAKE, *_KEPT]].iloc[position].tolist()
            means = (sums / frames).astype(np.float32)
            yield [*("" if pd.isna(value) else value for value in kept), frames, *(f"{mean:.7g}" for mean in means)]


def _row_sums(store: FeatureStore, rows: pd.DataFrame) -> Iterator[tuple[int, int, npt.NDArray[np.float64]]]:
    """Each row's position, its frames of sound, and their sum, float64 [band]; a shard at a time."""
    numbers, valid_frames = rows["row"].to_numpy(np.int64), rows["valid_frames"].to_numpy(np.int64)
    shards, offsets = np.divmod(numbers, store.rows_per_shard)
    for shard in np.unique(shards).tolist():
        values = store.read_shard(shard)
        for position in np.flatnonzero(shards == shard).tolist():
            valid = int(valid_frames[position])
            yield position, valid, values[offsets[position], :valid].sum(axis=0, dtype=np.float64)
