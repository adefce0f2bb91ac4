"""The map is brightest where the label's sound is."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from hubbub.learn.attention import BAND_PARTS, TIME_PARTS, map_attention


def test_the_score_falls_where_the_sound_is_covered():
    """A model that looks at one burst in bands 8 to 15, at frames 20 to 29."""

    def predict(features: np.ndarray) -> np.ndarray:
        heard = features[:, 20:30, 8:16].mean(axis=(1, 2))
        return np.stack([np.zeros(len(features)), 1 / (1 + np.exp(-heard))], axis=1)

    features = np.full((120, 48), -3.0)
    features[20:30, 8:16] = 5.0
    found = map_attention(SimpleNamespace(predict=predict), features, 1)
    assert found.shape == (BAND_PARTS, TIME_PARTS)
    assert np.unravel_index(found.argmax(), found.shape) == (1, 2)
    assert found[1, 2] > 0.3
    assert np.delete(found.ravel(), TIME_PARTS + 2).max() < 1e-6


def test_rows_of_few_frames_have_fewer_parts():
    found = map_attention(SimpleNamespace(predict=lambda rows: np.full((len(rows), 1), 0.5)), np.zeros((5, 2)), 0)
    assert found.shape == (2, 5)
    assert (found == 0).all()
