"""The code of the page about notebooks runs, from its first block to its last, on tables of its names."""

from __future__ import annotations

import shutil
from pathlib import Path

import matplotlib as mpl
import pytest

from tests.docs.pages import list_blocks
from tests.lib.report.test_archive_page import make_archive

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mpl.use("agg")
    shutil.copytree(ROOT / "tests" / "data" / "formats" / "v1" / "store", tmp_path / "store")
    make_archive(tmp_path, ["dog", "rain"], recordings=3)
    monkeypatch.chdir(tmp_path)
    blocks = [block for block in list_blocks(ROOT / "docs" / "howto" / "notebook.md") if block.language == "python"]
    assert len(blocks) == 4
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block.text, str(block), "exec"), names)
    assert (tmp_path / "dog.png").read_bytes().startswith(b"\x89PNG")
    assert len(names["changes"].appeared) == 0
