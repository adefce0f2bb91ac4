"""The rows of a store as tables: their schema, which of them count, and what keeps them up to date; pure functions."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from hubbub.clips.table import CONTRACT
from hubbub.config import Settings
from hubbub.takes import COLUMNS as TAKE
from hubbub.takes import MIX, NO_RULE, rules_of

ROW_COLUMNS = [
    pa.field("row", pa.int64()),  # null for a failed clip: it has no values
    pa.field("clip_id", pa.string(), nullable=False),
    pa.field("channel", pa.string(), nullable=False),  # mix, or the number of the one channel, from 1
    pa.field("variant", pa.int32(), nullable=False),  # 0: the clip as recorded; from 1: augmented
    pa.field("policy_rule", pa.string(), nullable=False),  # what makes the variant; empty for the clip as recorded
    pa.field("augmentation", pa.string()),  # what was done to a variant, JSON
    pa.field("window", pa.int32(), nullable=False),
    pa.field("windows", pa.int32(), nullable=False),  # how many windows the clip has, known when this part was written
    pa.field("start_s", pa.float64()),  # of the window, from the recording's start
    pa.field("valid_frames", pa.int32()),
    pa.field("status", pa.string(), nullable=False),  # ok; failed; ended: the recording ends before this window
    pa.field("error", pa.string()),
    pa.field("attempts", pa.int32(), nullable=False),
    pa.field("crc32", pa.int64()),  # of the row's bytes as stored, little-endian
]
# What they are in parts written without them.
_ADDED_COLUMNS = {"channel": MIX, "variant": 0, "policy_rule": NO_RULE, "augmentation": None}
_CLIP_NAMES = {"start_s": "clip_start_s", "end_s": "clip_end_s"}  # the row's start_s is the window's


def row_schema(clips: pa.Schema) -> pa.Schema:
    """Schema of the row parts for a clip table's schema: the row's own columns, then the clip's."""
    own = {field.name for field in ROW_COLUMNS}
    of_clip = [field.with_name(_CLIP_NAMES.get(field.name, field.name)) for field in clips if field.name != "clip_id"]
    return pa.schema([*ROW_COLUMNS, *(field for field in of_clip if field.name not in own)])


def clip_columns(clip: dict[str, Any]) -> dict[str, Any]:
    """A clip's columns under the names that row parts give them."""
    return {_CLIP_NAMES.get(name, name): value for name, value in clip.items()}


def checksum(values: npt.NDArray[np.floating]) -> int:
    """CRC-32 of one row's values as stored."""
    little = values.dtype.newbyteorder("<")
    return zlib.crc32(np.ascontiguousarray(values, dtype=little).tobytes())


def current(ledger: pd.DataFrame) -> pd.DataFrame:
    """Rows of a ledger that count: of each clip the content tried last, of each take's window the last attempt.

    Later is what has the higher number of attempts, which counts on over changed content; a shard's number says
    nothing, for holes that killed runs left are filled first.
    """
    if ledger.empty:
        return ledger
    ledger = ledger.sort_values(["attempts", "shard"], kind="stable")
    version = ledger["version"].fillna("")  # null: a file that had vanished
    newest = version.groupby(ledger["clip_id"]).transform("last")
    return ledger[version == newest].drop_duplicates([*TAKE, "window"], keep="last").reset_index(drop=True)


def usable(ledger: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Rows, of those that count, that hold an example: not a row of a take that failed elsewhere, in another shard.

    Nor a variant that the policy no longer makes of its clip, which has been labelled anew.
    """
    failed = pd.MultiIndex.from_frame(ledger.loc[ledger["status"] == "failed", TAKE])
    ok = ledger[ledger["status"] == "ok"]
    if len(failed):
        ok = ok[~pd.MultiIndex.from_frame(ok[TAKE]).isin(failed)]
    if settings.variants is None:
        return ok
    rules = {labels: rules_of(list(labels), settings) for labels in {tuple(labels) for labels in ok["labels"]}}
    held = zip(ok["labels"], ok["variant"], ok["policy_rule"], strict=True)
    return ok[[rules[tuple(labels)][number : number + 1] == [rule] for labels, number, rule in held]]


def with_added_columns(table: pa.Table, wanted: Sequence[str] | None) -> pa.Table:
    """A row part with the columns that rows have today, of those wanted (None: all)."""
    for name, value in _ADDED_COLUMNS.items():
        if name not in table.column_names and (wanted is None or name in wanted):
            kind = row_schema(CONTRACT).field(name)
            table = table.append_column(kind, pa.repeat(pa.scalar(value, kind.type), table.num_rows))
    return table


def refreshed(rows: pa.Table, clips: pa.Table) -> pa.Table:
    """A row part with the columns that its clips have now, where their content is the same."""
    where = pc.index_in(rows["clip_id"], clips["clip_id"])
    same = pc.fill_null(pc.equal(clips["version"].take(where), rows["version"]), False)
    own, sources = {field.name for field in ROW_COLUMNS}, {new: old for old, new in _CLIP_NAMES.items()}
    for field in row_schema(clips.schema):
        if field.name in own:
            continue
        new = clips[sources.get(field.name, field.name)].take(where)
        if field.name not in rows.column_names:
            rows = rows.append_column(field, pc.if_else(same, new, pa.nulls(len(rows), field.type)))
            continue
        at, kept = rows.column_names.index(field.name), rows.schema.field(field.name)
        kept = field if pa.types.is_null(kept.type) else kept
        if _fits(new.type, kept.type):
            rows = rows.set_column(at, kept, pc.if_else(same, new.cast(kept.type), rows[field.name].cast(kept.type)))
    return rows


def changed_clips(old: pa.Table, new: pa.Table) -> int:
    """Clips of which any row differs between two tables of the same rows."""
    changed = [not one.equals(other) for one, other in zip(_slices(old), _slices(new), strict=True)]
    return len(pc.unique(old["clip_id"].filter(pa.array(changed))))


def _fits(new: pa.DataType, kept: pa.DataType) -> bool:
    """Whether two types hold the same kind of value; lists may name their items otherwise."""
    return new == kept or (pa.types.is_list(new) and pa.types.is_list(kept) and new.value_type == kept.value_type)


def _slices(table: pa.Table) -> Iterator[pa.Table]:
    return (table.slice(index, 1) for index in range(len(table)))
