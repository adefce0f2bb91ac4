"""A feature store's values as tiles: at each time the frame that lies there, in the store's bands."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hubbub
from hubbub.errors import UsageError
from hubbub.store.features import FeatureStore
from hubbub.web.store_view import StoreView
from hubbub.web.tiles import COLUMNS, LINES
from tests.lib.web.tables_to_browse import write_recording


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    folder = tmp_path_factory.mktemp("store-view")
    for name in ("a.wav", "b.wav"):
        write_recording(folder / "sounds" / "site" / name, seconds=7.3)
    clips = hubbub.index(folder / "sounds", out=folder / "clips.parquet")
    settings = {"frontend.sample_rate": 8000, "frontend.n_mels": 40, "windows.duration_s": 2.0, "windows.mode": "all"}
    return hubbub.build_features(clips, folder / "store", settings=settings, cluster="serial")


def test_every_time_shows_the_frame_that_lies_there(store: FeatureStore) -> None:
    view = StoreView(store)
    rows = view.find("site/a.wav")
    assert rows is not None
    at_s = np.array([0.01, 1.5, 1.99, 2.01, 5.0, 7.2])
    found = view.read_columns(rows, at_s)
    step_s = store.frame_s[1] - store.frame_s[0]
    for moment, values in zip(at_s, found, strict=True):
        own = rows[rows["start_s"] <= moment].iloc[-1]
        frame = int((moment - own["start_s"]) / step_s)
        np.testing.assert_array_equal(values, store.read_rows([int(own["row"])])[0][frame].astype(np.float32))
    assert np.isnan(view.read_columns(rows, np.array([8.5, 100.0]))).all()


def test_a_tile_has_the_tone_at_its_band_and_nothing_beyond_the_end(store: FeatureStore) -> None:
    view = StoreView(store)
    grey = np.asarray(Image.open(io.BytesIO(view.draw_tile("site/b.wav", level=4, number=0))))
    assert grey.shape == (LINES, COLUMNS)
    assert (grey[:, round(7.6 / 16 * COLUMNS) :] == 0).all()
    edges = view.line_edges_hz()
    assert (np.diff(edges) > 0).all()
    line = LINES - 1 - int(np.median(np.flatnonzero(grey[:, 48] == grey[:, 48].max())))  # 1.5 s
    assert edges[line - 7] <= 1000 <= edges[line + 8]


def test_recordings_are_found_by_their_only_file_name_and_others_are_refused(store: FeatureStore) -> None:
    view = StoreView(store)
    assert view.find("elsewhere/a.wav") is not None
    assert view.find("c.wav") is None
    with pytest.raises(UsageError, match="holds nothing of c.wav"):
        view.draw_tile("c.wav", level=2, number=0)


def test_stores_of_embeddings_are_refused(tmp_path: Path) -> None:
    from tests.embedding_stores import write_embeddings

    with pytest.raises(UsageError, match="holds embeddings"):
        StoreView(write_embeddings(tmp_path / "embeddings", np.ones((3, 4))))
