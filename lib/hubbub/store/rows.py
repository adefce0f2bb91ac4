"""Rows of a store as tables: their schema, and which are current and usable; pure functions."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from hubbub.clips.examples import EXAMPLE_COLUMNS as EXAMPLE
from hubbub.clips.examples import MIX, NO_RULE, list_variant_rules
from hubbub.clips.table import CLIP_SCHEMA
from hubbub.config import Settings
from hubbub.io.memory import release_freed_memory

RETIRED = "retired"

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
    # ok; failed; ended: the recording ends before this window; retired: it was one of these, and does not count.
    pa.field("status", pa.string(), nullable=False),
    pa.field("error", pa.string()),
    pa.field("attempts", pa.int32(), nullable=False),
    pa.field("crc32", pa.int64()),  # of the row's bytes as stored, little-endian
]
# What they are in parts written without them.
_ADDED_COLUMNS = {"channel": MIX, "variant": 0, "policy_rule": NO_RULE, "augmentation": None}
KEYS = [*EXAMPLE, "window", "version", "status", "attempts", "shard"]
"""Columns that tell which rows count."""

PROGRESS = [*EXAMPLE, "window", "windows", "version", "status", "attempts", "row", "error"]
"""Columns that a plan goes by."""

_WHOLE = ("row", "valid_frames", "crc32")  # null in rows that hold no example alone
CLIP_NAMES = {"start_s": "clip_start_s", "end_s": "clip_end_s"}  # the row's start_s is the window's


def row_schema(clips: pa.Schema) -> pa.Schema:
    """Schema of the row parts for a clip table's schema: the row's own columns, then the clip's."""
    own = {field.name for field in ROW_COLUMNS}
    of_clip = [field.with_name(CLIP_NAMES.get(field.name, field.name)) for field in clips if field.name != "clip_id"]
    return pa.schema([*ROW_COLUMNS, *(field for field in of_clip if field.name not in own)])


def clip_columns(clip: dict[str, Any]) -> dict[str, Any]:
    """A clip's columns under the names that row parts give them."""
    return {CLIP_NAMES.get(name, name): value for name, value in clip.items()}


def checksum(values: npt.NDArray[np.floating]) -> int:
    """CRC-32 of one row's values as stored."""
    little = values.dtype.newbyteorder("<")
    return zlib.crc32(np.ascontiguousarray(values, dtype=little).tobytes())


def select_current(row_index: pd.DataFrame) -> pd.DataFrame:
    """Current rows: the content of each clip that was tried last, of each window of an example the last attempt.

    Later is what has the higher number of attempts, which counts on over changed content; a shard's number says
    nothing, for holes that killed runs left are filled first, but of equal rows those of the higher shard count.
    Retired rows do not count.
    """
    return _select(row_index, _is_current(_arrow(row_index, KEYS)))


def select_latest(row_index: pd.DataFrame) -> pd.DataFrame:
    """Select the last attempt of each content, example and window, retired ones included, as a plan compares them.

    A row that is not current may become so again, when its clip or its content returns.
    """
    return _select(row_index, _keep_last(_arrow(row_index, KEYS), _last_of_each_content))


def select_usable(row_index: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Rows, of those that count, that hold an example: not a row of a take that failed elsewhere, in another shard.

    Nor a variant that the policy no longer makes of its clip, whose label has changed.
    """
    return row_index[_is_usable(_arrow(row_index, [*EXAMPLE, "status", "labels"]), settings)]


def list_example_columns(columns: Sequence[str] | None) -> list[str] | None:
    """The columns to read for `select_examples`."""
    return None if columns is None else list(dict.fromkeys([*columns, "row", "labels", *KEYS]))


def select_examples(rows: pa.Table, settings: Settings, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Select the rows that are current and usable (`select_current`, `select_usable`), sorted by `row`.

    Equal lists of labels are one object: put a new list into the frame where you want another, and do not change one.

    Parameters
    ----------
    rows
        Every row, with its `shard` (`list_example_columns`). Hand over the only reference: each column is freed once it
        is converted, so that memory never holds a million rows twice.
    settings
        The store's.
    columns
        Those wanted, of those that are there; None: all but status and error, which tell nothing of examples.
    """
    release_freed_memory()  # of reading
    chosen = _is_current(rows)
    held = rows.select([*EXAMPLE, "status", "labels"])
    chosen[chosen] = _is_usable(held if chosen.all() else held.filter(pa.array(chosen)), settings)
    del held
    unwanted = [name for name in rows.column_names if columns is not None and name not in columns and name != "row"]
    rows = rows.drop_columns([*unwanted, *({"status", "error"} & set(rows.column_names) - set(unwanted))])
    order = _order(rows["row"], chosen)
    frame, freed_bytes = {}, 0
    for name in rows.column_names:
        column, rows = rows[name], rows.drop_columns(name)
        frame[name] = _values(name, column if order is None else column.take(order))
        freed_bytes += column.nbytes
        del column
        if freed_bytes > _RELEASED_BYTES:
            release_freed_memory()
            freed_bytes = 0
    return pd.DataFrame(frame, columns=None if columns is None else list(columns), copy=False)


_RELEASED_BYTES = 32_000_000
"""Freed memory that is given back together: each time costs 2 to 10 ms."""


def _order(row: pa.ChunkedArray, chosen: npt.NDArray[np.bool_]) -> pa.Array | None:
    """Positions of the chosen rows sorted by number; None where they are all, and lie so: nothing is to be copied."""
    positions = np.flatnonzero(chosen)
    numbers = row.to_numpy()[positions]
    if len(positions) == len(chosen) and (np.diff(numbers) > 0).all():
        return None
    return pa.array(positions[np.argsort(numbers)])


def add_missing_columns(table: pa.Table, wanted: Sequence[str] | None) -> pa.Table:
    """A row part with the columns that rows have today, of those wanted (None: all)."""
    for name, value in _ADDED_COLUMNS.items():
        if name not in table.column_names and (wanted is None or name in wanted):
            kind = row_schema(CLIP_SCHEMA).field(name)
            table = table.append_column(kind, pa.repeat(pa.scalar(value, kind.type), table.num_rows))
    return table


def _is_current(rows: pa.Table) -> npt.NDArray[np.bool_]:
    """Which rows count (`select_current`), bool [row]."""
    live = ~_is(rows["status"], RETIRED)
    keys = rows.select(KEYS)
    live[live] = _keep_last(keys if live.all() else keys.filter(pa.array(live)), _last)
    return live


def _is_usable(rows: pa.Table, settings: Settings) -> npt.NDArray[np.bool_]:
    """Which rows, of those that count, hold an example (`select_usable`), bool [row]."""
    ok, failed = _is(rows["status"], "ok"), _is(rows["status"], "failed")
    if failed.any():
        of_failed = pc.is_in(rows["clip_id"], pc.unique(rows["clip_id"].filter(pa.array(failed)))).to_numpy()
        takes = pd.MultiIndex.from_frame(rows.select(EXAMPLE).filter(pa.array(of_failed)).to_pandas())
        ok[of_failed] &= ~takes.isin(takes[failed[of_failed]])
    if settings.variants is not None:
        ok[ok] = _match_current_policy(rows.filter(pa.array(ok)), settings)
    return ok


def _match_current_policy(rows: pa.Table, settings: Settings) -> list[bool]:
    """Whether the policy still makes each row's variant of a clip with its labels."""
    labels = [tuple(names) for names in rows["labels"].to_pylist()]
    rules = {names: list_variant_rules(list(names), settings) for names in set(labels)}
    held = zip(labels, rows["variant"].to_pylist(), rows["policy_rule"].to_pylist(), strict=True)
    return [rules[names][number : number + 1] == [rule] for names, number, rule in held]


def _keep_last(rows: pa.Table, last: Callable[[pd.DataFrame], pd.DataFrame]) -> npt.NDArray[np.bool_]:
    """Which rows are the last of their kind, bool [row]: all those of clips done once, and some of the others.

    `last` tells which; it sorts text, and is slow. Few clips of a store are there twice, and in a new one none.
    """
    doubtful = _is_duplicated(rows)
    kept = ~doubtful
    if doubtful.any():
        held = rows.filter(pa.array(doubtful)).to_pandas().assign(place=np.flatnonzero(doubtful))
        held["version"] = held["version"].fillna("")  # null: a file that had vanished
        kept[last(held.sort_values(["attempts", "shard"], kind="stable"))["place"]] = True
    return kept


def _last(rows: pd.DataFrame) -> pd.DataFrame:
    newest = rows["version"].groupby(rows["clip_id"]).transform("last")
    return rows[rows["version"] == newest].drop_duplicates([*EXAMPLE, "window"], keep="last")


def _last_of_each_content(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.drop_duplicates([*EXAMPLE, "window", "version"], keep="last")


def _is_duplicated(rows: pa.Table) -> npt.NDArray[np.bool_]:
    """Rows of clips that have more than one content, or a window of a take more than once, bool [row]."""
    clip, window = _clip_codes(rows["clip_id"]), _window_codes(rows)
    order = np.lexsort((window, clip))
    pairs = np.flatnonzero(clip[order[1:]] == clip[order[:-1]])  # neighbours of one clip
    one, other = order[pairs], order[pairs + 1]
    version = pc.fill_null(rows["version"], "").combine_chunks() if len(pairs) else pa.array([], pa.string())
    differs = pc.not_equal(version.take(pa.array(one)), version.take(pa.array(other))).to_numpy(zero_copy_only=False)
    found = np.unique(clip[one[differs | (window[one] == window[other])]])
    return np.isin(clip, found) if len(found) else np.zeros(len(clip), bool)


def _clip_codes(clip_id: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """Numbers that are equal where ids are, uint64 [row].

    An id of 32 hex digits is two numbers, and as a rule the first tells all clips apart: a twentieth of the memory, and
    a fifth of the time, that a dictionary of a million ids takes.
    """
    halves = [_hex_halves(chunk) for chunk in clip_id.chunks if len(chunk)]
    if halves and all(half is not None for half in halves):
        first, second = np.concatenate([half for half in halves if half is not None]).T
        order = np.argsort(first)
        if (second[order[1:]] == second[order[:-1]])[first[order[1:]] == first[order[:-1]]].all():
            return first
    codes = clip_id.combine_chunks().dictionary_encode().indices
    return codes.to_numpy(zero_copy_only=False).astype(np.uint64)


def _hex_halves(ids: pa.Array) -> npt.NDArray[np.uint64] | None:
    """Ids as two numbers each, uint64 [id, 2]; None unless all are 32 lower-case hex digits."""
    if ids.null_count or not pa.types.is_string(ids.type):
        return None
    _, offsets, text = ids.buffers()
    begins = np.frombuffer(offsets, np.int32)[ids.offset : ids.offset + len(ids) + 1]
    if (np.diff(begins) != 32).any():
        return None
    digits = _HEX[np.frombuffer(text, np.uint8)[begins[0] : begins[-1]]]
    if digits.max() > 15:
        return None
    return (digits[::2] << 4 | digits[1::2]).view(">u8").astype(np.uint64).reshape(-1, 2)


_HEX = np.full(256, 255, np.uint8)
_HEX[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)


def _window_codes(rows: pa.Table) -> npt.NDArray[np.int64]:
    """Numbers that are equal, within a clip, for the same window of the same take, int64 [row]."""
    codes = rows["window"].to_numpy().astype(np.int64)
    for name in EXAMPLE[1:]:
        column = rows[name]
        values = pc.unique(column)
        if len(values) > 1:
            codes = codes * len(values) + pc.index_in(column, values).to_numpy()
    return codes


def _values(name: str, column: pa.ChunkedArray) -> Any:
    """A column as users see it in a frame."""
    if name == "labels":
        return _lists(column)
    if name == "fold":
        return pd.Series(column.to_pandas(types_mapper={pa.int32(): pd.Int32Dtype()}.get))
    return column.to_numpy() if name in _WHOLE else column.to_pandas()


def _lists(column: pa.ChunkedArray) -> npt.NDArray[np.object_]:
    """Lists of text, object [row]; equal lists are one object, a tenth of the memory of a million lists."""
    lists = np.empty(len(column), object)
    known: dict[tuple[str, ...], list[str]] = {}
    begin = 0
    for chunk in column.chunks:
        lists[begin : begin + len(chunk)] = _lists_of(chunk, known)
        begin += len(chunk)
    return lists


def _lists_of(chunk: pa.ListArray, known: dict[tuple[str, ...], list[str]]) -> npt.NDArray[np.object_]:
    lengths = pc.list_value_length(chunk).to_numpy(zero_copy_only=False)
    if (lengths == 1).all():  # as most are: one look-up a text that differs, not one a row
        texts = chunk.flatten().dictionary_encode()
        keys, which = [(text,) for text in texts.dictionary.to_pylist()], texts.indices.to_numpy(zero_copy_only=False)
    else:
        keys, which = [tuple(texts) for texts in chunk.to_pylist()], np.arange(len(chunk))
    lists = np.empty(len(keys), object)
    for position, key in enumerate(keys):
        lists[position] = known.setdefault(key, list(key))
    return lists[which]


def _arrow(row_index: pd.DataFrame, names: Sequence[str]) -> pa.Table:
    """Some columns of a frame as Arrow's, text as text whatever it was held as."""
    columns = {name: pa.array(row_index[name], from_pandas=True) for name in names}
    wide = (pa.types.is_large_string, pa.types.is_null)
    return pa.table(
        {
            name: column.cast(pa.string()) if any(is_wide(column.type) for is_wide in wide) else column
            for name, column in columns.items()
        }
    )


def _select(row_index: pd.DataFrame, which: npt.NDArray[np.bool_]) -> pd.DataFrame:
    return row_index if which.all() else row_index[which].reset_index(drop=True)


def _is(status: pa.ChunkedArray, value: str) -> npt.NDArray[np.bool_]:
    return pc.equal(status, value).to_numpy().copy()
