"""The whole circle: label, suggest, hear, index, embed, train; and the model is better for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

import hubbub
from tests.tone_model import RATE, WINDOW, write_tone_model

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
pytest.importorskip("keras")

LABELS = {"hoot": 680.0, "whistle": 2600.0}
WINDOW_S = WINDOW / RATE


def make_window(label: str, random: np.random.Generator, *, has_hiss: bool) -> np.ndarray:
    """Half a second of a label's tone, and maybe of hiss above it."""
    time = np.arange(WINDOW) / RATE
    hz = LABELS[label] * random.uniform(0.99, 1.01)
    sound = 0.03 * np.sin(2 * np.pi * hz * time) + 0.002 * random.normal(size=WINDOW)
    if has_hiss:
        sound += 0.06 * np.sin(2 * np.pi * (3500 * time + 40 * np.cumsum(random.normal(size=WINDOW)) / RATE))
    return sound.astype(np.float32)


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every hoot was recorded where it hisses, no whistle was: a model learns the hiss."""
    folder, random = tmp_path_factory.mktemp("training"), np.random.default_rng(0)
    for label in LABELS:
        (folder / label).mkdir()
        for number in range(6):
            sound = make_window(label, random, has_hiss=label == "hoot")
            soundfile.write(folder / label / f"{label}-{number}.wav", sound, RATE)
    return folder


def write_archive(folder: Path, seed: int) -> pd.DataFrame:
    """Recordings of twenty windows each, where it hisses now and then whatever calls; and what is in each window."""
    folder.mkdir()
    random, truth = np.random.default_rng(seed), []
    for name in ("north.wav", "south.wav", "west.wav"):
        labels = random.choice(list(LABELS), 20)
        sounds = [make_window(label, random, has_hiss=random.random() < 0.5) for label in labels]
        soundfile.write(folder / name, np.concatenate(sounds), RATE)
        truth += [{"uri": name, "start_s": n * WINDOW_S, "label": label} for n, label in enumerate(labels)]
    return pd.DataFrame(truth)


def label_archive(folder: Path, bundle: Path, out: Path) -> hubbub.LabelTables:
    return hubbub.label(folder, bundle, out, hop_s=WINDOW_S, cluster="serial")


def share_right(tables: hubbub.LabelTables, truth: pd.DataFrame) -> float:
    """Share of the windows whose highest score is at their label."""
    windows = tables.windows().merge(truth, on=["uri", "start_s"])
    assert len(windows) == len(truth)
    best = np.stack(windows["scores"].to_list()).argmax(axis=1)
    return float((np.array(tables.labels)[best] == windows["label"]).mean())


@pytest.mark.slow
def test_a_person_who_listens_makes_the_model_better(training: Path, tmp_path: Path):
    model = write_tone_model(tmp_path / "model")
    table, store, bundle = tmp_path / "clips.parquet", tmp_path / "store", tmp_path / "bundle"
    hubbub.index(training, table)
    hubbub.embed(table, store, model=model, cluster="serial")
    hubbub.train(store, bundle, model="dense", epochs=20)

    truth = write_archive(tmp_path / "archive", seed=1)
    labels = label_archive(tmp_path / "archive", bundle, tmp_path / "labels")
    hubbub.suggest(labels, tmp_path / "suggestions", strategy="balanced", count=40, exclude=[table])

    path = tmp_path / "suggestions" / "suggestions.csv"
    suggestions = pd.read_csv(path)
    assert suggestions["uri"].nunique() == 3
    names = suggestions["uri"].map(lambda uri: Path(uri).name)
    heard = suggestions.assign(uri=names)[["uri", "start_s"]].merge(truth, how="left")["label"]
    is_right = heard == suggestions["suggested"]
    verdicts = suggestions.assign(verdict=is_right.map({True: "right", False: "wrong"}), label=heard.where(~is_right))
    verdicts.to_csv(path, index=False)

    assert len(hubbub.index(tmp_path / "suggestions", table, append=True)) == 12 + 40
    hubbub.embed(table, store, cluster="serial")  # only what is new
    hubbub.train(store, tmp_path / "better", model="dense", epochs=20)

    unseen = write_archive(tmp_path / "unseen", seed=2)
    before = share_right(label_archive(tmp_path / "unseen", bundle, tmp_path / "before"), unseen)
    after = share_right(label_archive(tmp_path / "unseen", tmp_path / "better", tmp_path / "after"), unseen)
    assert before < 0.8
    assert after > 0.95

    # A head scores the rows of any store of its model's embeddings.
    rows = hubbub.embed(tmp_path / "unseen", tmp_path / "rows", model=model, hop_s=WINDOW_S / 2, cluster="serial")
    hoots = hubbub.suggest(
        rows, tmp_path / "hoots", strategy="top", labels=["hoot"], model=tmp_path / "better", count=5
    )
    assert hoots.rows["suggested"].to_pylist() == ["hoot"] * 5
    names = [(Path(row["uri"]).name, row["start_s"]) for row in hoots.rows.to_pylist()]
    heard = dict(zip(zip(unseen["uri"], unseen["start_s"], strict=True), unseen["label"], strict=True))
    assert {heard.get(name, "between two") for name in names} <= {"hoot", "between two"}
    other = write_tone_model(tmp_path / "other-model", least=1e-3)
    others = hubbub.embed(tmp_path / "unseen", tmp_path / "others", model=other, cluster="serial")
    with pytest.raises(hubbub.errors.BundleError, match="scores other features"):
        hubbub.suggest(others, tmp_path / "none", strategy="top", model=tmp_path / "better")
