"""The benchmark of opening and planning writes a store that is one, measures it, and holds it against its targets."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from hubbub.clips.table import read_table
from hubbub.planning.plan import plan_features
from hubbub.store.opening import open_store

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


def run(*arguments: str | Path, before: str = "pass") -> subprocess.CompletedProcess:
    """Run the command in a process of its own; `before` is Python that spoils something first."""
    script = f"import sys; sys.path.insert(0, {str(FOLDER)!r}); import scale; {before}; sys.exit(scale.main())"
    return subprocess.run([sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess]:
    """A store of 25 rows in three shards, and what was said of it."""
    folder = tmp_path_factory.mktemp("scale")
    return folder, run("--rows", "25", "--per-shard", "10", "--keep", folder, "--check")


@pytest.mark.slow
def test_it_measures_and_meets_its_targets_on_a_small_store(small: tuple[Path, subprocess.CompletedProcess]):
    _, done = small
    assert done.returncode == 0, done.stderr
    assert "Scale: 25 rows in 3 shards" in done.stdout
    assert "open, columns for training: 25 rows" in done.stderr
    assert "open, all columns: 25 rows" in done.stderr
    assert "25 of 25 clips are done, 0 units to do" in done.stderr
    assert done.stdout.count("met") == 5


def test_what_it_writes_is_a_store_with_nothing_to_do(small: tuple[Path, subprocess.CompletedProcess]):
    folder, _ = small
    store, table = open_store(folder / "store"), read_table(folder / "clips.parquet")
    rows = store.rows()
    assert rows["row"].tolist() == list(range(25))
    assert rows["uri"].tolist() == table.rows["uri"].to_pylist()
    assert store.committed() == [0, 1, 2]
    assert plan_features(table, store.settings, store.progress(), store.committed()).changes.new == 0


def test_it_opens_the_columns_that_training_goes_by(small: tuple[Path, subprocess.CompletedProcess]):
    folder, _ = small
    trainer = pytest.MonkeyPatch()
    with trainer.context() as patch:
        patch.syspath_prepend(FOLDER)
        columns = import_module("scale").TRAINER
    assert open_store(folder / "store").rows(columns).columns.tolist() == columns


@pytest.mark.slow
def test_check_exits_1_where_a_target_is_missed(small: tuple[Path, subprocess.CompletedProcess]):
    folder, _ = small
    missed = run("--keep", folder, "--check", before="scale.OPEN_MB = 1.0")
    assert missed.returncode == 1
    assert missed.stdout.count("MISSED") == 2  # for training, and all columns
    assert run("--keep", folder, before="scale.OPEN_MB = 1.0").returncode == 0


def test_a_wrong_size_is_refused():
    refused = run("--rows", "0")
    assert refused.returncode == 2
    assert "'0' is no whole number above 0" in refused.stderr
