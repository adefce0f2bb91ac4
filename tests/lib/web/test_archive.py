"""The archive in DuckDB: the same numbers as pandas has, whatever the filter, and while the tables grow."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubbub.errors import UsageError
from hubbub.labels.tables import LabelTables
from hubbub.web.archive import Archive
from hubbub.web.browsed import BrowsedTables
from hubbub.web.filters import parse_filter
from hubbub.web.overview import BINS, describe_archive, summarise
from tests.examples import count_examples
from tests.lib.web.tables_to_browse import LABELS, make_file, make_tables, write_unit


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> LabelTables:
    return make_tables(tmp_path_factory.mktemp("archive") / "labels", files=11, units=4)


@pytest.fixture(scope="module")
def browsed(tables: LabelTables) -> BrowsedTables:
    opened = BrowsedTables(tables)
    opened.refresh()
    return opened


@pytest.fixture(scope="module")
def events(tables: LabelTables) -> pd.DataFrame:
    return tables.events()


def ask(browsed: BrowsedTables, **given: object) -> dict:
    archive = browsed.archive
    return summarise(archive, parse_filter(json.dumps(given), archive.carried), column="city")


def select(events: pd.DataFrame, **given: object) -> pd.DataFrame:
    """Events that a filter lets through, as a loop over all of them finds."""
    kept = []
    for event in events.astype(object).replace({np.nan: None}).to_dict("records"):
        at = None if event["onset_at"] is None or event["onset_at"] is pd.NaT else pd.Timestamp(event["onset_at"])
        checks = [
            not given.get("labels") or event["label"] in given["labels"],  # type: ignore[operator]
            given.get("least") is None or event["peak"] >= np.float32(given["least"]),
            given.get("most") is None or event["peak"] <= np.float32(given["most"]),
            not given.get("hours") or (at is not None and at.hour in given["hours"]),  # type: ignore[operator]
            given.get("from_day") is None or (at is not None and str(at.date()) >= given["from_day"]),
            given.get("to_day") is None or (at is not None and str(at.date()) <= given["to_day"]),
            *(event[name] in values for name, values in (given.get("columns") or {}).items()),  # type: ignore[attr-defined]
        ]
        if all(checks):
            kept.append(event | {"at": at})
    return pd.DataFrame(kept, columns=[*events.columns, "at"])


filters = st.fixed_dictionaries(
    {},
    optional={
        "labels": st.lists(st.sampled_from(LABELS), unique=True),
        "least": st.floats(0, 1),
        "most": st.floats(0.4, 1),
        "hours": st.lists(st.integers(0, 23), unique=True, max_size=8),
        "from_day": st.sampled_from(["2026-03-28", "2026-03-29", "2026-03-30"]),
        "to_day": st.sampled_from(["2026-03-28", "2026-03-29"]),
        "columns": st.fixed_dictionaries(
            {},
            optional={
                "city": st.lists(st.sampled_from(["Łódź", "Rīga", None]), unique=True, min_size=1),
                "group": st.just(["site 0"]),
            },
        ),
    },
)


@settings(max_examples=count_examples(60))
@given(given=filters)
def test_sums_are_those_of_a_loop_over_all_events(given: dict, browsed: BrowsedTables, events: pd.DataFrame) -> None:
    if "group" in given.get("columns", {}):
        kept_columns = {"city": given["columns"]["city"]} if "city" in given["columns"] else {}
        expected = select(events, **given | {"columns": kept_columns})
        expected = expected[expected["uri"].str.startswith("site 0")]
    else:
        expected = select(events, **given)
    found = ask(browsed, **given)
    assert found["events"]["events"] == len(expected)
    assert found["events"]["seconds"] == pytest.approx((expected["offset_s"] - expected["onset_s"]).sum())
    assert found["events"]["without_time"] == int(expected["at"].isna().sum())
    known = expected[expected["at"].notna()]
    heat = {(day, hour): n for day, hour, n in found["heat"]}
    assert (
        heat
        == known.groupby([known["at"].map(lambda at: str(at.date())), known["at"].map(lambda at: at.hour)])
        .size()
        .to_dict()
    )
    assert {row["value"]: row["events"] for row in found["column"]["values"] if row["events"]} == {
        (None if value == "none" else value): n for value, n in expected["city"].fillna("none").value_counts().items()
    }


def test_labels_are_counted_whatever_labels_are_chosen_and_scores_whatever_scores_are(browsed, tables) -> None:
    found = ask(browsed, labels=["dog"], least=0.75)
    events = tables.events()
    loud = events[events["peak"] >= 0.75]
    assert {row["label"]: row["events"] for row in found["labels"]} == loud["label"].value_counts().to_dict()
    assert {row["label"]: row["clips"] for row in found["labels"]} == loud.groupby("label")["uri"].nunique().to_dict()
    dog = events[events["label"] == "dog"]
    assert list(found["scores"]) == ["dog"]
    assert found["scores"]["dog"] == np.histogram(dog["peak"], BINS, (0, 1))[0].tolist()


def test_a_quiet_value_of_a_column_is_there_with_none_and_the_hours_it_was_heard(browsed) -> None:
    found = ask(browsed, labels=["nobody"])
    assert {row["value"]: row["events"] for row in found["column"]["values"]} == {"Łódź": 0, "Rīga": 0, None: 0}
    assert sum(row["seconds"] for row in found["column"]["values"]) == 10 * 30.0


def test_effort_is_divided_at_full_hours_in_the_time_zone(tmp_path: Path) -> None:
    """Two hours that begin at half past, over the night in which Berlin's clocks go forward."""
    tables = make_tables(tmp_path / "labels", files=0, units=0)
    file = make_file(0, duration_s=7200.0) | {"recorded_at": make_file(0)["recorded_at"] + timedelta(hours=1)}
    write_unit(tables, 0, [file], events=0)
    archive = Archive(tables, timezone="Europe/Berlin")
    archive.refresh()
    found = summarise(archive, parse_filter(None, {}))["effort"]
    assert found == [["2026-03-29", 0, 1800.0], ["2026-03-29", 1, 3600.0], ["2026-03-29", 3, 1800.0]]
    local = file["recorded_at"].astimezone(ZoneInfo("Europe/Berlin"))
    assert (local.hour, local.minute) == (0, 30)


def test_what_does_not_depend_on_a_filter(browsed, tables) -> None:
    told = describe_archive(browsed.archive)
    assert (told["clips"], told["ok"], told["failed"]) == (11, 10, 1)
    assert told["analysed_s"] == 300.0
    assert told["without_time"] == 1
    assert told["events"] == len(tables.events())
    assert told["failures"][0]["kind"] == "DecodeError"
    assert told["failures"][0]["some"][0]["error"] == "DecodeError: no audio <i>"
    assert set(told["columns"]) == {"group", "city", "latitude", "longitude"}


def test_places_are_told_and_recordings_without_one_counted(browsed) -> None:
    places = ask(browsed)["places"]
    assert {(place["lat"], place["lon"]) for place in places["places"]} == {(50.0, 19.0), (50.1, 19.2)}
    assert places["clips_without"] == 2  # the third of them failed
    assert sum(place["clips"] for place in places["places"]) == 8


def test_tables_that_grow_are_followed_unit_by_unit(tmp_path: Path) -> None:
    tables = make_tables(tmp_path / "labels", files=4, units=2)
    archive = Archive(tables)
    assert archive.refresh()
    before = archive.state.generation
    assert not archive.refresh()
    assert archive.state.generation == before
    write_unit(tables, 7, [make_file(9), make_file(10)])
    (tables.path / "files" / "00000007.parquet").rename(tables.path / "files" / "hidden")  # type: ignore[union-attr]
    assert not archive.refresh()  # events of a unit that is not committed do not count
    (tables.path / "files" / "hidden").rename(tables.path / "files" / "00000007.parquet")  # type: ignore[union-attr]
    assert archive.refresh()
    assert archive.ask("SELECT count(*) FROM clips") == [(6,)]
    assert archive.ask("SELECT count(*) FROM events") == [(len(tables.events()),)]


def test_of_a_file_that_was_tried_again_the_last_attempt_counts(tmp_path: Path) -> None:
    tables = make_tables(tmp_path / "labels", files=0, units=0)
    file = make_file(1)
    write_unit(tables, 0, [file | {"status": "failed", "error": "TimedOut: x", "duration_s": None, "windows": None}])
    archive = Archive(tables)
    archive.refresh()
    write_unit(tables, 1, [file | {"attempts": 2}])
    archive.refresh()
    assert archive.ask("SELECT status, attempts FROM clips") == [("ok", 2)]
    write_unit(tables, 2, [file | {"attempts": 3}], events=2, seed=5)
    archive.refresh()
    assert archive.ask("SELECT count(*) FROM events") == [(2,)]
    assert len(tables.events()) == 2


def test_events_found_again_take_the_place_of_the_old_ones(tmp_path: Path) -> None:
    from hubbub.pipelines.events import find_events

    tables = make_tables(tmp_path / "labels", files=3, units=2)
    archive = Archive(tables)
    archive.refresh()
    find_events(tables, thresholds=0.99)
    archive.refresh()
    found = archive.ask("SELECT count(*), min(peak) FROM events")[0]
    assert found[0] == len(LabelTables(tables.path, archive.tables.run).events())
    assert found[0] == 0 or found[1] >= np.float32(0.99)
    assert archive.tables.run["rules"]["dog"]["threshold"] == 0.99


def test_a_torn_part_is_told_and_the_others_are_read(tmp_path: Path) -> None:
    tables = make_tables(tmp_path / "labels", files=6, units=3)
    part = Path(str(tables.path)) / "events" / "00000001.parquet"
    part.write_bytes(part.read_bytes()[:-40])
    archive = Archive(tables)
    archive.refresh()
    assert archive.state.is_complete
    (problem,) = archive.state.problems
    assert "00000001.parquet" in problem
    assert archive.ask("SELECT count(DISTINCT unit) FROM clips") == [(2,)]


def test_carried_columns_may_come_later_and_change_their_type(tmp_path: Path) -> None:
    import pyarrow as pa

    from tests.lib.web import tables_to_browse

    tables = make_tables(tmp_path / "labels", files=2, units=1)
    archive = Archive(tables)
    archive.refresh()
    wider = pa.schema([*tables_to_browse.CARRIED, ("mood", pa.string())])
    schemas = tables.schemas(wider)
    row = make_file(8) | {"mood": "calm"}
    tables.write_unit(
        4,
        files=pa.Table.from_pylist([row], schema=schemas.files),
        windows=pa.Table.from_pylist([], schema=schemas.windows),
        events=pa.Table.from_pylist([], schema=schemas.events),
    )
    archive.refresh()
    assert archive.ask("SELECT mood, count(*) FROM clips GROUP BY mood ORDER BY mood NULLS LAST") == [
        ("calm", 1),
        (None, 2),
    ]


def test_a_copy_of_what_was_read_is_as_good_and_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hubbub.web.snapshot.WORTH_S", 0.0)
    tables = make_tables(tmp_path / "labels", files=6, units=3)
    first = BrowsedTables(tables)
    first.refresh()
    assert (Path(str(tables.path)) / ".browse" / "current.json").is_file()
    write_unit(tables, 9, [make_file(20)])
    (Path(str(tables.path)) / "files" / "00000001.parquet").unlink()
    again = BrowsedTables(tables)
    again.refresh()
    fresh = Archive(tables, timezone="UTC")
    monkeypatch.setattr(fresh._snapshot, "_folder", None)
    fresh.refresh()
    tables_joined = "events e JOIN clips c ON c.n = e.clip JOIN names ON code = e.label"
    sql = f"SELECT c.uri, e.onset_s, e.peak, names.label FROM {tables_joined} ORDER BY ALL"
    assert again.archive.ask(sql) == fresh.ask(sql)
    ((numbers, events),) = again.archive.ask("SELECT count(DISTINCT n), count(*) FROM events")
    assert numbers == events == fresh.ask("SELECT count(*) FROM events")[0][0]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "cannot be read"),
        ('{"nothing": 1}', "unknown entry 'nothing'"),
        ('{"columns": {"secret": ["x"]}}', "no column 'secret'"),
        ('{"least": "high"}', "cannot be read"),
        ('{"least": NaN}', "is no score"),
        ('{"from_day": "yesterday"}', "cannot be read"),
        ('{"labels": "dog"}', "expected a list"),
        ("[1]", "cannot be read"),
    ],
)
def test_a_filter_that_is_none_is_refused(text: str, why: str, browsed: BrowsedTables) -> None:
    with pytest.raises(UsageError, match=why):
        parse_filter(text, browsed.archive.carried)


def test_text_of_a_filter_is_never_sql(browsed: BrowsedTables) -> None:
    evil = "'); DROP TABLE events; --"
    assert ask(browsed, labels=[evil], columns={"city": [evil]})["events"]["events"] == 0
    assert ask(browsed)["events"]["events"] > 0


def test_no_events_at_all(tmp_path: Path) -> None:
    tables = make_tables(tmp_path / "labels", files=0, units=0)
    archive = Archive(tables)
    archive.refresh()
    assert describe_archive(archive)["events"] == 0
    assert summarise(archive, parse_filter(None, {}))["events"]["events"] == 0
