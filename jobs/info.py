"""``hubbub info``: what a feature store holds, at a glance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    """Show what a feature store holds: clips, labels, hours, bytes, settings, failures, versions.

    Example: hubbub info store --plot store.png
    """
    from hubbub.io.text import count_noun
    from hubbub.pipelines.info import check_plot_path
    from hubbub.pipelines.info import info as summarise
    from hubbub.store.opening import open_store

    from .console import reporter

    check_plot_path(plot)
    store = open_store(path)
    facts = summarise(store, reporter=reporter)
    if as_json:
        typer.echo(json.dumps(facts.as_json(), indent=2, allow_nan=False))
    else:
        _show(facts)
    if plot is not None:
        from hubbub.report.sheets import draw_sheet

        reporter.warn(f"{count_noun(draw_sheet(store, plot), 'spectrogram')} drawn in {plot}")


def _show(facts: StoreInfo) -> None:
    from hubbub.io.text import count_noun
    from hubbub.pipelines.info import describe_store, list_warnings

    from .console import reporter

    reporter.show_table(f"info: {facts.path}", describe_store(facts))
    if facts.labels:
        _show_labels(facts.labels)
    for failure in facts.failures:
        clips = count_noun(failure.clips, "clip")
        reporter.say(f"failed, {failure.reason}: {clips}, such as {failure.uri}: {failure.error}")
    for warning in list_warnings(facts):
        reporter.warn(warning)


def _show_labels(labels: tuple[LabelCount, ...]) -> None:
    """Print a bar chart of clips a label; of blocks in a terminal, elsewhere plain."""
    from rich.markup import escape
    from rich.table import Table

    from hubbub.io.text import count_noun, make_visible

    from .console import out, reporter

    block = "█" if out.is_terminal else "#"
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, justify in (("label", "left"), ("clips", "right"), ("rows", "right"), ("", "left")):
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    most = max(1, max(count.clips for count in labels))
    for count in labels[:_LABELS_SHOWN]:
        cells = -(-count.clips * _BAR_CELLS // most)
        label = escape(make_visible(count.label))
        table.add_row(label, str(count.clips), str(count.rows), f"[green]{block * cells}[/]")
    out.print(table)
    if len(labels) > _LABELS_SHOWN:
        rest = labels[_LABELS_SHOWN:]
        more, clips = count_noun(len(rest), "more label"), count_noun(rest[0].clips, "clip")
        reporter.say(f"… and {more}, each of {clips} or fewer; --json lists all")
