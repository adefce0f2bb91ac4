"""The functions of ``import hubbub``: one a job, each returns the object that the next one takes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hubbub.clips.sources import Columns
from hubbub.clips.table import ClipTable
from hubbub.config import Settings
from hubbub.config.variants import Variants
from hubbub.io.paths import StoragePath
from hubbub.labels.tables import LabelTables
from hubbub.models.bundle import Bundle
from hubbub.store.features import FeatureStore

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Client

    from hubbub.pipelines.evaluate import Evaluation
    from hubbub.pipelines.inputs import PathLike
    from hubbub.pipelines.verify import Verification
    from hubbub.store.info import StoreInfo


def index(
    source: PathLike,
    out: PathLike | None = None,
    *,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    progress: bool = False,
) -> ClipTable:
    """List recordings and their labels in a clip table.

    Parameters
    ----------
    source
        A folder of recordings, a CSV file, or the URL of either.
    out
        The Parquet file to write; None: the table stays in memory.
    format
        ``folder`` (a class a sub-folder), ``flat`` (unlabelled), ``esc50`` or ``csv``; None: what fits.
    columns
        Names of a CSV's columns by their role: path, label, fold, split, group, start_s, end_s, recorded_at.
    progress
        Print progress and warnings.

    Raises
    ------
    hubbub.errors.ClipTableError
        For a source that cannot be read, or clips that break the contract of the table.
    hubbub.errors.StorageError
        When `out` cannot be written.

    Examples
    --------
    >>> clips = hubbub.index("recordings/", out="clips.parquet")  # doctest: +SKIP
    """
    from hubbub.pipelines.index import index as run

    return run(source, out, format=format, columns=Columns(**(columns or {})), progress=progress).table


def read_clips(path: PathLike) -> ClipTable:
    """Read a clip table; raises `hubbub.errors.ClipTableError` where `path` holds none."""
    from hubbub.pipelines.inputs import as_clips

    return as_clips(path)


def build_features(
    clips: PathLike | ClipTable,
    out: PathLike,
    *,
    settings: Settings | Mapping[str, Any] | PathLike | None = None,
    variants: Variants | PathLike | None = None,
    client: Client | None = None,
    cluster: str | None = None,
    workers: int | None = None,
    ship: bool = False,
    retry_failed: bool = False,
    summary: str | None = None,
    log_json: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> FeatureStore:
    """Compute spectrograms, or other features, of clips in a feature store.

    Only new and changed clips are computed; clips missing from the table are marked ``retired`` and excluded. A clip
    that fails becomes a failed row: `hubbub.info` counts the reasons.

    Parameters
    ----------
    clips
        A clip table, or the path of one.
    out
        The store: new, or one to grow.
    settings
        A mapping such as ``{"frontend.n_mels": 64}``, `Settings`, or the path of a YAML file; None: those of the store,
        or the defaults.
    variants
        The path of a policy (YAML) of augmented copies.
    client
        A `distributed.Client` of your own, in place of `cluster`; it stays open.
    cluster
        ``local`` (the default), ``serial``, a scheduler's address, or the path of a cluster file.
    workers
        Processes of a local cluster; None: one a core.
    ship
        Send this hubbub to workers of an external cluster.
    retry_failed
        Try clips again that failed in earlier runs.
    summary
        ``csv``: write also the mean of each band, one line a clip.
    log_json
        A file that gets events as JSON lines.
    progress
        Print the plan, progress and the result.

    Raises
    ------
    hubbub.errors.UsageError
        For input that cannot be used: clip table, settings, store or cluster.
    hubbub.errors.ClusterLost, hubbub.errors.StorageError
        When the cluster or the storage fails; what is committed is kept, and the same call resumes.
    TypeError
        For an argument of another type.

    Examples
    --------
    >>> store = hubbub.build_features(clips, "store", settings={"frontend.n_mels": 64})  # doctest: +SKIP
    """
    from hubbub.pipelines.features import build_features as run

    result = run(
        clips,
        out,
        settings=settings,
        variants=variants,
        summary=summary,
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


def open_store(path: PathLike | FeatureStore) -> FeatureStore:
    """Open a feature store; raises `hubbub.errors.StoreError` where `path` holds none."""
    from hubbub.pipelines.inputs import as_store

    return as_store(path)


def info(store: PathLike | FeatureStore) -> StoreInfo:
    """Summarise what a store holds: clips, labels, hours, bytes, failures by reason, settings, versions."""
    from hubbub.pipelines.info import info as run

    return run(store)


def verify(
    path: PathLike | FeatureStore | LabelTables,
    *,
    clips: PathLike | ClipTable | None = None,
    repair: bool = False,
    client: Client | None = None,
    cluster: str | None = None,
    workers: int | None = None,
    progress: bool = False,
) -> Verification:
    """Check a feature store or label tables against their own records.

    Parameters
    ----------
    path
        The store or label tables.
    clips
        Check also that each clip of this table is in the store.
    repair
        Compute broken clips again from their recordings, and remove leftovers of runs that broke off.
    client, cluster, workers
        As in `build_features`; by default serial for a small store, local for a large one.
    progress
        Print problems and the result.

    Returns
    -------
    Verification
        `problems`, and `is_ok`.
    """
    from hubbub.pipelines.verify import verify as run

    return run(path, clips=clips, repair=repair, cluster=cluster, workers=workers, client=client, progress=progress)


def compact(
    store: PathLike | FeatureStore,
    *,
    prune: bool = False,
    client: Client | None = None,
    cluster: str | None = None,
    workers: int | None = None,
    progress: bool = False,
) -> FeatureStore:
    """Rewrite a store into full shards, without retired and replaced rows.

    Parameters
    ----------
    store
        The store.
    prune
        Then remove the old shards, which open readers may still need.
    client, cluster, workers
        As in `build_features`.
    progress
        Print the plan, progress and the result.
    """
    from hubbub.pipelines.compact import compact as run

    return run(store, prune=prune, cluster=cluster, workers=workers, client=client, progress=progress)


def train(
    store: PathLike | FeatureStore,
    out: PathLike,
    *,
    model: str = "default",
    test_fold: int | None = None,
    split_by: str | None = None,
    epochs: int | None = None,
    seed: int = 0,
    log_json: str | None = None,
    progress: bool = False,
) -> Bundle:
    """Train a model on a feature store.

    Parameters
    ----------
    store
        The store.
    out
        Folder of the bundle, on this machine. After a kill, the same call resumes at the last whole epoch.
    model
        ``default`` or ``seed-cnn``.
    test_fold
        Fold to keep out and test on.
    split_by
        ``fold``, ``split`` or ``group``; None: what the clips have.
    epochs
        None: what suits the model and the data.
    seed
        Decides weights, order and augmentation.
    log_json
        A file that gets a JSON line an epoch.
    progress
        Print epochs.

    Raises
    ------
    hubbub.errors.TrainingError
        The rows cannot train or test a model.
    hubbub.errors.StoreError, hubbub.errors.BundleError
        The store cannot be opened, or `out` holds something else.

    Examples
    --------
    >>> bundle = hubbub.train(store, "bundle", test_fold=1)  # doctest: +SKIP
    """
    from hubbub.models.bundle import load_bundle
    from hubbub.pipelines.train import train as run

    result = run(
        store,
        out,
        model=model,
        test_fold=test_fold,
        split_by=split_by,
        epochs=epochs,
        seed=seed,
        log_json=log_json,
        progress=progress,
    )
    return load_bundle(result.bundle)


def open_bundle(path: PathLike | Bundle) -> Bundle:
    """Open a model bundle and load its model; raises `hubbub.errors.BundleError` where `path` holds none."""
    from hubbub.pipelines.inputs import as_bundle

    return as_bundle(path)


def evaluate(
    bundle: PathLike | Bundle,
    store: PathLike | FeatureStore,
    out: PathLike | None = None,
    *,
    fold: int | None = None,
    progress: bool = False,
) -> Evaluation:
    """Measure a bundle on the test clips of a store.

    Parameters
    ----------
    bundle, store
        The model, and features of the same settings.
    out
        Folder for scores, predictions and a report; None: nothing is written.
    fold
        Fold to test on; None: the clips that training kept out.
    progress
        Print warnings.

    Returns
    -------
    Evaluation
        `accuracy`, `macro_f1`, `per_class`, `confusion` [true, predicted], and `predictions`, a DataFrame.

    Raises
    ------
    hubbub.errors.BundleError
        The store's features are not those of the model.
    hubbub.errors.TrainingError
        There is nothing to score.

    Examples
    --------
    >>> hubbub.evaluate(bundle, store).accuracy  # doctest: +SKIP
    """
    from hubbub.pipelines.evaluate import evaluate as run

    return run(bundle, store, out, fold=fold, progress=progress)


def label(
    source: PathLike | ClipTable,
    bundle: PathLike | Bundle,
    out: PathLike,
    *,
    hop_s: float | None = None,
    thresholds: float | Mapping[str, float] | None = None,
    release: float | None = None,
    min_duration_s: float | None = None,
    merge_gap_s: float | None = None,
    client: Client | None = None,
    cluster: str | None = None,
    workers: int | None = None,
    ship: bool = False,
    retry_failed: bool = False,
    log_json: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> LabelTables:
    """Label recordings of any length: score every window, and find events in the scores.

    Parameters
    ----------
    source
        A folder of recordings, one recording, or a clip table.
    bundle
        The model, or the path of its bundle.
    out
        The label tables: new, or ones to grow. Only new files are labelled.
    hop_s
        Seconds from one window to the next; None: a fifth of a window.
    thresholds
        Score at which an event begins: one for all labels, or a mapping; None: the bundle's own.
    release
        Share of the threshold below which an event ends.
    min_duration_s, merge_gap_s
        Drop shorter events; join events of one label with a shorter gap.
    client, cluster, workers, ship, retry_failed, log_json, progress
        As in `build_features`.

    Returns
    -------
    LabelTables
        `events()`, `files()` and `windows()` are DataFrames.

    Raises
    ------
    hubbub.errors.LabelsError, hubbub.errors.BundleError, hubbub.errors.ClipTableError
        For label tables of another model, a damaged bundle, or no recordings.

    Examples
    --------
    >>> hubbub.label("archive/", bundle, "labels").events()  # doctest: +SKIP
    """
    from hubbub.pipelines.label import label as run

    result = run(
        source,
        bundle,
        out,
        hop_s=hop_s,
        thresholds=thresholds,
        release=release,
        min_duration_s=min_duration_s,
        merge_gap_s=merge_gap_s,
        cluster=cluster,
        workers=workers,
        client=client,
        ship=ship,
        retry_failed=retry_failed,
        log_json=log_json,
        progress=progress,
    )
    assert result.labels is not None  # only a dry run has none
    return result.labels


def open_labels(path: PathLike | LabelTables) -> LabelTables:
    """Open label tables; raises `hubbub.errors.LabelsError` where `path` holds none."""
    from hubbub.pipelines.inputs import as_labels

    return as_labels(path)


def find_events(
    labels: PathLike | LabelTables,
    *,
    thresholds: float | Mapping[str, float] | None = None,
    release: float | None = None,
    min_duration_s: float | None = None,
    merge_gap_s: float | None = None,
    progress: bool = False,
) -> LabelTables:
    """Find events again from stored window scores, without the model; a rule that is not given stays.

    Parameters are those of `label`. The label tables on disk are changed.
    """
    from hubbub.pipelines.events import find_events as run

    return run(
        labels,
        thresholds=thresholds,
        release=release,
        min_duration_s=min_duration_s,
        merge_gap_s=merge_gap_s,
        progress=progress,
    )


def export(labels: PathLike | LabelTables, out: PathLike, *, format: str) -> list[StoragePath]:
    """Write events into folder `out` as ``csv``, ``audacity`` label tracks or ``raven`` selection tables."""
    from hubbub.pipelines.export import export as run

    return run(labels, out, format=format)


def report(
    sources: Sequence[PathLike | LabelTables | Evaluation],
    out: PathLike,
    *,
    truth: PathLike | pd.DataFrame | None = None,
    title: str = "hubbub report",
) -> StoragePath:
    """Write evaluations and label tables as one HTML page.

    Parameters
    ----------
    sources
        Label tables, evaluations that were written, or their folders.
    out
        The page.
    truth
        True events (uri, label, onset_s, offset_s), to show and score.
    title
        Heading of the page.
    """
    from hubbub.pipelines.report import report as run

    return run(sources, out, truth=truth, title=title)
