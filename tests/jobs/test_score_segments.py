"""`hubbub score` on segments of recordings: the same scores as on the same sound in files of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from tests.data.classifiers import make_classifier
from tests.data.detectors import LABELS, make_detector
from tests.jobs.command import refuse, succeed

RATE = 8000
SEGMENTS = [("a", 0, 10), ("a", 10, 20), ("a", 18, 27), ("b", 5, 12), ("b", 20, 30)]
"""Recording, start and end in seconds: some touch, some overlap, some leave a gap."""
TRUTH = [
    *(("a", "dog", 1.0, 3.0), ("a", "rain", 8.0, 12.5), ("a", "dog", 18.5, 19.5), ("a", "siren", 26.5, 30.0)),
    *(("b", "dog", 0.5, 2.0), ("b", "siren", 4.0, 14.0), ("b", "rain", 13.0, 18.0), ("b", "dog", 29.0, 30.0)),
]
"""Some lie across the end of a segment, some in two, some in none."""
NOTES = [
    "2 events outside of the labelled segments, left out",
    "3 events cut where a labelled segment begins or ends",
]


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings of 30 s in `whole`, and their segments as files in `cut`."""
    folder = tmp_path_factory.mktemp("segments")
    rng = np.random.default_rng(0)
    for name in ("whole", "cut"):
        (folder / name).mkdir()
    for name in ("a", "b"):
        gain = np.repeat(10 ** rng.uniform(-3, 0.5, 30), RATE)
        samples = (rng.normal(0, 0.1, 30 * RATE) * gain).clip(-1, 1)
        soundfile.write(folder / "whole" / f"{name}.wav", samples, RATE)
        for recording, start_s, end_s in SEGMENTS:
            if recording == name:
                part = samples[start_s * RATE : end_s * RATE]
                soundfile.write(folder / "cut" / f"{name}-{start_s:02d}.wav", part, RATE)
    rows = [(f"{name}.wav", start_s, end_s) for name, start_s, end_s in SEGMENTS]
    pd.DataFrame(rows, columns=["file", "from", "to"]).to_csv(folder / "whole" / "segments.csv", index=False)
    columns = ("--path-column", "file", "--start-column", "from", "--end-column", "to")
    succeed("index", folder / "whole" / "segments.csv", "-o", folder / "segments.parquet", *columns)
    write_truth(TRUTH, folder / "truth.csv")
    write_truth(cut_slowly(), folder / "truth-cut.csv")
    return folder


def write_truth(rows: list[tuple[str, str, float, float]], path: Path) -> None:
    pd.DataFrame(rows, columns=["uri", "label", "onset_s", "offset_s"]).to_csv(path, index=False)


def cut_slowly() -> list[tuple[str, str, float, float]]:
    """What each segment's own file holds of the truth."""
    rows = []
    for recording, start_s, end_s in SEGMENTS:
        for name, label, onset_s, offset_s in TRUTH:
            first, last = max(onset_s, start_s), min(offset_s, end_s)
            if name == recording and first < last:
                rows.append((f"{name}-{start_s:02d}", label, first - start_s, last - start_s))
    return rows


@pytest.mark.parametrize("make", [make_detector, make_classifier])
def test_segments_have_the_scores_of_the_same_sound_in_files(make: Any, sounds: Path, tmp_path: Path) -> None:
    model = make(tmp_path / "bundle")
    found = {}
    for name, clips in (("truth", sounds / "segments.parquet"), ("truth-cut", sounds / "cut")):
        labels, out = tmp_path / name, tmp_path / f"{name}.json"
        succeed("label", clips, "--model", model, "-o", labels, "--cluster", "serial", "--threshold", 0.3)
        said = succeed("score", labels, sounds / f"{name}.csv", "-o", out)
        found[name] = json.loads(out.read_text())
        assert ("2 recordings in 5 clips, 0.8 min" if name == "truth" else "5 recordings, 0.8 min") in said
    whole, cut = found["truth"], found["truth-cut"]
    assert (whole.pop("recordings"), cut.pop("recordings"), whole["clips"]) == (2, 5, 5)
    assert (whole.pop("notes"), cut.pop("notes")) == (NOTES, [])
    assert whole["scores"]["metrics"][0]["event"]["called"] > 3
    # Intervals differ: the segments of a recording are drawn together, files each alone.
    intervals = [(one["scores"].pop("segment_interval"), one["scores"].pop("event_intervals")) for one in (whole, cut)]
    assert intervals[0] != intervals[1]
    assert flatten(whole) == pytest.approx(flatten(cut), nan_ok=True)


def flatten(value: Any, path: str = "") -> dict[str, float]:
    """Numbers by where they are; None is NaN."""
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return {key: one for name, part in pairs for key, one in flatten(part, f"{path}/{name}").items()}
    return {path: float("nan") if value is None else value}


def test_what_lies_beyond_the_last_segment_is_said_and_recordings_without_events_are_scored(
    sounds: Path, tmp_path: Path
) -> None:
    labels = tmp_path / "labels"
    model = make_detector(tmp_path / "bundle")
    succeed("label", sounds / "segments.parquet", "--model", model, "-o", labels, "--cluster", "serial")
    write_truth([("a", "dog", 1.0, 3.0), ("b", "cat", 6.0, 7.0)], tmp_path / "truth.csv")
    out = tmp_path / "scores.json"
    # b was annotated, and holds no sound that the model knows: what is found there is false.
    said = succeed("score", labels, tmp_path / "truth.csv", "-o", out)
    assert "2 recordings in 5 clips" in said
    assert json.loads(out.read_text())["notes"] == ["1 event of labels that the model lacks, left out: cat 1"]
    write_truth([("a", "dog", 27.5, 29.0)], tmp_path / "truth.csv")
    assert "holds no events of the model's labels in what was labelled" in refuse(
        "score", labels, tmp_path / "truth.csv"
    )
    assert set(LABELS) >= {label for _, label, _, _ in TRUTH}
