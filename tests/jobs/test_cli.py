"""The command itself: light at the door, honest about faults."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from hubbub import __version__
from hubbub.jobs.cli import JOBS
from tests.jobs.command import COMMAND, hubbub, refuse, succeed

HEAVY = (
    "tensorflow",
    "keras",
    "librosa",
    "dask",
    "distributed",
    "pandas",
    "numpy",
    "pyarrow",
    "pydantic",
    "matplotlib",
)


def test_help_lists_every_job_and_imports_nothing_heavy() -> None:
    said = succeed("--help")
    assert all(f"│ {job} " in said for job in JOBS)
    shown = subprocess.run(
        [sys.executable, "-X", "importtime", str(COMMAND), "--help"], capture_output=True, text=True, check=True
    )
    imported = {line.rsplit("|", 1)[1].strip().partition(".")[0] for line in shown.stderr.splitlines() if "|" in line}
    assert imported.isdisjoint(HEAVY)


@pytest.mark.parametrize("job", JOBS)
def test_every_job_explains_itself(job: str) -> None:
    said = succeed(job, "--help")
    assert f"Usage: hubbub {job}" in said
    assert "--debug" in said


def test_version() -> None:
    assert succeed("--version").strip() == f"hubbub {__version__}"


def test_an_unknown_job_is_refused() -> None:
    assert "No such command 'featuers'" in refuse("featuers")


def test_a_traceback_is_shown_only_with_debug() -> None:
    quiet = hubbub("verify", "/nowhere")
    loud = hubbub("verify", "/nowhere", "--debug")
    assert quiet.stderr.startswith("hubbub: /nowhere is neither")
    assert "Traceback" in loud.stderr


@pytest.mark.parametrize("job", ["features", "label", "compact", "verify"])
def test_every_distributed_job_says_where_it_can_run(job: str) -> None:
    said = succeed(job, "--help", env=os.environ | {"COLUMNS": "200"})
    assert "serial, local, an address such as tcp://host:8786, or a cluster file (FILE.yaml)" in said
    assert "env var: DASK_SCHEDULER_ADDRESS" in said
    assert "Send this hubbub to workers that have none, or another." in said
