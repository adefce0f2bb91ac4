"""Real processes, killed for real in the middle of a run: the next run ends equal to one that nobody killed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from hubbub.store.features import open_store
from hubbub.store.tables import open_labels
from tests.jobs.command import COMMAND, hubbub, succeed

pytestmark = pytest.mark.chaos

SMALL_UNITS = ("--set", "layout.rows_per_shard=4", "--set", "layout.rows_per_chunk=4")
PATIENCE_S = 120

Killing = Callable[[psutil.Process], None]


def kill_driver(driver: psutil.Process) -> None:
    driver.kill()


def kill_driver_and_workers(driver: psutil.Process) -> None:
    for process in [*driver.children(recursive=True), driver]:
        kill_quietly(process)


def stop_driver(driver: psutil.Process) -> None:
    driver.send_signal(signal.SIGINT)


def kill_quietly(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        pass  # it went with its parent


def start(*words: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [str(COMMAND), *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def wait_for_parts(folder: Path, count: int, process: subprocess.Popen[bytes]) -> int:
    """Wait until a run has committed some units; returns how many."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        parts = len(list(folder.glob("[0-9]*.parquet")))
        if parts >= count:
            return parts
        assert process.poll() is None, "the run ended before it could be killed: make its units smaller"
        time.sleep(0.005)
    raise AssertionError(f"no {count} parts in {folder} within {PATIENCE_S} s")


def interrupt(words: tuple[object, ...], folder: Path, kill: Killing, *, after_parts: int) -> None:
    """Start a run, kill it in the middle, and see that it was the middle."""
    process = start(*words)
    wait_for_parts(folder, after_parts, process)
    kill(psutil.Process(process.pid))
    process.wait(timeout=PATIENCE_S)


def assert_same_store(path: Path, expected: Path) -> None:
    ours, theirs = open_store(path), open_store(expected)
    pd.testing.assert_frame_equal(ours.rows(), theirs.rows())
    rows = ours.rows()["row"].to_list()
    assert np.array_equal(ours.read_rows(rows), theirs.read_rows(rows))


def assert_same_labels(path: Path, expected: Path) -> None:
    ours, theirs = open_labels(path), open_labels(expected)
    for table in ("files", "windows", "events"):
        mine, other = (
            getattr(tables, table)()
            .drop(columns="unit", errors="ignore")
            .sort_values(["uri", *order], ignore_index=True)
            for tables, order in ((ours, ORDER[table]), (theirs, ORDER[table]))
        )
        pd.testing.assert_frame_equal(mine, other)
        assert len(mine)


ORDER: dict[str, list[str]] = {"files": [], "windows": ["start_s"], "events": ["onset_s", "label"]}


@pytest.fixture(scope="module")
def clips(esc10_mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "clips.parquet"
    succeed("index", esc10_mini / "esc10.csv", "-o", path)
    return path


@pytest.fixture(scope="module")
def whole_store(clips: Path) -> Path:
    """A store that nobody interrupted, from the serial engine."""
    path = clips.with_name("whole-store")
    succeed("features", clips, "-o", path, "--cluster", "serial", *SMALL_UNITS)
    return path


@pytest.mark.parametrize("kill", [kill_driver, kill_driver_and_workers, stop_driver], ids=lambda kill: kill.__name__)
def test_features_killed_in_the_middle_then_run_again_equal_an_uninterrupted_run(
    kill: Killing, clips: Path, whole_store: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    words = ("features", clips, "-o", store, "--workers", 2, *SMALL_UNITS)
    for after_parts in (3, 12):  # killed twice, at different places
        interrupt(words, store / "rows", kill, after_parts=after_parts)
        assert len(open_store(store).committed()) < 25
        assert "clips are there: a run broke off" in hubbub("verify", store).stdout
    succeed(*words)
    assert_same_store(store, whole_store)
    assert not list(store.rglob("*.partial*"))
    succeed("verify", store, "--clips", clips)


def test_features_whose_workers_are_killed_end_by_themselves_and_equal(
    clips: Path, whole_store: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    process = start("features", clips, "-o", store, "--workers", 2, *SMALL_UNITS)
    wait_for_parts(store / "rows", 3, process)
    # Nannies are children of the driver, workers are theirs: one worker dies, its nanny starts another.
    worker = next(child for child in psutil.Process(process.pid).children(recursive=True) if is_worker(child))
    worker.kill()
    assert process.wait(timeout=PATIENCE_S) == 0
    assert_same_store(store, whole_store)


def is_worker(process: psutil.Process) -> bool:
    return "spawn_main" in " ".join(process.cmdline())


def test_no_worker_outlives_a_killed_driver(clips: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    process = start("features", clips, "-o", store, "--workers", 2, *SMALL_UNITS)
    wait_for_parts(store / "rows", 2, process)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive


@pytest.fixture(scope="module")
def bundle(whole_store: Path) -> Path:
    path = whole_store.with_name("bundle")
    succeed("train", whole_store, "-o", path, "--test-fold", 5, "--epochs", 1, "--model", "seed-cnn")
    return path


@pytest.mark.parametrize("kill", [kill_driver, kill_driver_and_workers], ids=lambda kill: kill.__name__)
def test_label_killed_in_the_middle_then_run_again_equals_an_uninterrupted_run(
    kill: Killing, clips: Path, bundle: Path, tmp_path: Path
) -> None:
    options = ("--model", bundle, "--threshold", "0.05", "--hop", 1)
    whole = clips.with_name("whole-labels")
    if not whole.exists():
        succeed("label", clips, "-o", whole, "--cluster", "serial", *options)
    labels = tmp_path / "labels"
    words = ("label", clips, "-o", labels, "--workers", 2, *options)
    interrupt(words, labels / "files", kill, after_parts=2)
    assert len(open_labels(labels).committed()) < len(open_labels(whole).committed())
    assert "files are there: a run broke off" in hubbub("verify", labels).stdout
    succeed(*words)
    assert_same_labels(labels, whole)
    succeed("verify", labels)


def test_a_training_killed_in_the_middle_goes_on_and_ends_equal(whole_store: Path, tmp_path: Path) -> None:
    words = ("train", whole_store, "--test-fold", 5, "--epochs", 4, "--model", "seed-cnn", "--seed", 3)
    succeed(*words, "-o", tmp_path / "whole")
    process = start(*words, "-o", tmp_path / "cut")
    deadline = time.monotonic() + PATIENCE_S
    while not list((tmp_path / "cut.partial").glob("checkpoints/[0-9]*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (tmp_path / "cut").exists()
    done = hubbub(*words, "-o", tmp_path / "cut")
    assert done.returncode == 0, done.stderr
    assert "resumed" in done.stdout
    whole, cut = ((tmp_path / name / "bundle.json").read_text() for name in ("whole", "cut"))
    assert history(whole) == history(cut)


def history(bundle: str) -> object:
    import json

    return json.loads(bundle)["history"]


def test_ctrl_c_is_answered_with_a_sentence(clips: Path, tmp_path: Path) -> None:
    words = ["features", clips, "-o", tmp_path / "store", "--workers", 2, *SMALL_UNITS]
    process = subprocess.Popen(
        [str(COMMAND), *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for_parts(tmp_path / "store" / "rows", 2, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it too
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert (
        said.splitlines()[-1] == "hubbub: stopped; what is committed is kept, and the same command goes on from there"
    )
    assert "Traceback" not in said
