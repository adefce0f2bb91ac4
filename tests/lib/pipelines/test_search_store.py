"""Search by example: what is found, in which order, and what never is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import hubbub
from hubbub.clips.table import ClipTable, clip_id, read_table
from hubbub.config import parse_settings
from hubbub.errors import StoreError, UsageError
from hubbub.pipelines.reporting import Reporter
from hubbub.pipelines.search import search as search_store
from hubbub.store.features import FeatureStore
from hubbub.store.opening import create_store
from tests.embedding_stores import HOP_S, WINDOW_S, make_settings, write_embeddings

ANGLES = np.cumsum(np.linspace(0.1, 0.4, 12))
FAN = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1) * np.arange(1, 13)[:, None]
"""Vectors of growing length, each turned on a little more: of a row's neighbours the one before it is nearer."""


@pytest.fixture(scope="module")
def fan(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """12 rows in two shards: four clips of three windows."""
    return write_embeddings(tmp_path_factory.mktemp("fan") / "store", FAN, root=Path("/sounds"))


def spans(clips: ClipTable) -> list[tuple[str, float]]:
    return list(zip(clips.rows["uri"].to_pylist(), clips.rows["start_s"].to_pylist(), strict=True))


def test_the_nearest_come_first_with_what_their_clips_have(fan: FeatureStore, tmp_path: Path):
    found = hubbub.search(fan, 4, tmp_path / "found.parquet", top=4, with_example=True)
    assert spans(found) == [("1.wav", 1.0), ("1.wav", 0.0), ("1.wav", 2.0), ("0.wav", 2.0)]
    assert found.rows["rank"].to_pylist() == [1, 2, 3, 4]
    expected = np.cos(ANGLES[[4, 3, 5, 2]] - ANGLES[4])
    assert found.rows["similarity"].to_pylist() == pytest.approx(expected, abs=1e-6)
    assert found.rows["end_s"].to_pylist() == [3.0, 2.0, 4.0, 4.0]
    assert found.rows["labels"].to_pylist() == [["label 1"]] * 3 + [["label 0"]]
    assert found.rows["clip_id"][0].as_py() == clip_id("1.wav", 1.0, 3.0)
    assert found.root == Path("/sounds")
    again = read_table(tmp_path / "found.parquet")  # a clip table like any
    assert again.rows.equals(found.rows)
    assert again.root == found.root
    assert found.source == tmp_path / "found.parquet"


def test_windows_that_share_sound_with_the_example_are_left_out(fan: FeatureStore):
    """Windows of 2 s every second: the neighbours of a row share a second with it."""
    assert spans(hubbub.search(fan, 4, top=2)) == [("0.wav", 2.0), ("2.wav", 0.0)]
    of_row = hubbub.search(fan, 3, top=3)
    assert spans(of_row) == [("0.wav", 2.0), ("0.wav", 1.0), ("1.wav", 2.0)]  # the last begins where row 3 ends
    of_clip = hubbub.search(fan, clip_id("1.wav"), top=20)
    assert {uri for uri, _ in spans(of_clip)} == {"0.wav", "2.wav", "3.wav"}
    assert len(of_clip) == 9
    assert len(hubbub.search(fan, clip_id("1.wav"), top=20, with_example=True)) == 12


def test_several_examples_are_their_mean_direction(fan: FeatureStore):
    """Half way between rows 0 and 8, whatever their lengths, lies hardly more than row 5."""
    found = hubbub.search(fan, [0, "8"], top=1, with_example=True)
    assert spans(found) == [("1.wav", 2.0)]
    expected = np.cos((ANGLES[0] + ANGLES[8]) / 2 - ANGLES[5])
    assert found.rows["similarity"].to_pylist() == pytest.approx([expected], abs=1e-6)
    by_clip = hubbub.search(fan, clip_id("0.wav"), top=1, with_example=True)
    assert spans(by_clip) == [("0.wav", 1.0)]  # the mean of its three windows is the middle one


def test_rows_that_do_not_count_are_never_found(tmp_path: Path):
    """Of six rows like the example one is retired, one superseded, one of a clip that failed elsewhere."""
    rows: list[dict[str, object]] = [{} for _ in range(8)]
    for number in range(8):
        rows[number] = {"clip_id": clip_id(f"{number}.wav"), "uri": f"{number}.wav", "window": 0, "start_s": 0.0}
    rows[1] |= {"status": "retired"}
    rows[2] |= {"clip_id": clip_id("3.wav"), "uri": "3.wav", "attempts": 1}
    rows[3] |= {"attempts": 2}
    rows[5] |= {"clip_id": clip_id("4.wav"), "uri": "4.wav", "window": 1, "row": None, "status": "failed", "error": "x"}
    vectors = np.ones((8, 3))
    vectors[[6, 7]] = [[0, 0, 0], [1, np.nan, 1]]
    store = write_embeddings(tmp_path / "store", vectors, rows=rows)
    lines: list[str] = []
    found = search_store(store, 0, top=9, with_example=True, reporter=Lines(lines))
    assert spans(found.clips) == [("0.wav", 0.0), ("3.wav", 0.0)]
    assert found.clips.rows["rank"].to_pylist() == [1, 2]
    assert (found.compared, found.skipped) == (4, 2)
    assert "skipped: 2 rows of zeros or not finite" in lines


class Lines(Reporter):
    """Keeps what it is told."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def show_table(self, title, rows):
        self._lines += [f"{name}: {value}" for name, value in rows.items()]


def test_a_window_of_two_channels_is_found_once(tmp_path: Path):
    """By its most similar channel; and `top` counts windows."""
    vectors = np.repeat(FAN[:4], 2, axis=0)
    vectors[1::2] = [[-1.0, 0.2]] * 4
    rows = [
        {
            "clip_id": clip_id(f"{n // 2}.wav"),
            "uri": f"{n // 2}.wav",
            "window": 0,
            "start_s": 0.0,
            "channel": str(n % 2 + 1),
        }
        for n in range(8)
    ]
    path = tmp_path / "store"
    settings = make_settings(2).model_copy(update={"channels": "each"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.embedding_stores.make_settings", lambda *args, **kwargs: settings)
        store = write_embeddings(path, vectors, rows=rows)
    found = hubbub.search(store, 0, top=3, with_example=True)
    assert spans(found) == [("0.wav", 0.0), ("1.wav", 0.0), ("2.wav", 0.0)]


def test_a_column_of_an_earlier_search_gives_way(tmp_path: Path):
    rows = [{"similarity": "wild", "rank": 7, "city": "Oslo"} for _ in range(6)]
    carried = {"similarity": pa.string(), "rank": pa.int64(), "city": pa.string()}
    store = write_embeddings(tmp_path / "store", FAN[:6], rows=rows, carried=carried)
    found = hubbub.search(store, 0, top=2)
    assert found.rows["rank"].to_pylist() == [1, 2]
    assert found.rows["city"].to_pylist() == ["Oslo", "Oslo"]
    assert found.rows.schema.field("similarity").type == pa.float64()


def test_one_worker_or_two_find_what_a_plain_loop_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Small units, equal similarities over several of them, and a Dask cluster."""
    monkeypatch.setattr("hubbub.tasks.search.UNIT_BYTES", 1)
    vectors = np.random.default_rng(0).integers(-1, 2, (60, 3))
    store = write_embeddings(tmp_path / "store", vectors)
    ways = [{"cluster": "serial"}, {}, {"cluster": "local", "workers": 2}]
    tables = [hubbub.search(store, int(np.abs(vectors).sum(axis=1).argmax()), top=25, **way).rows for way in ways]
    assert tables[1].equals(tables[0])
    assert tables[2].equals(tables[0])
    assert len(set(tables[0]["similarity"].to_pylist())) < 10


@pytest.mark.parametrize(
    ("like", "said"),
    [
        ([], "needs an example: --like clip.wav"),
        (99, "has no current row of that number"),
        ("f" * 32, "has no clip of this id"),
    ],
)
def test_an_example_that_is_none_is_refused(fan: FeatureStore, like: object, said: str):
    with pytest.raises(UsageError, match=said):
        hubbub.search(fan, like)  # type: ignore[arg-type]


def test_an_example_without_a_direction_is_refused(tmp_path: Path):
    store = write_embeddings(tmp_path / "store", np.array([[0.0, 0], [1, 0], [-2, 0]]))
    with pytest.raises(UsageError, match="the directions cancel out"):
        hubbub.search(store, [1, 2])
    with pytest.raises(UsageError, match="--like 0 has an embedding of zeros"):
        hubbub.search(store, 0)


def test_an_example_may_be_a_number_of_a_frame_of_rows(fan: FeatureStore, tmp_path: Path):
    number = fan.rows(["row"])["row"].iloc[0]
    found = hubbub.search(fan, number, top=3)
    assert found.rows.equals(hubbub.search(fan, [int(number)], top=3).rows)


def test_what_cannot_be_searched_is_refused(tmp_path: Path, fan: FeatureStore):
    with pytest.raises(UsageError, match="--top 0: expected 1 to 100,000"):
        hubbub.search(fan, 0, top=0)
    spectrograms = create_store(
        tmp_path / "store", parse_settings({"layout": {"rows_per_shard": 8}}, where="x"), source="x"
    )
    with pytest.raises(StoreError, match=r"holds features .log-mel.; expected embeddings.*hubbub embed CLIPS"):
        hubbub.search(spectrograms, 0)
    with pytest.raises(StoreError, match="has no whole copy of the model"):
        hubbub.search(fan, "dog.wav")
    with pytest.raises(UsageError, match="no current rows but those of the example"):
        hubbub.search(write_embeddings(tmp_path / "one", FAN[:1]), 0)
    with pytest.raises(StoreError, match=r"a clip table is a \.parquet file; give a name such as found\.parquet"):
        hubbub.search(fan, 0, tmp_path / "found.csv")
    (tmp_path / "notes.parquet").write_text("notes")
    with pytest.raises(StoreError, match="is something else than a clip table"):
        hubbub.search(fan, 0, tmp_path / "notes.parquet")
    assert WINDOW_S == 2 * HOP_S
