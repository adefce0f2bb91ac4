"""The array of a store: Zarr v3 metadata, shards encoded in memory and read by tensorstore.

A shard is made as bytes and written as one object, by the same means as every other file of a store. So no writer asks
what is there, none has to know how long the array is, and each shard is there whole or not at all.
"""

from __future__ import annotations

import json
import os
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from hubbub.errors import StoreError
from hubbub.io.paths import StoragePath, is_local
from hubbub.io.storage_options import is_anonymous, s3_endpoint

FEATURES = "features"
DOCUMENT = "zarr.json"


def array_files(
    *,
    shape: tuple[int, ...],
    dimensions: tuple[str, ...],
    rows_per_chunk: int,
    dtype: str,
    attributes: dict[str, Any],
    coordinates: dict[str, tuple[npt.NDArray[np.float64], str]],
    provenance: dict[str, Any],
) -> dict[str, bytes]:
    """Files of an empty store's Zarr group, by their names within it; the group's own ``zarr.json`` is the last.

    Parameters
    ----------
    shape, dimensions
        Of one shard, and what they are called: rows, frames and bands; or rows and the dimension of embeddings.
    coordinates
        Values and unit of each coordinate, by its name, ``frame_s``: its dimension is what comes before the unit.
    provenance
        The group's attribute `hubbub`.
    """
    import zarr
    from zarr.codecs import BloscCodec, BloscShuffle
    from zarr.storage import MemoryStore

    memory = MemoryStore()
    group = zarr.create_group(memory, zarr_format=3, attributes={"hubbub": provenance})
    group.create_array(
        FEATURES,
        shape=(0, *shape[1:]),
        dtype=dtype,
        chunks=(min(rows_per_chunk, shape[0]), *shape[1:]),
        shards=shape,
        compressors=BloscCodec(cname="lz4", clevel=5, shuffle=BloscShuffle.shuffle, typesize=np.dtype(dtype).itemsize),
        fill_value=float("nan"),
        dimension_names=dimensions,
        attributes=attributes,
    )
    for name, (values, unit) in coordinates.items():
        dimension = name.partition("_")[0]
        array = group.create_array(
            name, shape=values.shape, dtype="float64", dimension_names=(dimension,), attributes={"units": unit}
        )
        array[:] = values
    files = {name: buffer.to_bytes() for name, buffer in memory._store_dict.items()}
    return {name: files[name] for name in sorted(files, key=lambda name: (name == DOCUMENT, name))}


def shard_key(shard: int, dimensions: int = 3) -> str:
    """Name of a shard's object within its array of so many dimensions."""
    return "/".join(["c", str(shard), *["0"] * (dimensions - 1)])


def set_row_count(document: bytes, read_row_count: int) -> bytes:
    """The array's ``zarr.json`` with another number of rows."""
    described = json.loads(document)
    described["shape"][0] = read_row_count
    return json.dumps(described, indent=2).encode()


def read_row_count(document: bytes) -> int:
    """Rows that the array's ``zarr.json`` says there is room for."""
    return int(json.loads(document)["shape"][0])


def encode_shard(document: bytes, values: npt.NDArray[np.floating]) -> bytes:
    """One shard as it is stored.

    Parameters
    ----------
    document
        The array's ``zarr.json``, of any number of rows.
    values
        [rows_per_shard, …] of the array's shape and dtype.
    """
    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "memory"},
        "metadata": _describe_one_shard(document, len(values)),
        "store_data_equal_to_fill_value": True,  # "not written" must not be told from unused rows, which equal it
    }
    alone = _tensorstore().Context({"data_copy_concurrency": {"limit": 1}})  # and a memory of its own
    array = _tensorstore().open(spec, create=True, context=alone).result()
    array.write(values).result()
    return bytes(array.kvstore.read(shard_key(0, values.ndim)).result().value)


@lru_cache(maxsize=8)
def _describe_one_shard(document: bytes, rows: int) -> dict[str, Any]:
    return json.loads(set_row_count(document, rows))


def open_array(path: StoragePath) -> Any:
    """The array as tensorstore reads it: many chunks at once, decompressed outside Python's lock.

    Raises
    ------
    StoreError
        For what is no array.
    """
    spec = {"driver": "zarr3", "kvstore": _kvstore(path)}
    try:
        return _tensorstore().open(spec, read=True).result()
    except ValueError as error:
        raise StoreError(f"{path} is no array that can be read: {error}") from None


def open_with_zarr(path: StoragePath) -> Any:
    """The array as Zarr reads it, read-only."""
    import zarr

    if is_local(path):
        return zarr.open_array(path, mode="r", zarr_format=3)
    from zarr.storage import FsspecStore

    waiting = type(path.fs)(asynchronous=True, **path.storage_options)  # zarr has a loop of its own
    return zarr.open_array(FsspecStore(waiting, read_only=True, path=path.path), mode="r", zarr_format=3)


def _kvstore(path: StoragePath) -> dict[str, Any]:
    if is_local(path):
        return {"driver": "file", "path": str(path.resolve())}
    bucket, _, prefix = path.path.partition("/")
    spec: dict[str, Any] = {"driver": "s3", "bucket": bucket, "path": prefix}
    if (address := s3_endpoint()) is not None:
        # An address of one's own has no region to be asked for.
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        spec |= {"endpoint": address, "aws_region": region}
    if is_anonymous():
        spec["aws_credentials"] = {"type": "anonymous"}
    elif "AWS_ACCESS_KEY_ID" in os.environ:
        spec["aws_credentials"] = {"type": "environment"}
    return spec


def _tensorstore() -> Any:
    import tensorstore

    return tensorstore
