"""Descriptions that do not fit a model's file, files that are refused, and labels; as ONNX files.

What a model of others scores is in `test_foreign`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip("onnx")

from hubbub.config.foreign import parse_foreign  # noqa: E402
from hubbub.errors import BundleError, UsageError  # noqa: E402
from hubbub.models.foreign_files import read_foreign  # noqa: E402
from hubbub.models.opening import check_model, open_model, read_description  # noqa: E402
from tests.data.networks import (  # noqa: E402
    LABELS,
    RATE,
    WINDOW,
    save_onnx,
    sigmoid,
    weights,
    write_external,
    write_windows,
    write_yaml,
)

# What does not fit the file


UNFIT: list[tuple[dict[str, Any], str]] = [
    # what the YAML file says, what is said
    ({"window_samples": 500}, r"the input is 'audio' \[\?, 400\] float32: .* has 400 where 500 of sample was expected"),
    (
        {"input": {"layout": ["batch", "sample", 1]}},
        r"'audio' \[\?, 400\] float32: it has 2 dimensions, and the layout",
    ),
    ({"input": {"name": "sound"}}, r"input.name sound: expected the one input.*'audio' \[\?, 400\] float32"),
    ({"outputs": {"scores": {"name": "notes"}}}, r"'notes': expected the name or index.*'scores' \[\?, 3\] float32"),
    ({"outputs": {"scores": {"index": 2}}}, "outputs.scores 2: expected the name or index of one of the file's own"),
    ({"outputs": {"scores": {}}}, "outputs.scores null: expected the name or index of one of the file's own"),
    (
        {"outputs": {"scores": {"name": "scores", "layout": ["batch", "label", 1]}}},
        r"outputs.scores is 'scores' \[\?, 3\] float32: it has 2 dimensions.*its|fits the file's own outputs",
    ),
    ({"labels": ["dog", "rain"]}, r"2 labels, and the network scores 3 \('scores' \[\?, 3\] float32\); give a label"),
    ({"labels": [*LABELS, "bell"]}, "4 labels, and the network scores 3"),
    ({"rules": {"dgo": {"threshold": 0.9}}}, r"rules.dgo: no such label: did you mean 'dog'\?"),
    ({"file": "other.onnx"}, "other.onnx is missing; expected the network, one file, beside model.yaml"),
    ({"file": "folder"}, "folder is a folder; expected the network, one file"),
    ({"kind": "saved-model"}, "net.onnx holds no saved_model.pb; expected the folder of a TensorFlow SavedModel"),
    ({"kind": "litert"}, "net.onnx is no LiteRT file: it does not have the mark TFL3"),
    ({"labels": {"file": "labels.txt"}}, "labels.txt is missing; expected the labels' file beside model.yaml"),
]


@pytest.mark.parametrize(("changed", "message"), UNFIT, ids=lambda value: str(value)[:60])
def test_what_does_not_fit_the_file_is_told_before_a_run(tmp_path: Path, changed: dict[str, Any], message: str):
    (tmp_path / "folder").mkdir()
    if changed.get("kind") == "litert":
        pytest.importorskip("ai_edge_litert")
    path = write_windows(tmp_path, **changed)
    with pytest.raises(BundleError, match=message):
        check_model(path)


def test_a_model_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(BundleError, match=r"model.yaml does not exist; expected the YAML file of a model"):
        read_description(tmp_path / "model.yaml")


# Labels


def test_labels_stand_in_a_text_file_or_a_column(tmp_path: Path):
    (tmp_path / "labels.txt").write_text("\ufeffTurdus merula_Common Blackbird\ndog\nrain, heavy\n\n", encoding="utf-8")
    (tmp_path / "labels.csv").write_text('index, display_name\n0,"Speech, child"\n1,dog\n2,rain\n', encoding="utf-8")
    by_text = open_model(write_windows(tmp_path, labels={"file": "labels.txt"}))
    assert by_text.labels == ["Turdus merula_Common Blackbird", "dog", "rain, heavy"]
    by_column = open_model(write_windows(tmp_path, labels={"file": "labels.csv", "column": "display_name"}))
    assert by_column.labels == ["Speech, child", "dog", "rain"]


@pytest.mark.parametrize(
    ("name", "text", "column", "message"),
    [
        ("labels.csv", "a,b\n1,2\n", "c", r"has no column 'c': known are a, b"),
        ("labels.csv", "mid,display_name\n1,2\n", None, "is a CSV: give the labels' column, one of mid, display_name"),
        ("labels.csv", "a\ndog\n\nrain\n\ndog\n", "a", "labels 1 and 3 are both 'dog'"),
        ("labels.csv", "a,b\nx,dog\ny\nz,rain\n", "b", "label 2 of 3 is empty"),
        ("labels.csv", 'a\n"dog', "a", "cannot be read as a CSV"),
        ("labels.txt", "dog\n\nrain\n", None, "label 2 of 3 is empty; expected a name for every score"),
        ("labels.txt", "", None, "0 labels; expected at least one"),
        ("labels.txt", "\x1b[31mred\n\x1b[31mred\n", None, r"both '\\x1b\[31mred'"),
    ],
)
def test_labels_that_do_not_do_are_told(tmp_path: Path, name: str, text: str, column: str | None, message: str):
    (tmp_path / name).write_text(text, encoding="utf-8")
    path = write_windows(tmp_path, labels={"file": name, **({"column": column} if column else {})})
    with pytest.raises(BundleError, match=message) as raised:
        read_description(path)
    assert "\x1b" not in str(raised.value)


def test_a_binary_file_is_no_list_of_labels(tmp_path: Path):
    (tmp_path / "labels.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BundleError, match="labels.txt cannot be read.*expected labels in UTF-8"):
        read_description(write_windows(tmp_path, labels={"file": "labels.txt"}))


# What tells one model from another


def test_what_decides_scores_changes_the_hash(tmp_path: Path):
    def hash_of(folder: str, **options: Any) -> str:
        return read_foreign(write_windows(tmp_path / folder, **options)).model_hash

    first = hash_of("first")
    assert hash_of("again") == first
    same = [
        hash_of("rules", events={"threshold": 0.9}, rules={"dog": {"release": 0.2}}, hop_s=0.1),
        hash_of("layout", outputs={"scores": {"name": "scores", "layout": ["batch", "label"]}}),
    ]
    others = [
        hash_of("labels", labels=["dog", "siren", "rain"]),
        hash_of("weights", activation="HardSigmoid"),
        hash_of("peak", input={"peak": 0.25}),
        hash_of("output", outputs={"scores": {"name": "embedding", "activation": "sigmoid"}}),
        hash_of("rate", sample_rate=RATE + 1),
    ]
    assert same[0] == first
    assert len({first, *others}) == len(others) + 1


def test_the_description_says_what_a_run_needs(tmp_path: Path):
    path = write_windows(
        tmp_path, events={"threshold": 0.8, "min_duration_s": 0.5}, rules={"rain": {"threshold": 0.4}}, hop_s=0.1
    )
    said = read_description(path)
    assert said["thresholds"] == {"dog": 0.8, "rain": 0.4, "siren": 0.8}
    assert said["rules"]["rain"] == pytest.approx({"threshold": 0.4, "release": 0.28, "min_duration_s": 0.5})
    assert (said["kind"], said["file"], said["hop_s"], said["window_s"]) == ("onnx", "net.onnx", 0.1, WINDOW / RATE)
    assert open_model(path).description == said


# A model is data


def test_weights_beside_the_file_belong_to_it(tmp_path: Path):
    path = write_external(tmp_path, "weights.bin")
    with pytest.raises(BundleError, match="has weights in a file of their own, weights.bin, which is missing"):
        check_model(path)
    weights().tofile(tmp_path / "weights.bin")
    model, samples = open_model(path), np.random.default_rng(0).normal(0, 0.3, (3, WINDOW)).astype(np.float32)
    expected = sigmoid(samples @ weights())
    np.testing.assert_allclose(model.predict(model.prepare(samples)), expected, atol=1e-5)
    assert read_foreign(path).names == ("model.yaml", "net.onnx", "weights.bin")
    before = read_foreign(path).model_hash
    (2 * weights()).tofile(tmp_path / "weights.bin")
    assert read_foreign(path).model_hash != before


@pytest.mark.parametrize("outside", ["../../etc/passwd", "/etc/passwd", "a/../../b", "..\\b"])
def test_weights_outside_the_folder_are_refused(tmp_path: Path, outside: str):
    with pytest.raises(BundleError, match="names weights outside its folder"):
        check_model(write_external(tmp_path, outside))


def test_operations_that_need_code_are_refused(tmp_path: Path):
    from onnx import helper

    nodes = [helper.make_node("Evil", ["audio"], ["scores"], domain="com.example")]
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("com.example", 1)]
    save_onnx(tmp_path / "net.onnx", nodes, {"audio": ["n", WINDOW]}, {"scores": ["n", 3]}, {}, opset_imports=opsets)
    with pytest.raises(BundleError, match=r"operations of its own, which are code and not data: com.example.Evil"):
        check_model(write_yaml(tmp_path))


class Runs:
    """What a pickle does when it is opened."""

    def __reduce__(self) -> Any:
        return (os.mkdir, ("hacked",))


@pytest.mark.parametrize("name", ["net.onnx", "net.keras", "net.tflite", "net.pt", "net.joblib"])
@pytest.mark.parametrize("kind", ["onnx", "keras", "litert"])
def test_a_pickle_is_refused_whatever_it_is_called(
    tmp_path: Path, name: str, kind: str, monkeypatch: pytest.MonkeyPatch
):
    import pickle

    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(pickle.dumps(Runs()))
    path = write_yaml(tmp_path, kind=kind, file=name)
    with pytest.raises(BundleError, match=f"{name} is a pickle, whose opening runs whatever code it holds.*ONNX"):
        check_model(path)
    assert not (tmp_path / "hacked").exists()


def test_an_archive_with_a_pickle_is_refused(tmp_path: Path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "net.keras", "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    with pytest.raises(BundleError, match="net.keras is a pickle"):
        check_model(write_yaml(tmp_path, kind="keras", file="net.keras"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("net.onnx", "is a network without a description; write a YAML file beside it, kind: onnx, file: net.onnx"),
        ("net.tflite", "kind: litert, file: net.tflite"),
        ("net.pt", "may hold code, which runs when it is opened; a model is data: export it as an ONNX file"),
        ("net.h5", "may hold code"),
    ],
)
def test_a_network_without_a_description_is_told_what_to_write(tmp_path: Path, name: str, message: str):
    (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(BundleError, match=message):
        open_model(tmp_path / name)


@pytest.mark.parametrize("kind", ["onnx", "keras", "litert"])
@pytest.mark.parametrize("data", [b"", b"\0" * 64, b"PK\x03\x04garbage", b"TFL3" * 40, os.urandom(300)])
def test_garbage_is_told_and_not_a_traceback(tmp_path: Path, kind: str, data: bytes):
    if kind == "litert":
        pytest.importorskip("ai_edge_litert")
    (tmp_path / "net").write_bytes(data)
    with pytest.raises(UsageError, match="net (is|cannot be loaded)"):
        check_model(write_yaml(tmp_path, kind=kind, file="net"))


def test_a_cut_file_is_told(tmp_path: Path):
    path = write_windows(tmp_path)
    data = (tmp_path / "net.onnx").read_bytes()
    (tmp_path / "net.onnx").write_bytes(data[: len(data) // 2])
    with pytest.raises(BundleError, match="net.onnx is no ONNX file, or damaged"):
        check_model(path)


def test_entries_are_plain_data(tmp_path: Path):
    """A tag of Python's in the YAML file is refused by its reader."""
    (tmp_path / "model.yaml").write_text(yaml.dump({"kind": Runs()}))
    with pytest.raises(BundleError, match="cannot be read as YAML"):
        read_description(tmp_path / "model.yaml")
    assert not Path("hacked").exists()


# Written examples

EXAMPLES = sorted((Path(__file__).resolve().parents[3] / "docs" / "models").glob("*.yaml"))


def test_an_entry_in_another_section_is_told_where_it_goes():
    with pytest.raises(BundleError, match=r"unknown entry 'peak': did you mean input\.peak\?"):
        parse_foreign("kind: onnx\nfile: a.onnx\nsample_rate: 8000\nwindow_s: 1\npeak: 1\noutputs: {scores: {}}", "x")
    with pytest.raises(BundleError, match=r"x cannot be read as YAML: line 2, column 1: .*token; it must be"):
        parse_foreign("kind: onnx\n\tfile: a", "x")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_a_written_example_is_a_description(path: Path):
    given = parse_foreign(path.read_bytes(), path.name)
    assert given.settings.windows.input_s > 0
    assert len([line for line in path.read_text().splitlines() if not line.startswith("#")]) <= 14


def test_there_is_an_example_of_each_public_release():
    names = {path.name.removesuffix(".yaml") for path in EXAMPLES}
    assert {"yamnet", "yamnet-litert", "birdnet-2.4", "perch-1", "perch-2"} <= names
    assert {f"basic-pitch-{kind}" for kind in ("onnx", "litert", "saved-model")} <= names
