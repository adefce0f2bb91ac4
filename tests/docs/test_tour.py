"""The tour's commands, run one after the other as they stand there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, list_blocks
from tests.jobs.command import COMMAND, hubbub


@pytest.mark.slow
def test_the_tour_can_be_taken(tmp_path: Path) -> None:
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    blocks = [block for block in list_blocks(ROOT / "docs" / "tour.md") if block.language == "sh"]
    lines = [line for block in blocks for line in block.text.split("\n") if line]
    assert len(lines) > 10
    for line in lines:
        assert line.startswith("hubbub "), line
        quick = re.sub(r"--epochs \d+", "--epochs 3", line)  # the page shows what 60 give
        done = hubbub(*shlex.split(quick)[1:], cwd=tmp_path, timeout_s=300)
        assert done.returncode == 0, f"{COMMAND} {quick}\n{done.stdout}{done.stderr}"
    made = {path.name for path in (tmp_path / "tour").iterdir()}
    assert {"clips.parquet", "store", "bundle", "evaluation", "scenes", "labels", "tracks", "report.html"} <= made
