"""What a model looked at: how much a label's score falls where a part of the spectrogram is covered.

M. D. Zeiler and R. Fergus, "Visualizing and Understanding Convolutional Networks", 2014. Gradients (Grad-CAM) would
need each backend's own code, and a layer that keeps places: `default` has two branches, of which one has none. Covering
needs nothing of the network but its scores.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from hubbub.learn.crops import covering_crops
from hubbub.learn.dataset import iterate_batches
from hubbub.models.bundle import Bundle
from hubbub.store.features import FeatureStore

TIME_PARTS, BAND_PARTS = 12, 6
"""Parts of a row that are covered, one after the other."""

MOST_CLIPS = 15
"""Clips that are looked at, at most: each costs as much as 72 rows to score."""


def map_attention(bundle: Bundle, features: npt.NDArray[np.floating], label: int) -> npt.NDArray[np.float64]:
    """Return how much a label's score falls as each part of a row is covered by its bands' means.

    Parameters
    ----------
    bundle
        The model.
    features
        [frame, band], as the model takes them.
    label
        Index of the label.

    Returns
    -------
    falls
        float64 [band part, time part], from the lowest bands up; 1 is the whole score, and what raises the score is 0.
    """
    n_frames, n_bands = features.shape
    times = np.array_split(np.arange(n_frames), min(TIME_PARTS, n_frames))
    bands = np.array_split(np.arange(n_bands), min(BAND_PARTS, n_bands))
    mean = features.mean(axis=0)
    covered = np.repeat(features[None].astype(np.float32), 1 + len(times) * len(bands), axis=0)
    for place, (band, time) in enumerate(((band, time) for band in bands for time in times), start=1):
        covered[place, time[0] : time[-1] + 1, band[0] : band[-1] + 1] = mean[band]
    scores = bundle.predict(covered)[:, label].astype(np.float64)
    falls = np.maximum(scores[0] - scores[1:], 0) / max(scores[0], 1e-9)
    return falls.reshape(len(bands), len(times))


def map_mistakes(
    bundle: Bundle, store: FeatureStore, rows: pd.DataFrame, predictions: pd.DataFrame
) -> dict[str, list[list[float]]]:
    """Map the attention to the label that was predicted, in the first window of the most confident mistakes.

    Parameters
    ----------
    rows
        The rows that were scored.
    predictions
        One row a clip: clip_id, true, predicted, confidence.

    Returns
    -------
    maps
        Of each clip_id, `map_attention`, rounded; none of embeddings.
    """
    if store.holds_embeddings:  # of which no part is a place in the sound
        return {}
    wrong = predictions[predictions["true"] != predictions["predicted"]]
    wrong = wrong.sort_values("confidence", ascending=False, kind="stable").head(MOST_CLIPS)
    covered, crops = covering_crops(store.settings, rows[rows["clip_id"].isin(wrong["clip_id"])].reset_index(drop=True))
    first = np.flatnonzero(~covered["clip_id"].duplicated().to_numpy())
    covered, crops = covered.iloc[first], None if crops is None else crops.take(first)
    label_of = dict(zip(wrong["clip_id"], map(bundle.labels.index, wrong["predicted"]), strict=True))
    maps = {}
    for batch in iterate_batches(
        store, covered["row"].to_numpy(np.int64), np.arange(len(covered)), batch_rows=8, crops=crops
    ):
        for features, place in zip(batch.features, batch.targets.tolist(), strict=True):
            clip_id = covered["clip_id"].iloc[place]
            maps[clip_id] = map_attention(bundle, features, label_of[clip_id]).round(3).tolist()
    return maps
