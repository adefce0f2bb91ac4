"""Hashes of a bundle: by which a network that was changed, or cut short, is told from the one that was trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hubbub.config import Settings, canonical_hash
from hubbub.errors import BundleError
from hubbub.io.atomic import hash_file
from hubbub.io.paths import StoragePath

MODEL, DESCRIPTION = "model.keras", "bundle.json"


def hash_model(folder: StoragePath, settings: Mapping[str, Any]) -> str:
    """Hash the network; of a head on embeddings also the model that makes these."""
    held, frontend = hash_file(folder / MODEL), settings.get("frontend", {})
    return held if frontend.get("name") != "embedding" else canonical_hash([held, frontend.get("model_hash")])


def refuse_change(path: StoragePath, description: Mapping[str, Any], model_hash: str) -> None:
    """Refuse a network that is not the one that `bundle.json` describes; raises `BundleError`."""
    if description.get("model_hash") != model_hash:
        raise BundleError(
            f"{path / MODEL} has the hash {model_hash}, but {DESCRIPTION} says {description.get('model_hash')}: "
            "one of the two was changed or cut short; train again, or copy the bundle again"
        )


def refuse_damage(path: StoragePath, description: Mapping[str, Any], settings: Settings, model_hash: str) -> None:
    """Refuse a bundle of which network or settings are not those of `bundle.json`; raises `BundleError`."""
    refuse_change(path, description, model_hash)
    if description.get("settings_hash") != settings.hash:
        said = description.get("settings_hash")
        raise BundleError(
            f"{path / DESCRIPTION}: its settings hash to {settings.hash}, expected {said}: copy the bundle again"
        )
