"""Rows that are embeddings: two dimensions on disk, one frame in memory, and the same care as for any other row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import xarray

from hubbub.clips.table import CLIP_SCHEMA
from hubbub.config import Layout, Settings, Windows, load_settings, parse_settings
from hubbub.config.frontends import EmbeddingSettings
from hubbub.errors import SettingsError, StoreError
from hubbub.planning.sizes import choose_layout, row_bytes
from hubbub.store.features import FeatureStore
from hubbub.store.info import summarise_store
from hubbub.store.opening import create_store, open_store, require_settings
from hubbub.store.rows import checksum, row_schema
from hubbub.store.verify import check_shard
from hubbub.store.verify_layout import verify_array, verify_objects


def make_settings(**changed: object) -> Settings:
    model = {"model": "birds", "model_hash": "0123456789abcdef", "dimension": 6, "sample_rate": 8000} | changed
    return Settings(
        frontend=EmbeddingSettings(**model),
        windows=Windows(mode="all", duration_s=2.0, hop_s=1.0),
        layout=Layout(rows_per_shard=4, rows_per_chunk=2),
    )


@pytest.fixture(params=["float32", "float16"])
def store(tmp_path: Path, request: pytest.FixtureRequest) -> FeatureStore:
    """Two shards, 4 rows and 3, of clips of 3.5 s: three windows each, of which the last is 1.5 s of sound."""
    settings = parse_settings(make_settings().model_dump() | {"dtype": request.param}, where="test")
    store = create_store(tmp_path / "store", settings, source="x")
    store.grow(2)
    for shard, used in enumerate((4, 3)):
        values = np.random.default_rng(shard).normal(size=(4, 1, 6)).astype(settings.dtype)
        values[used:] = np.nan
        rows = [make_row(shard * 4 + offset, values[offset]) for offset in range(used)]
        store.write_shard(shard, values, pa.Table.from_pylist(rows, schema=row_schema(CLIP_SCHEMA)))
    return open_store(store.path)


def make_row(number: int, values: np.ndarray) -> dict[str, object]:
    clip, window = divmod(number, 3)
    row = {"row": number, "clip_id": f"{clip:032x}", "window": window, "windows": 3, "start_s": float(window)}
    row |= {"channel": "mix", "variant": 0, "policy_rule": "", "status": "ok", "attempts": 1, "valid_frames": 1}
    return row | {"crc32": checksum(values), "uri": f"{clip}.wav", "labels": [], "version": "1", "duration_s": 3.5}


def test_embeddings_are_flat_on_disk_and_rows_of_one_frame_in_memory(store: FeatureStore):
    expected = [np.random.default_rng(shard).normal(size=(4, 1, 6)).astype(store.settings.dtype) for shard in (0, 1)]
    np.testing.assert_array_equal(store.read_shard(0), expected[0])
    np.testing.assert_array_equal(store.read_rows([5, 2]), np.stack([expected[1][1], expected[0][2]]))
    into = np.empty((4, 1, 6), store.settings.dtype)
    store.read_into(0, into)
    np.testing.assert_array_equal(into, expected[0])
    assert np.isnan(store.read_shard(1)[3]).all()
    assert store.read_rows([]).shape == (0, 1, 6)
    assert store.features.shape == (8, 6)
    opened = xarray.open_zarr(store.path / "features.zarr", consolidated=False)["features"]
    assert (opened.dims, opened.dtype) == (("row", "dimension"), np.dtype(store.settings.dtype))
    np.testing.assert_array_equal(opened[2].to_numpy(), expected[0][2, 0])
    assert store.frame_s.tolist() == [0.0]
    assert store.band_names[::5] == ["embedding_1", "embedding_6"]


def test_nothing_is_found_wrong_with_a_whole_store_of_embeddings(store: FeatureStore):
    document, problems = verify_array(store)
    checks = [check_shard(store, shard, document) for shard in (0, 1)]
    assert ([*problems, *verify_objects(store)], [check.rows for check in checks]) == ([], [4, 3])
    assert not [problem for check in checks for problem in check.problems]
    shard = store.shard_path(1)
    shard.write_bytes(store.shard_path(0).read_bytes())
    assert "another shard took its place" in str(check_shard(store, 1, document).problems[0])


def test_seconds_are_counted_by_the_clips_lengths(store: FeatureStore):
    # Windows of 2 s at each second of 3.5 s: of whole clips 3.5 s, of the third's only window 2 s.
    facts = summarise_store(store)
    assert facts.sound_s == pytest.approx(2 * 3.5 + 2.0)
    assert facts.row_shape == (1, 6)


def test_a_models_name_changes_no_hash_and_all_else_does(tmp_path: Path):
    plain = make_settings()
    store = create_store(tmp_path / "store", plain, source="x")
    require_settings(store, make_settings(model="the same model, called otherwise"))
    for changed in ({"model_hash": "f" * 16}, {"dimension": 7}, {"sample_rate": 16000}):
        with pytest.raises(StoreError, match=r"was built with other settings \(\w{16}; asked for \w{16}\)"):
            require_settings(store, make_settings(**changed))


def test_nobody_chooses_embeddings_by_hand():
    with pytest.raises(SettingsError, match="rows of 'embedding' are made by a model; use hubbub embed CLIPS"):
        load_settings(None, ["frontend.name=embedding"])
    with pytest.raises(SettingsError, match="model_hash"):
        parse_settings({"frontend": {"name": "embedding", "model": "x", "dimension": 3}}, where="a store")


def test_a_shard_holds_a_thousand_embeddings_and_few_spectrograms():
    settings = make_settings(dimension=1024).model_copy(update={"layout": Layout(rows_per_chunk=256)})
    assert (row_bytes(settings), choose_layout(settings, 10**6).layout.rows_per_shard) == (4096, 1024)
    assert choose_layout(settings, 400).layout.rows_per_shard == 25
