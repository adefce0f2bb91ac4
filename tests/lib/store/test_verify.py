"""Faults put into a store by hand are found and named."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from distributed import Client, LocalCluster

from hubbub.clips.index import index_listing
from hubbub.clips.sources import Columns, list_source
from hubbub.clips.table import ClipTable
from hubbub.config import load_settings
from hubbub.engine.isolated import run_isolated
from hubbub.planning.plan import plan_features
from hubbub.store.features import FeatureStore
from hubbub.store.opening import create_store, open_store
from hubbub.store.parts import part_path, read_part, write_part
from hubbub.store.problems import Problem
from hubbub.store.rows import row_schema
from hubbub.store.verify import check_shard, verify_clips, verify_shard
from hubbub.store.verify_layout import verify_array
from hubbub.tasks.extract import ExtractTask
from hubbub.tasks.verify import VerifyResult, VerifyTask, VerifyUnit

SETTINGS = [
    *("frontend.sample_rate=8000", "frontend.n_fft=256", "frontend.hop_samples=128", "frontend.n_mels=16"),
    *("windows.duration_s=0.5", "windows.mode=all", "layout.rows_per_shard=4", "layout.rows_per_chunk=2"),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, table_order: None) -> tuple[Path, ClipTable]:
    """A store of three shards; clip 1 lies in two of them."""
    folder = tmp_path_factory.mktemp("sounds")
    for number, seconds in enumerate([1.0, 2.0, 1.5, 0.5]):
        samples = np.random.default_rng(number).normal(0, 0.1, round(seconds * 8000))
        soundfile.write(folder / f"{number}.wav", samples, 8000)
    (folder / "4.wav").write_text("no sound")
    table, _ = index_listing(list_source(folder, "flat", Columns()))
    config = load_settings(None, SETTINGS)
    store = create_store(tmp_path_factory.mktemp("store") / "store", config, source="here")
    plan = plan_features(table, config)
    store.grow(plan.n_shards)
    for unit in plan.units():
        ExtractTask(store, table.root, row_schema(table.rows.schema))(unit)
    return store.path, table


@pytest.fixture
def store(built: tuple[Path, ClipTable], tmp_path: Path) -> FeatureStore:
    shutil.copytree(built[0], tmp_path / "store")
    return open_store(tmp_path / "store")


@pytest.fixture
def table(built: tuple[Path, ClipTable]) -> ClipTable:
    return built[1]


def shard_file(store: FeatureStore, shard: int) -> Path:
    return store.path / "features.zarr" / "features" / "c" / str(shard) / "0" / "0"


def all_problems(store: FeatureStore, table: ClipTable | None = None) -> list[Problem]:
    opened = open_store(store.path)
    problems = [problem for shard in opened.committed() for problem in verify_shard(opened, shard)]
    return problems + verify_clips(opened, table)


def test_a_good_store_has_no_problems(store: FeatureStore, table: ClipTable):
    assert store.committed() == [0, 1, 2]
    assert all_problems(store, table) == []


def test_an_isolated_process_checks_shards_like_any_other(store: FeatureStore):
    """A unit is isolated once a worker died of it, which a shard cannot help."""
    shard_file(store, 1).unlink()
    task, unit = VerifyTask(store, verify_array(store)[0]), VerifyUnit(3, (0, 1))
    alone = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with LocalCluster(**alone) as cluster, Client(cluster) as client:
        found = client.submit(run_isolated, task, unit).result()
    assert isinstance(found, VerifyResult)
    assert found == task(unit)
    assert [problem.unit for problem in found.problems] == [1]


@pytest.mark.parametrize("place", [10, 0.3, 0.6, -2])
def test_a_flipped_byte_is_found(store: FeatureStore, place: float):
    path = shard_file(store, 1)
    data = bytearray(path.read_bytes())
    at = place if isinstance(place, int) else int(len(data) * place)
    data[at] ^= 0xFF
    path.write_bytes(data)
    problems = all_problems(store)
    assert problems
    assert all("1" in problem.where for problem in problems)


def test_a_shard_that_is_gone_is_found(store: FeatureStore):
    shard_file(store, 1).unlink()
    clips = ("1.wav", "2.wav")
    what = "is missing, with the values of 4 rows"
    assert all_problems(store) == [Problem("features.zarr shard 1", what, clips, mend="recompute", unit=1)]


def test_a_shard_cut_short_is_found(store: FeatureStore):
    path = shard_file(store, 0)
    path.write_bytes(path.read_bytes()[:-50])
    assert any("00000000" in problem.where or "shard 0" in problem.where for problem in all_problems(store))


def test_swapped_shards_are_found(store: FeatureStore):
    one, two = shard_file(store, 0), shard_file(store, 1)
    data = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(data)
    problems = all_problems(store)
    assert {problem.where for problem in problems} == {"features.zarr shard 0", "features.zarr shard 1"}
    assert all("no checksum of its 4 rows matches" in problem.what for problem in problems)


def test_swapped_row_parts_are_found(store: FeatureStore):
    one, two = part_path(store.rows_folder, 0), part_path(store.rows_folder, 1)
    data = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(data)
    assert any("says it is part 1" in problem.what for problem in all_problems(store))


def test_a_row_part_that_is_gone_is_found(store: FeatureStore, table: ClipTable):
    part_path(store.rows_folder, 0).unlink()
    problems = all_problems(store, table)
    assert Problem("rows", "2 of 4 windows of 1.wav stored", ("1.wav",), mend="run") in problems
    missing = Problem("rows", "1 clip of the clip table missing from the store", ("0.wav",), mend="run")
    assert missing in problems
    assert missing.in_flight
    assert str(missing) == "rows: 1 clip of the clip table missing from the store (holds 0.wav)"


def test_a_row_part_cut_short_is_found(store: FeatureStore):
    path = part_path(store.rows_folder, 2)
    path.write_bytes(path.read_bytes()[:-30])
    problems = all_problems(store)
    assert any(problem.where == "rows/00000002.parquet" and "cannot be read" in problem.what for problem in problems)


def changed(store: FeatureStore, shard: int, **columns) -> None:
    """Write a row part anew with other values in its first row."""
    rows, mark = read_part(store.rows_folder, shard)
    data = rows.to_pylist()
    data[0] |= columns
    write_part(store.rows_folder, shard, type(rows).from_pylist(data, schema=rows.schema), mark)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"row": 99}, "has rows outside its shard, which holds 0 to 3"),
        ({"row": 1}, "row 1 stands there twice"),
        ({"status": "maybe"}, "1 row with a status that is none of ok, failed, ended, retired"),
        ({"status": "failed"}, "a failed row gives no reason"),
        ({"crc32": 7}, "row 0 .* has another checksum"),
        ({"row": None}, "row"),  # an ok row must lie somewhere
        ({"crc32": None}, "checksum"),
    ],
)
def test_a_row_that_does_not_fit_is_found(store: FeatureStore, columns: dict, message: str):
    import re

    changed(store, 0, **columns)
    problems = all_problems(store)
    assert any(re.search(message, problem.what) for problem in problems), problems


def test_a_check_counts_what_it_looked_at(store: FeatureStore):
    check = check_shard(store, 0)
    assert (check.rows, check.problems) == (4, ())
    assert check.size_bytes == shard_file(store, 0).stat().st_size


def test_only_the_first_few_clips_are_named():
    problem = Problem("here", "is wrong", ("a", "b", "c"), 4)
    assert str(problem) == "here: is wrong (holds a, b, c and 4 more clips)"


def test_rows_that_do_not_count_any_more_may_have_values_or_none(store: FeatureStore):
    changed(store, 0, status="retired")
    assert check_shard(store, 0).rows == 4
    assert not check_shard(store, 0).problems
    changed(store, 0, row=None, crc32=None)
    assert not check_shard(store, 0).problems
