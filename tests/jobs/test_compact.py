"""`hubbub compact` as a user runs it, and as kill -9 ends it, at every step and on every engine."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import psutil
import pytest

from hubbub.io.lock import LOCK_FOLDER, write_lock
from hubbub.io.paths import StoragePath, parse_path
from hubbub.store.features import FeatureStore
from hubbub.store.opening import open_store
from hubbub.store.parts import list_part_numbers
from tests.jobs.command import COMMAND, refuse, succeed
from tests.lib.store.test_compaction import FULL_OF_HOLES, held, make, ok, progress

PATIENCE_S = 120
N_TINY = 60
"""Row parts of a row each, enough for a run to be caught in the middle."""

# The command in a process that kills itself, as kill -9 would, just before the n-th time it changes the store's folder:
# 1 claims it, 3 notes where it begins, 4 makes room, 5 to 8 write two shards and their row parts, 9 swaps, 10 to 15
# remove old row parts, 16 releases.
KILLED = """
import os, signal, sys
store, left = sys.argv[1], int(sys.argv[2])
def counted(operation):
    def wrapped(*places, **options):
        global left
        if str(places[-1]).startswith(store):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return operation(*places, **options)
    return wrapped
for name in ("replace", "link", "unlink"):
    setattr(os, name, counted(getattr(os, name)))
from hubbub.jobs.cli import main
sys.argv = ["hubbub", "compact", store, "--cluster", "serial"]
main()
"""


@pytest.fixture(scope="module")
def holes(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """A store of holes, which tests copy."""
    return make(tmp_path_factory.mktemp("holes") / "store", FULL_OF_HOLES)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """A store with a row part for each row, which tests copy."""
    return make(tmp_path_factory.mktemp("tiny") / "store", [[ok(f"clip {number:03d}")] for number in range(N_TINY)])


def copied(store: FeatureStore, path: Path) -> Path:
    shutil.copytree(store.path, path)
    return path


def assert_compacted(path: StoragePath, before: FeatureStore, n_parts: int) -> None:
    after = open_store(path)
    pd.testing.assert_frame_equal(held(after), held(before))
    pd.testing.assert_frame_equal(progress(after), progress(before))
    assert len(list((path / "rows").iterdir())) == len(after.committed()) == n_parts
    if isinstance(path, Path):
        assert not [left for left in path.rglob("*partial*") if LOCK_FOLDER not in left.parts]


def test_the_plan_then_the_work_then_nothing_to_do_then_pruning(holes: FeatureStore, tmp_path: Path):
    path, log = copied(holes, tmp_path / "store"), tmp_path / "log.jsonl"
    plan = succeed("compact", path, "--dry-run")
    assert "6 now, 2 after" in plan
    assert "10 rows in 2 units" in plan
    assert open_store(path) == replace(holes, path=path)
    said = succeed("compact", path, "--cluster", "serial", "--log-json", log)
    assert "2, were 6" in said
    assert f"6 old shards kept for open readers; hubbub compact {path} --prune frees" in said
    assert_compacted(path, holes, 2)
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert [event["event"] for event in events] == ["plan", "unit", "unit", "end"]
    assert "nothing to do" in succeed("compact", path)
    assert "would free" in succeed("compact", path, "--dry-run")
    assert len(list((path / "features.zarr" / "features" / "c").iterdir())) == 8
    assert "kB freed: the shards from before the last compaction are removed" in succeed("compact", path, "--prune")
    assert sorted(each.name for each in (path / "features.zarr" / "features" / "c").iterdir()) == ["6", "7"]
    assert_compacted(path, holes, 2)
    succeed("verify", path)


@pytest.mark.slow
def test_a_grown_archive_goes_on_above_the_numbers_of_before(archive: Path, tmp_path: Path):
    store, table, grown = tmp_path / "store", tmp_path / "clips.parquet", tmp_path / "archive"
    files = sorted(archive.rglob("*.*"))
    small = ("--set", "layout.rows_per_shard=4", "--set", "layout.rows_per_chunk=4", "--cluster", "serial")
    for count in (2, 4, 5):  # so there are row parts of 2, 2 and 1 rows
        grow(grown, files[:count], table)
        succeed("features", table, "-o", store, *small)
    succeed("compact", store, "--cluster", "serial")
    assert open_store(store).committed() == [3, 4]
    grow(grown, files, table)
    assert "1 clip, 1 window, in 1 unit" in succeed("features", table, "-o", store, *small)
    assert open_store(store).committed() == [3, 4, 5]
    assert len(open_store(store).rows()) == len(files) == 6
    succeed("verify", store, "--clips", table)


def grow(archive: Path, files: list[Path], table: Path) -> None:
    for file in files:
        (archive / file.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, archive / file.parent.name)
    succeed("index", archive, "-o", table)


@pytest.mark.parametrize(
    "step", [9, 13, *(pytest.param(step, marks=pytest.mark.slow) for step in (3, 4, 6, 8, 10, 16))]
)
def test_killed_at_any_step_the_store_reads_right_and_the_next_run_ends_it(
    holes: FeatureStore, tmp_path: Path, step: int
):
    path = copied(holes, tmp_path / "store")
    words = [sys.executable, "-c", KILLED, str(path), str(step)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == -9, done.stdout + done.stderr
    middle = open_store(path)
    by_clip = [held(store).sort_values(["clip_id", "window"], ignore_index=True) for store in (middle, holes)]
    pd.testing.assert_frame_equal(*by_clip)
    pd.testing.assert_frame_equal(progress(middle), progress(holes))
    succeed("compact", path, "--cluster", "serial")
    assert_compacted(path, holes, 2)
    assert open_store(path).committed() == [6, 7]


@pytest.mark.slow
@pytest.mark.chaos
@pytest.mark.parametrize("victims", ["driver", "driver and workers"])
def test_killed_with_two_workers_the_next_run_ends_it(tiny: FeatureStore, tmp_path: Path, victims: str):
    path = copied(tiny, tmp_path / "store")
    words = [str(COMMAND), "compact", str(path), "--workers", "2"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    wait_for_new_parts(path, 3, process)
    driver = psutil.Process(process.pid)
    for victim in [*(driver.children(recursive=True) if victims != "driver" else []), driver]:
        victim.kill()
    process.wait(timeout=PATIENCE_S)
    pd.testing.assert_frame_equal(held(open_store(path)).sort_values("clip_id", ignore_index=True), held(tiny))
    succeed(*words[1:])
    assert_compacted(path, tiny, N_TINY // 4)


def wait_for_new_parts(path: StoragePath, count: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if len(list_part_numbers(path / "rows")) >= N_TINY + count:
            return
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)
    raise AssertionError(f"no {count} new parts within {PATIENCE_S} s")


@pytest.mark.slow
def test_killed_on_a_bucket_the_next_run_ends_it(s3: str, tiny: FeatureStore):
    address = f"{s3}/some/store"
    path = parse_path(address)
    path.fs.put(f"{tiny.path}/", path.path, recursive=True)
    words = [str(COMMAND), "compact", address, "--cluster", "serial"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for_new_parts(path, 2, process)
    process.kill()
    process.wait()
    succeed(*words[1:], "--prune")
    assert_compacted(path, tiny, N_TINY // 4)
    assert len(list((path / "features.zarr" / "features" / "c").iterdir())) == N_TINY // 4


@pytest.mark.slow
def test_two_builders_at_once_the_second_is_refused(holes: FeatureStore, tmp_path: Path):
    path = copied(holes, tmp_path / "store")
    with write_lock(path, "features"):
        said = refuse("compact", path)
        assert f"{path} is being written by" in said
        assert "hubbub features) since 20" in said
        succeed("compact", path, "--dry-run")
    succeed("compact", path, "--cluster", "serial")


def test_damaged_values_end_the_run_and_leave_the_store(holes: FeatureStore, tmp_path: Path):
    path = copied(holes, tmp_path / "store")
    shard = path / "features.zarr" / "features" / "c" / "4" / "0" / "0"
    shard.write_bytes(shard.read_bytes()[:100])
    for how in (("--cluster", "serial"), ("--workers", 1)):
        said = refuse("compact", path, *how)
        assert "in shard 4 cannot be read" in said or "in shard 4 has another checksum" in said
        assert f"run: hubbub verify {path} --repair, then compact again" in said
    assert open_store(path).first_shard == 0


def test_what_cannot_be_compacted(tmp_path: Path):
    assert "is no feature store" in refuse("compact", tmp_path / "nothing")
    assert "expected serial, local or an address" in refuse("compact", tmp_path, "--cluster", "moon")
