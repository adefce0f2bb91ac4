"""A store, its rows and its bundle in a notebook, and the accessor of xarray."""

from __future__ import annotations

import base64
import io
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

import hubbub
from hubbub.audio.pictures import draw_values
from hubbub.errors import StoreError
from hubbub.models.bundle import read_bundle
from hubbub.store.features import FeatureStore
from hubbub.store.opening import open_store

V1 = Path(__file__).resolve().parents[2] / "data" / "formats" / "v1"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Two tones of half a second each, one of a second, in windows of half a second."""
    folder = tmp_path_factory.mktemp("tones")
    (folder / "sounds" / "<i>hum").mkdir(parents=True)
    for name, seconds in (("a", 0.5), ("b & c", 1.0)):
        wave = 0.3 * np.sin(2 * np.pi * 1000 * np.arange(int(8000 * seconds)) / 8000)
        soundfile.write(folder / "sounds" / "<i>hum" / f"{name}.wav", wave, 8000)
    settings = {
        "frontend": {"sample_rate": 8000, "n_fft": 512, "hop_samples": 250, "n_mels": 16},
        "windows": {"mode": "all", "duration_s": 0.5},
    }
    clips = hubbub.index(folder / "sounds", out=folder / "clips.parquet")
    return hubbub.build_features(clips, folder / "store", settings=settings, cluster="serial")


def test_the_facts_are_small_and_read_no_rows(store: FeatureStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(FeatureStore, "row_table", lambda *_: pytest.fail("facts read no rows"))
    html = store._repr_html_()
    assert len(html) < 3000
    assert f"{store.n_frames} frames x 16 bands, float16" in html
    assert store.settings_hash in html


def test_a_row_is_shown_as_it_is_stored(store: FeatureStore):
    rows = store.rows()
    last = rows[rows["uri"].str.contains("b & c")].iloc[-1]
    shown = store.show(last["row"])
    html = shown._repr_html_()
    assert "b &amp; c.wav" in html
    assert "&lt;i&gt;hum" in html
    assert "<i>" not in html
    assert "2 kHz" in html
    image = Image.open(io.BytesIO(base64.b64decode(shown.picture.data.split(",")[1])))
    assert image.size == (last["valid_frames"], 16)
    levels = np.asarray(image).astype(int).mean(axis=1)
    at = 100 * (int(levels.argmax()) + 0.5) / 16
    ticks = {tick.text: tick.at for tick in shown.picture.band_ticks}
    assert ticks["2 kHz"] < at < 100  # the tone of 1 kHz lies below 2 kHz
    sound = re.search(r'<audio[^>]* src="data:audio/\w+;base64,([^"]+)"', html)
    assert soundfile.info(io.BytesIO(base64.b64decode(sound[1]))).duration == pytest.approx(0.5, abs=0.1)


def test_a_row_whose_recording_is_gone_is_drawn(store: FeatureStore, tmp_path: Path):
    copy = tmp_path / "store"
    shutil.copytree(V1 / "store", copy)
    held = open_store(copy)
    html = held.show(held.rows()["row"].iloc[0])._repr_html_()
    assert "data:image/png" in html
    assert "The recording cannot be played" in html
    assert "<audio" not in html


@pytest.mark.parametrize("row", [-1, 10**6])
def test_a_row_that_is_not_there_is_refused(store: FeatureStore, row: int):
    with pytest.raises(StoreError, match=f"has no row {row}; expected one of the column `row`"):
        store.show(row)


def test_a_store_that_went_away_is_described(store: FeatureStore, tmp_path: Path):
    gone = FeatureStore(tmp_path / "gone", store.settings, store.provenance)
    assert "Feature store" in gone._repr_html_()


def test_bands_that_are_no_frequencies_have_names():
    names = [f"mfcc_{n}" for n in range(13)]
    values = np.random.default_rng(0).normal(size=(20, 13))
    values[3, 2] = np.nan
    picture = draw_values(values, shown_s=1.0, band_hz=np.full(13, np.nan), band_names=names)
    assert [tick.text for tick in picture.band_ticks][:1] == ["mfcc_0"]
    assert 0 < picture.band_ticks[-1].at < picture.band_ticks[0].at < 100


def test_a_bundle_is_described_without_its_network():
    html = read_bundle(V1 / "bundle")._repr_html_()
    assert "hiss" in html
    assert len(html) < 3000


def test_a_dataset_of_a_store_has_an_accessor(store: FeatureStore):
    import xarray

    import hubbub.store.xarray  # noqa: F401

    dataset = xarray.open_zarr(store.path / "features.zarr", consolidated=False)
    assert dataset.hubbub.settings.hash == store.settings_hash
    rows = dataset.hubbub.rows()
    assert rows["row"].tolist() == store.rows()["row"].tolist()
    row = int(rows["row"].iloc[0])
    assert dataset.hubbub.show(row).picture == store.show(row).picture
    assert dataset.isel(row=slice(0, 1)).hubbub.store.path == store.path
    other = xarray.Dataset({"x": ("row", [1.0])})
    with pytest.raises(StoreError, match=r"the dataset comes from no file; expected one of a store"):
        other.hubbub.rows()


def test_import_hubbub_stays_light():
    said = "import sys, hubbub.store.features, hubbub.labels.tables; print({'xarray', 'matplotlib'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
