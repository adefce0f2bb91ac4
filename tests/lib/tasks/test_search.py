"""The nearest rows of a stretch, against a slow and obvious search; the same however the rows are divided."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hubbub.errors import StoreError
from hubbub.tasks import search
from hubbub.tasks.search import Nearest, SearchTask, cosines, find_nearest, group_rows, merge_nearest
from tests.embedding_stores import write_embeddings


def search_slowly(vectors: np.ndarray, query: np.ndarray, top: int) -> tuple[list[int], list[float], int]:
    """Every cosine by itself, exactly summed; then a sort."""
    found, skipped = [], 0
    for number, vector in enumerate(vectors.astype(np.float64).tolist()):
        length = math.sqrt(math.fsum(value * value for value in vector)) if np.isfinite(vector).all() else 0.0
        if length == 0:
            skipped += 1
            continue
        norm = math.sqrt(math.fsum(value * value for value in query.tolist()))
        found.append((-math.fsum(a * b for a, b in zip(vector, query.tolist(), strict=True)) / length / norm, number))
    found.sort()
    return [number for _, number in found[:top]], [-cosine for cosine, _ in found[:top]], skipped


VALUES = {
    np.float16: st.floats(-60000, 60000, width=16),
    np.float32: st.floats(-(2.0**100), 2.0**100, width=32),
}


@given(st.data(), st.sampled_from([np.float16, np.float32]), st.integers(1, 5), st.integers(1, 12))
def test_the_nearest_are_those_of_a_slow_search(data: st.DataObject, dtype: type, dimension: int, top: int):
    shape = (data.draw(st.integers(0, 40)), dimension)
    odd = st.sampled_from([0.0, np.nan, np.inf, -np.inf, 6e-8])
    vectors = data.draw(arrays.arrays(dtype, shape, elements=VALUES[dtype] | odd.map(dtype)))
    query = data.draw(
        arrays.arrays(np.float64, dimension, elements=st.floats(-10, 10)).filter(lambda q: abs(q).max() > 1e-3)
    )
    found = find_nearest(vectors, query, top)
    rows, similarities, skipped = search_slowly(vectors, query, top)
    assert found.skipped == skipped
    assert found.similarities == pytest.approx(similarities, abs=1e-12)
    close = np.isclose(np.array(similarities)[:, None], np.array(similarities)[None], atol=1e-12).sum(axis=1) > 1
    differ = found.rows != np.array(rows, np.int64)
    assert not (differ & ~close).any()  # where two differ by rounding alone, either may come first


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_many_rows_of_many_values(dtype: type):
    """Close similarities, more rows than are compared at once, and equal rows: the lower number comes first."""
    random = np.random.default_rng(1)
    query = random.normal(size=300)
    vectors = (query + 3e-3 * random.normal(size=(1500, 300))).astype(dtype)
    vectors[[7, 900, 1400]] = query.astype(dtype)
    found = find_nearest(vectors, query, 40)
    rows, similarities, _ = search_slowly(vectors, query, 40)
    assert found.rows.tolist() == rows
    assert found.rows[:3].tolist() == [7, 900, 1400]
    assert found.similarities == pytest.approx(similarities, abs=1e-14)


@given(st.integers(0, 2**32), st.integers(1, 9), st.lists(st.integers(1, 49), max_size=6, unique=True))
def test_a_row_has_the_same_similarity_in_every_block(seed: int, top: int, cuts: list[int]):
    vectors = np.random.default_rng(seed).integers(-2, 3, (50, 37)).astype(np.float16)  # many are equally near
    query = np.random.default_rng(seed + 1).normal(size=37)
    whole = find_nearest(vectors, query, top)
    numbers = np.arange(50)
    bounds = [0, *sorted(cuts), 50]
    parts = [
        find_nearest(vectors[begin:end], query, top, numbers[begin:end])
        for begin, end in zip(bounds, bounds[1:], strict=False)
    ]
    np.random.default_rng(seed).shuffle(parts)
    merged = merge_nearest(parts, top)
    assert merged.rows.tolist() == whole.rows.tolist()
    assert merged.similarities.tobytes() == whole.similarities.tobytes()
    assert whole.similarities.tobytes() == cosines(vectors[whole.rows].astype(np.float32), query).tobytes()


def test_every_float16_is_widened_to_itself():
    halves = np.arange(65536, dtype=np.uint16).view(np.float16)
    finite = halves[np.isfinite(halves)]
    assert search._widen(finite).tobytes() == finite.astype(np.float32).tobytes()
    assert (np.abs(search._widen(halves[~np.isfinite(halves)])) >= 65536).all()


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("unit_bytes", [1, 10**9])
def test_units_find_what_one_look_finds(tmp_path: Path, dtype: str, unit_bytes: int, monkeypatch: pytest.MonkeyPatch):
    """Of 50 rows in shards of 8, those that are not wanted are left out, whatever they hold."""
    vectors = np.random.default_rng(0).normal(size=(50, 6))
    store = write_embeddings(tmp_path / "store", vectors, dtype=dtype)
    wanted = np.array([number for number in range(50) if number % 5 and not 16 <= number < 32])
    monkeypatch.setattr(search, "UNIT_BYTES", unit_bytes)
    monkeypatch.setattr(search, "_READ_BYTES", 60)
    units = group_rows(wanted, 6 * np.dtype(dtype).itemsize, 8)
    assert len(units) == (5 if unit_bytes == 1 else 1)  # two shards of seven have no wanted row
    task = SearchTask(store, np.ones(6), 9)
    results = [task(unit) for unit in units]
    found = merge_nearest([result.nearest for result in results], 9)
    expected = find_nearest(store.read_rows(wanted.tolist())[:, 0], np.ones(6), 9, wanted)
    assert found.rows.tolist() == expected.rows.tolist()
    assert found.similarities.tobytes() == expected.similarities.tobytes()
    assert sum(result.windows for result in results) == len(wanted)


def test_nothing_is_nearest_of_nothing():
    assert len(merge_nearest([Nearest(), Nearest(skipped=2)], 5).rows) == 0
    assert merge_nearest([Nearest(skipped=1), Nearest(skipped=2)], 5).skipped == 3
    assert group_rows(np.empty(0, np.int64), 4, 8) == []


def test_a_torn_shard_is_named(tmp_path: Path):
    store = write_embeddings(tmp_path / "store", np.ones((16, 4)))
    path = store.shard_path(1)
    path.write_bytes(path.read_bytes()[:-20])
    (unit,) = group_rows(np.arange(16), 16, 8)
    with pytest.raises(StoreError, match=r"rows 0 to 15 cannot be read .*hubbub verify .*--repair"):
        SearchTask(store, np.ones(4), 3)(unit)
