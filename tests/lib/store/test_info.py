"""Facts of a store against a plain count over everything that it holds."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import soundfile
from matplotlib import image

from hubbub.clips.index import index_listing
from hubbub.clips.sources import Columns, list_source
from hubbub.clips.table import ClipTable
from hubbub.config import load_settings
from hubbub.engine.serial import SerialEngine
from hubbub.errors import StorageError, StoreError
from hubbub.planning.plan import plan_features
from hubbub.report.sheets import draw_sheet
from hubbub.store.features import FeatureStore
from hubbub.store.info import sample_rows, summarise_store
from hubbub.store.opening import create_store, open_store
from hubbub.store.parts import read_part, write_part
from hubbub.store.rows import row_schema
from hubbub.tasks.extract import ExtractTask

RATE = 8000
SMALL = [
    *("frontend.sample_rate=8000", "frontend.n_fft=256", "frontend.hop_samples=128"),
    *("windows.duration_s=0.5", "windows.mode=all", "layout.rows_per_shard=4", "layout.rows_per_chunk=2"),
]
CLIPS = {"dog/a": (1.0, 1), "dog/b": (2.2, 2), "rain, or hail/c": (1.5, 1), "cat/d": (0.3, 1)}
"""Seconds and channels of each."""

FRAME_S = 128 / RATE
"""What a clip's sound may be counted too long by: valid frames are whole."""


def built(folder: Path, parse_path: Path, *assignments: str) -> tuple[FeatureStore, ClipTable]:
    """A store of `CLIPS`, and of two files that are no sound."""
    for number, (name, (seconds, channels)) in enumerate(CLIPS.items()):
        path = folder / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        samples = np.random.default_rng(number).normal(0, 0.1, (round(seconds * RATE), channels))
        soundfile.write(path, samples, RATE, subtype="FLOAT")
    (folder / "cat" / "text.wav").write_text("no sound")
    soundfile.write(folder / "dog" / "nothing.wav", np.zeros(0), RATE)
    table = index_listing(list_source(folder, None, Columns()))[0]
    config = load_settings(None, [*SMALL, *assignments])
    plan = plan_features(table, config)
    store = create_store(parse_path, config, source="clips.parquet")
    store.grow(plan.n_shards, clips=plan.clips)
    list(SerialEngine().run(ExtractTask(store, table.root, row_schema(table.rows.schema)), plan.units()))
    return open_store(parse_path), table


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("info")
    return built(folder / "sounds", folder / "store")[0].path


@pytest.fixture
def store(original: Path, tmp_path: Path) -> FeatureStore:
    shutil.copytree(original, tmp_path / "store")
    return open_store(tmp_path / "store")


def rewritten(store: FeatureStore, shard: int, change: dict, where: str, to: int | None = None) -> None:
    """Write a row part's rows of one clip with other values: into the part, or with no other rows into part `to`."""
    rows, mark = read_part(store.rows_folder, shard)
    lines = rows.to_pylist()
    hit = [line | change for line in lines if line["uri"] == where]
    assert hit
    rest = [line for line in lines if line["uri"] != where] if to is None else []
    table = pa.Table.from_pylist([*hit, *rest], schema=rows.schema)
    number = shard if to is None else to
    write_part(store.rows_folder, number, table, mark | {"unit": number})


def shard_of(store: FeatureStore, uri: str) -> int:
    row_index = store.row_index(["uri"])
    return int(row_index.loc[row_index["uri"] == uri, "shard"].iloc[0])


def counted_files(path: Path) -> int:
    return sum(os.path.getsize(Path(root) / name) for root, _, names in os.walk(path) for name in names)


@pytest.mark.parametrize("more", [[], ["windows.hop_s=0.2"], ["channels=each"], ["windows.mode=first"]])
def test_facts_are_those_of_a_plain_count(tmp_path: Path, more: list[str]):
    store, _ = built(tmp_path / "sounds", tmp_path / "store", *more)
    facts, rows = summarise_store(store), store.rows()
    assert facts.rows == len(rows)
    assert (facts.clips_ok, facts.clips_failed, facts.clips_retired, facts.clips_expected) == (4, 2, 0, 6)
    by_row = Counter(label for labels in rows["labels"] for label in labels)
    by_clip = Counter(label for labels in rows.drop_duplicates("clip_id")["labels"] for label in labels)
    assert {count.label: (count.clips, count.rows) for count in facts.labels} == {
        label: (by_clip[label], by_row[label]) for label in by_row
    }
    assert [count.clips for count in facts.labels] == sorted(by_clip.values(), reverse=True)
    input_s = [min(seconds, 0.5) if "windows.mode=first" in more else seconds for seconds, _ in CLIPS.values()]
    assert sum(input_s) - 1e-9 <= facts.sound_s <= sum(input_s) + len(input_s) * FRAME_S
    assert facts.bytes == counted_files(store.path)
    assert facts.shard_bytes == counted_files(store.path / "features.zarr" / "features" / "c")
    assert facts.part_bytes == counted_files(store.rows_folder)
    raw = sum(store.read_rows([row]).nbytes for row in rows["row"])
    assert facts.compression_ratio == pytest.approx(raw / facts.shard_bytes)
    assert facts.holes == pytest.approx(1 - len(rows) / (facts.shards * 4))
    assert facts.settings_hash == store.settings_hash
    assert facts.versions == store.provenance["versions"]


def test_failures_are_counted_by_reason_with_an_example(store: FeatureStore):
    found = {failure.reason: failure for failure in summarise_store(store).failures}
    assert {reason: failure.clips for reason, failure in found.items()} == {"DecodeError": 1, "EmptyAudio": 1}
    assert found["DecodeError"].uri == "cat/text.wav"
    assert found["DecodeError"].error.startswith("DecodeError: text.wav is not audio")
    assert found["EmptyAudio"].uri == "dog/nothing.wav"


def test_a_clip_that_was_tried_again_counts_once(store: FeatureStore):
    """A failed clip that later is ok is no failure; one that fails again is one."""
    shards, more = store.committed(), len(store.committed())
    again = {"attempts": 2, "error": "DecodeError: still none"}
    rewritten(store, shard_of(store, "cat/text.wav"), again, "cat/text.wav", to=more)
    ok = {
        "attempts": 2,
        "status": "ok",
        "error": None,
        "row": (more + 1) * 4,
        "valid_frames": 10,
        "windows": 1,
        "crc32": 0,
    }
    rewritten(store, shard_of(store, "dog/nothing.wav"), ok, "dog/nothing.wav", to=more + 1)
    facts = summarise_store(store)
    assert facts.shards == len(shards) + 2
    assert (facts.clips_ok, facts.clips_failed) == (5, 1)
    assert [(failure.reason, failure.error) for failure in facts.failures] == [("DecodeError", again["error"])]
    assert facts.rows == len(store.rows())


def test_content_of_before_does_not_count(store: FeatureStore):
    before = summarise_store(store)
    shard, number = shard_of(store, "cat/d.wav"), len(store.committed())
    rewritten(store, shard, {"attempts": 2, "version": "new", "row": number * 4}, "cat/d.wav", to=number)
    facts = summarise_store(store)
    assert (facts.rows, facts.clips_ok, facts.sound_s) == (before.rows, before.clips_ok, before.sound_s)


def test_retired_rows_do_not_count(store: FeatureStore):
    before = summarise_store(store)
    rewritten(store, shard_of(store, "cat/d.wav"), {"status": "retired"}, "cat/d.wav")
    facts = summarise_store(store)
    assert (facts.clips_ok, facts.clips_retired, facts.rows) == (before.clips_ok - 1, 1, before.rows - 1)
    assert "cat" not in {count.label for count in facts.labels}
    assert facts.holes > before.holes


def test_several_labels_folds_and_splits_are_counted_by_clip(store: FeatureStore):
    rewritten(store, shard_of(store, "cat/d.wav"), {"labels": ["cat", "dog"], "fold": 2, "split": "test"}, "cat/d.wav")
    rewritten(store, shard_of(store, "dog/a.wav"), {"labels": [], "fold": 1}, "dog/a.wav")
    facts = summarise_store(store)
    assert {count.label: count.clips for count in facts.labels} == {"cat": 1, "dog": 2, "rain, or hail": 1}
    assert facts.clips_unlabelled == 1
    assert facts.folds == {"1": 1, "2": 1, "none": 2}
    assert facts.splits == {"test": 1, "none": 3}


def test_shards_that_are_not_committed_are_told_apart(store: FeatureStore):
    before = summarise_store(store)
    left = store.path / "features.zarr" / "features" / "c" / "77" / "0" / "0"
    left.parent.mkdir(parents=True)
    left.write_bytes(bytes(1000))
    facts = summarise_store(store)
    assert (facts.left_bytes, facts.shard_bytes) == (1000, before.shard_bytes)
    assert facts.bytes == before.bytes + 1000


def test_holes_are_worth_compacting_where_fewer_shards_would_do(store: FeatureStore, tmp_path: Path):
    assert not summarise_store(store).worth_compacting
    for shard in store.committed():
        for uri in {line["uri"] for line in read_part(store.rows_folder, shard)[0].to_pylist()} - {"dog/a.wav"}:
            rewritten(store, shard, {"status": "retired"}, uri)
    facts = summarise_store(store)
    assert facts.holes > 0.8
    assert facts.worth_compacting
    alone, _ = built(tmp_path / "sounds", tmp_path / "alone", "layout.rows_per_shard=64")
    assert summarise_store(alone).holes > 0.5
    assert not summarise_store(alone).worth_compacting, "one shard cannot become fewer"


def test_variants_count_as_rows_and_not_as_sound(tmp_path: Path):
    policy = "variants={rules: [{labels: [dog], count: 2, transforms: [{kind: gain, gain_db: [-6, 6]}]}]}"
    plain, _ = built(tmp_path / "sounds", tmp_path / "plain")
    varied, _ = built(tmp_path / "sounds", tmp_path / "varied", policy)
    facts, without = summarise_store(varied), summarise_store(plain)
    assert facts.rows == len(varied.rows()) > without.rows
    assert (facts.clips_ok, facts.sound_s) == (without.clips_ok, without.sound_s)


def test_an_empty_store_has_nothing(tmp_path: Path):
    store = create_store(tmp_path / "store", load_settings(None, SMALL), source="here")
    facts = summarise_store(store)
    assert (facts.rows, facts.clips_ok, facts.clips_failed, facts.shards, facts.sound_s) == (0, 0, 0, 0, 0.0)
    assert facts.compression_ratio is None
    assert not facts.worth_compacting
    assert (facts.labels, facts.failures, facts.folds) == ((), (), {})
    with pytest.raises(StoreError, match="holds no labelled rows to draw"):
        draw_sheet(store, tmp_path / "sheet.png")


def test_a_torn_or_foreign_part_is_refused(store: FeatureStore):
    path = store.rows_folder / "00000000.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    with pytest.raises(StoreError, match="cannot be read"):
        summarise_store(store)
    (store.rows_folder / "00000001.parquet").write_bytes(whole)
    path.write_bytes(whole)
    with pytest.raises(StoreError, match="says it is part 0"):
        summarise_store(store)


def test_a_store_in_a_bucket_has_the_same_facts(s3: str, store: FeatureStore):
    from hubbub.io.paths import parse_path

    remote = parse_path(f"{s3}/stores/one")
    for path in sorted(store.path.rglob("*")):
        if path.is_file():
            target = remote / path.relative_to(store.path).as_posix()
            target.fs.pipe_file(target.path, path.read_bytes())
    here, there = summarise_store(store), summarise_store(open_store(remote))
    assert there.as_json() == here.as_json() | {"path": str(remote)}


def test_samples_are_rows_of_their_label_and_of_different_clips(store: FeatureStore):
    chosen, rows = sample_rows(store, per_label=2, most_labels=9), store.rows().set_index("row")
    assert Counter(chosen["label"]) == {"cat": 1, "dog": 2, "rain, or hail": 1}
    assert all(label in rows.loc[row, "labels"] for label, row in zip(chosen["label"], chosen["row"], strict=True))
    assert (rows.loc[chosen["row"], "valid_frames"].to_numpy() == chosen["valid_frames"].to_numpy()).all()
    assert rows.loc[chosen["row"], "clip_id"].is_unique
    assert set(sample_rows(store, per_label=2, most_labels=1)["label"]) == {"dog"}


@pytest.mark.parametrize(
    "more",
    [["frontend.n_mels=16"], ["frontend.name=mfcc"], ["frontend.name=chroma"], ["frontend.name=descriptors"]],
)
def test_a_sheet_is_a_picture(tmp_path: Path, more: list[str]):
    store, _ = built(tmp_path / "sounds", tmp_path / "store", *more)
    assert draw_sheet(store, tmp_path / "sheet.png") == 4
    pixels = image.imread(tmp_path / "sheet.png")
    assert pixels.shape[0] > 300
    assert pixels.shape[1] > 600
    assert (pixels[:, [0, -1], :3] == 1).all(), "something runs out of the picture at the left or right"
    assert len(np.unique((pixels[..., :3] * 255).astype(np.uint8).reshape(-1, 3), axis=0)) > 100


def test_a_sheet_that_cannot_be_written_leaves_nothing(store: FeatureStore, tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write"):
        draw_sheet(store, tmp_path / "file" / "sheet.png")
