"""``hubbub info``: what is in a store, at a glance."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options

if TYPE_CHECKING:
    from hubbub.store.info import LabelCount, StoreInfo

_LABELS_SHOWN = 30
_BAR_CELLS = 40


def info(
    path: Annotated[str, typer.Argument(help="A feature store: a folder, or s3://bucket/prefix.", metavar="STORE")],
    plot: Annotated[
        Path | None, typer.Option(help="Draw sample spectrograms of each label into this picture.", metavar="FILE.png")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as one JSON object.")] = False,
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Tell what is in a feature store: clips, labels, hours, bytes, settings, failures, versions."""
    from hubbub.store.features import open_store
    from hubbub.store.info import summarise_store

    from . import console

    _check_plot(plot)
    store = open_store(path)
    with console.waiting(f"reading {path}"):
        facts = summarise_store(store)
    if as_json:
        typer.echo(json.dumps(facts.as_json(), indent=2, allow_nan=False))
    else:
        _show(facts)
    if plot is not None:
        from hubbub.report.sheets import draw_sheet

        drawn = draw_sheet(store, plot)
        console.warn(f"{drawn} spectrograms are in {plot}")


def _check_plot(plot: Path | None) -> None:
    from hubbub.errors import UsageError
    from hubbub.io.atomic import refuse_foreign_file

    if plot is None:
        return
    if plot.suffix.lower() != ".png":
        raise UsageError(f"--plot {plot}: pictures are written as PNG; give a name that ends with .png")
    refuse_foreign_file(plot, b"\x89PNG", "a picture")


def _show(facts: StoreInfo) -> None:
    from . import console

    console.summary(f"info: {facts.path}", _rows(facts))
    if facts.labels:
        _show_labels(facts.labels)
    for failure in facts.failures:
        console.say(f"failed, {failure.reason}: {failure.clips} clips, such as {failure.uri}: {failure.error}")
    if facts.clips_expected is not None and facts.clips_expected > facts.clips_ok + facts.clips_failed:
        there = facts.clips_ok + facts.clips_failed
        console.warn(f"{there} of {facts.clips_expected} clips are there: a run broke off; run hubbub features again")
    if facts.worth_compacting:
        console.warn(
            f"{facts.holes:.0%} of the room in its {facts.shards} shards is not used: {facts.shards_least} would do. "
            f"Rewrite it with: hubbub compact {facts.path}"
        )


def _rows(facts: StoreInfo) -> dict[str, Any]:
    """The table's lines, those left out that say nothing."""
    from .console import size

    frames, bands = facts.row_shape
    clips = f"{facts.clips_ok} ok, {facts.clips_failed} failed, {facts.clips_retired} retired"
    lines = {
        "rows": f"{facts.rows}, of {frames} frames x {bands} bands",
        "clips": clips + (f"; {facts.clips_unlabelled} of those ok have no label" if facts.clips_unlabelled else ""),
        "sound": f"{_hours(facts.sound_s)} in its windows; overlaps, channels and variants count once",
        "folds": _counts(facts.folds),
        "splits": _counts(facts.splits),
        "size": f"{size(facts.bytes)}: {facts.shards} shards {size(facts.shard_bytes)}, rows {size(facts.part_bytes)}"
        + (f", shards left behind {size(facts.left_bytes)}" if facts.left_bytes else ""),
        "compression": _compression(facts),
        "holes": f"{facts.holes:.1%} of the shards' rows are not used" if facts.shards else "",
        "settings": "\n".join([facts.settings_hash, *_settings_lines(facts.settings)]),
        "made": f"{facts.created_at} from {facts.source}",
        "versions": ", ".join(f"{name} {version}" for name, version in facts.versions.items()),
        "format": facts.format,
    }
    return {name: line for name, line in lines.items() if line}


def _compression(facts: StoreInfo) -> str:
    from .console import size

    if facts.compression_ratio is None:
        return ""
    return f"{facts.compression_ratio:.2f} times: {size(facts.raw_bytes)} of values in {size(facts.shard_bytes)}"


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.2f} h" if seconds >= 360 else f"{seconds / 3600:.4f} h ({seconds:.1f} s)"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items())


def _settings_lines(settings: Mapping[str, Any]) -> Iterator[str]:
    """A line a section, its name first; then what stands in none."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            inner = [f"{key}={_brief(entry)}" for key, entry in value.items() if entry is not None and key != "name"]
            yield f"{name}: {' '.join([*([value['name']] if 'name' in value else []), *inner])}"
    yield " ".join(f"{name}={value}" for name, value in settings.items() if not isinstance(value, Mapping) and value)


def _brief(value: Any) -> str:
    return f"{len(value)} of them" if isinstance(value, list) else str(value)


def _show_labels(labels: tuple[LabelCount, ...]) -> None:
    """A bar chart of clips a label; in a terminal of blocks and in colour, elsewhere plain."""
    from rich.markup import escape
    from rich.table import Table

    from .console import out, say

    block = "█" if out.is_terminal else "#"
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, justify in (("label", "left"), ("clips", "right"), ("rows", "right"), ("", "left")):
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    most = max(1, max(count.clips for count in labels))
    for count in labels[:_LABELS_SHOWN]:
        cells = -(-count.clips * _BAR_CELLS // most)
        table.add_row(escape(count.label), str(count.clips), str(count.rows), f"[green]{block * cells}[/]")
    out.print(table)
    if len(labels) > _LABELS_SHOWN:
        rest = labels[_LABELS_SHOWN:]
        say(f"… and {len(rest)} more labels, of {rest[0].clips} clips or fewer each; --json lists all")
