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
from hubbub.errors import BundleError, StoreError, UsageError  # noqa: E402
from hubbub.labels.tables import LabelTables  # noqa: E402
from hubbub.learn.networks import NAMES  # noqa: E402
from hubbub.models.exporters import EXPORTERS  # noqa: E402
from hubbub.models.opening import open_model, read_description  # noqa: E402
from hubbub.pipelines.event_rules import make_rules  # noqa: E402
from hubbub.pipelines.export_model import ExportResult  # noqa: E402
from tests.data.classifiers import make_classifier, make_head, write_classifier  # noqa: E402
from tests.data.detectors import LABELS, SETTINGS, make_detector  # noqa: E402
from tests.data.networks import write_windows  # noqa: E402

AGREEMENT = 1e-4
"""Of scores in two formats."""

EXAMPLES_AGREEMENT = 1e-3
"""Of features computed by NumPy, which rounds otherwise; printed with four digits."""

RATE = SETTINGS.frontend.sample_rate

EVERY_RUN = [
    *(("default", "onnx"), ("default", "litert"), ("default", "openvino")),
    *(("detector", "onnx"), ("head on default", "onnx")),
]
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


def test_rows_of_a_store_are_compared(tiny: Path, recordings: Path, tmp_path: Path):
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


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose network is exported in no time."""
    keras.utils.set_random_seed(0)
    layers = [keras.Input((81, 16)), keras.layers.GlobalAveragePooling1D(), keras.layers.Rescaling(0.02)]
    network = keras.Sequential([*layers, keras.layers.Dense(3, activation="sigmoid", name="scores")])
    return write_classifier(tmp_path_factory.mktemp("tiny") / "bundle", network)


def spoil_network(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Any], None]) -> None:
    """Let the exporter write another network than the bundle's."""
    import hubbub.models.exporters.onnx as module

    write = module.write_onnx

    def write_spoiled(model: Any, path: Path, n_frames: int) -> None:
        kept = model.get_weights()
        spoil(model)
        write(model, path, n_frames)
        model.set_weights(kept)

    monkeypatch.setattr(module, "write_onnx", write_spoiled)


def test_a_network_that_scores_otherwise_is_not_kept(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    spoil_network(monkeypatch, lambda model: model.set_weights([values * 1.01 for values in model.get_weights()]))
    with pytest.raises(BundleError, match=r"gives other scores .* by up to 0\.\d+ on 32 windows of sounds made here"):
        hubbub.export_model(tiny, tmp_path / "out", format="onnx")
    assert not list(tmp_path.iterdir())


def test_scores_that_are_no_numbers_are_not_kept(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    spoil_network(monkeypatch, lambda model: model.set_weights([values * np.nan for values in model.get_weights()]))
    with pytest.raises(BundleError, match="nan|NaN"):
        hubbub.export_model(tiny, tmp_path / "out", format="onnx")
    assert not list(tmp_path.iterdir())


def build_fourier() -> Any:
    """A network that ONNX and LiteRT have no operations for."""
    features = keras.Input((81, 16), name="features")
    real, imaginary = keras.ops.fft((features, features))
    hidden = keras.layers.GlobalAveragePooling1D()(real * real + imaginary * imaginary)
    return keras.Model(features, keras.layers.Dense(3, activation="sigmoid", name="scores")(hidden))


def test_pictures_are_resized_to_sizes_that_no_scale_says(tmp_path: Path):
    """32 of 81 is a scale that makes 31 in float32."""
    features = keras.Input((81, 16), name="features")
    picture = keras.layers.Resizing(32, 24)(keras.layers.Reshape((81, 16, 1))(features))
    hidden = keras.layers.Rescaling(0.02)(keras.layers.AveragePooling2D(8)(picture))
    scores = keras.layers.Dense(3, activation="sigmoid", name="scores")(keras.layers.Flatten()(hidden))
    bundle = write_classifier(tmp_path / "bundle", keras.Model(features, scores))
    assert hubbub.export_model(bundle, tmp_path / "out", format="onnx").max_difference <= AGREEMENT


@pytest.mark.parametrize(
    ("format", "message"),
    [
        ("onnx", r"cannot be written as onnx: ONNX has no operations Complex, FFT, .*--format \(litert, openvino\)"),
        ("litert", r"litert, and does not run: model.tflite needs operations .*: FlexComplex, FlexFFT;"),
    ],
)
def test_operations_that_a_format_lacks_are_named(tmp_path: Path, format: str, message: str):
    bundle = write_classifier(tmp_path / "bundle", build_fourier())
    with pytest.raises(BundleError, match=message):
        hubbub.export_model(bundle, tmp_path / "out", format=format)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_the_same_again_is_done_already_and_another_is_refused(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first = hubbub.export_model(tiny, tmp_path / "out", format="onnx")
    monkeypatch.setattr("hubbub.pipelines.export_model.load_bundle", None)  # nothing is loaded
    again = hubbub.export_model(tiny, tmp_path / "out", format="onnx")
    assert (again.was_done, again.path, again.max_difference) == (True, first.path, first.max_difference)
    monkeypatch.undo()
    noise = np.random.default_rng(0).normal(0, 0.1, 4 * RATE)
    soundfile.write(tmp_path / "noise.wav", noise, RATE)
    compared = hubbub.export_model(tiny, tmp_path / "out", format="onnx", compare=tmp_path / "noise.wav")
    assert (compared.was_done, compared.rows) == (True, 2)
    assert json.loads((tmp_path / "out" / "export.json").read_text())["compared"]["of"] == str(tmp_path / "noise.wav")
    bundle, out = tiny, tmp_path / "out"
    with pytest.raises(BundleError, match=r"another exported model, or another format \(onnx\)"):
        hubbub.export_model(bundle, out, format="litert")
    shutil.copytree(out, tmp_path / "copy")
    described = tmp_path / "copy" / "model.yaml"
    described.write_text(described.read_text().replace("activation: none", "activation: sigmoid"))
    with pytest.raises(BundleError, match="was changed since it was exported; delete it"):
        hubbub.export_model(bundle, tmp_path / "copy", format="onnx")
    (tmp_path / "copy" / "export.json").write_text("{")
    with pytest.raises(BundleError, match=r"export\.json cannot be read"):
        hubbub.export_model(bundle, tmp_path / "copy", format="onnx")


def test_what_a_killed_export_left_is_cleared(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Killed(BaseException):
        pass

    def kill(*arguments: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("hubbub.pipelines.export_model.write_beside", kill)
        patch.setattr("hubbub.pipelines.export_model._clear", lambda partial: None)
        with pytest.raises(Killed):
            hubbub.export_model(tiny, tmp_path / "out", format="onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["out.partial"]
    hubbub.export_model(tiny, tmp_path / "out", format="onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_head_on_a_model_of_others_is_refused(tmp_path: Path):
    backbone = write_windows(tmp_path / "net", outputs={"embeddings": {"name": "embedding"}}, labels=None)
    head = make_head(tmp_path / "head", backbone)
    with pytest.raises(BundleError, match=r"embeddings of a model of others .*hubbub label RECORDINGS --model .*head"):
        hubbub.export_model(head, tmp_path / "out", format="onnx")


def test_labels_of_any_name_come_back(tmp_path: Path):
    labels = [" dog: [x] ", "Regen\nund \u2028Wind", "№ 5 \x1b[31m"]
    thresholds = dict(zip(labels, (0.5, 0.4, 0.6), strict=True))
    bundle = make_classifier(tmp_path / "bundle", "seed-cnn", labels=labels, thresholds=thresholds)
    exported = hubbub.export_model(bundle, tmp_path / "out", format="onnx")
    assert open_model(exported.path).labels == labels
    assert make_rules(read_description(exported.path)) == make_rules(read_description(bundle))
    lines = exported.path.with_name("labels.txt").read_text(encoding="utf-8").splitlines()
    assert lines == [" dog: [x] ", r"Regen\nund \u2028Wind", r"№ 5 \x1b[31m"]


def fill(folder: Path) -> Path:
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    return folder


BAD = [
    # bundle, out, options, error, message
    (None, None, {"format": "onx"}, UsageError, r"--format onx: did you mean 'onnx'\? \(known: litert, onnx, openvino"),
    ("nothing", None, {}, BundleError, "is no model bundle; make one with"),
    ("model.yaml", None, {}, BundleError, "needs no export; expected the folder of a bundle"),
    (None, "s3://bucket/out", {}, UsageError, "expected a folder on this machine"),
    (None, "full", {}, StoreError, "holds something else .*thesis.txt"),
    (None, None, {"compare": "nowhere"}, UsageError, "--compare .*nowhere: expected a feature store, a folder of rec"),
    (None, None, {"compare": "full"}, UsageError, "--compare .*full: expected a feature store, a folder of recordings"),
    (None, None, {"compare": "full/thesis.txt"}, UsageError, "--compare .*thesis.txt: DecodeError.*leave it out"),
]


@pytest.mark.parametrize(("bundle", "out", "options", "error", "message"), BAD, ids=lambda value: None)
def test_bad_input_is_told(
    tiny: Path,
    tmp_path: Path,
    bundle: str | None,
    out: str | None,
    options: dict[str, str],
    error: type[Exception],
    message: str,
):
    fill(tmp_path / "full")
    given = {name: tmp_path / value if name == "compare" else value for name, value in options.items()}
    path = tiny if bundle is None else tmp_path / bundle
    target = out if out and "://" in out else tmp_path / (out or "out")
    with pytest.raises(error, match=message):
        hubbub.export_model(path, target, **{"format": "onnx", **given})
    assert [file.name for file in tmp_path.iterdir()] == ["full"]


def test_another_backend_is_refused_with_what_to_set(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(BundleError, match="Keras computes on jax here; set KERAS_BACKEND=tensorflow"):
        hubbub.export_model(tiny, tmp_path / "out", format="onnx")


def test_what_was_exported_is_recorded(exports: Exports):
    record = json.loads(exports.exported("default", "onnx").path.with_name("export.json").read_text())
    assert record["bundle"]["model_hash"] == read_description(exports.bundle("default"))["model_hash"]
    assert record["exported_with"]["hubbub"] == hubbub.__version__
    assert record["compared"]["of"] == str(exports.recordings)
