"""`hubbub embed`, and heads on what it made: trained, measured, and labelling with the numbers that training saw."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

import hubbub as library
from tests.jobs.command import hubbub, refuse, succeed
from tests.tone_model import BANDS, RATE, WINDOW, write_tone_model

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

WINDOW_S = WINDOW / RATE
TONES = {"hum": 680.0, "ring": 2600.0, "buzz": 1400.0}
FLOAT16 = 1e-3
"""What label tables round scores to."""


def write_sound(path: Path, labels: list[str], seconds: float, seed: int, rate: int = RATE) -> None:
    """Write the labels' tones in noise."""
    random, time = np.random.default_rng(seed), np.arange(round(seconds * rate)) / rate
    sound = 0.02 * random.normal(size=len(time))
    for label in labels:
        sound += 0.1 * np.sin(2 * np.pi * TONES[label] * random.uniform(0.97, 1.03) * time + random.uniform(0, 6))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound.astype(np.float32), rate)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tone_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network, said to hear another rate."""
    path = write_tone_model(tmp_path_factory.mktemp("other"))
    path.write_text(path.read_text().replace("sample_rate: 8000", "sample_rate: 16000").replace("hop_s: 0.5", ""))
    return path


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A class a sub-folder, eight clips each, of 0.4 to 1.5 s at three rates."""
    folder = tmp_path_factory.mktemp("sounds")
    for label in TONES:
        for number in range(8):
            path = folder / label / f"{label}-{number}.wav"
            write_sound(path, [label], 0.4 + 0.15 * number, number, (8000, 16_000, 44_100)[number % 3])
    return folder


@pytest.fixture(scope="module")
def clips(sounds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "clips.parquet"
    succeed("index", sounds, "-o", path)
    return path


@pytest.fixture(scope="module")
def store(clips: Path, model: Path) -> Path:
    """A store of the clips' embeddings, which tests only read."""
    path = clips.with_name("store")
    succeed("embed", clips, "--model", model, "-o", path, "--cluster", "serial")
    return path


def embed(*words: object, **options: object) -> str:
    return succeed("embed", *words, "--cluster", "serial", **options)


def test_an_archive_is_embedded_once_and_grows(model: Path, tmp_path: Path) -> None:
    archive, store = tmp_path / "archive", tmp_path / "store"
    for number in range(3):
        write_sound(archive / f"{number}.wav", ["hum"], 1.0, number)
    write_sound(archive / "deep" / "long.flac", ["ring"], 40.0, 9)
    (archive / "torn.wav").write_bytes(b"RIFF")
    plan = succeed("embed", archive, "--model", model, "-o", store, "--dry-run")
    assert "5 clips, 87 windows" in plan
    assert not store.exists()

    done = hubbub("embed", archive, "--model", model, "-o", store, "--cluster", "serial")
    assert done.returncode == 1
    assert "failed: torn.wav: DecodeError" in done.stderr
    rows = library.open_store(store).rows()
    assert rows.groupby("uri").size().to_dict() == {"0.wav": 2, "1.wav": 2, "2.wav": 2, "deep/long.flac": 80}
    assert library.open_store(store).read_rows([0]).shape == (1, 1, BANDS)

    write_sound(archive / "new.wav", ["buzz"], 0.7, 5)
    again = hubbub("embed", archive, "-o", store, "--cluster", "serial")  # by the model that the store keeps
    assert again.returncode == 1
    assert "│to do                     │ 1 clip, 2 windows" in again.stdout
    write_sound(archive / "torn.wav", ["buzz"], 0.7, 6)
    (archive / "0.wav").unlink()
    said = embed(archive, "-o", store, "--retry-failed")
    assert "5 │" not in said
    rows = library.open_store(store).rows()
    assert sorted(set(rows["uri"])) == ["1.wav", "2.wav", "deep/long.flac", "new.wav", "torn.wav"]
    assert "problems  │ 0" in succeed("verify", store)
    assert "16 values, embeddings by tones" in succeed("info", store)
    succeed("compact", store, "--cluster", "serial")
    after = library.open_store(store)
    assert len(after.rows()) == len(rows)
    assert "problems  │ 0" in succeed("verify", store)


def test_labels_and_columns_of_a_clip_table_are_carried_along(store: Path) -> None:
    rows = library.open_store(store).rows()
    assert rows["labels"].map(lambda names: names[0]).value_counts().to_dict() == dict.fromkeys(TONES, 18)
    said = succeed("features", "--help")
    assert "embedding" not in said


def test_a_second_model_is_refused_with_both_hashes(clips: Path, model: Path, other_model: Path, store: Path) -> None:
    from hubbub.models.opening import read_description

    said = refuse("embed", clips, "--model", other_model, "-o", store, "--cluster", "serial")
    for path in (model, other_model):
        assert read_description(path)["model_hash"] in said
    assert "Another model is another store: give another -o" in said


REFUSALS = {
    "hop": (["--hop", "0.2"], "--hop 0.2: {store} was built with 0.5; leave --hop out to grow it"),
    "dtype": (["--dtype", "float16"], "--dtype float16: {store} was built with float32"),
    "no dtype": (["--dtype", "int8"], "--dtype int8: expected float32 or float16"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_store_grows_as_it_was_built(clips: Path, store: Path, name: str) -> None:
    words, said = REFUSALS[name]
    assert said.format(store=store) in refuse("embed", clips, "-o", store, *words, "--cluster", "serial")


def test_what_is_no_way_to_embed_is_refused(clips: Path, model: Path, store: Path, tmp_path: Path) -> None:
    serial = ("--cluster", "serial")
    assert "--model is missing" in refuse("embed", clips, "-o", tmp_path / "new", *serial)
    hop = refuse("embed", clips, "--model", model, "-o", tmp_path / "new", "--hop", "0.6", *serial)
    assert "--hop 0.6: expected more than 0 and at most the model's window, 0.5 s" in hop
    grown = refuse("features", clips, "-o", store, *serial)
    assert f"holds embeddings, which a model makes; grow it with: hubbub embed CLIPS -o {store}" in grown
    by_hand = refuse("features", clips, "-o", tmp_path / "new", "--set", "frontend.name=embedding", *serial)
    assert "rows of 'embedding' are made by a model; use hubbub embed CLIPS" in by_hand
    scores_only = model.with_name("scores.yaml")
    scores_only.write_text(
        model.read_text().replace("embeddings: {name: embedding}", "scores: {name: embedding, activation: sigmoid}")
        + f"labels: [{', '.join(map(chr, range(97, 113)))}]\n"
    )
    said = refuse("embed", clips, "--model", scores_only, "-o", tmp_path / "new", *serial)
    assert "names no outputs.embeddings" in said
    succeed("features", clips, "-o", tmp_path / "plain", "--set", "windows.duration_s=0.5", *serial)
    assert "holds features (log-mel), no embeddings; give another -o" in refuse(
        "embed", clips, "--model", model, "-o", tmp_path / "plain", *serial
    )
    head = refuse("train", tmp_path / "plain", "-o", tmp_path / "head", "--model", "linear")
    assert "linear trains on embeddings, and" in head
    default = refuse("train", store, "-o", tmp_path / "head", "--model", "default")
    assert "default trains on spectrograms, and" in default
    assert "use --model linear or dense" in default
    assert "holds embeddings, which are no pictures" in refuse("info", store, "--plot", tmp_path / "sheet.png")


def test_verify_tells_of_a_model_that_was_changed(store: Path, tmp_path: Path) -> None:
    copy = tmp_path / "store"
    shutil.copytree(store, copy)
    with open(copy / "model" / "tones.onnx", "ab") as file:
        file.write(b"more")
    said = hubbub("verify", copy)
    assert said.returncode == 1
    assert "no whole copy of the model that makes its embeddings" in said.stdout + said.stderr


# Heads.


@pytest.fixture(scope="module")
def head(store: Path) -> Path:
    pytest.importorskip("keras")
    path = store.with_name("head")
    said = succeed("train", store, "-o", path)
    assert "model: linear, for the store holds embeddings; --model dense trains another head" in said
    return path


def test_a_head_labels_with_the_numbers_that_training_saw(head: Path, store: Path, sounds: Path) -> None:
    out = head.with_name("evaluation")
    assert "accuracy" in succeed("evaluate", head, store, "-o", out)
    predictions = pd.read_parquet(out / "predictions.parquet").set_index("uri")
    labels = head.with_name("labels")
    succeed("label", sounds, "--model", head, "-o", labels, "--hop", WINDOW_S, "--cluster", "serial")
    tables = library.open_labels(labels)
    windows = tables.windows()
    assert tables.labels == sorted(TONES)
    for uri, predicted in predictions.iterrows():
        scored = np.stack(windows.loc[windows["uri"] == uri, "scores"].to_list())
        np.testing.assert_allclose(scored.mean(axis=0), predicted["scores"], atol=FLOAT16)
    evaluation = json.loads((out / "evaluation.json").read_text())
    assert evaluation["accuracy"] == 1.0
    events = tables.events()
    assert {label for uri, label in zip(events["uri"], events["label"], strict=True) if uri.startswith("hum")} == {
        "hum"
    }


def test_a_heads_bundle_is_whole_by_itself(head: Path, sounds: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(head, copy)
    card = (copy / "README.md").read_text()
    assert "as 16 values by the model tones" in card
    assert "It was shown nothing that is none of these" in card
    one = sounds / "hum" / "hum-0.wav"
    succeed("label", one, "--model", copy, "-o", tmp_path / "labels", "--cluster", "serial")
    shutil.rmtree(copy / "backbone")
    assert "holds 0 models" in refuse("label", one, "--model", copy, "-o", tmp_path / "other", "--cluster", "serial")
    head_of = refuse("embed", one, "--model", head, "-o", tmp_path / "new", "--cluster", "serial")
    assert f"is a head on embeddings, which its backbone makes; embed with --model {head}/backbone" in head_of


def test_trials_choose_heads_by_themselves(store: Path, tmp_path: Path) -> None:
    said = succeed("crossval", store, "-o", tmp_path / "run", "--folds", 2, "--dry-run")
    assert re.search(r"│model +│ linear +│", said)
    grid = tmp_path / "grid.yaml"
    words = ("sweep", store, grid, "-o", tmp_path / "sweep", "--split-by", "group", "--dry-run")
    grid.write_text("settings: {model.learning_rate: [0.001, 0.01]}\n")
    assert "linear" in succeed(*words)
    grid.write_text("model: [default]\nsettings: {model.learning_rate: [0.001, 0.01]}\n")
    assert "default trains on spectrograms" in refuse(*words)


@pytest.mark.parametrize("name", [pytest.param("linear", marks=pytest.mark.slow), "dense"])
def test_heads_take_clips_of_several_labels_and_labels_with_few(name: str, model: Path, tmp_path: Path) -> None:
    pytest.importorskip("keras")
    lines = ["file_name,label,fold"]
    sets = [["hum"], ["ring"], ["hum", "ring"], ["hum"], ["ring"], ["hum", "ring"], ["hum"], ["hum", "ring"]]
    for number, labels in enumerate([*sets, *sets, ["buzz"], ["buzz", "hum"]]):
        write_sound(tmp_path / "sounds" / f"{number}.wav", labels, 1.0, number)
        lines.append(f"{number}.wav,{'|'.join(labels)},{1 + number % 3}")
    (tmp_path / "sounds" / "clips.csv").write_text("\n".join(lines) + "\n")
    table, store, bundle = tmp_path / "clips.parquet", tmp_path / "store", tmp_path / "bundle"
    words = ("--label-column", "label", "--fold-column", "fold", "--label-separator", "|")
    succeed("index", tmp_path / "sounds" / "clips.csv", "-o", table, "--path-column", "file_name", *words)
    embed(table, "--model", model, "-o", store)
    succeed("train", store, "-o", bundle, "--model", name, "--test-fold", 1)
    evaluation = library.evaluate(bundle, store)
    assert set(evaluation.predictions) >= {"labels", "called"}
    right = [set(ours) == set(theirs) for ours, theirs in evaluation.predictions[["labels", "called"]].to_numpy()]
    assert np.mean(right) >= 0.5
