"""Shards are fair samples of the clip table, whatever order it has."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hubbub.clips.table import clip_id, make_table
from hubbub.config import Settings, load_settings
from hubbub.planning.plan import Plan, plan_features

SECOND = [
    *("windows.duration_s=1", "layout.rows_per_shard=64", "layout.rows_per_chunk=1"),
    *("frontend.sample_rate=1000", "frontend.n_fft=64", "frontend.hop_samples=64", "frontend.n_mels=4"),
]


def settings(mode: str = "first") -> Settings:
    return load_settings(None, [f"windows.mode={mode}", *SECOND])


def row(uri: str, label: str = "x", *, start_s: float | None = None, duration_s: float = 1.0) -> dict:
    own = {"clip_id": clip_id(uri, start_s, None), "uri": uri, "labels": [label], "start_s": start_s}
    return own | {"duration_s": duration_s, "version": "1", "size_bytes": 10}


def shards(plan: Plan) -> list[list[tuple[str, int]]]:
    """Clip and first window of every item, by shard."""
    units = sorted(plan.units(), key=lambda unit: unit.index)
    return [[(item.clip["clip_id"], item.first_window) for item in unit.items] for unit in units]


def test_shuffle_every_shard_of_a_sorted_table_is_a_fair_sample():
    """Ten classes, one after the other: no shard of 64 rows strays further from the mixture than chance would."""
    rows = [row(f"class{number // 128}/{number}.wav", str(number // 128)) for number in range(1280)]
    plan = plan_features(make_table(rows, Path("/")), settings())
    for unit in plan.units():
        counts = Counter(item.clip["labels"][0] for item in unit.items)
        assert len(counts) == 10
        assert max(counts.values()) <= 6.4 + 5 * np.sqrt(6.4)


@given(st.permutations(range(40)), st.sampled_from(["first", "all"]))
def test_shuffle_the_order_of_the_table_changes_no_shard(order: list[int], mode: str):
    rows = [row(f"{number}.wav", duration_s=number) for number in range(40)]
    plans = [plan_features(make_table(rows, Path("/")), settings(mode))]
    plans.append(plan_features(make_table([rows[number] for number in order], Path("/")), settings(mode)))
    assert shards(plans[0]) == shards(plans[1])


def test_segments_of_a_file_stay_together_and_in_order():
    rows = [row(f"{number % 9}.wav", start_s=float(number // 9), duration_s=1000) for number in range(180)]
    plan = plan_features(make_table(rows, Path("/")), settings())
    laid = [clip for shard in shards(plan) for clip, _ in shard]
    by_file = defaultdict(list)
    for one in rows:
        by_file[one["uri"]].append(one["clip_id"])
    for expected in by_file.values():
        begin = laid.index(expected[0])
        assert laid[begin : begin + len(expected)] == expected


def test_a_table_that_grows_keeps_the_order_of_the_clips_it_had():
    few, more = ([row(f"{number}.wav") for number in range(count)] for count in (50, 60))
    one, two = (
        [clip for shard in shards(plan_features(make_table(rows, Path("/")), settings())) for clip, _ in shard]
        for rows in (few, more)
    )
    assert [clip for clip in two if clip in set(one)] == one
