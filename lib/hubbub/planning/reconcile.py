"""Reconciliation: compare the examples of a clip table with the rows of a store, as arrays.

A row matches an example if it was computed from the content that the clip has now. A row of other content only adds to
the attempts of its clip. A retired row that matches again counts as before: the run restores it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from hubbub.clips.examples import EXAMPLE_COLUMNS as EXAMPLE
from hubbub.clips.examples import Examples


@dataclass(frozen=True)
class TableChanges:
    """How a clip table differs from what a store was built from; numbers of clips.

    Attributes
    ----------
    new
        In the table, and not in the store.
    changed
        In the store with other content only.
    missing
        In the store with current rows, and missing from the table.
    restored
        In the table, with retired rows of its content in the store.
    """

    new: int
    changed: int
    missing: int
    restored: int


@dataclass(frozen=True)
class Reconciliation:
    """What is done, what failed before, what this run computes: arrays [example].

    `attempt` is the number of the next attempt, `windows` the counted windows of an example (-1: unknown). `there` are
    the windows of wanted examples that are ok, sorted, int64 [window, 2]: position of the example, number of the
    window.
    """

    done: npt.NDArray[np.bool_]
    failed: npt.NDArray[np.bool_]
    wanted: npt.NDArray[np.bool_]
    attempt: npt.NDArray[np.int64]
    windows: npt.NDArray[np.int64]
    there: npt.NDArray[np.int64]
    changes: TableChanges

    def stored_windows(self, example: int) -> npt.NDArray[np.int64]:
        """Numbers of the windows of a wanted example that are ok, sorted."""
        begin, end = np.searchsorted(self.there[:, 0], [example, example + 1])
        return self.there[begin:end, 1]


def reconcile(examples: Examples, row_index: pd.DataFrame | None, *, retry_failed: bool) -> Reconciliation:
    """Match the rows of a store with the examples of a clip table.

    Parameters
    ----------
    examples
        Of the clip table.
    row_index
        The rows of the store (`FeatureStore.progress`), or None; columns of `EXAMPLE`, window, windows, status,
        attempts, version, and, where rows are retired, `row` and `error`.
    retry_failed
        Whether examples that failed before are wanted.
    """
    n_examples, n_clips = len(examples.clip), int(examples.clip[-1]) + 1
    if row_index is None or row_index.empty:
        no, none = np.zeros(n_examples, bool), np.full(n_examples, -1)
        return Reconciliation(no, no, ~no, none + 2, none, np.empty((0, 2), np.int64), TableChanges(n_clips, 0, 0, 0))
    held = _match_rows(examples, row_index)
    fits = held.example >= 0
    example, attempts = held.example[fits], held.attempts[fits]
    known = _count_each(example, n_examples) > 0
    failed = _count_each(example[held.failed[fits]], n_examples) > 0
    ok = _count_each(example[held.ok[fits]], n_examples)
    windows = _min_each(example, held.windows[fits], n_examples)
    done = known & ~failed & (ok >= windows)
    begun = known & ~failed & ~done
    # Started examples keep their attempt; new content counts on from the content that it replaces.
    others = _count_attempts_on_other_content(held, n_clips)[examples.clip]
    attempt = np.maximum(_max_each(example, attempts, n_examples) + ~begun, others + 1)
    wanted = ~done & (retry_failed | ~failed)
    there = _list_stored_windows(held, fits & held.ok & wanted[held.example])
    return Reconciliation(done, failed, wanted, attempt, windows, there, _compare_tables(held, n_clips))


@dataclass(frozen=True)
class _StoredRows:
    """Rows of a store, arrays [row], beside the clips and examples of a table.

    `clip` and `example` are positions in the table, -1: not there; `clip` for any content, `example` for the content of
    now. `same` is true for the content of now; `ok` and `failed` are the status, of retired rows the one before.
    """

    clip: npt.NDArray[np.int64]
    example: npt.NDArray[np.int64]
    same: npt.NDArray[np.bool_]
    ok: npt.NDArray[np.bool_]
    failed: npt.NDArray[np.bool_]
    retired: npt.NDArray[np.bool_]
    window: npt.NDArray[np.int64]
    windows: npt.NDArray[np.int64]
    attempts: npt.NDArray[np.int64]
    n_missing: int


def _match_rows(examples: Examples, row_index: pd.DataFrame) -> _StoredRows:
    first = np.flatnonzero(np.diff(examples.clip, prepend=-1))
    ids = _column(examples.rows["clip_id"]).take(pa.array(first))
    row_ids = _column(row_index["clip_id"])
    clip = pc.fill_null(pc.index_in(row_ids, ids), -1).to_numpy().astype(np.int64)
    same = (clip >= 0) & _same_version(_column(examples.rows["version"]).take(pa.array(first)), clip, row_index)
    example = np.where(same, _find_examples(examples, clip, row_index), -1)
    status = _column(row_index["status"])
    ok, failed, retired = (_equal(status, name) for name in ("ok", "failed", "retired"))
    gone = ~retired & (clip < 0)
    if retired.any():  # a retired row says by what it holds what it was (`store.row_updates`)
        ok = ok | (retired & row_index["row"].notna().to_numpy())
        failed = failed | (retired & ~ok & row_index["error"].notna().to_numpy())
    whole = {
        name: row_index[name].to_numpy(np.int64) for name in ("window", "windows", "attempts") if name in row_index
    }
    whole.setdefault("window", np.zeros(len(row_index), np.int64))
    n_missing = len(pc.unique(row_ids.filter(pa.array(gone))))
    return _StoredRows(clip, example, same, ok, failed, retired, n_missing=n_missing, **whole)


def _same_version(versions: pa.Array, clip: npt.NDArray[np.int64], row_index: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Whether rows are of the content that their clips have now; null equals null."""
    now = versions.take(pa.array(np.maximum(clip, 0)))
    return pc.equal(pc.fill_null(now, ""), pc.fill_null(_column(row_index["version"]), "")).to_numpy(
        zero_copy_only=False
    )


def _find_examples(examples: Examples, clip: npt.NDArray[np.int64], row_index: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Find the example of each row, int64 [row]; -1: the table has no such example."""
    mine, theirs = np.zeros(len(examples.clip), np.int64), np.zeros(len(row_index), np.int64)
    for name in EXAMPLE[1:]:
        column = _column(examples.rows[name])
        values = pc.unique(column)
        mine = mine * (len(values) + 1) + pc.index_in(column, values).to_numpy()
        other = pc.index_in(_column(row_index[name]).cast(values.type), values)
        theirs = theirs * (len(values) + 1) + pc.fill_null(other, len(values)).to_numpy()
    base = int(max(mine.max(initial=0), theirs.max(initial=0))) + 1
    mine, theirs = examples.clip * base + mine, clip * base + theirs
    order = np.argsort(mine, kind="stable")  # nearly sorted: the sort goes through it once
    at = np.minimum(np.searchsorted(mine, theirs, sorter=order), len(mine) - 1)
    return np.where(mine[order[at]] == theirs, order[at], -1)


def _list_stored_windows(held: _StoredRows, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    there = np.stack([held.example[chosen], held.window[chosen]], axis=1)
    return there[np.lexsort((there[:, 1], there[:, 0]))]


def _count_attempts_on_other_content(held: _StoredRows, n_clips: int) -> npt.NDArray[np.int64]:
    """The most attempts that a clip has had with other content than it has now, int64 [clip]; 0 where it had none."""
    other = (held.clip >= 0) & ~held.same
    return _max_each(held.clip[other], held.attempts[other], n_clips)


def _compare_tables(held: _StoredRows, n_clips: int) -> TableChanges:
    inside = held.clip >= 0
    known = _count_each(held.clip[inside], n_clips) > 0
    same = _count_each(held.clip[inside & held.same], n_clips) > 0
    back = held.clip[held.retired & (held.example >= 0)]
    return TableChanges(
        new=int((~known).sum()),
        changed=int((known & ~same).sum()),
        missing=held.n_missing,
        restored=len(np.unique(back)),
    )


def _column(values: pd.Series | pa.ChunkedArray) -> pa.Array:
    """A column as one Arrow array, text as text whatever it was held as."""
    array = pa.array(values, from_pandas=True) if isinstance(values, pd.Series) else values
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    is_text = pa.types.is_large_string(array.type) or pa.types.is_null(array.type)
    return array.cast(pa.string()) if is_text else array


def _equal(column: pa.Array, value: str) -> npt.NDArray[np.bool_]:
    return pc.fill_null(pc.equal(column, value), False).to_numpy(zero_copy_only=False)


def _count_each(positions: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.int64]:
    """How often each of `n` positions occurs."""
    return np.bincount(positions, minlength=n)


def _max_each(positions: npt.NDArray[np.int64], values: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.int64]:
    """The largest value at each of `n` positions, int64 [n]; 0 where there is none."""
    most = np.zeros(n, np.int64)
    np.maximum.at(most, positions, values)
    return most


def _min_each(positions: npt.NDArray[np.int64], values: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.int64]:
    """The smallest value at each of `n` positions, int64 [n]; -1 where there is none."""
    none = np.iinfo(np.int64).max
    least = np.full(n, none)
    np.minimum.at(least, positions, values)
    return np.where(least == none, -1, least)
