"""Windows that suggestions are chosen from: those of label tables, or of a feature store that a model may score."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hubbub.config import Settings, describe_difference
from hubbub.errors import BundleError, UsageError
from hubbub.io.paths import StoragePath
from hubbub.labels.suggestions import LabelScheme, ScoredWindows, iterate_scored_windows
from hubbub.labels.suggestions.windows import find_tails
from hubbub.labels.tables import LabelTables, is_labels, open_labels
from hubbub.models.opening import WindowModel, open_model
from hubbub.pipelines.inputs import as_model_path, as_path
from hubbub.pipelines.row_clips import find_clip_root
from hubbub.store.features import FeatureStore
from hubbub.store.opening import is_store, open_store

if TYPE_CHECKING:
    from hubbub.models.bundle import Bundle
    from hubbub.models.foreign import ForeignModel
    from hubbub.pipelines.inputs import PathLike

_ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class WindowSource:
    """Windows of an archive.

    Attributes
    ----------
    path
        The label tables or the store.
    root
        What uris are relative to.
    scheme
        What scores mean; without labels where nothing scores the windows.
    overlapping
        How many windows, itself among them, one window shares sound with at most.
    has_embeddings
        Whether windows have embeddings, by which some are more alike than others; else their scores may tell.
    parts
        How many times `windows` yields.
    windows
        Goes through all windows that count.
    describe
        Tells `version` and `group` of recordings, by their uris.
    """

    path: StoragePath
    root: StoragePath
    scheme: LabelScheme
    overlapping: int
    has_embeddings: bool
    parts: int
    windows: Callable[[], Iterator[ScoredWindows]]
    describe: Callable[[set[str]], Mapping[str, Mapping[str, Any]]]


def open_source(
    given: PathLike | LabelTables | FeatureStore, model: PathLike | Bundle | ForeignModel | None
) -> WindowSource:
    """Open label tables, or a store with a model for its rows.

    Raises
    ------
    UsageError
        For anything else, or a model where there are scores already.
    BundleError
        The model is damaged, or scores other features than the store's.
    """
    path = given.path if isinstance(given, LabelTables | FeatureStore) else as_path(given, "source")
    if isinstance(given, LabelTables) or (not isinstance(given, FeatureStore) and is_labels(path)):
        if model is not None:
            raise UsageError(f"--model {model}: {path} are label tables, which have scores; leave --model out")
        return _from_labels(given if isinstance(given, LabelTables) else open_labels(path))
    if isinstance(given, FeatureStore) or is_store(path):
        store = given if isinstance(given, FeatureStore) else open_store(path)
        return _from_store(store, None if model is None else _open_scorer(as_model_path(model, "model"), store))
    if not path.exists():
        raise UsageError(f"{path} does not exist; expected label tables or a feature store")
    raise UsageError(
        f"{path} is neither label tables nor a feature store; expected a folder that hubbub label or hubbub embed made"
    )


def _from_labels(tables: LabelTables) -> WindowSource:
    rules = tables.rules
    thresholds = {name: rules[name].needed_peak for name in tables.labels if name in rules}
    scheme = LabelScheme(tables.labels, thresholds, tables.run.get("activation"))
    overlapping = 1
    if tables.frames is None:
        overlapping = _count_overlapping(tables.settings.windows.input_s, tables.run["hop_s"])

    def describe(uris: set[str]) -> dict[str, dict[str, Any]]:
        files = tables.files()
        told = ("version", "group") if "group" in files else ("version",)  # which older tables do not have
        return _tell(files[files["uri"].isin(uris)], told)

    return WindowSource(
        path=tables.path,
        root=tables.root,
        scheme=scheme,
        overlapping=overlapping,
        has_embeddings=False,
        parts=len(tables.committed()),
        windows=lambda: iterate_scored_windows(tables),
        describe=describe,
    )


def _from_store(store: FeatureStore, model: WindowModel | None) -> WindowSource:
    rows = store.rows(["row", "uri", "window", "start_s", "variant", "duration_s", "clip_end_s"])
    rows = rows[rows["variant"] == 0]  # augmented sound is in no recording
    settings = store.settings.windows
    end_s = rows["start_s"].to_numpy() + settings.duration_s
    for name in ("duration_s", "clip_end_s"):
        end_s = np.fmin(end_s, rows[name].to_numpy(np.float64))
    is_first = rows["window"].to_numpy() == 0
    is_tail = find_tails(rows["start_s"].to_numpy(), end_s, is_first, settings.duration_s)
    rows = rows.assign(end_s=end_s)[~is_tail]
    scheme = LabelScheme() if model is None else _read_scheme(model)
    overlapping = _count_overlapping(settings.duration_s, settings.hop_s or settings.duration_s)
    repeated = int(rows.groupby(["uri", "start_s"]).size().max()) if len(rows) else 1  # channels

    def describe(uris: set[str]) -> dict[str, dict[str, Any]]:
        told = store.rows(["uri", "version", "group"])
        return _tell(told[told["uri"].isin(uris)], ("version", "group"))

    return WindowSource(
        path=store.path,
        root=find_clip_root(store),
        scheme=scheme,
        overlapping=overlapping * repeated,
        has_embeddings=store.holds_embeddings,
        parts=-(-len(rows) // _ROWS_AT_ONCE),
        windows=lambda: _iterate_rows(store, rows, model),
        describe=describe,
    )


def _tell(rows: pd.DataFrame, columns: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Some columns of recordings, by their uris; None where a cell is empty."""
    own = rows[["uri", *columns]].drop_duplicates("uri", keep="last")
    told = own.astype(object).where(own.notna(), None).to_dict("records")
    return {row["uri"]: {name: row[name] for name in columns} for row in told}


def _count_overlapping(window_s: float, hop_s: float) -> int:
    """How many windows of a grid one of them shares sound with, itself among them."""
    return 2 * int(np.ceil(window_s / hop_s - 1e-9)) - 1


def _open_scorer(path: StoragePath, store: FeatureStore) -> WindowModel:
    model = open_model(path)
    if store.holds_embeddings and model.settings.frontend.name != store.settings.frontend.name:
        raise BundleError(
            f"{path} hears {model.settings.frontend.name}, and {store.path} holds embeddings; expected a head that was "
            f"trained on them (hubbub train {store.path} -o HEAD), or label tables: hubbub label CLIPS --model {path}"
        )
    ours, theirs = _list_deciding(model.settings), _list_deciding(store.settings)
    if ours != theirs:
        lines = "; ".join(describe_difference(ours, theirs)[:3])
        raise BundleError(
            f"{path} scores other features ({model.settings.hash}) than {store.path} holds ({store.settings_hash}): "
            f"{lines}. Train a model on features of these settings: hubbub train STORE -o BUNDLE"
        )
    if not model.labels:
        raise BundleError(f"{path} gives no scores, only embeddings; expected a model with labels")
    return model


def _list_deciding(settings: Settings) -> dict[str, Any]:
    """What has to be the same of a model's rows and a store's; how far windows are apart has not."""
    values = settings.values
    return {"frontend": values["frontend"], "windows": {"duration_s": values["windows"]["duration_s"]}}


def _read_scheme(model: WindowModel) -> LabelScheme:
    told = model.description
    return LabelScheme(model.labels, told.get("thresholds") or {}, told.get("activation"))


def _iterate_rows(store: FeatureStore, rows: pd.DataFrame, model: WindowModel | None) -> Iterator[ScoredWindows]:
    """Rows with their vectors, and their scores by the model, some at a time."""
    for begin in range(0, len(rows), _ROWS_AT_ONCE):
        some = rows.iloc[begin : begin + _ROWS_AT_ONCE]
        values = store.read_rows(some["row"].tolist())
        scores = np.empty((len(some), 0), np.float32) if model is None else model.predict(values)
        vectors: npt.NDArray[np.floating] = values[:, 0] if store.holds_embeddings else scores
        uri, start_s, end_s = (some[name].to_numpy() for name in ("uri", "start_s", "end_s"))
        yield ScoredWindows(uri.astype(object), start_s, end_s, scores, vectors)
