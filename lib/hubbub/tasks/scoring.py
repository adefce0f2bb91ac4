"""Scores of recordings: decode, transform, predict; by windows. Streams are in `hubbub.tasks.streaming`."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from hubbub.audio import decode
from hubbub.audio.remote import local_copy
from hubbub.audio.windows import Window, WindowGrid, split_windows, window_grid
from hubbub.clips.table import resolve_uri
from hubbub.config import Settings
from hubbub.errors import BundleError, EmptyAudio, UsageError
from hubbub.io.paths import StoragePath
from hubbub.io.retry import retry_with_backoff
from hubbub.models.described import require_usable
from hubbub.planning.units import Item
from hubbub.tasks.item_observer import announce_items
from hubbub.tasks.segments import SegmentResult, SegmentWindows

if TYPE_CHECKING:
    from hubbub.models.opening import WindowModel
    from hubbub.tasks.label import LabelTask


_BATCH = 64  # windows scored at once, at least: 14 MB of float32 features at the default settings

Outcome = SegmentResult | Exception | str
"""What became of a recording: its scores, or why it has none; in words where that was known before."""


class Scorer(Protocol):
    """Scores recordings, and counts the seconds that takes by stage; the model is loaded when the first sound comes.

    Attributes
    ----------
    task
        The task.
    grid
        Of the windows that are stored.
    rate
        Hz of the features.
    cutting
        How segments of long recordings are cut.
    seconds
        By stage.
    """

    task: LabelTask
    grid: WindowGrid
    rate: int
    cutting: SegmentWindows
    seconds: defaultdict[str, float]

    def score(self, windows: Iterable[Window]) -> tuple[npt.NDArray[np.int64], npt.NDArray]:
        """Go through windows, or blocks; give how many samples each window holds, int64 [window], and its scores."""

    def score_recordings(self, items: Iterable[Item]) -> Iterator[tuple[Item, Outcome]]:
        """Score whole files, in their order; those that are marked as failed are not touched.

        Raises
        ------
        UsageError
            The model, or a bucket, cannot be read: no fault of a file.
        """

    def score_recording(self, item: Item) -> SegmentResult:
        """Score one file in one pass; raises `AudioError`, such as `EmptyAudio` where it has no sound."""

    def decode(self, item: Item) -> None:
        """Decode a file in one go, for the errors that this raises."""


class RecordingScorer:
    """What scorers of windows and of streams share: decoding."""

    def __init__(self, task: LabelTask, cutting: SegmentWindows) -> None:
        self.task, self.cutting, self.grid = task, cutting, cutting.grid
        self.settings = task.tables.settings
        self.rate, self.channel = cutting.sample_rate, cutting.channel
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def decode(self, item: Item) -> None:
        """Decode a file in one go, for the errors that this raises."""
        with local_copy(resolve_uri(item.clip["uri"], self.task.tables.root), item.clip["version"]) as path:
            for _ in self.blocks(item, path):
                pass

    def blocks(self, item: Item, path: Path) -> Iterator[npt.NDArray[np.float32]]:
        """The samples of a clip as they are decoded."""
        clip, rate = item.clip, self.rate
        first = round((clip["start_s"] or 0.0) * rate)
        count = None if clip["end_s"] is None else round(clip["end_s"] * rate) - first
        return decode.decode_blocks(path, sample_rate=rate, channel=self.channel, first=first, count=count)

    def time_decoding(self, stream: Iterator[Window]) -> Iterator[Window]:
        """Pass windows on, and count the seconds they took to come."""
        while True:
            started = time.perf_counter()
            window = next(stream, None)
            self.seconds["decode"] += time.perf_counter() - started
            if window is None:
                return
            yield window


class WindowScorer(RecordingScorer):
    """Scores windows that overlap, each by itself."""

    def __init__(self, task: LabelTask) -> None:
        settings, tables = task.tables.settings, task.tables
        grid = window_grid(settings, hop_s=tables.run["hop_s"])
        super().__init__(
            task, SegmentWindows(tables.root, grid, settings.frontend.sample_rate, choose_channel(settings))
        )

    def score_recordings(self, items: Iterable[Item]) -> Iterator[tuple[Item, Outcome]]:
        """See `Scorer`."""
        for item in announce_items(items):
            if item.failure is not None:
                yield item, item.failure
            else:
                yield item, try_scoring(partial(self.score_recording, item))

    def score_recording(self, item: Item) -> SegmentResult:
        """See `Scorer`."""
        length = SampleCounter()
        with local_copy(resolve_uri(item.clip["uri"], self.task.tables.root), item.clip["version"]) as path:
            valid, scores = self.score(split_windows(length.count_samples(self.blocks(item, path)), self.grid))
        if not len(valid):
            raise EmptyAudio(f"{item.clip['uri']} holds no samples in the stretch asked for")
        return SegmentResult(valid, scores, length.samples, "")

    def score(self, windows: Iterable[Window]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float16]]:
        """See `Scorer`; scores are float16 [window, label]."""
        valid: list[int] = []
        scores = [np.empty((0, len(self.task.tables.labels)), np.float16)]
        stream = self.time_decoding(iter(windows))
        for first in stream:
            at_once = max(_BATCH, self._load_model().count_batch_windows())
            batch = [first, *islice(stream, at_once - 1)]
            valid += [window.valid for window in batch]
            scores.append(self._predict(batch))
        return np.array(valid, np.int64), np.concatenate(scores)

    def _load_model(self) -> WindowModel:
        run = self.task.tables.run
        return load_model(self.task.bundle, run["model_hash"], run.get("runtime"))

    def _predict(self, batch: list[Window]) -> npt.NDArray[np.float16]:
        model = self._load_model()
        started = time.perf_counter()
        features = model.prepare(np.stack([window.samples for window in batch]))
        transformed = time.perf_counter()
        scores = require_usable(model.predict(features), self.task.bundle.name).astype(np.float16)
        self.seconds["features"] += transformed - started
        self.seconds["model"] += time.perf_counter() - transformed
        return scores


class SampleCounter:
    """Counts samples that go by: the last window may end before the sound, by less than a frame."""

    def __init__(self) -> None:
        self.samples = 0

    def count_samples(self, blocks: Iterator[npt.NDArray[np.float32]]) -> Iterator[npt.NDArray[np.float32]]:
        """Pass blocks on."""
        for block in blocks:
            self.samples += len(block)
            yield block


T = TypeVar("T")


def try_scoring(score: Callable[[], T]) -> T | Exception:
    """Score, again where that may pass; whatever a strange file makes a library raise costs that file alone."""
    try:
        return retry_with_backoff(score)
    except UsageError:  # the model, or a bucket, cannot be read: no fault of this file
        raise
    except Exception as error:
        return error


def choose_channel(settings: Settings) -> int | None:
    """Which channel is heard: the first for a model of first channels, else the mix, of which every channel is part."""
    return 0 if settings.channels == "first" else None


def load_model(path: StoragePath, model_hash: str, runtime: str | None = None) -> WindowModel:
    """Load the model, once a process; raises `BundleError` where it is no longer that of the run."""
    return _load(path, model_hash, runtime)


def keep_models(count: int) -> None:
    """Keep as many models in this process as it uses in turn; one, if nobody says so. What is loaded is let go."""
    global _load
    _load = lru_cache(maxsize=count)(_open_model)


def _open_model(path: StoragePath, model_hash: str, runtime: str | None) -> WindowModel:
    from hubbub.models.opening import open_model

    model = open_model(path, runtime=runtime)
    if model.model_hash != model_hash:
        raise BundleError(f"{path} is no longer the model this run began with ({model.model_hash}, not {model_hash})")
    return model


_load = lru_cache(maxsize=1)(_open_model)
