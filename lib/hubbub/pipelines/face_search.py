"""The functions of ``import hubbub`` that find windows for a person to hear."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from hubbub.clips.table import ClipTable
from hubbub.labels.tables import LabelTables
from hubbub.store.features import FeatureStore

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Client

    from hubbub.models.bundle import Bundle
    from hubbub.models.foreign import ForeignModel
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
        An example is not there, or its embedding is zeros; or `top` is no number that a search can hold.
    hubbub.errors.StorageError
        `out` cannot be written.

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


def suggest(
    source: PathLike | LabelTables | FeatureStore,
    out: PathLike,
    *,
    strategy: str = "uncertain",
    count: int = 100,
    labels: str | Sequence[str] = (),
    model: PathLike | Bundle | ForeignModel | None = None,
    exclude: PathLike | ClipTable | pd.DataFrame | Sequence[PathLike | ClipTable | pd.DataFrame] = (),
    progress: bool = False,
) -> ClipTable:
    """Choose windows that are worth a person's ear, and cut them out as WAV files.

    Parameters
    ----------
    source
        Label tables; or a feature store.
    out
        A new folder on this machine. It gets ``suggestions.csv``, to be filled in and given to `index`; the same as a
        clip table, for `write_report`; and the clips.
    strategy
        ``uncertain``: the model is least sure of them, recordings taking turns; ``diverse``: unlike each other, and
        unlike those of `exclude`; ``top``: the highest scores; ``balanced``: as many of each label and range of scores,
        drawn by lot.
    count
        How many windows; windows that overlap count as one.
    labels
        The labels that matter, or the one; empty: all.
    model
        Of a store: the model that scores its rows. Without one, a store of embeddings has only ``diverse``.
    exclude
        What was heard already, or trained on, one table or several: clip tables, suggestions with verdicts, tables with
        uri, start_s, end_s, or the folder ``reviews`` of label tables.
    progress
        Print progress.

    Returns
    -------
    ClipTable
        The windows, without labels, with columns `rank`, `suggested`, `score`, `reason`, `clip` and `problem`.

    Raises
    ------
    hubbub.errors.UsageError
        The strategy needs scores that are not there, `out` holds something, or no window is left.
    hubbub.errors.BundleError
        The model scores other features than the store's, or gives no scores.
    hubbub.errors.ClipTableError
        A table of `exclude` cannot be read.

    Examples
    --------
    >>> hubbub.suggest("labels", "suggestions", strategy="uncertain", count=100)  # doctest: +SKIP
    """
    from hubbub.pipelines.suggest import suggest as run

    return run(
        source,
        out,
        strategy=strategy,
        count=count,
        labels=labels,
        model=model,
        exclude=exclude,
        progress=progress,
    ).clips
