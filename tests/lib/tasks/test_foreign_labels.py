"""Archives labelled by models of others: as NumPy would, on any workers, killed or not; what is no score is told."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml

pytest.importorskip("onnx")

import hubbub  # noqa: E402
from hubbub.errors import LabelsError, UsageError  # noqa: E402
from hubbub.labels.tables import LabelTables  # noqa: E402
from hubbub.models.opening import open_model  # noqa: E402
from tests.data.music import NOTES, ONSETS_S, list_notes, write_scale  # noqa: E402
from tests.data.networks import (  # noqa: E402
    LABELS,
    RATE,
    WINDOW,
    score_frames,
    sigmoid,
    weights,
    write_external,
    write_frames,
    write_windows,
    write_yaml,
)

BYTES = 0.5 / 255 + 1e-5
"""What is lost where scores are stored as bytes."""

FLOAT16 = 6e-4
LONG_S = 700.0
"""Of which a segment has 512 chunks of 0.96 s: two of them."""


def sound(seconds: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, 0.2, round(seconds * RATE))
    gain = np.repeat(10 ** rng.uniform(-3, 0.3, int(seconds) + 1), RATE)[: len(samples)]
    return (samples * gain).clip(-1, 1).astype(np.float32)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short clips, one of silence, one that is torn, and a long recording."""
    folder = tmp_path_factory.mktemp("foreign") / "archive"
    folder.mkdir()
    for number, seconds in enumerate([1.0, 0.03, 3.7, 60.0]):
        soundfile.write(folder / f"clip-{number}.wav", sound(seconds, number), RATE, subtype="FLOAT")
    soundfile.write(folder / "silence.wav", np.zeros(RATE, np.float32), RATE, subtype="FLOAT")
    soundfile.write(folder / "long.wav", sound(LONG_S, 9), RATE, subtype="FLOAT")
    (folder / "torn.flac").write_bytes(b"fLaC torn")
    return folder


def scores_of(tables: LabelTables, uri: str) -> np.ndarray:
    return np.stack(tables.windows(uri)["scores"].to_list())


def assert_same_tables(one: LabelTables, other: LabelTables) -> None:
    for read in ("windows", "events"):
        first, second = getattr(one, read)(), getattr(other, read)()
        columns = [column for column in first.columns if column != "unit"]
        order = ["uri", "start_s"] if read == "windows" else ["uri", "onset_s", "label"]
        a, b = (frame.sort_values(order, ignore_index=True)[columns] for frame in (first, second))
        pd.testing.assert_frame_equal(a, b)


# Windows


def test_windows_have_the_scores_of_the_network(archive: Path, tmp_path: Path):
    path = write_windows(tmp_path / "model", hop_s=0.1)
    tables = hubbub.label(archive, path, tmp_path / "labels", cluster="serial")
    assert tables.run["hop_s"] == 0.1
    assert tables.run["model"] == {"kind": "onnx", "file": "net.onnx"}
    files = tables.files().set_index("uri")
    assert files.index[files["status"] == "failed"].to_list() == ["torn.flac"]
    for uri in ("clip-2.wav", "clip-1.wav", "silence.wav"):
        samples, _ = soundfile.read(archive / uri, dtype="float32")
        starts = np.round(tables.windows(uri)["start_s"].to_numpy() * RATE).astype(int)
        cut = np.stack([np.pad(samples, (0, WINDOW))[start : start + WINDOW] for start in starts])
        np.testing.assert_allclose(scores_of(tables, uri), sigmoid(cut @ weights()), atol=FLOAT16)


def test_a_rate_of_its_own_is_resampled(tmp_path: Path):
    soundfile.write(tmp_path / "tone.wav", 0.5 * np.sin(np.arange(44_100) * 0.02).astype(np.float32), 44_100)
    tables = hubbub.label(
        tmp_path / "tone.wav", write_windows(tmp_path / "model"), tmp_path / "labels", hop_s=0.2, cluster="serial"
    )
    assert tables.files()["duration_s"].to_list() == [pytest.approx(1.0)]
    assert len(tables.windows()) == 5


@pytest.mark.parametrize("write", [write_windows, write_frames])
def test_a_file_whose_scores_are_no_numbers_fails_with_its_reason(write: Any, archive: Path, tmp_path: Path):
    """Also where it is scored in one block with others."""
    path = write(tmp_path / "model", nan_in_silence=True)
    clips = tmp_path / "clips"
    clips.mkdir()
    for uri in ("silence.wav", "clip-0.wav"):
        shutil.copy(archive / uri, clips)
    tables = hubbub.label(clips, path, tmp_path / "labels", cluster="serial")
    files = tables.files().set_index("uri")
    assert files["status"].to_dict() == {"silence.wav": "failed", "clip-0.wav": "ok"}
    assert files.loc["silence.wav", "error"] == (
        "UnusableScores: model.yaml: the model gives scores that are no numbers (NaN)"
    )
    assert np.isfinite(np.stack(tables.windows()["scores"])).all()
    assert set(tables.windows()["uri"]) == {"clip-0.wav"}


# Frames


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_frames(tmp_path_factory.mktemp("frames"), events={"threshold": 0.6})


@pytest.fixture(scope="module")
def labelled(archive: Path, frames: Path, tmp_path_factory: pytest.TempPathFactory) -> LabelTables:
    return hubbub.label(archive, frames, tmp_path_factory.mktemp("labels") / "labels", cluster="serial")


def test_frames_have_the_scores_of_the_whole_recording(labelled: LabelTables, archive: Path):
    files = labelled.files().set_index("uri")
    assert files.index[files["status"] == "failed"].to_list() == ["torn.flac"]
    for uri in ("long.wav", "clip-3.wav", "clip-2.wav", "clip-1.wav", "silence.wav"):
        samples, _ = soundfile.read(archive / uri, dtype="float32")
        found = labelled.unpack_scores(scores_of(labelled, uri), len(samples) / RATE)
        np.testing.assert_allclose(found, score_frames(samples), atol=BYTES)
    assert len(labelled.events()) > 100


def test_workers_make_the_same_tables(labelled: LabelTables, archive: Path, frames: Path, tmp_path: Path):
    assert_same_tables(hubbub.label(archive, frames, tmp_path / "labels", workers=2), labelled)


def test_other_rules_of_a_model_are_told_where_tables_keep_their_own(archive: Path, tmp_path: Path):
    from hubbub.pipelines.label import label
    from hubbub.pipelines.reporting import Reporter

    said: list[str] = []

    class Listener(Reporter):
        def warn(self, text: str) -> None:
            said.append(text)

    few = tmp_path / "few"
    few.mkdir()
    shutil.copy(archive / "clip-0.wav", few)
    for threshold in (0.5, 0.5, 0.9):
        assert not any("other thresholds" in text for text in said)
        model = write_windows(tmp_path / "model", events={"threshold": threshold})
        tables = label(few, model, tmp_path / "labels", cluster="serial", reporter=Listener()).labels
    assert any("has other thresholds or event rules than when" in text for text in said)
    assert {rule.threshold for rule in tables.rules.values()} == {0.5}
    with pytest.raises(UsageError, match="--release 2: expected a share of the threshold, above 0 and up to 1"):
        label(few, model, tmp_path / "other", release=2, cluster="serial")


@pytest.mark.chaos
def test_killed_and_resumed_the_tables_are_the_same(labelled: LabelTables, archive: Path, frames: Path, tmp_path: Path):
    out = tmp_path / "labels"
    command = [sys.executable, "-c", "from hubbub.jobs.cli import main; main()", "label", str(archive)]
    command += ["--model", str(frames), "-o", str(out), "--workers", "2"]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and run.poll() is None and not list(out.glob("*/*.parquet")):
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    assert_same_tables(hubbub.label(archive, frames, out, workers=1), labelled)  # begun by two


def test_another_model_is_refused_in_the_same_tables(
    labelled: LabelTables, archive: Path, frames: Path, tmp_path: Path
):
    shutil.copytree(labelled.path, tmp_path / "labels")
    shutil.copytree(frames.parent, tmp_path / "model")
    again = tmp_path / "model" / "renamed.yaml"
    (tmp_path / "model" / "model.yaml").rename(again)
    (tmp_path / "model" / "net.onnx").rename(tmp_path / "model" / "other.onnx")
    again.write_text(again.read_text().replace("net.onnx", "other.onnx"))
    hubbub.label(archive, again, tmp_path / "labels", cluster="serial")  # the same under other names
    said = yaml.safe_load(again.read_text()) | {"labels": ["dog", "rain", "bell"]}
    again.write_text(yaml.safe_dump(said))
    with pytest.raises(LabelsError, match=r"was made by another model .*model_hash"):
        hubbub.label(archive, again, tmp_path / "labels", cluster="serial")


def test_a_hop_is_refused_where_frames_are_scored(archive: Path, frames: Path, tmp_path: Path):
    with pytest.raises(UsageError, match=r"--hop 0.5: .*scores every 0.01 s; leave --hop out"):
        hubbub.label(archive, frames, tmp_path / "labels", hop_s=0.5, cluster="serial")


def test_a_model_without_scores_labels_nothing(archive: Path, tmp_path: Path):
    write_windows(tmp_path / "model")
    path = write_yaml(tmp_path / "model", outputs={"embeddings": {"name": "embedding"}}, labels=None)
    with pytest.raises(UsageError, match="gives embeddings and no scores"):
        hubbub.label(archive, path, tmp_path / "labels", cluster="serial")


def test_what_does_not_fit_is_told_before_there_are_tables(archive: Path, tmp_path: Path):
    path = write_windows(tmp_path / "model", labels=LABELS[:2])
    with pytest.raises(UsageError, match="2 labels, and the network scores 3"):
        hubbub.label(archive, path, tmp_path / "labels", cluster="serial")
    assert not (tmp_path / "labels").exists()


# In a bucket


def test_a_model_in_a_bucket_labels(archive: Path, s3: str, tmp_path: Path):
    from hubbub.io.paths import parse_path

    write_external(tmp_path / "model", "weights.bin")
    weights().tofile(tmp_path / "model" / "weights.bin")
    local = write_yaml(tmp_path / "model", labels={"file": "more/labels.txt"})
    (tmp_path / "model" / "more").mkdir()
    (tmp_path / "model" / "more" / "labels.txt").write_text("\n".join(LABELS))
    put_folder(tmp_path / "model", f"{s3}/models")
    there = open_model(f"{s3}/models/model.yaml")
    here = open_model(local)
    assert (there.model_hash, there.labels) == (here.model_hash, here.labels)
    one = hubbub.label(archive / "clip-2.wav", f"{s3}/models/model.yaml", tmp_path / "labels", cluster="serial")
    two = hubbub.label(archive / "clip-2.wav", local, tmp_path / "again", cluster="serial")
    assert_same_tables(one, two)
    for name in ("weights.bin", "net.onnx"):
        parse_path(f"{s3}/models/{name}").unlink()
        with pytest.raises(UsageError, match=f"{name} is missing; copy it there, beside the YAML file"):
            open_model(f"{s3}/models/model.yaml")


def test_all_files_of_a_saved_model_are_fetched(s3: str, tmp_path: Path):
    from hubbub.io.paths import parse_path
    from hubbub.models.foreign_files import local_model, read_foreign

    path = write_yaml(tmp_path, kind="saved-model", file="net")
    for name in ("saved_model.pb", "variables/variables.index", "assets/words.txt"):
        (tmp_path / "net" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "net" / name).write_bytes(name.encode())
    put_folder(tmp_path, f"{s3}/saved")
    there = parse_path(f"{s3}/saved/model.yaml")
    assert read_foreign(there).model_hash == read_foreign(path).model_hash
    with local_model(there) as local:
        held = sorted(str(file.relative_to(local.parent)) for file in local.parent.rglob("*") if file.is_file())
    assert held == sorted(read_foreign(path).names)


def put_folder(folder: Path, where: str) -> None:
    from hubbub.io.paths import parse_path

    for file in folder.rglob("*"):
        if file.is_file():
            parse_path(f"{where}/{file.relative_to(folder)}").write_bytes(file.read_bytes())


# A public release


def basic_pitch() -> Path:
    """The folder of Basic Pitch's networks; its package is not imported."""
    found = find_spec("basic_pitch")
    if found is None or found.origin is None:
        pytest.skip("basic-pitch, a wheel with weights, is not installed: make install")
    return Path(found.origin).parent / "saved_models" / "icassp_2022"


def test_basic_pitch_hears_a_scale(tmp_path: Path):
    """Labels and onsets of a synthesised scale of C major, by the example of the documentation."""
    shutil.copy(basic_pitch() / "nmp.onnx", tmp_path)
    examples = Path(__file__).resolve().parents[3] / "docs" / "models"
    for name in ("basic-pitch-onnx.yaml", "basic-pitch-notes.txt"):
        shutil.copy(examples / name, tmp_path)
    assert (tmp_path / "basic-pitch-notes.txt").read_text().split() == list_notes()
    tables = hubbub.label(
        write_scale(tmp_path / "scale.wav"), tmp_path / "basic-pitch-onnx.yaml", tmp_path / "labels", cluster="serial"
    )
    events = tables.events()
    assert events["label"].to_list() == NOTES
    np.testing.assert_allclose(events["onset_s"], ONSETS_S, atol=0.03)
