"""Verification of a store's layout: unknown objects, the array's metadata and coordinates, the encoding of shards."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from hubbub.io.atomic import explain_read_errors
from hubbub.io.folders import list_names
from hubbub.io.paths import StoragePath, is_local
from hubbub.io.text import count_noun
from hubbub.store import arrays
from hubbub.store.descriptions import build_expected_document, decode_objects
from hubbub.store.features import ARRAYS, ROWS, FeatureStore
from hubbub.store.parts import list_part_numbers
from hubbub.store.problems import (
    BROKEN,
    FOREIGN,
    LEFT_OVER,
    PARTIAL,
    Problem,
    find_unknown,
    first_line,
    is_hidden,
    read_bytes_if_there,
)
from hubbub.store.verify import check_shard

_PROBES = 3
_REPLACED = "is left over from a compaction that broke off at its end; hubbub compact, or --repair, removes it"


def verify_objects(store: FeatureStore) -> list[Problem]:
    """Check that there is nothing in a store's folders that does not belong there."""
    parts, first = list_part_numbers(store.rows_folder), store.first_shard
    problems = [
        Problem(f"{ROWS}/{name}", LEFT_OVER if is_left else FOREIGN, mend="remove" if is_left else None)
        for name, is_left in find_unknown(list_names(store.rows_folder), {f"{n:08d}.parquet" for n in parts})
    ]
    problems += [Problem(f"{ROWS}/{n:08d}.parquet", _REPLACED, mend="remove") for n in parts if n < first]
    committed = set(parts)
    expected = set(_array_names(store))
    shards: set[int] = set()
    for name in sorted(_names_within(store.path / ARRAYS)):
        shard = _shard_of(name, store)
        if name in expected or (shard is not None and (shard in committed or shard < first)):
            continue
        where = f"{ARRAYS}/{name}"
        if shard is not None:
            shards.add(shard)
        elif PARTIAL.search(name):
            problems.append(Problem(where, LEFT_OVER, mend="remove"))
        elif not is_hidden(name):
            problems.append(Problem(where, FOREIGN))
    for shard in sorted(shards):
        where = f"{ARRAYS} shard {shard}"
        problems.append(Problem(where, f"has no row part: it {LEFT_OVER}", mend="remove"))
    if aside := list_part_numbers(store.path / BROKEN):
        what = f"{count_noun(len(aside), 'row part')} moved aside by a repair that did not finish; --repair resumes it"
        problems.append(Problem(BROKEN, what, mend="run"))
    return problems


def _shard_of(name: str, store: FeatureStore) -> int | None:
    """Number of the shard whose object this is; None for what is none."""
    parts = name.split("/")
    if len(parts) < 3 or not parts[2].isdecimal():
        return None
    return int(parts[2]) if name == f"{arrays.FEATURES}/{store.layout.shard_key(int(parts[2]))}" else None


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


def _array_names(store: FeatureStore) -> list[str]:
    coordinates = [name for name, _ in store.layout.coordinates]
    of_arrays = [f"{name}/{arrays.DOCUMENT}" for name in (arrays.FEATURES, *coordinates)]
    return [arrays.DOCUMENT, *of_arrays, *(f"{name}/c/0" for name in coordinates)]


def _count_needed_rows(store: FeatureStore) -> int:
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
    if arrays.read_row_count(document) < (needed := _count_needed_rows(store)):
        what = (
            f"has room for {count_noun(arrays.read_row_count(document), 'row')}, and the committed shards need "
            f"{needed}; {again}"
        )
        return document, [Problem(where, what, mend="write"), *coordinates]
    return document, coordinates


def _document_fault(store: FeatureStore, document: bytes) -> str | None:
    """Why a description is not this store's array; one that reads a shard's values as they were written is."""
    try:
        described = json.loads(document)
        layout = store.layout
        shard = [store.rows_per_shard, *layout.shape]
        compared = {
            "data_type": (described["data_type"], store.settings.dtype),
            " and ".join(f"{name}s" for name in layout.dimensions[1:]): (described["shape"][1:], shard[1:]),
            "a shard": (described["chunk_grid"]["configuration"]["chunk_shape"], shard),
            "fill_value": (described["fill_value"], "NaN"),
            "dimension_names": (described["dimension_names"], list(layout.dimensions)),
        }
        if not isinstance(described["shape"][0], int) or described["shape"][0] < 0:
            return f"is damaged (it has {described['shape'][0]!r} rows)"
    except (ValueError, KeyError, TypeError, IndexError) as error:
        return f"is damaged ({type(error).__name__}: {error})"
    for name, (found, wanted) in compared.items():
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
    for (name, unit), n_values in zip(store.layout.coordinates, store.layout.shape, strict=False):
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
            what = f"the coordinate is missing or damaged ({first_line(error)}); it can be written again"
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
    return decode_objects(described, {} if chunk is None else {"c/0": chunk})
