"""Models of others as ONNX files: windows in any layout are scored as NumPy scores them, and what does not fit is told.

The other formats are in `test_foreign_formats`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st

pytest.importorskip("onnx")

from hubbub.config.foreign import parse_foreign  # noqa: E402
from hubbub.errors import BundleError, UsageError  # noqa: E402
from hubbub.models.foreign import ForeignModel  # noqa: E402
from hubbub.models.foreign_files import read_foreign  # noqa: E402
from hubbub.models.layouts import arrange, read_output  # noqa: E402
from hubbub.models.opening import check_model, open_model, read_description  # noqa: E402
from tests.data.networks import (  # noqa: E402
    LABELS,
    RATE,
    WINDOW,
    save_onnx,
    score_frames,
    sigmoid,
    weights,
    write_external,
    write_frames,
    write_windows,
    write_yaml,
)

TOLERANCE = 1e-5


def windows(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.3, (count, WINDOW)).astype(np.float32)


def expected_scores(samples: np.ndarray) -> np.ndarray:
    return sigmoid(samples @ weights())


def open_windows(folder: Path, **options: Any) -> ForeignModel:
    model = open_model(write_windows(folder, **options))
    assert isinstance(model, ForeignModel)
    return model


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        # the file's own input, input.layout
        (("n", WINDOW), ["batch", "sample"]),
        (("n", WINDOW, 1), ["batch", "sample", 1]),
        (("n", 1, WINDOW), ["batch", 1, "sample"]),
        ((WINDOW,), ["sample"]),
        ((1, WINDOW), [1, "sample"]),
    ],
    ids=str,
)
def test_windows_are_scored_in_any_layout(tmp_path: Path, shape: tuple[Any, ...], layout: list[Any]):
    model = open_windows(tmp_path, shape=shape, input={"layout": layout})
    samples = windows(19)
    found = model.predict(model.prepare(samples))
    assert (found.shape, found.dtype) == ((19, 3), np.float32)
    np.testing.assert_allclose(found, expected_scores(samples), atol=TOLERANCE)


@pytest.mark.parametrize("fixed", [1, 4])
def test_a_batch_that_the_file_fixes_is_kept(tmp_path: Path, fixed: int):
    from onnx import helper

    nodes = [
        helper.make_node("Gemm", ["audio", "weights"], ["sums"]),
        helper.make_node("Sigmoid", ["sums"], ["scores"]),
    ]
    held = {"weights": weights()}
    save_onnx(tmp_path / "net.onnx", nodes, {"audio": [fixed, WINDOW]}, {"scores": [fixed, 3]}, held)
    model, samples = open_model(write_yaml(tmp_path)), windows(7)
    np.testing.assert_allclose(model.predict(model.prepare(samples)), expected_scores(samples), atol=TOLERANCE)


AXES = ("batch", "frame", "band")


@given(layout=st.permutations([*AXES, 1, 1]), shape=st.tuples(*[st.integers(1, 4)] * 3))
def test_values_are_arranged_by_the_names_of_their_dimensions(layout: list[Any], shape: tuple[int, ...]):
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    found = arrange(values, AXES, tuple(layout))
    for place in np.ndindex(*shape):
        at = dict(zip(AXES, place, strict=True))
        assert found[tuple(at.get(axis, 0) for axis in layout)] == values[place]


@given(layout=st.permutations(["batch", "frame", "label", 1]), shape=st.tuples(*[st.integers(1, 4)] * 3))
def test_outputs_are_read_by_the_names_of_their_dimensions(layout: list[Any], shape: tuple[int, ...]):
    wanted = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    held = arrange(wanted, ("batch", "frame", "label"), tuple(layout))
    found = read_output(held, tuple(layout), "label")
    assert found is not None
    np.testing.assert_array_equal(found, wanted)
    assert read_output(held[..., None], tuple(layout), "label") is None


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9])
def test_a_windows_scores_do_not_depend_on_its_neighbours(tmp_path: Path, count: int):
    model = open_windows(tmp_path)
    features = model.prepare(windows(9))
    np.testing.assert_array_equal(model.predict(features[:count]), model.predict(features)[:count])


def test_logits_become_scores(tmp_path: Path):
    samples = windows(5)
    logits = samples.astype(np.float64) @ weights()
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for activation, expected in (("sigmoid", sigmoid(logits)), ("softmax", softmax)):
        scores = {"name": "scores", "activation": activation}
        model = open_windows(tmp_path, activation=None, outputs={"scores": scores})
        assert model.description["activation"] == activation
        np.testing.assert_allclose(model.predict(model.prepare(samples)), expected, atol=TOLERANCE)


def test_scores_that_share_1_are_told_as_such(tmp_path: Path):
    shared = {"scores": {"name": "scores", "exclusive": True}}
    assert read_description(write_windows(tmp_path, outputs=shared))["activation"] == "softmax"
    assert "activation" not in read_description(write_windows(tmp_path))
    shared["scores"]["activation"] = "sigmoid"
    with pytest.raises(BundleError, match="exclusive: after a sigmoid each label stands alone: remove one of both"):
        open_model(write_windows(tmp_path, outputs=shared))


def test_logits_taken_for_scores_are_refused_before_a_run(tmp_path: Path):
    path = write_windows(tmp_path, activation=None)
    with pytest.raises(BundleError, match=r"gives scores from -\d.* to \d.*, expected 0 to 1.*activation: sigmoid"):
        check_model(path)


def test_windows_may_be_scaled_to_a_peak(tmp_path: Path):
    model = open_windows(tmp_path, input={"peak": 0.25})
    samples = windows(4) + 0.2
    samples[3] = 0.5  # nothing but an offset: silence
    centred = samples - samples.mean(axis=1, keepdims=True)
    centred[3] = 0
    scaled = 0.25 * centred / np.maximum(np.abs(centred).max(axis=1, keepdims=True), 1e-9)
    np.testing.assert_allclose(model.predict(model.prepare(samples)), expected_scores(scaled), atol=TOLERANCE)


def test_embeddings_are_given_where_they_are_named(tmp_path: Path):
    model = open_windows(tmp_path, outputs={"scores": {"name": "scores"}, "embeddings": {"name": "embedding"}})
    samples = windows(11)
    assert model.dimension == 3
    np.testing.assert_allclose(model.embed(model.prepare(samples)), samples @ weights(), atol=TOLERANCE)
    plain = open_windows(tmp_path / "plain")
    assert plain.dimension is None
    with pytest.raises(BundleError, match="names no outputs.embeddings; give them"):
        plain.embed(plain.prepare(samples))


def test_a_model_of_embeddings_alone_has_no_labels(tmp_path: Path):
    write_windows(tmp_path)
    model = open_model(write_yaml(tmp_path, outputs={"embeddings": {"index": 1}}, labels=None))
    assert isinstance(model, ForeignModel)
    assert (model.labels, model.dimension) == ([], 3)


def test_features_are_made_as_hubbub_makes_them(tmp_path: Path):
    """A network that takes a spectrogram gets what the frontend makes, in its own order of dimensions."""
    from onnx import helper

    from hubbub.audio.frontends import compute_features

    frontend = {"name": "mel", "sample_rate": RATE, "n_fft": 64, "hop_samples": 40, "n_mels": 5}
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Sigmoid", ["mean"], ["scores"]),
    ]
    save_onnx(tmp_path / "net.onnx", nodes, {"image": ["n", 1, 11, 5]}, {"scores": ["n", 5]}, {})
    path = write_yaml(
        tmp_path,
        sample_rate=None,
        window_samples=None,
        features={"frontend": frontend, "windows": {"duration_s": WINDOW / RATE}},
        input={"layout": ["batch", 1, "frame", "band"]},
        labels=list("abcde"),
    )
    model, samples = open_model(path), windows(3)
    features = np.stack([compute_features(window, model.settings) for window in samples])
    np.testing.assert_allclose(model.predict(model.prepare(samples)), sigmoid(features.mean(axis=1)), atol=TOLERANCE)


# Frames


@given(seconds=st.floats(0.01, 3), seed=st.integers(0, 3))
@trials(max_examples=15, deadline=None)
def test_windows_that_slide_score_a_recording_as_the_whole(seconds: float, seed: int, tmp_path_factory: Any):
    from hubbub.models.stream import StreamLayout, score_stream_block

    folder = tmp_path_factory.getbasetemp() / "sliding"
    path = folder / "model.yaml"
    model = open_model(path if path.exists() else write_frames(folder))
    assert isinstance(model, ForeignModel)
    assert model.frames is not None
    layout = StreamLayout.of(model.settings, model.frames)
    samples = np.random.default_rng(seed).normal(0, 0.3, round(seconds * RATE)).astype(np.float32)
    found = [
        score_stream_block(model, block.samples[:, None], layout, block.valid)
        for block in layout.block_grid.split(iter(np.array_split(samples, 3)))
    ]
    expected = score_frames(samples)
    np.testing.assert_allclose(np.concatenate(found)[: len(expected)], expected, atol=TOLERANCE)


def test_chunks_of_long_windows_are_about_a_second(tmp_path: Path):
    """Segments are counted in chunks, so that a block of a model that hears ten seconds is no longer than others."""
    from hubbub.models.stream import BLOCK_CHUNKS, StreamLayout

    for seconds in (0.5, 2, 5, 30):
        frames = {"window_samples": round(seconds * RATE), "file": "none.onnx"}
        path = write_frames(tmp_path, **frames)
        (tmp_path / "none.onnx").write_bytes((tmp_path / "net.onnx").read_bytes())
        held = read_description(path)["frames"]
        from hubbub.models.foreign import plan_sliding

        sliding = plan_sliding(read_foreign(path))
        assert sliding is not None
        layout = StreamLayout.of(sliding_settings(path), sliding.frames)
        assert held["multiple"] % layout.chunk == 0 or layout.chunk % held["multiple"] == 0
        assert 0.5 <= layout.chunk / RATE <= 2
        assert layout.core % held["multiple"] == 0
        assert layout.block / RATE <= 2 * BLOCK_CHUNKS + 2 * seconds


def sliding_settings(path: Path) -> Any:
    return read_foreign(path).given.settings


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"frame_s": 0.0111}, "frame_s 0.0111 is 22.2 samples.*expected a whole number, such as frame_s: 0.011"),
        ({"frame_s": 0.02}, "gives 20 frames a window, and outputs.scores.frame_s makes about 10"),
        ({"halo_frames": 10}, "a window has 20 frames of 0.01 s, and 10 at each end are not used"),
    ],
)
def test_frames_that_do_not_fit_are_told(tmp_path: Path, changed: dict[str, Any], message: str):
    scores = {"name": "scores", "layout": ["batch", "frame", "label"], "frame_s": 0.01, "halo_frames": 2}
    path = write_frames(tmp_path, outputs={"scores": scores | changed})
    with pytest.raises(BundleError, match=message):
        open_model(path)


def test_frames_of_unpadded_convolutions_keep_their_place(tmp_path: Path):
    """Such a network has no frames at a window's ends: the first one is not at the window's begin."""
    from hubbub.models.stream import StreamLayout, score_stream_block

    path = write_frames(tmp_path, is_padded=False)
    model = open_model(path)
    assert isinstance(model, ForeignModel)
    assert model.frames is not None
    layout = StreamLayout.of(model.settings, model.frames)
    samples = np.random.default_rng(0).normal(0, 0.3, 3 * RATE).astype(np.float32)
    blocks = layout.block_grid.split(iter([samples]))
    found = [score_stream_block(model, block.samples[:, None], layout, block.valid) for block in blocks]
    expected = score_frames(samples)
    np.testing.assert_allclose(np.concatenate(found)[: len(expected)], expected, atol=TOLERANCE)


def test_frames_without_a_length_are_averaged(tmp_path: Path):
    path = write_frames(tmp_path, outputs={"scores": {"name": "scores", "layout": ["batch", "frame", "label"]}})
    model, samples = open_model(path), windows(3)
    expected = np.stack([score_frames(window).mean(axis=0) for window in samples])
    np.testing.assert_allclose(model.predict(model.prepare(samples)), expected, atol=TOLERANCE)
    assert "frames" not in read_description(path)


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
    by_text = open_windows(tmp_path, labels={"file": "labels.txt"})
    assert by_text.labels == ["Turdus merula_Common Blackbird", "dog", "rain, heavy"]
    by_column = open_windows(tmp_path, labels={"file": "labels.csv", "column": "display_name"})
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
    model, samples = open_model(path), windows(3)
    np.testing.assert_allclose(model.predict(model.prepare(samples)), expected_scores(samples), atol=TOLERANCE)
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


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_a_written_example_is_a_description(path: Path):
    given = parse_foreign(path.read_bytes(), path.name)
    assert given.settings.windows.input_s > 0
    assert len([line for line in path.read_text().splitlines() if not line.startswith("#")]) <= 14


def test_there_is_an_example_of_each_public_release():
    names = {path.name.removesuffix(".yaml") for path in EXAMPLES}
    assert {"yamnet", "yamnet-litert", "birdnet-2.4", "perch-1", "perch-2"} <= names
    assert {f"basic-pitch-{kind}" for kind in ("onnx", "litert", "saved-model")} <= names
