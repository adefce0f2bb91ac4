"""Is every row accounted for, and every checksum right? One shard, or one unit of label tables, at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from hubbub.clips.table import ClipTable
from hubbub.errors import LabelsError, StoreError
from hubbub.store.features import ARRAYS, ROWS, FeatureStore
from hubbub.store.rows import checksum, current
from hubbub.store.tables import LabelTables
from hubbub.takes import COLUMNS as TAKE


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes
    ----------
    where
        The shard, part or file.
    what
        What is wrong with it.
    """

    where: str
    what: str


def verify_shard(store: FeatureStore, shard: int) -> list[Problem]:
    """Check one committed shard: its row part, and the checksum of every row in it."""
    where = f"{ROWS}/{shard:08d}.parquet"
    try:
        rows = store.read_part(shard).to_pandas()
        values = store.read_shard(shard)
    except (StoreError, ValueError, OSError) as error:
        return [Problem(where, str(error))]
    ok, failed = rows[rows["status"] == "ok"], rows[rows["status"] == "failed"]
    known = int(rows["status"].isin(["ok", "failed", "ended"]).sum())
    problems = [Problem(where, text) for text in _row_faults(ok, failed, len(rows) - known, shard, store)]
    if problems:
        return problems
    offsets = ok["row"].to_numpy(np.int64) - shard * store.rows_per_shard
    sums = np.array([checksum(values[offset]) for offset in offsets], np.int64)
    wrong = ok[sums != ok["crc32"].to_numpy(np.int64)]
    return [
        Problem(f"{ARRAYS} shard {shard}", f"row {row} ({uri}, window {window}) has another checksum than when written")
        for row, uri, window in zip(wrong["row"], wrong["uri"], wrong["window"], strict=True)
    ]


def verify_clips(store: FeatureStore, table: ClipTable | None = None) -> list[Problem]:
    """Check that each clip has all its windows or a failed row, and that each clip of `table` is there at all."""
    try:
        ledger = current(store.ledger())
    except StoreError as error:
        return [Problem(ROWS, str(error))]
    problems = [Problem(uri, f"{held} of {wanted} windows are there") for uri, held, wanted in _short_clips(ledger)]
    wanted, held = store.provenance.get("clips", 0), ledger["clip_id"].nunique()
    if held < wanted:
        problems.append(
            Problem(ROWS, f"{held} of {wanted} clips are there: a run broke off; run hubbub features again")
        )
    if table is not None:
        missing = set(table.rows["clip_id"].to_pylist()) - set(ledger["clip_id"])
        uris = dict(zip(table.rows["clip_id"].to_pylist(), table.rows["uri"].to_pylist(), strict=True))
        problems += [Problem(uris[clip], "is in the clip table and not in the store") for clip in sorted(missing)]
    return problems


def verify_files(tables: LabelTables) -> list[Problem]:
    """Check that label tables have every file that the last run set out to label."""
    if not tables.missing:
        return []
    held, wanted = len(tables.files()), tables.run["clips"]
    return [Problem("files", f"{held} of {wanted} files are there: a run broke off; run hubbub label again")]


def verify_labels(tables: LabelTables, unit: int) -> list[Problem]:
    """Check one committed unit: that its parts belong together, and that each file has the windows it says."""
    where = f"unit {unit:08d}"
    try:
        files = tables.read_part("files", unit).to_pandas()
        windows, events = tables.read_part("windows", unit), tables.read_part("events", unit)
    except LabelsError as error:
        return [Problem(where, str(error))]
    held = windows.to_pandas()["clip_id"].value_counts()
    problems = []
    for file in files.itertuples():
        expected = int(file.windows) if file.status == "ok" else 0
        if held.get(file.clip_id, 0) != expected:
            problems.append(
                Problem(where, f"{file.uri} has {held.get(file.clip_id, 0)} windows; its row says {expected}")
            )
    return problems + [Problem(where, text) for text in _event_faults(files, windows, events, tables.labels)]


def _row_faults(ok: pd.DataFrame, failed: pd.DataFrame, strange: int, shard: int, store: FeatureStore) -> Iterator[str]:
    if strange:
        yield f"{strange} rows have a status that is neither ok, failed nor ended"
    first = shard * store.rows_per_shard
    if not ok["row"].between(first, first + store.rows_per_shard - 1).all():
        yield f"has rows outside its shard, which holds {first} to {first + store.rows_per_shard - 1}"
    if ok["row"].duplicated().any():
        yield f"row {ok['row'][ok['row'].duplicated()].iloc[0]} stands there twice"
    if failed["error"].isna().any():
        yield "a failed row gives no reason"


def _short_clips(ledger: pd.DataFrame) -> Iterator[tuple[str, int, int]]:
    status = {name: ledger["status"] == name for name in ("ok", "failed")}
    by_take = ledger.assign(**status).groupby(TAKE)
    counts = by_take.agg(uri=("uri", "first"), ok=("ok", "sum"), failed=("failed", "any"), windows=("windows", "min"))
    short = counts[~counts["failed"] & (counts["ok"] < counts["windows"])]
    yield from zip(short["uri"], short["ok"], short["windows"], strict=True)


def _event_faults(files: pd.DataFrame, windows: pa.Table, events: pa.Table, labels: list[str]) -> Iterator[str]:
    scores = windows["scores"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    if not np.isfinite(scores).all():
        yield "a window score is not a number"
    frame = events.to_pandas()
    strange = sorted(set(frame["label"]) - set(labels)) + sorted(set(frame["uri"]) - set(files["uri"]))
    if strange:
        yield f"an event names '{strange[0]}', which the run does not know"
    if not (frame["onset_s"] < frame["offset_s"]).all():
        yield "an event ends before it begins"
