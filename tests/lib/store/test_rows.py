"""Which rows of a store count, and what brings them in line with a clip table: the fast way against a slow one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.clips.table import clip_id, make_table
from hubbub.config import Settings
from hubbub.errors import StoreError
from hubbub.store.parts import part_path, write_part
from hubbub.store.row_index import read_parts
from hubbub.store.row_updates import count_changed_clips, find_wanted_examples, refresh_clip_columns, update_statuses
from hubbub.store.rows import (
    list_example_columns,
    row_schema,
    select_current,
    select_examples,
    select_latest,
    select_usable,
)

TAKE = ["clip_id", "channel", "variant", "policy_rule"]


def clip(uri: str, version: str | None = "1", **columns: Any) -> dict[str, Any]:
    return {"clip_id": clip_id(uri), "uri": uri, "labels": ["dog"], "version": version, "duration_s": 1.0} | columns


def clips(*given: dict[str, Any]) -> pa.Table:
    return make_table(given, Path("/")).rows


def part(*given: dict[str, Any]) -> pa.Table:
    """Rows, each told by what is not as usual: `uri`, `status`, `version` and so on."""
    own = {"row": 0, "channel": "mix", "variant": 0, "policy_rule": "", "window": 0, "windows": 1, "status": "ok"}
    own |= {"attempts": 1, "crc32": 1, "valid_frames": 1, "start_s": 0.0}
    rows = [clip(entry.get("uri", "a")) | own | {"row": number} | entry for number, entry in enumerate(given)]
    return pa.Table.from_pylist(rows, schema=row_schema(clips(clip("a")).schema))


def statuses(rows: pa.Table) -> list[str]:
    return rows["status"].to_pylist()


# What rows are like, and what a clip table makes of them.
FAILED = {"row": None, "error": "DecodeError: no sound"}
ENDED = {"row": None}


@pytest.mark.parametrize(
    ("row", "table", "status"),
    [
        ({"status": "ok"}, [clip("a")], "ok"),
        ({"status": "ok"}, [clip("b")], "retired"),  # the clip left the table
        ({"status": "ok"}, [clip("a", "2")], "retired"),  # content of before
        ({"status": "ok", "version": None}, [clip("a", None)], "ok"),  # neither has a version: taken as unchanged
        ({"status": "ok"}, [clip("a", None)], "retired"),  # the file vanished
        ({"status": "ok", "policy_rule": "old", "variant": 1}, [clip("a")], "retired"),  # a rule of before
        ({"status": "ok", "channel": "2"}, [clip("a")], "retired"),  # a take that the settings do not ask for
        ({"status": "failed"} | FAILED, [clip("a")], "failed"),
        ({"status": "failed"} | FAILED, [clip("b")], "retired"),
        ({"status": "retired"}, [clip("a")], "ok"),  # it came back
        ({"status": "retired"} | FAILED, [clip("a")], "failed"),
        ({"status": "retired"} | ENDED, [clip("a")], "ended"),
        ({"status": "retired"}, [clip("b")], "retired"),
    ],
)
def test_what_a_clip_table_makes_of_a_row(row: dict, table: list[dict], status: str):
    rows = part({"status": "ok"}, row, {"uri": "c"})
    made = update_statuses(rows, find_wanted_examples(clips(*table, clip("c", labels=["cat"])), Settings()))
    assert statuses(made)[1:] == [status, "ok"]
    assert made["labels"].to_pylist()[2] == ["cat"], "columns are brought up to date, too"
    assert made.drop_columns(["status", "labels"]).equals(rows.drop_columns(["status", "labels"]))


def test_a_row_that_is_as_the_table_wants_it_stays_equal():
    rows = part({"uri": "a"}, {"uri": "b"})
    assert update_statuses(rows, find_wanted_examples(clips(clip("a"), clip("b")), Settings())).equals(rows)


histories = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from(["1", "2", None]),
        st.integers(0, 2),
        st.sampled_from(["ok", "failed", "ended", "retired"]),
        st.integers(1, 3),
    ),
    max_size=14,
)


def ledger_of(history: list[tuple], *, long_ids: bool = True) -> pd.DataFrame:
    entries = [
        {"clip_id": clip_id(uri) if long_ids else uri, "version": version, "window": window, "status": status}
        | {"attempts": attempt, "shard": shard, "place": shard, "channel": "mix", "variant": 0, "policy_rule": ""}
        for shard, (uri, version, window, status, attempt) in enumerate(history)
    ]
    names = [*TAKE, "version", "window", "status", "attempts", "shard", "place"]
    frame = pd.DataFrame(entries, columns=names)
    whole = ["variant", "window", "attempts", "shard", "place"]
    return frame.astype(dict.fromkeys(whole, "int64"))


def later(entry: dict) -> tuple[int, int]:
    return entry["attempts"], entry["shard"]


def version_of(entry: dict) -> str:
    return entry["version"] if isinstance(entry["version"], str) else ""


def current_slowly(row_index: pd.DataFrame) -> set[int]:
    places = set()
    live = [entry for entry in row_index.to_dict("records") if entry["status"] != "retired"]
    for name in {entry["clip_id"] for entry in live}:
        mine = [entry for entry in live if entry["clip_id"] == name]
        newest = version_of(max(mine, key=later))
        for window in {entry["window"] for entry in mine}:
            same = [entry for entry in mine if entry["window"] == window and version_of(entry) == newest]
            places |= {max(same, key=later)["place"]} if same else set()
    return places


def latest_slowly(row_index: pd.DataFrame) -> set[int]:
    last: dict[tuple, dict] = {}
    for entry in sorted(row_index.to_dict("records"), key=later):
        last[entry["clip_id"], entry["window"], version_of(entry)] = entry
    return {entry["place"] for entry in last.values()}


@given(histories, st.booleans())
def test_the_rows_that_count_are_those_of_the_slow_definition(history: list[tuple], long_ids: bool):
    row_index = ledger_of(history, long_ids=long_ids)
    assert set(select_current(row_index)["place"]) == current_slowly(row_index)
    assert set(select_latest(row_index)["place"]) == latest_slowly(row_index)


def test_ids_that_begin_alike_are_told_apart():
    """Only the second half differs of the first two; the third is no hex number."""
    ids = ["a" * 16 + "b" * 16, "a" * 16 + "c" * 16]
    for third in ("d" * 32, "no hex"):
        history = [(name, "1", 0, "ok", 1) for name in [*ids, third]]
        assert len(select_current(ledger_of(history, long_ids=False))) == 3
        assert len(select_current(ledger_of([*history, history[0]], long_ids=False))) == 3


@given(histories)
def test_examples_are_the_usable_of_the_current_rows(history: list[tuple]):
    rows = part(
        *(
            {"uri": uri, "version": version, "window": window, "status": status, "attempts": attempt, "row": 99 - place}
            for place, (uri, version, window, status, attempt) in enumerate(history)
        )
    )
    rows = rows.append_column("shard", pa.array(np.arange(len(rows))))
    expected = select_usable(select_current(rows.to_pandas()), Settings()).sort_values("row")
    found = select_examples(rows, Settings())
    assert found["row"].tolist() == expected["row"].tolist()
    assert found["uri"].tolist() == expected["uri"].tolist()
    assert found["row"].dtype == np.int64
    assert not {"status", "error"} & set(found)


@pytest.mark.parametrize("labels", [[["a"], ["b"], ["a"]], [[], ["a", "b"], ["a"]], [[], [], []]])
def test_labels_are_lists_whatever_their_number(labels: list[list[str]]):
    rows = part(*({"uri": str(number), "labels": own} for number, own in enumerate(labels)))
    rows = rows.append_column("shard", pa.array([0, 0, 0]))
    assert select_examples(rows, Settings())["labels"].tolist() == labels


def test_some_columns_are_those_asked_for_in_that_order():
    rows = part({"uri": "a"}, {"uri": "b"}).append_column("shard", pa.array([0, 0]))
    asked = ["uri", "labels", "status"]
    read = rows.select([name for name in rows.column_names if name in list_example_columns(asked)])
    found = select_examples(read, Settings(), asked)
    assert found.columns.tolist() == asked
    assert found["uri"].tolist() == ["a", "b"]
    assert list_example_columns(None) is None


def test_changed_clips_are_those_of_which_any_column_differs():
    old = part({"uri": "a"}, {"uri": "b", "fold": 1}, {"uri": "c"}, {"uri": "c"})
    new = part({"uri": "a"}, {"uri": "b", "fold": None}, {"uri": "c", "labels": ["cat"]}, {"uri": "c"})
    assert count_changed_clips(old, old) == 0
    assert count_changed_clips(old, new) == 2
    assert count_changed_clips(old, refresh_clip_columns(old, clips(clip("a", city="Oslo"), clip("b", fold=1)))) == 1


MARK = {"unit": 0}


def write_parts(folder: Path, *tables: pa.Table) -> None:
    for number, table in enumerate(tables):
        write_part(folder, number, table, MARK | {"unit": number})


def test_many_parts_are_one_table_in_order(tmp_path: Path):
    tables = [pa.table({"name": [f"{number}", "x"]}) for number in range(300)]
    write_parts(tmp_path, *tables)
    seen = []
    rows = read_parts(tmp_path, range(300), check=lambda number, mark: seen.append((number, mark["unit"])))
    assert seen == [(number, number) for number in range(300)]
    assert rows["shard"].to_pylist() == [number for number in range(300) for _ in range(2)]
    assert rows["name"].to_pylist()[::2] == [str(number) for number in range(300)]


def test_parts_of_other_columns_and_types_go_together(tmp_path: Path):
    """What is a whole number here, a fraction and text there, is text as each part says it."""
    columns = [[1], [2], [0.5], ["three"]]
    write_parts(tmp_path, *(pa.table({"city": values}) for values in columns), pa.table({"mood": ["calm"]}))
    rows = read_parts(tmp_path, range(5), check=lambda *_: None)
    assert rows["city"].to_pylist() == ["1", "2", "0.5", "three", None]
    assert rows["mood"].to_pylist() == [None] * 4 + ["calm"]


def test_the_columns_asked_for_alone_are_read_and_those_added_later_are_there(tmp_path: Path):
    write_parts(tmp_path, pa.table({"a": [1], "b": [2]}))
    rows = read_parts(
        tmp_path, [0], ["a"], check=lambda *_: None, completed=lambda table: table.append_column("c", pa.array([3]))
    )
    assert rows.to_pylist() == [{"a": 1, "c": 3, "shard": 0}]


def test_a_torn_part_and_one_that_does_not_belong_are_refused(tmp_path: Path):
    write_parts(tmp_path, *[pa.table({"a": [1]})] * 3)

    def refuse(number: int, mark: dict[str, Any]) -> None:
        if number == 1:
            raise StoreError(f"part {number} is foreign")

    with pytest.raises(StoreError, match="part 1 is foreign"):
        read_parts(tmp_path, range(3), check=refuse)
    part_path(tmp_path, 2).write_bytes(b"PAR1 torn")
    with pytest.raises(StoreError, match=r"00000002\.parquet cannot be read"):
        read_parts(tmp_path, range(3), check=lambda *_: None)
