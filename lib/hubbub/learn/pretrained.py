"""Weights that a network begins with: random, from a file, from an address, or those of ImageNet.

What is fetched lies where Keras keeps it, ``~/.keras/models`` or ``$KERAS_HOME/models``, so that a file that was put
there by hand, or by Keras, is found. What such a file holds does not live here (`hubbub.learn.weight_files`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from hubbub.config.recipes import ImageModelSettings, RecipeSettings
from hubbub.downloads.content import describe_other
from hubbub.downloads.failures import FetchFailure
from hubbub.downloads.one_file import check_address, fetch_file
from hubbub.errors import StorageError, TrainingError
from hubbub.learn.weight_files import MOST_BYTES, SUFFIXES, is_weights

RANDOM, IMAGENET = "random", "imagenet"

IMAGENET_LICENCE = (
    "Apache-2.0, of keras.applications; trained on ImageNet, whose terms allow research and teaching that is not "
    "commercial"
)
UNKNOWN_LICENCE = "not known to hubbub: that of whoever made the file"


@dataclass(frozen=True)
class PublishedFile:
    """A file that keras.applications publishes."""

    address: str
    """Where."""

    size_mb: int
    """About how large it is."""

    md5: str | None = None
    """What keras.applications says of its content; None where it says nothing."""

    @property
    def name(self) -> str:
        """What it is called, there and here."""
        return PurePosixPath(self.address).name


_TENSORFLOW = "https://storage.googleapis.com/tensorflow/keras-applications"
_MOBILENET_PX = (96, 128, 160, 192, 224)


def _publish_inception_v3(side_px: int | None) -> PublishedFile:
    name = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
    return PublishedFile(f"{_TENSORFLOW}/inception_v3/{name}", 88, "bcbd6486424b2319ff4ef7d526e38f63")


def _publish_mobilenet_v2(side_px: int | None) -> PublishedFile:
    trained_px = side_px if side_px in _MOBILENET_PX else _MOBILENET_PX[-1]
    name = f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_{trained_px}_no_top.h5"
    return PublishedFile(f"{_TENSORFLOW}/mobilenet_v2/{name}", 9)


def _publish_efficientnet_b0(side_px: int | None) -> PublishedFile:
    address = "https://storage.googleapis.com/keras-applications/efficientnetb0_notop.h5"
    return PublishedFile(address, 17, "50bc09e76180e00e4465e1a485ddc09d")


PUBLISHED: Mapping[str, Callable[[int | None], PublishedFile]] = {
    "inception-v3": _publish_inception_v3,
    "mobilenet-v2": _publish_mobilenet_v2,
    "efficientnet-b0": _publish_efficientnet_b0,
}
"""The file of ImageNet's weights, without the last layer, by model and side of the image."""


@dataclass(frozen=True)
class Weights:
    """What a network begins with."""

    source: str
    """As it was asked for: ``imagenet``, ``random``, an address or a path."""

    licence: str
    """Of the weights."""

    file: Path | None = None
    """Where they are here; None: random ones."""

    sha256: str | None = None
    """Of the file."""

    @property
    def identity(self) -> str:
        """Changes with the weights: ``random``, or 64 hex digits."""
        return self.sha256 or RANDOM

    def describe(self) -> dict[str, Any]:
        """What a bundle says of them."""
        name = None if self.file is None else self.file.name
        return {"source": self.source, "file": name, "sha256": self.sha256, "licence": self.licence}


def find_weights(model: str, settings: RecipeSettings) -> Weights | None:
    """Find, or fetch, what a network begins with.

    Parameters
    ----------
    model
        Name of the recipe.
    settings
        Its own.

    Returns
    -------
    weights
        None for a recipe that always begins with random ones.

    Raises
    ------
    TrainingError
        There is no such file, or it cannot be fetched: says which file is wanted, and where to put it.
    StorageError
        What is fetched cannot be written.
    """
    chosen = settings.model
    if not isinstance(chosen, ImageModelSettings):
        return None
    if chosen.weights == RANDOM:
        return Weights(RANDOM, "none: drawn at random")
    if chosen.weights == IMAGENET:
        return _take(IMAGENET, _find_published(PUBLISHED[model](chosen.side_px)), IMAGENET_LICENCE)
    if "://" in chosen.weights:
        return _take(chosen.weights, _find_fetched(chosen.weights), UNKNOWN_LICENCE)
    return _take(chosen.weights, _find_file(chosen.weights), UNKNOWN_LICENCE)


def fix_weights(model: str, settings: RecipeSettings) -> tuple[RecipeSettings, str | None]:
    """Return settings that name the same weights from any folder, and what identifies these; None: there are none.

    Errors are those of `find_weights`.
    """
    weights = find_weights(model, settings)
    if weights is None:
        return settings, None
    is_path = weights.file is not None and weights.source != IMAGENET and "://" not in weights.source
    source = str(weights.file.resolve()) if is_path and weights.file is not None else weights.source
    chosen = settings.model.model_copy(update={"weights": source})
    return settings.model_copy(update={"model": chosen}), weights.identity


def require_weights(model: str, settings: RecipeSettings, identity: str | None) -> None:
    """Refuse weights other than those that `fix_weights` found; errors of `find_weights`."""
    found = find_weights(model, settings)
    if found is not None and identity not in (None, found.identity):
        raise TrainingError(
            f"{found.file} on this machine is another file than where the command was given (SHA-256 "
            f"{found.identity[:16]}…, expected {str(identity)[:16]}…); copy it, or give a file in a shared folder"
        )


def cache_folder() -> Path:
    """Where Keras keeps the weights of keras.applications."""
    return Path(os.environ.get("KERAS_HOME") or Path("~/.keras").expanduser()) / "models"


def _take(source: str, file: Path, licence: str) -> Weights:
    try:
        with open(file, "rb") as opened:
            return Weights(source, licence, file, hashlib.file_digest(opened, "sha256").hexdigest())
    except OSError as error:
        raise TrainingError(f"{file} cannot be read: {error.strerror}; expected a file of weights") from None


def _find_file(given: str) -> Path:
    file = Path(given).expanduser()
    if file.is_dir():
        held = file / "model.keras"
        instead = held if held.is_file() else f"a file in it ({SUFFIXES})"
        raise TrainingError(f"--weights {given} is a folder; give {instead}")
    if not file.is_file():
        raise TrainingError(
            f"--weights {given}: there is no such file; give a file of weights ({SUFFIXES}), imagenet, or random"
        )
    return file


def _find_published(published: PublishedFile) -> Path:
    file = cache_folder() / published.name
    if file.is_file():
        _refuse_another(file, published)
        return file
    try:
        fetch_file(published.address, file, most_bytes=MOST_BYTES, md5=published.md5, check=_refuse_other_content)
    except (FetchFailure, StorageError) as failure:
        raise TrainingError(
            f"--weights imagenet needs {published.name} (about {published.size_mb} MB), which cannot be fetched from "
            f"{published.address}: {failure}. Fetch it where there is a network, and put it into {file.parent}, or "
            "give it with --weights FILE; or begin without: --weights random"
        ) from None
    return file


def _refuse_another(file: Path, published: PublishedFile) -> None:
    if published.md5 is None:
        return
    with open(file, "rb") as opened:
        found = hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != published.md5:
        raise TrainingError(
            f"{file} is not what keras.applications publishes under this name (MD5 {found}, expected {published.md5}); "
            "delete it, and run the same command again, or give it with --weights FILE if it is what you mean"
        )


def _find_fetched(address: str) -> Path:
    """An address's file, fetched at its first use."""
    try:
        address = check_address(address)
        name = PurePosixPath(address.partition("?")[0]).name
        file = cache_folder() / f"{hashlib.sha256(address.encode()).hexdigest()[:12]}-{name[-100:]}"
        if not file.is_file():
            fetch_file(address, file, most_bytes=MOST_BYTES, check=_refuse_other_content)
    except (FetchFailure, StorageError) as failure:
        raise TrainingError(
            f"--weights {address} cannot be fetched: {failure}. Fetch it yourself, and give --weights FILE"
        ) from None
    return file


def _refuse_other_content(file: Path) -> None:
    if not is_weights(file):
        with open(file, "rb") as opened:
            raise FetchFailure(f"is {describe_other(opened.read(4096))}, no file of weights")
