"""Verification of a feature store: every row accounted for, every checksum right.

`check_shard` and `verify_labels` look at one shard or unit, and go wherever an engine takes them. The others look at a
whole folder: its names (`verify_objects`), the description of its array (`verify_array`), its clips (`verify_clips`).
What belongs to a store and cannot be read, or does not fit, is a `Problem`; a bucket that does not answer is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from hubbub.clips.examples import EXAMPLE_COLUMNS
from hubbub.clips.table import ClipTable
from hubbub.errors import StoreError
from hubbub.io.paths import is_local
from hubbub.io.text import count_noun
from hubbub.store import arrays
from hubbub.store.descriptions import build_expected_document, decode_shard
from hubbub.store.features import ARRAYS, ROWS, FeatureStore
from hubbub.store.parts import concatenate_tables, part_path, read_part
from hubbub.store.problems import (
    Mend,
    Problem,
    first_few,
    first_line,
    list_clips,
    read_bytes_if_there,
    reason,
    validate_part,
)
from hubbub.store.row_index import IN_FLIGHT
from hubbub.store.rows import checksum, select_current

_HAS_VALUES = ("ok", "retired")
_STATUS = ("ok", "failed", "ended", "retired")


@dataclass(frozen=True)
class ShardCheck:
    """What came of checking one committed shard.

    Attributes
    ----------
    rows
        Whose checksums were computed.
    size_bytes
        Of the shard as stored.
    problems
        What is wrong with it; at most one of its values.
    """

    rows: int
    size_bytes: int
    problems: tuple[Problem, ...]


def verify_shard(store: FeatureStore, shard: int) -> list[Problem]:
    """Check one committed shard: its row part, and the checksum of every row in it."""
    return list(check_shard(store, shard).problems)


def check_shard(store: FeatureStore, shard: int, document: bytes | None = None) -> ShardCheck:
    """Check one committed shard: its row part, and the checksum of every row in it.

    Parameters
    ----------
    document
        Description of the array (`verify_array`); None: as it lies in the store.

    Raises
    ------
    UsageError
        When the bucket cannot be reached.
    """
    name = f"{ROWS}/{shard:08d}.parquet"
    try:
        part = read_part_if_valid(store, shard)
    except OSError as error:
        return ShardCheck(0, 0, (Problem(name, f"cannot be read ({error.strerror or error})", unit=shard),))
    except StoreError as error:
        return ShardCheck(0, 0, (_part_problem(store, shard, name, str(error)),))
    if part is None:
        return ShardCheck(0, 0, ())
    rows = part.to_pandas()
    if faults := tuple(_row_faults(rows, shard, store)):
        clips = list_clips(rows)
        return ShardCheck(0, 0, tuple(Problem(name, fault, *clips, "recompute", shard) for fault in faults))
    held = rows[rows["status"].isin(_HAS_VALUES) & rows["row"].notna()]
    return _check_values(store, shard, held, document)


def _check_values(store: FeatureStore, shard: int, held: pd.DataFrame, document: bytes | None) -> ShardCheck:
    where, clips, data = f"{ARRAYS} shard {shard}", list_clips(held), None
    try:
        data = read_bytes_if_there(store.shard_path(shard))
        if data is None:
            what = f"is missing, with the values of {count_noun(len(held), 'row')}"
            missing = (Problem(where, what, *clips, "recompute", shard),) if len(held) else ()
            return ShardCheck(0, 0, missing)
        document = document or read_bytes_if_there(store.array_path / arrays.DOCUMENT) or build_expected_document(store)
        values = decode_shard(document, data, store)
    except OSError as error:
        mend: Mend | None = (
            "recompute" if isinstance(error, IsADirectoryError) else None
        )  # else the disk is to be seen to
        return ShardCheck(0, 0, (Problem(where, f"cannot be read ({error.strerror or error})", *clips, mend, shard),))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        what = f"rows cannot be decoded: it is cut short or damaged ({first_line(error)})"
        return ShardCheck(0, len(data or b""), (Problem(where, what, *clips, "recompute", shard),))
    offsets = held["row"].to_numpy(np.int64) - shard * store.rows_per_shard
    sums = np.array([checksum(values[offset]) for offset in offsets], np.int64)
    wrong = held[sums != held["crc32"].to_numpy(np.int64)]
    problems = (_values_problem(where, wrong, len(held), shard),) if len(wrong) else ()
    return ShardCheck(len(held), len(data), problems)


def _values_problem(where: str, wrong: pd.DataFrame, held: int, shard: int) -> Problem:
    clips = list_clips(wrong)
    if len(wrong) == held > 1:
        what = f"no checksum of its {count_noun(held, 'row')} matches: another shard took its place, or it is damaged"
        return Problem(where, what, *clips, "recompute", shard)
    first = wrong.iloc[0]
    others = f", and {count_noun(len(wrong) - 1, 'more row')} alike" if len(wrong) > 1 else ""
    what = f"row {first['row']} ({first['uri']}, window {first['window']}) has another checksum than when written"
    return Problem(where, what + others, *clips, "recompute", shard)


def read_part_if_valid(store: FeatureStore, shard: int, columns: Sequence[str] | None = None) -> pa.Table | None:
    """A row part that is this store's; None where there is none any more: a compaction may go on meanwhile.

    Raises
    ------
    StoreError
        When it is torn, or foreign.
    UsageError
        When the bucket cannot be reached: that does not make a part torn.
    OSError
        When this machine cannot read it.
    """
    try:
        return validate_part(store.read_part(shard, columns), part_path(store.rows_folder, shard))
    except StoreError:
        if read_bytes_if_there(part_path(store.rows_folder, shard)) is None:
            return None
        return validate_part(store.read_part(shard, columns), part_path(store.rows_folder, shard))


def _part_problem(store: FeatureStore, shard: int, name: str, why: str) -> Problem:
    """What is wrong with a row part that cannot be read, or is not this store's."""
    try:
        table, mark = read_part(store.rows_folder, shard)
        validate_part(table, part_path(store.rows_folder, shard))
    except StoreError:
        what = f"cannot be read, it is torn ({reason(why)}); which clips it holds only a clip table can tell"
        return Problem(name, what, mend="recompute", unit=shard)
    clips = list_clips(table.to_pandas()) if mark.get("store_id") == store.provenance.get("store_id") else ((), 0)
    what = (
        f"is foreign: it says it is part {mark.get('unit')} of the store {mark.get('store_id')} with settings "
        f"{mark.get('settings_hash')}; this is {store.provenance.get('store_id')} with {store.settings_hash}"
    )
    return Problem(name, what, *clips, "recompute", shard)


def readable_parts(store: FeatureStore, columns: Sequence[str] | None = None) -> dict[int, pa.Table]:
    """Read the row parts that belong to this store, by number; leave out truncated parts."""

    def read(shard: int) -> pa.Table | None:
        try:
            return read_part_if_valid(store, shard, columns)
        except (StoreError, OSError):
            return None

    shards = store.committed()
    with ThreadPoolExecutor(1 if is_local(store.path) else IN_FLIGHT) as pool:
        parts = zip(shards, pool.map(read, shards), strict=True)
        return {shard: part for shard, part in parts if part is not None}


def verify_clips(store: FeatureStore, table: ClipTable | None = None) -> list[Problem]:
    """Check that each clip has all its windows or a failed row, and that each clip of `table` is there at all."""
    columns = [*EXAMPLE_COLUMNS, "window", "windows", "version", "status", "attempts", "uri"]
    counted = select_current(_join_parts(readable_parts(store, columns)))
    problems = []
    if short := list(_find_short_clips(counted)):
        uri, held, wanted = short[0]
        what = f"{held} of {count_noun(wanted, 'window')} of {uri} stored" + (
            f", and {count_noun(len(short) - 1, 'more clip')} incomplete" if len(short) > 1 else ""
        )
        problems.append(Problem(ROWS, what, *first_few([uri for uri, _, _ in short]), "run"))
    wanted_clips, held_clips = store.provenance.get("clips", 0), counted["clip_id"].nunique()
    if held_clips < wanted_clips:
        what = f"{held_clips} of {count_noun(wanted_clips, 'clip')} stored: a run broke off; run hubbub features again"
        problems.append(Problem(ROWS, what, mend="run"))
    if table is not None:
        rows = table.rows.select(["clip_id", "uri"]).to_pandas()
        missing = rows[~rows["clip_id"].isin(set(counted["clip_id"]))]
        if len(missing):
            what = f"{count_noun(len(missing), 'clip')} of the clip table missing from the store"
            problems.append(Problem(ROWS, what, *first_few(missing["uri"]), "run"))
    return problems


def _join_parts(parts: dict[int, pa.Table]) -> pd.DataFrame:
    if not parts:
        names_of = [*EXAMPLE_COLUMNS, "window", "windows", "version", "status", "attempts", "uri", "shard"]
        return pd.DataFrame({name: pd.Series(dtype=object) for name in names_of})
    clips = [
        part.append_column("shard", pa.repeat(pa.scalar(shard, pa.int64()), part.num_rows))
        for shard, part in parts.items()
    ]
    return concatenate_tables(clips).to_pandas()


def _row_faults(rows: pd.DataFrame, shard: int, store: FeatureStore) -> Iterator[str]:
    held = rows[rows["status"].isin(_HAS_VALUES) & ~((rows["status"] == "retired") & rows["row"].isna())]
    if strange := int((~rows["status"].isin(_STATUS)).sum()):
        yield f"{count_noun(strange, 'row')} with a status that is none of {', '.join(_STATUS)}"
    first = shard * store.rows_per_shard
    if not held["row"].between(first, first + store.rows_per_shard - 1).all():
        yield f"has rows outside its shard, which holds {first} to {first + store.rows_per_shard - 1}"
    if held["row"].duplicated().any():
        yield f"row {held['row'][held['row'].duplicated()].iloc[0]} stands there twice"
    if held["crc32"].isna().any():
        yield "a row has no checksum"
    if rows.loc[rows["status"] == "failed", "error"].isna().any():
        yield "a failed row gives no reason"


def _find_short_clips(row_index: pd.DataFrame) -> Iterator[tuple[str, int, int]]:
    status = {name: row_index["status"] == name for name in ("ok", "failed")}
    by_take = row_index.assign(**status).groupby(EXAMPLE_COLUMNS)
    counts = by_take.agg(uri=("uri", "first"), ok=("ok", "sum"), failed=("failed", "any"), windows=("windows", "min"))
    short = counts[~counts["failed"].astype(bool) & (counts["ok"] < counts["windows"])]
    yield from zip(short["uri"], short["ok"], short["windows"], strict=True)
