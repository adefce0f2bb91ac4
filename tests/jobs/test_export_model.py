"""The command `export-model`: what it writes is labelled with, and what it cannot do is said in a line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hubbub
from tests.jobs.command import refuse, succeed

pytest.importorskip("tf2onnx")


def test_an_exported_model_labels_an_archive_as_its_bundle_does(
    archive: Path, bundle: Path, labels: Path, tmp_path: Path
) -> None:
    out = tmp_path / "exported"
    said = succeed("export-model", bundle, "--format", "onnx", "-o", out, "--compare", archive)
    assert "export-model: done" in said
    assert "7 windows of" in said, said  # of six clips, one of which is longer than a window
    options = ["--cluster", "serial", "--hop", 2.5, "--threshold", "0.3"]
    succeed("label", archive, "--model", out / "model.yaml", "-o", tmp_path / "labels", *options)
    ours, theirs = (hubbub.open_labels(path) for path in (labels, tmp_path / "labels"))
    one, other = (np.stack(tables.windows()["scores"].to_list()) for tables in (ours, theirs))
    np.testing.assert_allclose(other, one, atol=1e-3)
    assert ours.events()[["uri", "label", "onset_s"]].equals(theirs.events()[["uri", "label", "onset_s"]])
    assert "was done already" in succeed("export-model", bundle, "--format", "onnx", "-o", out)


def test_what_cannot_be_exported_is_said(bundle: Path, store: Path, tmp_path: Path) -> None:
    assert "did you mean 'openvino'?" in refuse("export-model", bundle, "--format", "openvin", "-o", tmp_path / "out")
    said = refuse("export-model", store, "--format", "onnx", "-o", tmp_path / "out")
    assert "store is no model bundle; give a folder that was made with: hubbub train STORE -o BUNDLE" in said
    assert "holds something else" in refuse("export-model", bundle, "--format", "onnx", "-o", store)
    assert not list(tmp_path.iterdir())
