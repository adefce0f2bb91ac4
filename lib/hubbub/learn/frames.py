"""What a network that scores frames is trained with."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from hubbub.models.frames import LEAST_SCORE, FrameLayout, pool_frames

CLIP_WEIGHT = 0.5
"""What the clip's loss counts beside the frames'."""


def predict_clips(
    model: keras.Model, features: npt.NDArray[np.float32], layout: FrameLayout | None, *, batch_rows: int
) -> npt.NDArray[np.float32]:
    """Score rows [row, frame, band] as clips, float32 [row, label]; `layout` is that of a network of frames."""
    if layout is None:
        return model.predict(features, batch_size=batch_rows, verbose=0)
    scores = model.predict(layout.pad(features), batch_size=batch_rows, verbose=0)
    return pool_frames(scores[:, : layout.count(features.shape[1])])


def pool_in_graph(scores: Any) -> Any:
    """`pool_frames` in the backend's operations; anything but [row, frame, label] as it is."""
    if len(scores.shape) != 3:
        return scores
    ops = keras.ops
    return ops.sum(ops.square(scores), axis=1) / ops.maximum(ops.sum(scores, axis=1), LEAST_SCORE)


@keras.saving.register_keras_serializable(package="hubbub")
def frame_and_clip_loss(y_true: Any, y_pred: Any) -> Any:
    """Binary cross-entropy of frames, and of the clip that they are pooled to.

    Parameters
    ----------
    y_true, y_pred
        [row, frame, label], 0 to 1; a clip carries what at least half of some frame carries.

    Returns
    -------
    loss
        [row].
    """
    ops = keras.ops
    y_true, y_pred = ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")
    frames = ops.mean(_cross_entropy(y_true, y_pred), axis=(1, 2))
    clip_true = ops.cast(ops.max(y_true, axis=1) >= 0.5, "float32")
    clip = ops.mean(_cross_entropy(clip_true, pool_in_graph(y_pred)), axis=-1)
    return frames + CLIP_WEIGHT * clip


def _cross_entropy(true: Any, score: Any) -> Any:
    ops = keras.ops
    score = ops.clip(score, LEAST_SCORE, 1 - LEAST_SCORE)
    return -(true * ops.log(score) + (1 - true) * ops.log(1 - score))
