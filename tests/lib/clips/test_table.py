"""The clip table: its contract, checked once, kept on disk."""

from __future__ import annotations

import datetime as dt
import string
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.clips.table import CLIP_SCHEMA, RESERVED_COLUMNS, clip_id, make_table, read_table, resolve_uri, write_table
from hubbub.errors import ClipTableError, StorageError


def clip(uri: str = "a.wav", **columns: Any) -> dict[str, Any]:
    return {"clip_id": clip_id(uri, columns.get("start_s"), columns.get("end_s")), "uri": uri, "labels": [], **columns}


def test_clip_ids_never_change():
    """Goldens: stores out there name their clips by these."""
    assert clip_id("a.wav") == "6dce33e13844a25cd07bdead6cc81f9a"
    assert clip_id("ü ☃#=.wav", 1, 2.5) == "a13b1e53cd9f94e76b2bfdc42465359d"


@pytest.mark.parametrize(
    "other",
    [("b.wav", None, None), ("a.wav", 0.0, None), ("a.wav", None, 5.0), ("a.wav", 0.0, 5.0), ("A.wav", None, None)],
)
def test_clip_ids_tell_segments_apart(other: tuple):
    assert clip_id(*other) != clip_id("a.wav")


def test_clip_ids_do_not_know_whole_seconds_from_floats():
    assert clip_id("a.wav", 1, 2) == clip_id("a.wav", 1.0, 2.0)


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("a.wav", "/root/a.wav"),
        ("x/a#b=c.wav", "/root/x/a#b=c.wav"),
        ("../a.wav", "/root/../a.wav"),
        ("/abs/a.wav", "/abs/a.wav"),
        ("file:///abs/two%20words.wav", "/abs/two words.wav"),
    ],
)
def test_resolve(uri: str, path: str):
    assert resolve_uri(uri, Path("/root")) == Path(path)


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        ([], "no clips"),
        ([clip(), clip()], r"1 clip more than once, such as a\.wav"),
        ([clip(start_s=2.0, end_s=1.0)], r"a\.wav has the segment 2\.0 s to 1\.0 s; expected 0 <= start_s < end_s"),
        ([clip(start_s=1.0, end_s=1.0)], "expected 0 <= start_s < end_s"),
        ([clip(start_s=-1.0)], "segment -1.0 s"),
        ([clip(end_s=0.0)], "segment None s to 0.0 s"),
        ([clip(end_s=float("nan"))], "segment"),
        ([clip(start_s=float("nan"))], "segment"),
        ([clip(fold="first")], "do not fit"),
        ([clip(city="Oslo"), clip("b.wav", city=3)], "do not fit"),
        ([clip() | {"uri": None}], "column 'uri' has 1 empty values"),
        ([clip() | {"labels": None}], "column 'labels' has 1 empty values"),
        *(
            [[clip(**{name: "x"})], f"column '{name}' has a name that hubbub's outputs use"]
            for name in sorted(RESERVED_COLUMNS)
        ),
    ],
)
def test_clips_that_break_the_contract(clips: list[dict[str, Any]], message: str):
    with pytest.raises(ClipTableError, match=message):
        make_table(clips, Path("/"))


def test_names_that_outputs_use_are_reserved():
    """Columns that stores and label tables add to the clip's own must not meet a carried one."""
    from hubbub.labels.schemas import label_schemas
    from hubbub.store.rows import ROW_COLUMNS

    schemas = label_schemas(pa.schema([]), 2)
    own = {field.name for field in ROW_COLUMNS} | set(schemas.files.names) | set(schemas.windows.names)
    own |= set(schemas.events.names) | {"shard", "unit"}  # added when they are read
    assert own - set(CLIP_SCHEMA.names) <= RESERVED_COLUMNS


def test_missing_columns_of_the_contract_are_null():
    table = make_table([clip(city="Oslo")], Path("/root"))
    assert table.rows.schema.names == [*CLIP_SCHEMA.names, "city"]
    assert table.rows["fold"].to_pylist() == [None]
    assert table.carried == ["city"]
    assert len(table) == 1


names = st.text(string.ascii_letters + "_ é", min_size=1, max_size=8).filter(
    lambda name: name not in RESERVED_COLUMNS and name not in CLIP_SCHEMA.names
)
columns = st.one_of(
    st.just(st.none() | st.text(max_size=5)),
    st.just(st.none() | st.integers(-(2**63), 2**63 - 1)),
    st.just(st.none() | st.floats(allow_nan=False)),
    st.just(st.none() | st.booleans()),
    st.just(st.none() | st.datetimes(timezones=st.just(dt.UTC), min_value=dt.datetime(1980, 1, 1))),
)


@st.composite
def carried_clips(draw: st.DrawFn) -> list[dict[str, Any]]:
    kinds = draw(st.dictionaries(names, columns, max_size=4))
    text = st.text(string.printable + "é☃", min_size=1, max_size=6).filter(lambda uri: "://" not in uri)
    uris = draw(st.lists(text, min_size=1, max_size=5, unique=True))
    return [
        clip(
            uri,
            labels=draw(st.lists(st.text(max_size=3), max_size=2)),
            fold=draw(st.none() | st.integers(-(2**31), 2**31 - 1)),
            **{name: draw(kind) for name, kind in kinds.items()},
        )
        for uri in uris
    ]


@given(carried_clips())
def test_a_table_survives_writing_and_reading(tmp_path_factory: pytest.TempPathFactory, clips: list[dict[str, Any]]):
    path = tmp_path_factory.getbasetemp() / "round trip=1 #2.parquet"
    table = make_table(clips, Path("/some where"))
    write_table(table, path)
    again = read_table(path)
    assert again.root == table.root
    assert again.rows.equals(table.rows)
    for given_clip, row in zip(clips, again.rows.to_pylist(), strict=True):
        assert {name: row[name] for name in given_clip} == given_clip


def test_writing_leaves_nothing_half_written(tmp_path: Path):
    write_table(make_table([clip()], Path("/")), tmp_path / "new" / "clips.parquet")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["clips.parquet"]


def test_a_place_that_cannot_be_written(tmp_path: Path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for place in (tmp_path / "file" / "clips.parquet", tmp_path / "folder"):
        with pytest.raises(StorageError, match="cannot write"):
            write_table(make_table([clip()], Path("/")), place)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_tables_by_other_hands_are_read(tmp_path: Path):
    """Pandas writes large strings, null columns and int64 folds; the root is then the table's own folder."""
    frame = pd.DataFrame({"clip_id": ["1"], "uri": ["a.wav"], "labels": [["x"]], "fold": [2], "mood": [0.5]})
    frame["recorded_at"] = pd.to_datetime(["2024-05-01T12:00:00"], utc=True)
    frame.to_parquet(tmp_path / "mine.parquet")
    table = read_table(tmp_path / "mine.parquet")
    assert table.root == tmp_path
    assert table.carried == ["mood"]
    assert table.rows["fold"].type == pa.int32()
    assert table.rows["recorded_at"].to_pylist() == [dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"uri": ["a"], "labels": [["x"]]}, r"column 'clip_id' is missing \(there are: uri, labels\)"),
        ({"clip_id": ["1"], "uri": ["a"], "labels": ["x"]}, "column 'labels' is string; expected list"),
        ({"clip_id": ["1"], "uri": ["a"], "labels": [["x"]], "fold": [1.5]}, "column 'fold' is double; expected int32"),
    ],
)
def test_tables_by_other_hands_that_break_the_contract(tmp_path: Path, columns: dict[str, list], message: str):
    pq.write_table(pa.table(columns), tmp_path / "mine.parquet")
    with pytest.raises(ClipTableError, match=message):
        read_table(tmp_path / "mine.parquet")


def test_what_is_no_table(tmp_path: Path):
    with pytest.raises(ClipTableError, match="does not exist; make a clip table with: hubbub index"):
        read_table(tmp_path / "nowhere.parquet")
    (tmp_path / "text.parquet").write_text("no table")
    for path in (tmp_path / "text.parquet", tmp_path):
        with pytest.raises(ClipTableError, match="is no clip table"):
            read_table(path)


@pytest.mark.parametrize("mark", [b'{"unit": 1, "settings_hash": "x"}', b"no json", b"[]"])
def test_a_part_of_a_store_given_for_a_table(tmp_path: Path, mark: bytes):
    """Parts of stores have a `hubbub` mark of their own, without a root."""
    table = make_table([clip()], Path("/")).rows.replace_schema_metadata({b"hubbub": mark})
    pq.write_table(table, tmp_path / "00000000.parquet")
    with pytest.raises(ClipTableError, match=r"00000000\.parquet"):
        read_table(tmp_path / "00000000.parquet")
