"""The summary: librosa's own means, padding left out, one line an example, whatever the shards."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import pytest
import soundfile

from hubbub.clips.index import index_listing
from hubbub.clips.sources import Columns, list_source
from hubbub.config import load_settings
from hubbub.engine.serial import SerialEngine
from hubbub.errors import StorageError
from hubbub.planning.plan import plan_features
from hubbub.store.features import FeatureStore
from hubbub.store.opening import create_store, open_store
from hubbub.store.rows import row_schema
from hubbub.store.summary import SUMMARY, write_summary
from hubbub.tasks.extract import ExtractTask

MEANS_TOLERANCE = 1e-5
"""Relative: seven digits are written of means that are sums of float32 values."""

RATE = 8000
SMALL = ["frontend.sample_rate=8000", "frontend.n_fft=512", "frontend.hop_samples=256", "windows.duration_s=1"]


def store_of(folder: Path, place: Path, *assignments: str) -> FeatureStore:
    table = index_listing(list_source(folder, None, Columns()))[0]
    config = load_settings(None, [*SMALL, "layout.rows_per_chunk=1", "layout.rows_per_shard=2", *assignments])
    store, plan = create_store(place, config, source="here"), plan_features(table, config)
    store.grow(plan.n_shards)
    list(SerialEngine().run(ExtractTask(store, table.root, row_schema(table.rows.schema)), plan.units()))
    return open_store(place)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for name, seconds in (("dog/a", 1.0), ("dog/b", 0.4), ("rain, or hail/c", 3.3)):
        path = tmp_path / "sounds" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, random.normal(0, 0.1, round(seconds * RATE)), RATE, subtype="FLOAT")
    return tmp_path / "sounds"


def test_means_are_those_over_all_frames_of_sound(folder: Path, tmp_path: Path):
    store = store_of(folder, tmp_path / "store", "frontend.name=descriptors", "windows.mode=all")
    assert write_summary(store, tmp_path / SUMMARY) == 3
    table = pd.read_csv(tmp_path / SUMMARY).set_index("uri")
    rows = store.rows()
    for uri, part in rows.groupby("uri"):
        values = store.read_rows(part["row"].to_numpy())
        sound = np.concatenate([v[:n] for v, n in zip(values, part["valid_frames"], strict=True)])
        assert table.loc[uri, "frames"] == len(sound)
        means = table.loc[uri, store.band_names].to_numpy(float)
        np.testing.assert_allclose(means, sound.mean(axis=0, dtype=np.float64), rtol=MEANS_TOLERANCE, atol=1e-9)
    assert table["label"].to_dict() == {
        "dog/a.wav": "dog",
        "dog/b.wav": "dog",
        "rain, or hail/c.wav": "rain, or hail",
    }


def test_the_mean_centroid_is_librosas(folder: Path, tmp_path: Path):
    """What a notebook computes of one clip, from the file on."""
    store = store_of(folder, tmp_path / "store", "frontend.name=descriptors", "frontend.precision=float64")
    write_summary(store, tmp_path / SUMMARY)
    table = pd.read_csv(tmp_path / SUMMARY).set_index("uri")
    samples, _ = librosa.load(folder / "dog" / "a.wav", sr=RATE)
    spectrum = {"n_fft": 512, "hop_length": 256}
    magnitude = np.abs(librosa.stft(samples.astype(np.float64), pad_mode="constant", **spectrum))
    expected = librosa.feature.spectral_centroid(S=magnitude, sr=RATE).mean()
    assert table.loc["dog/a.wav", "spectral_centroid"] == pytest.approx(expected, rel=MEANS_TOLERANCE)


def test_any_frontend_has_a_summary(folder: Path, tmp_path: Path):
    store = store_of(folder, tmp_path / "store", "frontend.n_mels=5")
    write_summary(store, tmp_path / SUMMARY)
    assert list(pd.read_csv(tmp_path / SUMMARY).columns[-5:]) == store.band_names


def test_failed_clips_have_no_line(folder: Path, tmp_path: Path):
    (folder / "dog" / "text.wav").write_text("no sound")
    store = store_of(folder, tmp_path / "store")
    assert write_summary(store, tmp_path / SUMMARY) == 3


def test_what_cannot_be_written_leaves_nothing(folder: Path, tmp_path: Path):
    store = store_of(folder, tmp_path / "store")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write"):
        write_summary(store, tmp_path / "file" / SUMMARY)
