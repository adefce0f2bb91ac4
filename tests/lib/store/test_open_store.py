"""A store as seen from Python: `hubbub.open_store`, and the documentation's example, run as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray

import hubbub
from hubbub.clips.index import index_listing
from hubbub.clips.sources import Columns, list_source
from hubbub.config import load_settings
from hubbub.engine.serial import SerialEngine
from hubbub.errors import StoreError
from hubbub.planning.plan import plan_features
from hubbub.store.features import FeatureStore
from hubbub.store.opening import create_store
from hubbub.store.rows import row_schema
from hubbub.tasks.extract import ExtractTask

PAGE = Path(__file__).resolve().parents[3] / "docs" / "howto" / "python.md"

MEANS_TOLERANCE_DB = 0.01
"""The example sums float32 values; the oracle sums the same stored values in float64."""


@pytest.fixture(scope="module")
def folder(esc10_mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `store`: real clips in windows with padding, shards with holes."""
    folder = tmp_path_factory.mktemp("elsewhere")
    listing = list_source(esc10_mini / "esc10.csv", None, Columns())
    table = index_listing(listing)[0]
    settings = load_settings(
        None,
        [
            *("frontend.sample_rate=8000", "frontend.n_mels=24", "windows.mode=all", "windows.duration_s=2"),
            *("layout.rows_per_shard=32", "layout.rows_per_chunk=8"),
        ],
    )
    store, plan = create_store(folder / "store", settings, source="esc10.csv"), plan_features(table, settings)
    store.grow(plan.n_shards)
    list(SerialEngine().run(ExtractTask(store, table.root, row_schema(table.rows.schema)), plan.units()))
    return folder


@pytest.fixture
def store(folder: Path) -> FeatureStore:
    return hubbub.open_store(folder / "store")


def read_example() -> str:
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found, f"{PAGE} has no Python example"
    return found[1]


def class_means(store: FeatureStore) -> dict[str, np.ndarray]:
    """Mean over all frames of sound of all rows of each class, float64 [band], a row at a time."""
    totals: dict[str, list[Any]] = {}
    for row in store.rows().itertuples():
        sound = store.read_rows([row.row])[0, : row.valid_frames].astype(np.float64)
        held = totals.setdefault(row.labels[0], [0, 0.0])
        held[0], held[1] = held[0] + len(sound), held[1] + sound.sum(axis=0)
    return {label: total / frames for label, (frames, total) in totals.items()}


def test_the_example_of_the_page_gives_the_means_of_a_plain_loop(
    folder: Path, store: FeatureStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(compile(read_example(), PAGE.name, "exec"), names)
    expected, means = class_means(store), names["means"]
    assert means["label"].values.tolist() == sorted(expected)
    for label, mean in expected.items():
        np.testing.assert_allclose(means.sel(label=label).values, mean, rtol=0, atol=MEANS_TOLERANCE_DB)
        loudest = names["loudest"].sel(label=label).item()
        assert loudest == store.band_hz[np.argmax(mean)]
    assert names["one"].shape == (8, store.n_frames, store.n_bands)
    np.testing.assert_array_equal(names["first"], store.read_rows([0])[0])
    assert "rooster" in capsys.readouterr().out


def test_xarray_finds_labelled_dimensions_and_coordinates_with_units(folder: Path, store: FeatureStore):
    opened = xarray.open_zarr(folder / "store" / "features.zarr", consolidated=False)
    assert opened["features"].dims == ("row", "frame", "band")
    assert {name: coordinate.attrs["units"] for name, coordinate in opened.coords.items()} == {
        "frame_s": "s",
        "band_hz": "Hz",
    }
    np.testing.assert_array_equal(opened["band_hz"].values, store.band_hz)
    np.testing.assert_array_equal(opened["frame_s"].values, store.frame_s)
    rows = store.rows()["row"].to_numpy()
    np.testing.assert_array_equal(opened["features"].isel(row=rows).values, store.read_rows(rows))


def test_features_and_rows_are_arrays_and_a_frame(store: FeatureStore):
    rows = store.rows()
    assert {"row", "labels", "fold", "uri", "valid_frames", "start_s"} <= set(rows.columns)
    number = int(rows["row"].iloc[5])
    values = store.features[number]
    assert isinstance(values, np.ndarray)
    assert values.shape == (store.n_frames, store.n_bands)
    np.testing.assert_array_equal(store.read_rows(rows["row"])[5], values)
    with pytest.raises((ValueError, TypeError)):
        store.features[number] = 0.0


def test_an_address_may_be_text_and_what_is_no_store_is_refused(folder: Path, tmp_path: Path):
    assert hubbub.open_store(str(folder / "store")).path == folder / "store"
    with pytest.raises(StoreError, match="is no feature store; make one with"):
        hubbub.open_store(tmp_path)


def test_a_store_in_a_bucket_opens_too(s3: str, folder: Path, store: FeatureStore):
    from hubbub.io.paths import parse_path

    for path in sorted(store.path.rglob("*")):
        if path.is_file():
            target = parse_path(f"{s3}/store/{path.relative_to(store.path).as_posix()}")
            target.fs.pipe_file(target.path, path.read_bytes())
    remote = hubbub.open_store(f"{s3}/store")
    number = int(store.rows()["row"].iloc[3])
    np.testing.assert_array_equal(remote.features[number], store.features[number])
    np.testing.assert_array_equal(remote.read_rows([number])[0], store.features[number])
    assert remote.rows().equals(store.rows())


def test_importing_hubbub_is_light():
    """No library that takes time to load, until a store is opened."""
    code = "import sys, hubbub; print([name for name in ('numpy', 'pandas', 'pyarrow', 'zarr') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_hubbub_does_not_have_is_refused():
    with pytest.raises(AttributeError, match="has no attribute 'open_shop'"):
        hubbub.open_shop  # noqa: B018
