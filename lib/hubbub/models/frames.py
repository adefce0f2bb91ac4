"""Networks that score frames of time: how their frames lie, and how frame scores become a clip's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LEAST_SCORE = 1e-7


@dataclass(frozen=True)
class FrameLayout:
    """How a network that scores frames divides time; counts are of the frontend's frames."""

    stride: int
    """Frontend frames a score."""

    multiple: int
    """What the network takes is a multiple of so many frontend frames, as is where a block of a recording begins."""

    halo: int
    """Frontend frames to either side that a score may depend on; a multiple of `multiple`."""

    padding: float
    """What fills up a row to a multiple: digital silence, in the frontend's unit."""

    def pad(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Fill up rows [row, frame, band] with silence to a multiple, float32."""
        missing = -features.shape[1] % self.multiple
        return np.pad(
            np.asarray(features, np.float32), ((0, 0), (0, missing), (0, 0)), constant_values=np.float32(self.padding)
        )

    def count(self, n_frames: int) -> int:
        """Scores of a row of so many frontend frames, the last of which may be part padding."""
        return -(-n_frames // self.stride)


def pool_frames(scores: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Pool frame scores to clip scores by the linear softmax: each frame weighs what it scores.

    Y. Wang, J. Li and F. Metze, "A comparison of five multiple instance learning pooling functions for sound event
    detection with weak labeling", 2019 (arXiv 1810.09050).

    Parameters
    ----------
    scores
        float [row, frame, label], 0 to 1.

    Returns
    -------
    pooled
        float32 [row, label], 0 to 1.
    """
    wide = np.asarray(scores, np.float64)
    return (np.square(wide).sum(axis=1) / np.maximum(wide.sum(axis=1), LEAST_SCORE)).astype(np.float32)
