"""The functions of ``import hubbub`` about models and labels."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hubbub.clips.table import ClipTable
from hubbub.io.paths import StoragePath
from hubbub.labels.tables import LabelTables
from hubbub.models.bundle import Bundle
from hubbub.store.features import FeatureStore

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Client

    from hubbub.config.recipes import RecipeSettings
    from hubbub.models.foreign import ForeignModel
    from hubbub.pipelines.evaluate import Evaluation
    from hubbub.pipelines.export_model import ExportResult
    from hubbub.pipelines.inputs import PathLike


def train(
    store: PathLike | FeatureStore,
    out: PathLike,
    *,
    model: str | None = None,
    test_fold: int | None = None,
    split_by: str | None = None,
    settings: RecipeSettings | Mapping[str, Any] | PathLike | None = None,
    weights: str | os.PathLike[str] | None = None,
    epochs: int | None = None,
    seed: int = 0,
    backgrounds: PathLike | None = None,
    negatives: PathLike | None = None,
    unlabelled: PathLike | None = None,
    teacher: PathLike | None = None,
    allow_leakage: bool = False,
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
        ``default``, ``detector`` (which says when, for labelling) or another of `list_models`; None: ``default``, or
        ``linear`` for a store of embeddings.
    test_fold
        Fold to keep out and test on.
    split_by
        ``fold``, ``split`` or ``group``; None: what the clips have.
    settings
        Changes to the recipe such as ``{"model.learning_rate": 0.001}``, or the path of a YAML file; ``hubbub settings
        --model default`` prints all of them.
    weights
        What a network for photographs begins with: ``imagenet`` (which is fetched once), ``random``, a file of weights,
        or its address at https://; None: ``imagenet``, or what `settings` say. Short for ``model.weights``.
    epochs
        Short for ``train.epochs``; None: what suits the model and the data.
    seed
        Decides weights, order and augmentation.
    backgrounds
        For ``detector``: a folder of recordings, or a store, without any of the labels: your own city, into which
        training mixes events.
    negatives
        For ``detector``: a folder, or a store, of sounds that carry none of the labels.
    unlabelled, teacher
        For ``detector``: a folder of recordings, or a store, of your archive, and a detector trained before whose
        scores of them are learnt as well.
    allow_leakage
        Train even where a recording is on both sides of the split.
    log_json
        A file that gets a JSON line an epoch.
    progress
        Print epochs.

    Raises
    ------
    hubbub.errors.TrainingError
        The rows cannot train or test a model, a recording is on both sides of the split, or the weights are not there.
    hubbub.errors.SettingsError
        A setting is unknown or out of range.
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
        settings=settings,
        weights=weights,
        epochs=epochs,
        seed=seed,
        backgrounds=backgrounds,
        negatives=negatives,
        unlabelled=unlabelled,
        teacher=teacher,
        allow_leakage=allow_leakage,
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
    bundle: PathLike | Bundle | ForeignModel,
    out: PathLike,
    *,
    hop_s: float | None = None,
    thresholds: float | Mapping[str, float] | None = None,
    release: float | None = None,
    min_duration_s: float | None = None,
    merge_gap_s: float | None = None,
    precision: str | None = None,
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
        The model, the path of its bundle, or that of the YAML file of a model of others.
    out
        The label tables: new, or ones to grow. Only new files are labelled.
    hop_s
        Seconds from one window to the next, for models that score windows; None: what
        the YAML file says, else a fifth of a window.
    thresholds
        Score at which an event begins: one for all labels, or a mapping; None: the bundle's own.
    release
        Share of the threshold below which an event ends.
    min_duration_s, merge_gap_s
        Drop shorter events; join events of one label with a shorter gap.
    precision
        What a bundle's network computes in: ``float32``, or ``float16`` or ``bfloat16``, for GPUs; None: as in the
        label tables, else float32.
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
        precision=precision,
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


def export_model(
    bundle: PathLike | Bundle,
    out: PathLike,
    *,
    format: str,
    compare: PathLike | FeatureStore | None = None,
    progress: bool = False,
) -> ExportResult:
    """Write a model for another runtime, compared with the bundle; needs Keras on TensorFlow.

    Parameters
    ----------
    bundle
        The model, or the path of its bundle.
    out
        Folder to make, on this machine. It is there when all of it is written and equal.
    format
        ``onnx``, ``litert`` or ``openvino``.
    compare
        A feature store of the model's settings, a folder of recordings, or one recording, on which the two are
        compared; None: voices, noise and other sounds that are made.
    progress
        Print what is done.

    Returns
    -------
    ExportResult
        `path` of the YAML file, which `label` takes as a model; `files`; `max_difference` of a score from the bundle's.

    Raises
    ------
    hubbub.errors.BundleError
        There is no bundle, the format lacks what its network computes, a score differs by more than 1e-4, a package is
        missing, or `out` holds another model.
    hubbub.errors.UsageError
        The format is unknown, or there is nothing to compare on.
    hubbub.errors.StoreError
        `out` holds something else.

    Examples
    --------
    >>> exported = hubbub.export_model("bundle", "exported", format="onnx")  # doctest: +SKIP
    >>> hubbub.label("archive/", exported.path, "labels")  # doctest: +SKIP
    """
    from hubbub.pipelines.export_model import export_model as run

    return run(bundle, out, format=format, compare=compare, progress=progress)


def write_report(
    sources: PathLike
    | LabelTables
    | Evaluation
    | ClipTable
    | Sequence[PathLike | LabelTables | Evaluation | ClipTable],
    out: PathLike,
    *,
    truth: PathLike | pd.DataFrame | None = None,
    title: str = "hubbub report",
    samples: int | None = None,
    max_size_mb: float = 50,
    root: PathLike | None = None,
    timezone: str | None = None,
) -> StoragePath:
    """Write evaluations, label tables and clip tables as one HTML page.

    Parameters
    ----------
    sources
        One or several: label tables, evaluations that were written, or their folders; clip tables, such as `search`
        finds.
    out
        The page.
    truth
        True events (uri, label, onset_s, offset_s), to show and score.
    title
        Heading of the page.
    samples
        Events of each label that are shown of label tables, spread over their scores; None: 10, and none where the
        recordings themselves are shown, which are 20 and 15 minutes together at most.
    max_size_mb
        Megabytes of the page: of label tables, events and recordings are left out for it, which the page says.
    root
        Where recordings with relative names lie now; None: where the label tables say.
    timezone
        Of days and hours of label tables, such as ``Europe/Berlin``; None: UTC.

    Returns
    -------
    path
        The page, as `out` was given.

    Raises
    ------
    hubbub.errors.UsageError
        A source is none of these, an evaluation was not written, `root` is no folder, there is no such time zone, or a
        number is out of range.
    hubbub.errors.StoreError
        `out` is something else than a report.

    Examples
    --------
    >>> hubbub.write_report(hubbub.search("embeddings", "dog.wav"), "page.html")  # doctest: +SKIP
    """
    from hubbub.pipelines.report import report as run

    return run(
        sources,
        out,
        truth=truth,
        title=title,
        samples=samples,
        max_size_mb=max_size_mb,
        root=root,
        timezone=timezone,
    )
