"""One unit of `embed`: as one of `features`, but a model transforms the windows, many at a time."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hubbub.config import Settings
from hubbub.config.frontends import EmbeddingSettings
from hubbub.errors import BundleError, StoreError
from hubbub.io.paths import StoragePath
from hubbub.store.features import FeatureStore
from hubbub.tasks.extract import ExtractTask

if TYPE_CHECKING:
    from hubbub.models.opening import WindowModel
    from hubbub.models.precision import Precision

MODEL_FOLDER = "model"
"""Folder of a store of embeddings with a copy of the model that makes them."""

BATCH_WINDOWS = 32
"""Windows that are transformed together at least, of however many clips: 14 MB of samples of 5 s at 22,050 Hz."""


@dataclass(frozen=True)
class EmbedTask(ExtractTask):
    """Turns a unit into a committed shard of embeddings.

    Attributes
    ----------
    model
        The copy of the model in the store.
    needs, resource
        What an engine goes by (`hubbub.engine.Task`).
    """

    model: StoragePath
    needs: tuple[str, ...]

    resource: ClassVar[str] = "GPU"

    def make_transform(self) -> EmbedTransform:
        """Make what turns windows into rows; raises `BundleError` where the model is no longer the store's."""
        settings = self.store.settings
        assert isinstance(settings.frontend, EmbeddingSettings)
        model = load_embedder(self.model, settings.frontend.model_hash, settings.frontend.arithmetic)
        return EmbedTransform(settings, model)


@dataclass(frozen=True)
class EmbedTransform:
    """See `hubbub.tasks.extract.Transform`."""

    settings: Settings
    model: WindowModel

    @property
    def batch_windows(self) -> int:
        """See `hubbub.tasks.extract.Transform`."""
        return max(BATCH_WINDOWS, self.model.count_batch_windows(embedding=True))

    def __call__(self, samples: npt.NDArray[np.float32], seconds: defaultdict[str, float]) -> npt.NDArray[np.floating]:
        """See `hubbub.tasks.extract.Transform`."""
        from hubbub.models.heads import round_embeddings

        started = time.perf_counter()
        features = self.model.prepare(samples)
        prepared = time.perf_counter()
        rows = round_embeddings(self.model.embed(features), self.settings)
        seconds["features"] += prepared - started
        seconds["model"] += time.perf_counter() - prepared
        return rows


@lru_cache(maxsize=1)
def load_embedder(path: StoragePath, model_hash: str, precision: Precision = "float32") -> WindowModel:
    """Load the model, once a process; raises `BundleError` where it is not the one of that hash."""
    from hubbub.models.opening import open_embedder

    model = open_embedder(path, precision=precision)
    if model.model_hash != model_hash:
        raise BundleError(f"{path} has the hash {model.model_hash}; the store's embeddings are of {model_hash}")
    return model


def find_store_model(store: FeatureStore) -> StoragePath:
    """Return the copy of the model in a store of embeddings, every file of it hashed.

    Raises
    ------
    StoreError
        It is missing, half copied or changed.
    """
    from hubbub.models.copies import check_copy

    frontend = store.settings.frontend
    try:
        return check_copy(store.path / MODEL_FOLDER, frontend.model_hash)  # type: ignore[union-attr]
    except BundleError as error:
        raise StoreError(
            f"{store.path} has no whole copy of the model that makes its embeddings ({error}); copy it again with: "
            f"hubbub embed CLIPS --model MODEL -o {store.path}"
        ) from None


def make_store_task(store: FeatureStore, root: StoragePath, schema: pa.Schema) -> ExtractTask:
    """Make the task that computes rows of a store, whatever they are; errors of `find_store_model`."""
    if not store.holds_embeddings:
        return ExtractTask(store, root, schema)
    from hubbub.models.heads import get_arithmetic
    from hubbub.models.opening import list_needs

    model = find_store_model(store)
    return EmbedTask(store, root, schema, model, list_needs(model, get_arithmetic(store.settings)))
