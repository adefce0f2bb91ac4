"""The feature store: rows come back as written, and nothing half-written reads as good."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.clips.table import CLIP_SCHEMA
from hubbub.config import Settings, load_settings
from hubbub.errors import StorageError, StoreError
from hubbub.store.features import FeatureStore
from hubbub.store.opening import create_store, is_store, open_store, require_settings
from hubbub.store.parts import part_path, read_part, write_part
from hubbub.store.rows import checksum, row_schema, select_current


def settings(*more: str) -> Settings:
    frontend = ["sample_rate=1000", "n_fft=64", "hop_samples=50", "n_mels=4"]
    layout = ["layout.rows_per_shard=4", "layout.rows_per_chunk=2", "windows.duration_s=0.5"]
    return load_settings(None, [*(f"frontend.{name}" for name in frontend), *layout, *more])


def write_all(store: FeatureStore, n_shards: int) -> None:
    for shard in range(n_shards):
        write(store, shard)


def values_of(store: FeatureStore, shard: int, used: int) -> np.ndarray:
    shape = (store.rows_per_shard, store.n_frames, store.n_bands)
    values = np.random.default_rng(shard).normal(-40, 20, shape).astype(store.settings.dtype)
    values[used:] = np.nan
    return values


def row(shard: int, offset: int, values: np.ndarray, **columns: Any) -> dict[str, Any]:
    number = shard * 4 + offset
    own = {"row": number, "clip_id": f"clip {number}", "window": 0, "windows": 1, "start_s": 0.0, "valid_frames": 11}
    own |= {"channel": "mix", "variant": 0, "policy_rule": "", "status": "ok", "attempts": 1}
    own |= {"crc32": checksum(values[offset]), "uri": f"{number}.wav", "labels": ["x"]}
    return own | {"version": "1"} | columns


def write(store: FeatureStore, shard: int, used: int = 4, **columns: Any) -> np.ndarray:
    values = values_of(store, shard, used)
    rows = [row(shard, offset, values, **columns) for offset in range(used)]
    schema = row_schema(pa.schema([*CLIP_SCHEMA, ("city", pa.string())]))
    store.write_shard(shard, values, pa.Table.from_pylist(rows, schema=schema))
    return values


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return create_store(tmp_path / "store", settings(), source="clips.parquet")


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_rows_come_back_as_written(tmp_path: Path, dtype: str):
    store = create_store(tmp_path / "store", settings(f"dtype={dtype}"), source="x")
    store.grow(2)
    one, two = write(store, 0, city="Oslo"), write(store, 1, 3)
    again = open_store(store.path)
    assert again == store
    np.testing.assert_array_equal(again.read_shard(0), one)
    np.testing.assert_array_equal(again.read_shard(1), two)
    np.testing.assert_array_equal(again.read_rows([6, 0, 3]), np.stack([two[2], one[0], one[3]]))
    assert again.read_rows([0]).dtype == np.dtype(dtype)
    assert again.read_rows([]).shape == (0, again.n_frames, again.n_bands)
    rows = again.rows()
    assert rows["row"].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert rows["city"].tolist()[:4] == ["Oslo"] * 4
    assert rows["labels"].tolist() == [["x"]] * 7
    assert rows.dtypes[["row", "window", "valid_frames", "fold", "start_s"]].astype(str).tolist() == [
        *("int64", "int32", "int32", "Int32", "float64")
    ]
    assert [checksum(again.read_rows([number])[0]) for number in rows["row"]] == rows["crc32"].tolist()


def test_rows_that_are_not_used_are_nan(store: FeatureStore):
    store.grow(3)
    write(store, 1, 2)
    opened = open_store(store.path)
    assert np.isnan(opened.read_shard(1)[2:]).all()
    assert np.isnan(opened.read_shard(0)).all()
    assert not np.isnan(opened.read_shard(1)[:2]).any()


def test_an_empty_store_has_empty_tables(store: FeatureStore):
    assert (len(store.rows()), len(store.row_index()), store.committed()) == (0, 0, [])
    assert {"row", "clip_id", "uri", "labels", "fold"} <= set(store.rows().columns)
    assert open_store(store.path).settings_hash == settings().hash


def test_a_shard_without_a_row_part_does_not_exist(store: FeatureStore):
    store.grow(2)
    write(store, 0)
    write(store, 1)
    part_path(store.rows_folder, 0).unlink()
    assert store.committed() == [1]
    assert store.rows()["row"].tolist() == [4, 5, 6, 7]
    write(store, 0)  # and is written over
    assert store.committed() == [0, 1]


def test_growing_keeps_what_is_there_and_sweeps(store: FeatureStore):
    store.grow(1)
    values = write(store, 0)
    (store.rows_folder / "00000001.partial-99").touch()
    store.grow(5)
    store.grow(2)  # never smaller
    opened = open_store(store.path)
    np.testing.assert_array_equal(opened.read_shard(0), values)
    assert opened.read_shard(4).shape == values.shape
    assert [path.name for path in store.rows_folder.iterdir()] == ["00000000.parquet"]


def test_it_opens_in_xarray_with_coordinates(store: FeatureStore):
    xarray = pytest.importorskip("xarray")
    store.grow(1)
    values = write(store, 0)
    with xarray.open_zarr(store.path / "features.zarr", consolidated=False) as data:
        assert data["features"].dims == ("row", "frame", "band")
        np.testing.assert_array_equal(data["features"].values, values)
        np.testing.assert_allclose(data["frame_s"].values, np.arange(11) * 0.05, rtol=0, atol=1e-12)
        np.testing.assert_array_equal(data["band_hz"].values, store.band_hz)
        assert {"frame_s", "band_hz"} <= set(data["features"].coords)
        assert data["frame_s"].attrs["units"] == "s"
        assert data.attrs["hubbub"]["settings_hash"] == store.settings_hash


def test_a_store_says_what_it_was_built_with(store: FeatureStore):
    told = json.loads((store.path / "features.zarr" / "zarr.json").read_text())["attributes"]["hubbub"]
    assert told["format"] == "hubbub-features/3"
    assert told["source"] == "clips.parquet"
    assert Settings.model_validate(told["settings"]) == settings()
    assert {"hubbub", "numpy", "librosa", "zarr"} <= set(told["versions"])
    assert set(told) >= {"settings_hash", "created_at"}


def test_places_that_hold_something_else(tmp_path: Path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    (tmp_path / "file").touch()
    for place, message in (("photos", r"holds something else \(cat\.jpg\)"), ("file", "is a file")):
        with pytest.raises(StoreError, match=message):
            create_store(tmp_path / place, settings(), source="x")
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["cat.jpg"]


@pytest.mark.parametrize("place", ["/proc/hubbub", "FILE/store"])
def test_places_that_cannot_be_written(tmp_path: Path, place: str):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write"):
        create_store(Path(place.replace("FILE", str(tmp_path / "file"))), settings(), source="x")


def test_a_disk_full_at_the_start_can_be_gone_on_with(small_disk: Path):
    """The message says to run the same command again; so the same command must then work."""
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(bytes(200_000))
    (small_disk / "store").mkdir(exist_ok=True)
    with pytest.raises(StorageError, match="No space left"):
        create_store(small_disk / "store", settings(), source="x")
    assert not is_store(small_disk / "store")
    filler.unlink()
    store = create_store(small_disk / "store", settings(), source="x")
    assert open_store(store.path).committed() == []


def test_a_creation_that_was_killed_can_be_gone_on_with(tmp_path: Path):
    killed = tmp_path / "store" / "features.zarr"
    (killed / "features").mkdir(parents=True)
    (killed / "features" / "zarr.json").write_text("{}")
    assert not is_store(tmp_path / "store")
    store = create_store(tmp_path / "store", settings(), source="x")
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == ["features.zarr", "rows"]
    assert open_store(store.path).features.shape[0] == 0


def test_a_disk_full_in_mid_run_commits_nothing(small_disk: Path):
    store = create_store(small_disk / "store", settings("dtype=float32"), source="x")
    store.grow(1000)
    with pytest.raises(StorageError, match="No space left on device; free some space"):
        write_all(store, 1000)
    opened = open_store(store.path)
    assert 0 < len(opened.committed()) < 1000
    for shard in opened.committed():
        held = opened.read_shard(shard)
        sums = opened.read_part(shard)["crc32"].to_pylist()
        assert [checksum(values) for values in held] == sums


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, "is no feature store; make one with: hubbub features"),
        ("{", "is no description of a feature store"),
        ('{"attributes": {}}', "is no description of a feature store"),
        ("[]", "is no description of a feature store"),
    ],
)
def test_what_is_no_store(store: FeatureStore, document: str | None, message: str):
    path = store.path / "features.zarr" / "zarr.json"
    path.unlink()
    if document is not None:
        path.write_text(document)
    with pytest.raises(StoreError, match=message):
        open_store(store.path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "format",
            "hubbub-features/9",
            r"has the format hubbub-features/9; this hubbub .* reads .*/1 and .*/2",
        ),
        ("settings_hash", "0" * 16, "its settings hash to .* expected 0000000000000000"),
        ("settings", {"frontend": {"n_mel": 3}}, "unknown setting 'frontend.n_mel'"),
        ("settings", 3, "is no description of a feature store"),
    ],
)
def test_a_store_of_another_kind(store: FeatureStore, name: str, value: Any, message: str):
    path = store.path / "features.zarr" / "zarr.json"
    document = json.loads(path.read_text())
    document["attributes"]["hubbub"][name] = value
    path.write_text(json.dumps(document))
    with pytest.raises(StoreError, match=message):
        open_store(store.path)


def test_other_settings_are_refused_with_both_hashes_and_what_differs(store: FeatureStore):
    other = settings("frontend.n_mels=8", "dtype=float32")
    with pytest.raises(StoreError, match=f"{store.settings_hash}; asked for {other.hash}") as caught:
        require_settings(store, other)
    assert "dtype: 'float32', not 'float16'; frontend.n_mels: 8, not 4" in str(caught.value)


def test_another_layout_is_refused_and_one_left_out_is_not(store: FeatureStore):
    require_settings(store, settings())
    values = {name: value for name, value in settings().model_dump().items() if name != "layout"}
    require_settings(store, Settings.model_validate(values))
    with pytest.raises(StoreError, match="laid out otherwise: rows_per_shard: 8, not 4"):
        require_settings(store, settings("layout.rows_per_shard=8"))


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ({"unit": 0, "settings_hash": "f" * 16}, "with settings ffffffffffffffff"),
        ({"unit": 5}, "says it is part 5"),
        ({"store_id": "other"}, "of the store other"),
    ],
)
def test_a_foreign_row_part_is_refused(store: FeatureStore, mark: dict[str, Any], message: str):
    store.grow(1)
    write(store, 0)
    table, own = read_part(store.rows_folder, 0)
    write_part(store.rows_folder, 0, table, own | mark)
    with pytest.raises(StoreError, match=message):
        store.row_index()


def test_a_store_of_an_earlier_format_has_todays_once_it_grows(store: FeatureStore):
    """An earlier hubbub would give numbers of shards again that a compaction has left behind."""
    document = store.path / "features.zarr" / "zarr.json"
    document.write_text(document.read_text().replace("hubbub-features/3", "hubbub-features/2"))
    earlier = open_store(store.path)
    assert earlier.provenance["format"] == "hubbub-features/2"
    earlier.grow(1)
    assert open_store(store.path).provenance["format"] == "hubbub-features/3"


def test_a_torn_row_part_is_refused(store: FeatureStore):
    store.grow(1)
    write(store, 0)
    path = part_path(store.rows_folder, 0)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StoreError, match="move it away, and the next run makes it again"):
        store.rows()


def test_parts_of_before_there_were_channels_and_variants_are_read(store: FeatureStore):
    store.grow(2)
    values = write(store, 0, 1)
    write(store, 1, 2)
    table, metadata = read_part(store.rows_folder, 0)
    write_part(
        store.rows_folder, 0, table.drop_columns(["channel", "variant", "policy_rule", "augmentation"]), metadata
    )
    rows = store.rows()
    assert rows["channel"].tolist() == ["mix"] * 3
    assert rows["variant"].tolist() == [0] * 3
    assert store.progress()["variant"].tolist() == [0] * 3
    np.testing.assert_array_equal(store.read_rows([0])[0], values[0])


def test_carried_columns_that_come_and_go(store: FeatureStore):
    """A grown clip table may bring a column, or text where a first one had nothing."""
    store.grow(2)
    values = write(store, 0)
    schema = row_schema(pa.schema([*CLIP_SCHEMA, ("mood", pa.float64())]))
    rows = [row(1, 0, values, mood=0.5)]
    store.write_shard(1, values, pa.Table.from_pylist(rows, schema=schema))
    frame = store.rows()
    assert frame["mood"].tolist()[-1] == 0.5
    assert frame["city"].isna().all()


def entry(shard: int, clip: str, window: int, status: str, *, attempt: int = 1, version: str | None = "1") -> dict:
    own = {
        "shard": shard,
        "clip_id": clip,
        "channel": "mix",
        "variant": 0,
        "policy_rule": "",
        "window": window,
        "status": status,
        "attempts": attempt,
    }
    return own | {"version": version, "windows": 1}


@pytest.mark.parametrize(
    ("entries", "counting"),
    [
        ([entry(0, "a", 0, "failed"), entry(1, "a", 0, "ok", attempt=2)], [1]),  # a retry that went well
        ([entry(0, "a", 0, "failed"), entry(1, "a", 0, "failed", attempt=2)], [1]),
        ([entry(0, "a", 0, "ok"), entry(1, "a", 0, "ok", attempt=2, version="2")], [1]),  # changed content
        (
            [entry(0, "a", 0, "ok"), entry(0, "a", 1, "ok"), entry(1, "a", 0, "ok", attempt=2, version="2")],
            [2],
        ),  # now shorter
        ([entry(5, "a", 0, "failed"), entry(2, "a", 0, "ok", attempt=2)], [1]),  # a retry that filled a hole
        ([entry(0, "a", 0, "ok", version=None), entry(0, "b", 0, "ok")], [0, 1]),
        ([entry(0, "a", 0, "ok"), entry(1, "a", 0, "failed", attempt=2, version=None)], [1]),  # the file vanished
    ],
)
def test_current_rows(entries: list[dict], counting: list[int]):
    row_index = pd.DataFrame(entries).assign(place=range(len(entries)))
    assert sorted(select_current(row_index)["place"]) == counting


def current_slowly(row_index: pd.DataFrame) -> set[int]:
    """Of each clip the content of its last shard, of each of its windows the last attempt."""
    places = set()
    for _, clip in row_index.groupby("clip_id"):
        last = max(clip.to_dict("records"), key=lambda entry: (entry["shard"], entry["attempts"]))
        clip = clip[clip["version"] == last["version"]]
        for _, window in clip.groupby("window"):
            places.add(max(window.to_dict("records"), key=lambda entry: entry["attempts"])["place"])
    return places


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 2), st.sampled_from(["ok", "failed"]), st.booleans()),
        min_size=1,
        max_size=12,
    )
)
def test_current_equals_the_slow_definition(history: list[tuple[str, int, str, bool]]):
    """A history as runs make it: every shard is later, every try a further attempt, content only moves on."""
    versions, attempts, entries = {"a": 1, "b": 1}, {}, []
    for shard, (clip, window, status, changed) in enumerate(history):
        versions[clip] += changed
        attempts[clip] = attempts.get(clip, 0) + 1
        entries.append(entry(shard, clip, window, status, attempt=attempts[clip], version=str(versions[clip])))
    row_index = pd.DataFrame(entries).assign(place=range(len(entries)))
    assert set(select_current(row_index)["place"]) == current_slowly(row_index)


def test_the_checksum_is_of_the_bytes_as_stored():
    values = np.arange(6, dtype=np.float16).reshape(2, 3)
    assert checksum(values) == checksum(values.astype(">f2")) == checksum(np.asfortranarray(values))
    assert checksum(values) != checksum(values.astype(np.float32))
