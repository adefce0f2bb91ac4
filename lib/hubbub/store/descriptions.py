"""The array's metadata as the settings define it, and the decoding of one shard by given metadata."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from hubbub.store import arrays
from hubbub.store.features import FeatureStore
from hubbub.store.opening import read_group_files


def rebuild_descriptions(store: FeatureStore) -> dict[str, bytes]:
    """Files of the group but its own ``zarr.json``, as the settings have them, with room for every shard."""
    files = {name: data for name, data in read_group_files(store).items() if name != arrays.DOCUMENT}
    name, shards = f"{arrays.FEATURES}/{arrays.DOCUMENT}", (*store.committed(), *store.shards_there())
    n_shards = max((store.first_shard - 1, *shards)) + 1  # numbers that were used are not given again
    return files | {name: arrays.set_row_count(files[name], n_shards * store.rows_per_shard)}


def build_expected_document(store: FeatureStore) -> bytes:
    """The array's ``zarr.json`` as the settings have it."""
    return rebuild_descriptions(store)[f"{arrays.FEATURES}/{arrays.DOCUMENT}"]


def decode_shard(document: bytes, data: bytes, store: FeatureStore) -> npt.NDArray[np.floating]:
    """Values of one shard, [rows_per_shard, frame, band].

    Raises
    ------
    ValueError
        For bytes that cannot be decoded by this description.
    """
    described = json.loads(arrays.set_row_count(document, store.rows_per_shard))
    layout = store.layout
    values = decode_objects(described, {layout.shard_key(0): data})
    if values.shape != (store.rows_per_shard, *layout.shape):
        raise ValueError(f"the description gives {values.shape} values")
    return values.reshape(store.rows_per_shard, store.n_frames, store.n_bands)


def decode_objects(described: dict[str, Any], objects: dict[str, bytes]) -> npt.NDArray[Any]:
    """An array read from objects in memory; ValueError for what cannot be."""
    import tensorstore

    spec = {"driver": "zarr3", "kvstore": {"driver": "memory"}, "metadata": described}
    alone = tensorstore.Context({"data_copy_concurrency": {"limit": 1}})  # and a memory of its own
    array: Any = tensorstore.open(spec, create=True, context=alone).result()
    for key, data in objects.items():
        array.kvstore.write(key, data).result()
    if math.prod(array.shape) > 2**31:
        raise ValueError(f"the description gives an array of shape {array.shape}")
    return array.read().result()
