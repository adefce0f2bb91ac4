"""Open a feature store, or create one."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np

from hubbub import __version__
from hubbub.audio.frontends import get_frontend
from hubbub.config import Settings, describe_difference, parse_settings
from hubbub.errors import SettingsError, StoreError
from hubbub.io.atomic import explain_read_errors, explain_write_errors, read_bytes, write_bytes
from hubbub.io.folders import refuse_foreign_folder, remove_file, remove_tree
from hubbub.io.paths import StoragePath, is_local, parse_path
from hubbub.store import arrays
from hubbub.store.features import ARRAYS, FORMAT, ROWS, FeatureStore
from hubbub.store.parts import list_part_numbers

# 1 had fewer settings, and no channels and variants; 2 no retired rows, and numbers of shards that came twice.
READABLE_FORMATS = ("hubbub-features/1", "hubbub-features/2", FORMAT)

# Libraries whose versions a store's values may owe to.
_VALUES_BY = (
    *("numpy", "scipy", "numba", "librosa", "soundfile", "soxr", "audiomentations", "python-stretch"),
    *("zarr", "tensorstore"),
)


"""Times that row parts are listed again when a compaction takes some away while they are read."""


def is_store(path: StoragePath) -> bool:
    """Whether a folder looks like a feature store, whole or damaged."""
    with explain_read_errors(path):
        return (path / ARRAYS / arrays.DOCUMENT).exists() or bool(list_part_numbers(path / ROWS))


def check_store_path(path: StoragePath) -> None:
    """Refuse to make or grow a store where something else lies (`StoreError`)."""
    refuse_foreign_folder(path, ARRAYS, "the store")


def open_store(path: str | StoragePath) -> FeatureStore:
    """Open a feature store.

    Parameters
    ----------
    path
        Its folder, or its address, ``s3://bucket/prefix``.

    Raises
    ------
    StoreError
        When there is none, it is damaged, or it has a format this version does not read.
    UsageError
        When its bucket cannot be reached, or does not let us in.
    """
    path = parse_path(path)
    document = path / ARRAYS / arrays.DOCUMENT
    try:
        with explain_read_errors(path):
            provenance = json.loads(read_bytes(document))["attributes"]["hubbub"]
        if provenance["format"] not in READABLE_FORMATS:
            known = " and ".join(READABLE_FORMATS)
            raise StoreError(
                f"{path} has the format {provenance['format']}; this hubbub {__version__} reads {known}. "
                "Install the hubbub that made it, or a newer one"
            )
        settings = parse_settings(provenance["settings"], where=str(document))
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError(_describe_missing_file(path)) from None
    except (OSError, ValueError, KeyError, TypeError, SettingsError) as error:
        raise StoreError(
            f"{document} is no description of a feature store: {type(error).__name__}: {error}; copy it again"
        ) from None
    if settings.hash != provenance["settings_hash"]:
        said = provenance["settings_hash"]
        raise StoreError(f"{document}: its settings hash to {settings.hash}, expected {said}: copy the store again")
    return FeatureStore(path, settings, provenance)


def _describe_missing_file(path: StoragePath) -> str:
    """Why a folder without the group's ``zarr.json`` is no store, or no longer."""
    if list_part_numbers(path / ROWS):
        return (
            f"{path / ARRAYS / arrays.DOCUMENT} is missing, though the store has rows. Copy it from where the store "
            "was copied from; its rows and shards are of no use without the settings that it holds"
        )
    return f"{path} is no feature store; make one with: hubbub features CLIPS -o {path}"


def create_store(
    path: StoragePath, settings: Settings, *, source: str, root: StoragePath | None = None
) -> FeatureStore:
    """Make an empty store, also in the place of one that holds nothing; it appears whole or not at all.

    Parameters
    ----------
    settings
        With `layout.rows_per_shard` resolved.
    source
        What it is built from, for the record.
    root
        What its clips' uris are relative to.

    Raises
    ------
    StoreError
        When the folder holds something else, or a store with rows.
    StorageError
        When it cannot be written.
    """
    check_store_path(path)
    if list_part_numbers(path / ROWS):
        raise StoreError(f"{path} is a feature store that holds rows; give a new folder")
    provenance = _provenance(settings, source) | {"root": None if root is None else str(root)}
    store = FeatureStore(path, settings, provenance)
    with explain_write_errors(path):
        remove_file(path / ARRAYS / arrays.DOCUMENT)  # until it is there again, last, there is no store
        remove_tree(path / ARRAYS / arrays.FEATURES)
        for name, data in read_group_files(store).items():
            write_bytes(path / ARRAYS / name, data)
        if is_local(path):
            (path / ROWS).mkdir(exist_ok=True)
    return store


def require_settings(store: FeatureStore, settings: Settings) -> None:
    """Refuse settings that would make other values, or lie otherwise, than those of a store.

    Raises
    ------
    StoreError
        With both hashes and what differs.
    """
    if settings.hash != store.settings_hash:
        lines = "; ".join(describe_difference(settings.full_values, store.settings.full_values))
        raise StoreError(
            f"{store.path} was built with other settings ({store.settings_hash}; asked for {settings.hash}): {lines}. "
            "Changed settings are a new store: give another -o, or leave the settings out to grow this one"
        )
    asked, there = settings.variants, store.settings.variants
    if asked is not None and (there is None or asked.values != there.values):
        held_there = "it has none" if there is None else "; ".join(describe_difference(asked.values, there.values))
        raise StoreError(
            f"{store.path} was built with other variants ({held_there}). Another policy is a new store: give another -o"
        )
    wanted, held = settings.layout, store.settings.layout
    if wanted.model_fields_set and any(
        getattr(wanted, name) not in (None, getattr(held, name)) for name in wanted.model_fields_set
    ):
        lines = "; ".join(
            describe_difference(
                wanted.model_dump(include=wanted.model_fields_set), held.model_dump(include=wanted.model_fields_set)
            )
        )
        raise StoreError(f"{store.path} is laid out otherwise: {lines}. Leave the layout out to grow this store")


def _provenance(settings: Settings, source: str) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "settings": settings.model_dump(mode="json"),
        "settings_hash": settings.hash,
        "store_id": uuid.uuid4().hex,
        "source": source,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"hubbub": __version__} | {name: version(name) for name in _VALUES_BY},
    }


def read_group_files(store: FeatureStore) -> dict[str, bytes]:
    """Files of the Zarr group of a store without rows, by their names within it (`arrays.array_files`)."""
    layout = store.layout
    return arrays.array_files(
        shape=(store.rows_per_shard, *layout.shape),
        dimensions=layout.dimensions,
        rows_per_chunk=store.settings.layout.rows_per_chunk,
        dtype=store.settings.dtype,
        attributes=_describe_settings(store),
        coordinates={name: (getattr(store, name), unit) for name, unit in layout.coordinates},
        provenance=store.provenance,
    )


def _describe_settings(store: FeatureStore) -> dict[str, Any]:
    """Attributes of the array, in the names of the CF conventions; bands that are no frequencies have names instead."""
    frontend = get_frontend(store.settings.frontend)
    described: dict[str, Any] = {"units": frontend.units, "long_name": frontend.long_name}
    if store.holds_embeddings:
        return described
    described["coordinates"] = "frame_s band_hz"
    return described | ({"band_names": store.band_names} if np.isnan(store.band_hz).any() else {})
