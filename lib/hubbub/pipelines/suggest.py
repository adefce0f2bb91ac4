"""Choose windows that are worth a person's ear, and cut them out. What ``hubbub suggest`` does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from hubbub.clips.cutting import Stretch, cut_stretches
from hubbub.clips.sources.suggestions import TABLE
from hubbub.clips.table import ClipTable, clip_id, make_table, write_table
from hubbub.errors import UsageError, suggest_nearest
from hubbub.io.atomic import write_text
from hubbub.io.folders import list_names, new_folder
from hubbub.io.paths import StoragePath
from hubbub.io.text import count_noun
from hubbub.labels.suggestions import STRATEGIES, Strategy, Wanted
from hubbub.labels.tables import LabelTables
from hubbub.pipelines.inputs import as_list, as_path
from hubbub.pipelines.reporting import Reporter, choose_reporter
from hubbub.pipelines.suggest_reviewed import Reviewed, find_address
from hubbub.pipelines.suggest_sources import WindowSource, open_source
from hubbub.pipelines.train import require_local
from hubbub.store.features import FeatureStore

if TYPE_CHECKING:
    from hubbub.models.bundle import Bundle
    from hubbub.models.foreign import ForeignModel
    from hubbub.pipelines.inputs import PathLike

CLIP_TABLE, CLIPS = "suggestions.parquet", "clips"
MOST_COUNT = 10_000
"""Windows suggested at once, at most."""

_LONGEST_STEM = 60
_UNSAFE = re.compile(r"[^\w.-]+")
_FIRST = (
    "rank",
    "clip",
    "suggested",
    "score",
    "label",
    "verdict",
    "reason",
    "uri",
    "start_s",
    "end_s",
    "group",
    "problem",
)
"""Columns of the table, those first that a person fills in and goes by; a strategy's own come last."""


@dataclass(frozen=True)
class Suggestions:
    """What was suggested.

    Attributes
    ----------
    folder
        Where all lies.
    table
        The CSV for a person to fill in.
    clips
        The windows as a clip table without labels, which a report shows.
    failed
        How many could not be cut out; the column `problem` says why.
    """

    folder: Path
    table: Path
    clips: ClipTable
    failed: int


def suggest(
    source: PathLike | LabelTables | FeatureStore,
    out: PathLike,
    *,
    strategy: str = "uncertain",
    count: int = 100,
    labels: str | Sequence[str] = (),
    model: PathLike | Bundle | ForeignModel | None = None,
    exclude: PathLike | ClipTable | pd.DataFrame | Sequence[PathLike | ClipTable | pd.DataFrame] = (),
    progress: bool = False,
    reporter: Reporter | None = None,
) -> Suggestions:
    """Suggest windows; see `hubbub.suggest`, which returns the clips alone."""
    reporter = choose_reporter(reporter, progress=progress)
    folder = require_local(as_path(out, "out"), "write suggestions into a folder here: a person listens to them")
    _refuse_folder(folder)
    if strategy not in STRATEGIES:
        raise UsageError(f"--strategy {strategy}: {suggest_nearest(strategy, STRATEGIES)}")
    if not 1 <= count <= MOST_COUNT:
        raise UsageError(f"-n {count}: expected 1 to {MOST_COUNT:,} windows")
    windows = open_source(source, model)
    labels = as_list(labels)
    _check_labels(windows, strategy, labels)
    reviewed = Reviewed(as_list(exclude), windows.root)
    wanted = Wanted(count, windows.scheme, tuple(labels), windows.overlapping, windows.has_embeddings)
    chooser = STRATEGIES[strategy](wanted)
    seen = _show_windows(windows, reviewed, chooser, reporter)
    chosen = chooser.choose()
    if chosen.empty:
        raise UsageError(f"{windows.path} has no window to suggest: {_explain_nothing(seen)}")
    rows = _describe_rows(chosen, windows)
    with new_folder(folder) as draft:
        _cut_all(rows, draft, windows.root, reporter)
        clips = _write_tables(rows, draft)
    failed = sum(row["problem"] is not None for row in rows)
    _report(rows, windows, seen, folder, failed, reporter)
    return Suggestions(folder, folder / TABLE, replace(clips, source=folder / CLIP_TABLE), failed)


def _refuse_folder(folder: Path) -> None:
    """Refuse a folder that holds anything: above all suggestions that a person may have gone through."""
    if (folder / TABLE).exists():
        raise UsageError(
            f"{folder} holds suggestions already; give a new folder, and leave those out that were heard: "
            f"--except {folder / TABLE}"
        )
    if folder.exists() and (not folder.is_dir() or list_names(folder)):
        raise UsageError(f"{folder} holds something else; give a new folder for the suggestions")


def _check_labels(windows: WindowSource, strategy: str, labels: Sequence[str]) -> None:
    known = windows.scheme.labels
    if not known and (STRATEGIES[strategy].needs_scores or not windows.has_embeddings):
        instead = ", or --strategy diverse" if windows.has_embeddings else ""
        raise UsageError(
            f"--strategy {strategy} needs scores, and {windows.path} holds features alone; give --model BUNDLE to "
            f"score them, or label tables{instead}"
        )
    if labels and not STRATEGIES[strategy].needs_scores:
        raise UsageError(f"--label goes with uncertain, top and balanced; --strategy {strategy} asks for no label")
    for label in labels:
        if label not in known:
            raise UsageError(f"--label {label}: {windows.path} has no such label: {suggest_nearest(label, known)}")


def _show_windows(windows: WindowSource, reviewed: Reviewed, chooser: Strategy, reporter: Reporter) -> dict[str, int]:
    """Show all windows to a strategy; return how many it looked at, and how many were left out."""
    seen = {"windows": 0, "reviewed": 0, "not finite": 0}
    with reporter.show_progress("suggest", windows.parts, "parts") as advance:
        for part in windows.windows():
            is_finite = np.isfinite(part.scores).all(axis=1)
            is_reviewed = reviewed.find(part, windows.root)
            chooser.add(part[is_finite & ~is_reviewed])
            chooser.add_reviewed(part[is_finite & is_reviewed])
            seen["windows"] += len(part)
            seen["reviewed"] += int(is_reviewed.sum())
            seen["not finite"] += int((~is_finite).sum())
            advance(1)
    return seen


def _explain_nothing(seen: dict[str, int]) -> str:
    """Say why no window is left."""
    windows, heard = count_noun(seen["windows"], "window"), seen["reviewed"]
    if not seen["windows"]:
        return "it holds none; label or embed recordings first"
    if heard + seen["not finite"] < seen["windows"]:
        return f"{windows}, and none of them has an embedding with a direction"
    return f"{windows}, all of them heard already" if heard else f"{windows} without finite scores"


def _describe_rows(chosen: pd.DataFrame, windows: WindowSource) -> list[dict[str, Any]]:
    """What is told of each window; the address of its recording means the same wherever the table lies."""
    told = windows.describe(set(chosen["uri"]))
    rows = []
    for rank, held in enumerate(chosen.astype(object).where(chosen.notna(), None).to_dict("records"), start=1):
        row = {str(name): value for name, value in held.items()}
        own, uri = told.get(row["uri"], {}), row["uri"]
        stem = _UNSAFE.sub("_", PurePosixPath(uri).stem).strip("._")[:_LONGEST_STEM]
        name = f"{CLIPS}/{rank:05d}-{stem}-{row['start_s']:.1f}s.wav"
        row |= {"rank": rank, "clip": name, "uri": find_address(uri, windows.root), "problem": None}
        rows.append(row | {"group": own.get("group") or uri, "version": own.get("version")})
    return rows


def _cut_all(rows: list[dict[str, Any]], draft: StoragePath, root: StoragePath, reporter: Reporter) -> None:
    """Cut the windows out of their recordings; one that cannot be cut has a `problem`, and no `clip`."""
    stretches = [Stretch(row["uri"], row["version"], row["start_s"], row["end_s"], draft / row["clip"]) for row in rows]
    with reporter.show_progress("cut clips", len(rows), "clips") as advance:
        problems = cut_stretches(stretches, root, advance)
    for row, problem in zip(rows, problems, strict=True):
        row |= {"clip": None, "problem": problem} if problem is not None else {}


def _write_tables(rows: list[dict[str, Any]], draft: StoragePath) -> ClipTable:
    """Write the clip table, then the table for a person."""
    clips = [{"clip_id": clip_id(row["uri"], row["start_s"], row["end_s"]), "labels": [], **row} for row in rows]
    table = make_table(clips, draft.parent)
    write_table(table, draft / CLIP_TABLE)
    frame = pd.DataFrame(rows).assign(label=None, verdict=None).drop(columns="version")
    order = [*_FIRST, *(name for name in frame if name not in _FIRST)]
    frame["score"] = frame["score"].astype(float).round(4)
    write_text(draft / TABLE, frame[order].to_csv(index=False, lineterminator="\n"))
    return table


def _report(
    rows: list[dict[str, Any]],
    windows: WindowSource,
    seen: dict[str, int],
    folder: Path,
    failed: int,
    reporter: Reporter,
) -> None:
    recordings = count_noun(len({row["uri"] for row in rows}), "recording")
    counts = pd.Series([row["suggested"] for row in rows], dtype=object).value_counts()
    suggested = ", ".join(f"{name} {number}" for name, number in sorted(counts.items()))
    reporter.show_table(
        "suggest: done",
        {
            "windows": seen["windows"],
            **({"heard already": seen["reviewed"]} if seen["reviewed"] else {}),
            **({"without finite scores": seen["not finite"]} if seen["not finite"] else {}),
            "suggested": f"{count_noun(len(rows), 'window')} of {recordings}",
            **({"labels suggested": suggested} if suggested else {}),
            **({"not cut out": failed} if failed else {}),
            "result": folder / TABLE,
        },
    )
    for row in [row for row in rows if row["problem"] is not None][:5]:
        reporter.warn(f"not cut out: {row['uri']}: {row['problem']}")
    reporter.say(f"fill in label or verdict, then: hubbub index {folder} -o heard.parquet")
