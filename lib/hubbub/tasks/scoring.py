"""Scores of a recording's windows: decode, transform, predict."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hubbub.audio import decode
from hubbub.audio.frontends import features_of
from hubbub.audio.windows import Window
from hubbub.config import Settings
from hubbub.errors import BundleError
from hubbub.io.paths import StoragePath
from hubbub.planning.units import Item

if TYPE_CHECKING:

    def score(self, windows: Iterable[Window]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float16]]:
        """Go through windows; how many samples of each are sound, int64 [window], and scores, [window, label]."""
        valid: list[int] = []
        scores = [np.empty((0, len(self.task.tables.labels)), np.float16)]
        stream = self._timed(iter(windows))
        while batch := list(islice(stream, _BATCH)):
            valid += [window.valid for window in batch]
            scores.append(self._predict(batch))
        return np.array(valid, np.int64), np.concatenate(scores)

    def _blocks(self, item: Item, path: Path) -> Iterator[npt.NDArray[np.float32]]:
        clip, rate = item.clip, self.rate
        first = round((clip["start_s"] or 0.0) * rate)
        count = None if clip["end_s"] is None else round(clip["end_s"] * rate) - first
        return decode.decode_blocks(path, sample_rate=rate, first=first, count=count, channel=self.channel)

    def _timed(self, windows: Iterator[Window]) -> Iterator[Window]:
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
        features = np.stack([features_of(window.samples, self.settings) for window in batch])
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
