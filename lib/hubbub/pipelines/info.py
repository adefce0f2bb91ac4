"""Describe what a feature store holds. What ``hubbub info`` does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubbub.errors import UsageError
from hubbub.io.folders import refuse_foreign_file
from hubbub.io.text import count_noun
from hubbub.pipelines.inputs import as_store
from hubbub.pipelines.quantities import format_size
from hubbub.pipelines.reporting import Reporter, choose_reporter
from hubbub.store.features import FeatureStore
from hubbub.store.info import StoreInfo, summarise_store

if TYPE_CHECKING:
    from hubbub.pipelines.inputs import PathLike


def info(store: PathLike | FeatureStore, *, reporter: Reporter | None = None) -> StoreInfo:
    """Summarise a store; see `hubbub.summarise_store`."""
    with choose_reporter(reporter).show_waiting(f"reading {store}"):
        return summarise_store(as_store(store))


def check_plot_path(plot: Path | None) -> None:
    """Refuse a picture that is no PNG, or would replace something else; raises `UsageError` and `StoreError`."""
    if plot is None:
        return
    if plot.suffix.lower() != ".png":
        raise UsageError(f"--plot {plot}: pictures are written as PNG; give a name that ends with .png")
    refuse_foreign_file(plot, b"\x89PNG", "a picture")


def list_warnings(facts: StoreInfo) -> Iterator[str]:
    """List what a person should do about a store."""
    stored = facts.clips_ok + facts.clips_failed
    if facts.clips_expected is not None and facts.clips_expected > stored:
        clips, job = count_noun(facts.clips_expected, "clip"), "embed" if _holds_embeddings(facts) else "features"
        yield f"{stored} of {clips} stored: a run broke off; run hubbub {job} again"
    if facts.worth_compacting:
        yield (
            f"{facts.holes:.0%} of the rows of its {count_noun(facts.shards, 'shard')} are empty: {facts.shards_least} "
            f"would do. Rewrite the store with: hubbub compact {facts.path}"
        )


def describe_store(facts: StoreInfo) -> dict[str, Any]:
    """Describe a store, as names and values for people; leave out empty values."""
    clips = f"{facts.clips_ok} ok, {facts.clips_failed} failed, {facts.clips_retired} retired"
    lines = {
        "rows": f"{facts.rows}, of {_describe_row(facts)}",
        "clips": clips + (f"; {facts.clips_unlabelled} of those ok have no label" if facts.clips_unlabelled else ""),
        "audio": f"{_format_hours(facts.sound_s)} in its windows; overlaps, channels and variants count once",
        "folds": _format_counts(facts.folds),
        "splits": _format_counts(facts.splits),
        "size": _describe_size(facts),
        "compression": _format_compression(facts),
        "holes": f"{facts.holes:.1%} of the shards' rows are empty" if facts.shards else "",
        "settings": "\n".join([facts.settings_hash, *_format_settings(facts.settings)]),
        "built": f"{facts.created_at} from {facts.source}",
        "versions": ", ".join(f"{name} {version}" for name, version in facts.versions.items()),
        "format": facts.format,
    }
    return {name: line for name, line in lines.items() if line}


def _describe_row(facts: StoreInfo) -> str:
    frames, values = facts.row_shape
    if _holds_embeddings(facts):
        return f"{values} values, embeddings by {facts.settings['frontend']['model']}"
    return f"{frames} frames x {values} bands"


def _holds_embeddings(facts: StoreInfo) -> bool:
    return bool(facts.settings["frontend"]["name"] == "embedding")


def _describe_size(facts: StoreInfo) -> str:
    shards, rows = format_size(facts.shard_bytes), format_size(facts.part_bytes)
    leftover = f", leftover shards {format_size(facts.left_bytes)}" if facts.left_bytes else ""
    others = f"{'model and other' if _holds_embeddings(facts) else 'other'} files {format_size(facts.other_bytes)}"
    return f"{format_size(facts.bytes)}: {count_noun(facts.shards, 'shard')} {shards}, rows {rows}{leftover}, {others}"


def _format_compression(facts: StoreInfo) -> str:
    if facts.compression_ratio is None:
        return ""
    raw, stored = format_size(facts.raw_bytes), format_size(facts.shard_bytes)
    return f"{facts.compression_ratio:.2f} times: {raw} of values in {stored}"


def _format_hours(seconds: float) -> str:
    return f"{seconds / 3600:.2f} h" if seconds >= 360 else f"{seconds / 3600:.4f} h ({seconds:.1f} s)"


def _format_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items())


def _format_settings(settings: Mapping[str, Any]) -> Iterator[str]:
    """Give a line a section, its name first; then the settings of no section."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            inner = [
                f"{key}={_format_value(entry)}" for key, entry in value.items() if entry is not None and key != "name"
            ]
            yield f"{name}: {' '.join([*([value['name']] if 'name' in value else []), *inner])}"
    yield " ".join(f"{name}={value}" for name, value in settings.items() if not isinstance(value, Mapping) and value)


def _format_value(value: Any) -> str:
    return f"{len(value)} of them" if isinstance(value, list) else str(value)
