"""Networks of a fixed window that score frames: how their windows slide over a stream.

::

    window 0   [~ left ~|------ kept ------|~ right ~]            ~ heard, its frames are not used
    window 1                      [~ left ~|------ kept ------|~ right ~]
    stream              |================== frames ==================|

Windows lie at multiples of what is kept, counted from a recording's begin, so that its frames are the same however it
is cut.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hubbub.audio.frontends import compute_stream
from hubbub.config import Settings
from hubbub.config.foreign import WHOLE_WITHIN, Scores
from hubbub.errors import BundleError
from hubbub.models.frames import FrameLayout
from hubbub.models.stream import choose_parts

MOST_OFF = 0.1
"""How far the number of frames may be from that of a window's length: a network may need sound around a frame."""

HALO_SHARE = 10
"""Without `halo_frames`, one frame in so many is left out at each end of a window."""


@dataclass(frozen=True)
class SlidingWindows:
    """Where windows lie, and which of their frames are used; counts are of the frontend's frames but for `first`.

    A waveform's frames are its samples.
    """

    frames: FrameLayout
    window: int
    """Frontend frames a window."""

    first: int
    """Scores at a window's begin that are left out."""

    missing: int = 0
    """Scores that a network which needs sound around a frame lacks at a window's begin; see `fit`."""

    @property
    def left(self) -> int:
        """Frontend frames before those that are kept."""
        return (self.missing + self.first) * self.frames.stride

    @property
    def kept(self) -> int:
        """Scores of a window that are used."""
        return self.frames.multiple // self.frames.stride

    @classmethod
    def of(cls, settings: Settings, window: int, scores: Scores, where: str) -> SlidingWindows:
        """Plan the windows of a network.

        Raises
        ------
        BundleError
            A frame is no whole number of the frontend's, or a window has too few.
        """
        assert scores.frame_s is not None
        frontend = settings.frontend
        stride = _count_stride(scores.frame_s, frontend.sample_rate / frontend.hop_samples, where)
        total = window // stride
        first = max(1, total // HALO_SHARE) if scores.halo_frames is None else scores.halo_frames
        kept = total - 2 * first
        if kept < 1:
            raise BundleError(
                f"{where}: a window has {total} frames of {scores.frame_s:g} s, and {first} at each end are not used; "
                "expected a longer window, a shorter frame_s, or fewer halo_frames"
            )
        parts = choose_parts(kept * stride * frontend.hop_samples / frontend.sample_rate)
        multiple = (kept - kept % min(parts, kept)) * stride
        edge = -(-(frontend.n_fft // 2) // frontend.hop_samples)
        most_missing = int(MOST_OFF * total / 2) + 1
        reach = max((most_missing + first) * stride, window - first * stride - multiple) + 2 * edge
        return cls(FrameLayout(stride, multiple, multiple * -(-reach // multiple), _silence(settings)), window, first)

    def fit(self, total: int, where: str) -> SlidingWindows:
        """Fit to a network that gives `total` frames a window: the middle one is that of the window.

        So it is of networks whose convolutions are not padded; else their events would come early.

        Raises
        ------
        BundleError
            That is another number of frames than windows of this length have.
        """
        expected = self.window / self.frames.stride
        if total < self.first + self.kept or abs(total - expected) > max(2, MOST_OFF * expected):
            raise BundleError(
                f"{where}: the network gives {total} frames a window, and outputs.scores.frame_s makes about "
                f"{expected:.4g}; give the frame_s of its frames"
            )
        return replace(self, missing=int((expected - total) / 2))

    def score_block(
        self,
        features: npt.NDArray[np.float32],
        score: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]],
        n_labels: int,
        rows: int,
    ) -> npt.NDArray[np.float32]:
        """Score a block, float32 [frame, band]: float32 [score, label], zeros in its halos.

        Parameters
        ----------
        score
            Scores windows [window, frame, band] as [window, score, label].
        rows
            Windows at a time.
        """
        halo, multiple, stride = self.frames.halo, self.frames.multiple, self.frames.stride
        found = np.zeros((len(features) // stride, n_labels), np.float32)
        begins = range(halo, len(features) - halo, multiple)
        for number in range(0, len(begins), rows):
            some = begins[number : number + rows]
            windows = np.stack([self._cut(features, begin - self.left) for begin in some])
            for begin, scores in zip(some, score(windows)[:, self.first : self.first + self.kept], strict=True):
                place = found[begin // stride :][: self.kept]
                place[:] = scores[: len(place)]
        return found

    def _cut(self, features: npt.NDArray[np.float32], begin: int) -> npt.NDArray[np.float32]:
        held = features[begin : begin + self.window]
        missing = self.window - len(held)
        return np.pad(held, ((0, missing), (0, 0)), constant_values=np.float32(self.frames.padding))


def _count_stride(frame_s: float, rate_hz: float, where: str) -> int:
    exact = frame_s * rate_hz
    stride = round(exact)
    if stride < 1 or abs(exact - stride) > WHOLE_WITHIN:
        near = max(1, stride)
        raise BundleError(
            f"{where}: outputs.scores.frame_s {frame_s:g} is {exact:.4g} samples, or frames of the features; expected "
            f"a whole number, such as frame_s: {near / rate_hz:.8g}"
        )
    return stride


def _silence(settings: Settings) -> float:
    """What digital silence is in the frontend's unit; raises `BundleError` where that differs from band to band."""
    frontend = settings.frontend
    values = compute_stream(np.zeros(max(frontend.n_fft, 2 * frontend.hop_samples), np.float32), settings)
    if float(values.min()) != float(values.max()):
        raise BundleError(
            f"scores a frame are made of streams, in which silence is one value, and that of the frontend "
            f"{frontend.name} differs from band to band; leave frame_s out, or use another frontend"
        )
    return float(values.flat[0])
