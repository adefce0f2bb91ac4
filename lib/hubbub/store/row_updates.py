"""Updates of row parts to a clip table: rows are retired, restored, and get new labels and columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from hubbub.clips.examples import EXAMPLE_COLUMNS as EXAMPLE
from hubbub.clips.examples import ExampleKinds, group_clips_by_examples
from hubbub.config import Settings
from hubbub.store.rows import CLIP_NAMES, RETIRED, ROW_COLUMNS, row_schema


@dataclass(frozen=True)
class WantedExamples:
    """What a clip table wants of a store, made ready for looking up clips part by part (`find_wanted_examples`).

    Attributes
    ----------
    clips
        The clip table's rows.
    kinds
        Which examples each clip gives.
    index
        Of the clips' ids.
    """

    clips: pa.Table
    kinds: ExampleKinds
    index: pd.Index

    def positions(self, clip_id: pa.ChunkedArray) -> npt.NDArray[np.int64]:
        """Where clips stand in the table, -1 where they do not."""
        return self.index.get_indexer(clip_id.to_pandas()).astype(np.int64)


def find_wanted_examples(clips: pa.Table, settings: Settings) -> WantedExamples:
    """Make a clip table ready, once for all parts of a store: an index of a million clips examples a second."""
    clips = clips.combine_chunks()
    return WantedExamples(clips, group_clips_by_examples(clips, settings), pd.Index(clips["clip_id"].to_pandas()))


def update_statuses(rows: pa.Table, wanted: WantedExamples) -> pa.Table:
    """Bring a row part up to date with a clip table: refresh columns, retire unwanted rows, restore wanted ones.

    Rows are retired if their clip is missing from the table, if they are of earlier content, or if the clip no longer
    gives the example, as after a change of the policy. Values stay, so rows can be restored.
    """
    positions = wanted.positions(rows["clip_id"])
    keep = _match_wanted(rows, wanted, positions)
    return restore_rows(retire_rows(_replace_clip_columns(rows, wanted.clips, positions), ~keep), keep)


def retire_rows(rows: pa.Table, which: npt.NDArray[np.bool_]) -> pa.Table:
    """Mark rows that shall not count; `which` is bool [row]."""
    return _set_status(rows, pc.if_else(pa.array(which), RETIRED, rows["status"]))


def restore_rows(rows: pa.Table, which: npt.NDArray[np.bool_]) -> pa.Table:
    """Bring back retired rows among `which`, bool [row]: a row with values was ok, one with a reason failed."""
    back = pc.and_(pa.array(which), pc.equal(rows["status"], RETIRED))
    was = pc.if_else(pc.is_valid(rows["row"]), "ok", pc.if_else(pc.is_valid(rows["error"]), "failed", "ended"))
    return _set_status(rows, pc.if_else(back, was, rows["status"]))


def refresh_clip_columns(rows: pa.Table, clips: pa.Table) -> pa.Table:
    """A row part with the columns that its clips have now, where their content is the same."""
    return _replace_clip_columns(
        rows, clips, pc.fill_null(pc.index_in(rows["clip_id"], clips["clip_id"]), -1).to_numpy()
    )


def count_changed_clips(old: pa.Table, new: pa.Table) -> int:
    """Clips of which any row differs between two tables of the same rows."""
    changed = np.zeros(len(old), bool)
    for name in new.column_names:
        if name not in old.column_names or not old[name].equals(new[name]):
            changed |= _compare_columns(old[name] if name in old.column_names else None, new[name])
    return len(pc.unique(old["clip_id"].filter(pa.array(changed))))


def _replace_clip_columns(rows: pa.Table, clips: pa.Table, positions: npt.NDArray[np.int64]) -> pa.Table:
    where = pa.array(positions, mask=positions < 0)
    same = pc.fill_null(pc.equal(clips["version"].take(where), rows["version"]), False)
    own, sources = {field.name for field in ROW_COLUMNS}, {new: old for old, new in CLIP_NAMES.items()}
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


def _match_wanted(rows: pa.Table, wanted: WantedExamples, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which rows are of a clip's content and examples as the table has them; null equals null."""
    now = wanted.clips["version"].take(pa.array(positions, mask=positions < 0))
    same = pc.equal(pc.fill_null(now, ""), pc.fill_null(rows["version"], "")).to_numpy() & (positions >= 0)
    kind = np.where(same, wanted.kinds.clip[positions], -1)
    examples = zip(*(rows[name].to_pylist() for name in EXAMPLE[1:]), strict=True)
    allowed = [set(of_kind) for of_kind in wanted.kinds.examples]
    return np.array([which >= 0 and take in allowed[which] for which, take in zip(kind, examples, strict=True)], bool)


def _set_status(rows: pa.Table, status: pa.ChunkedArray) -> pa.Table:
    at = rows.column_names.index("status")
    return rows.set_column(at, rows.schema.field(at), status.cast(pa.string()))


def _compare_columns(old: pa.ChunkedArray | None, new: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Where a column differs, null being equal to null alone."""
    if old is None:
        return pc.is_valid(new).to_numpy()
    if old.type != new.type or pa.types.is_nested(new.type):
        return np.array([one != other for one, other in zip(old.to_pylist(), new.to_pylist(), strict=True)], bool)
    one_null = pc.xor(pc.is_null(old), pc.is_null(new))
    return pc.or_(pc.fill_null(pc.not_equal(old, new), False), one_null).to_numpy()


def _fits(new: pa.DataType, kept: pa.DataType) -> bool:
    """Whether two types hold the same kind of value; lists may name their items otherwise."""
    return new == kept or (pa.types.is_list(new) and pa.types.is_list(kept) and new.value_type == kept.value_type)
