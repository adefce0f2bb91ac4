"""Scores of a recording's windows: decode, transform, predict."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hubbub.audio import decode
from hubbub.audio.frontends import compute_features
from hubbub.audio.remote import local_copy
from hubbub.audio.windows import Window, WindowGrid, split_windows, window_grid
from hubbub.clips.table import resolve_uri
from hubbub.config import Settings
from hubbub.errors import BundleError, EmptyAudio
from hubbub.io.paths import StoragePath
from hubbub.planning.units import Item
from hubbub.tasks.segments import (
    SegmentResult,
    SegmentWindows,
)

if TYPE_CHECKING:
    from hubbub.models.bundle import Bundle
    from hubbub.tasks.label import LabelTask


_BATCH = 64  # windows scored at once: 14 MB of float32 features at the default settings


@dataclass(frozen=True)
class Scored:
    """What the model said of one file: windows' starts and ends from the clip's start, and scores."""

    start_s: npt.NDArray[np.float64]
    end_s: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float16]
    duration_s: float


class _Length:
    """Counts samples that go by: the last window may end before the sound, by less than a frame."""

    def __init__(self) -> None:
        self.samples = 0

    def count_samples(self, blocks: Iterator[npt.NDArray[np.float32]]) -> Iterator[npt.NDArray[np.float32]]:
        """Pass blocks on."""
        for block in blocks:
            self.samples += len(block)
            yield block


class Scorer:
    """Decodes and scores, and counts the seconds it takes; the model is loaded when the first window comes."""

    def __init__(self, task: LabelTask) -> None:
        self.task = task
        self.settings = task.tables.settings
        self.grid: WindowGrid = window_grid(self.settings, hop_s=task.tables.run["hop_s"])
        self.rate = self.settings.frontend.sample_rate
        self.channel = _channel_to_score(self.settings)
        self.cutting = SegmentWindows(task.tables.root, self.grid, self.rate, self.channel)
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def score_recording(self, item: Item) -> SegmentResult:
        """Score all windows of a file in one pass; raises `AudioError`, such as `EmptyAudio` for no window."""
        length = _Length()
        with local_copy(resolve_uri(item.clip["uri"], self.task.tables.root), item.clip["version"]) as path:
            valid, scores = self.score(split_windows(length.count_samples(self._blocks(item, path)), self.grid))
        if not len(valid):
            raise EmptyAudio(f"{item.clip['uri']} holds no samples in the stretch asked for")
        return SegmentResult(valid, scores, length.samples, "")

    def decode(self, item: Item) -> None:
        """Decode a file in one go, for the errors that this raises."""
        with local_copy(resolve_uri(item.clip["uri"], self.task.tables.root), item.clip["version"]) as path:
            for _ in self._blocks(item, path):
                pass

    def score(self, windows: Iterable[Window]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float16]]:
        """Go through windows; how many samples of each are sound, int64 [window], and scores, [window, label]."""
        valid: list[int] = []
        scores = [np.empty((0, len(self.task.tables.labels)), np.float16)]
        stream = self._time_windows(iter(windows))
        while batch := list(islice(stream, _BATCH)):
            valid += [window.valid for window in batch]
            scores.append(self._predict(batch))
        return np.array(valid, np.int64), np.concatenate(scores)

    def _blocks(self, item: Item, path: Path) -> Iterator[npt.NDArray[np.float32]]:
        clip, rate = item.clip, self.rate
        first = round((clip["start_s"] or 0.0) * rate)
        count = None if clip["end_s"] is None else round(clip["end_s"] * rate) - first
        return decode.decode_blocks(path, sample_rate=rate, first=first, count=count, channel=self.channel)

    def _time_windows(self, windows: Iterator[Window]) -> Iterator[Window]:
        started = time.perf_counter()
        while True:
            window = next(windows, None)
            self.seconds["decode"] += time.perf_counter() - started
            if window is None:
                return
            yield window
            started = time.perf_counter()

    def _predict(self, batch: list[Window]) -> npt.NDArray[np.float16]:
        model = _load_model(self.task.bundle, self.task.tables.run["model_hash"])
        started = time.perf_counter()
        features = np.stack([compute_features(window.samples, self.settings) for window in batch])
        transformed = time.perf_counter()
        scores = model.predict(features).astype(np.float16)
        self.seconds["features"] += transformed - started
        self.seconds["model"] += time.perf_counter() - transformed
        return scores


def _channel_to_score(settings: Settings) -> int | None:
    """Which channel is heard: the first for a model of first channels, else the mix, of which every channel is part."""
    return 0 if settings.channels == "first" else None


@lru_cache(maxsize=1)
def _load_model(path: StoragePath, model_hash: str) -> Bundle:
    """The model, loaded once a process."""
    from hubbub.models.bundle import load_bundle

    model = load_bundle(path)
    if model.model_hash != model_hash:
        raise BundleError(f"{path} is no longer the model this run began with ({model.model_hash}, not {model_hash})")
    return model
