"""One unit of `verify`: check shards of a store or units of label tables; and the steps of a repair.

A repair goes in steps, each of which may be its last, and a later repair goes on from there::

    put aside    the row parts of broken shards go to STORE/broken/, and so these shards no longer exist
    plan         clips come from all row parts, those put aside too, and from a clip table where a part was torn
    run          as `hubbub features` does: what is not there is made
    clear        STORE/broken/ goes when nothing of what it tells is missing any more
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from hubbub.clips.examples import EXAMPLE_COLUMNS as TAKE
from hubbub.clips.table import CLIP_SCHEMA, ClipTable, has_changed, resolve_uri
from hubbub.errors import StoreError
from hubbub.io.atomic import explain_read_errors, read_bytes, write_bytes
from hubbub.io.folders import remove_file, remove_tree
from hubbub.io.paths import StoragePath, parse_path
from hubbub.labels.tables import LabelTables
from hubbub.labels.verify import verify_labels
from hubbub.planning.plan import Plan, plan_features
from hubbub.planning.time_limits import time_limit_s
from hubbub.store.descriptions import decode_shard, rebuild_descriptions
from hubbub.store.features import ARRAYS, FeatureStore
from hubbub.store.parts import concatenate_tables, list_part_numbers, part_path, read_part
from hubbub.store.problems import BROKEN, Problem, read_bytes_if_there
from hubbub.store.rows import PROGRESS, ROW_COLUMNS, add_missing_columns, checksum, select_current, select_latest
from hubbub.store.verify import ShardCheck, check_shard, read_part_if_valid, readable_parts
from hubbub.tasks.result import UnitResult

_SHARDS_A_UNIT = 8
_SHARD_BYTES_MOST = 100 * 2**20  # larger objects are sent to a bucket in parts


@dataclass(frozen=True)
class VerifyUnit:
    """Some shards, or units of label tables.

    Attributes
    ----------
    index
        Its number.
    items
        Numbers of what is to be checked.
    """

    index: int
    items: tuple[int, ...]

    @property
    def time_limit_s(self) -> float:
        """Seconds after which it is thought to hang, each shard being as large as one may be."""
        return time_limit_s(len(self.items) * _SHARD_BYTES_MOST, 0)


@dataclass(frozen=True)
class VerifyResult(UnitResult):
    """One unit, checked: `windows` counts shards, or units of label tables; `rows` those with checksums computed.

    Attributes
    ----------
    problems
        What is wrong with them.
    """

    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class VerifyTask:
    """Checks shards; plain data, so that any engine can send it anywhere.

    Attributes
    ----------
    store
        The store that they are of.
    document
        Description of its array (`store.verify.verify_array`).
    """

    store: FeatureStore
    document: bytes

    def __call__(self, unit: VerifyUnit) -> VerifyResult:
        """Check the unit's shards.

        Raises
        ------
        UsageError
            When the bucket cannot be reached.
        """
        return _result(unit, [check_shard(self.store, shard, self.document) for shard in unit.items])


@dataclass(frozen=True)
class VerifyLabelsTask:
    """Checks units of label tables; plain data, so that any engine can send it anywhere.

    Attributes
    ----------
    tables
        The tables that they are of.
    """

    tables: LabelTables

    def __call__(self, unit: VerifyUnit) -> VerifyResult:
        """Check the units."""
        found = [problem for number in unit.items for problem in verify_labels(self.tables, number)]
        return VerifyResult(unit.index, 0, 0, len(unit.items), 0, 0.0, 0, problems=tuple(found))


def group_units(numbers: Sequence[int]) -> Iterator[VerifyUnit]:
    """Deal shards to units."""
    for index, begin in enumerate(range(0, len(numbers), _SHARDS_A_UNIT)):
        yield VerifyUnit(index, tuple(numbers[begin : begin + _SHARDS_A_UNIT]))


def _result(unit: VerifyUnit, checks: Sequence[ShardCheck]) -> VerifyResult:
    problems = tuple(problem for check in checks for problem in check.problems)
    rows, size_bytes = sum(check.rows for check in checks), sum(check.size_bytes for check in checks)
    return VerifyResult(unit.index, 0, 0, len(checks), rows, 0.0, size_bytes, problems=problems)


@dataclass(frozen=True)
class KnownClips:
    """What row parts tell of a store, also those that are put aside.

    Attributes
    ----------
    rows
        All their rows, with the number of the part as `part`, and whether they are `lost`: in a part put aside. The
        `shard` of a lost row is -1, so that of equal rows one that is there counts.
    torn
        Numbers of the parts put aside that cannot be read, or are another store's: their clips are not known.
    """

    rows: pa.Table
    torn: tuple[int, ...]


def collect_known_clips(store: FeatureStore) -> KnownClips:
    """Read every row part of a store, those put aside too."""
    tables = [_told(part, shard, lost=False) for shard, part in readable_parts(store).items()]
    torn = []
    for shard in list_part_numbers(store.path / BROKEN):
        try:
            part, mark = read_part(store.path / BROKEN, shard)
        except StoreError:
            part, mark = pa.table({}), {}
        if (mark.get("store_id"), mark.get("settings_hash")) == (store.provenance.get("store_id"), store.settings_hash):
            tables.append(_told(add_missing_columns(part, None), mark["unit"], lost=True))
        else:
            torn.append(shard)
    return KnownClips(concatenate_tables(tables) if tables else pa.table({}), tuple(torn))


def _told(part: pa.Table, shard: int, *, lost: bool) -> pa.Table:
    told = {"shard": pa.scalar(-1 if lost else shard, pa.int64()), "part": pa.scalar(shard, pa.int64())}
    for name, value in (told | {"lost": pa.scalar(lost)}).items():
        part = part.append_column(name, pa.repeat(value, part.num_rows))
    return part


def move_broken_shards(store: FeatureStore, broken: Sequence[int], document: bytes, root: StoragePath) -> None:
    """Move row parts of broken shards to ``STORE/broken/`` and remove the shards: from then on they do not exist.

    A shard of which not all recordings can be read again keeps its good rows: they could not be made anew.

    Parameters
    ----------
    document
        Description of the array (`store.verify.verify_array`).
    root
        What uris are relative to.

    Raises
    ------
    StorageError
        When the store cannot be written.
    """
    for shard in broken:
        path = part_path(store.rows_folder, shard)
        write_bytes(part_path(store.path / BROKEN, shard), read_bytes(path))
        kept = _kept(store, shard, document, root)
        if kept is not None:
            store.write_shard(shard, *kept)
            continue
        remove_file(path)
        remove_tree(store.array_path / "c" / str(shard))


def _kept(
    store: FeatureStore, shard: int, document: bytes, root: StoragePath
) -> tuple[npt.NDArray[np.floating], pa.Table] | None:
    """Values and rows of the takes that are whole; None where all can be made again, or none is whole."""
    try:
        part, data = read_part_if_valid(store, shard), read_bytes_if_there(store.shard_path(shard))
        if part is None or data is None:
            return None
        wanted = part.filter(pc.equal(part["status"], "ok")).select(["uri", "version"]).to_pylist()
        if all(_is_there(row["uri"], row["version"], root) for row in wanted):
            return None
        values = decode_shard(document, data, store)
        takes = pd.MultiIndex.from_frame(part.select(TAKE).to_pandas())
        rows = part["row"].to_pandas()
        wrong = [
            number == number and checksum(values[int(number) - shard * store.rows_per_shard]) != crc32
            for number, crc32 in zip(rows, part["crc32"].to_pylist(), strict=True)
        ]
    except (StoreError, OSError, ValueError, KeyError, TypeError, IndexError):
        return None
    good = ~takes.isin(takes[np.array(wrong, bool)])
    values[[int(number) - shard * store.rows_per_shard for number in rows[~good].dropna()]] = np.nan
    return (values, part.filter(pa.array(good))) if rows[good].notna().any() else None


def _is_there(uri: str, version: str | None, root: StoragePath) -> bool:
    path = resolve_uri(uri, root)
    with explain_read_errors(path):
        return path.exists() and not has_changed(path, version)


def repair_clips(known: KnownClips, table: ClipTable | None, root: StoragePath) -> ClipTable | None:
    """The clips of a store: as row parts tell of them; from a clip table those that are lost or not known.

    Returns
    -------
    ClipTable or None
        None where nothing tells of any clip.
    """
    told, lost = _clips_told(known)
    if table is not None:
        kept = set(told["clip_id"].to_pylist()) - lost
        chosen = _where(table.rows, lambda clip: clip not in kept)
        now = set(chosen["clip_id"].to_pylist())
        told = _where(told, lambda clip: clip not in now)
        # In the places that they have: clips that are cut as they were have the values that they had.
        told = _in_order(concatenate_tables([told, chosen]), table)
    return ClipTable(told, root) if told.num_rows else None


def _where(clips: pa.Table, wanted: Callable[[str], bool]) -> pa.Table:
    return clips.filter(pa.array([wanted(clip) for clip in clips["clip_id"].to_pylist()], pa.bool_()))


def _in_order(clips: pa.Table, table: ClipTable) -> pa.Table:
    """Clips in the order of the table; those that it does not have come last."""
    places = {clip: position for position, clip in enumerate(table.rows["clip_id"].to_pylist())}
    order = np.argsort([places.get(clip, len(places)) for clip in clips["clip_id"].to_pylist()], kind="stable")
    return clips.take(pa.array(order))


def _clips_told(known: KnownClips) -> tuple[pa.Table, set[str]]:
    """Clips in the order in which they were stored, each as it was last, and the ids of those that lost a row."""
    if not known.rows.num_rows:
        return CLIP_SCHEMA.empty_table(), set()
    rows = known.rows.append_column("place", pa.array(range(known.rows.num_rows), pa.int64()))
    counted = select_current(rows.select([*PROGRESS, "shard", "part", "lost", "place"]).to_pandas())
    lost = set(counted.loc[counted["lost"], "clip_id"])
    places = counted.sort_values(["part", "place"]).drop_duplicates("clip_id")["place"]
    chosen = rows.take(pa.array(places.to_numpy()))
    own = {*(field.name for field in ROW_COLUMNS), "clip_start_s", "clip_end_s", "shard", "part", "lost", "place"}
    sources = {"start_s": "clip_start_s", "end_s": "clip_end_s"}
    columns = {field.name: chosen[sources.get(field.name, field.name)].cast(field.type) for field in CLIP_SCHEMA}
    columns |= {name: chosen[name] for name in chosen.column_names if name not in own and name not in columns}
    return pa.table(columns), lost


def find_recordings_root(store: FeatureStore, table: ClipTable | None) -> StoragePath:
    """What uris are relative to: as the clip table says, else as the store does.

    Raises
    ------
    StoreError
        When neither does.
    """
    if table is not None:
        return table.root
    root = store.provenance.get("root")
    if root is None:
        raise StoreError(f"{store.path} does not say where its recordings lie; give the clip table: --clips CLIPS")
    return parse_path(root)


def plan_repair(store: FeatureStore, known: KnownClips, clips: ClipTable) -> Plan:
    """Plan what is to be made: what is lost, and what a run that broke off left undone.

    What is lost is taken as begun and not there: so it is made again as the same attempt, and cut as it was.
    """
    row_index = None
    if known.rows.num_rows:
        row_index = select_latest(known.rows.select([*PROGRESS, "shard", "lost"]).to_pandas())
        # That a recording had ended is found out again; what was retired does not come back by being made again.
        row_index = row_index[~row_index["lost"] | row_index["status"].isin(["ok", "failed"])].reset_index(drop=True)
        row_index.loc[row_index["lost"], "status"] = "lost"
    return plan_features(clips, store.settings, row_index, store.committed(), first_shard=store.first_shard)


def write_descriptions(store: FeatureStore, problems: Sequence[Problem]) -> None:
    """Write the array's description and the coordinates again, where problems say that a repair does so.

    Raises
    ------
    StorageError
        When the store cannot be written.
    """
    damaged = [problem.where for problem in problems if problem.mend == "write"]
    for name, data in rebuild_descriptions(store).items():
        if any(f"{ARRAYS}/{name}".startswith(where) for where in damaged):
            write_bytes(store.path / ARRAYS / name, data)


def record_dropped_clips(store: FeatureStore, known: KnownClips) -> None:
    """Write down that clips which had nothing but retired rows are gone with them, or they would be missed for ever."""
    if not known.rows.num_rows:
        return
    rows = known.rows.select([*PROGRESS, "shard", "lost"]).to_pandas()
    there = {clip for part in readable_parts(store, ["clip_id"]).values() for clip in part["clip_id"].to_pylist()}
    retired = set(rows.loc[rows["lost"], "clip_id"]) - set(select_current(rows)["clip_id"]) - there
    if retired and "clips" in store.provenance:
        store.note(clips=store.provenance["clips"] - len(retired))


def list_failed_clips(known: KnownClips) -> set[str]:
    """Ids of the clips that have a failed row that counts."""
    if not known.rows.num_rows:
        return set()
    counted = select_current(known.rows.select([*PROGRESS, "shard"]).to_pandas())
    return set(counted.loc[counted["status"] == "failed", "clip_id"])


def remove_broken_folder(store: FeatureStore) -> None:
    """Remove what was put aside: everything that it told of is in the store again."""
    remove_tree(store.path / BROKEN)


def move_broken_units(tables: LabelTables, broken: Sequence[int], problems: Sequence[Problem]) -> None:
    """Move the parts of broken units of label tables to ``LABELS/broken/``, and remove what a run left.

    Without its part in ``files/`` a unit does not exist: ``hubbub label`` makes it again.

    Raises
    ------
    StorageError
        When the tables cannot be written.
    """
    for unit in broken:
        for folder in ("files", "windows", "events"):
            path = part_path(tables.path / folder, unit)
            if (data := read_bytes_if_there(path)) is not None:
                write_bytes(part_path(tables.path / BROKEN / folder, unit), data)
                remove_file(path)
    for problem in problems:
        if problem.mend == "remove":
            remove_file(tables.path / problem.where)
