"""What every test may use: the sounds in the repository, the whole of ESC-10 where it lies beside, calm settings."""

from __future__ import annotations

import gc
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from tests.examples import IS_CI, count_examples

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

pytest_plugins = ["tests.servers.fixtures"]

ROOT = Path(__file__).resolve().parent.parent

# No deadline: two busy cores are slow now and then, which says nothing about the code. In CI the examples are the
# same in every run, so that a red run can be repeated, and fewer.
settings.register_profile("hubbub", deadline=None, derandomize=IS_CI, max_examples=count_examples(100))
settings.load_profile("hubbub")


@pytest.fixture(scope="session")
def esc10_mini() -> Path:
    """Return the folder of the 100 clips in the repository: `esc10.csv`, `audio/`."""
    return ROOT / "tests" / "data" / "esc10-mini"


@pytest.fixture(scope="session")
def esc10() -> Path:
    """Return the folder of the whole of ESC-10, or skip: ``HUBBUB_ESC10``, else ``../shared/esc10``."""
    folder = Path(os.environ.get("HUBBUB_ESC10") or ROOT.parent / "shared" / "esc10")
    if not (folder / "esc10.csv").is_file():
        pytest.skip(f"ESC-10 is not at {folder}; set HUBBUB_ESC10 to its folder")
    return folder


LONGEST = (
    *(f"jobs/test_{name}.py" for name in ("browse_page", "demo")),
    *(f"lib/learn/test_{name}.py" for name in ("train", "transfer")),
    *(
        "lib/test_library.py",
        "jobs/test_addresses.py",
        "chaos/test_faults.py",
        "docs/test_site.py",
        "docs/test_recipes.py",
    ),
    *(f"jobs/test_{name}.py" for name in ("features", "try_page", "verify", "score_segments", "corrupt", "compact")),
    *(f"lib/tasks/test_{name}.py" for name in ("stream", "extract", "segments", "frontends")),
    *(f"lib/audio/test_{name}.py" for name in ("decode", "long", "remote")),
    *("lib/pipelines/test_export_model.py", "lib/engine/test_poison.py", "lib/engine/test_ship.py"),
    *("lib/store/test_damage.py", "lib/io/test_lock.py", "lib/models/test_embedding.py"),
    *(f"lib/learn/test_{name}.py" for name in ("weight_files", "networks", "crossval", "sweep", "scenes", "images")),
    *("jobs/test_learning.py", "jobs/test_variants.py", "jobs/test_embed.py", "chaos/test_kill.py"),
)
"""Files that take half a minute and more: begun first, so that none is left over when all other processes are done."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files in front."""
    ranks = {str(ROOT / "tests" / name): number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(str(item.path), len(ranks)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures of tests that break runs off at random moments."""
    reports = [report for kind in terminalreporter.stats.values() for report in kind if hasattr(report, "nodeid")]
    told = {
        report.nodeid: text
        for report in reports
        for name, text in getattr(report, "user_properties", ())
        if name == "chaos"
    }
    for nodeid, text in sorted(told.items()):
        terminalreporter.write_line(f"{nodeid.rpartition('::')[2]}: {text}")


@pytest.fixture
def few_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Detectors are trained with few sounds of no class, and rules fitted on few scenes: half a minute less each."""
    monkeypatch.setattr("hubbub.learn.backgrounds._DISTRACTORS", 40)
    monkeypatch.setattr("hubbub.learn.event_rules.SCENES", 48)
    monkeypatch.setattr("hubbub.learn.event_rules.EMPTY_SCENES", 24)


@pytest.fixture(scope="module")
def table_order() -> Iterator[None]:
    """Shards are filled in the order of the clip table, so that a test can say by hand which clip lies where."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hubbub.planning.plan.deal", lambda uris: np.arange(len(uris)))
        yield


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    with _mounted(tmp_path / "disk", "1m") as place:
        yield place


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 96 kB."""
    with _mounted(tmp_path / "disk", "96k") as place:
        yield place


@contextmanager
def _mounted(place: Path, size: str) -> Iterator[Path]:
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "hubbub-test", place]
    try:
        made = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        made = False
    if not made:
        pytest.skip("mounting a small file system is not allowed here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def pytest_collection_finish() -> None:
    """Leave what is imported out of what Python looks through for garbage: TensorFlow's half million objects."""
    gc.collect()
    gc.freeze()
