"""Scores a frame as label tables store them: bytes, several frames a row.

A row of the windows table holds the scores of `FrameScores.per_window` frames, one after the other, each of all labels
in their order, as bytes: 255 is a score of 1. A step of 0.004 is finer than any score means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FULL_SCALE = 255


@dataclass(frozen=True)
class FrameScores:
    """How frames lie in the rows of label tables."""

    per_window: int
    """Frames a row."""

    frame_s: float
    """Seconds of a frame."""

    @classmethod
    def of(cls, run: Mapping[str, Any]) -> FrameScores | None:
        """Read them off run.json; None where windows have one score a label."""
        held = run.get("frames")
        return None if held is None else cls(int(held["per_window"]), float(held["frame_s"]))

    def unpack(self, scores: npt.NDArray[np.uint8], n_labels: int, duration_s: float) -> npt.NDArray[np.float32]:
        """Return the scores of a recording's frames, float32 [frame, label], 0 to 1.

        Parameters
        ----------
        scores
            uint8 [window, frame x label].
        duration_s
            Of the recording: frames that begin after its end are left out.
        """
        frames = scores.reshape(-1, n_labels)[: self.count(duration_s)]
        return frames.astype(np.float32) / np.float32(FULL_SCALE)

    def count(self, duration_s: float) -> int:
        """Frames of a recording, the last of which may be shorter."""
        return int(np.ceil(duration_s / self.frame_s - 1e-9))


def pack_scores(scores: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """Round scores of 0 to 1 to bytes, of the same shape."""
    return np.rint(np.clip(scores, 0.0, 1.0) * FULL_SCALE).astype(np.uint8)
