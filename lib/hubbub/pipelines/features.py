"""Build a feature store from a clip table. What ``hubbub features`` does."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubbub.clips.table import ClipTable
from hubbub.config import Settings
from hubbub.config.frontends import MADE_BY_MODELS
from hubbub.config.variants import Variants
from hubbub.errors import SettingsError, StoreError, UsageError, suggest_nearest
from hubbub.io.text import count_noun
from hubbub.pipelines.inputs import as_clips, as_path, as_settings, as_variants
from hubbub.pipelines.json_log import JsonLog
from hubbub.pipelines.reporting import Reporter, choose_reporter
from hubbub.pipelines.run_folder import ClusterOptions
from hubbub.pipelines.store_building import StoreRequest, StoreResult, build_store
from hubbub.store.features import FeatureStore
from hubbub.store.opening import check_store_path
from hubbub.store.summary import SUMMARY, write_summary
from hubbub.tasks.extract import ExtractTask

if TYPE_CHECKING:
    from distributed import Client

    from hubbub.pipelines.inputs import PathLike


def build_features(
    clips: PathLike | ClipTable,
    out: PathLike,
    *,
    settings: Settings | Mapping[str, Any] | PathLike | None = None,
    variants: Variants | PathLike | None = None,
    summary: str | None = None,
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
    """Build or grow a feature store; see `hubbub.build_features`, which returns the store alone."""
    reporter = choose_reporter(reporter, progress=progress)
    options = ClusterOptions(cluster, workers, ship, client)
    options.check()
    if summary not in (None, "csv"):
        raise UsageError(f"--summary '{summary}': expected csv")
    output, table = as_path(out, "out"), as_clips(clips)
    check_store_path(output)
    log = JsonLog(None if log_json is None else Path(log_json), "features", reporter.warn)
    request = StoreRequest(
        job="features",
        table=table,
        source=str(clips) if not isinstance(clips, ClipTable) else str(clips.source or "a clip table in memory"),
        output=output,
        settings=_refuse_model_settings(as_settings(settings)),
        variants=as_variants(variants),
        retry_failed=retry_failed,
        refuse_store=refuse_embeddings,
        check_settings=lambda chosen: _check_variants(table, chosen, reporter),
        make_task=ExtractTask,
    )
    result = build_store(request, options, log, reporter, dry_run=dry_run)
    if summary and not dry_run and result.store is not None and not result.is_stopped:
        lines = write_summary(result.store, result.store.path / SUMMARY)
        reporter.say(f"the means of {count_noun(lines, 'example')} are in {result.store.path / SUMMARY}")
    return result


def _refuse_model_settings(settings: Settings | None) -> Settings | None:
    """Refuse settings of rows that only a model makes."""
    if settings is not None and settings.frontend.name in MADE_BY_MODELS:
        name = settings.frontend.name
        raise SettingsError(f"frontend.name: rows of '{name}' are made by a model; use {MADE_BY_MODELS[name]}")
    return settings


def refuse_embeddings(store: FeatureStore) -> None:
    """Refuse a store that `hubbub embed` grows; raises `StoreError`."""
    if store.holds_embeddings:
        raise StoreError(
            f"{store.path} holds embeddings, which a model makes; grow it with: hubbub embed CLIPS -o {store.path}"
        )


def _check_variants(table: ClipTable, settings: Settings, reporter: Reporter) -> None:
    """Refuse noise and room recordings that cannot be read; warn of labels in the policy that no clip has."""
    if settings.variants is None:
        return
    from hubbub.audio.effects import check_effect_recordings  # a second of imports that only variants need

    check_effect_recordings(settings.variants, sample_rate=settings.frontend.sample_rate)
    known = sorted({label for labels in table.rows["labels"].to_pylist() for label in labels})
    for name in settings.variants.list_unknown_labels(known):
        reporter.warn(f"the policy names '{name}', which no clip is labelled: {suggest_nearest(name, known)}")
