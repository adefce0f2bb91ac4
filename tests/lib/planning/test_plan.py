"""The plan: every window of every clip in exactly one unit, whatever was done before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.audio.decode import BLOCK_VALUES
from hubbub.clips.table import ClipTable, clip_id, make_table
from hubbub.config import Settings, load_settings
from hubbub.planning.plan import Plan, plan_features, plan_labels
from hubbub.planning.sizes import choose_layout, estimate_peak_bytes
from hubbub.planning.units import Item, SegmentUnit, Unit, split_into_segments
from hubbub.store.rows import select_current, select_latest

pytestmark = pytest.mark.usefixtures("table_order")

RATE = 1000  # one window is 1 s is 1000 samples


def settings(mode: str = "all", *, rows_per_shard: int = 4) -> Settings:
    names = [f"windows.mode={mode}", "windows.duration_s=1", f"layout.rows_per_shard={rows_per_shard}"]
    frontend = ["sample_rate=1000", "n_fft=64", "hop_samples=64", "n_mels=4"]
    return load_settings(None, [*names, "layout.rows_per_chunk=1", *(f"frontend.{name}" for name in frontend)])


def clip(uri: str, windows: float | None = 1, *, version: str | None = "1", **columns: Any) -> dict[str, Any]:
    own = {"clip_id": clip_id(uri, columns.get("start_s"), columns.get("end_s")), "uri": uri, "labels": []}
    return own | {"duration_s": windows, "version": version, "size_bytes": 10} | columns


def table(*clips: dict[str, Any]) -> ClipTable:
    return make_table(clips, Path("/"))


def layout(plan: Plan) -> list[tuple[int, list[tuple[str, int, int]]]]:
    """Units as (index, [(uri, first window, windows)]), by their index."""
    return sorted(
        (unit.index, [(item.clip["uri"], item.first_window, item.n_windows) for item in unit.items])
        for unit in plan.units()
    )


def by_index(plan: Plan) -> list[Unit]:
    """Units in the order of the table."""
    return sorted(plan.units(), key=lambda unit: unit.index)


def rows_of(unit: Unit, *, fail: frozenset[str] = frozenset(), skip: frozenset[str] = frozenset()) -> Iterator[dict]:
    """The ledger rows that doing a unit leaves: one a window, or one for a clip that fails."""
    for item in unit.items:
        own = {name: item.clip[name] for name in ("clip_id", "uri", "version")}
        own |= {"channel": item.channel, "variant": item.variant, "policy_rule": item.policy_rule}
        own |= {"windows": item.windows, "attempts": item.attempt, "shard": unit.index}
        if item.clip["uri"] in fail:
            yield own | {"window": item.first_window, "status": "failed"}
        elif item.clip["uri"] not in skip:
            windows = range(item.first_window, item.first_window + item.n_windows)
            yield from (own | {"window": window, "status": "ok"} for window in windows)


def row_index(*units: Unit, fail: frozenset[str] = frozenset(), before: pd.DataFrame | None = None) -> pd.DataFrame:
    rows = pd.DataFrame([row for unit in units for row in rows_of(unit, fail=fail)])
    return rows if before is None else pd.concat([before, rows], ignore_index=True)


def again(plan_table: ClipTable, held: pd.DataFrame, config: Settings | None = None, **options: bool) -> Plan:
    committed = sorted(set(held["shard"]))
    return plan_features(plan_table, config or settings(), select_current(held), committed, **options)


@pytest.mark.parametrize(
    ("clips", "expected"),
    [
        ([("a", 2), ("b", 3)], [(0, [("a", 0, 2), ("b", 0, 2)]), (1, [("b", 2, 1)])]),  # b goes on in the next shard
        ([("a", 4), ("b", 4)], [(0, [("a", 0, 4)]), (1, [("b", 0, 4)])]),  # borders that meet cut nothing
        ([("a", 9)], [(0, [("a", 0, 4)]), (1, [("a", 4, 4)]), (2, [("a", 8, 1)])]),
        ([("a", 0)], [(0, [("a", 0, 1)])]),  # an empty clip is a row that will fail, not a silence
        ([("a", None), ("b", 1)], [(0, [("a", 0, 1), ("b", 0, 1)])]),  # so is one whose header cannot be read
        ([("a", 1.06), ("b", 1.07)], [(0, [("a", 0, 1), ("b", 0, 2)])]),  # a tail of a frontend hop, 0.064 s, counts
    ],
)
def test_small_plans(clips: list[tuple[str, float | None]], expected: list):
    assert layout(plan_features(table(*(clip(*each) for each in clips)), settings())) == expected


def test_mode_first_is_one_window_a_clip():
    plan = plan_features(table(clip("a", 9), clip("b", 0.2), clip("c", None)), settings("first"))
    assert layout(plan) == [(0, [("a", 0, 1), ("b", 0, 1), ("c", 0, 1)])]


@pytest.mark.parametrize(
    ("segment", "windows"),
    [
        ({"start_s": 1.0, "end_s": 3.0}, 2),
        ({"start_s": 7.0}, 3),  # to the end of 10 s
        ({"end_s": 99.0}, 10),  # past the end
        ({"start_s": 99.0}, 1),  # begins past the end: a row that will fail
    ],
)
def test_segments(segment: dict[str, float], windows: int):
    assert plan_features(table(clip("a", 10, **segment)), settings()).windows == windows


def test_a_segment_of_a_file_of_unknown_length_is_planned_by_its_end():
    assert plan_features(table(clip("a", None, start_s=1.0, end_s=4.0)), settings()).windows == 3


clips_strategy = st.lists(st.integers(0, 11), min_size=1, max_size=12).map(
    lambda counts: table(*(clip(f"{number}.wav", count) for number, count in enumerate(counts)))
)


@given(clips_strategy, st.integers(1, 9), st.sets(st.integers(0, 12)))
def test_every_window_is_in_exactly_one_unit(clips: ClipTable, rows_per_shard: int, committed: set[int]):
    config = settings(rows_per_shard=rows_per_shard)
    plan = plan_features(clips, config, None, sorted(committed))
    units = by_index(plan)
    held = Counter(
        (item.clip["uri"], item.first_window + number)
        for unit in units
        for item in unit.items
        for number in range(item.n_windows)
    )
    planned = {row["uri"]: max(1, int(row["duration_s"])) for row in clips.rows.to_pylist()}
    assert held == Counter((uri, number) for uri, count in planned.items() for number in range(count))
    assert [unit.n_windows for unit in units[:-1]] == [rows_per_shard] * (len(units) - 1)
    assert 0 < units[-1].n_windows <= rows_per_shard
    assert [unit.index for unit in units] == list(plan.indices) == sorted(plan.indices)
    assert not committed & set(plan.indices)
    assert plan.n_shards > max({*plan.indices, *committed})
    assert (len(plan), plan.windows) == (len(units), sum(held.values()))
    assert all(item.windows == planned[item.clip["uri"]] for unit in units for item in unit.items)


@given(clips_strategy, st.sets(st.integers(0, 30)), st.sampled_from(["first", "all"]))
def test_a_killed_run_leaves_the_rest_to_the_next(clips: ClipTable, killed: set[int], mode: str):
    """Whatever units are missing, the next run makes all windows that are missing, and the run after it none."""
    config = settings(mode)
    units = list(plan_features(clips, config).units())
    done = [unit for unit in units if unit.index not in killed]
    if not done:
        return
    plan = again(clips, row_index(*done), config)
    if mode == "first":
        assert list(plan.units()) == [unit for unit in units if unit.index in killed]
    assert set(plan.indices).isdisjoint(unit.index for unit in done)
    finished = row_index(*plan.units(), before=row_index(*done)) if len(plan) else row_index(*done)
    last = again(clips, finished, config)
    assert (len(last), last.done, last.failed_before) == (0, len(clips), 0)


def test_whole_clips_make_the_same_units_again():
    """A unit of clips that cross no shard border is made again exactly, in the hole that a kill left."""
    clips = table(*(clip(f"{number}", 2) for number in range(8)))
    units = list(plan_features(clips, settings()).units())
    assert list(again(clips, row_index(units[0], units[2])).units()) == [units[1], units[3]]


def test_a_second_run_is_free():
    clips = table(clip("a", 5), clip("b", 2))
    plan = again(clips, row_index(*plan_features(clips, settings()).units()))
    assert (len(plan), plan.windows, plan.done, plan.todo.num_rows, plan.bytes_to_read) == (0, 0, 2, 0, 0)


def test_a_grown_table_costs_only_its_new_clips():
    first = table(clip("a", 5), clip("b", 2))
    held = row_index(*plan_features(first, settings()).units())
    grown = table(clip("0", 1), clip("a", 5), clip("b", 2), clip("c", 1))
    plan = again(grown, held)
    assert layout(plan) == [(2, [("0", 0, 1), ("c", 0, 1)])]
    assert (plan.clips, plan.done, plan.bytes_to_read, plan.n_shards) == (4, 2, 20, 3)


def test_failed_clips_are_left_alone_until_asked_for():
    clips = table(clip("a", 1), clip("bad", 1), clip("c", 1))
    held = row_index(*plan_features(clips, settings()).units(), fail=frozenset({"bad"}))
    plan = again(clips, held)
    assert (plan.done, plan.failed_before, len(plan)) == (2, 1, 0)
    retry = again(clips, held, retry_failed=True)
    assert layout(retry) == [(1, [("bad", 0, 1)])]
    assert [item.attempt for unit in retry.units() for item in unit.items] == [2]
    assert (retry.done, retry.failed_before) == (2, 0)
    failed_again = row_index(*retry.units(), fail=frozenset({"bad"}), before=held)
    third = again(clips, failed_again, retry_failed=True)
    assert [item.attempt for unit in third.units() for item in unit.items] == [3]
    assert again(clips, row_index(*third.units(), before=failed_again)).done == 3


def test_a_long_clip_of_which_one_unit_failed_has_failed():
    clips = table(clip("a", 6))
    one, two = plan_features(clips, settings()).units()
    held = row_index(two, fail=frozenset({"a"}), before=row_index(one))
    assert again(clips, held).failed_before == 1
    retry = list(again(clips, held, retry_failed=True).units())
    assert sum(unit.n_windows for unit in retry) == 2  # those that are not there
    assert again(clips, row_index(*retry, before=held)).done == 1


def test_changed_content_is_done_anew_and_its_old_rows_do_not_count():
    old, new = table(clip("a", 1), clip("b", 1)), table(clip("a", 1, version="2"), clip("b", 1))
    held = row_index(*plan_features(old, settings()).units())
    plan = again(new, held)
    assert layout(plan) == [(1, [("a", 0, 1)])]
    after = row_index(*plan.units(), before=held)
    assert set(select_current(after)["version"]) == {"1", "2"}
    assert len(again(new, after)) == 0


def test_changed_content_that_fills_a_hole_is_still_the_newest():
    """A killed run leaves hole 0; the changed clip of shard 1 lands there, before its older self."""
    config = settings(rows_per_shard=1)
    units = list(plan_features(table(clip("a"), clip("b")), config).units())
    held, new = row_index(units[1]), table(clip("b", version="2"), clip("a"))
    plan = again(new, held, config)
    assert layout(plan) == [(0, [("b", 0, 1)]), (2, [("a", 0, 1)])]
    assert again(new, row_index(*plan.units(), before=held), config).done == 2


def test_a_file_that_vanished_fails_once_and_is_then_left_alone():
    """An unreadable file has no version; that it had one before must not bring it back in every run."""
    held = row_index(*plan_features(table(clip("a")), settings()).units())
    gone = table(clip("a", None, version=None))
    after = row_index(*again(gone, held).units(), fail=frozenset({"a"}), before=held)
    plan = again(gone, after)
    assert (len(plan), plan.failed_before) == (0, 1)


def test_an_unreadable_file_without_a_version_is_left_alone():
    gone = table(clip("a", None, version=None))
    held = row_index(*plan_features(gone, settings()).units(), fail=frozenset({"a"}))
    assert again(gone, held).failed_before == 1
    assert len(again(gone, held, retry_failed=True)) == 1


def test_a_clip_that_turned_out_shorter_than_its_header_is_done():
    clips = table(clip("a", 3))
    held = row_index(*plan_features(clips, settings()).units()).iloc[:2].assign(windows=2)
    assert again(clips, held).done == 1


@pytest.mark.parametrize(
    ("n_windows", "assignments", "rows_per_shard"),
    [
        (1, [], 16),  # at least 16
        (400, [], 25),  # 16 equal shards
        (600, [], 64),  # 38 would be no whole chunks of 32
        (1024, [], 64),
        (2000, [], 128),
        (10**7, [], 128),  # at most 128
        (10**7, ["layout.rows_per_shard=512"], 512),  # as asked
        (10**7, ["layout.rows_per_chunk=512"], 128),  # a chunk is never more than a shard
        (10**7, ["layout.rows_per_chunk=50"], 100),  # whole chunks
        (10**7, ["frontend.name=stft-db"], 64),  # 32 MiB hold 75 rows of 1,025 bands
        (10**7, ["windows.duration_s=60"], 32),  # 32 MiB hold 50 rows of a minute: one whole chunk, and not two
        (0, [], 16),
    ],
)
def test_resolved(n_windows: int, assignments: list[str], rows_per_shard: int):
    config = choose_layout(load_settings(None, assignments), n_windows)
    assert config.layout.rows_per_shard == rows_per_shard
    assert config.hash == load_settings(None, assignments).hash


def test_peak_bytes_by_hand():
    """128 rows of 216 x 128 float16 are 7.1 MB; thrice that, 12.6 MB of blocks, 1.8 of samples, 0.4 of bands."""
    config = choose_layout(Settings(), 10**6)
    assert 3 * 128 * 216 * 128 * 2 == 21_233_664
    assert 3 * 4 * BLOCK_VALUES == 12_582_912
    assert 4 * 110_250 * 4 + 2 * 216 * (128 + 128) * 4 == 2_206_368
    assert estimate_peak_bytes(config) == 21_233_664 + 12_582_912 + 2_206_368
    assert plan_features(table(clip("a")), config).peak_bytes == estimate_peak_bytes(config)


def test_a_plan_of_many_clips_is_made_unit_by_unit():
    plan = plan_features(table(*(clip(str(number)) for number in range(5000))), settings())
    units = plan.units()
    assert next(units).items[0].clip["uri"] == "0"
    assert len(plan) == 1250


def label_plan(clips: ClipTable, files: pd.DataFrame | None = None, committed=(), **options: bool) -> Plan:
    return plan_labels(clips, settings(), 1.0, files, committed, **options)


@given(clips_strategy)
def test_labelling_takes_whole_files(clips: ClipTable):
    items = [item for unit in by_index(label_plan(clips)) for item in unit.items]
    assert [item.clip["uri"] for item in items] == clips.rows["uri"].to_pylist()
    assert all((item.first_window, item.n_windows) == (0, item.windows) for item in items)


def test_labelling_gives_a_long_file_a_unit_of_its_own():
    plan = label_plan(table(clip("a", 1), clip("long", 5000), clip("b", 1), clip("c", 1)))
    assert [[uri for uri, *_ in items] for _, items in layout(plan)] == [["a"], ["long"], ["b", "c"]]


def test_labelling_goes_by_the_hop_asked_for():
    assert plan_labels(table(clip("a", 10)), settings("first"), 0.5).windows == 19


def test_labelling_a_second_time_is_free_and_failed_files_wait():
    clips = table(clip("a", 3), clip("bad", 3), clip("new", 1))
    rows = [{"clip_id": row["clip_id"], "version": "1", "attempts": 1} for row in clips.rows.to_pylist()]
    files = pd.DataFrame([rows[0] | {"status": "ok"}, rows[1] | {"status": "failed"}])
    plan = label_plan(clips, files, [0])
    assert (plan.done, plan.failed_before, layout(plan)) == (1, 1, [(1, [("new", 0, 1)])])
    retry = label_plan(clips, files, [0], retry_failed=True)
    assert [(item.clip["uri"], item.attempt) for unit in retry.units() for item in unit.items] == [
        ("bad", 2),
        ("new", 1),
    ]
    changed = table(clip("a", 3, version="2"))
    assert label_plan(changed, files, [0]).todo.num_rows == 1


@pytest.mark.parametrize(
    ("clips", "expected"),
    [
        ([("a", 4, 10), ("b", 4, 30), ("c", 4, 20)], [1, 2, 0]),
        ([("a", 4, 10), ("b", 4, 10), ("c", 4, 10)], [0, 1, 2]),  # what weighs the same keeps the order of the table
        ([("a", 4, 10), ("long", 12, 90)], [1, 2, 3, 0]),  # a third of 90 bytes each
        ([("a", 8, 40), ("b", 3, 35), ("c", 1, 1)], [2, 0, 1]),  # 20, 20, and 36 of two clips
        ([("a", 4, None), ("b", 4, None), ("c", 2, None)], [0, 1, 2]),  # nothing known: by windows
        ([("a", 2, 10), ("b", 2, None), ("c", 2, 30), ("d", 2, 30)], [1, 0]),  # unknown: like the mean of the others
        ([("a", 4, 0), ("b", 4, 10)], [1, 0]),
    ],
)
def test_units_with_the_most_bytes_to_read_come_first(clips: list[tuple[str, int, int | None]], expected: list[int]):
    plan = plan_features(table(*(clip(uri, windows, size_bytes=size) for uri, windows, size in clips)), settings())
    assert [unit.index for unit in plan.units()] == expected


@given(clips_strategy, st.lists(st.one_of(st.none(), st.integers(0, 100)), min_size=12, max_size=12))
def test_the_order_changes_no_unit(clips: ClipTable, sizes: list[int | None]):
    """Whatever the files weigh, the same units come; by the slow definition, none is heavier than one before it."""
    rows = [row | {"size_bytes": size} for row, size in zip(clips.rows.to_pylist(), sizes, strict=False)]
    plan = plan_features(make_table(rows, Path("/")), settings())
    assert layout(plan) == layout(plan_features(clips, settings()))
    known = [row["size_bytes"] / max(1, row["duration_s"]) for row in rows if row["size_bytes"] is not None]
    mean = sum(known) / len(known) if known else 1.0

    def bytes_of(item: Item) -> float:
        size = item.clip["size_bytes"]
        return item.n_windows * (mean if size is None else size / item.windows)

    heavy = [sum(map(bytes_of, unit.items)) for unit in plan.units()]
    assert all(one >= other - 1e-6 for one, other in zip(heavy, heavy[1:], strict=False))


def test_labelling_first_scores_pieces_and_short_files_then_puts_the_long_ones_together():
    plan = label_plan(table(clip("a", 3), clip("long", 1100), clip("b", 2), clip("longer", 513)))
    first, then = plan.phases()
    pieces = [unit for unit in first.units() if isinstance(unit, SegmentUnit)]
    assert sorted((unit.items[0].clip["uri"], unit.items[0].first_window, unit.n_windows) for unit in pieces) == [
        ("long", 0, 512),
        ("long", 512, 512),
        ("long", 1024, 76),
        ("longer", 0, 512),
        ("longer", 512, 1),
    ]
    assert len({unit.index for unit in pieces}) == 5
    assert min(unit.index for unit in pieces) >= plan.n_shards
    others = [unit for unit in first.units() if not isinstance(unit, SegmentUnit)]
    whole = by_index(plan)
    assert sorted(others, key=lambda unit: unit.index) == [whole[0], whole[2]]
    assert by_index(then) == [whole[1], whole[3]]
    assert (first.windows, len(first)) == (plan.windows, 7)
    ahead = {(piece.clip["uri"], piece.first_window): piece for unit in pieces for piece in unit.items}
    wanted = [piece for unit in then.units() for item in unit.items for piece in split_into_segments(item)]
    assert {(piece.clip["uri"], piece.first_window): piece for piece in wanted} == ahead


@given(st.lists(st.sampled_from([1, 3, 511, 512, 513, 1024, 1500]), min_size=1, max_size=8), st.sets(st.integers(0, 9)))
def test_phases_plan_every_window_once_and_commit_every_unit_once(windows: list[int], committed: set[int]):
    plan = label_plan(table(*(clip(str(n), count) for n, count in enumerate(windows))), None, sorted(committed))
    first, *then = plan.phases()
    counted = Counter(
        (item.clip["uri"], item.first_window + n)
        for unit in first.units()
        for item in unit.items
        for n in range(item.n_windows)
    )
    assert counted == Counter((str(n), window) for n, count in enumerate(windows) for window in range(count))
    commits = [unit for phase in (first, *then) for unit in phase.units() if not isinstance(unit, SegmentUnit)]
    assert sorted(commits, key=lambda unit: unit.index) == by_index(plan)
    assert bool(then) == any(count > 512 for count in windows)


def test_nothing_to_label_has_no_phases():
    clips = table(clip("a", 3))
    files = pd.DataFrame([{"clip_id": clip_id("a"), "version": "1", "attempts": 1, "status": "ok"}])
    assert label_plan(clips, files, [0]).phases() == ()


def changes(plan: Plan) -> tuple[int, int, int, int]:
    return plan.new_clips, plan.changed_clips, plan.missing_clips, plan.restored_clips


def stored(*clips: dict[str, Any], retired: str = "", **columns: Any) -> pd.DataFrame:
    """What a store holds after a run over some clips, those of `retired` (uris of a letter) having left since."""
    held = row_index(*plan_features(table(*clips), settings()).units()).assign(error=None, **columns)
    held["row"] = pd.array(range(len(held)), "Int64")
    held.loc[held["uri"].isin(list(retired)), "status"] = "retired"
    return held


def test_a_plan_tells_how_the_table_differs_from_the_store():
    held = stored(clip("a"), clip("b"), clip("gone"), clip("x"), retired="x")
    plan = again(table(clip("a"), clip("b", version="2"), clip("new"), clip("newer")), held)
    assert changes(plan) == (2, 1, 1, 0)
    assert (plan.done, plan.todo_clips) == (1, 3)
    assert changes(plan_features(table(clip("a"), clip("b")), settings())) == (2, 0, 0, 0)


def test_a_clip_that_comes_back_is_not_made_again():
    held = stored(clip("a", 3), clip("b", 2), retired="a")
    plan = plan_features(table(clip("a", 3), clip("b", 2)), settings(), select_latest(held), [0, 1])
    assert (plan.done, len(plan), changes(plan)) == (2, 0, (0, 0, 0, 1))


def test_a_clip_that_comes_back_with_other_content_is_made_anew():
    held = stored(clip("a"), retired="a")
    plan = plan_features(table(clip("a", version="2")), settings(), select_latest(held), [0])
    assert (plan.done, changes(plan), layout(plan)) == (0, (0, 1, 0, 0), [(1, [("a", 0, 1)])])
    assert [item.attempt for unit in plan.units() for item in unit.items] == [2]


def test_content_that_comes_back_counts_on_and_is_not_made_again():
    """Version 1 was replaced by 2, and is the content again."""
    one = stored(clip("a", 2), retired="a")
    two = stored(clip("a", 2, version="2"), attempts=2, shard=1)
    held = select_latest(pd.concat([one, two], ignore_index=True))
    plan = plan_features(table(clip("a", 2)), settings(), held, [0, 1])
    assert (plan.done, len(plan), changes(plan)) == (1, 0, (0, 0, 0, 1))
    half = select_latest(pd.concat([one.iloc[:1], two], ignore_index=True))
    plan = plan_features(table(clip("a", 2)), settings(), half, [0, 1])
    assert layout(plan) == [(2, [("a", 1, 1)])]
    assert [item.attempt for unit in plan.units() for item in unit.items] == [3], "above what it takes over from"


@pytest.mark.parametrize(
    ("held", "done", "failed"),
    [({"row": 1, "error": None}, 1, 0), ({"row": None, "error": "DecodeError: x"}, 0, 1)],
)
def test_a_retired_row_is_what_it_was(held: dict[str, Any], done: int, failed: int):
    rows = stored(clip("a"), retired="a").assign(**held)
    plan = plan_features(table(clip("a")), settings(), select_latest(rows), [0])
    assert (plan.done, plan.failed_before, plan.restored_clips) == (done, failed, 1)


def test_rows_of_a_take_that_is_not_wanted_any_more_are_nothing_to_restore():
    held = stored(clip("a"), policy_rule="old", variant=1)
    plan = again(table(clip("a")), held)
    assert (plan.done, changes(plan), plan.windows) == (0, (0, 0, 0, 0), 1)


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from("12"), st.integers(0, 2), st.sampled_from(["ok", "failed"])),
        max_size=12,
    ),
    st.booleans(),
)
def test_what_is_done_by_the_slow_definition(history: list[tuple[str, str, int, str]], retry_failed: bool):
    """A clip of three windows is done where all are ok and none failed, of the content of the table alone."""
    last = {(name, version, window): status for name, version, window, status in history}
    rows = [
        {"clip_id": clip_id(name), "version": version, "window": window, "status": status, "attempts": 1 + place}
        | {"windows": 3, "shard": place, "channel": "mix", "variant": 0, "policy_rule": ""}
        for place, (name, version, window, status) in enumerate(history)
    ]
    held = select_latest(pd.DataFrame(rows)) if rows else None
    plan = plan_features(table(clip("a", 3), clip("b", 3)), settings(), held, retry_failed=retry_failed)
    states = {name: [last.get((name, "1", window)) for window in range(3)] for name in "ab"}
    failed = {name for name, own in states.items() if "failed" in own}
    assert plan.done == sum(own == ["ok"] * 3 for own in states.values())
    assert plan.failed_before == (0 if retry_failed else len(failed))
    expected = {
        (name, window)
        for name, own in states.items()
        for window in range(3)
        if own[window] != "ok" and (retry_failed or name not in failed)
    }
    items = [item for unit in plan.units() for item in unit.items]
    made = {(item.clip["uri"], item.first_window + number) for item in items for number in range(item.n_windows)}
    assert made == expected
    known = {name for name, *_ in history}
    same = {name for name, version, *_ in history if version == "1"}
    assert changes(plan) == (len({"a", "b"} - known), len((known & {"a", "b"}) - same), len(known - {"a", "b"}), 0)
