"""How long a unit may take: by hand, for every kind of unit, and never less for more work."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.clips.table import clip_id, make_table
from hubbub.config import load_settings
from hubbub.errors import UsageError
from hubbub.planning.plan import plan_features, plan_labels
from hubbub.planning.time_limits import time_limit_s
from hubbub.store.compaction import CompactUnit, SourceShard
from hubbub.tasks.verify import VerifyUnit

pytestmark = pytest.mark.usefixtures("table_order")

SETTINGS = load_settings(
    None, ["windows.mode=all", "windows.duration_s=1", "layout.rows_per_shard=4", "layout.rows_per_chunk=1"]
)


def test_the_base_and_a_time_for_bytes_and_windows():
    assert time_limit_s(0, 0) == 300
    assert time_limit_s(1_000_000, 0) == 300 + 4
    assert time_limit_s(1_000_000, 8) == 300 + 4 + 2


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10**6), st.integers(0, 10**6))
def test_more_work_never_has_less_time(bytes_one: int, bytes_more: int, windows: int, windows_more: int):
    assert time_limit_s(bytes_one, windows) <= time_limit_s(bytes_one + bytes_more, windows + windows_more)


def test_the_environment_says_another_base_when_it_is_asked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HUBBUB_TIME_LIMIT_S", "2.5")
    assert time_limit_s(250_000, 4) == 2.5 + 1 + 1
    monkeypatch.delenv("HUBBUB_TIME_LIMIT_S")
    assert time_limit_s(0, 0) == 300


@pytest.mark.parametrize("said", ["", "soon", "0", "-1", "nan", "inf"])
def test_a_base_that_is_none_is_refused(said: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HUBBUB_TIME_LIMIT_S", said)
    with pytest.raises(UsageError, match=f"HUBBUB_TIME_LIMIT_S={said}: expected a number of seconds above 0, such as"):
        time_limit_s(0, 0)


def clips(*sizes: int | None, windows: int = 1):
    names = [f"{number}.wav" for number in range(len(sizes))]
    return make_table(
        [
            {"clip_id": clip_id(name), "uri": name, "labels": [], "duration_s": windows, "size_bytes": size}
            for name, size in zip(names, sizes, strict=True)
        ],
        Path("/"),
    )


def test_a_unit_counts_each_of_its_files_whole_and_once():
    (unit,) = plan_features(clips(500_000, None, 250_000), SETTINGS).units()
    assert unit.time_limit_s == 300 + 3 + 3 / 4
    assert [item.time_limit_s for item in unit.items] == [300 + 2 + 1 / 4, 300 + 1 / 4, 300 + 1 + 1 / 4]
    first, second = plan_features(clips(500_000, windows=6), SETTINGS).units()
    assert (first.time_limit_s, second.time_limit_s) == (300 + 2 + 1, 300 + 2 + 1 / 2)


def test_two_segments_of_a_file_read_it_once():
    row = {"uri": "a.wav", "labels": [], "size_bytes": 500_000, "duration_s": 2.0}
    segments = [row | {"clip_id": clip_id("a.wav", at, at + 1), "start_s": at, "end_s": at + 1} for at in (0.0, 1.0)]
    (unit,) = plan_features(make_table(segments, Path("/")), SETTINGS).units()
    assert unit.time_limit_s == 300 + 2 + 2 / 4


def test_a_piece_of_a_long_recording_has_time_to_decode_it_from_its_start():
    pieces, _ = plan_labels(clips(2_000_000, windows=600), SETTINGS, 1.0).phases()
    assert [unit.time_limit_s for unit in pieces.units()] == [300 + 8 + 512 / 4, 300 + 8 + 88 / 4]


def test_units_that_check_and_compact_have_time_by_what_they_read():
    assert VerifyUnit(0, (1, 2)).time_limit_s - VerifyUnit(0, (1,)).time_limit_s >= 400
    one, two = (CompactUnit(0, tuple(SourceShard(shard, (0, 1)) for shard in range(n))) for n in (1, 2))
    assert two.time_limit_s > one.time_limit_s > 300
