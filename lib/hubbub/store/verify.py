"""Is every row accounted for, and every checksum right? What stores and label tables hold, against their own records.

`check_shard` and `verify_labels` look at one shard or unit, and go wherever an engine takes them. The others look at a
whole folder: its names (`verify_objects`), the description of its array (`verify_array`), its clips (`verify_clips`).
What belongs to a store and cannot be read, or does not fit, is a `Problem`; a bucket that does not answer is an error.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from hubbub.clips.examples import EXAMPLE_COLUMNS as TAKE
from hubbub.clips.table import ClipTable
from hubbub.errors import LabelsError, StoreError
from hubbub.io.atomic import explain_read_errors, list_names, read_bytes
from hubbub.io.paths import StoragePath, is_local
from hubbub.labels.tables import SEGMENT_NAME, SEGMENTS_FOLDER, LabelTables
from hubbub.store import arrays
from hubbub.store.features import ARRAYS, ROWS, FeatureStore, read_group_files
from hubbub.store.parts import concatenate_tables, list_part_numbers, part_path, read_part
from hubbub.store.row_index import IN_FLIGHT
from hubbub.store.rows import checksum, select_current

BROKEN = "broken"
"""Folder of a store or of label tables where a repair puts row parts aside until their clips are made again."""

_MAX_NAMED = 3
_PROBES = 3
_PARTIAL = re.compile(r"\.partial(-\d+)?$")
_HAS_VALUES = ("ok", "retired")
_STATUS = ("ok", "failed", "ended", "retired")
_LEFT_OVER = "is left over from a run that broke off, and nothing reads it; the next run, or --repair, removes it"
_REPLACED = "is left over from a compaction that broke off at its end; hubbub compact, or --repair, removes it"
_FOREIGN = "is nothing that hubbub wrote, and nothing reads it; move it away"

Mend = Literal["recompute", "write", "remove", "run"]
"""How a repair mends a problem.

recompute
    Make clips again from their recordings.
write
    Write a description again from the store's settings.
remove
    Remove what a run left that broke off.
run
    Go on with a run that broke off, as ``hubbub features`` and ``hubbub label`` do by themselves.
"""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes
    ----------
    where
        The shard, part or file, by its name within the store.
    what
        What is wrong with it.
    clips
        Uris of the first few clips that it holds, where that is known.
    more_clips
        How many it holds beside those.
    mend
        How a repair mends it; None: it does not.
    unit
        Number of the shard or unit that is broken; None: it is no single one.
    """

    where: str
    what: str
    clips: tuple[str, ...] = ()
    more_clips: int = 0
    mend: Mend | None = None
    unit: int | None = None

    @property
    def in_flight(self) -> bool:
        """Whether a run that goes on looks like this, and nothing is wrong."""
        return self.mend in ("remove", "run")

    def __str__(self) -> str:
        clips = ", ".join(self.clips) + (f" and {self.more_clips} more clips" if self.more_clips else "")
        return f"{self.where}: {self.what}" + (f" (holds {clips})" if clips else "")


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
        told = _list_clips(rows)
        return ShardCheck(0, 0, tuple(Problem(name, fault, *told, "recompute", shard) for fault in faults))
    held = rows[rows["status"].isin(_HAS_VALUES) & rows["row"].notna()]
    return _check_values(store, shard, held, document)


def _check_values(store: FeatureStore, shard: int, held: pd.DataFrame, document: bytes | None) -> ShardCheck:
    where, told, data = f"{ARRAYS} shard {shard}", _list_clips(held), None
    try:
        data = read_bytes_if_there(store.array_path / arrays.shard_key(shard))
        if data is None:
            what = f"is missing; {len(held)} rows have no values"
            missing = (Problem(where, what, *told, "recompute", shard),) if len(held) else ()
            return ShardCheck(0, 0, missing)
        document = document or read_bytes_if_there(store.array_path / arrays.DOCUMENT) or build_expected_document(store)
        values = decode_shard(document, data, store)
    except OSError as error:
        mend: Mend | None = (
            "recompute" if isinstance(error, IsADirectoryError) else None
        )  # else the disk is to be seen to
        return ShardCheck(0, 0, (Problem(where, f"cannot be read ({error.strerror or error})", *told, mend, shard),))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        what = f"rows cannot be decoded: it is cut short or damaged ({_first_line(error)})"
        return ShardCheck(0, len(data or b""), (Problem(where, what, *told, "recompute", shard),))
    offsets = held["row"].to_numpy(np.int64) - shard * store.rows_per_shard
    sums = np.array([checksum(values[offset]) for offset in offsets], np.int64)
    wrong = held[sums != held["crc32"].to_numpy(np.int64)]
    problems = (_values_problem(where, wrong, len(held), shard),) if len(wrong) else ()
    return ShardCheck(len(held), len(data), problems)


def _values_problem(where: str, wrong: pd.DataFrame, held: int, shard: int) -> Problem:
    told = _list_clips(wrong)
    if len(wrong) == held > 1:
        what = (
            f"none of its {held} rows has the checksum that it was written with: another shard took its place, "
            "or it is damaged"
        )
        return Problem(where, what, *told, "recompute", shard)
    first = wrong.iloc[0]
    others = f", and so have {len(wrong) - 1} rows more" if len(wrong) > 1 else ""
    what = f"row {first['row']} ({first['uri']}, window {first['window']}) has another checksum than when written"
    return Problem(where, what + others, *told, "recompute", shard)


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
        return _validate_part(store.read_part(shard, columns), part_path(store.rows_folder, shard))
    except StoreError:
        if read_bytes_if_there(part_path(store.rows_folder, shard)) is None:
            return None
        return _validate_part(store.read_part(shard, columns), part_path(store.rows_folder, shard))


def _validate_part(table: pa.Table, path: StoragePath) -> pa.Table:
    """A part whose every value is one of its type: text may be none after a byte was flipped."""
    try:
        table.validate(full=True)
    except pa.ArrowException as error:
        raise StoreError(f"{path} cannot be read ({error}); move it away") from None
    return table


def _part_problem(store: FeatureStore, shard: int, name: str, why: str) -> Problem:
    """What is wrong with a row part that cannot be read, or is not this store's."""
    try:
        table, mark = read_part(store.rows_folder, shard)
        _validate_part(table, part_path(store.rows_folder, shard))
    except StoreError:
        what = f"cannot be read, it is torn ({_reason(why)}); which clips it holds only a clip table can tell"
        return Problem(name, what, mend="recompute", unit=shard)
    told = _list_clips(table.to_pandas()) if mark.get("store_id") == store.provenance.get("store_id") else ((), 0)
    what = (
        f"is foreign: it says it is part {mark.get('unit')} of the store {mark.get('store_id')} with settings "
        f"{mark.get('settings_hash')}; this is {store.provenance.get('store_id')} with {store.settings_hash}"
    )
    return Problem(name, what, *told, "recompute", shard)


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
    columns = [*TAKE, "window", "windows", "version", "status", "attempts", "uri"]
    counted = select_current(_join_parts(readable_parts(store, columns)))
    problems = []
    if short := list(_find_short_clips(counted)):
        uri, held, wanted = short[0]
        what = f"{held} of {wanted} windows of {uri} are there" + (
            f", and {len(short) - 1} clips more are not whole" if len(short) > 1 else ""
        )
        problems.append(Problem(ROWS, what, *_first_few([uri for uri, _, _ in short]), "run"))
    wanted_clips, held_clips = store.provenance.get("clips", 0), counted["clip_id"].nunique()
    if held_clips < wanted_clips:
        what = f"{held_clips} of {wanted_clips} clips are there: a run broke off; run hubbub features again"
        problems.append(Problem(ROWS, what, mend="run"))
    if table is not None:
        rows = table.rows.select(["clip_id", "uri"]).to_pandas()
        missing = rows[~rows["clip_id"].isin(set(counted["clip_id"]))]
        if len(missing):
            what = f"{len(missing)} clips are in the clip table and not in the store"
            problems.append(Problem(ROWS, what, *_first_few(missing["uri"]), "run"))
    return problems


def _join_parts(parts: dict[int, pa.Table]) -> pd.DataFrame:
    if not parts:
        names_of = [*TAKE, "window", "windows", "version", "status", "attempts", "uri", "shard"]
        return pd.DataFrame({name: pd.Series(dtype=object) for name in names_of})
    told = [
        part.append_column("shard", pa.repeat(pa.scalar(shard, pa.int64()), part.num_rows))
        for shard, part in parts.items()
    ]
    return concatenate_tables(told).to_pandas()


def verify_objects(store: FeatureStore) -> list[Problem]:
    """Check that there is nothing in a store's folders that does not belong there."""
    parts, first = list_part_numbers(store.rows_folder), store.first_shard
    problems = [
        Problem(f"{ROWS}/{name}", _LEFT_OVER if is_left else _FOREIGN, mend="remove" if is_left else None)
        for name, is_left in _find_unknown(list_names(store.rows_folder), {f"{n:08d}.parquet" for n in parts})
    ]
    problems += [Problem(f"{ROWS}/{n:08d}.parquet", _REPLACED, mend="remove") for n in parts if n < first]
    committed = set(parts)
    expected = set(_array_names())
    shards: set[int] = set()
    for name in sorted(_names_within(store.path / ARRAYS)):
        shard = _shard_of(name)
        if name in expected or (shard is not None and (shard in committed or shard < first)):
            continue
        where = f"{ARRAYS}/{name}"
        if shard is not None:
            shards.add(shard)
        elif _PARTIAL.search(name):
            problems.append(Problem(where, _LEFT_OVER, mend="remove"))
        elif not _is_hidden(name):
            problems.append(Problem(where, _FOREIGN))
    for shard in sorted(shards):
        where = f"{ARRAYS} shard {shard}"
        problems.append(Problem(where, f"has no row part: it {_LEFT_OVER}", mend="remove"))
    if aside := list_part_numbers(store.path / BROKEN):
        what = f"{len(aside)} row parts were put aside by a repair that did not end; --repair goes on with it"
        problems.append(Problem(BROKEN, what, mend="run"))
    return problems


def _find_unknown(found: Iterable[str], expected: set[str]) -> Iterator[tuple[str, bool]]:
    """Names that are not expected, and whether a run left them that broke off; hidden ones are nobody's business."""
    for name in sorted(set(found) - expected):
        if _PARTIAL.search(name):
            yield name, True
        elif not _is_hidden(name):
            yield name, False


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _shard_of(name: str) -> int | None:
    """Number of the shard whose object this is; None for what is none."""
    parts = name.split("/")
    if len(parts) < 3 or not parts[2].isdecimal() or name != f"{arrays.FEATURES}/{arrays.shard_key(int(parts[2]))}":
        return None
    return int(parts[2])


def _names_within(folder: StoragePath) -> Iterator[str]:
    """Names of all files under a folder, with slashes."""
    if not is_local(folder):
        with explain_read_errors(folder):
            head = len(folder.path.rstrip("/")) + 1
            yield from (key[head:] for key in folder.fs.find(folder.path, withdirs=False, refresh=True))
        return
    for root, _, held in os.walk(folder, followlinks=True):
        within = os.path.relpath(root, folder)
        yield from (name if within == "." else f"{within}/{name}" for name in held)


def _array_names() -> list[str]:
    coordinates = ("frame_s", "band_hz")
    of_arrays = [f"{name}/{arrays.DOCUMENT}" for name in (arrays.FEATURES, *coordinates)]
    return [arrays.DOCUMENT, *of_arrays, *(f"{name}/c/0" for name in coordinates)]


def rebuild_descriptions(store: FeatureStore) -> dict[str, bytes]:
    """Files of the group but its own ``zarr.json``, as the settings have them, with room for every shard."""
    files = {name: data for name, data in read_group_files(store).items() if name != arrays.DOCUMENT}
    name, shards = f"{arrays.FEATURES}/{arrays.DOCUMENT}", (*store.committed(), *store.shards_there())
    n_shards = max((store.first_shard - 1, *shards)) + 1  # numbers that were used are not given again
    return files | {name: arrays.set_row_count(files[name], n_shards * store.rows_per_shard)}


def build_expected_document(store: FeatureStore) -> bytes:
    """The array's ``zarr.json`` as the settings have it."""
    return rebuild_descriptions(store)[f"{arrays.FEATURES}/{arrays.DOCUMENT}"]


def _rows_needed(store: FeatureStore) -> int:
    return (max(store.committed(), default=-1) + 1) * store.rows_per_shard


def verify_array(store: FeatureStore) -> tuple[bytes, list[Problem]]:
    """Check the description of the array, and its coordinates.

    Returns
    -------
    document
        By which shards are to be decoded: the array's ``zarr.json``, or what it would have to be.
    problems
        What is missing or damaged.

    Raises
    ------
    UsageError
        When the bucket cannot be reached.
    """
    where = f"{ARRAYS}/{arrays.FEATURES}/{arrays.DOCUMENT}"
    document = read_bytes_if_there(store.array_path / arrays.DOCUMENT)
    coordinates = list(_coordinate_problems(store))
    again = "it can be written again from the settings"
    if document is None:
        return build_expected_document(store), [Problem(where, f"is missing; {again}", mend="write"), *coordinates]
    if fault := _document_fault(store, document):
        return build_expected_document(store), [Problem(where, f"{fault}; {again}", mend="write"), *coordinates]
    if arrays.read_row_count(document) < (needed := _rows_needed(store)):
        what = f"has room for {arrays.read_row_count(document)} rows, and the committed shards need {needed}; {again}"
        return document, [Problem(where, what, mend="write"), *coordinates]
    return document, coordinates


def _document_fault(store: FeatureStore, document: bytes) -> str | None:
    """Why a description is not this store's array; one that reads a shard's values as they were written is."""
    try:
        described = json.loads(document)
        shard = [store.rows_per_shard, store.n_frames, store.n_bands]
        told = {
            "data_type": (described["data_type"], store.settings.dtype),
            "frames and bands": (described["shape"][1:], shard[1:]),
            "a shard": (described["chunk_grid"]["configuration"]["chunk_shape"], shard),
            "fill_value": (described["fill_value"], "NaN"),
            "dimension_names": (described["dimension_names"], ["row", "frame", "band"]),
        }
        if not isinstance(described["shape"][0], int) or described["shape"][0] < 0:
            return f"is damaged (it has {described['shape'][0]!r} rows)"
    except (ValueError, KeyError, TypeError, IndexError) as error:
        return f"is damaged ({type(error).__name__}: {error})"
    for name, (found, wanted) in told.items():
        if found != wanted:
            return f"is damaged or another array's ({name}: {found}; expected {wanted})"
    if _reads_any(store, document) or not _reads_any(store, expected := build_expected_document(store)):
        return None
    differs = [name for name, value in json.loads(expected).items() if described.get(name) != value and name != "shape"]
    return f"is damaged or another array's (its {', '.join(differs) or 'codecs'} would not read the shards)"


def _reads_any(store: FeatureStore, document: bytes) -> bool:
    """Whether by this description some shard has the values that it was written with; True where there is none."""
    checks = (check_shard(store, shard, document) for shard in store.committed())
    there = 0
    for check in itertools.islice((check for check in checks if check.size_bytes), _PROBES):
        there += 1
        if check.rows and not check.problems:
            return True
    return not there


def _coordinate_problems(store: FeatureStore) -> Iterator[Problem]:
    """Check the coordinates; of bands only that they are frequencies: to compute these takes a second of imports."""
    nyquist_hz = store.settings.frontend.sample_rate / 2
    for name, unit, n_values in (("frame_s", "s", store.n_frames), ("band_hz", "Hz", store.n_bands)):
        try:
            held = _coordinate(store, name, unit)
            frames = store.frame_s if name == "frame_s" else None
            if held.shape != (n_values,):
                raise ValueError(f"it has {len(held)} values; expected {n_values}")
            if frames is not None and not np.allclose(held, frames, rtol=1e-9, atol=1e-12):
                raise ValueError("its values are not those of the settings")
            if not ((held >= 0) & (held <= nyquist_hz * (1 + 1e-9)) | np.isnan(held) | (frames is not None)).all():
                raise ValueError(f"its values are not within 0 to {nyquist_hz:g} Hz")
        except (OSError, ValueError, KeyError, TypeError) as error:
            what = f"the coordinate is missing or damaged ({_first_line(error)}); it can be written again"
            yield Problem(f"{ARRAYS}/{name}", what, mend="write")


def _coordinate(store: FeatureStore, name: str, unit: str) -> npt.NDArray[np.float64]:
    """Values of a coordinate; ValueError, KeyError or TypeError where it is missing, or is none."""
    document = read_bytes_if_there(store.path / ARRAYS / name / arrays.DOCUMENT)
    if document is None:
        raise ValueError("its zarr.json is missing")
    described = json.loads(document)
    chunk = read_bytes_if_there(store.path / ARRAYS / name / "c" / "0")
    if described["attributes"]["units"] != unit or described["dimension_names"] != [name.partition("_")[0]]:
        raise ValueError("its unit or dimension is not that of the settings")
    if chunk is None and name == "band_hz":  # zarr writes no chunk of nothing but zeros, as one frame may have
        raise ValueError("its values are missing")
    return _decoded(described, {} if chunk is None else {"c/0": chunk})


def decode_shard(document: bytes, data: bytes, store: FeatureStore) -> npt.NDArray[np.floating]:
    """Values of one shard as stored, [rows_per_shard, frame, band].

    Raises
    ------
    ValueError
        For bytes that cannot be decoded by this description.
    """
    described = json.loads(arrays.set_row_count(document, store.rows_per_shard))
    values = _decoded(described, {arrays.shard_key(0): data})
    if values.shape != (store.rows_per_shard, store.n_frames, store.n_bands):
        raise ValueError(f"the description gives {values.shape} values")
    return values


def _decoded(described: dict[str, Any], objects: dict[str, bytes]) -> npt.NDArray[Any]:
    """An array read from objects in memory; ValueError for what cannot be."""
    import tensorstore

    spec = {"driver": "zarr3", "kvstore": {"driver": "memory"}, "metadata": described}
    alone = tensorstore.Context({"data_copy_concurrency": {"limit": 1}})  # and a memory of its own
    array: Any = tensorstore.open(spec, create=True, context=alone).result()
    for key, data in objects.items():
        array.kvstore.write(key, data).result()
    if math.prod(array.shape) > 2**31:
        raise ValueError(f"the description gives an array of shape {array.shape}")
    return array.read().result()


def read_bytes_if_there(path: StoragePath) -> bytes | None:
    """What a file holds; None where there is none.

    Raises
    ------
    UsageError
        When its bucket cannot be reached, or does not let us in.
    OSError
        When this machine cannot read it.
    """
    try:
        with explain_read_errors(path):
            return read_bytes(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def verify_files(tables: LabelTables) -> list[Problem]:
    """Check that label tables have every file that the last run set out to label."""
    try:
        held, wanted = len(tables.files()), tables.run.get("clips", 0)
    except LabelsError:  # a torn part, of which `verify_labels` tells
        return []
    if held >= wanted:
        return []
    what = f"{held} of {wanted} files are there: a run broke off; run hubbub label again"
    return [Problem("files", what, mend="run")]


def verify_labels(tables: LabelTables, unit: int) -> list[Problem]:
    """Check one committed unit: that its parts belong together, and that each file has the windows it says."""
    where = f"unit {unit:08d}"
    told: tuple[tuple[str, ...], int] = ((), 0)
    try:
        files = _unit_part(tables, "files", unit).to_pandas()
        told = _list_clips(files)
        windows, events = _unit_part(tables, "windows", unit), _unit_part(tables, "events", unit)
    except (LabelsError, StoreError) as error:
        mend: Mend | None = None if "hubbub events" in str(error) else "recompute"
        return [Problem(where, _reason(str(error)), *told, mend, unit)]
    held = windows.to_pandas()["clip_id"].value_counts()
    faults = []
    for file in files.itertuples():
        expected = int(file.windows) if file.status == "ok" else 0
        if held.get(file.clip_id, 0) != expected:
            faults.append(f"{file.uri} has {held.get(file.clip_id, 0)} windows; its row says {expected}")
    faults += _event_faults(files, windows, events, tables.labels)
    return [Problem(where, fault, *told, "recompute", unit) for fault in faults]


def _unit_part(tables: LabelTables, folder: str, unit: int) -> pa.Table:
    """A part of a unit; errors of `LabelTables.read_part`, and of `read_bytes_if_there` for a bucket out of reach."""
    path = part_path(tables.path / folder, unit)
    try:
        return _validate_part(tables.read_part(folder, unit), path)
    except (LabelsError, StoreError):
        read_bytes_if_there(path)  # a bucket that does not answer does not make a part torn
        return _validate_part(tables.read_part(folder, unit), path)


def verify_label_objects(tables: LabelTables) -> list[Problem]:
    """Check that there is nothing in label tables' folders that does not belong there."""
    committed = {f"{unit:08d}.parquet" for unit in tables.committed()}
    problems = []
    for folder in ("files", "windows", "events"):
        for name, is_left in _find_unknown(list_names(tables.path / folder), committed):
            is_part = re.fullmatch(r"\d{8}\.parquet", name) is not None  # of a unit without its commit record
            what = _LEFT_OVER if is_left or is_part else _FOREIGN
            problems.append(Problem(f"{folder}/{name}", what, mend="remove" if is_left or is_part else None))
    return [*problems, *_segment_problems(tables)]


def _segment_problems(tables: LabelTables) -> Iterator[Problem]:
    """What lies among the pieces of long recordings: a run that ends leaves none."""
    held = list_names(tables.path / SEGMENTS_FOLDER)
    pieces = {name for name in held if SEGMENT_NAME.fullmatch(name)}
    for name, is_left in _find_unknown(held, pieces):
        yield Problem(
            f"{SEGMENTS_FOLDER}/{name}", _LEFT_OVER if is_left else _FOREIGN, mend="remove" if is_left else None
        )
    if pieces:
        what = f"{len(pieces)} pieces of long recordings are left from a run that broke off; the next run uses them"
        yield Problem(SEGMENTS_FOLDER, what, mend="run")


def _row_faults(rows: pd.DataFrame, shard: int, store: FeatureStore) -> Iterator[str]:
    held = rows[rows["status"].isin(_HAS_VALUES) & ~((rows["status"] == "retired") & rows["row"].isna())]
    if strange := int((~rows["status"].isin(_STATUS)).sum()):
        yield f"{strange} rows have a status that is none of {', '.join(_STATUS)}"
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
    by_take = row_index.assign(**status).groupby(TAKE)
    counts = by_take.agg(uri=("uri", "first"), ok=("ok", "sum"), failed=("failed", "any"), windows=("windows", "min"))
    short = counts[~counts["failed"].astype(bool) & (counts["ok"] < counts["windows"])]
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


def _list_clips(rows: pd.DataFrame) -> tuple[tuple[str, ...], int]:
    """The first few uris of some rows, and how many more clips they are of; none where they cannot be told."""
    if not {"clip_id", "uri"} <= set(rows.columns):
        return (), 0
    return _first_few(rows.drop_duplicates("clip_id")["uri"])


def _first_few(uris: Iterable[str] | Sequence[str]) -> tuple[tuple[str, ...], int]:
    listed = [str(uri) for uri in uris]
    return tuple(listed[:_MAX_NAMED]), max(0, len(listed) - _MAX_NAMED)


def _reason(text: str) -> str:
    """What an error of `read_part` says, without the advice that another command would give."""
    inner = re.search(r"cannot be read \((.*)\); move it away", text, re.DOTALL)
    return _first_line(inner[1] if inner else text.partition("; the next run")[0])


def _first_line(error: object) -> str:
    lines = str(error).splitlines()
    return (lines[0] if lines else type(error).__name__)[:200]
