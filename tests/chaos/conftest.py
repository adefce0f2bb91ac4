"""The clips that runs are broken off on, and what a run makes of them that nobody breaks off."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.processes import SMALL_UNITS
from tests.jobs.command import succeed


@pytest.fixture(scope="session")
def clips(esc10_mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clip table of the 100 clips in the repository."""
    path = tmp_path_factory.mktemp("clips") / "clips.parquet"
    succeed("index", esc10_mini / "esc10.csv", "-o", path)
    return path


@pytest.fixture(scope="session")
def whole_store(clips: Path) -> Path:
    """A store that nobody interrupted, from the serial engine."""
    path = clips.with_name("whole-store")
    succeed("features", clips, "-o", path, "--cluster", "serial", *SMALL_UNITS)
    return path
