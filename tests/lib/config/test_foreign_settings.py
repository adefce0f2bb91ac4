"""The YAML file of a model of others: what it may say, and what is said of what it may not."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from hubbub.config.foreign import ForeignSettings, parse_foreign
from hubbub.errors import BundleError
from tests.data.networks import describe


def parse(**changed: Any) -> ForeignSettings:
    return parse_foreign(yaml.safe_dump(describe(**changed)), "model.yaml")


def scores(**changed: Any) -> dict[str, Any]:
    return {"scores": {"name": "scores", **changed}}


def test_a_waveform_model_hears_its_window_at_its_rate():
    settings = parse(sample_rate=22050, window_samples=43844).settings
    assert settings.frontend.name == "waveform"
    assert settings.frontend.sample_rate == 22050
    assert round(settings.windows.input_s * 22050) == 43844
    assert settings.dtype == "float32"


def test_seconds_and_samples_say_the_same():
    assert parse(window_samples=None, window_s=0.2).settings == parse(window_samples=400).settings


def test_layouts_have_defaults():
    given = parse()
    assert (given.input_layout, given.scores_layout, given.embeddings_layout) == (
        ("batch", "sample"),
        ("batch", "label"),
        None,
    )
    alone = parse(input={"layout": ["sample"]}, outputs={**scores(), "embeddings": {"name": "e"}})
    assert (alone.scores_layout, alone.embeddings_layout) == (("label",), ("dimension",))


def test_a_model_of_features_takes_settings_as_hubbub_settings_prints_them():
    features = {"frontend": {"name": "log-mel", "sample_rate": 16000, "n_mels": 32}, "windows": {"duration_s": 2}}
    given = parse(sample_rate=None, window_samples=None, features=features)
    assert given.settings.frontend.n_bands == 32
    assert given.input_layout == ("batch", "frame", "band")


REFUSED: list[tuple[dict[str, Any], str]] = [
    # what is written, what is said
    ({"kind": "torch"}, r"kind: expected 'keras', 'saved-model', 'onnx', 'litert' or 'openvino' \(given: 'torch'\)"),
    ({"kind": None}, "kind is missing; expected keras, saved-model, onnx, litert or openvino"),
    ({"knid": "onnx"}, r"unknown entry 'knid': did you mean 'kind'\?"),
    ({"file": "../net.onnx"}, "file: expected a file beside the YAML file"),
    ({"file": "/etc/passwd"}, "file: expected a file beside the YAML file"),
    ({"file": "s3://bucket/net.onnx"}, "file: expected a file beside the YAML file"),
    ({"file": "a\\..\\..\\b"}, "file: expected a file beside the YAML file"),
    ({"labels": {"file": "../labels.txt"}}, "labels.file: expected a file beside the YAML file"),
    ({"sample_rate": 0}, r"sample_rate: expected at least 1000 \(given: 0\)"),
    ({"sample_rate": 10**7}, "sample_rate: expected at most 384000"),
    ({"sample_rate": "fast"}, "sample_rate: expected a whole number"),
    ({"sample_rate": None}, "expected sample_rate, in Hz, such as sample_rate: 16000"),
    ({"window_s": 3.0}, "expected window_samples or window_s, one of the two"),
    ({"window_samples": None}, "expected window_samples or window_s, one of the two"),
    ({"window_samples": 10**8}, "window_samples 100000000 is more than 600 s"),
    ({"features": {"frontend": {"name": "log-mle"}}}, "features: frontend.name: unknown frontend 'log-mle': did you"),
    (
        {"features": {"frontend": {"name": "embedding"}}},
        "features: frontend.name: rows of 'embedding' are made by a model",
    ),
    ({"features": {}}, "features say the rate and the window: remove sample_rate, window_samples"),
    ({"input": {"layout": ["batch", "time"]}}, r"input.layout.1: expected 'batch', 'sample'.*\(given: 'time'\)"),
    ({"input": {"layout": ["batch", "band"]}}, r"input.layout: expected sample once, and any of batch, 1"),
    ({"input": {"layout": ["sample", "sample"]}}, r"input.layout: expected sample once.*given: \[sample, sample\]"),
    ({"outputs": {}}, "expected outputs.scores, outputs.embeddings, or both"),
    (
        {"outputs": None},
        "outputs is missing; expected what is used of what it gives, such as outputs: {scores: {name: scores}}",
    ),
    ({"outputs": scores(index=0)}, r"outputs.scores: expected a name or an index, not both"),
    ({"outputs": scores(layout=["batch", "frame"])}, "outputs.scores.layout: expected label once"),
    ({"outputs": scores(activation="relu")}, "outputs.scores.activation: expected 'none', 'sigmoid' or 'softmax'"),
    ({"outputs": scores(frame_s=0.01)}, "outputs.scores.frame_s needs frames: expected a layout such as"),
    (
        {"outputs": scores(layout=["batch", "frame", "label"], halo_frames=3)},
        "outputs.scores.halo_frames goes with frame_s",
    ),
    ({"outputs": scores(nmae="x")}, r"unknown entry 'outputs.scores.nmae': did you mean 'name'\?"),
    ({"input": {"layout": ["sample"]}, "outputs": scores(layout=["batch", "label"])}, "has a batch, and the input's"),
    ({"labels": None}, "outputs.scores and labels go together: give both, or neither"),
    ({"outputs": {"embeddings": {"name": "e"}}}, "outputs.scores and labels go together: give both, or neither"),
    ({"labels": ["dog", "dog", "rain"]}, "labels 1 and 2 are both 'dog'; expected each once"),
    ({"labels": ["dog", " ", "rain"]}, "label 2 of 3 is empty; expected a name for every score"),
    ({"labels": []}, "0 labels; expected at least one"),
    ({"labels": 3}, r"labels: 3 is no section; expected entries such as \{file: labels.txt\}"),
    ({"labels": [True, False]}, r"labels.0: expected text \(given: True\)"),
    ({"events": {"threshold": 0}}, "events.threshold: expected more than 0"),
    ({"rules": {"dog": {"treshold": 0.5}}}, r"unknown entry 'rules.dog.treshold': did you mean 'threshold'\?"),
    ({"hop_s": -1}, "hop_s: expected more than 0"),
    ({"input": {"frames": 10}}, "input.frames 10: expected models of features"),
    ({"input": {"peak": 0}}, "input.peak: expected more than 0"),
]


@pytest.mark.parametrize(("changed", "message"), REFUSED, ids=lambda value: str(value)[:60])
def test_what_does_not_do_is_said(changed: dict[str, Any], message: str):
    with pytest.raises(BundleError, match=f"^model.yaml.*{message}"):
        parse(**changed)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: !!python/object/apply:os.system [touch hacked]", "cannot be read as YAML.*python/object/apply"),
        ("kind: [", "cannot be read as YAML"),
        ("- onnx", "holds a list; expected the description of a model"),
        ("", "is empty; expected the description of a model"),
        (b"\xff\xfe\xfa", "cannot be read as YAML"),
    ],
)
def test_what_is_no_plain_yaml_is_refused(text: str | bytes, message: str):
    with pytest.raises(BundleError, match=f"(?s)model.yaml {message}"):
        parse_foreign(text, "model.yaml")
