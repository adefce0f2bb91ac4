"""Compaction: the same rows and values in fewer shards, whatever stood there before and whenever it was stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubbub.clips.examples import EXAMPLE_COLUMNS as TAKE
from hubbub.clips.table import CLIP_SCHEMA
from hubbub.config import load_settings
from hubbub.errors import StorageError, StoreError
from hubbub.io.folders import remove_file
from hubbub.io.lock import LOCK_FOLDER, write_lock
from hubbub.io.paths import StoragePath, parse_path
from hubbub.store import compaction
from hubbub.store.arrays import shard_key
from hubbub.store.compaction import (
    begin_compaction,
    find_prunable_shards,
    list_old_parts,
    plan_compaction,
    prune_shards,
    remove_old_parts,
    swap_shards,
)
from hubbub.store.features import FeatureStore
from hubbub.store.opening import create_store, open_store
from hubbub.store.parts import part_path
from hubbub.store.rows import checksum, row_schema, select_current
from hubbub.store.verify import verify_shard
from hubbub.tasks.compact import CompactTask
from tests.examples import count_examples

PER_SHARD = 4
SETTINGS = load_settings(
    None,
    [
        *("frontend.sample_rate=1000", "frontend.n_fft=64", "frontend.hop_samples=50", "frontend.n_mels=4"),
        *("layout.rows_per_shard=4", "layout.rows_per_chunk=2", "windows.duration_s=0.5"),
    ],
)
SCHEMA = row_schema(pa.schema([*CLIP_SCHEMA, ("city", pa.string())]))

Row = dict[str, Any]


def ok(clip: str, window: int = 0, **more: Any) -> Row:
    own = {"clip_id": clip, "window": window, "windows": 1, "status": "ok", "attempts": 1, "version": "1"}
    own |= {"channel": "mix", "variant": 0, "policy_rule": "", "start_s": 0.5 * window, "valid_frames": 11}
    return own | {"uri": f"{clip}.wav", "labels": [clip[0]], "city": f"city of {clip}"} | more


def failed(clip: str, **more: Any) -> Row:
    nothing = {"start_s": None, "valid_frames": None, "status": "failed", "error": "DecodeError: no sound"}
    return ok(clip) | nothing | more


def write(store: FeatureStore, shard: int, rows: list[Row], schema: pa.Schema = SCHEMA) -> None:
    """Commit a shard with these rows; those that are ok, or retired with values, have values of their own."""
    values = np.full((PER_SHARD, store.n_frames, store.n_bands), np.nan, store.settings.dtype)
    used = 0
    full = []
    for row in rows:
        has_values = row["status"] in ("ok", "retired")
        if has_values:
            name = f"{row['clip_id']} {row['window']} {row['version']} {row['attempts']}"
            values[used] = np.random.default_rng(list(name.encode())).normal(-40, 20, values.shape[1:])
        own = {"row": shard * PER_SHARD + used, "crc32": checksum(values[min(used, PER_SHARD - 1)])}
        full.append(row | (own if has_values else {"row": None, "crc32": None}))
        used += has_values
    store.write_shard(shard, values, pa.Table.from_pylist(full, schema=schema))


def make(path: StoragePath, parts: list[list[Row]]) -> FeatureStore:
    """Make a store with these row parts, from shard 0 on."""
    store = create_store(path, SETTINGS, source="clips.parquet")
    store.grow(len(parts))
    for shard, rows in enumerate(parts):
        write(store, shard, rows)
    return open_store(path)


def held(store: FeatureStore) -> pd.DataFrame:
    """Everything that a user gets of a store, but for where it lies."""
    rows = store.rows()
    values = [row.tobytes() for row in store.read_rows(rows["row"].to_list())]
    carried = [] if len(rows) else ["city"]  # a column of no clip at all
    rows = rows.drop(columns=["row", "shard", *carried], errors="ignore")
    return rows[sorted(rows.columns)].assign(values=values)


def progress(store: FeatureStore) -> pd.DataFrame:
    """What the next run goes by: every row that counts, those without values too."""
    names = [*TAKE, "window", "windows", "status", "attempts", "version", "error"]
    return select_current(store.row_index(names))[names].sort_values([*TAKE, "window"], ignore_index=True)


def compact(path: StoragePath, *, only: set[int] | None = None, swapped: bool = True) -> None:
    """Compact a store; `only` some of its units, by their order, and without the swap for one that is stopped."""
    with write_lock(path, "compact") as claim:
        store = open_store(path)
        remove_old_parts(store)
        plan = plan_compaction(store)
        if not plan.is_needed:
            return
        store = begin_compaction(store, plan, claim)
        task = CompactTask(store)
        for number, unit in enumerate(plan.units()):
            if only is None or number in only:
                task(unit)
        if swapped and only is None:
            swap_shards(store, plan, claim)


FULL_OF_HOLES = [
    [ok("a"), ok("b", attempts=1)],
    [failed("c")],
    [ok("d", 0, windows=3), ok("d", 1, windows=3), ok("d", 2, windows=3)],
    [ok("e", status="retired"), failed("f", attempts=1)],
    [ok("f", attempts=2), ok("b", attempts=2, version="2"), ok("g")],
    [failed("d", status="ended", error=None, window=3, windows=3), ok("i", city=None)],
]


@pytest.fixture(params=["disk", "bucket"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> StoragePath:
    if request.param == "disk":
        return tmp_path / "store"
    return parse_path(request.getfixturevalue("s3")) / "some" / "store"


def test_a_store_of_holes_becomes_full_shards_with_the_same_rows(path: StoragePath):
    store = make(path, FULL_OF_HOLES)
    before, known = held(store), progress(store)
    assert len(before) == 8
    compact(path)
    after = open_store(path)
    assert after.committed() == [6, 7]
    assert after.rows()["row"].tolist() == [24, 25, 26, 27, 28, 29, 30, 31]
    pd.testing.assert_frame_equal(held(after), before)
    pd.testing.assert_frame_equal(progress(after), known)
    assert [problem for shard in after.committed() for problem in verify_shard(after, shard)] == []
    assert after.first_shard == 6
    assert not after.provenance["compacting"]


def test_rows_without_values_lie_with_the_one_before(tmp_path: Path):
    store = make(tmp_path / "store", FULL_OF_HOLES)
    compact(store.path)
    row_index = open_store(store.path).row_index(["clip_id", "status", "row"])
    assert list(zip(row_index["shard"], row_index["clip_id"], row_index["status"], strict=True)) == [
        *((6, "a", "ok"), (6, "c", "failed"), (6, "d", "ok"), (6, "d", "ok"), (6, "d", "ok")),
        *((7, "f", "ok"), (7, "b", "ok"), (7, "g", "ok"), (7, "d", "ended"), (7, "i", "ok")),
    ]
    assert row_index["row"].isna().tolist() == (row_index["status"] != "ok").tolist()


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [[ok("a")]],
        [[ok(name) for name in "abcd"]],
        [[ok(name) for name in "abcd"], [ok(name) for name in "efg"]],
        [[ok(name) for name in "abcd"], [failed("x"), *(ok(name) for name in "efgh")], [ok("i")]],
        [[ok("a"), ok("b"), ok("c")], [ok("d"), ok("e"), ok("f")]],  # holes, but no shard fewer
    ],
)
def test_where_there_would_be_no_part_fewer_there_is_nothing_to_do(tmp_path: Path, parts: list[list[Row]]):
    store = make(tmp_path / "store", parts)
    plan = plan_compaction(store)
    assert not plan.is_needed
    compact(store.path)
    assert open_store(store.path) == store


@pytest.mark.parametrize(
    ("parts", "n_after"),
    [
        ([[ok("a", status="retired")]], 0),  # nothing counts any more
        ([[failed("a")], [failed("b")]], 1),  # nothing has values
        ([[failed("a")], [ok("b")]], 1),
        ([[ok(name)] for name in "abcde"], 2),
    ],
)
def test_small_stores(tmp_path: Path, parts: list[list[Row]], n_after: int):
    store = make(tmp_path / "store", parts)
    before, known = held(store), progress(store)
    compact(store.path)
    after = open_store(store.path)
    assert len(after.committed()) == n_after
    pd.testing.assert_frame_equal(held(after), before)
    pd.testing.assert_frame_equal(progress(after), known)
    assert not plan_compaction(after).is_needed


def test_numbers_are_never_given_again(tmp_path: Path):
    """Not even those of shards that left nothing behind."""
    store = make(tmp_path / "store", [[ok("a")], [ok("b")], [ok("c")]])
    store.grow(10)
    compact(store.path)
    assert open_store(store.path).committed() == [10]
    prune_shards(open_store(store.path))
    store = open_store(store.path)
    store.grow(12)
    write(store, 11, [ok("d")])
    compact(store.path)
    assert open_store(store.path).committed() == [12]
    assert open_store(store.path).first_shard == 12


def test_readers_of_before_read_on_until_the_old_shards_are_pruned(path: StoragePath):
    reader = make(path, FULL_OF_HOLES)
    before, numbers = held(reader), reader.rows()["row"].to_list()
    unread = open_store(path)  # has the store open, and reads its first row only after the swap
    compact(path)
    for store in (reader, unread):
        assert [row.tobytes() for row in store.read_rows(numbers)] == before["values"].to_list()
    store = open_store(path)
    store.grow(9)  # what the next run of features does first sweeps nothing of them
    assert [row.tobytes() for row in open_store(path).read_rows(numbers)] == before["values"].to_list()
    sizes = find_prunable_shards(store)
    assert sorted(sizes) == [0, 1, 2, 3, 4, 5]
    assert prune_shards(store) == sum(sizes.values()) > 0
    assert np.isnan(open_store(path).read_rows(numbers)).all()
    assert prune_shards(open_store(path)) == 0
    pd.testing.assert_frame_equal(held(open_store(path)), before)


def test_nothing_is_prunable_before_a_compaction(tmp_path: Path):
    store = make(tmp_path / "store", FULL_OF_HOLES)
    assert find_prunable_shards(store) == {}
    assert prune_shards(store) == 0
    compact(store.path, only={0})
    assert find_prunable_shards(open_store(store.path)) == {}


def test_a_store_reads_the_same_in_the_middle(path: StoragePath):
    store = make(path, FULL_OF_HOLES)
    before, known = held(store), progress(store)
    compact(path, only={1})
    pd.testing.assert_frame_equal(
        held(open_store(path)).sort_values("clip_id", ignore_index=True), sorted_by_clip(before)
    )
    pd.testing.assert_frame_equal(progress(open_store(path)), known)
    compact(path)
    pd.testing.assert_frame_equal(held(open_store(path)), before)
    assert open_store(path).committed() == [6, 7]


def sorted_by_clip(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.sort_values(["clip_id", "window"], ignore_index=True)


def test_a_run_between_two_halves_of_a_compaction_loses_nothing(tmp_path: Path):
    """A store grows while a compaction that was killed waits for its second run."""
    store = make(tmp_path / "store", FULL_OF_HOLES)
    compact(store.path, only={1})
    grown = open_store(store.path)
    grown.grow(9)
    write(grown, 6, [ok("j")])  # in the hole that the killed one left
    write(grown, 8, [ok("k"), ok("a", attempts=2, version="2")])
    before = sorted_by_clip(held(open_store(store.path)))
    compact(store.path)
    after = open_store(store.path)
    pd.testing.assert_frame_equal(sorted_by_clip(held(after)), before)
    assert after.committed() == [6, 7, 8, 9]
    assert after.first_shard == 6
    assert list_old_parts(after) == []


@pytest.mark.parametrize("removed", [0, 1, 3, 6])
def test_stopped_after_the_swap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, removed: int):
    """The old row parts go one by one; however many are left, they change nothing, and the next run removes them."""
    store = make(tmp_path / "store", FULL_OF_HOLES)
    before, known = held(store), progress(store)
    left = iter(range(removed))

    def remove_some(path: StoragePath) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        remove_file(path)

    monkeypatch.setattr(compaction, "remove_file", remove_some)
    if removed < len(FULL_OF_HOLES):
        with pytest.raises(KeyboardInterrupt):
            compact(store.path)
    else:
        compact(store.path)
    monkeypatch.undo()
    middle = open_store(store.path)
    assert len(list_old_parts(middle)) == len(FULL_OF_HOLES) - removed
    pd.testing.assert_frame_equal(held(middle), before)
    pd.testing.assert_frame_equal(progress(middle), known)
    compact(store.path)
    after = open_store(store.path)
    assert after.committed() == [6, 7]
    pd.testing.assert_frame_equal(held(after), before)
    pd.testing.assert_frame_equal(progress(after), known)


def test_columns_that_come_and_go_and_change_their_kind(tmp_path: Path):
    store = make(tmp_path / "store", [[ok("a")], [ok("b")]])
    store.grow(4)
    numbers = row_schema(pa.schema([*CLIP_SCHEMA, ("city", pa.string()), ("mood", pa.float64())]))
    texts = row_schema(pa.schema([*CLIP_SCHEMA, ("mood", pa.string())]))
    write(store, 2, [ok("c", mood=0.5)], numbers)
    write(store, 3, [ok("d", mood="calm")], texts)
    before = held(open_store(store.path))
    compact(store.path)
    pd.testing.assert_frame_equal(held(open_store(store.path)), before)


def corrupt(store: FeatureStore, shard: int, how: str) -> None:
    path = store.array_path / shard_key(shard)
    if how == "gone":
        path.unlink()
    elif how == "cut short":
        path.write_bytes(path.read_bytes()[:-30])
    else:
        path.write_bytes((store.array_path / shard_key(shard + 2)).read_bytes())


@pytest.mark.parametrize("how", ["gone", "cut short", "another's"])
def test_values_that_are_not_those_written_are_refused(tmp_path: Path, how: str):
    store = make(tmp_path / "store", FULL_OF_HOLES)
    corrupt(store, 0, how)
    with pytest.raises(StoreError, match=r"row 0 \(a.wav, window 0\) in shard 0 .*hubbub verify .* --repair"):
        compact(store.path)
    after = open_store(store.path)
    assert after.committed() == [0, 1, 2, 3, 4, 5]
    assert after.first_shard == 0


def test_the_swap_refuses_what_is_not_whole(tmp_path: Path):
    store = make(tmp_path / "store", FULL_OF_HOLES)
    with write_lock(store.path, "compact") as claim:
        plan = plan_compaction(store)
        store = begin_compaction(store, plan, claim)
        first, second = plan.units()
        CompactTask(store)(first)
        with pytest.raises(StoreError, match="rows that count are in no new shard; the old shards stay in use"):
            swap_shards(store, plan, claim)
        CompactTask(store)(second)
        rows = [row | {"attempts": 7} for row in store.read_part(second.index).to_pylist()]
        part = part_path(store.rows_folder, second.index)
        good = part.read_bytes()
        store._write_part(second.index, pa.Table.from_pylist(rows, schema=SCHEMA))
        with pytest.raises(StoreError, match="rows are not what they were; the old shards stay in use"):
            swap_shards(store, plan, claim)
        part.write_bytes(good)
        shard = store.array_path / shard_key(second.index)
        values = shard.read_bytes()
        shard.unlink()
        shard.parent.rmdir(), shard.parent.parent.rmdir()
        with pytest.raises(StoreError, match=f"the object of shard {second.index} is missing"):
            swap_shards(store, plan, claim)
        assert len(part_numbers(store)) == 8
        shard.parent.mkdir(parents=True)
        shard.write_bytes(values)
        swap_shards(store, plan, claim)
    assert part_numbers(open_store(store.path)) == [6, 7]


def part_numbers(store: FeatureStore) -> list[int]:
    return [int(path.stem) for path in sorted(store.rows_folder.iterdir())]


def test_one_who_was_taken_over_neither_writes_nor_swaps(tmp_path: Path):
    store = make(tmp_path / "store", FULL_OF_HOLES)
    with write_lock(store.path, "compact") as claim:
        plan = plan_compaction(store)
        store = begin_compaction(store, plan, claim)
        first, second = plan.units()
        CompactTask(store)(first)
        CompactTask(replace(store, holder=None))(second)
        (store.path / LOCK_FOLDER / "00000002.json").write_text("taken")
        with pytest.raises(StorageError, match="no longer ours to write"):
            CompactTask(store)(second)
        with pytest.raises(StorageError, match="no longer ours to write"):
            swap_shards(store, plan, claim)
    assert open_store(store.path).first_shard == 0


rows_of_parts = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from("abcde"), st.integers(0, 2), st.sampled_from(["ok", "ok", "ok", "failed", "retired"])
        ),
        min_size=1,
        max_size=PER_SHARD,
        unique_by=lambda row: row[:2],
    ),
    max_size=8,
)


def history(parts: list[list[tuple[str, int, str]]]) -> list[list[Row]]:
    """Parts as runs make them: each later try of a window counts on."""
    tries: dict[tuple[str, int], int] = {}
    made = []
    for part in parts:
        rows = []
        for clip, window, status in part:
            attempt = tries[clip, window] = tries.get((clip, window), 0) + 1
            row = failed(clip, window=window) if status == "failed" else ok(clip, window, status=status)
            rows.append(row | {"attempts": attempt, "windows": 3})
        made.append(rows)
    return made


@settings(max_examples=count_examples(25))
@given(parts=rows_of_parts, stops=st.lists(st.sets(st.integers(0, 4)), max_size=2))
def test_any_store_stopped_anywhere_ends_equal(
    parts: list[list[tuple[str, int, str]]], stops: list[set[int]], tmp_path_factory: pytest.TempPathFactory
):
    path = tmp_path_factory.mktemp("store") / "store"
    store = make(path, history(parts))
    before, known = held(store), progress(store)
    for units in stops:
        compact(path, only=units)
        pd.testing.assert_frame_equal(sorted_by_clip(held(open_store(path))), sorted_by_clip(before))
        pd.testing.assert_frame_equal(progress(open_store(path)), known)
    compact(path)
    after = open_store(path)
    pd.testing.assert_frame_equal(held(after), before)
    pd.testing.assert_frame_equal(progress(after), known)
    assert len(after.committed()) <= len(parts)
    if after.first_shard:
        n_ok = int((known["status"] == "ok").sum())
        assert len(after.committed()) == max(-(-n_ok // PER_SHARD), min(1, len(known)))
    assert not plan_compaction(after).is_needed
