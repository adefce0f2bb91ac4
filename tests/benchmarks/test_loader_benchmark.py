"""The benchmark of the loader, started small: every way serves every row, and the targets are judged."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("h5py")

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.slow
def test_it_runs_small_and_prints_one_table_of_ways() -> None:
    command = [sys.executable, FOLDER / "loader.py", "--rows", "300", "--rounds", "1", "--mixtures", "2000"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    for what in (
        "hubbub's loader, shuffled whole",
        "hubbub's loader, a tenth in memory",
        "hubbub's loader, kept",
        "TFRecord, decoded a batch at a time",
        "HDF5",
        "a memory map",
        "zarr-python",
    ):
        assert sum(what in line for line in run.stdout.splitlines()) == 1
    assert "an epoch broken off goes on" in run.stdout
    for order in ("sorted by class", "shuffled"):
        assert f"2,000 rows, {order}" in run.stdout
    assert "OTHERS" not in run.stdout


def test_a_way_that_does_not_exist_is_refused() -> None:
    command = [sys.executable, FOLDER / "loader.py", "--ways", "hubbub,pigeon"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 2
    assert "unknown: pigeon" in run.stderr


def test_ratios_are_medians_of_the_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    loader = import_module("loader")
    times = {"hubbub": loader.Times([1.0, 2.0, 10.0]), "tfrecord-batch": loader.Times([2.0, 6.0, 10.0])}
    assert loader.times_as_fast(times, "hubbub", "tfrecord-batch") == 2.0  # of 2, 3 and 1
