"""``hubbub label`` with the YAML file of a model of others, as a person types it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("onnx")

from tests.data.networks import LABELS, RATE, write_frames, write_windows  # noqa: E402
from tests.jobs.command import refuse, succeed  # noqa: E402


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    folder = tmp_path / "recordings"
    folder.mkdir()
    noise = np.random.default_rng(0).normal(0, 0.3, 3 * RATE).astype(np.float32)
    soundfile.write(folder / "noise.wav", noise, RATE)
    return folder


def test_recordings_are_labelled_and_events_found_again(recordings: Path, tmp_path: Path):
    model, labels = write_frames(tmp_path / "model", events={"threshold": 0.7}), tmp_path / "labels"
    said = succeed("label", recordings, "--model", model, "-o", labels, "--cluster", "serial")
    assert "every 0.01 s" in said
    assert "events: " in said
    assert "nothing" not in succeed("events", labels, "--threshold", "0.6")
    again = succeed("label", recordings, "--model", model, "-o", labels, "--cluster", "serial")
    assert "done already │ 1" in " ".join(again.split())
    page = tmp_path / "report.html"
    succeed("report", labels, "-o", page)
    assert "data:image/png" in page.read_text()


def test_what_does_not_fit_is_told_in_one_line(recordings: Path, tmp_path: Path):
    model = write_windows(tmp_path / "model", labels=LABELS[:2])
    said = refuse("label", recordings, "--model", model, "-o", tmp_path / "labels", "--cluster", "serial")
    assert "2 labels, and the network scores 3" in " ".join(said.split())
    said = refuse(
        "label", recordings, "--model", tmp_path / "model" / "net.onnx", "-o", tmp_path / "labels", "--dry-run"
    )
    assert "write a YAML file beside it" in " ".join(said.split())
    assert not (tmp_path / "labels").exists()
