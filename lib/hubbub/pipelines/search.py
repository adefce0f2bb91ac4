"""Search an embedding store for windows that are like an example. What ``hubbub search`` does."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from hubbub.clips.table import ClipTable, write_table
from hubbub.engine.cluster import THREADS
from hubbub.errors import RunStopped, StoreError, UnitsLost, UsageError
from hubbub.io.folders import refuse_foreign_file
from hubbub.io.paths import StoragePath
from hubbub.io.text import count_noun
from hubbub.labels.suggestions.windows import overlaps
from hubbub.pipelines.execution import run_units
from hubbub.pipelines.inputs import as_list, as_path, as_store
from hubbub.pipelines.json_log import JsonLog
from hubbub.pipelines.progress import Goal
from hubbub.pipelines.quantities import format_size
from hubbub.pipelines.reporting import Reporter, choose_reporter
from hubbub.pipelines.row_clips import make_window_clips
from hubbub.pipelines.run_folder import ClusterOptions, Run, make_path_checks
from hubbub.pipelines.search_examples import COLUMNS, Example, find_examples, is_in_store, mean_direction
from hubbub.planning.sizes import row_bytes
from hubbub.store.features import FeatureStore
from hubbub.store.parts import part_path
from hubbub.tasks.result import UnitLost, UnitResult
from hubbub.tasks.search import Nearest, SearchResult, SearchTask, group_rows, merge_nearest

if TYPE_CHECKING:
    from distributed import Client

    from hubbub.pipelines.inputs import PathLike

MOST_TOP = 100_000
"""Results of a search at most: what the driver holds of every unit."""

_BYTES_A_SECOND = 500e6  # read and compared by one thread
_CLUSTER_WORTH_S = 30.0
"""Seconds of one thread's work from which a local cluster saves more time than its start takes."""

_SHOWN = 10


@dataclass(frozen=True)
class SearchOutcome:
    """What a search found.

    Attributes
    ----------
    clips
        The windows, the most similar first, with columns `similarity` and `rank`.
    compared
        Rows compared.
    skipped
        Rows without a direction, all zeros or with a value that is not finite.
    compare_s
        Seconds that comparing took.
    """

    clips: ClipTable
    compared: int
    skipped: int
    compare_s: float


def search(
    store: PathLike | FeatureStore,
    like: PathLike | int | Iterable[PathLike | int],
    out: PathLike | None = None,
    *,
    top: int = 50,
    with_example: bool = False,
    cluster: str | None = None,
    workers: int | None = None,
    client: Client | None = None,
    ship: bool = False,
    log_json: str | os.PathLike[str] | None = None,
    progress: bool = False,
    reporter: Reporter | None = None,
) -> SearchOutcome:
    """Search a store; see `hubbub.search`, which returns the clips alone."""
    reporter = choose_reporter(reporter, progress=progress)
    options = ClusterOptions(cluster, workers, ship, client)
    options.check()
    if not 1 <= top <= MOST_TOP:
        raise UsageError(f"--top {top}: expected 1 to {MOST_TOP:,}")
    output = None if out is None else as_path(out, "out")
    if output is not None:
        refuse_foreign_file(output, b"PAR1", "a clip table", ".parquet")
    opened = as_store(store)
    require_embeddings(opened)
    log = JsonLog(None if log_json is None else Path(log_json), "search", reporter.warn)
    names = _list_examples(like)
    with reporter.show_waiting("finding the examples"):
        rows = opened.rows(_list_columns(opened, names, with_example=with_example))
        examples = find_examples(opened, rows, names)
    for example in examples:
        if example.is_silent:
            reporter.warn(f"--like {example.name} is silence, every sample 0: what is found is like silence")
    query = mean_direction(examples)
    if not with_example:
        rows = rows[~_is_heard(rows, examples, opened.settings.windows.duration_s)]
    if rows.empty:
        raise UsageError(
            f"{opened.path} has no current rows but those of the example; --with-example finds them, too, and "
            f"hubbub embed CLIPS -o {opened.path} adds others"
        )
    rows_a_window = int(rows.groupby(["clip_id", "window"]).size().max()) if "window" in rows else 1
    numbers = rows["row"].to_numpy(np.int64)
    del rows
    nearest, compare_s = _compare(opened, query, numbers, top * rows_a_window, options, log, reporter)
    clips = _make_clips(opened, nearest, top)
    if output is not None:
        write_table(clips, output)
        clips = replace(clips, source=output)
    outcome = SearchOutcome(clips, len(numbers), nearest.skipped, compare_s)
    asked = {"store": str(opened.path), "like": names, "top": top, "output": None if output is None else str(output)}
    found = {"compared": len(numbers), "skipped": nearest.skipped, "found": len(clips)}
    log.write("end", **asked, **found, wall_s=round(compare_s, 3))
    _report(outcome, opened, output, reporter)
    return outcome


def _list_examples(like: PathLike | int | Iterable[PathLike | int]) -> list[str]:
    """The names of one example, or of several."""
    names = [str(one) for one in as_list(like)]
    if not names:
        raise UsageError("a search needs an example: --like clip.wav, or a clip_id or row of the store")
    return names


def require_embeddings(store: FeatureStore) -> None:
    """Refuse a store whose rows are spectrograms: two of them are hardly ever alike value by value.

    Raises
    ------
    StoreError
        Says how to make embeddings.
    """
    if not store.holds_embeddings:
        raise StoreError(
            f"{store.path} holds features ({store.settings.frontend.name}); expected embeddings, which are alike where "
            "sounds are. Make them with: hubbub embed CLIPS --model MODEL -o STORE"
        )


def _list_columns(store: FeatureStore, names: Sequence[str], *, with_example: bool) -> list[str]:
    """Columns of the rows that are needed: of a million rows each takes its time."""
    may_repeat = store.settings.channels in ("each", "left-right-mix") or store.settings.variants is not None
    columns = ["row", *([] if with_example else ["uri", "start_s"]), *(["clip_id", "window"] if may_repeat else [])]
    return list(dict.fromkeys([*columns, *(COLUMNS if any(map(is_in_store, names)) else ())]))


def _is_heard(rows: pd.DataFrame, examples: Sequence[Example], window_s: float) -> npt.NDArray[np.bool_]:
    """Which windows share sound with an example, bool [row]."""
    is_heard = np.zeros(len(rows), bool)
    start_s = rows["start_s"].to_numpy()
    for example in examples:
        same = rows["uri"].isin(example.uris).to_numpy()
        is_heard |= same & overlaps(example.start_s, example.end_s, start_s, start_s + window_s)
    return is_heard


def _compare(
    store: FeatureStore,
    query: npt.NDArray[np.float64],
    rows: npt.NDArray[np.int64],
    top: int,
    options: ClusterOptions,
    log: JsonLog,
    reporter: Reporter,
) -> tuple[Nearest, float]:
    """Compare rows on an engine; return the nearest, and the seconds taken.

    Raises
    ------
    RunStopped, UnitsLost
        Some rows were not compared, so that nobody knows the nearest.
    """
    a_row = row_bytes(store.settings)
    units = group_rows(rows, a_row, store.rows_per_shard)
    nearest = Nearest()

    def convert(result: SearchResult | UnitLost) -> UnitResult | UnitLost:
        nonlocal nearest
        if isinstance(result, UnitLost):
            return result
        nearest = merge_nearest([nearest, result.nearest], top)
        return UnitResult(**{name: getattr(result, name) for name in UnitResult.__dataclass_fields__})

    run = Run("search", _choose_cluster(options, len(rows) * a_row / _BYTES_A_SECOND), log, reporter)
    task = SearchTask(store.with_absolute_path(), query, top)
    goal = Goal(len(rows), len(units), counted="rows")
    checks = make_path_checks("the store", part_path(store.rows_folder, store.committed()[0]))
    summary = run_units(run, "search", units, task, goal, path_checks=checks, convert=convert)
    of_all = f"of {count_noun(len(rows), 'row')} compared"
    if run.is_stopped:
        raise RunStopped(f"stopped: {summary.windows} {of_all}, so the nearest are not known; run it again")
    if summary.lost_units:
        raise UnitsLost(f"{summary.windows} {of_all}: {summary.lost[0].reason}; run the same command again")
    return nearest, summary.wall_s


def _choose_cluster(options: ClusterOptions, work_s: float) -> ClusterOptions:
    """The cluster that the caller names; else threads of this process, which begin at once, or a local cluster."""
    if options.cluster is not None or options.workers is not None or options.client is not None:
        return options
    return ClusterOptions(THREADS if work_s < _CLUSTER_WORTH_S else "local")


def _make_clips(store: FeatureStore, nearest: Nearest, top: int) -> ClipTable:
    """The windows that were found, each once, by its most similar row."""
    if not len(nearest.rows):
        raise StoreError(
            f"{store.path}: all {nearest.skipped} rows are zeros or not finite, so none can be compared: "
            "use a store of a model whose embeddings differ from sound to sound"
        )
    ranked = {"rank": np.zeros(len(nearest.rows), np.int64), "similarity": nearest.similarities}
    clips = make_window_clips(store, nearest.rows, ranked)
    repeated = clips.rows["clip_id"].to_pandas().duplicated().to_numpy()
    rows = clips.rows.filter(pa.array(~repeated)).slice(0, top)
    rank = pa.array(np.arange(1, len(rows) + 1))
    return replace(clips, rows=rows.set_column(rows.column_names.index("rank"), "rank", rank))


def _report(outcome: SearchOutcome, store: FeatureStore, output: StoragePath | None, reporter: Reporter) -> None:
    shown = outcome.clips.rows.slice(0, _SHOWN).select(["similarity", "uri", "start_s", "end_s", "labels"])
    for clip in shown.to_pylist():
        labels = f"  {', '.join(clip['labels'])}" if clip["labels"] else ""
        span = f"{clip['start_s']:.2f} to {clip['end_s']:.2f} s"
        reporter.say(f"{clip['similarity']:.4f}  {clip['uri']}  {span}{labels}")
    size = format_size(outcome.compared * row_bytes(store.settings))
    reporter.show_table(
        "search: done",
        {
            "compared": f"{count_noun(outcome.compared, 'row')} of {store.settings.frontend.n_bands} values, {size}",
            **({"skipped": f"{count_noun(outcome.skipped, 'row')} of zeros or not finite"} if outcome.skipped else {}),
            "found": count_noun(len(outcome.clips), "window"),
            "time": f"{outcome.compare_s:.1f} s",
            **({"result": output} if output is not None else {}),
        },
    )
    if output is not None:
        reporter.say(f"listen to them: hubbub report {output} -o page.html")
