"""Streams: cut anywhere, packed with anything, killed and resumed, a recording has the same scores."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st

pytest.importorskip("keras")
pytest.importorskip("onnxruntime")

import hubbub  # noqa: E402
from hubbub.audio.blocks import BlockGrid  # noqa: E402
from hubbub.audio.frontends import compute_stream  # noqa: E402
from hubbub.errors import BundleError, UsageError  # noqa: E402
from hubbub.labels.tables import LabelTables  # noqa: E402
from hubbub.models.bundle import Bundle, load_bundle  # noqa: E402
from hubbub.models.foreign import ForeignModel  # noqa: E402
from hubbub.models.opening import open_model  # noqa: E402
from hubbub.models.stream import Packer, StreamLayout, score_stream_block  # noqa: E402
from tests.data.detectors import SETTINGS, make_detector  # noqa: E402
from tests.data.recordings import noise, sweep, write  # noqa: E402
from tests.examples import count_examples

TOLERANCE = 1e-5
RATE = SETTINGS.frontend.sample_rate
LONG_S = 600.0
"""Of which a segment has 512 s: two of them."""


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_detector(tmp_path_factory.mktemp("detector") / "bundle")


@pytest.fixture(scope="module")
def bundle(detector: Path) -> Bundle:
    return load_bundle(detector)


@pytest.fixture(scope="module")
def layout(bundle: Bundle) -> StreamLayout:
    return StreamLayout.of(bundle.settings, bundle.require_frames())


def sound(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise whose level and colour come and go, so that scores do."""
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, 0.1, round(seconds * RATE))
    gain = np.repeat(10 ** rng.uniform(-3, 0.8, int(seconds) + 1), RATE)[: len(samples)]
    return (samples * gain).clip(-1, 1).astype(np.float32)


def score_whole(bundle: Bundle, layout: StreamLayout, samples: np.ndarray) -> np.ndarray:
    """The obvious way: silence around the whole recording, one call of the network."""
    halo = layout.frames.halo
    silence = np.zeros(halo * layout.hop_samples, np.float32)
    rest = np.zeros(-len(samples) % (layout.chunk * layout.hop_samples), np.float32)
    features = compute_stream(np.concatenate([silence, samples, rest, silence]), bundle.settings)
    scores = bundle.score_block(features[: len(features) - 1].astype(np.float32))
    count = -(-len(samples) // (layout.frames.stride * layout.hop_samples))
    return scores[halo // layout.frames.stride :][:count]


def test_a_score_does_not_depend_on_what_lies_beyond_the_halo(bundle: Bundle, layout: StreamLayout):
    halo, stride = layout.frames.halo, layout.frames.stride
    rng = np.random.default_rng(0)
    features = rng.normal(-40, 12, (4 * halo, SETTINGS.frontend.n_bands)).astype(np.float32)
    changed = features.copy()
    changed[: halo // 2] += 30
    difference = np.abs(bundle.score_block(changed) - bundle.score_block(features)).max(axis=1)
    assert difference[: halo // 2 // stride].max() > 0.01  # there it does
    assert difference[(halo // 2 + halo) // stride :].max() <= TOLERANCE


@given(seconds=st.floats(0.02, 400), seed=st.integers(0, 5))
@trials(max_examples=count_examples(15), deadline=None)
def test_blocks_are_the_whole(bundle: Bundle, layout: StreamLayout, seconds: float, seed: int):
    samples = sound(seconds, seed)
    expected = score_whole(bundle, layout, samples)
    found = []
    for block in layout.block_grid.split(iter(np.array_split(samples, 7))):
        features = compute_stream(block.samples, bundle.settings)
        found.append(score_stream_block(bundle, features, layout, block.valid))
    np.testing.assert_allclose(np.concatenate(found)[: len(expected)], expected, atol=TOLERANCE)


@given(lengths=st.lists(st.floats(0.01, 60), min_size=1, max_size=8))
@trials(max_examples=count_examples(15), deadline=None)
def test_packed_clips_are_as_if_alone(bundle: Bundle, layout: StreamLayout, lengths: list[float]):
    packer = Packer(layout, SETTINGS.frontend.n_bands)
    clips, found = [sound(seconds, number) for number, seconds in enumerate(lengths)], []
    for samples in clips:
        if not packer.fits(len(samples)):
            found += packer.score(bundle)
        packer.add(compute_stream(layout.surround(samples), bundle.settings), len(samples))
    found += packer.score(bundle)
    for samples, scores in zip(clips, found, strict=True):
        expected = score_whole(bundle, layout, samples)
        np.testing.assert_allclose(scores[: len(expected)], expected, atol=TOLERANCE)


@given(n=st.integers(0, 5000), hop=st.integers(1, 400), halo=st.integers(0, 300), first=st.integers(0, 4))
def test_blocks_hold_what_lies_around_their_core(n: int, hop: int, halo: int, first: int):
    grid, samples = BlockGrid(hop, halo), np.arange(1, n + 1, dtype=np.float32)
    padded = np.pad(samples, (halo, hop + 2 * halo))
    blocks = list(grid.split(iter([samples[grid.start(first) :]]), first=first))
    assert [block.number for block in blocks] == list(range(first, -(-n // hop)))
    for block in blocks:
        begin = block.number * hop
        np.testing.assert_array_equal(block.samples, padded[begin : begin + grid.window])
        assert block.valid == min(hop, n - begin)


def write_archive(folder: Path) -> Path:
    """Short clips of all lengths, one that is empty, one that is torn, and a long recording."""
    folder.mkdir()
    for number, seconds in enumerate([1.0, 0.03, 5.0, 59.9, 128.0, 150.0, 1.0]):
        soundfile.write(folder / f"clip-{number}.wav", sound(seconds, number), RATE, subtype="FLOAT")
    soundfile.write(folder / "long.flac", sound(LONG_S, 9), RATE)
    write(folder / "resampled.wav", sweep(20, 11_025), 11_025)
    soundfile.write(folder / "empty.wav", np.empty(0, np.float32), RATE)
    (folder / "torn.flac").write_bytes((folder / "long.flac").read_bytes()[:900])
    return folder


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_archive(tmp_path_factory.mktemp("stream") / "archive")


@pytest.fixture(scope="module")
def labelled(archive: Path, detector: Path, tmp_path_factory: pytest.TempPathFactory) -> LabelTables:
    return hubbub.label(archive, detector, tmp_path_factory.mktemp("labels") / "labels", cluster="serial")


def scores_of(tables: LabelTables, uri: str) -> np.ndarray:
    return np.stack(tables.windows(uri)["scores"].to_list())


def assert_same_tables(one: LabelTables, other: LabelTables) -> None:
    for read in ("windows", "events"):
        first, second = getattr(one, read)(), getattr(other, read)()
        columns = [column for column in first.columns if column != "unit"]
        order = ["uri", "start_s"] if read == "windows" else ["uri", "onset_s", "label"]
        a, b = (frame.sort_values(order, ignore_index=True)[columns] for frame in (first, second))
        pd.testing.assert_frame_equal(a, b)


def test_every_file_is_labelled_or_says_why_not(labelled: LabelTables):
    files = labelled.files().set_index("uri")
    assert sorted(files.index[files["status"] == "failed"]) == ["empty.wav", "torn.flac"]
    assert files.loc["empty.wav", "error"].startswith("EmptyAudio")
    assert files.loc["torn.flac", "error"].startswith("DecodeError")
    assert files.loc["long.flac", "windows"] == LONG_S
    assert files.loc["clip-1.wav", "duration_s"] == pytest.approx(0.03)
    assert len(labelled.events()) > 20


def test_scores_are_those_of_the_network(labelled: LabelTables, archive: Path, bundle: Bundle, layout: StreamLayout):
    for uri in ("long.flac", "clip-3.wav", "clip-1.wav"):
        samples = soundfile.read(archive / uri, dtype="float32")[0]
        expected = score_whole(bundle, layout, samples)
        found = labelled.unpack_scores(scores_of(labelled, uri), len(samples) / RATE)
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=0.5 / 255 + TOLERANCE)


def test_a_file_alone_has_the_scores_that_it_has_among_others(
    labelled: LabelTables, archive: Path, detector: Path, tmp_path: Path
):
    for uri in ("clip-2.wav", "clip-4.wav", "long.flac"):
        alone = hubbub.label(archive / uri, detector, tmp_path / uri, cluster="serial")
        np.testing.assert_array_equal(scores_of(alone, uri), scores_of(labelled, uri))


@pytest.mark.slow
def test_two_workers_make_the_same_tables(labelled: LabelTables, archive: Path, detector: Path, tmp_path: Path):
    assert_same_tables(hubbub.label(archive, detector, tmp_path / "labels", workers=2), labelled)


def test_events_found_again_are_the_same_and_other_thresholds_make_others(labelled: LabelTables, tmp_path: Path):
    shutil.copytree(labelled.path, tmp_path / "labels")
    again = hubbub.find_events(tmp_path / "labels")
    assert_same_tables(again, labelled)
    before = again.events()
    strict = hubbub.find_events(tmp_path / "labels", thresholds=0.95).events()
    assert len(strict) < len(before)
    # Borders stay where they were; events that were joined over a gap may part.
    edges = {name: set(zip(before["uri"], before["label"], before[name], strict=True)) for name in ("onset_s",)}
    of_strict = set(zip(strict["uri"], strict["label"], strict["onset_s"], strict=True))
    assert len(of_strict & edges["onset_s"]) >= 0.7 * len(of_strict)


def test_a_hop_is_refused(archive: Path, detector: Path, tmp_path: Path):
    with pytest.raises(UsageError, match=r"--hop 0.5: a detector model hears recordings in a stream.*leave --hop out"):
        hubbub.label(archive, detector, tmp_path / "labels", hop_s=0.5, cluster="serial")


def test_a_bundle_without_frames_has_none_to_give(detector: Path, tmp_path: Path):
    other = make_detector(tmp_path / "other", frames=None, model="default")
    with pytest.raises(BundleError, match=r"scores windows of 2 s and no frames.*--model detector"):
        load_bundle(other).score_block(np.zeros((8, 16), np.float32))


def test_another_runtime_makes_the_same_scores(bundle: Bundle, detector: Path):
    features = np.random.default_rng(0).normal(-40, 12, (640, SETTINGS.frontend.n_bands)).astype(np.float32)
    assert bundle.runtime == "onnx"
    by_keras = load_bundle(detector, runtime="keras").score_block(features)
    np.testing.assert_allclose(bundle.score_block(features), by_keras, atol=1e-4)
    assert bundle.description["onnx"]["max_difference"] <= 1e-4


def test_a_changed_onnx_file_is_refused(detector: Path, tmp_path: Path):
    shutil.copytree(detector, tmp_path / "bundle")
    with open(tmp_path / "bundle" / "model.onnx", "ab") as file:
        file.write(b"x")
    with pytest.raises(BundleError, match="model.onnx was changed or cut short"):
        load_bundle(tmp_path / "bundle")


def test_a_detectors_file_scores_the_same_as_a_model_of_others(bundle: Bundle, detector: Path, tmp_path: Path):
    """Its windows slide over the stream of features, with its own halo."""
    pytest.importorskip("onnx")
    frames, settings = bundle.require_frames(), SETTINGS.model_dump(mode="json", exclude={"variants", "layout"})
    shutil.copy(detector / "model.onnx", tmp_path)
    scores = {"layout": ["batch", "frame", "label"], "halo_frames": frames.halo // frames.stride}
    entries = {
        "kind": "onnx",
        "file": "model.onnx",
        "features": settings | {"windows": {"duration_s": 20.0}},
        "input": {"frames": 800},  # the network wants a multiple of 8, and a window makes 801
        "outputs": {"scores": scores | {"frame_s": frames.stride * 200 / RATE}},
        "labels": bundle.labels,
    }
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(entries))
    model, samples = open_model(tmp_path / "model.yaml"), sound(70, 3)
    assert isinstance(model, ForeignModel)
    assert model.frames is not None
    found = []
    for one in (bundle, model):
        layout = StreamLayout.of(one.settings, one.frames)
        blocks = layout.block_grid.split(iter([samples]))
        scored = [score_stream_block(one, compute_stream(b.samples, one.settings), layout, b.valid) for b in blocks]
        found.append(np.concatenate(scored)[:700])
    np.testing.assert_allclose(found[1], found[0], atol=TOLERANCE)


def test_clip_scores_are_pooled_from_frames(bundle: Bundle):
    rows = np.random.default_rng(0).normal(-40, 12, (3, 81, 16)).astype(np.float32)
    scores = bundle.predict(rows)
    frames = np.stack([bundle.score_block(bundle.require_frames().pad(row[None])[0])[:21] for row in rows])
    np.testing.assert_allclose(scores, np.square(frames).sum(1) / frames.sum(1), atol=1e-4)


def test_a_long_file_cut_off_in_the_middle_says_so(archive: Path, detector: Path, tmp_path: Path):
    whole = (archive / "long.flac").read_bytes()
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "long.flac").write_bytes(whole[: len(whole) // 2])
    tables = hubbub.label(tmp_path / "cut", detector, tmp_path / "labels", cluster="serial")
    file = tables.files().iloc[0]
    assert file["status"] == "failed"
    assert file["error"].startswith("DecodeError")


def test_a_file_that_changes_its_rate_says_where(detector: Path, tmp_path: Path):
    (tmp_path / "changed").mkdir()
    parts = []
    for rate in (8000, 16_000):
        soundfile.write(tmp_path / "part.ogg", noise(3, rate), rate)
        parts.append((tmp_path / "part.ogg").read_bytes())
    (tmp_path / "changed" / "a.ogg").write_bytes(b"".join(parts))
    file = hubbub.label(tmp_path / "changed", detector, tmp_path / "labels", cluster="serial").files().iloc[0]
    assert file["status"] == "failed"
    assert file["error"] == "DecodeError: a.ogg changes its rate, channels or coding at 3.000 s"


@pytest.mark.slow
@pytest.mark.chaos
def test_killed_and_resumed_the_tables_are_the_same(
    labelled: LabelTables, archive: Path, detector: Path, tmp_path: Path
):
    out = tmp_path / "labels"
    command = [sys.executable, "-c", "from hubbub.jobs.cli import main; main()", "label", str(archive)]
    command += ["--model", str(detector), "-o", str(out), "--workers", "2"]
    for after in (1, 2):
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and run.poll() is None and count_parts(out) < after:
            time.sleep(0.02)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    resumed = hubbub.label(archive, detector, out, workers=2)
    assert_same_tables(resumed, labelled)
    assert not list((out / "pieces").glob("*.parquet"))


def count_parts(out: Path) -> int:
    return sum(len(list((out / folder).glob("*.parquet"))) for folder in ("files", "pieces"))


def test_noise_is_heard_at_any_rate(detector: Path, tmp_path: Path):
    """Another rate is resampled; the frames stay a tenth of a second."""
    (tmp_path / "sounds").mkdir()
    write(tmp_path / "sounds" / "a.wav", noise(3, 44_100, channels=2), 44_100)
    tables = hubbub.label(tmp_path / "sounds", detector, tmp_path / "labels", cluster="serial")
    assert tables.frames is not None
    assert tables.frames.frame_s == pytest.approx(0.1)
    assert tables.files()["windows"].to_list() == [3]
