"""Windows of an archive: how many have which score, and some of them to be heard, for recall and thresholds.

Reading all scores of a large archive takes minutes, so `MOST_UNITS` units at random stand for it; the page says how
many did.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from hubbub.errors import HubbubError, LabelsError
from hubbub.labels.reviews.recall import SCORE_EDGES, count_scores
from hubbub.labels.reviews.schema import identify_event
from hubbub.labels.suggestions.windows import ScoredWindows, iterate_scored_windows
from hubbub.web.archive import Archive

MOST_UNITS = 400
KEPT = 40
"""Windows kept a label and tenth of the range of scores, to be heard."""

KEPT_A_UNIT = 4
"""Of these from one unit, so that they come from many recordings."""

RESTS = 10
"""How many times as long as a sample took none is made, while tables grow every few seconds."""

_RANGES = 10
_FILES = "SELECT unit, uri, clip_id, status, duration_s, clip_start_s FROM clips WHERE unit = ? AND status = 'ok'"
_COLUMNS = ("place", "range", "score", "uri", "start_s", "end_s")


@dataclass(frozen=True)
class WindowSample:
    """Scores of the windows of some units.

    Attributes
    ----------
    units, units_in_all
        Looked at, and all there are.
    counts
        int64 [label, bin]: windows by score, in the bins of `SCORE_EDGES`.
    kept
        One row a window that may be heard: place of the label, tenth of the range of scores, score, uri, start_s and
        end_s.
    """

    units: int
    units_in_all: int
    counts: npt.NDArray[np.int64]
    kept: pd.DataFrame

    def count_above(self, places: int = 100) -> npt.NDArray[np.int64]:
        """Windows that score 0, 0.01 … 1 or more: int64 [label, places + 1]."""
        first = np.searchsorted(SCORE_EDGES[:-1], np.arange(places + 1) / places - 1e-12)
        above = np.cumsum(self.counts[:, ::-1], axis=1)[:, ::-1]
        padded = np.concatenate([above, np.zeros((len(above), 1), np.int64)], axis=1)
        return padded[:, first]


class WindowSampler:
    """Samples the windows of label tables in the background, anew where the tables have changed."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._sample: WindowSample | None = None
        self._made_for, self._rests_until = -1, 0.0
        self._problem: str | None = None
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def get(self, *, wait: bool = False) -> WindowSample | None:
        """Return the sample; None while the first is made, unless `wait`.

        Raises
        ------
        LabelsError
            It could not be made; the next call tries again.
        """
        with self._lock:
            state = self._archive.state
            has_changed = self._made_for != state.generation and state.is_complete
            is_due = self._sample is None or (has_changed and time.monotonic() >= self._rests_until)
            if is_due and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._make, args=(state.generation,), daemon=True)
                self._thread.start()
            thread = self._thread
        if wait and thread is not None and self._sample is None:
            thread.join()
        if self._sample is None and self._problem is not None:
            problem, self._problem = self._problem, None
            raise LabelsError(f"{self._archive.tables.path}: its windows cannot be sampled: {problem}")
        return self._sample

    def _make(self, generation: int) -> None:
        started = time.monotonic()
        try:
            self._sample = sample_windows(self._archive)
        except Exception as error:  # in a thread, where nobody else would hear of it
            self._problem = f"{type(error).__name__}: {error}"
        self._made_for, ended = generation, time.monotonic()
        self._rests_until = ended + RESTS * (ended - started)


def sample_windows(archive: Archive, *, seed: int = 0) -> WindowSample:
    """Look at the windows of up to `MOST_UNITS` units; those that cannot be read are left out."""
    rng, tables = np.random.default_rng(seed), archive.tables
    found = archive.ask("SELECT DISTINCT unit FROM clips WHERE status = 'ok' ORDER BY unit")
    units = np.array([unit for (unit,) in found], np.int64)
    chosen = np.sort(rng.choice(units, MOST_UNITS, replace=False)) if len(units) > MOST_UNITS else units
    counts = np.zeros((len(tables.labels), len(SCORE_EDGES) - 1), np.int64)
    kept, looked = [pd.DataFrame(columns=[*_COLUMNS])], 0
    for unit in chosen.tolist():
        try:
            parts = list(iterate_scored_windows(tables, archive.ask_frame(_FILES, [unit])))
        except (HubbubError, OSError, ValueError, pa.ArrowException):
            continue
        looked += 1
        for windows in parts:
            for place in range(len(tables.labels)):
                counts[place] += count_scores(windows.scores[:, place])
            kept.append(_keep_some(windows, rng))
        if len(kept) > 50:
            kept = [_thin(kept, rng)]
    return WindowSample(looked, len(units), counts, _thin(kept, rng))


def _keep_some(windows: ScoredWindows, rng: np.random.Generator) -> pd.DataFrame:
    """Keep up to `KEPT_A_UNIT` windows for each label and range of scores."""
    order = rng.permutation(len(windows))
    scores = np.nan_to_num(windows.scores[order])
    ranges = np.clip((scores * _RANGES).astype(np.int8), 0, _RANGES - 1)
    found = [_find_first(ranges, part) for part in range(_RANGES)]
    row, place, part = (np.concatenate(values) for values in zip(*found, strict=True))
    columns = (place, part, scores[row, place], *(values[order[row]] for values in (windows.uri, windows.start_s)))
    return pd.DataFrame(dict(zip(_COLUMNS, (*columns, windows.end_s[order[row]]), strict=True)))


def _find_first(ranges: npt.NDArray[np.int8], part: int) -> tuple[npt.NDArray[np.int64], ...]:
    """The first `KEPT_A_UNIT` windows of each label in one range of scores: row, place of the label, range."""
    is_in = ranges == part
    row, place = np.nonzero(is_in & (np.cumsum(is_in, axis=0, dtype=np.int32) <= KEPT_A_UNIT))
    return row, place, np.full(len(row), part)


def _thin(kept: list[pd.DataFrame], rng: np.random.Generator) -> pd.DataFrame:
    frame = pd.concat([table for table in kept if len(table)] or kept, ignore_index=True)
    shuffled = frame.iloc[rng.permutation(len(frame))]
    return shuffled.groupby(["place", "range"], sort=False).head(KEPT).reset_index(drop=True)


def deal_windows(
    archive: Archive, sample: WindowSample, label: str, *, count: int, left_out: Collection[str]
) -> list[dict[str, Any]]:
    """Choose windows, one of each range of scores in turn, as `cards.deal_cards` gives events.

    Parameters
    ----------
    sample
        Where they are chosen from.
    label
        What is asked of them.
    left_out
        Names of windows that were judged, or dealt.
    """
    own = sample.kept[sample.kept["place"] == archive.tables.labels.index(label)]
    own = own.assign(turn=own.groupby("range").cumcount()).sort_values(["turn", "range"], kind="stable")
    cards: list[dict[str, Any]] = []
    for row in own.to_dict("records"):
        found = archive.ask(
            'SELECT file, uri, clip_id, "group", duration_s, recorded_at FROM clips WHERE uri = ? '
            "AND status = 'ok' AND coalesce(clip_start_s, 0) <= ? + 1e-6 "
            "AND coalesce(clip_start_s, 0) + duration_s > ? "
            "ORDER BY clip_start_s DESC, clip_id LIMIT 1",  # of clips that join the one that begins there
            [row["uri"], row["start_s"], row["start_s"]],
        )
        if not found:
            continue
        told = dict(zip(("file", "uri", "clip_id", "group", "duration_s", "recorded_at"), found[0], strict=True))
        name = identify_event(told["clip_id"], label, row["start_s"], row["end_s"])
        if name not in left_out:
            times = {"onset_s": row["start_s"], "offset_s": row["end_s"], "peak": row["score"], "mean": row["score"]}
            cards.append(told | times | {"label": label, "kind": "window", "event": name})
        if len(cards) == count:
            break
    return cards
