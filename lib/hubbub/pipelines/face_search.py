"""The functions of ``import hubbub`` that find windows for a person to hear."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from hubbub.clips.table import ClipTable
from hubbub.store.features import FeatureStore

if TYPE_CHECKING:
    from distributed import Client

    from hubbub.pipelines.inputs import PathLike


def search(
    store: PathLike | FeatureStore,
    like: PathLike | int | Iterable[PathLike | int],
    out: PathLike | None = None,
    *,
    top: int = 50,
    with_example: bool = False,
    client: Client | None = None,
    cluster: str | None = None,
    workers: int | None = None,
    ship: bool = False,
    log_json: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> ClipTable:
    """Find the windows of an embedding store that are most like an example, by the cosine of their embeddings.

    Parameters
    ----------
    store
        The store, which ``hubbub embed`` made.
    like
        An example, or several, whose mean direction is looked for: a recording (``"clip.wav"``: the mean of its
        windows; ``"clip.wav@12.5"``: the window from that second on; ``"clip.wav@12.5-20"``: the windows of a stretch),
        which the store's own model embeds; or a clip_id, or the number of a row, of the store.
    out
        A clip table to write; None: nothing is written.
    top
        How many windows to find.
    with_example
        Find windows that overlap an example as well.
    client, cluster, workers, ship, log_json, progress
        As in `build_features`; by default threads of this process compare the rows, or a local cluster where that takes
        long.

    Returns
    -------
    ClipTable
        Windows as clips, with the labels and columns of their clips, and `similarity`, -1 to 1, and `rank`, from 1.
        Of equally similar rows the one with the lower number comes first.

    Raises
    ------
    hubbub.errors.StoreError
        The rows are no embeddings, or cannot be read.
    hubbub.errors.UsageError
        An example is not there, or its embedding is zeros.

    Examples
    --------
    >>> hubbub.search("embeddings", "dog.wav", top=10).rows.to_pandas()  # doctest: +SKIP
    """
    from hubbub.pipelines.search import search as run

    return run(
        store,
        like,
        out,
        top=top,
        with_example=with_example,
        client=client,
        cluster=cluster,
        workers=workers,
        ship=ship,
        log_json=log_json,
        progress=progress,
    ).clips
