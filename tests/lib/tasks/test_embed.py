"""One unit of `embed`: rows are what the model makes of each window by itself, and nothing is lost."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

import hubbub
from hubbub.audio.decode import load_audio
from hubbub.audio.windows import split_windows, window_grid
from hubbub.clips.index import index_listing
from hubbub.clips.sources import Columns, list_source
from hubbub.clips.table import ClipTable
from hubbub.errors import BundleError, NonFiniteFeatures, StoreError
from hubbub.models.opening import open_model
from hubbub.planning.plan import plan_features
from hubbub.planning.units import Unit
from hubbub.store.features import FeatureStore
from hubbub.store.opening import create_store
from hubbub.store.rows import row_schema
from hubbub.tasks import embed as embedding_task
from hubbub.tasks.embed import EmbedTask, EmbedTransform, find_store_model, make_store_task
from hubbub.tasks.extract import ExtractTask, Transform
from hubbub.tasks.item_observer import observe_items
from tests.embedding_stores import make_settings
from tests.tone_model import BANDS, RATE, WINDOW, write_tone_model

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

LENGTHS_S = {"short": 0.2, "one": 0.5, "tail": 0.9, "second": 1.0, "minute": 31.3}
"""Recordings by their names: less than a window, one, one and a tail, two, and more than a batch of them."""


def noise(seconds: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * rate)).astype(np.float32)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tone_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of many lengths and rates; one is no audio, one is cut short."""
    folder = tmp_path_factory.mktemp("archive")
    for number, (name, seconds) in enumerate(LENGTHS_S.items()):
        rate = (RATE, 22_050, 44_100)[number % 3]
        soundfile.write(folder / f"{name}.flac", noise(seconds, rate, number), rate)
    (folder / "torn.wav").write_bytes(b"RIFF")
    soundfile.write(folder / "zero.wav", np.zeros(0, np.float32), RATE)
    return folder


def embed_one_by_one(path: Path, model: Path, *, hop_s: float = 0.5) -> np.ndarray:
    """What the rows of a recording are, the slow way: [window, dimension]."""
    opened = open_model(model)
    settings = opened.settings.model_copy(
        update={"windows": opened.settings.windows.model_copy(update={"mode": "all", "hop_s": hop_s})}
    )
    samples = load_audio(path, sample_rate=RATE)
    windows = split_windows([samples], window_grid(settings))
    return np.concatenate([opened.embed(opened.prepare(window.samples[None])) for window in windows])


@pytest.mark.parametrize("hop_s", [0.5, 0.2])
def test_rows_are_the_models_embeddings_of_each_window(archive: Path, model: Path, tmp_path: Path, hop_s: float):
    store = hubbub.embed(archive, tmp_path / "store", model=model, hop_s=hop_s, cluster="serial")
    rows = store.rows()
    assert set(rows["uri"]) == {f"{name}.flac" for name in LENGTHS_S}
    for name, held in rows.groupby("uri"):
        expected = embed_one_by_one(archive / name, model, hop_s=hop_s)
        assert held["window"].tolist() == list(range(len(expected)))
        np.testing.assert_allclose(held["start_s"], hop_s * np.arange(len(expected)))
        np.testing.assert_allclose(store.read_rows(held["row"].tolist())[:, 0], expected, atol=2e-5)
    failed = store.row_index()
    failed = failed[failed["status"] == "failed"]
    assert sorted(failed["uri"]) == ["torn.wav", "zero.wav"]
    assert failed["error"].str.match(r"(DecodeError|EmptyAudio): ").all()


def test_float16_rounds_the_same_values(archive: Path, model: Path, tmp_path: Path):
    wide = hubbub.embed(archive, tmp_path / "wide", model=model, cluster="serial")
    store = hubbub.embed(archive, tmp_path / "store", model=model, dtype="float16", cluster="serial")
    number = store.rows()["row"].tolist()
    np.testing.assert_array_equal(store.read_rows(number), wide.read_rows(number).astype(np.float16))


# What follows is about the shard in the making, with a transform that can be told what to do.


@dataclass(frozen=True)
class Means(Transform):
    """Embeds a window by its mean and its loudest sample; refuses windows whose mean is above a limit."""

    batch_windows: int = 1
    most: float = np.inf
    told: tuple[list[int], ...] = ()

    def __call__(self, samples: np.ndarray, seconds: defaultdict[str, float]) -> np.ndarray:
        for sizes in self.told:
            sizes.append(len(samples))
        if (samples.mean(axis=1) > self.most).any():
            raise NonFiniteFeatures("too loud")
        return np.stack([samples.mean(axis=1), np.abs(samples).max(axis=1)], axis=1)[:, None].astype(np.float32)


@dataclass(frozen=True)
class MeansTask(ExtractTask):
    transform: Means = Means()

    def make_transform(self) -> Transform:
        return self.transform


def make_archive(folder: Path, levels: Sequence[float]) -> ClipTable:
    """Recordings of 4 s of a constant, three windows each; level NaN: no audio."""
    folder.mkdir()
    for number, level in enumerate(levels):
        path = folder / f"{number:03d}.wav"
        if np.isnan(level):
            path.write_bytes(b"RIFF")
        else:
            soundfile.write(path, np.full(4 * RATE, level, np.float32), RATE, subtype="FLOAT")
    return index_listing(list_source(folder, "flat", Columns()))[0]


def extract(table: ClipTable, path: Path, transform: Means) -> FeatureStore:
    settings = make_settings(2, rows_per_shard=8)
    store, plan = create_store(path, settings, source="test"), plan_features(table, settings)
    store.grow(plan.n_shards)
    task = MeansTask(store, table.root, row_schema(table.rows.schema), transform)
    for unit in plan.units():
        task(unit)
    return store


@pytest.mark.parametrize("batch_windows", [2, 5, 8, 64])
def test_batches_change_nothing(tmp_path: Path, batch_windows: int):
    table = make_archive(tmp_path / "archive", [0.1, 0.2, np.nan, 0.3, 0.4, 0.5])
    one = extract(table, tmp_path / "one", Means(most=0.45))
    sizes: list[int] = []
    many = extract(table, tmp_path / "many", Means(batch_windows, most=0.45, told=(sizes,)))
    assert max(sizes) == min(batch_windows, 8)
    for shard in one.committed():
        assert one.read_part(shard).equals(many.read_part(shard))
        np.testing.assert_array_equal(one.read_shard(shard), many.read_shard(shard))
    index = one.row_index()
    failed = index[index["status"] == "failed"]
    assert sorted(zip(failed["uri"], failed["error"].str.partition(":")[0], strict=True)) == [
        ("002.wav", "DecodeError"),
        ("005.wav", "NonFiniteFeatures"),
    ]
    # Rows of a shard lie side by side, whatever failed between them.
    for _, held in index[index["row"].notna()].groupby("shard"):
        assert (held["row"] % 8).tolist() == list(range(len(held)))


def test_a_window_that_fails_in_a_batch_costs_its_own_clip_alone(tmp_path: Path):
    table = make_archive(tmp_path / "archive", [0.1, 0.9, 0.2])
    store = extract(table, tmp_path / "store", Means(64, most=0.5))
    assert sorted(set(store.rows()["uri"])) == ["000.wav", "002.wav"]
    rows = store.rows()
    np.testing.assert_allclose(store.read_rows(rows["row"].tolist())[:, 0, 1], [0.1] * 3 + [0.2] * 3, atol=1e-6)


def test_whoever_watches_items_sees_their_windows_transformed_one_item_at_a_time(tmp_path: Path):
    """A process of its own is told which clip kills it: the windows of others must not wait for that clip."""
    table = make_archive(tmp_path / "archive", [0.1, 0.2])
    sizes: list[int] = []
    with observe_items(lambda number: sizes.append(-1)):
        extract(table, tmp_path / "store", Means(64, told=(sizes,)))
    assert sizes == [-1, 3, -1, 3, -1]


def test_a_model_that_cannot_be_used_is_no_clips_fault(archive: Path, model: Path, tmp_path: Path):
    store = hubbub.embed(archive, tmp_path / "store", model=model, cluster="serial")
    table = index_listing(list_source(archive, "flat", Columns()))[0]
    task = make_store_task(store, table.root, row_schema(table.rows.schema))
    assert isinstance(task, EmbedTask)
    assert (task.resource, task.needs) == ("GPU", ("onnxruntime", "onnx"))
    embedding_task.load_embedder.cache_clear()
    os.remove(store.path / "model" / "tones.onnx")
    with pytest.raises(BundleError, match=r"tones\.onnx is missing"):
        task(Unit(0, tuple(items(table, store))))
    with pytest.raises(StoreError, match=r"no whole copy of the model .* copy it again with: hubbub embed CLIPS"):
        find_store_model(store)
    hubbub.embed(archive, store.path, model=model, cluster="serial")
    assert find_store_model(store) == store.path / "model" / "tones.yaml"


def items(table: ClipTable, store: FeatureStore) -> Iterator:
    for unit in plan_features(table, store.settings).units():
        yield from unit.items


def test_a_model_that_gives_nan_fails_its_clip(archive: Path, model: Path, tmp_path: Path, monkeypatch):
    call = EmbedTransform.__call__

    def spoil(self: EmbedTransform, samples: np.ndarray, seconds: defaultdict[str, float]) -> np.ndarray:
        loud = np.abs(samples).max(axis=1) > 0.5
        spoiled = replace(self, model=_Spoiled(self.model, loud))
        return call(spoiled, samples, seconds)

    monkeypatch.setattr(EmbedTransform, "__call__", spoil)
    soundfile.write(tmp_path / "loud.wav", noise(2.0) * 8, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "calm.wav", noise(2.0), RATE, subtype="FLOAT")
    store = hubbub.embed(tmp_path, tmp_path / "store", model=model, cluster="serial")
    assert set(store.rows()["uri"]) == {"calm.wav"}
    index = store.row_index()
    assert "NonFiniteFeatures: features from nan" in index.loc[index["status"] == "failed", "error"].iloc[0]


@dataclass
class _Spoiled:
    """A model whose embeddings of some windows are no numbers."""

    model: object
    loud: np.ndarray

    def __getattr__(self, name: str) -> object:
        return getattr(self.model, name)

    def embed(self, features: np.ndarray) -> np.ndarray:
        found = self.model.embed(features)
        found[self.loud] = np.nan
        return found


def test_the_tone_model_is_what_the_tests_think(model: Path):
    opened = open_model(model)
    assert (opened.dimension, opened.settings.windows.input_s) == (BANDS, WINDOW / RATE)


def test_an_empty_store_of_another_model_makes_way(archive: Path, model: Path, tmp_path: Path):
    """A run that failed before its first shard decides nothing: neither settings nor the model."""
    store = create_store(tmp_path / "store", make_settings(3), source="test")
    (store.path / "model").mkdir()
    (store.path / "model" / "bundle.json").write_text("{}")
    grown = hubbub.embed(archive, store.path, model=model, cluster="serial")
    assert len(grown.rows()) > 0
    assert [path.name for path in sorted((store.path / "model").iterdir())] == ["tones.onnx", "tones.yaml"]
