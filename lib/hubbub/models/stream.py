"""How a network that scores frames hears recordings: in blocks of few shapes, into which short clips are packed.

::

    a block     [~ halo ~|--------------- core ---------------|~ halo ~]     of a long recording
    or          [~ halo ~|clip|~ halo ~|clip|~ halo ~|clip|~~~~~~~~~~~~]     of short ones, silence between them

Rows of label tables are chunks of about a second: a core is `BLOCK_CHUNKS` of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from hubbub.audio.blocks import BlockGrid
from hubbub.audio.windows import WindowGrid
from hubbub.config import Settings
from hubbub.models.frames import FrameLayout

if TYPE_CHECKING:
    from collections.abc import Sequence

CHUNK_S = 1.0
"""Seconds of a chunk, about."""

MOST_PARTS = 16
"""Chunks of one network's multiple, at most: the least that `StreamLayout.round_up` counts in."""

BLOCK_CHUNKS = 128
"""Chunks of a block's core: a segment of a long recording is a whole number of blocks, so that blocks are the same in a
segment as in the whole."""


@dataclass(frozen=True)
class StreamLayout:
    """Chunks and blocks of one frontend and network; counts are of the frontend's frames unless they say otherwise.

    `edge` are the frames before a sound, and after it, that hear it: a frame is longer than the hop.
    """

    frames: FrameLayout
    hop_samples: int
    sample_rate: int
    edge: int

    @classmethod
    def of(cls, settings: Settings, frames: FrameLayout) -> StreamLayout:
        """Make the layout for a network's features."""
        frontend = settings.frontend
        edge = -(-(frontend.n_fft // 2) // frontend.hop_samples)
        return cls(frames, frontend.hop_samples, frontend.sample_rate, edge)

    @property
    def chunk(self) -> int:
        """Frames of a chunk."""
        a_multiple_s = self.frames.multiple * self.hop_samples / self.sample_rate
        if (parts := choose_parts(a_multiple_s)) > 1 and self.frames.multiple % (parts * self.frames.stride) == 0:
            return self.frames.multiple // parts
        return self.frames.multiple * max(1, round(CHUNK_S / a_multiple_s))

    @property
    def core(self) -> int:
        """Frames of a block's core."""
        return BLOCK_CHUNKS * self.chunk

    @property
    def block(self) -> int:
        """Frames of a block."""
        return self.core + 2 * self.frames.halo

    def round_up(self, frames: int) -> int:
        """Frames that are scored for so many that are needed: one of eight lengths, for backends trace each anew."""
        step = self.core // 8
        return min(self.block, 2 * self.frames.halo + -(-(frames - 2 * self.frames.halo) // step) * step)

    @property
    def chunk_samples(self) -> int:
        """Samples of a chunk."""
        return self.chunk * self.hop_samples

    def surround(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Put the silence around a clip that its frames reach into."""
        silence = np.zeros(self.edge * self.hop_samples, np.float32)
        return np.concatenate([silence, samples, silence])

    @property
    def scores_each(self) -> int:
        """Scores of a chunk."""
        return self.chunk // self.frames.stride

    @property
    def frame_s(self) -> float:
        """Seconds of a score's frame."""
        return self.frames.stride * self.hop_samples / self.sample_rate

    @property
    def chunk_grid(self) -> WindowGrid:
        """Chunks as windows: they are counted, planned and stored so."""
        return WindowGrid(window=self.chunk_samples, hop=self.chunk_samples)

    @property
    def block_grid(self) -> BlockGrid:
        """Blocks of a long recording."""
        return BlockGrid(hop=self.core * self.hop_samples, halo=self.frames.halo * self.hop_samples)


def choose_parts(a_multiple_s: float) -> int:
    """Chunks that so many seconds of a network's frames make: a power of two, which divides a block's chunks."""
    parts = 1
    while parts < MOST_PARTS and a_multiple_s / parts > 1.4 * CHUNK_S:
        parts *= 2
    return parts


class FrameModel(Protocol):
    """What scores a block."""

    def score_block(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Score float32 [frame, band] of a block's frames: float32 [score, label]."""


@dataclass
class PackedClip:
    """A short clip in a block: its first frame there, its frames, and its samples."""

    begin: int
    n_frames: int
    samples: int


class Packer:
    """Packs the features of short clips into one block.

    Parameters
    ----------
    layout
        Of the block.
    n_bands
        Of the features.
    """

    def __init__(self, layout: StreamLayout, n_bands: int) -> None:
        self._layout, self._n_bands = layout, n_bands
        self.clips: list[PackedClip] = []
        self._features = self._empty_block()
        self._next = layout.frames.halo

    def fits(self, n_samples: int) -> bool:
        """Whether a clip of so many samples has room beside those that are there."""
        return self._next + self._frames_of(n_samples) + self._layout.frames.halo <= self._layout.block

    def add(self, features: npt.NDArray[np.floating], n_samples: int) -> None:
        """Put a clip in: features [frame, band] of what `surround` made of its samples."""
        count, begin = self._frames_of(n_samples), self._next - self._layout.edge
        held = features[: count + self._layout.edge]
        self._features[begin : begin + len(held)] = held
        self.clips.append(PackedClip(self._next, count, n_samples))
        self._next += count + self._layout.frames.halo

    def score(self, model: FrameModel) -> list[npt.NDArray[np.float32]]:
        """Score the block, and begin another: of each clip float32 [score, label], as many as fill its chunks."""
        used = self._layout.round_up(self._next)
        scores, stride = model.score_block(self._features[:used]), self._layout.frames.stride
        chunk = self._layout.chunk
        found = []
        for clip in self.clips:
            first = clip.begin // stride
            chunks = -(-clip.samples // self._layout.chunk_samples)
            own = np.zeros((chunks * chunk // stride, scores.shape[1]), np.float32)
            some = -(-clip.samples // (stride * self._layout.hop_samples))
            own[:some] = scores[first : first + some]
            found.append(own)
        self.clips, self._features, self._next = [], self._empty_block(), self._layout.frames.halo
        return found

    def _frames_of(self, n_samples: int) -> int:
        """Frames of a clip and of the silence after it that still hears it, a multiple of the network's."""
        frames = -(-n_samples // self._layout.hop_samples) + 1 + self._layout.edge
        return -(-frames // self._layout.frames.multiple) * self._layout.frames.multiple

    def _empty_block(self) -> npt.NDArray[np.float32]:
        return np.full((self._layout.block, self._n_bands), self._layout.frames.padding, np.float32)


def score_stream_block(
    model: FrameModel, features: npt.NDArray[np.floating], layout: StreamLayout, valid: int
) -> npt.NDArray[np.float32]:
    """Score the core of a long recording's block.

    Parameters
    ----------
    features
        [frame, band] of the whole block; frames beyond it are left out.
    valid
        Samples of the core that are sound.

    Returns
    -------
    scores
        float32 [score, label], as many as fill the chunks that hold sound; 0 after the sound's end.
    """
    stride, halo = layout.frames.stride, layout.frames.halo
    chunks, some = -(-valid // layout.chunk_samples), -(-valid // (stride * layout.hop_samples))
    used = layout.round_up(chunks * layout.chunk + 2 * halo)
    block = np.ascontiguousarray(features[:used], np.float32)
    scores = model.score_block(block)[halo // stride :]
    own = scores[: chunks * layout.chunk // stride].copy()
    own[some:] = 0.0
    return own


def count_valid(samples: int, layout: StreamLayout) -> npt.NDArray[np.int64]:
    """Samples of each chunk that are sound, int64 [chunk], of a stretch of so many samples."""
    chunks = -(-samples // layout.chunk_samples)
    valid = np.full(chunks, layout.chunk_samples, np.int64)
    if chunks:
        valid[-1] = samples - (chunks - 1) * layout.chunk_samples
    return valid


def concatenate_scores(parts: Iterable[npt.NDArray[np.float32]], n_values: int) -> npt.NDArray[np.float32]:
    """Join scores [score, label] of blocks, and lay them out as rows of chunks, [chunk, frame x label]."""
    whole: Sequence[npt.NDArray[np.float32]] = [part.reshape(-1, n_values) for part in parts]
    return np.concatenate([np.empty((0, n_values), np.float32), *whole])
