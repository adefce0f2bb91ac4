"""Windows of an archive: how many have which score, and some of them to be heard, for recall and thresholds.

Reading all scores of a large archive takes minutes, so `MOST_UNITS` units at random stand for it; how many did, the page
says.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hubbub.errors import HubbubError
from hubbub.labels.reviews.schema import identify_event
from hubbub.labels.tables import LabelTables
from hubbub.web.archive import Archive

BINS = 100
"""Of the histogram of scores, from 0 to 1."""

MOST_UNITS = 400
KEPT = 40
"""Windows kept a label and tenth of the range of scores, to be heard."""

_RANGES = 10


@dataclass(frozen=True)
class WindowSample:
    """Scores of the windows of some units.

    Attributes
    ----------
    units, units_in_all
        Looked at, and committed.
    counts
        int64 [label, BINS]: windows by score.
    kept
        One row a window that may be heard: place of the label, score, clip_id, start_s, end_s.
    """

    units: int
    units_in_all: int
    counts: npt.NDArray[np.int64]
    kept: pd.DataFrame


class WindowSampler:
    """Samples the windows of label tables in the background, once for what is committed."""

    def __init__(self, archive: Archive) -> None:
        self._archive, self._sample, self._made_for = archive, None, -1
        self._lock, self._thread = threading.Lock(), None

    _sample: WindowSample | None
    _thread: threading.Thread | None

    def get(self, *, wait: bool = False) -> WindowSample | None:
        """Return the sample; None while it is made, unless `wait`."""
        with self._lock:
            generation = self._archive.state.generation
            if self._made_for != generation and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._make, args=(generation,), daemon=True)
                self._thread.start()
            thread = self._thread
        if wait and thread is not None:
            thread.join()
        return self._sample

    def _make(self, generation: int) -> None:
        self._sample = sample_windows(self._archive.tables)
        self._made_for = generation


def sample_windows(tables: LabelTables, *, seed: int = 0) -> WindowSample:
    """Look at the windows of up to `MOST_UNITS` units; those that cannot be read are left out."""
    rng = np.random.default_rng(seed)
    committed = tables.committed()
    chosen = committed
    if len(committed) > MOST_UNITS:
        chosen = sorted(rng.choice(committed, MOST_UNITS, replace=False).tolist())
    counts = np.zeros((len(tables.labels), BINS), np.int64)
    kept: list[pd.DataFrame] = []
    looked = 0
    for unit in chosen:
        try:
            windows = tables.read_part("windows", unit)
        except (HubbubError, OSError):
            continue
        looked += 1
        if windows.num_rows:
            scores = highest_scores(tables, windows["scores"].combine_chunks())
            place = np.clip((scores * BINS).astype(int), 0, BINS - 1)
            for label in range(len(tables.labels)):
                counts[label] += np.bincount(place[:, label], minlength=BINS)
            kept.append(_keep_some(windows.select(["clip_id", "start_s", "end_s"]).to_pandas(), scores, rng))
            if len(kept) > 50:
                kept = [_thin(pd.concat(kept, ignore_index=True), rng)]
    frame = _thin(pd.concat(kept, ignore_index=True), rng) if kept else pd.DataFrame(columns=[*_KEPT_COLUMNS])
    return WindowSample(looked, len(committed), counts, frame)


_KEPT_COLUMNS = ("clip_id", "start_s", "end_s", "place", "score", "range")


def highest_scores(tables: LabelTables, stored: Any) -> npt.NDArray[np.float32]:
    """Scores of a part's windows, the highest of its frames where it holds some: float32 [window, label]."""
    width = stored.type.list_size
    values = stored.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    if tables.frames is None:
        return values.astype(np.float32)
    return values.reshape(len(values), -1, len(tables.labels)).max(axis=1).astype(np.float32) / np.float32(255)


def _keep_some(
    windows: pd.DataFrame, scores: npt.NDArray[np.float32], rng: np.random.Generator, most: int = 4
) -> pd.DataFrame:
    """Keep up to `most` windows of this unit for each label and range of scores."""
    tables = []
    for place in range(scores.shape[1]):
        own = scores[:, place]
        ranges = np.clip((own * _RANGES).astype(int), 0, _RANGES - 1)
        order = rng.permutation(len(own))
        for part in np.unique(ranges):
            rows = order[ranges[order] == part][:most]
            tables.append(windows.iloc[rows].assign(place=place, score=own[rows], range=int(part)))
    return pd.concat(tables, ignore_index=True)


def _thin(kept: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    shuffled = kept.iloc[rng.permutation(len(kept))]
    return shuffled.groupby(["place", "range"], sort=False).head(KEPT).reset_index(drop=True)


def deal_windows(
    archive: Archive, sample: WindowSample, label: str, *, count: int, judged: Collection[str], skip: Collection[str]
) -> list[dict[str, Any]]:
    """Choose windows, one of each range of scores in turn, that nobody has judged; as `cards.deal_cards` gives events."""
    place = archive.tables.labels.index(label)
    own = sample.kept[sample.kept["place"] == place]
    turn = own.groupby("range").cumcount()
    own = own.assign(turn=turn).sort_values(["turn", "range"], kind="stable")
    cards: list[dict[str, Any]] = []
    for row in own.to_dict("records"):
        name = identify_event(row["clip_id"], label, row["start_s"], row["end_s"])
        if name in judged or name in skip:
            continue
        found = archive.ask(
            'SELECT file, uri, "group", duration_s, recorded_at FROM clips WHERE clip_id = ?', [row["clip_id"]]
        )
        if not found:
            continue
        file, uri, group, duration_s, recorded_at = found[0]
        times = {"onset_s": row["start_s"], "offset_s": row["end_s"], "peak": row["score"], "mean": row["score"]}
        card = {"event": name, "file": file, "uri": uri, "clip_id": row["clip_id"], "label": label, **times}
        cards.append(card | {"group": group, "duration_s": duration_s, "recorded_at": recorded_at, "kind": "window"})
        if len(cards) == count:
            break
    return cards
