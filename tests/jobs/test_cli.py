"""The command itself: light at the door, honest about faults."""

from __future__ import annotations

import inspect
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hubbub import __version__
from hubbub.jobs.cli import JOBS, app
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


@pytest.mark.parametrize("job", ["features", "label", "compact", "verify", "search"])
def test_every_distributed_job_says_where_it_can_run(job: str) -> None:
    said = succeed(job, "--help", env=os.environ | {"COLUMNS": "200"})
    assert "serial, local, an address such as tcp://host:8786, or a cluster file (FILE.yaml)" in said
    assert "env var: DASK_SCHEDULER_ADDRESS" in said
    assert "Send this hubbub to workers that have none, or another." in said


def test_names_from_files_cannot_command_the_terminal(esc10_mini: Path, bundle: Path, tmp_path: Path) -> None:
    """A file, a class and an error text with escapes: red, a new title, a name read backwards."""
    archive = tmp_path / "archive"
    sources = sorted((esc10_mini / "audio").iterdir())[:2]
    for source, name in zip(sources, ("a\x1b[31mred.ogg", "b\u202egpj.ogg"), strict=True):
        (archive / "dog\x1b]0;title\x07").mkdir(parents=True, exist_ok=True)
        shutil.copy(source, archive / "dog\x1b]0;title\x07" / name)
    (archive / "cat\x1b[32m").mkdir()
    (archive / "cat\x1b[32m" / "broken\x1b[2J.wav").write_text("no audio")
    clips, store = tmp_path / "clips.parquet", tmp_path / "store"
    runs = [
        hubbub("index", archive, "-o", clips),
        hubbub("features", clips, "-o", store, "--cluster", "serial"),
        hubbub("info", store),
        hubbub("label", archive, "--model", bundle, "-o", tmp_path / "labels", "--cluster", "serial"),
        hubbub("index", archive / "no\x1b[31mwhere", "-o", tmp_path / "none.parquet"),
    ]
    for done in runs:
        printed = done.stdout + done.stderr
        assert "\x1b" not in printed, printed
        assert "\x07" not in printed, printed
        assert "\u202e" not in printed, printed
    assert r"dog\x1b]0;title\x07" in runs[0].stdout
    assert r"broken\x1b[2J.wav" in runs[1].stderr
    assert [done.returncode for done in runs] == [0, 1, 0, 1, 2]


@pytest.mark.parametrize("job", JOBS)
def test_help_begins_with_a_verb_and_shows_one_example(job: str) -> None:
    callback = next(command.callback for command in app.registered_commands if command.name == job)
    text = inspect.getdoc(callback) or ""
    assert text.split()[0] in VERBS, text
    assert text.count("Example: hubbub ") == 1, text
    assert f"Example: hubbub {job} " in text + " "


VERBS = {
    *(
        "List",
        "Print",
        "Compute",
        "Fetch",
        "Show",
        "Check",
        "Rewrite",
        "Train",
        "Measure",
        "Compare",
        "Cross-validate",
        "Mix",
        "Score",
        "Search",
        "Embed",
    ),
    *("Label", "Find", "Write", "Run"),
}
