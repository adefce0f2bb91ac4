"""Embed recordings by a model into a feature store. What ``hubbub embed`` does."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubbub.clips.table import ClipTable
from hubbub.config import Layout, Settings, Windows, parse_settings
from hubbub.config.frontends import EmbeddingSettings
from hubbub.errors import BundleError, StoreError, UsageError
from hubbub.io.folders import remove_tree
from hubbub.io.paths import StoragePath
from hubbub.models.bundle import Bundle
from hubbub.models.copies import copy_model
from hubbub.models.foreign import ForeignModel
from hubbub.models.heads import describe_backbone, get_arithmetic, is_head
from hubbub.models.opening import check_model, open_embedder, read_description
from hubbub.models.precision import PRECISIONS
from hubbub.pipelines.inputs import as_model_path, as_path
from hubbub.pipelines.json_log import JsonLog
from hubbub.pipelines.recordings import read_recordings
from hubbub.pipelines.reporting import Reporter, choose_reporter
from hubbub.pipelines.run_folder import ClusterOptions
from hubbub.pipelines.store_building import StoreRequest, StoreResult, build_store
from hubbub.store.features import FeatureStore
from hubbub.store.opening import check_store_path, is_store, open_store
from hubbub.tasks.embed import MODEL_FOLDER, find_store_model, make_store_task

if TYPE_CHECKING:
    from distributed import Client

    from hubbub.pipelines.inputs import PathLike

_DTYPES = ("float32", "float16")

ROWS_PER_CHUNK = 256
"""Rows read at once: a MB where an embedding has 1,024 values."""


def embed(
    source: PathLike | ClipTable,
    out: PathLike,
    *,
    model: PathLike | Bundle | ForeignModel | None = None,
    hop_s: float | None = None,
    dtype: str | None = None,
    precision: str | None = None,
    cluster: str | None = None,
    workers: int | None = None,
    client: Client | None = None,
    ship: bool = False,
    retry_failed: bool = False,
    dry_run: bool = False,
    log_json: str | os.PathLike[str] | None = None,
    progress: bool = False,
    reporter: Reporter | None = None,
) -> StoreResult:
    """Embed recordings; see `hubbub.embed`, which returns the store alone."""
    reporter = choose_reporter(reporter, progress=progress)
    options = ClusterOptions(cluster, workers, ship, client)
    options.check()
    if dtype not in (None, *_DTYPES):
        raise UsageError(f"--dtype {dtype}: expected {' or '.join(_DTYPES)}")
    if precision not in (None, *PRECISIONS):
        raise UsageError(f"--precision {precision}: expected {' or '.join(PRECISIONS)}")
    output = as_path(out, "out")
    recordings = source if isinstance(source, ClipTable) else as_path(source, "source")
    check_store_path(output)
    log = JsonLog(None if log_json is None else Path(log_json), "embed", reporter.warn)
    held = open_store(output) if is_store(output) else None
    chosen = _choose_model(None if model is None else as_model_path(model), held, output)
    if held is not None and not held.committed():
        held = None  # an empty store, of a run that failed early, does not decide the settings
    table = recordings if isinstance(recordings, ClipTable) else read_recordings(recordings, reporter)
    request = StoreRequest(
        job="embed",
        table=table,
        source=str(table.source or "a clip table in memory") if isinstance(recordings, ClipTable) else str(recordings),
        output=output,
        settings=_make_settings(chosen, held, hop_s, dtype, precision),
        retry_failed=retry_failed,
        refuse_store=chosen.refuse_store,
        prepare_store=lambda store: _keep_model(store, chosen, reporter),
        make_task=make_store_task,
    )
    return build_store(request, options, log, reporter, dry_run=dry_run)


@dataclass(frozen=True)
class _Model:
    """The model that embeds, not loaded: what was given, or the store's own."""

    path: StoragePath
    description: Mapping[str, Any]

    @property
    def model_hash(self) -> str:
        return self.description["model_hash"]

    def refuse_store(self, store: FeatureStore) -> None:
        """Refuse a store that this model does not grow."""
        frontend = store.settings.frontend
        if not isinstance(frontend, EmbeddingSettings):
            raise StoreError(f"{store.path} holds features ({frontend.name}), no embeddings; give another -o")
        if frontend.model_hash != self.model_hash:
            raise StoreError(
                f"{store.path} holds embeddings of model {frontend.model} ({frontend.model_hash}); {self.path} is "
                f"{self.description['model']} ({self.model_hash}). Another model is another store: give another -o"
            )


def _choose_model(given: StoragePath | None, held: FeatureStore | None, output: StoragePath) -> _Model:
    """Return the given model, else that of the store; nothing is loaded."""
    if given is not None:
        check_model(given)
        return _Model(given, read_description(given))
    if held is None:
        raise UsageError(f"--model is missing, and {output} is a new store; give the bundle or YAML file of a model")
    if not held.holds_embeddings:
        raise StoreError(f"{held.path} holds features ({held.settings.frontend.name}), no embeddings; give another -o")
    path = find_store_model(held)
    return _Model(path, read_description(path))


def _make_settings(
    model: _Model, held: FeatureStore | None, hop_s: float | None, dtype: str | None, precision: str | None
) -> Settings:
    """Make the settings of the store; what the caller does not name is as the store has it."""
    heard = parse_settings(model.description["settings"], where=str(model.path))
    if is_head(heard):
        raise BundleError(describe_backbone(model.path))
    if held is not None:
        model.refuse_store(held)
    if precision not in (None, "float32") and "kind" in model.description:
        raise UsageError(
            f"--precision {precision}: {model.path} is a model of others, which computes as its file says; leave "
            "--precision out"
        )
    arithmetic = None if held is None else get_arithmetic(held.settings)
    _refuse_change(held, "--precision", precision, arithmetic)
    dimension = model.description.get("dimension") or open_embedder(model.path).dimension
    window_s = heard.windows.input_s
    before = None if held is None else held.settings.windows.hop_s or window_s
    _refuse_change(held, "--hop", hop_s, before)
    _refuse_change(held, "--dtype", dtype, None if held is None else held.settings.dtype)
    chosen_s = hop_s if hop_s is not None else before or model.description.get("hop_s") or window_s
    if not 0 < chosen_s <= window_s:
        raise UsageError(f"--hop {chosen_s:g}: expected more than 0 and at most the model's window, {window_s:g} s")
    return Settings(
        frontend=EmbeddingSettings(
            model=model.description["model"],
            model_hash=model.model_hash,
            dimension=dimension,
            arithmetic=precision or arithmetic or "float32",
            sample_rate=heard.frontend.sample_rate,
        ),
        windows=Windows(mode="all", duration_s=window_s, hop_s=None if chosen_s == window_s else chosen_s),
        channels="first" if heard.channels == "first" else "mix",
        dtype=dtype or (held.settings.dtype if held is not None else "float32"),
        layout=held.settings.layout if held is not None else Layout(rows_per_chunk=ROWS_PER_CHUNK),
    )


def _refuse_change(held: FeatureStore | None, option: str, given: Any, there: Any) -> None:
    """Refuse an option that a store was built without; raises `StoreError`."""
    if held is not None and given not in (None, there):
        raise StoreError(
            f"{option} {given}: {held.path} was built with {there}; leave {option} out to grow it, or give another -o"
        )


def _keep_model(store: FeatureStore, model: _Model, reporter: Reporter) -> None:
    """Copy the model into the store, unless a whole copy is there; workers, and later jobs, read that one."""
    try:
        find_store_model(store)
    except StoreError:
        with reporter.show_waiting("preparing the model"):
            remove_tree(store.path / MODEL_FOLDER)
            copy_model(model.path, store.path / MODEL_FOLDER, export=True)
