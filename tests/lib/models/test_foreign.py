"""Models of others as ONNX files: windows in any layout are scored as NumPy scores them, and what does not fit is told.

The other formats are in `test_foreign_formats`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st

pytest.importorskip("onnx")

from hubbub.errors import BundleError  # noqa: E402
from hubbub.models.foreign import ForeignModel  # noqa: E402
from hubbub.models.foreign_files import read_foreign  # noqa: E402
from hubbub.models.layouts import arrange, read_output  # noqa: E402
from hubbub.models.opening import check_model, open_model, read_description  # noqa: E402
from tests.data.networks import (  # noqa: E402
    RATE,
    WINDOW,
    save_onnx,
    score_frames,
    sigmoid,
    weights,
    write_frames,
    write_windows,
    write_yaml,
)
from tests.examples import count_examples

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


@pytest.mark.parametrize(
    ("activation", "asked", "message"),
    [
        ("Softmax", {"activation": "softmax"}, "add up to 1 already; give activation: none, exclusive: true"),
        ("Sigmoid", {"activation": "sigmoid"}, "lie between 0 and 1 already; give activation: none"),
        ("Sigmoid", {"exclusive": True}, r"a window of noise add up to \d.*; leave exclusive out"),
    ],
)
def test_an_activation_that_is_there_already_is_told(
    tmp_path: Path, activation: str, asked: dict[str, Any], message: str
):
    many = [f"label {number}" for number in range(60)]
    path = write_windows(
        tmp_path, activation=activation, n_labels=60, labels=many, outputs={"scores": {"name": "scores"} | asked}
    )
    with pytest.raises(BundleError, match=message):
        open_model(path)
    assert open_model(write_windows(tmp_path, activation=activation, n_labels=60, labels=many)).labels == many


def test_samples_along_the_batch_are_told(tmp_path: Path):
    from onnx import helper

    nodes = [helper.make_node("Sigmoid", ["audio"], ["scores"])]
    save_onnx(tmp_path / "net.onnx", nodes, {"audio": ["n", WINDOW]}, {"scores": ["n", WINDOW]}, {})
    path = write_yaml(tmp_path, input={"layout": ["sample", "batch"]})
    with pytest.raises(BundleError, match=r"the 400 samples of a window lie where the layout \[sample, batch\] has"):
        open_model(path)


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
@trials(max_examples=count_examples(15), deadline=None)
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
