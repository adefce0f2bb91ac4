"""The section about a clip table: its clips with their labels, each with spectrogram and player."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hubbub.clips.stretches import Stretch, show_stretch
from hubbub.clips.table import ClipTable
from hubbub.io.text import count_noun
from hubbub.report.page import Section, clock, count, render, span

MOST = 50
"""Clips shown at most."""

LONGEST_SHOWN_S, TOTAL_SHOWN_S = 30.0, 600.0
"""Seconds of a clip, and of all clips together, that are shown and played at most: a page stays below some 20 MB."""

_NUMBERS, _TEXTS = ("similarity", "score"), ("suggested", "reason")
"""Columns that are told of a clip where the table has them."""


@dataclass(frozen=True)
class Card:
    """One clip on the page."""

    uri: str
    rank: int | None
    where: str
    """Which stretch of its recording it is."""
    labels: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    shown: Stretch


def clips_section(clips: ClipTable) -> Section:
    """Show clips of a table: by their column `rank` where it has one, else clips at even distances.

    Parameters
    ----------
    clips
        The table; `MOST` of its clips are shown.
    """
    rows, is_ranked = clips.rows, _is_ranked(clips.rows)
    chosen = _choose(rows, is_ranked=is_ranked)
    longest_s = min(LONGEST_SHOWN_S, TOTAL_SHOWN_S / max(1, len(chosen)))
    columns = [name for name in ("uri", "start_s", "end_s", "labels", "version", "rank", *_NUMBERS, *_TEXTS)]
    shown = chosen.select([name for name in columns if name in rows.column_names])
    body = render(
        "clips.html.j2",
        facts=_facts(rows),
        cards=[_make_card(row, clips, longest_s, is_ranked=is_ranked) for row in shown.to_pylist()],
        n_clips=len(rows),
        is_ranked=is_ranked,
    )
    title = "Clips" if clips.source is None else f"Clips of {clips.source.name}"
    ranked = ", the first ranks first" if is_ranked else ""
    return Section(title, f"{count_noun(len(rows), 'clip')}{ranked}.", body, None)


def _is_ranked(rows: pa.Table) -> bool:
    """Whether the table has ranks: a carried column of that name may hold anything."""
    return "rank" in rows.column_names and pa.types.is_integer(rows["rank"].type) and not rows["rank"].null_count


def _choose(rows: pa.Table, *, is_ranked: bool) -> pa.Table:
    if is_ranked:
        return rows.take(pc.sort_indices(rows, [("rank", "ascending"), ("clip_id", "ascending")])[:MOST])
    places = np.unique(np.linspace(0, len(rows) - 1, min(MOST, len(rows))).round().astype(np.int64))
    return rows.take(pa.array(places))


def _facts(rows: pa.Table) -> list[tuple[str, str]]:
    labels = pc.list_flatten(rows["labels"]).unique()
    end_s = pc.coalesce(rows["end_s"], rows["duration_s"])
    length_s = pc.sum(pc.subtract(end_s, pc.fill_null(rows["start_s"], 0.0))).as_py()
    return [
        ("clips", count(len(rows))),
        ("recordings", count(len(rows["uri"].unique()))),
        ("of sound", span(length_s) if length_s else "–"),
        ("labels", count(len(labels))),
    ]


def _make_card(row: Mapping[str, Any], clips: ClipTable, longest_s: float, *, is_ranked: bool) -> Card:
    start_s, end_s = row["start_s"] or 0.0, row["end_s"]
    where = "" if end_s is None and not start_s else f"from {clock(start_s)}"
    where += "" if end_s is None else f" to {clock(end_s)}"
    until_s = min(start_s + longest_s, end_s if end_s is not None else np.inf)
    shown = show_stretch(row["uri"], clips.root, None, start_s=start_s, end_s=until_s, version=row["version"])
    facts = [(name, f"{row[name]:.4f}") for name in _NUMBERS if isinstance(row.get(name), float)]
    facts += [(name, row[name]) for name in _TEXTS if isinstance(row.get(name), str) and row[name]]
    rank = row["rank"] if is_ranked else None
    return Card(row["uri"], rank, where, tuple(row["labels"]), tuple(facts), shown)
