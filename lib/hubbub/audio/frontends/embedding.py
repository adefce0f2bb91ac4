"""Embeddings, as far as a store has to describe them. What makes them is a model (`hubbub.tasks.embed`)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hubbub.config.frontends import EmbeddingSettings


class Embedding:
    """One vector a window.

    Parameters
    ----------
    settings
        Names the model and its dimension.
    """

    units = "1"

    def __init__(self, settings: EmbeddingSettings) -> None:
        self._settings = settings
        self.long_name = f"embedding by {settings.model}"
        self.band_hz = np.full(settings.dimension, np.nan)
        self.band_names = [f"embedding_{number}" for number in range(1, 1 + settings.dimension)]

    def __call__(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Raise TypeError: only the model makes them."""
        raise TypeError(f"rows of {self.long_name} are made by the model, not by a frontend")
