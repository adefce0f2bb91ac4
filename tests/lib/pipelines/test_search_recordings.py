"""Search by a recording: it is embedded by the store's own model, as the rows were."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

import hubbub
from hubbub.clips.table import ClipTable
from hubbub.errors import UsageError
from hubbub.store.features import FeatureStore
from tests.servers.server import Server
from tests.tone_model import RATE, write_tone_model

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")


def tone(hz: float, seconds: float, *, seed: int = 0) -> np.ndarray:
    """A tone in a little noise."""
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * hz * time) + 0.01 * np.random.default_rng(seed).normal(size=len(time))).astype(
        "f4"
    )


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings of 6 s, a second each of tones; and one that cannot be read."""
    folder = tmp_path_factory.mktemp("archive")
    for name, tones in (("a", (500, 900, 1400, 2000, 2700, 3300)), ("b", (3300, 2700, 700, 1400, 500, 900))):
        soundfile.write(folder / f"{name}.wav", np.concatenate([tone(hz, 1.0, seed=hz) for hz in tones]), RATE)
    (folder / "torn.wav").write_bytes(b"RIFF")
    return folder


@pytest.fixture(scope="module")
def store(archive: Path) -> FeatureStore:
    model = write_tone_model(archive.parent / "model")
    path = archive.parent / "store"
    return hubbub.embed(archive, path, model=model, cluster="serial")


def test_windows_are_some_way_apart(archive: Path, tmp_path: Path):
    model = write_tone_model(tmp_path / "model")
    for hop_s in (0, -1, 99):
        with pytest.raises(UsageError, match=f"--hop {hop_s}: expected more than 0 and at most the model's window"):
            hubbub.embed(archive, tmp_path / "store", model=model, hop_s=hop_s)
    assert not (tmp_path / "store").exists()


def spans(clips: ClipTable) -> list[tuple[str, float]]:
    return list(zip(clips.rows["uri"].to_pylist(), clips.rows["start_s"].to_pylist(), strict=True))


def test_a_recording_finds_its_like(store: FeatureStore, tmp_path: Path):
    """The archive's windows are half a second: a tone of a second is two of them."""
    soundfile.write(tmp_path / "like.flac", tone(1400, 0.8, seed=9), RATE)
    found = hubbub.search(store, tmp_path / "like.flac", top=4)
    assert sorted(spans(found)) == [("a.wav", 2.0), ("a.wav", 2.5), ("b.wav", 3.0), ("b.wav", 3.5)]
    assert min(found.rows["similarity"].to_pylist()) > 0.99


def test_a_recording_of_another_rate_is_resampled(store: FeatureStore, tmp_path: Path):
    time = np.arange(22_050) / 44_100
    soundfile.write(tmp_path / "like.wav", 0.3 * np.sin(2 * np.pi * 2700 * time), 44_100)
    assert sorted(spans(hubbub.search(store, str(tmp_path / "like.wav"), top=4))) == [
        *(("a.wav", 4.0), ("a.wav", 4.5), ("b.wav", 1.0), ("b.wav", 1.5)),
    ]


def test_silence_for_an_example_is_told(store: FeatureStore, tmp_path: Path):
    from hubbub.pipelines.reporting import Reporter
    from hubbub.pipelines.search import search

    said: list[str] = []

    class Listener(Reporter):
        def warn(self, text: str) -> None:
            said.append(text)

    for name, samples in (("silent", np.zeros(RATE)), ("soft", np.full(RATE, 1e-4))):
        soundfile.write(tmp_path / f"{name}.wav", samples, RATE)
        search(store, tmp_path / f"{name}.wav", top=2, reporter=Listener())
    assert said == [f"--like {tmp_path / 'silent.wav'} is silence, every sample 0: what is found is like silence"]


def test_a_stretch_of_a_recording_finds_its_like(store: FeatureStore, archive: Path):
    """And windows that share sound with it are left out."""
    window = hubbub.search(store, f"{archive / 'a.wav'}@2.5", top=3)
    assert sorted(spans(window)) == [("a.wav", 2.0), ("b.wav", 3.0), ("b.wav", 3.5)]
    stretch = hubbub.search(store, f"{archive / 'a.wav'}@2-3", top=2)
    assert sorted(spans(stretch)) == [("b.wav", 3.0), ("b.wav", 3.5)]
    whole = hubbub.search(store, archive / "a.wav", top=100)
    assert {uri for uri, _ in spans(whole)} == {"b.wav"}
    assert len(hubbub.search(store, archive / "a.wav", top=100, with_example=True)) == 24


def test_an_example_is_embedded_as_the_rows_were(store: FeatureStore, archive: Path):
    """A row and the same stretch of its recording have the same direction."""
    by_row = hubbub.search(store, 3, top=24, with_example=True)
    rows = store.rows(["row", "uri", "start_s"])
    row = rows[rows["row"] == 3].iloc[0]
    by_stretch = hubbub.search(store, f"{archive / row['uri']}@{row['start_s']}", top=24, with_example=True)
    assert by_stretch.rows.equals(by_row.rows)


@pytest.mark.parametrize(
    ("like", "said"),
    [
        ("none.wav", "there is no such recording"),
        ("none.wav@3", "there is no such recording"),
        ("{archive}/a.wav@7", "there is no sound from 7 s on"),
        ("{archive}/a.wav@3-2", "the stretch ends before it begins"),
        ("{archive}/torn.wav", "cannot be read: DecodeError"),
        ("{archive}", "there is no such recording"),
    ],
)
def test_a_recording_that_is_none_is_refused(store: FeatureStore, archive: Path, like: str, said: str):
    with pytest.raises(UsageError, match=said):
        hubbub.search(store, like.format(archive=archive))


def test_what_is_found_is_a_clip_table_like_any(store: FeatureStore, archive: Path, tmp_path: Path):
    found = hubbub.search(store, f"{archive / 'a.wav'}@2.5", tmp_path / "found.parquet", top=3)
    model = store.path / "model" / "tones.yaml"
    again = hubbub.embed(tmp_path / "found.parquet", tmp_path / "again", model=model, cluster="serial")
    assert sorted(again.rows(["start_s"])["start_s"]) == sorted(found.rows["start_s"].to_pylist())
    page = hubbub.write_report([found], tmp_path / "page.html")
    text = page.read_text()
    assert text.count("<audio") == 3
    assert "Clips of found.parquet" in text
    assert "similarity: 0.99" in text


def test_a_changed_model_is_refused(archive: Path, store: FeatureStore, tmp_path: Path):
    copy = shutil.copytree(store.path, tmp_path / "store")
    with open(copy / "model" / "tones.onnx", "ab") as file:
        file.write(b"x")
    with pytest.raises(hubbub.errors.StoreError, match="has no whole copy of the model"):
        hubbub.search(copy, archive / "a.wav")
    assert len(hubbub.search(copy, 3, top=2)) == 2  # a row needs no model


def test_everything_may_lie_in_a_bucket(s3: str, moto_server: Server, archive: Path, tmp_path: Path):
    client, bucket = moto_server.client(), s3.removeprefix("s3://")
    for path in archive.iterdir():
        client.upload_file(str(path), bucket, f"archive/{path.name}")
    model = write_tone_model(tmp_path / "model")
    store = hubbub.embed(f"{s3}/archive", f"{s3}/store", model=model, cluster="serial")
    found = hubbub.search(f"{s3}/store", f"{s3}/archive/a.wav@2.5", f"{s3}/found.parquet", top=3)
    assert sorted(spans(found)) == [("a.wav", 2.0), ("b.wav", 3.0), ("b.wav", 3.5)]
    page = hubbub.write_report([f"{s3}/found.parquet"], tmp_path / "page.html")
    assert page.read_text().count("<audio") == 3
    chosen = hubbub.suggest(store, tmp_path / "out", strategy="diverse", count=4, exclude=[f"{s3}/found.parquet"])
    uris = set(chosen.rows["uri"].to_pylist())
    assert uris <= {f"{s3}/archive/a.wav", f"{s3}/archive/b.wav"}
    assert len(list((tmp_path / "out" / "clips").iterdir())) == 4
    heard = {("a.wav", 2.0), ("b.wav", 3.0), ("b.wav", 3.5)}
    assert not heard & {(row["uri"].rpartition("/")[2], row["start_s"]) for row in chosen.rows.to_pylist()}
    table = tmp_path / "out" / "suggestions.csv"
    pd.read_csv(table).assign(label="rain").to_csv(table, index=False)
    assert hubbub.index(tmp_path / "out").rows["uri"].to_pylist()[0] in uris


def test_a_hop_of_nothing_is_refused(archive: Path, store: FeatureStore, tmp_path: Path):
    with pytest.raises(UsageError, match="--hop 0: expected more than 0 and at most the model's window, 0.5 s"):
        hubbub.embed(archive, tmp_path / "store", model=store.path / "model" / "tones.yaml", hop_s=0, cluster="serial")
    assert not (tmp_path / "store").exists()


def test_an_example_is_heard_by_the_channel_that_the_store_heard(tmp_path: Path):
    import onnx

    path = write_tone_model(tmp_path / "model")
    network = onnx.load(path.with_name("tones.onnx"))
    network.graph.input[0].type.tensor_type.shape.dim.add().dim_value = 1  # [batch, frame, band]
    onnx.save(network, path.with_name("tones.onnx"))
    path.write_text(
        f"kind: onnx\nfile: tones.onnx\nfeatures: {{frontend: {{name: waveform, sample_rate: {RATE}}}, "
        "windows: {duration_s: 0.5}, dtype: float32, channels: first}\noutputs: {embeddings: {name: embedding}}\n"
    )
    (tmp_path / "archive").mkdir()
    both = np.stack([tone(900, 1.0), tone(2700, 1.0)], axis=1)
    soundfile.write(tmp_path / "archive" / "a.wav", both, RATE)
    store = hubbub.embed(tmp_path / "archive", tmp_path / "store", model=path, cluster="serial")
    found = hubbub.search(store, f"{tmp_path / 'archive' / 'a.wav'}@0-0.5", top=1, with_example=True)
    assert found.rows["similarity"].to_pylist() == pytest.approx([1.0], abs=1e-6)
