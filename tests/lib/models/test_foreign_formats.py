"""One network in four formats gives equal scores; what a format could carry beside its graph is refused."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
tensorflow = pytest.importorskip("tensorflow")
pytest.importorskip("tf2onnx")
pytest.importorskip("ai_edge_litert")

from hubbub.errors import BundleError  # noqa: E402
from hubbub.models.opening import check_model, open_model  # noqa: E402
from tests.data.music import write_scale  # noqa: E402
from tests.data.networks import RATE, WINDOW, write_yaml  # noqa: E402

AGREEMENT = 1e-5
"""Of the same network in two formats."""

FILES = {"keras": "net.keras", "saved-model": "net", "onnx": "net.onnx", "litert": "net.tflite"}
SCORES = {
    "keras": ("scores", "embedding"),
    "saved-model": ("output_0", "output_1"),
    "onnx": ("Identity:0", "Identity_1:0"),
    "litert": ("output_0", "output_1"),
}
"""What exporters call the two outputs."""


def save_everywhere(model: Any, folder: Path) -> None:
    """Save a network in all formats."""
    model.save(folder / "net.keras")
    model.export(folder / "net", verbose=False)
    model.export(folder / "net.onnx", format="onnx", verbose=False)
    converter = tensorflow.lite.TFLiteConverter.from_saved_model(str(folder / "net"))
    (folder / "net.tflite").write_bytes(converter.convert())


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of waveforms with scores and embeddings, and one of spectrograms in a folder beside it."""
    folder = tmp_path_factory.mktemp("networks")
    keras.utils.set_random_seed(1)
    layers = keras.layers
    audio = keras.Input((WINDOW,), name="audio")
    hidden = layers.Reshape((WINDOW, 1))(audio)
    hidden = layers.Conv1D(4, 40, strides=20, activation="relu", name="filters")(hidden)
    hidden = layers.GlobalAveragePooling1D(name="pool")(hidden)
    embedding = layers.Dense(5, name="embedding")(hidden)
    scores = layers.Dense(3, activation="sigmoid", name="scores")(layers.Rescaling(40.0)(embedding))
    save_everywhere(keras.Model(audio, [scores, embedding]), folder)
    image = keras.Input((6, 11, 1), name="image")  # bands first
    hidden = layers.GlobalAveragePooling2D()(layers.Conv2D(3, 3, activation="relu")(image))
    (folder / "image").mkdir()
    scores = layers.Dense(3, activation="sigmoid", name="scores")(layers.Rescaling(0.1)(hidden))
    save_everywhere(keras.Model(image, scores), folder / "image")
    return folder


def windows(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.3, (count, WINDOW)).astype(np.float32)


@pytest.mark.parametrize("kind", FILES)
def test_all_formats_score_and_embed_equally(networks: Path, kind: str):
    score, embedding = SCORES[kind]
    outputs = {"scores": {"name": score}, "embeddings": {"name": embedding}}
    model = open_model(write_yaml(networks, kind=kind, file=FILES[kind], outputs=outputs))
    reference = keras.saving.load_model(networks / "net.keras")
    scores, embeddings = reference.predict_on_batch(windows(11))
    features = model.prepare(windows(11))
    np.testing.assert_allclose(model.predict(features), scores, atol=AGREEMENT)
    np.testing.assert_allclose(model.embed(features), embeddings, atol=AGREEMENT)
    assert model.dimension == 5
    assert 0.05 < scores.std()  # scores that are all alike would hide a mistake


@pytest.mark.parametrize("kind", FILES)
def test_all_formats_hear_features(networks: Path, kind: str):
    frontend = {"name": "log-mel", "sample_rate": RATE, "n_fft": 64, "hop_samples": 40, "n_mels": 6}
    path = write_yaml(
        networks / "image",
        kind=kind,
        file=FILES[kind],
        sample_rate=None,
        window_samples=None,
        features={"frontend": frontend, "windows": {"duration_s": WINDOW / RATE}},
        input={"layout": ["batch", "band", "frame", 1]},
        outputs={"scores": {}},
    )
    model = open_model(path)
    features = model.prepare(windows(5))
    reference = keras.saving.load_model(networks / "image" / "net.keras")
    expected = reference.predict_on_batch(features.astype(np.float32).transpose(0, 2, 1)[..., None])
    np.testing.assert_allclose(model.predict(features), expected, atol=AGREEMENT)


@pytest.mark.parametrize(("kind", "name"), [("keras", "pool"), ("litert", None)])
def test_what_lies_inside_a_network_may_be_the_embedding(networks: Path, kind: str, name: str | None):
    """A layer of a Keras file, a tensor of a LiteRT file: by its name."""
    whole = load(networks)
    expected = keras.Model(whole.inputs, whole.get_layer("pool").output).predict_on_batch(windows(9))
    name = name or find_tensor(networks / "net.tflite", expected)
    outputs = {"scores": {"name": SCORES[kind][0]}, "embeddings": {"name": name}}
    model = open_model(write_yaml(networks, kind=kind, file=FILES[kind], outputs=outputs))
    features = model.prepare(windows(9))
    np.testing.assert_allclose(model.embed(features), expected, atol=AGREEMENT)
    np.testing.assert_allclose(model.predict(features), whole.predict_on_batch(windows(9))[0], atol=AGREEMENT)


def load(networks: Path) -> Any:
    return keras.saving.load_model(networks / "net.keras")


def find_tensor(path: Path, expected: np.ndarray) -> str:
    """Name of the tensor inside a LiteRT file with these values, found without the fast kernels."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        str(path),
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], (9, WINDOW))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], windows(9))
    interpreter.invoke()
    for tensor in interpreter.get_tensor_details():
        if tuple(tensor["shape"]) == expected.shape:
            if np.allclose(interpreter.get_tensor(tensor["index"]), expected, atol=AGREEMENT):
                return tensor["name"]
    raise AssertionError("the file has no such tensor")


# Basic Pitch in three formats


def test_basic_pitch_agrees_in_all_its_formats(tmp_path: Path):
    """By the examples of the documentation: scores of frames within 1e-3."""
    found = importlib.util.find_spec("basic_pitch")
    if found is None or found.origin is None:
        pytest.skip("basic-pitch, a wheel with weights, is not installed: make install")
    weights = Path(found.origin).parent / "saved_models" / "icassp_2022"
    shutil.copytree(weights / "nmp", tmp_path / "nmp")
    for name in ("nmp.onnx", "nmp.tflite"):
        shutil.copy(weights / name, tmp_path)
    for example in (Path(__file__).resolve().parents[3] / "docs" / "models").glob("basic-pitch*"):
        shutil.copy(example, tmp_path)
    import soundfile

    samples, _ = soundfile.read(write_scale(tmp_path / "scale.wav"), dtype="float32")
    scored = {}
    for kind in ("onnx", "litert", "saved-model"):
        model = open_model(tmp_path / f"basic-pitch-{kind}.yaml")
        frames = model.frames  # type: ignore[attr-defined]
        block = np.zeros((2 * frames.halo + 3 * frames.multiple, 1), np.float32)
        block[frames.halo : frames.halo + len(samples), 0] = samples[: len(block) - frames.halo]
        scored[kind] = model.score_block(block)  # type: ignore[attr-defined]
    assert scored["onnx"].max() > 0.5
    for kind in ("litert", "saved-model"):
        assert np.abs(scored[kind] - scored["onnx"]).max() <= 1e-3


# A model is data


def run_and_save(tensor: Any) -> Any:
    os.mkdir("hacked")
    return tensor


@keras.saving.register_keras_serializable(package="tests")
class Custom(keras.layers.Layer):
    """A layer that is not Keras's own."""

    def call(self, values: Any) -> Any:
        return values


def save_layer(folder: Path, layer: Any) -> None:
    keras.Sequential([keras.Input((WINDOW,)), layer, keras.layers.Dense(3)]).save(folder / "net.keras")


def edit_config(folder: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    """Change the description in a Keras file."""
    path = folder / "net.keras"
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(held["config.json"])
    edit(config)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (held | {"config.json": json.dumps(config).encode()}).items():
            archive.writestr(name, data)


def name_module(config: dict[str, Any]) -> None:
    config["config"]["layers"][1] |= {"module": "os", "class_name": "system", "registered_name": None}


def name_tool(config: dict[str, Any]) -> None:
    """Something of Keras that is no part of a network, and writes files."""
    config["config"]["layers"][1] |= {
        "module": "keras.callbacks",
        "class_name": "CSVLogger",
        "config": {"filename": "hacked"},
        "registered_name": "CSVLogger",
    }


def name_switch(config: dict[str, Any]) -> None:
    """Keras's own switch to unsafe loading, as a function that an initializer would be."""
    config["config"]["layers"][1]["config"]["kernel_initializer"] = {
        "module": "keras.config",
        "class_name": "function",
        "config": "enable_unsafe_deserialization",
        "registered_name": "enable_unsafe_deserialization",
    }


HOSTILE: list[tuple[Callable[[Path], Any], str]] = [
    (
        lambda folder: save_layer(folder, keras.layers.Lambda(lambda x: run_and_save(x))),
        "a Lambda layer, which is code",
    ),
    (lambda folder: save_layer(folder, Custom()), "the custom class .*Custom"),
    (lambda folder: edit_config(folder, name_module), r"the custom class os\.system"),
    (lambda folder: edit_config(folder, name_tool), r"the custom class keras\.callbacks\.CSVLogger"),
    (lambda folder: edit_config(folder, name_switch), "the function enable_unsafe_deserialization"),
]


@pytest.mark.parametrize(("make", "message"), HOSTILE, ids=["lambda", "custom", "module", "tool", "switch"])
def test_code_in_a_keras_file_is_refused(
    tmp_path: Path, make: Callable[[Path], Any], message: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    save_layer(tmp_path, keras.layers.Dense(4))
    make(tmp_path)
    shutil.rmtree(tmp_path / "hacked", ignore_errors=True)  # building the layer called it
    with pytest.raises(BundleError, match=f"net.keras holds {message}.*a model is data"):
        check_model(write_yaml(tmp_path, kind="keras", file="net.keras", outputs={"scores": {}}))
    assert not (tmp_path / "hacked").exists()


def test_a_keras_file_of_its_own_layers_is_opened(tmp_path: Path):
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((WINDOW,)),
            layers.Dense(4, activation=keras.activations.gelu, kernel_regularizer="l2"),
            layers.Dropout(0.5),
            layers.BatchNormalization(),
            layers.Dense(3, activation="softmax", kernel_initializer=keras.initializers.GlorotUniform(3)),
        ]
    )
    model.compile("adam", loss=lambda true, given: given)  # how it was trained is not loaded
    with pytest.warns(UserWarning, match="lambda"):
        model.save(tmp_path / "net.keras")
    found = open_model(write_yaml(tmp_path, kind="keras", file="net.keras", outputs={"scores": {}}))
    np.testing.assert_allclose(
        found.predict(found.prepare(windows(2))), model.predict_on_batch(windows(2)), atol=AGREEMENT
    )


def save_function(folder: Path, function: Callable[[Any], Any], *, sign: bool = True, name: str = "serving_default"):
    """Save a function of windows as a SavedModel."""
    module = tensorflow.Module()
    module.call = tensorflow.function(function)
    spec = tensorflow.TensorSpec([None, WINDOW], tensorflow.float32, name="audio")
    signatures = {name: module.call.get_concrete_function(spec)} if sign else None
    tensorflow.saved_model.save(module, str(folder / "net"), signatures=signatures)


def call_python(audio: Any) -> Any:
    return {"scores": tensorflow.py_function(run_and_save, [audio[:, :3]], tensorflow.float32)}


def call_numpy(audio: Any) -> Any:
    return {"scores": tensorflow.numpy_function(run_and_save, [audio[:, :3]], tensorflow.float32)}


def write_file(audio: Any) -> Any:
    tensorflow.io.write_file("hacked/x", "x")
    return {"scores": audio[:, :3]}


def read_file_in_branch(audio: Any) -> Any:
    """The operation lies in a function that a function calls."""
    length = tensorflow.cond(
        audio[0, 0] > 0, lambda: tensorflow.strings.length(tensorflow.io.read_file("/etc/passwd")), lambda: 0
    )
    return {"scores": audio[:, :3] + tensorflow.cast(length, tensorflow.float32)}


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (call_python, "run Python code: EagerPyFunc"),
        (call_numpy, "run Python code: PyFunc"),
        (write_file, "reach files or other programs: WriteFile"),
        (read_file_in_branch, "reach files or other programs: ReadFile"),
    ],
    ids=["py_function", "numpy_function", "write_file", "read_file"],
)
def test_operations_that_leave_the_graph_are_refused(
    tmp_path: Path, function: Callable[[Any], Any], message: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    save_function(tmp_path, function)
    with pytest.raises(BundleError, match=f"net needs operations that {message}; a model is data"):
        check_model(write_yaml(tmp_path, kind="saved-model", file="net"))
    assert not (tmp_path / "hacked").exists()


def test_a_signature_is_chosen_by_name_or_its_own_are_listed(tmp_path: Path):
    save_function(tmp_path, lambda audio: {"scores": tensorflow.sigmoid(audio[:, :3])}, name="listen")
    with pytest.raises(BundleError, match=r"has no signature 'serving_default' \(its own: listen\); give one"):
        check_model(write_yaml(tmp_path, kind="saved-model", file="net"))
    model = open_model(write_yaml(tmp_path, kind="saved-model", file="net", signature="listen"))
    samples = windows(2)
    np.testing.assert_allclose(model.predict(model.prepare(samples)), 1 / (1 + np.exp(-samples[:, :3])), atol=AGREEMENT)


def test_a_saved_model_without_signature_is_refused(tmp_path: Path):
    save_function(tmp_path, lambda audio: audio, sign=False)
    with pytest.raises(BundleError, match=r"\(its own: none\); give one of its own as signature, or export the model"):
        check_model(write_yaml(tmp_path, kind="saved-model", file="net"))


def test_words_and_weights_of_a_saved_model_are_loaded(tmp_path: Path):
    """Lookup tables are filled from the model's assets, as those of public releases are."""
    (tmp_path / "words.txt").write_text("dog\nrain\n")
    module = tensorflow.Module()
    source = tensorflow.lookup.TextFileInitializer(
        str(tmp_path / "words.txt"),
        tensorflow.string,
        tensorflow.lookup.TextFileIndex.WHOLE_LINE,
        tensorflow.int64,
        tensorflow.lookup.TextFileIndex.LINE_NUMBER,
    )
    module.table = tensorflow.lookup.StaticHashTable(source, -1)
    module.scale = tensorflow.Variable(0.5)

    @tensorflow.function(input_signature=[tensorflow.TensorSpec([None, WINDOW], tensorflow.float32, name="audio")])
    def call(audio: Any) -> Any:
        rain = tensorflow.cast(module.table.lookup(tensorflow.constant(["rain"])), tensorflow.float32)
        return {"scores": 0 * audio[:, :3] + module.scale * rain}

    module.call = call
    tensorflow.saved_model.save(module, str(tmp_path / "net"), signatures=call)
    model = open_model(write_yaml(tmp_path, kind="saved-model", file="net"))
    np.testing.assert_array_equal(model.predict(model.prepare(windows(2))), np.full((2, 3), 0.5, np.float32))


def test_a_damaged_saved_model_is_told(networks: Path, tmp_path: Path):
    shutil.copytree(networks / "net", tmp_path / "net")
    path = write_yaml(tmp_path, kind="saved-model", file="net", outputs={"scores": {"name": "output_0"}})
    data = (tmp_path / "net" / "variables" / "variables.index").read_bytes()
    (tmp_path / "net" / "variables" / "variables.index").write_bytes(data[:10])
    with pytest.raises(BundleError, match="net cannot be loaded"):
        check_model(path)
    (tmp_path / "net" / "saved_model.pb").write_bytes(b"\xff" * 99)
    with pytest.raises(BundleError, match="saved_model.pb is damaged or no SavedModel"):
        check_model(path)


def test_a_lite_file_that_needs_tensorflow_is_refused_with_what_it_needs(tmp_path: Path):
    """As converters write it where LiteRT has no operation of its own."""
    save_function(tmp_path, lambda audio: {"scores": tensorflow.math.cumulative_logsumexp(audio[:, :3], 1)})
    converter = tensorflow.lite.TFLiteConverter.from_saved_model(str(tmp_path / "net"))
    converter.target_spec.supported_ops = [
        tensorflow.lite.OpsSet.TFLITE_BUILTINS,
        tensorflow.lite.OpsSet.SELECT_TF_OPS,
    ]
    (tmp_path / "net.tflite").write_bytes(converter.convert())
    with pytest.raises(BundleError, match=r"operations of TensorFlow \(Flex\).*: FlexCumulativeLogsumexp; export"):
        check_model(write_yaml(tmp_path, kind="litert", file="net.tflite"))


def test_a_lite_file_with_operations_of_its_own_is_refused(networks: Path, tmp_path: Path):
    from ai_edge_litert import schema_py_generated as schema

    held = schema.ModelT.InitFromObj(schema.Model.GetRootAs((networks / "net.tflite").read_bytes(), 0))
    held.operatorCodes[0] = schema.OperatorCodeT(builtinCode=32, deprecatedBuiltinCode=32, customCode=b"Evil\x1b[2J")
    import flatbuffers

    builder = flatbuffers.Builder(0)
    builder.Finish(held.Pack(builder), b"TFL3")
    (tmp_path / "net.tflite").write_bytes(bytes(builder.Output()))
    with pytest.raises(BundleError, match=r"custom operations, which are code and not data: Evil\\x1b\[2J;"):
        check_model(write_yaml(tmp_path, kind="litert", file="net.tflite"))


def test_threads_are_those_of_the_worker(monkeypatch: pytest.MonkeyPatch):
    from hubbub.models.runtimes import count_threads

    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert count_threads() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")  # of loops within loops
    assert count_threads() == 4
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert count_threads() == 1
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert count_threads() == 1


@pytest.mark.parametrize(
    ("kind", "module", "message"),
    [
        ("litert", "ai_edge_litert.interpreter", r"needs ai-edge-litert, not installed here .*'hubbub\[litert\]'"),
        ("onnx", "onnx", r"needs onnx, not installed here .*'hubbub\[onnx\]'"),
        ("saved-model", "tensorflow", r"needs tensorflow, not installed here .*'hubbub\[cpu\]'"),
        ("keras", "keras", r"needs keras, not installed here .*'hubbub\[cpu\]'"),
    ],
)
def test_a_runtime_that_is_missing_is_named_with_its_extra(
    networks: Path, kind: str, module: str, message: str, monkeypatch: pytest.MonkeyPatch
):
    import sys

    monkeypatch.setitem(sys.modules, module, None)  # type: ignore[arg-type]  # as Python says that there is none
    path = write_yaml(networks, kind=kind, file=FILES[kind], outputs={"scores": {"name": SCORES[kind][0]}})
    with pytest.raises(BundleError, match=message):
        check_model(path)
