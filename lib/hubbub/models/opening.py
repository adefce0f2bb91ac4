"""Models by their path, whatever they are: what all of them offer, and what opens each.

A bundle of hubbub's own is a folder (`hubbub.models.bundle`), a model of others a YAML file (`hubbub.models.foreign`).
A bundle whose features are embeddings is a head, and is opened with what makes them (`hubbub.models.heads`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from hubbub.config import Settings, parse_settings
from hubbub.errors import BundleError
from hubbub.io.folders import list_names
from hubbub.io.paths import StoragePath, parse_path
from hubbub.io.text import count_noun
from hubbub.models import bundle
from hubbub.models.embedding import has_exported
from hubbub.models.foreign import describe, open_foreign
from hubbub.models.foreign_files import is_foreign, read_foreign
from hubbub.models.heads import BACKBONE, HeadModel, describe_backbone, get_arithmetic, is_head, refuse_other_backbone
from hubbub.models.precision import Precision
from hubbub.models.refusals import refuse_network
from hubbub.models.runtimes import needed_packages

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

    def count_batch_windows(self, *, embedding: bool = False) -> int:
        """Windows whose scores, or embeddings, are best computed together; on a GPU that is measured."""

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


def open_model(path: str | StoragePath, *, runtime: str | None = None) -> WindowModel:
    """Open a model and load it.

    Parameters
    ----------
    path
        The folder of a bundle, or the YAML file of a model of others; or its address, ``s3://bucket/prefix``.
    runtime
        What computes a bundle (`hubbub.models.bundle.Runtime`), of a head its own part; None: the fastest that is
        installed.

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
    opened = bundle.load_bundle(path, runtime=cast("bundle.Runtime | None", runtime))
    if not is_head(opened.settings):
        return opened
    backbone = open_embedder(find_model(path / BACKBONE), precision=get_arithmetic(opened.settings))
    refuse_other_backbone(path, opened.settings, backbone.model_hash)
    return HeadModel(opened, backbone)


def open_embedder(path: str | StoragePath, *, precision: Precision = "float32") -> WindowModel:
    """Open a model to embed with it; of a bundle, only what that takes is loaded.

    Parameters
    ----------
    path
        As `open_model`.
    precision
        What a bundle's network computes in.

    Raises
    ------
    BundleError
        As `open_model`; the model gives no embeddings.
    UsageError
        As `open_model`.
    """
    path = parse_path(path)
    if is_foreign(path):
        model: WindowModel = open_foreign(path)
        if model.dimension is None:
            raise BundleError(f"{path} names no outputs.embeddings; give them, if the network has some")
        return model
    refuse_network(path)
    opened = bundle.read_bundle(path, runtime=bundle.choose_runtime({}, precision))
    if is_head(opened.settings):
        raise BundleError(describe_backbone(path))
    opened.embedder  # noqa: B018 - what is broken shows here, not at the first row
    return opened


def find_model(folder: StoragePath) -> StoragePath:
    """Find the model in a folder of its own: the folder, of a bundle; else its YAML file.

    Raises
    ------
    BundleError
        There is none, or several.
    """
    if (folder / bundle.DESCRIPTION).exists():
        return folder
    found = sorted(name for name in list_names(folder) if is_foreign(folder / name))
    if len(found) != 1:
        raise BundleError(f"{folder} holds {count_noun(len(found), 'model')}; expected a bundle, or one YAML file")
    return folder / found[0]


def read_description(path: StoragePath) -> dict[str, Any]:
    """Describe a model as `bundle.json` does; loads nothing. Errors of `open_model`."""
    if is_foreign(path):
        return describe(read_foreign(path))
    refuse_network(path)
    return bundle.read_description(path)


def choose_runtime(description: Mapping[str, Any], precision: str = "float32") -> str:
    """What computes a model here: of `hubbub.models.runtimes.FORMATS`, or a bundle in a precision."""
    if "kind" in description:
        return description["kind"]
    return bundle.choose_runtime(description, cast("Precision", precision))


def list_needs(path: StoragePath, precision: Precision = "float32") -> tuple[str, ...]:
    """Packages that workers must have to embed with a model in a precision, or to score with a head."""
    description = read_description(path)
    if (path / BACKBONE).exists():
        own = needed_packages(bundle.choose_runtime(description), is_foreign=False)
        inner = get_arithmetic(parse_settings(description["settings"], where=str(path)))
        return tuple(dict.fromkeys([*own, *list_needs(find_model(path / BACKBONE), inner)]))
    is_onnx = has_exported(description) and precision == "float32"
    kind = description.get("kind") or ("onnx" if is_onnx else "keras")
    return needed_packages(kind, is_foreign="kind" in description)


def check_model(path: StoragePath) -> None:
    """Refuse a model that cannot be used, before a run begins; errors of `open_model`.

    A bundle is compared with its description. A model of others is opened, compared with its YAML file, and tried.
    """
    if is_foreign(path):
        open_foreign(path)
        return
    bundle.check_model(path)
    settings = parse_settings(bundle.read_description(path)["settings"], where=str(path))
    if is_head(settings):
        inner = find_model(path / BACKBONE)
        check_model(inner)
        refuse_other_backbone(path, settings, read_description(inner)["model_hash"])
