"""A clip table that is made part by part: its rows wait on the disk until all columns are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hubbub.clips.ids import ClipIds
from hubbub.clips.table import (
    ClipTable,
    check_rows,
    explain_doubled,
    explain_misfit,
    make_rows,
    name_null_types,
    read_parts,
    write_rows,
)
from hubbub.errors import ClipTableError
from hubbub.io.paths import StoragePath
from hubbub.io.spool import Spool

_ROWS_A_GROUP = 50_000  # of the Parquet file; so many are in memory while it is written
_WHERE = "the clips"


@dataclass
class TableSummary:
    """What a clip table holds, counted while it is made.

    Attributes
    ----------
    clips
        Rows.
    labels
        Clips a label.
    unlabelled, timed, unreadable
        Clips without a label, clips whose beginning is known, and clips whose header could not be read.
    beyond
        Segments that begin after the end of their recording.
    folds
        Folds of the clips.
    splits
        Clips a split.
    audio_s
        Duration of all clips whose duration is known, s: of segments that of the segment.
    """

    clips: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    unlabelled: int = 0
    timed: int = 0
    unreadable: int = 0
    beyond: int = 0
    folds: set[int] = field(default_factory=set)
    splits: Counter[str] = field(default_factory=Counter)
    audio_s: float = 0.0

    def add(self, rows: pa.Table) -> None:
        """Count some rows."""
        self.clips += len(rows)
        labels = rows["labels"].to_pylist()
        self.labels.update(label for names in labels for label in names)
        self.unlabelled += sum(not names for names in labels)
        self.timed += len(rows) - rows["recorded_at"].null_count
        self.unreadable += rows["duration_s"].null_count
        self.splits.update(rows["split"].drop_null().to_pylist())
        self.folds |= set(rows["fold"].drop_null().unique().to_pylist())
        begins_s = pc.fill_null(rows["start_s"], 0.0)
        lengths_s = pc.subtract(pc.min_element_wise(rows["duration_s"], rows["end_s"]), begins_s)
        known_s = pc.if_else(pc.is_valid(rows["duration_s"]), pc.max_element_wise(lengths_s, 0.0), 0.0)
        self.beyond += pc.sum(pc.fill_null(pc.greater_equal(begins_s, rows["duration_s"]), False)).as_py() or 0
        self.audio_s += pc.sum(known_s).as_py() or 0.0


class TableParts:
    """The parts of one clip table. Memory holds 16 bytes a clip, and a few parts.

    Attributes
    ----------
    root
        The folder that relative uris start from.
    summary
        What the parts hold so far.
    """

    def __init__(self, root: StoragePath) -> None:
        self.root, self.summary = root, TableSummary()
        self._schema = pa.schema([])
        self._rows = Spool[pa.Table]()
        self._known: list[int] = []
        self._new: dict[int, int] = {}  # where each part is in the spool
        self._ids = ClipIds()

    def add_table(self, path: StoragePath) -> ClipIds:
        """Begin with the clips of a table that is there, and return their ids.

        Raises
        ------
        ClipTableError
            For a table that breaks the contract, or whose clips lie below another root.
        """
        ids = ClipIds()
        for part in read_parts(path):
            if str(part.root) != str(self.root):
                raise ClipTableError(
                    f"the clips lie below {self.root}, those of the table below {part.root}; make another table for "
                    "them: hubbub index SOURCE -o FILE"
                )
            ids.add(part.rows["clip_id"].to_pylist())
            self._known.append(self._keep(part.rows))
        self._refuse_doubled(ids, str(path))
        return ids

    def add(self, number: int, clips: Sequence[Mapping[str, Any]]) -> None:
        """Add the part `number`, one mapping a clip as for `make_table`; parts may come in any order.

        Raises
        ------
        ClipTableError
            For clips that break the contract of the table, or whose columns have other types than those before.
        """
        rows = check_rows(make_rows(clips), _WHERE)
        self._ids.add(rows["clip_id"].to_pylist())
        self._new[number] = self._keep(rows)

    def make_table(self) -> ClipTable:
        """Make the table in memory; errors of `write`, but for those of storage."""
        groups = list(self._group_rows(self._finish()))
        return ClipTable(pa.concat_tables(groups), self.root)

    def write(self, path: StoragePath) -> None:
        """Write the table; it appears at `path` only when whole.

        Raises
        ------
        ClipTableError
            When there are no clips, or some are there more than once.
        StorageError
            When the place cannot be written.
        """
        schema = self._finish()
        write_rows(self._group_rows(schema), schema, self.root, path)

    def _keep(self, rows: pa.Table) -> int:
        try:
            self._schema = pa.unify_schemas([self._schema, rows.schema], promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            if self._known:
                message = f"the clips do not fit the table: {error}; make another table for them"
                raise ClipTableError(message) from None
            raise explain_misfit(error) from None
        self.summary.add(rows)
        return self._rows.put(rows)

    def _finish(self) -> pa.Schema:
        """Refuse what no part shows by itself; return the columns of all parts."""
        if not self.summary.clips:
            raise ClipTableError(f"{_WHERE}: no clips; expected at least one")
        self._refuse_doubled(self._ids, _WHERE)
        return name_null_types(self._schema)

    def _refuse_doubled(self, ids: ClipIds, where: str) -> None:
        doubled = ids.find_doubled()
        if len(doubled):
            rows = (row for part in self._parts() for row in part.select(["clip_id", "uri"]).to_pylist())
            uri = next(row["uri"] for row in rows if doubled.contain([row["clip_id"]])[0])
            raise explain_doubled(len(doubled), uri, where)

    def _parts(self) -> Iterator[pa.Table]:
        """The rows in the order of the table."""
        return map(self._rows.get, [*self._known, *(self._new[number] for number in sorted(self._new))])

    def _group_rows(self, schema: pa.Schema) -> Iterator[pa.Table]:
        """The rows with all columns, some ten thousand together."""
        group: list[pa.Table] = [schema.empty_table()]
        for rows in self._parts():
            group.append(rows)
            if sum(map(len, group)) >= _ROWS_A_GROUP:
                yield pa.concat_tables(group, promote_options="permissive")
                group = [schema.empty_table()]
        if len(group) > 1:
            yield pa.concat_tables(group, promote_options="permissive")
