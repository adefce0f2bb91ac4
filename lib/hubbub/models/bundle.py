"""The model bundle: a folder with a model, its description, and a model card.

::

    BUNDLE/
      model.onnx     the same for ONNX Runtime, for networks that score frames
      model.keras    network and weights, loaded in Keras's safe mode: no pickles, no code
      bundle.json    labels, frontend settings and their hash, thresholds, split, history, provenance
      README.md      the model card
      logs/          for TensorBoard
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from hubbub.audio.frontends import compute_features
from hubbub.config import Settings, parse_settings
from hubbub.errors import BundleError, SettingsError
from hubbub.io.atomic import explain_read_errors, hash_file, local_file, read_bytes
from hubbub.io.folders import list_names
from hubbub.io.paths import StoragePath, is_local, parse_path
from hubbub.io.text import list_few
from hubbub.models.backends import import_keras
from hubbub.models.batches import RowBatches
from hubbub.models.bundle_hashes import DESCRIPTION, MODEL, hash_model, refuse_change, refuse_damage
from hubbub.models.embedding import Embedder, count_dimension, open_embedder
from hubbub.models.frames import FrameLayout, pool_frames
from hubbub.models.gpu import keras_has_gpu
from hubbub.models.notebook import BundleNotebook
from hubbub.models.onnx_export import export_onnx
from hubbub.models.precision import Precision, lower_precision
from hubbub.models.runtimes.onnx import has_onnx_runtime, open_onnx

FORMAT = "hubbub-bundle/1"
ONNX, CARD = "model.onnx", "README.md"

Runtime = Literal["onnx", "keras", "keras-float16", "keras-bfloat16"]
"""What computes a bundle; Keras also in half precision."""


@dataclass(frozen=True)
class Bundle(BundleNotebook):
    """A trained model and what has to be known to use it."""

    path: StoragePath
    """Its folder."""

    description: dict[str, Any]
    """All of `bundle.json`."""

    settings: Settings
    """What its features were made with."""

    model_hash: str
    """16 hex digits of SHA-256 over `model.keras`; of a head on embeddings also over its backbone's hash."""

    runtime: Runtime = "keras"
    """What computes."""

    def __repr__(self) -> str:
        """Describe the bundle in one line."""
        name = self.description.get("model", "a model")
        return f"<Bundle '{self.path}': {name}, {list_few(self.labels, 'label')}, settings {self.settings_hash}>"

    @property
    def labels(self) -> list[str]:
        """Labels, in the order of the scores."""
        return list(self.description["labels"])

    @property
    def settings_hash(self) -> str:
        """Hash of the settings that decide features."""
        return self.settings.hash

    @property
    def activation(self) -> Literal["softmax", "sigmoid"]:
        """Whether scores share 1 between the labels, or each stands alone."""
        return self.description["activation"]

    @property
    def thresholds(self) -> dict[str, float]:
        """The score at which each label counts as present."""
        return dict(self.description["thresholds"])

    def prepare(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.floating]:
        """Turn windows into the rows that `predict` takes, as the training's store has them.

        Parameters
        ----------
        samples
            float32 [window, sample], at the rate and of the length that the settings say.

        Returns
        -------
        features
            [window, frame, band] in the settings' dtype.

        Raises
        ------
        NonFiniteFeatures
            A value is not a number, or more than the dtype holds.
        """
        return np.stack([compute_features(window, self.settings) for window in samples])

    def predict(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Score rows.

        Parameters
        ----------
        features
            [row, frame, band], any float dtype, any number of rows, each what the frontend makes of as much sound as
            the model hears at a time.

        Returns
        -------
        scores
            float32 [row, label], 0 to 1. A row's scores do not depend on the rows beside it.

        Raises
        ------
        BundleError
            The rows have another shape than the model's.
        """
        self._require_shape(features)
        return self._scorer(features) if len(features) else np.empty((0, len(self.labels)), np.float32)

    @cached_property
    def _scorer(self) -> RowBatches:
        return RowBatches(self._score_batch, on_gpu=self.runtime != "onnx" and keras_has_gpu())

    def count_batch_windows(self, *, embedding: bool = False) -> int:
        """Windows that are best computed together; see `hubbub.models.opening.WindowModel`."""
        batches = self.embedder.batches if embedding else self._scorer
        return batches.count_rows((self.description["n_frames"], self.description["n_bands"]))

    @cached_property
    def dimension(self) -> int:
        """Values of an embedding: what feeds the layer of scores; of a network of frames, its mean over the frames."""
        held = self.description.get("dimension")  # older bundles do not say
        shape = (1, self.description["n_frames"], self.description["n_bands"])
        return held or self.embedder(np.zeros(shape, np.float32)).shape[1]

    def embed(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Embed rows; arguments and errors of `predict`.

        Returns
        -------
        embeddings
            float32 [row, dimension]. A row's embedding does not depend on the rows beside it.
        """
        self._require_shape(features)
        return self.embedder(features) if len(features) else np.empty((0, self.dimension), np.float32)

    @property
    def precision(self) -> Precision:
        """What the network computes in."""
        return cast("Precision", self.runtime.partition("-")[2] or "float32")

    @cached_property
    def embedder(self) -> Embedder:
        """What embeds, loaded."""
        return open_embedder(self, lambda: self._model, by_onnx=self.precision == "float32")

    def _require_shape(self, features: npt.NDArray[np.floating]) -> None:
        expected = (self.description["n_frames"], self.description["n_bands"])
        if features.ndim != 3 or features.shape[1:] != expected:
            raise BundleError(
                f"{self.path} expected rows of {expected[0]} frames x {expected[1]} bands; got {list(features.shape)}"
            )

    @cached_property
    def frames(self) -> FrameLayout | None:
        """How frame scores lie; None for a model that scores whole rows."""
        held = self.description.get("frames")
        return None if held is None else FrameLayout(**held)

    def score_block(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Score the frames of a stretch of sound, by the bundle's fastest runtime.

        Parameters
        ----------
        features
            float32 [frame, band], a multiple of `frames.multiple` frames.

        Returns
        -------
        scores
            float32 [score, label]; those within `frames.halo` of an end are not what a longer stretch would give.

        Raises
        ------
        BundleError
            The model scores no frames.
        """
        self.require_frames()
        return np.asarray(self._runtime(features[None]))[0]

    def require_frames(self) -> FrameLayout:
        """Return how frame scores lie; raises `BundleError` for a model that scores whole rows."""
        if self.frames is None:
            raise BundleError(
                f"{self.path} is a {self.description['model']} model, which scores windows of "
                f"{self.description['window_s']:g} s and no frames; train one with: hubbub train STORE --model detector"
            )
        return self.frames

    @cached_property
    def _runtime(self) -> Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]:
        if self.runtime != "onnx":
            return self._model.predict_on_batch
        with local_file(self.path / ONNX) as local:
            if hash_file(local) != self.description["onnx"]["hash"]:
                raise BundleError(f"{self.path / ONNX} was changed or cut short; copy the bundle again")
            return open_onnx(local).run_first

    def _score_batch(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if self.frames is None:
            return np.asarray(self._runtime(batch))
        scores = np.asarray(self._model.predict_on_batch(self.frames.pad(batch)))
        return pool_frames(scores[:, : self.frames.count(batch.shape[1])])

    @property
    def network(self) -> Any:
        """The `keras.Model`; raises `BundleError` where Keras is not installed, or cannot load it."""
        return self._model

    @cached_property
    def _model(self) -> Any:
        try:
            keras = import_keras()
        except ImportError as error:
            raise BundleError(
                f"{self.path} needs Keras, which is not installed here ({error}): pip install 'hubbub[cpu]'"
            ) from None
        try:
            with local_file(self.path / MODEL) as local:
                if not is_local(self.path):  # another time than when it was hashed
                    refuse_change(self.path, self.description, hash_model(local.parent, self.description["settings"]))
                network = keras.saving.load_model(local, compile=False, safe_mode=True)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise BundleError(f"{self.path / MODEL} cannot be loaded: {str(error).splitlines()[0]}") from None
        return network if self.precision == "float32" else lower_precision(network, self.precision)


def choose_runtime(description: Mapping[str, Any], precision: Precision = "float32") -> Runtime:
    """What computes a bundle here: in float32 ONNX Runtime where it and the file are there, else Keras."""
    if precision != "float32":
        return "keras-float16" if precision == "float16" else "keras-bfloat16"
    return "onnx" if description.get("onnx") and has_onnx_runtime() else "keras"


def load_bundle(path: str | StoragePath, *, runtime: Runtime | None = None) -> Bundle:
    """Open a bundle and load its model.

    Parameters
    ----------
    path
        Its folder, or its address, ``s3://bucket/prefix``.
    runtime
        What computes; None: `choose_runtime`. With ``onnx``, Keras is loaded only by what asks for a detector's rows.

    Raises
    ------
    BundleError
        There is none, it is damaged, or this version does not read it.
    UsageError
        When its bucket cannot be reached, or does not let us in.
    """
    bundle = read_bundle(path, runtime=runtime)
    # What is broken shows here, not at the first row.
    bundle._runtime if bundle.runtime == "onnx" else bundle._model  # noqa: B018
    return bundle


def read_bundle(path: str | StoragePath, *, runtime: Runtime | None = None) -> Bundle:
    """Open a bundle, and load what it is asked for when it is; arguments and errors of `load_bundle`."""
    path = parse_path(path)
    description = read_description(path)
    try:
        settings = parse_settings(description["settings"], where=str(path / DESCRIPTION))
        model_hash = hash_model(path, settings.model_dump(mode="json"))
    except FileNotFoundError:
        raise BundleError(f"{path / MODEL} is missing; train the model again") from None
    except (SettingsError, KeyError, OSError) as error:
        raise BundleError(f"{path} is a damaged bundle: {error}; copy it again, or train again") from None
    refuse_damage(path, description, settings, model_hash)
    return Bundle(path, description, settings, model_hash, runtime or choose_runtime(description))


def read_description(path: StoragePath) -> dict[str, Any]:
    """`bundle.json` of a bundle, checked for its format; imports no Keras.

    Raises
    ------
    BundleError
        There is no bundle, or it has another format.
    UsageError
        When its bucket cannot be reached, or does not let us in.
    """
    try:
        with explain_read_errors(path):
            description = json.loads(read_bytes(path / DESCRIPTION))
    except (FileNotFoundError, NotADirectoryError):
        advice = "give a folder that was made" if path.exists() else "make one"
        described = next((name for name in sorted(list_names(path)) if name.endswith((".yaml", ".yml"))), None)
        others = "" if described is None else f", or the YAML file of a model of others, such as {path / described}"
        raise BundleError(f"{path} is no model bundle; {advice} with: hubbub train STORE -o BUNDLE{others}") from None
    except (OSError, ValueError) as error:
        raise BundleError(f"{path / DESCRIPTION} cannot be read: {error}") from None
    held = description.get("format") if isinstance(description, dict) else None
    if held != FORMAT:
        raise BundleError(f"{path / DESCRIPTION} has the format {held!r}; expected {FORMAT!r}")
    for name in ("settings", "labels"):
        if not description.get(name):
            raise BundleError(f"{path / DESCRIPTION} is damaged: it has no {name}; copy the bundle again")
    return description


def write_bundle(
    folder: Path,
    model: Any,
    description: Mapping[str, Any],
    card: str,
    *,
    compared: npt.NDArray[np.float32] | None = None,
) -> None:
    """Write a bundle's files into a folder; the caller gives it its name when it is whole.

    Parameters
    ----------
    model
        A `keras.Model`.
    description
        What `bundle.json` shall hold; `format` and `model_hash` are added.
    card
        The model card, Markdown.
    compared
        float32 [row, frame, band], for a network that scores frames: it is also written for ONNX Runtime, where that
        is installed and gives the same scores of these.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / MODEL)
    model_hash = hash_model(folder, description.get("settings", {}))
    whole = {"format": FORMAT, **description, "dimension": count_dimension(model), "model_hash": model_hash}
    if compared is not None and (found := export_onnx(model, folder / ONNX, compared)) is not None:
        whole["onnx"] = found | {"hash": hash_file(folder / ONNX)}
    (folder / DESCRIPTION).write_text(json.dumps(whole, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    (folder / CARD).write_text(card, encoding="utf-8")
    for name in (MODEL, DESCRIPTION, CARD):
        with open(folder / name, "rb") as file:
            os.fsync(file.fileno())


def check_model(path: StoragePath) -> None:
    """Refuse a bundle whose model is not the one that `bundle.json` describes; loads nothing.

    Raises
    ------
    BundleError
        The model is missing, changed or cut short.
    """
    description = read_description(path)
    try:
        model_hash = hash_model(path, description.get("settings", {}))
    except (FileNotFoundError, IsADirectoryError):
        raise BundleError(f"{path / MODEL} is missing; train the model again") from None
    refuse_change(path, description, model_hash)
