"""Every frontend from sounds to labels: extracted, trained on, evaluated, labelled with, and shown."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from hubbub.audio.decode import load_audio
from hubbub.audio.frontends import compute_features
from hubbub.audio.windows import window_grid
from hubbub.clips.index import index_listing
from hubbub.clips.sources import Columns, list_source
from hubbub.clips.table import ClipTable, resolve_uri
from hubbub.config import Settings, load_settings
from hubbub.engine.serial import SerialEngine
from hubbub.labels.events import EventRule
from hubbub.labels.tables import LabelTables, create_labels
from hubbub.models.bundle import Bundle, load_bundle
from hubbub.planning.plan import plan_features, plan_labels
from hubbub.report import labels_section
from hubbub.store.features import FeatureStore
from hubbub.store.opening import create_store
from hubbub.store.rows import row_schema
from hubbub.tasks.extract import ExtractTask
from hubbub.tasks.label import LabelTask

pytest.importorskip("keras")

from hubbub.learn.crops import covering_crops, edge_frames  # noqa: E402
from hubbub.learn.dataset import iterate_batches  # noqa: E402
from hubbub.learn.train import train  # noqa: E402
from hubbub.pipelines.evaluate import evaluate  # noqa: E402

SCORE_ROUNDING = 1e-3
"""Label tables hold float16 scores."""

SMALL = ("frontend.sample_rate=16000", "frontend.n_fft=1024", "layout.rows_per_shard=8", "layout.rows_per_chunk=8")
CROPS = ("windows.mode=random", "windows.duration_s=4", "windows.crop_s=1")


@dataclass(frozen=True)
class Chain:
    """What one chain made."""

    store: FeatureStore
    bundle: Bundle
    labels: LabelTables
    test_rows: int
    test_clips: int


@pytest.fixture(scope="module")
def archive(esc10_mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two labels, five clips each, as they were recorded: stereo WAV is added where channels are asked for."""
    folder = tmp_path_factory.mktemp("archive")
    listed = pd.read_csv(esc10_mini / "esc10.csv")
    for name in ("rain", "crying_baby"):
        (folder / name).mkdir()
        for file in listed[listed["category"] == name]["filename"].head(5):
            shutil.copy(esc10_mini / "audio" / Path(file).with_suffix(".ogg").name, folder / name)
    return folder


def index(folder: Path) -> ClipTable:
    return index_listing(list_source(folder, "folder", Columns()))[0]


def extract(folder: Path, out: Path, settings: Settings) -> FeatureStore:
    table, store = index(folder), create_store(out, settings, source="here")
    plan = plan_features(table, settings)
    store.grow(plan.n_shards)
    results = SerialEngine().run(ExtractTask(store, table.root, row_schema(table.rows.schema)), plan.units())
    assert [result.failed for result in results] == [0] * len(plan)
    return store


def label(folder: Path, out: Path, bundle: Bundle, *, hop_s: float) -> LabelTables:
    table, said = index(folder), bundle.description
    run = {name: said[name] for name in ("model_hash", "settings_hash", "settings", "labels", "window_s")}
    rules = {"rules": {name: asdict(EventRule()) for name in bundle.labels}, "root": str(table.root), "hop_s": hop_s}
    tables = create_labels(out, run | rules | {"command": "hubbub label", "bundle": str(bundle.path)})
    plan = plan_labels(table, bundle.settings, hop_s)
    tables = tables.begin(plan.clips)
    results = SerialEngine().run(LabelTask(tables, bundle.path, table.rows.schema), plan.units())
    assert [result.failed for result in results] == [0] * len(plan)
    return tables


def chain(archive: Path, out: Path, *more: str, model: str = "seed-cnn") -> Chain:
    store = extract(archive, out / "store", load_settings(None, [*SMALL, *more]))
    trained = train(store, out / "bundle", model=model, split_by="group", epochs=1)
    bundle = load_bundle(out / "bundle")
    evaluate(bundle, store, out / "evaluation")
    clips = json.loads((out / "evaluation" / "evaluation.json").read_text())["clips"]
    return Chain(store, bundle, label(archive, out / "labels", bundle, hop_s=0.5), trained.rows["test"], clips)


def count_windows(labels: LabelTables) -> pd.DataFrame:
    return pd.concat([labels.read_part("windows", unit).to_pandas() for unit in labels.committed()])


def scores_by_hand(made: Chain, uri: str, start_s: np.ndarray) -> np.ndarray:
    """Cut, transform and score every window alone."""
    settings = made.bundle.settings
    rate, samples = settings.frontend.sample_rate, window_grid(settings, hop_s=1).window
    sound = load_audio(made.labels.resolve_uri(uri), sample_rate=rate)
    cut = [sound[round(begin * rate) :][:samples] for begin in start_s]
    rows = [compute_features(np.pad(one, (0, samples - len(one))), settings) for one in cut]
    return made.bundle.predict(np.stack(rows))


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("mfcc", "default"),
        pytest.param("pcen", "seed-cnn", marks=pytest.mark.slow),
        pytest.param("chroma", "seed-cnn", marks=pytest.mark.slow),
        pytest.param("mel", "seed-cnn", marks=pytest.mark.slow),
        pytest.param("descriptors", "seed-cnn", marks=pytest.mark.slow),
        pytest.param("stft-db", "seed-cnn", marks=pytest.mark.slow),
        pytest.param("log-frequency", "seed-cnn", marks=pytest.mark.slow),
    ],
)
def test_a_frontend_serves_from_sounds_to_report(name, model, archive, tmp_path):
    made = chain(archive, tmp_path, f"frontend.name={name}", "windows.duration_s=1", model=model)
    said = made.bundle.description
    assert (said["n_frames"], said["n_bands"]) == (32, made.bundle.settings.frontend.n_bands)
    assert np.isfinite(said["history"][-1]["loss"])
    assert set(said["standardisation"]) == (
        {"mean_db", "std_db"} if name in ("stft-db", "log-frequency") else {"mean", "std"}
    )
    card = (made.bundle.path / "README.md").read_text()
    assert f"{said['n_bands']} " in card
    assert made.test_clips == made.test_rows > 0
    windows = count_windows(made.labels)
    uri = windows["uri"].iloc[0]
    mine = windows[windows["uri"] == uri]
    by_hand = scores_by_hand(made, uri, mine["start_s"].to_numpy())
    np.testing.assert_allclose(np.stack(mine["scores"]), by_hand, atol=SCORE_ROUNDING)
    page = labels_section(made.labels).body
    assert "data:image/png" in page
    assert "cannot be shown" not in page


@pytest.mark.slow
def test_a_model_of_crops_labels_windows_as_long_as_a_crop(archive, tmp_path):
    made = chain(archive, tmp_path, "frontend.n_mels=32", *CROPS)
    said = made.bundle.description
    assert (made.store.n_frames, said["n_frames"], said["window_s"]) == (126, 32, 1.0)
    windows = count_windows(made.labels)
    uri = windows["uri"].iloc[0]
    mine = windows[windows["uri"] == uri].reset_index(drop=True)
    np.testing.assert_allclose(mine["start_s"], 0.5 * np.arange(len(mine)))
    np.testing.assert_allclose((mine["end_s"] - mine["start_s"])[:-1], 1.0)
    by_hand = scores_by_hand(made, uri, mine["start_s"].to_numpy())
    np.testing.assert_allclose(np.stack(mine["scores"]), by_hand, atol=SCORE_ROUNDING)


@pytest.fixture
def stereo(archive: Path, tmp_path: Path) -> Path:
    """The same clips, with noise on the right."""
    folder = tmp_path / "stereo"
    for path in sorted(archive.rglob("*.ogg")):
        left, rate = soundfile.read(path, dtype="float32")
        right = np.random.default_rng(0).normal(0, 0.1, len(left)).astype(np.float32)
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / path.parent.name / f"{path.stem}.wav", np.stack([left, right], axis=1), rate)
    return folder


@pytest.mark.slow
def test_a_model_of_first_channels_hears_the_first_channel(archive, stereo, tmp_path):
    made = chain(archive, tmp_path, "windows.duration_s=1", "frontend.n_mels=16", "channels=first")
    again = count_windows(label(stereo, tmp_path / "again", made.bundle, hop_s=0.5))
    one, two = (table.sort_values(["uri", "start_s"]) for table in (count_windows(made.labels), again))
    np.testing.assert_allclose(np.stack(one["scores"]), np.stack(two["scores"]), atol=0.01)


@pytest.mark.parametrize(("channels", "each_clip"), [("each", 2), ("left-right-mix", 3)])
def test_channels_of_a_clip_are_one_clip_and_the_mix_is_labelled(channels, each_clip, stereo, tmp_path):
    made = chain(stereo, tmp_path, "windows.duration_s=1", "frontend.n_mels=16", f"channels={channels}")
    assert (made.store.rows().groupby("clip_id")["channel"].nunique() == each_clip).all()
    assert made.test_rows == each_clip * made.test_clips > 0
    windows = count_windows(made.labels)
    uri = windows["uri"].iloc[0]
    mine = windows[windows["uri"] == uri]
    by_hand = scores_by_hand(made, uri, mine["start_s"].to_numpy())
    np.testing.assert_allclose(np.stack(mine["scores"]), by_hand, atol=SCORE_ROUNDING)


@pytest.mark.parametrize("more", [(), ("frontend.top_db=40", "frontend.ref=max")], ids=" ".join)
def test_a_crop_from_the_store_is_what_labelling_makes_of_that_stretch(more, archive, tmp_path):
    """Also where something louder lies elsewhere in the row."""
    rounding_db = 0.07  # float16 at 100 dB
    settings = load_settings(None, [*SMALL, *CROPS, "frontend.n_mels=32", *more])
    store, table = extract(archive, tmp_path / "store", settings), index(archive)
    rows, edge, hop = store.rows(), edge_frames(settings), settings.frontend.hop_samples
    event_counts, crops = covering_crops(settings, rows[rows["valid_frames"] == store.n_frames])
    inner = slice(edge, -edge)
    batches = iterate_batches(
        store, event_counts["row"].to_numpy(), np.arange(len(event_counts)), batch_rows=1, crops=crops
    )
    compared = 0
    for features, (number,), _ in batches:
        path = resolve_uri(event_counts["uri"].iloc[number], table.root)
        sound = load_audio(path, sample_rate=16000)[crops.begin[number] * hop :][:16000]
        mine, theirs = features[0], compute_features(sound, settings).astype(np.float32)
        if mine.max() == mine[inner].max() and theirs.max() == theirs[inner].max():  # else the peak is at an edge
            np.testing.assert_allclose(mine[inner], theirs[inner], atol=rounding_db)
            compared += 1
    assert compared > 10
