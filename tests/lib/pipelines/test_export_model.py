"""Exported models: equal to their bundles on real clips, read back, refused where they differ, whole or not there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

keras = pytest.importorskip("keras")
for package in ("tensorflow", "tf2onnx", "ai_edge_litert", "openvino"):
    pytest.importorskip(package)

import hubbub  # noqa: E402
from hubbub.audio import decode  # noqa: E402
from hubbub.config import Windows  # noqa: E402
from hubbub.errors import BundleError  # noqa: E402
from hubbub.labels.tables import LabelTables  # noqa: E402
from hubbub.learn.networks import NAMES  # noqa: E402
from hubbub.models.exporters import EXPORTERS  # noqa: E402
from hubbub.models.opening import open_model, read_description  # noqa: E402
from hubbub.pipelines.event_rules import make_rules  # noqa: E402
from hubbub.pipelines.export_model import ExportResult  # noqa: E402
from tests.data.classifiers import make_classifier, make_head  # noqa: E402
from tests.data.detectors import LABELS, SETTINGS, make_detector  # noqa: E402

AGREEMENT = 1e-4
"""Of scores in two formats."""

EXAMPLES_AGREEMENT = 1e-3
"""Of features computed by NumPy, which rounds otherwise; printed with four digits."""

RATE = SETTINGS.frontend.sample_rate

EVERY_RUN = [("default", "litert"), ("default", "openvino"), ("detector", "onnx")]
MODELS = [*(name for name in NAMES if name not in ("linear", "dense")), "head on default", "head on detector"]
IMAGES = ("inception-v3", "mobilenet-v2", "efficientnet-b0")
"""Networks that score everything alike as long as their weights are random."""

SELDOM = [(network, format) for network in MODELS for format in EXPORTERS if (network, format) not in EVERY_RUN]


def make_bundle(folder: Path, network: str) -> Path:
    if network.startswith("head on "):
        made = make_bundle(folder.with_name(f"backbone of {network}"), network.removeprefix("head on "))
        return make_head(folder, made, dtype="float16")  # rounded between the two
    return make_detector(folder) if network == "detector" else make_classifier(folder, network)


@dataclass(frozen=True)
class Exports:
    """Bundles and what is exported of them, each made when it is first asked for."""

    folder: Path
    recordings: Path

    def bundle(self, network: str) -> Path:
        path = self.folder / network
        return path if path.exists() else make_bundle(path, network)

    def exported(self, network: str, format: str) -> ExportResult:
        out = self.folder / f"{network}-{format}"
        return hubbub.export_model(self.bundle(network), out, format=format, compare=self.recordings)

    def labels(self, model: Path) -> LabelTables:
        out = self.folder / f"labels-{model.parent.name}-{model.name}"
        return hubbub.label(self.recordings, model, out, cluster="serial")


@pytest.fixture(scope="module")
def recordings(esc10_mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four real clips of different classes."""
    folder = tmp_path_factory.mktemp("recordings")
    for file in sorted((esc10_mini / "audio").iterdir())[::25]:
        shutil.copy(file, folder)
    return folder


@pytest.fixture(scope="module")
def exports(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Exports:
    return Exports(tmp_path_factory.mktemp("exports"), recordings)


def check_labels_are_equal(exports: Exports, network: str, format: str) -> None:
    exported = exports.exported(network, format)
    assert (exported.max_difference <= AGREEMENT, exported.rows > 4) == (True, True)
    ours, theirs = (exports.labels(path) for path in (exports.bundle(network), exported.path))
    mine, others = ours.windows(), theirs.windows()
    np.testing.assert_array_equal(mine["start_s"], others["start_s"])
    one, other = (np.stack(table["scores"].to_list()).astype(np.float64) for table in (mine, others))
    step = 1.0 if network == "detector" else np.finfo(np.float16).eps  # as scores are stored: bytes, or float16
    np.testing.assert_allclose(other, one, atol=step + AGREEMENT)
    if network not in IMAGES:
        assert one.std(axis=0).max() > 0.05 * one.max()
    columns = ["uri", "label", "onset_s", "offset_s"]
    assert ours.events()[columns].equals(theirs.events()[columns])
    assert len(ours.events())


@pytest.mark.parametrize(("network", "format"), EVERY_RUN)
def test_the_yaml_file_labels_as_the_bundle_does(exports: Exports, network: str, format: str):
    check_labels_are_equal(exports, network, format)


@pytest.mark.slow
@pytest.mark.parametrize(("network", "format"), SELDOM)
def test_every_network_labels_as_its_bundle_does_in_every_format(exports: Exports, network: str, format: str):
    check_labels_are_equal(exports, network, format)


def test_features_labels_and_rules_are_those_of_the_bundle(exports: Exports):
    ours = read_description(exports.bundle("default"))
    theirs = read_description(exports.exported("default", "onnx").path)
    assert (theirs["labels"], theirs["settings_hash"]) == (LABELS, SETTINGS.hash)
    assert make_rules(theirs) == make_rules(ours)
    detector = exports.exported("detector", "onnx").path
    assert make_rules(read_description(detector)) == make_rules(read_description(exports.bundle("detector")))
    assert yaml_head(exports.exported("default", "onnx").path).count(ours["model_hash"]) == 1


def yaml_head(path: Path) -> str:
    return "".join(line for line in path.read_text(encoding="utf-8").splitlines(True) if line.startswith("#"))


def run_example(example: Path, wav: Path) -> tuple[list[str], np.ndarray]:
    """Run the example where nothing but NumPy and ONNX Runtime can be imported; header, and [line, column]."""
    absent = ("hubbub", "librosa", "scipy", "soundfile", "soxr", "yaml", "keras", "tensorflow", "onnx")
    code = (
        f"import runpy, sys\nfor name in {absent}: sys.modules[name] = None\n"
        f"sys.argv = ['example.py', {str(wav)!r}]\nrunpy.run_path({str(example)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    head, *lines = [line.split("\t") for line in done.stdout.splitlines()]
    return head, np.array(lines, np.float64)


@pytest.fixture(scope="module")
def wav(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real clip of 5.3 s at the models' rate: its end is no whole window and no whole frame."""
    samples = decode.load_audio(sorted(recordings.iterdir())[1], sample_rate=RATE)
    path = tmp_path_factory.mktemp("wav") / "clip.wav"
    soundfile.write(path, np.resize(samples, round(5.3 * RATE)), RATE, subtype="PCM_16")
    return path


@pytest.mark.parametrize("more", [1, SETTINGS.frontend.tail_samples - 1, SETTINGS.frontend.tail_samples])
def test_the_example_has_no_window_for_a_few_samples(exports: Exports, more: int, tmp_path: Path):
    """As many windows as hubbub makes, where a recording is a little longer than whole windows."""
    exported, step = exports.exported("default", "onnx"), SETTINGS.windows.input_s / 5
    noise = np.random.default_rng(1).normal(0, 0.1, round((SETTINGS.windows.input_s + 2 * step) * RATE) + more)
    soundfile.write(tmp_path / "clip.wav", noise, RATE, subtype="PCM_16")
    _, lines = run_example(exported.path.with_name("example.py"), tmp_path / "clip.wav")
    labelled = hubbub.label(tmp_path / "clip.wav", exported.path, tmp_path / "labels", cluster="serial")
    np.testing.assert_allclose(lines[:, 0], labelled.windows()["start_s"], atol=1e-3)


@pytest.mark.parametrize("network", ["default", "detector"])
def test_the_example_agrees_with_hubbub_without_hubbub(exports: Exports, network: str, wav: Path):
    exported = exports.exported(network, "onnx")
    head, lines = run_example(exported.path.with_name("example.py"), wav)
    labelled = hubbub.label(wav, exports.bundle(network), exports.folder / f"wav-{network}", cluster="serial")
    stored = np.stack(labelled.windows()["scores"].to_list()).astype(np.float64).reshape(-1, len(LABELS))
    if network == "detector":  # bytes, and zeros after the end
        frame_s = labelled.run["frames"]["frame_s"]
        stored = stored[: int(np.ceil(5.3 / frame_s))] / 255
        np.testing.assert_allclose(lines[:, 0], np.arange(len(stored)) * frame_s, atol=1e-3)
    else:
        np.testing.assert_allclose(lines[:, 0], labelled.windows()["start_s"], atol=1e-3)
    assert head == ["seconds", *LABELS]
    np.testing.assert_allclose(lines[:, 1:], stored, atol=EXAMPLES_AGREEMENT + (network == "detector") / 510)
    assert lines[:, 1:].std(axis=0).max() > 0.05


@pytest.mark.parametrize(
    ("frontend", "windows"),
    [
        ({"n_fft": 511, "hop_samples": 100, "window": "hamming", "fmin_hz": 60.0, "fmax_hz": 3000.0}, {}),
        ({"top_db": None, "precision": "float64"}, {"mode": "random", "duration_s": 4.0, "crop_s": 1.5}),
        ({"ref": "max"}, {}),
    ],
    ids=["odd", "no floor", "own peak"],
)
@pytest.mark.slow
def test_the_example_computes_any_log_mel(frontend: dict[str, Any], windows: dict[str, Any], wav: Path, tmp_path: Path):
    settings = SETTINGS.model_copy(
        update={
            "frontend": SETTINGS.frontend.model_copy(update=frontend),
            "windows": Windows(**windows) if windows else SETTINGS.windows,
        }
    )
    bundle = make_classifier(tmp_path / "bundle", "seed-cnn", settings)
    exported = hubbub.export_model(bundle, tmp_path / "exported", format="onnx")
    _, lines = run_example(exported.path.with_name("example.py"), wav)
    labelled = hubbub.label(wav, exported.path, tmp_path / "labels", cluster="serial")
    stored = np.stack(labelled.windows()["scores"].to_list()).astype(np.float64)
    np.testing.assert_allclose(lines[:, 1:], stored, atol=EXAMPLES_AGREEMENT)


def test_the_example_is_short():
    text = (Path(hubbub.__file__).parent / "models" / "exporters" / "example.py").read_text(encoding="utf-8")
    code = [line for line in text.splitlines() if line.strip() and not line.strip().startswith('"""')]
    assert len(code) <= 36
    shown = Path(__file__).parents[3] / "docs" / "howto" / "export-model.md"
    assert text in shown.read_text(encoding="utf-8")


def test_other_frontends_are_exported_without_the_example(tmp_path: Path):
    settings = SETTINGS.model_validate(
        {"frontend": {"name": "mfcc", "sample_rate": 8000}, "windows": {"duration_s": 1}}
    )
    bundle = make_classifier(tmp_path / "bundle", "seed-cnn", settings)
    exported = hubbub.export_model(bundle, tmp_path / "exported", format="onnx")
    assert set(exported.files) == {"model.onnx", "model.yaml", "labels.txt", "README.md", "export.json"}
    assert open_model(exported.path).settings.hash == settings.hash


def test_rows_of_a_store_are_compared(recordings: Path, tmp_path: Path):
    tiny = make_classifier(tmp_path / "tiny", "seed-cnn")
    clips = hubbub.index(recordings, out=tmp_path / "clips.parquet")
    store = hubbub.build_features(clips, tmp_path / "store", settings=SETTINGS, cluster="serial")
    found = hubbub.export_model(tiny, tmp_path / "one", format="onnx", compare=store.path)
    assert found.rows == len(clips)
    other = hubbub.build_features(clips, tmp_path / "other", settings={"frontend.n_mels": 20}, cluster="serial")
    with pytest.raises(BundleError, match="the model was trained on features"):
        hubbub.export_model(tiny, tmp_path / "two", format="onnx", compare=other.path)


DAMAGE = [
    # what happened to the folder, what is said
    (lambda folder: cut(folder / "model.xml"), "model.xml cannot be loaded: .*; export the network again"),
    (lambda folder: (folder / "model.xml").write_text("no network"), "model.xml is no OpenVINO file"),
    (lambda folder: (folder / "model.bin").unlink(), "weights in a file of their own, model.bin, which is missing"),
    (lambda folder: cut(folder / "model.bin"), "model.xml cannot be loaded: .*; export the network again"),
    (lambda folder: name_extension(folder / "model.xml"), "cannot be loaded: .* from unsupported opset: extension;"),
]


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def name_extension(file: Path) -> None:
    """Let an operation be one that a library would bring."""
    file.write_text(file.read_text().replace('type="Convolution" version="opset1"', 'type="Own" version="extension"'))


@pytest.mark.parametrize(("damage", "message"), DAMAGE)
def test_an_openvino_file_that_is_damaged_is_refused(
    exports: Exports, tmp_path: Path, damage: Callable[[Path], None], message: str
):
    shutil.copytree(exports.exported("default", "openvino").path.parent, tmp_path / "copy")
    damage(tmp_path / "copy")
    with pytest.raises(BundleError, match=message):
        open_model(tmp_path / "copy" / "model.yaml")


def test_what_was_exported_is_recorded(exports: Exports):
    record = json.loads(exports.exported("default", "onnx").path.with_name("export.json").read_text())
    assert record["bundle"]["model_hash"] == read_description(exports.bundle("default"))["model_hash"]
    assert record["exported_with"]["hubbub"] == hubbub.__version__
    assert record["compared"]["of"] == str(exports.recordings)
