"""The functions of ``import hubbub`` about clips and stores; each returns the object that the next one takes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from hubbub.clips.sources import Columns
from hubbub.clips.table import ClipTable
from hubbub.config import Settings
from hubbub.config.variants import Variants
from hubbub.errors import UsageError, suggest_nearest
from hubbub.labels.tables import LabelTables
from hubbub.store.features import FeatureStore

if TYPE_CHECKING:
    from distributed import Client

    from hubbub.pipelines.check_clips import ClipCheck
    from hubbub.pipelines.inputs import PathLike
    from hubbub.pipelines.verify import Verification
    from hubbub.store.info import StoreInfo


def index(
    source: PathLike,
    out: PathLike | None = None,
    *,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    pattern: str | None = None,
    normalise_labels: bool = False,
    timezone: str | None = None,
    append: bool = False,
    client: Client | None = None,
    cluster: str | None = None,
    workers: int | None = None,
    progress: bool = False,
) -> ClipTable:
    """List recordings and their labels in a clip table.

    Parameters
    ----------
    source
        A data set as downloaded, a folder of recordings, a CSV file, or the URL of any.
    out
        The Parquet file to write; None: the table stays in memory.
    format
        ``folder`` (a class a sub-folder), ``flat`` (unlabelled), ``csv``, or another that ``hubbub index --formats``
        lists; None: the one that the source is recognised by.
    columns
        Names of a CSV's columns by their role: path, label, fold, split, group, start_s, end_s, recorded_at; and
        `label_separator`, what parts several labels in one cell.
    pattern
        Labels in names: a regular expression whose named groups become columns, such as ``(?P<label>[a-z]+)_.*``.
    normalise_labels
        Make one label of those that differ in case, blanks, hyphens or underscores only.
    timezone
        The zone of recorders' clocks, such as ``Europe/Berlin``, where names and headers tell none.
    append
        Add the clips that `out` does not have yet.
    client, cluster, workers
        As in `build_features`; without any, headers are read in threads of this process.
    progress
        Print progress and warnings.

    Raises
    ------
    hubbub.errors.ClipTableError
        For a source that cannot be read or may be of several formats, or clips that break the contract of the table.
    hubbub.errors.StorageError
        When `out` cannot be written.

    Examples
    --------
    >>> clips = hubbub.index("recordings/", out="clips.parquet")  # doctest: +SKIP
    """
    from hubbub.pipelines.index import index as run

    return run(
        source,
        out,
        format=format,
        columns=_name_columns(columns or {}),
        pattern=pattern,
        normalise_labels=normalise_labels,
        timezone=timezone,
        append=append,
        client=client,
        cluster=cluster,
        workers=workers,
        progress=progress,
    ).table


def _name_columns(given: Mapping[str, str]) -> Columns:
    known = [field.name for field in fields(Columns)]
    for role in given:
        if role not in known:
            raise UsageError(f"columns: no role '{role}': {suggest_nearest(role, known)}")
    return Columns(**given)


def check_clips(
    clips: PathLike | ClipTable,
    *,
    client: Client | None = None,
    cluster: str | None = None,
    workers: int | None = None,
    progress: bool = False,
) -> ClipCheck:
    """Decode every recording of a clip table once, and say what would make training wrong.

    Parameters
    ----------
    clips
        A clip table, or the path of one.
    client, cluster, workers
        As in `build_features`; by default serial where little is to do, else local.
    progress
        Print the findings.

    Returns
    -------
    ClipCheck
        `problems`, `warnings`, `notes`, `facts` (one row a recording), and `is_ok`.

    Raises
    ------
    hubbub.errors.ClipTableError
        For a clip table that cannot be read.
    """
    from hubbub.pipelines.check_clips import check_clips as run

    found = run(clips, cluster=cluster, workers=workers, client=client, progress=progress)
    assert found is not None  # only a dry run has none
    return found


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
    that fails becomes a failed row: `hubbub.summarise_store` counts the reasons.

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


def summarise_store(store: PathLike | FeatureStore) -> StoreInfo:
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
