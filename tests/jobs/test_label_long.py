"""`hubbub label` of long recordings, which several workers score in pieces."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest

from hubbub.config import LogMelSettings, Settings, Windows
from hubbub.labels.tables import LabelTables, open_labels
from hubbub.models.bundle import write_bundle
from tests.data.recordings import sweep, write
from tests.jobs.command import COMMAND, hubbub, refuse, succeed

keras = pytest.importorskip("keras")

SERIAL = ("--cluster", "serial")
HOP = ("--hop", 0.05)
SECONDS = 150.0
"""2,991 windows: five pieces of 512, and a sixth."""

SETTINGS = Settings(
    frontend=LogMelSettings(sample_rate=8000, n_fft=256, hop_samples=256, n_mels=8), windows=Windows(duration_s=0.5)
)


@pytest.fixture(scope="module")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of random weights that takes no time."""
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Flatten(), keras.layers.Dense(16, activation="tanh"), keras.layers.Dense(2)]
    said = {"labels": ["dog", "rain"], "activation": "softmax", "thresholds": {"dog": 0.5, "rain": 0.5}}
    said |= {"settings": SETTINGS.model_dump(mode="json"), "settings_hash": SETTINGS.hash}
    path = tmp_path_factory.mktemp("small") / "bundle"
    model = keras.Sequential([keras.Input((16, 8)), *layers, keras.layers.Softmax()])
    write_bundle(path, model, said | {"window_s": 0.5, "n_frames": 16, "n_bands": 8}, "# A card\n")
    return path


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One long recording, a short one, and a long one that breaks off in the middle."""
    folder = tmp_path_factory.mktemp("long") / "recordings"
    folder.mkdir()
    write(folder / "long.flac", sweep(SECONDS, 11_025), 11_025)
    write(folder / "broken.flac", sweep(SECONDS, 11_025, seed=1), 11_025)
    write(folder / "short.wav", sweep(2, 8000), 8000)
    whole = bytearray((folder / "broken.flac").read_bytes())
    whole[len(whole) // 4 : len(whole) // 4 + 4000] = bytes(4000)
    (folder / "broken.flac").write_bytes(whole)
    return folder


@pytest.fixture(scope="module")
def expected(recordings: Path, small_bundle: Path) -> LabelTables:
    """What one process makes of them without a break."""
    out = recordings.with_name("expected")
    said = refuse("label", recordings, "--model", small_bundle, "-o", out, *SERIAL, *HOP, code=1)
    assert "failed: broken.flac: DecodeError: broken.flac breaks off after" in said
    return open_labels(out)


def assert_same(out: Path, expected: LabelTables) -> None:
    ours = open_labels(out)
    for table in ("files", "windows", "events"):
        pd.testing.assert_frame_equal(getattr(ours, table)(), getattr(expected, table)())
    assert not ours.segment_numbers()


@pytest.mark.slow
def test_two_workers_make_the_tables_of_one(
    recordings: Path, small_bundle: Path, expected: LabelTables, tmp_path: Path
) -> None:
    files = expected.files().set_index("uri")
    assert files["status"].to_dict() == {"long.flac": "ok", "broken.flac": "failed", "short.wav": "ok"}
    assert files["windows"]["long.flac"] == 2991
    refuse("label", recordings, "--model", small_bundle, "-o", tmp_path / "labels", *HOP, "--workers", 2, code=1)
    assert_same(tmp_path / "labels", expected)


@pytest.mark.slow
def test_a_killed_run_s_pieces_are_used_by_the_next(
    recordings: Path, small_bundle: Path, expected: LabelTables, tmp_path: Path
) -> None:
    out, log = tmp_path / "labels", tmp_path / "log.jsonl"
    words = ["label", recordings, "--model", small_bundle, "-o", out, *SERIAL, *HOP]
    first = subprocess.Popen([str(COMMAND), *map(str, words)], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while not list(out.glob("pieces/[0-9]*.parquet")):
        assert first.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    first.kill()
    first.wait()
    said = hubbub("verify", out)
    assert said.returncode == 1
    assert "of long recordings are left from a run that broke off; the next run uses them" in said.stdout
    refuse(*words, "--log-json", log, code=1)
    assert_same(out, expected)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    units = [line for line in lines if line["event"] == "unit"]
    assert any(unit["windows"] and not unit["seconds"] for unit in units), "a piece that is there is not scored again"
    assert sum(unit["windows"] for unit in units) == next(line["windows"] for line in lines if line["event"] == "plan")
    succeed("verify", out)
