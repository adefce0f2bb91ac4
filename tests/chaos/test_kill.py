"""Real processes, killed for real in the middle of a run: the next run ends equal to one that nobody killed."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pyarrow.parquet as pq
import pytest

from hubbub.labels.tables import open_labels
from hubbub.store.opening import open_store
from tests.chaos.moments import assert_equal_stores, assert_verified
from tests.chaos.processes import (
    SMALL_UNITS,
    Run,
    external_cluster,
    is_worker,
    kill_driver,
    kill_driver_and_workers,
    n_parts,
    wait_for_parts,
    wait_until,
)
from tests.jobs.command import hubbub, succeed

pytestmark = pytest.mark.chaos

AWAKE_S = 3
"""Time for workers to do what they had begun, s; more than a unit takes."""


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


def features(clips: Path, store: Path) -> tuple[object, ...]:
    return ("features", clips, "-o", store, "--workers", 2, *SMALL_UNITS)


@pytest.mark.slow
def test_a_store_whose_driver_was_killed_says_so_and_no_worker_outlives_it(clips: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    run = Run(features(clips, store), tmp_path / "said")
    wait_for_parts(store / "rows", 3, run)
    workers = run.descendants()
    kill_driver(run)
    run.wait()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive
    assert len(open_store(store).committed()) < 50
    assert "clips stored: a run broke off" in hubbub("verify", store).stdout


@pytest.mark.slow
def test_features_whose_worker_is_killed_end_by_themselves_and_equal(
    clips: Path, whole_store: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    run = Run(features(clips, store), tmp_path / "said")
    wait_for_parts(store / "rows", 3, run)
    # Nannies live in the driver, workers are its children: one worker dies, its nanny starts another.
    next(child for child in run.descendants() if is_worker(child)).kill()
    assert run.wait() == 0, run.said
    assert_equal_stores(str(store), str(whole_store))


@pytest.mark.slow
def test_workers_that_slept_while_another_run_took_over_do_no_harm(
    clips: Path, whole_store: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    with external_cluster(tmp_path) as cluster:
        words = ("features", clips, "-o", store, "--cluster", cluster.address, *SMALL_UNITS)
        run = Run(words, tmp_path / "said")
        wait_for_parts(store / "rows", 5, run)
        sleeping = cluster.workers()
        for worker in sleeping:
            worker.suspend()  # in the middle of a unit, others waiting
        kill_driver(run)
        run.wait()
        # The same clips in another order: the units of the second run have the numbers of the first's, and other clips.
        succeed("features", backwards(clips, tmp_path / "backwards.parquet"), "-o", store, "--cluster", "serial")
        for worker in sleeping:
            worker.resume()
        time.sleep(AWAKE_S)
    assert_equal_stores(str(store), str(whole_store))
    assert_verified(str(store), str(clips))


def backwards(clips: Path, path: Path) -> Path:
    """Write a clip table with the last row first."""
    table = pq.read_table(clips)
    pq.write_table(table.take(list(range(len(table)))[::-1]), path)
    return path


@pytest.fixture(scope="module")
def bundle(whole_store: Path) -> Path:
    path = whole_store.with_name("bundle")
    succeed("train", whole_store, "-o", path, "--test-fold", 5, "--epochs", 1, "--model", "seed-cnn")
    return path


@pytest.mark.slow
def test_label_killed_in_the_middle_then_run_again_equals_an_uninterrupted_run(
    clips: Path, bundle: Path, tmp_path: Path
) -> None:
    options = ("--model", bundle, "--threshold", "0.05", "--hop", 1)
    whole, labels = tmp_path / "whole", tmp_path / "labels"
    succeed("label", clips, "-o", whole, "--cluster", "serial", *options)
    words = ("label", clips, "-o", labels, "--workers", 2, *options)
    for after_parts, kill in ((1, kill_driver), (3, kill_driver_and_workers)):  # at different places
        run = Run(words, tmp_path / "said")
        wait_for_parts(labels / "files", after_parts, run)
        kill(run)
        run.wait()
        assert len(open_labels(labels).committed()) < len(open_labels(whole).committed())
        assert "files are there: a run broke off" in hubbub("verify", labels).stdout
    succeed(*words)
    assert_same_labels(labels, whole)
    succeed("verify", labels)


@pytest.mark.slow
def test_a_training_killed_in_the_middle_goes_on_and_ends_equal(whole_store: Path, tmp_path: Path) -> None:
    words = ("train", whole_store, "--test-fold", 5, "--epochs", 4, "--model", "seed-cnn", "--seed", 3)
    succeed(*words, "-o", tmp_path / "whole")
    run = Run((*words, "-o", tmp_path / "cut"), tmp_path / "said")
    checkpoints = tmp_path / "cut.partial" / "checkpoints"
    wait_until(lambda: run.over or bool(list(checkpoints.glob("[0-9]*"))), "a checkpoint")
    assert not run.over, run.said
    kill_driver(run)
    run.wait()
    assert not (tmp_path / "cut").exists()
    done = hubbub(*words, "-o", tmp_path / "cut")
    assert done.returncode == 0, done.stderr
    assert "resumed" in done.stdout
    whole, cut = (json.loads((tmp_path / name / "bundle.json").read_text()) for name in ("whole", "cut"))
    assert whole["history"] == cut["history"]


STOPPED = "hubbub: stopped; what is committed is kept, and the same command resumes"
STOPPING = re.compile(r"stopping: \d+ units? in flight (?:is|are) finished and committed; Ctrl-C again stops now")


def interrupt(run: Run) -> None:
    """Ctrl-C as in a terminal: all its processes get it, workers too."""
    os.killpg(run.process.pid, signal.SIGINT)


def status_of(store: Path) -> dict[str, Any]:
    return json.loads(succeed_or_not("status", store, "--json"))


def succeed_or_not(*words: object) -> str:
    done = hubbub(*words)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def reported_ok(said: str) -> int:
    """Clips that the summary of a run calls ok."""
    found = re.search(r"│ok\s+│ (\d+)", said)
    assert found, said
    return int(found[1])


def assert_stopped(run: Run, store: Path) -> int:
    """Assert that a run ended as after one Ctrl-C, having told exactly what is in the store; returns how many clips."""
    assert run.wait() == 130, run.said
    assert len(STOPPING.findall(run.said)) == 1
    assert run.said.splitlines()[-1] == STOPPED
    assert "features: stopped" in run.said
    assert "Traceback" not in run.said
    committed = open_store(store).rows()["clip_id"].nunique()
    status = status_of(store)
    assert committed == reported_ok(run.said)
    assert (status["state"], status["result"]["ok"]) == ("stopped", committed)
    return committed


def test_a_run_that_is_stopped_once_commits_what_it_began_and_the_next_goes_on(
    clips: Path, whole_store: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    run = Run(features(clips, store), tmp_path / "said")
    wait_for_parts(store / "rows", 2, run)
    interrupt(run)
    committed = assert_stopped(run, store)
    assert 4 <= committed < 100
    broken = hubbub("verify", store).stdout
    assert re.search(r"problems *│ 1 ", broken), broken
    assert f"{committed} of 100 clips stored: a run broke off" in broken
    succeed(*features(clips, store))
    assert_equal_stores(str(store), str(whole_store))
    assert_verified(str(store), str(clips))


def test_sigterm_which_batch_systems_send_stops_a_run_as_ctrl_c_does(clips: Path, tmp_path: Path) -> None:
    run = Run(("features", clips, "-o", tmp_path / "store", "--cluster", "serial", *SMALL_UNITS), tmp_path / "said")
    wait_for_parts(tmp_path / "store" / "rows", 2, run)
    run.process.terminate()
    assert_stopped(run, tmp_path / "store")


@pytest.mark.slow
def test_a_run_that_is_stopped_twice_stops_now(clips: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    words = (
        "features",
        clips,
        "-o",
        store,
        "--workers",
        2,
        "--set",
        "layout.rows_per_shard=50",
        "--set",
        "layout.rows_per_chunk=50",
        "--set",
        "frontend.hop_samples=32",
    )
    run = Run(words, tmp_path / "said")  # two units, which take seconds each
    wait_until(lambda: run.over or "dashboard" in run.said, "a cluster")
    time.sleep(0.5)
    interrupt(run)
    wait_until(lambda: run.over or bool(STOPPING.search(run.said)), "an answer")
    assert not run.over, run.said
    interrupt(run)
    assert run.wait() == 130, run.said
    assert run.said.splitlines()[-1] == STOPPED
    assert status_of(store)["state"] == "stopped"
    # A run that had waited for its units, as after one Ctrl-C, would have committed them both.
    assert open_store(store).committed() == []


@pytest.mark.slow
def test_a_worker_that_was_started_again_is_deaf_to_ctrl_c(clips: Path, whole_store: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    run = Run(features(clips, store), tmp_path / "said")
    wait_for_parts(store / "rows", 3, run)
    first = {child.pid for child in run.descendants() if is_worker(child)}
    psutil.Process(min(first)).kill()
    wait_until(lambda: run.over or any(is_worker(c) and c.pid not in first for c in run.descendants()), "a new worker")
    there = n_parts(store / "rows")
    wait_for_parts(store / "rows", there + 6, run)  # some of them by the new worker
    wait_until(lambda: run.over or status_of(store)["standing"]["retried"] > 0, "the dead worker's units, tried again")
    retried = status_of(store)["standing"]["retried"]
    interrupt(run)
    assert run.wait() == 130, run.said
    standing = status_of(store)["standing"]
    assert (standing["retried"], standing["units"]["lost"]) == (retried, 0)
    succeed(*features(clips, store))
    assert_equal_stores(str(store), str(whole_store))
