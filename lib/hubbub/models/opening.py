"""Models by their path, whatever they are: what all of them offer, and what opens each.

A bundle of hubbub's own is a folder (`hubbub.models.bundle`), a model of others a YAML file (`hubbub.models.foreign`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from hubbub.config import Settings
from hubbub.io.paths import StoragePath, parse_path
from hubbub.models import bundle
from hubbub.models.foreign import describe, open_foreign
from hubbub.models.foreign_files import is_foreign, read_foreign
from hubbub.models.refusals import refuse_network

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


def open_model(path: str | StoragePath, *, runtime: str | None = None) -> WindowModel:
    """Open a model and load it.

    Parameters
    ----------
    path
        The folder of a bundle, or the YAML file of a model of others; or its address, ``s3://bucket/prefix``.
    runtime
        What scores frames of a bundle; None: the fastest that is installed.

    Raises
    ------
    BundleError
        There is none, it is damaged, or this version does not read it.
    UsageError
        When its bucket cannot be reached, or does not let us in.
    """
    path = parse_path(path)
    if is_foreign(path):
        return open_foreign(path)
    refuse_network(path)
    return bundle.load_bundle(path, runtime=cast("bundle.Runtime | None", runtime))


def read_description(path: StoragePath) -> dict[str, Any]:
    """Describe a model as `bundle.json` does; loads nothing. Errors of `open_model`."""
    if is_foreign(path):
        return describe(read_foreign(path))
    refuse_network(path)
    return bundle.read_description(path)


def choose_runtime(description: Mapping[str, Any]) -> str:
    """What computes a model here, of `hubbub.models.runtimes.FORMATS`."""
    return description["kind"] if "kind" in description else bundle.choose_runtime(description)


def check_model(path: StoragePath) -> None:
    """Refuse a model that cannot be used, before a run begins; errors of `open_model`.

    A bundle is compared with its description. A model of others is opened, compared with its YAML file, and tried.
    """
    if is_foreign(path):
        open_foreign(path)
    else:
        bundle.check_model(path)
