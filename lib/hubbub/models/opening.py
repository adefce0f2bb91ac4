"""Models by their path, whatever they are: what all of them offer, and what opens each.

A bundle of hubbub's own is a folder (`hubbub.models.bundle`).
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hubbub.config import Settings
from hubbub.io.paths import StoragePath, parse_path
from hubbub.models.bundle import check_model, load_bundle, read_description
from hubbub.models.runtimes import Runtime

__all__ = ["WindowModel", "check_model", "open_model", "read_description"]


class WindowModel(Protocol):
    """What scores windows of sound, in two steps, so that each can be timed and what lies between can be stored."""

    @property
    def path(self) -> StoragePath:
        """What was opened."""

    @property
    def settings(self) -> Settings:
        """Of its input: rate, window and features."""

    @property
    def model_hash(self) -> str:
        """16 hex digits that change with anything that changes scores."""

    @property
    def description(self) -> dict[str, Any]:
        """What `read_description` gives."""

    @property
    def labels(self) -> list[str]:
        """Labels, in the order of the scores; empty for a model without scores."""

    def prepare(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.floating]:
        """Turn windows, float32 [window, sample] at the settings' rate, into the model's input [window, frame, band].

        Raises
        ------
        NonFiniteFeatures
            A value is not a number, or more than the settings' dtype holds.
        """

    def predict(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Score what `prepare` made: float32 [window, label], 0 to 1, each window by itself."""

    @property
    def dimension(self) -> int | None:
        """Values of a window's embedding; None for a model that gives none."""

    def embed(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Embed what `prepare` made: float32 [window, dimension], each window by itself.

        Raises
        ------
        BundleError
            The model gives no embeddings.
        """


def open_model(path: str | StoragePath, *, runtime: Runtime | None = None) -> WindowModel:
    """Open a model and load it.

    Parameters
    ----------
    path
        The folder of a bundle, or its address, ``s3://bucket/prefix``.
    runtime
        What scores frames of a bundle; None: the fastest that is installed.

    Raises
    ------
    BundleError
        There is none, it is damaged, or this version does not read it.
    UsageError
        When its bucket cannot be reached, or does not let us in.
    """
    return load_bundle(parse_path(path), runtime=runtime)
