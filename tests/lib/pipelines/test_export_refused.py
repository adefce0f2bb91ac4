"""Exports that are refused, taken up again, or done already: a folder is whole or not there."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

keras = pytest.importorskip("keras")
for package in ("tensorflow", "tf2onnx", "ai_edge_litert", "openvino"):
    pytest.importorskip(package)

import hubbub  # noqa: E402
from hubbub.errors import BundleError, StoreError, UsageError  # noqa: E402
from hubbub.models.exporters import EXPORTERS  # noqa: E402
from hubbub.models.opening import open_model, read_description  # noqa: E402
from hubbub.pipelines.event_rules import make_rules  # noqa: E402
from tests.data.classifiers import make_classifier, make_head, write_classifier  # noqa: E402
from tests.data.detectors import SETTINGS  # noqa: E402
from tests.data.networks import write_windows  # noqa: E402

RATE = SETTINGS.frontend.sample_rate
AGREEMENT = 1e-4


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
    with pytest.raises(BundleError, match=r"was changed since it was exported \(model\.yaml\); delete it"):
        hubbub.export_model(bundle, tmp_path / "copy", format="onnx")
    for name in ("labels.txt", "README.md"):
        again = shutil.copytree(out, tmp_path / f"without {name}")
        (again / name).unlink()
        with pytest.raises(BundleError, match=rf"was changed since it was exported \({name}\); delete it"):
            hubbub.export_model(bundle, again, format="onnx")
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


@pytest.mark.parametrize(
    ("format", "module"), [(name, module) for name, exporter in EXPORTERS.items() for module in exporter.packages]
)
def test_a_package_that_is_missing_is_named_with_the_extra_that_has_it(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str, module: str
):
    import hubbub.models.exporters as exporters

    found = exporters.find_spec
    monkeypatch.setattr(exporters, "find_spec", lambda name: None if name == module else found(name))
    with pytest.raises(BundleError, match=rf"--format {format} needs .*, not installed here: pip install") as refused:
        hubbub.export_model(tiny, tmp_path / "out", format=format)
    extra = re.search(r"hubbub\[(\w+)\]", str(refused.value))
    assert extra
    declared = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    named = " ".join(declared["optional-dependencies"][extra[1]])
    assert {"tensorflow": "tensorflow", "ai_edge_litert": "ai-edge-litert"}.get(module, module) in named
    assert [path.name for path in tmp_path.iterdir()] == []


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
