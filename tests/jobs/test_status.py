"""`hubbub status`: alive, silent, dead or done, read from another process; and run folders that disturb nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.processes import SMALL_UNITS, Run, kill_driver, wait_for_parts
from tests.jobs.command import COMMAND, hubbub, refuse, succeed
from tests.servers.server import Server

SERIAL = ("--cluster", "serial")


def newest(store: Path) -> Path:
    return max((store / ".runs").iterdir())


def status(*words: object, code: int = 0) -> dict[str, Any]:
    done = hubbub("status", *words, "--json")
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def rewrite(run: Path, **entries: Any) -> None:
    path = run / "status.json"
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(json.loads(path.read_text()) | entries))
    os.replace(partial, path)


@contextmanager
def beating(run: Path) -> Iterator[None]:
    """Have a run elsewhere go on, for as long as the context lasts."""
    ended = threading.Event()

    def beat() -> None:
        count = 1000
        while not ended.wait(0.1):
            count += 1
            rewrite(run, beat=count)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.fixture
def elsewhere(store: Path, tmp_path: Path) -> Path:
    """A copy of a store whose run says that it goes on, on another machine, with a clock that is years off."""
    copy = tmp_path / "store"
    shutil.copytree(store, copy)
    far = {"machine": "node7 1234 pid:[1]", "host": "node7", "updated": "2001-01-01T00:00:00.000Z"}
    rewrite(newest(copy), state="running", ended="", every_s=0.2, **far)
    return copy


def test_a_run_that_is_done_says_so_by_its_store_and_by_its_folder(store: Path):
    said = succeed("status", store)
    assert "features: done" in said
    assert "6 of 6" in said
    assert status(store) == status(newest(store))
    assert status(store)["standing"]["clips"] == {"total": 6, "done": 6, "lost": 0}
    assert status(store)["result"] == {"clips": 6, "ok": 6, "failed": 0, "missing": 0}


def test_a_run_is_followed_while_it_goes_on_and_is_dead_once_its_process_is(esc10_mini: Path, tmp_path: Path):
    clips, store = tmp_path / "clips.parquet", tmp_path / "store"
    succeed("index", esc10_mini / "esc10.csv", "-o", clips)
    words = ("features", clips, "-o", store, *SERIAL, *SMALL_UNITS)
    run = Run(words, tmp_path / "said")
    wait_for_parts(store / "rows", 2, run)
    run.process.send_signal(signal.SIGSTOP)  # there, and silent
    seen = status(store)
    assert (seen["state"], seen["job"]) == ("running", "features")
    assert seen["standing"]["clips"]["total"] == 100
    watching = subprocess.Popen(
        [COMMAND, "status", store, "--watch"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert "running" in watching.stderr.readline()
    kill_driver(run)
    run.wait()
    said, _ = watching.communicate(timeout=60)
    assert watching.returncode == 1
    assert "features: broken off" in said
    assert f"its process {run.process.pid} is gone" in said
    assert status(store, code=1)["state"] == "broken off"
    assert len(list((store / ".runs").iterdir())) == 1


def test_a_run_elsewhere_is_judged_by_its_beats_and_by_no_clock(elsewhere: Path):
    with beating(newest(elsewhere)):
        assert status(elsewhere)["state"] == "running"
    seen = status(elsewhere, code=1)
    assert seen["state"] == "broken off"
    assert "no sign of life from process" in seen["why"]
    assert "on node7" in seen["why"]


def test_watch_goes_on_until_the_run_ends(elsewhere: Path):
    run = newest(elsewhere)
    with beating(run):
        watching = subprocess.Popen(
            [COMMAND, "status", run, "--watch"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert "features: running: 6 of 6 clips" in watching.stderr.readline()
        assert watching.poll() is None
    rewrite(run, state="done", ended="2001-01-01T00:00:00.000Z")
    said, _ = watching.communicate(timeout=60)
    assert (watching.returncode, "features: done" in said) == (0, True)


@pytest.mark.parametrize(("state", "code"), [("done", 0), ("failed", 1), ("stopped", 1)])
def test_the_exit_code_says_how_a_run_ended(elsewhere: Path, state: str, code: int):
    rewrite(newest(elsewhere), state=state, error="the disk is full" if state == "failed" else "")
    said = hubbub("status", elsewhere)
    assert said.returncode == code
    assert f"features: {state}" in said.stdout
    assert ("the disk is full" in said.stdout) == (state == "failed")


def test_what_is_no_run_is_refused(clips: Path, elsewhere: Path, tmp_path: Path):
    assert "does not exist; expected a run folder" in refuse("status", tmp_path / "nowhere")
    assert "has no run: expected a run folder" in refuse("status", tmp_path)
    assert "has no run" in refuse("status", clips)
    rewrite(newest(elsewhere), format=99)
    assert "has format 99; this hubbub reads 1" in refuse("status", elsewhere)
    (newest(elsewhere) / "status.json").write_text("{")
    assert "is not the status of a run" in refuse("status", elsewhere)


def test_twenty_run_folders_are_kept_and_none_is_foreign(clips: Path, tmp_path: Path):
    store = tmp_path / "store"
    for number in range(25):
        (store / ".runs" / f"20010101T0000{number:02d}.000Z-features").mkdir(parents=True)
    succeed("features", clips, "-o", store, *SERIAL)
    kept = sorted(path.name for path in (store / ".runs").iterdir())
    assert len(kept) == 20
    assert kept[0] == "20010101T000006.000Z-features"
    assert kept[-1].endswith("-features")
    assert sorted(path.name for path in newest(store).iterdir()) == ["log.jsonl", "plan.json", "status.json"]
    succeed("verify", store)
    succeed("info", store)
    succeed("features", clips, "-o", store, *SERIAL)  # which has nothing to do, and leaves no trace of that
    assert sorted(path.name for path in (store / ".runs").iterdir()) == kept


def test_the_plan_has_the_command_without_secrets(clips: Path, tmp_path: Path):
    from hubbub.pipelines.run_folder import redact_url

    store = tmp_path / "store"
    succeed("features", clips, "-o", store, *SERIAL)
    plan = json.loads((newest(store) / "plan.json").read_text())
    assert plan["command"] == f"hubbub features {clips} -o {store} --cluster serial"
    assert plan["plan"]["clips"] == 6
    assert plan["versions"]["hubbub"]
    assert redact_url("tls://anna:secret@host:8786") == "tls://…host:8786"
    assert redact_url("s3://bucket/a b.wav?X-Amz-Signature=secret") == "s3://bucket/a b.wav?…"
    assert redact_url("frontend.name=mfcc") == "frontend.name=mfcc"


def test_a_log_that_can_no_longer_be_written_costs_its_lines_alone(clips: Path, tmp_path: Path):
    done = hubbub("features", clips, "-o", tmp_path / "store", *SERIAL, "--log-json", "/dev/full")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("/dev/full cannot be written any more (No space left on device)") == 1


@pytest.mark.slow
def test_a_run_in_a_bucket_is_told_of_there(s3: str, moto_server: Server, clips: Path, tmp_path: Path):
    succeed("features", clips, "-o", f"{s3}/store", *SERIAL)
    seen = status(f"{s3}/store")
    assert (seen["state"], seen["every_s"]) == ("done", 10.0)
    held = moto_server.client().list_objects_v2(Bucket=s3.removeprefix("s3://"), Prefix="store/.runs/")["Contents"]
    names = sorted(one["Key"].rpartition("/")[2] for one in held)
    assert names == ["log.jsonl", "plan.json", "status.json"]
    secret = moto_server.secret.encode()
    for one in held:
        body = moto_server.client().get_object(Bucket=s3.removeprefix("s3://"), Key=one["Key"])["Body"].read()
        assert secret not in body
    succeed("verify", f"{s3}/store", *SERIAL)


@pytest.mark.slow
def test_workers_is_refused_where_the_environment_names_a_cluster(clips: Path, tmp_path: Path):
    environment = os.environ | {"DASK_SCHEDULER_ADDRESS": "tcp://127.0.0.1:9"}
    said = refuse("features", clips, "-o", tmp_path / "store", "--workers", 2, env=environment)
    assert "--workers 2 goes with --cluster local; 'tcp://127.0.0.1:9' (of $DASK_SCHEDULER_ADDRESS)" in said
    asked = hubbub("features", clips, "-o", tmp_path / "store", "--cluster", "serial", env=environment)
    assert asked.returncode == 0, asked.stderr
    assert "DASK_SCHEDULER_ADDRESS" in succeed("features", "--help")
