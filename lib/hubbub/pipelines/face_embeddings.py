"""The functions of ``import hubbub`` about embeddings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hubbub.clips.table import ClipTable
from hubbub.models.bundle import Bundle
from hubbub.store.features import FeatureStore

if TYPE_CHECKING:
    from distributed import Client

    from hubbub.models.foreign import ForeignModel
    from hubbub.pipelines.inputs import PathLike


def embed(
    source: PathLike | ClipTable,
    out: PathLike,
    *,
    model: PathLike | Bundle | ForeignModel | None = None,
    hop_s: float | None = None,
    dtype: str | None = None,
    precision: str | None = None,
    client: Client | None = None,
    cluster: str | None = None,
    workers: int | None = None,
    ship: bool = False,
    retry_failed: bool = False,
    log_json: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> FeatureStore:
    """Compute a model's embeddings of recordings of any length in a feature store, one vector a window.

    Only new and changed recordings are embedded. The store keeps a copy of the model: to grow it, to train heads on it
    (`train`) and to search it.

    Parameters
    ----------
    source
        A folder of recordings, one recording, or a clip table; labels of a clip table are carried along.
    out
        The store: new, or one to grow.
    model
        The model, the path of its bundle, or that of the YAML file of a model of others; None: the store's own.
    hop_s
        Seconds from one window to the next; None: the store's, else the model's own, else its window.
    dtype
        ``float32`` or ``float16``, of stored values; None: the store's, else float32.
    precision
        What a bundle's network computes in: ``float32``, or ``float16`` or ``bfloat16``, for GPUs; None: as in the
        store, else float32.
    client, cluster, workers, ship, retry_failed, log_json, progress
        As in `build_features`.

    Returns
    -------
    FeatureStore
        `rows()` tells which row is which window; `read_rows` gives them, [row, 1, dimension].

    Raises
    ------
    hubbub.errors.StoreError, hubbub.errors.BundleError, hubbub.errors.ClipTableError
        For a store of another model or of spectrograms, a damaged model or one that gives no embeddings, or no
        recordings.

    Examples
    --------
    >>> store = hubbub.embed("archive/", "embeddings", model="bundle")  # doctest: +SKIP
    """
    from hubbub.pipelines.embed import embed as run

    result = run(
        source,
        out,
        model=model,
        hop_s=hop_s,
        dtype=dtype,
        precision=precision,
        cluster=cluster,
        workers=workers,
        client=client,
        ship=ship,
        retry_failed=retry_failed,
        log_json=log_json,
        progress=progress,
    )
    assert result.store is not None  # only a dry run has none
    return result.store
