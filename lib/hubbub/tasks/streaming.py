"""Scores of recordings by networks that hear a stream: once through, in blocks of one shape."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hubbub.audio.frontends import compute_stream
from hubbub.audio.remote import local_copy
from hubbub.audio.windows import Window
from hubbub.clips.table import resolve_uri
from hubbub.errors import EmptyAudio, UnusableScores
from hubbub.labels.frames import pack_scores
from hubbub.models.described import require_usable
from hubbub.models.frames import FrameLayout
from hubbub.models.stream import (
    BLOCK_CHUNKS,
    Packer,
    StreamLayout,
    concatenate_scores,
    count_valid,
    score_stream_block,
)
from hubbub.planning.units import Item
from hubbub.tasks.item_observer import announce_items
from hubbub.tasks.scoring import Outcome, RecordingScorer, SampleCounter, choose_channel, load_model, try_scoring
from hubbub.tasks.segments import SegmentResult, SegmentWindows

if TYPE_CHECKING:
    from hubbub.tasks.label import LabelTask


class StreamScorer(RecordingScorer):
    """Scores long recordings block by block, and short ones many to a block."""

    def __init__(self, task: LabelTask) -> None:
        tables = task.tables
        settings = tables.settings
        layout = StreamLayout.of(settings, FrameLayout(**tables.run["frames"]["layout"]))
        cutting = SegmentWindows(
            tables.root,
            layout.chunk_grid,
            settings.frontend.sample_rate,
            choose_channel(settings),
            layout.block_grid,
            BLOCK_CHUNKS,
        )
        super().__init__(task, cutting)
        self._layout = layout
        self._values = layout.scores_each * len(tables.labels)

    def score_recordings(self, items: Iterable[Item]) -> Iterator[tuple[Item, Outcome]]:
        """See `hubbub.tasks.scoring.Scorer`; short clips wait until a block is full."""
        packer = Packer(self._layout, self.settings.frontend.n_bands)
        waiting: list[tuple[Item, Outcome | None]] = []
        for item in announce_items(items):
            outcome: Outcome | None = item.failure
            if outcome is None and item.windows > BLOCK_CHUNKS:
                outcome = try_scoring(partial(self.score_recording, item))
            elif outcome is None:
                read = try_scoring(partial(self._read_short, item))
                if isinstance(read, SegmentResult | Exception):
                    outcome = read
                else:
                    if not packer.fits(len(read)):
                        yield from self._flush(waiting, packer)
                    outcome = self._pack(read, packer)
            waiting.append((item, outcome))
            if not packer.clips:
                yield from self._flush(waiting, packer)
        yield from self._flush(waiting, packer)

    def score_recording(self, item: Item) -> SegmentResult:
        """See `hubbub.tasks.scoring.Scorer`."""
        length, grid = SampleCounter(), self._layout.block_grid
        with local_copy(resolve_uri(item.clip["uri"], self.task.tables.root), item.clip["version"]) as path:
            valid, scores = self.score(grid.split(length.count_samples(self.blocks(item, path))))
        if not len(valid):
            raise EmptyAudio(f"{item.clip['uri']} holds no samples in the stretch asked for")
        return SegmentResult(valid, scores, length.samples, "")

    def score(self, windows: Iterable[Window]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
        """See `hubbub.tasks.scoring.Scorer`; scores are uint8 [window, frame x label]."""
        valid = [np.empty(0, np.int64)]
        scores: list[npt.NDArray[np.float32]] = []
        for block in self.time_decoding(iter(windows)):
            features = self._transform(block.samples)
            found = self._time_model(score_stream_block, features, self._layout, block.valid)
            scores.append(require_usable(found, self.task.bundle.name))
            valid.append(count_valid(block.valid, self._layout))
        return np.concatenate(valid), pack_scores(concatenate_scores(scores, self._values))

    def _read_short(self, item: Item) -> npt.NDArray[np.float32] | SegmentResult:
        """The samples of a clip that its header calls short, or its scores where it is long all the same."""
        most = self._layout.core * self._layout.hop_samples
        parts: list[npt.NDArray[np.float32]] = []
        started = time.perf_counter()
        with local_copy(resolve_uri(item.clip["uri"], self.task.tables.root), item.clip["version"]) as path:
            for part in self.blocks(item, path):
                parts.append(part)
                if sum(map(len, parts)) > most:
                    return self.score_recording(item)
        self.seconds["decode"] += time.perf_counter() - started
        samples = np.concatenate([np.empty(0, np.float32), *parts])
        if not len(samples):
            raise EmptyAudio(f"{item.clip['uri']} holds no samples in the stretch asked for")
        return samples

    def _pack(self, samples: npt.NDArray[np.float32], packer: Packer) -> Exception | None:
        """Put a clip into the block; what is wrong with its features is its own failure."""
        try:
            packer.add(self._transform(self._layout.surround(samples)), len(samples))
        except Exception as error:
            return error
        return None

    def _flush(self, waiting: list[tuple[Item, Outcome | None]], packer: Packer) -> Iterator[tuple[Item, Outcome]]:
        """Score the block, and give the outcome of every item that waits, in their order."""
        lengths = [clip.samples for clip in packer.clips]
        found = iter(self._time_model(lambda model: packer.score(model)) if lengths else [])
        length = iter(lengths)
        for item, outcome in waiting:
            if outcome is None:
                outcome = self._finish_short(next(length), next(found))
            yield item, outcome
        waiting.clear()

    def _finish_short(self, samples: int, scores: npt.NDArray[np.float32]) -> Outcome:
        """A clip's result; what is wrong with its scores is its own failure."""
        try:
            held = pack_scores(require_usable(scores, self.task.bundle.name).reshape(-1, self._values))
        except UnusableScores as error:
            return error
        return SegmentResult(count_valid(samples, self._layout), held, samples, "")

    def _transform(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.floating]:
        started = time.perf_counter()
        features = compute_stream(samples, self.settings)
        self.seconds["features"] += time.perf_counter() - started
        return features

    def _time_model(self, call: Any, *arguments: Any) -> Any:
        run = self.task.tables.run
        model = load_model(self.task.bundle, run["model_hash"], run["frames"]["runtime"])
        started = time.perf_counter()
        result = call(model, *arguments)
        self.seconds["model"] += time.perf_counter() - started
        return result
