"""What a run says of itself while it goes on: counts that add up, a pace and a time left that hold."""

from __future__ import annotations

import json
import math
import os
import pty
import re
import subprocess
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.pipelines.rates import RateMeter
from hubbub.pipelines.run_summary import RunSummary
from hubbub.tasks.result import UnitLost, UnitResult
from tests.jobs.command import COMMAND, hubbub

LINE = re.compile(
    r"features: (\d+) of (\d+) clips, \S+ a second(, \S+ h of audio a second)?, (\d+) failed, (\d+) units in flight, "
    r".+ left; 1 worker"
)


def run_of(rate: float, seconds: float, *, starts_after_s: float = 0.0, every_s: float = 0.25) -> RateMeter:
    """The pace of something that gives `rate` a second in steps, once it has started."""
    pace, steps = RateMeter((0.0,), 0.0), int(seconds / every_s)
    for step in range(1, steps + 1):
        pace.add_sample((step * every_s * rate,), starts_after_s + step * every_s)
    return pace


@given(rate=st.floats(0.01, 1e4), seconds=st.floats(30, 3000), remaining=st.floats(1, 1e6))
def test_the_time_left_of_steady_work_is_what_remains_by_its_rate(rate: float, seconds: float, remaining: float):
    left_s = run_of(rate, seconds).left_s(0, remaining, seconds)
    assert left_s == pytest.approx(remaining / rate, rel=0.1)


@given(starts_after_s=st.floats(0, 3600))
def test_a_slow_start_does_not_count_once_the_first_results_are_some_seconds_old(starts_after_s: float):
    pace = run_of(10.0, 20.0, starts_after_s=starts_after_s)
    assert pace.left_s(0, 1000.0, starts_after_s + 20.0) == pytest.approx(100.0, rel=0.1)


def test_before_the_first_result_the_time_left_is_unknown():
    assert RateMeter((0.0,), 0.0).left_s(0, 10.0, 5.0) == math.inf


@given(silence_s=st.floats(0, 1e5))
def test_a_silence_makes_the_time_left_longer_and_never_endless(silence_s: float):
    pace = run_of(10.0, 100.0)
    before_s, after_s = (pace.left_s(0, 1000.0, now_s) for now_s in (100.0, 100.0 + silence_s))
    assert before_s * 0.9 <= after_s < math.inf


def test_a_pace_that_changes_is_followed_within_minutes():
    pace = run_of(10.0, 600.0)
    for second in range(1, 301):
        pace.add_sample((6000.0 + second,), 600.0 + second)
    assert pace.left_s(0, 100.0, 900.0) == pytest.approx(100.0, rel=0.1)
    assert pace.rates(900.0, 60.0)[0] == pytest.approx(1.0, rel=0.05)
    assert pace.rates(900.0)[0] == pytest.approx(7.0, rel=0.05)


def result(unit: int) -> UnitResult:
    reasons = ((f"{unit}.wav", "DecodeError: torn"),)
    return UnitResult(unit, 15, 1, 16, 16, 80.0, 1000, {"decode": 0.5}, reasons, {"dog": 2})


def test_a_tally_adds_up_and_keeps_a_few_of_many():
    tally, other, pace = RunSummary(), RunSummary(), RateMeter((0.0,), 0.0)
    tracemalloc.start()
    for unit in range(20_000):
        (tally if unit % 2 else other).add_result(
            UnitLost(unit, 16, "its worker died") if unit % 10 == 0 else result(unit)
        )
        pace.add_sample((float(unit),), unit * 0.7)
        if unit == 4000:
            early = tracemalloc.get_traced_memory()[0]
    grown = tracemalloc.get_traced_memory()[0] - early
    tracemalloc.stop()
    tally.add_summary(other)
    assert (tally.units, tally.lost_units, tally.lost_clips) == (18_000, 2000, 32_000)
    assert (tally.ok, tally.failed, tally.windows) == (15 * 18_000, 18_000, 16 * 18_000)
    assert (tally.audio_s, tally.bytes_read, tally.event_counts["dog"]) == (80.0 * 18_000, 18_000_000, 36_000)
    assert (len(tally.lost), len(tally.reasons)) == (5, 5)
    assert grown < 100_000


@pytest.fixture(scope="module")
def bad_clips(bad_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bad") / "clips.parquet"
    hubbub("index", bad_archive, "-o", path)
    return path


def test_lines_and_the_run_folder_tell_the_same_where_no_terminal_is(bad_clips: Path, tmp_path: Path):
    store, log = tmp_path / "store", tmp_path / "log.jsonl"
    done = hubbub("features", bad_clips, "-o", store, "--cluster", "serial", "--log-json", log)
    assert done.returncode == 1, done.stderr
    last = [match for line in done.stderr.splitlines() if (match := LINE.search(line))][-1]
    clips, total, _, failed, in_flight = last.groups()
    assert (clips, total, failed, in_flight) == ("11", "11", "4", "0")
    (run,) = (store / ".runs").iterdir()
    standing = json.loads((run / "status.json").read_text())["standing"]
    assert standing["clips"] == {"total": 11, "done": 11, "lost": 0}
    assert (standing["windows"]["done"], standing["failed"], standing["left_s"]) == (11, 4, 0.0)
    assert (run / "log.jsonl").read_text() == log.read_text()


def test_clips_that_go_over_several_units_count_once(esc10_mini: Path, tmp_path: Path):
    """Clips of five windows in units of two: each unit has a part of one or two clips."""
    (tmp_path / "sounds").mkdir()
    for path in sorted((esc10_mini / "audio").iterdir())[:2]:
        (tmp_path / "sounds" / path.name).symlink_to(path)
    hubbub("index", tmp_path / "sounds", "-o", tmp_path / "clips.parquet", "--format", "flat")
    layout = ("windows.mode=all", "windows.duration_s=1", "layout.rows_per_shard=2", "layout.rows_per_chunk=2")
    settings = [word for setting in layout for word in ("--set", setting)]
    done = hubbub("features", tmp_path / "clips.parquet", "-o", tmp_path / "store", "--cluster", "serial", *settings)
    assert done.returncode == 0, done.stderr
    assert "features: 2 of 2 clips" in done.stderr


def test_a_terminal_shows_a_bar(clips: Path, tmp_path: Path):
    ours, theirs = pty.openpty()
    command = [str(COMMAND), "features", str(clips), "-o", str(tmp_path / "store"), "--cluster", "serial"]
    with subprocess.Popen(
        command, stdout=theirs, stderr=theirs, env=os.environ | {"TERM": "xterm", "COLUMNS": "160"}
    ) as process:
        os.close(theirs)
        said = b"".join(iter(lambda: _read(ours), b"")).decode()
    os.close(ours)
    assert process.returncode == 0, said
    assert "━" in said
    assert "6 of 6 clips" in said


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65_536)
    except OSError:  # a terminal's end
        return b""
