"""Tables of any kind get into DuckDB: odd columns, numbers, folders, units that go and come back, a bucket."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest

from hubbub.errors import UsageError
from hubbub.io.paths import parse_path
from hubbub.labels.tables import LabelTables, create_labels, open_labels
from hubbub.web import snapshot
from hubbub.web.answers import answer_json
from hubbub.web.archive import Archive
from hubbub.web.browsed import BrowsedTables
from hubbub.web.filters import list_columns, parse_filter
from hubbub.web.overview import describe_archive, summarise
from tests.lib.web import tables_to_browse
from tests.lib.web.tables_to_browse import CARRIED, make_events, make_file, make_run, make_tables, write_unit

FAILED = {"status": "failed", "error": "TimedOut: x", "duration_s": None, "windows": None}


def make_empty(folder: Path) -> LabelTables:
    return make_tables(folder, files=0, units=0)


def show(tables: LabelTables, **options: Any) -> BrowsedTables:
    """Read tables, and ask all that the overview and a recording's page ask."""
    browsed = BrowsedTables(tables, **options)
    browsed.refresh()
    assert browsed.notes == ()
    archive = browsed.archive
    assert archive.state.problems == ()
    answer_json(describe_archive(archive))
    for column in list_columns(archive.carried):
        answer_json(summarise(archive, parse_filter(None, archive.carried), column=column))
    for (file,) in archive.ask("SELECT file FROM clips"):
        answer_json([row for row in browsed.recording(file).clips])
    return browsed


def count_events(archive: Archive) -> int:
    return archive.ask("SELECT count(*) FROM events")[0][0]


ZONES = ["UTC", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns"]


@pytest.mark.parametrize("zone", ZONES)
def test_effort_is_what_a_clock_in_the_zone_shows(zone: str, tmp_path: Path) -> None:
    """Around Lord Howe's half an hour of daylight saving (2026-04-04 15:00 UTC), and around 1970."""
    rng, tables = np.random.default_rng(0), make_empty(tmp_path / "labels")
    bases = [datetime(2026, 4, 4, 15, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)]
    files, seconds = [], Counter[tuple[str, int]]()
    for number in range(24):
        begin = bases[number % 2] + timedelta(seconds=10 * int(rng.integers(-900, 900)))
        skip_s, length_s = [None, 0.0, 1710.0][number % 3], 10 * int(rng.integers(1, 900))
        files.append(make_file(number, duration_s=float(length_s), recorded_at=begin, clip_start_s=skip_s, windows=0))
        for step in range(0, length_s, 10):
            at = (begin + timedelta(seconds=(skip_s or 0) + step + 5)).astimezone(ZoneInfo(zone))
            seconds[str(at.date()), at.hour] += 10
    write_unit(tables, 0, files, events=0)
    archive = Archive(tables, timezone=zone)
    archive.refresh()
    found = {(day, hour): seconds for day, hour, seconds in summarise(archive, parse_filter(None, {}))["effort"]}
    assert found == pytest.approx(dict(seconds))


@pytest.mark.parametrize("machine", ["America/New_York", "Asia/Kolkata"])
def test_this_machines_zone_changes_nothing(machine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", machine)
    time.tzset()
    try:
        tables = make_tables(tmp_path / "labels", files=3, units=1)
        archive = show(tables).archive
        found = archive.ask("SELECT day::VARCHAR, hour FROM events JOIN clips ON clips.n = clip ORDER BY uri, onset_s")
        events = tables.events()
        assert found == [(str(at.date()), at.hour) for at in events["onset_at"]]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_zone_that_duckdb_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="time zone 'Moon/Tycho': expected a name such as"):
        Archive(make_empty(tmp_path / "labels"), timezone="Moon/Tycho")


NAMES = ["n", "N", "file", "unit", "filename", "clip", "select", "code", "moment", "start", "kind", "File", "Uri", "a"]


def test_carried_columns_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [*NAMES, "City", 'quo"te', "x; --", "day", "hour", "value", "label\n"]
    monkeypatch.setattr(tables_to_browse, "CARRIED", pa.schema([*CARRIED, *((name, pa.string()) for name in names)]))
    tables = make_empty(tmp_path / "labels")
    row = make_file(0) | {name: f"of {name}" for name in names}
    write_unit(tables, 0, [row, make_file(1, **FAILED)], events=3)
    browsed = show(tables)
    archive = browsed.archive
    assert count_events(archive) == 3
    (shown,) = browsed.recording(archive.ask("SELECT file FROM clips WHERE status = 'ok'")[0][0]).clips
    assert {f"of {name}" for name in names} <= set(map(str, shown.values()))
    assert (shown["unit"], shown["uri"]) == (0, row["uri"])


KINDS: list[tuple[pa.DataType, Any]] = [
    (pa.list_(pa.float32()), [1.0, float("nan")]),
    (pa.struct([("a", pa.int32())]), {"a": 1}),
    (pa.timestamp("us", tz="UTC"), datetime(2026, 1, 1, tzinfo=UTC)),
    (pa.time64("us"), datetime(2026, 1, 1, 5).time()),
    (pa.decimal128(10, 2), Decimal("1.50")),
    (pa.binary(), b"\xff"),
    (pa.bool_(), True),
    (pa.null(), None),
    (pa.map_(pa.string(), pa.int32()), [("a", 1)]),
    (pa.uint64(), 2**64 - 1),
    (pa.float64(), float("nan")),
]


def carry(monkeypatch: pytest.MonkeyPatch, columns: dict[str, pa.DataType]) -> None:
    others = [field for field in CARRIED if field.name not in columns]
    monkeypatch.setattr(tables_to_browse, "CARRIED", pa.schema([*others, *columns.items()]))


def test_carried_columns_may_hold_anything_and_become_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = make_empty(tmp_path / "labels")
    carry(monkeypatch, {f"c{number}": kind for number, (kind, _) in enumerate(KINDS)})
    write_unit(tables, 0, [make_file(0, **{f"c{number}": value for number, (_, value) in enumerate(KINDS)})])
    archive = show(tables).archive
    carry(monkeypatch, dict.fromkeys((f"c{number}" for number in range(len(KINDS))), pa.string()))
    write_unit(tables, 1, [make_file(1, **{f"c{number}": "by hand" for number in range(len(KINDS))})])
    archive.refresh()
    assert archive.state.problems == ()
    for number, (_, value) in enumerate(KINDS):
        found = archive.ask(f"SELECT c{number} FROM clips ORDER BY unit")
        assert (found[0][0] is not None, found[1][0]) == (value is not None, "by hand")


@pytest.mark.parametrize("number", [0, 1, 2, 5, 6, 10])
def test_a_latitude_that_is_none_is_no_place(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables, (kind, value) = make_empty(tmp_path / "labels"), KINDS[number]
    carry(monkeypatch, {"latitude": kind})
    write_unit(tables, 0, [make_file(0, latitude=value)])
    archive = show(tables).archive
    assert summarise(archive, parse_filter(None, {}))["places"]["places"] == [] or kind == pa.bool_()


@pytest.mark.parametrize(
    "changed",
    [
        {"clip_start_s": float("nan")},
        {"clip_start_s": 1e300},
        {"duration_s": 1e300},
        {"duration_s": float("nan")},
        {"duration_s": -4.0},
        {"duration_s": None},
        {"recorded_at": datetime(1, 1, 1, tzinfo=UTC)},
        {"recorded_at": datetime(9999, 12, 31, tzinfo=UTC)},
    ],
    ids=str,
)
def test_odd_numbers_of_a_clip_hide_nothing(changed: dict, tmp_path: Path) -> None:
    tables = make_empty(tmp_path / "labels")
    write_unit(tables, 0, [make_file(0), make_file(1, **changed)], events=3)
    archive = show(tables).archive
    assert count_events(archive) == 6
    assert archive.ask("SELECT sum(seconds) FROM effort WHERE clip = (SELECT min(n) FROM clips)") == [(30.0,)]


@pytest.mark.parametrize(("peak", "kept"), [(float("nan"), None), (-5.0, -5.0), (2.0, 2.0), (float("inf"), None)])
def test_scores_that_are_none_are_in_no_distribution(peak: float, kept: float | None, tmp_path: Path, monkeypatch):
    def make(*given: Any) -> list[dict[str, Any]]:
        return [event | {"peak": peak} for event in make_events(*given)]

    monkeypatch.setattr(tables_to_browse, "make_events", make)
    tables = make_empty(tmp_path / "labels")
    write_unit(tables, 0, [make_file(0)], events=3)
    archive = show(tables).archive
    assert archive.ask("SELECT DISTINCT peak FROM events") == [(kept,)]
    scores = summarise(archive, parse_filter(None, {}))["scores"]
    assert sum(map(sum, scores.values())) == (0 if kept is None else 3)


@pytest.mark.parametrize("name", ["lab [1]*?", "site=7", 'it\'s "Łódź" #%20'])
def test_folders_may_have_any_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hubbub.web.snapshot.WORTH_S", 0.0)
    for other in ("lab 1xx", "lab [1]ab"):  # which the first name would match as a pattern
        make_tables(tmp_path / other / "labels", files=5, units=1)
    tables = make_tables(tmp_path / name / "labels", files=3, units=2)
    for _ in ("read", "from the copy"):
        archive = show(tables).archive
        assert archive.ask("SELECT count(*) FROM clips") == [(3,)]
        assert set(archive.carried) == {"city", "latitude", "longitude"}
        assert archive.state.generation == 1  # read at one go


def test_events_of_a_failed_file_are_not_counted(tmp_path: Path) -> None:
    tables = make_empty(tmp_path / "labels")
    write_unit(tables, 0, [make_file(0), make_file(1)], events=4)
    files = tables.read_part("files", 0).to_pylist()
    files[1] |= {"status": "failed", "error": "DecodeError: x"}
    table = pa.Table.from_pylist(files, schema=tables.read_part("files", 0).schema)
    tables.write_unit(0, files=table, windows=tables.read_part("windows", 0), events=tables.read_part("events", 0))
    assert count_events(show(tables).archive) == len(tables.events()) == 4


def test_clips_count_again_when_the_later_attempt_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hubbub.web.snapshot.WORTH_S", 0.0)
    tables = make_empty(tmp_path / "labels")
    write_unit(tables, 0, [make_file(0), make_file(1, **FAILED)], events=2)
    write_unit(tables, 1, [make_file(1, attempts=2), make_file(2)], events=3)
    write_unit(tables, 2, [make_file(2, attempts=2), make_file(1, attempts=3)], events=4)

    def check() -> None:
        files, seen = tables.files(), Archive(tables)
        seen.refresh()
        for one in (archive, seen):
            rows = one.ask("SELECT clip_id, unit, attempts, status FROM clips ORDER BY ALL")
            assert rows == sorted(files[["clip_id", "unit", "attempts", "status"]].itertuples(index=False, name=None))
            assert count_events(one) == len(tables.events())

    archive = Archive(tables)
    archive.refresh()
    check()
    write_unit(tables, 2, [make_file(2, attempts=2)], events=1)  # file 1 was no file of it
    archive.refresh()
    check()
    for unit in (2, 1):
        for folder in ("files", "events"):
            (Path(str(tables.path)) / folder / f"{unit:08d}.parquet").unlink()
        archive.refresh()
        check()


def test_a_torn_copy_counts_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hubbub.web.snapshot.WORTH_S", 0.0)
    tables = make_tables(tmp_path / "labels", files=6, units=3)
    show(tables)
    (copy,) = (Path(str(tables.path)) / ".browse").glob("*-events.parquet")
    copy.write_bytes(copy.read_bytes()[:-20])
    (Path(str(tables.path)) / "files" / "00000001.parquet").unlink()
    archive = show(tables).archive
    assert archive.ask("SELECT count(*) FROM clips") == [(4,)]


def test_a_copy_that_cannot_be_written_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hubbub.web.snapshot.WORTH_S", 0.0)
    tables = make_tables(tmp_path / "labels", files=6, units=3)
    escape = snapshot._escape
    for torn in ("clips", "events"):
        with monkeypatch.context() as patched:
            patched.setattr(
                snapshot, "_escape", lambda path, torn=torn: escape(path / "no") if torn in path.name else escape(path)
            )
            assert count_events(show(tables).archive) == len(tables.events())
        assert os.listdir(Path(str(tables.path)) / ".browse") == []


def test_nothing_is_written_where_the_server_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    browsed = show(make_tables(tmp_path / "labels", files=2, units=1))
    browsed.archive.ask("SET memory_limit = '100MB'")
    ((overflow,),) = browsed.archive.ask("SELECT current_setting('temp_directory')")
    assert os.path.isdir(overflow)
    browsed.archive.ask("SELECT count(*) FROM (SELECT DISTINCT hash(range), random() FROM range(4_000_000))")
    assert os.listdir() == ["labels"]
    browsed.stop()
    assert not os.path.exists(overflow)


def test_a_fault_of_the_moment_is_told_and_does_not_end_the_following(tmp_path: Path, monkeypatch) -> None:
    browsed = BrowsedTables(make_tables(tmp_path / "labels", files=2, units=1))
    with monkeypatch.context() as patched:
        patched.setattr("hubbub.web.archive.list_stamps", lambda path: 1 / 0)
        browsed.refresh()
    assert browsed.notes == ("this is a fault in hubbub: ZeroDivisionError: division by zero",)
    browsed.refresh()
    assert browsed.notes == ()
    assert browsed.archive.state.units_read == 1


def test_tables_in_a_bucket_that_goes_away_and_comes_back(s3: str, tmp_path: Path, monkeypatch) -> None:
    from botocore.exceptions import EndpointConnectionError

    def be_away(*_: object, **__: object) -> None:
        raise EndpointConnectionError(endpoint_url="http://nowhere")

    create_labels(parse_path(f"{s3}/my [labels] x=1"), make_run(tmp_path, clips=8))
    tables = open_labels(f"{s3}/my [labels] x=1")
    write_unit(tables, 0, [make_file(0), make_file(1)], events=3)
    browsed = BrowsedTables(tables)
    for names in (["ls"], ["cat_file"], ["open", "glob"], ["open", "cat_file", "glob"]):
        write_unit(tables, browsed.archive.state.units + 1, [make_file(2 + browsed.archive.state.units)], events=3)
        with monkeypatch.context() as patched:
            patched.setattr("hubbub.web.archive.open_labels", lambda path: tables)
            for name in names:
                patched.setattr(tables.path.fs, name, be_away)
            browsed.refresh()
            assert not any("fault" in note for note in browsed.notes)
        browsed.refresh()
        assert browsed.notes == ()
        assert browsed.archive.state.problems == ()
        assert count_events(browsed.archive) == len(tables.events())
    assert set(browsed.archive.carried) == {"city", "latitude", "longitude"}


def test_a_server_that_ends_does_not_wait_for_ten_thousand_units(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("hubbub.web.archive.UNITS_AT_ONCE", 1)
    browsed = BrowsedTables(make_tables(tmp_path / "labels", files=12, units=12))
    read, began = browsed.archive._insert, threading.Event()

    def read_slowly(*given: Any) -> None:
        read(*given)
        began.set()
        time.sleep(0.5)

    monkeypatch.setattr(browsed.archive, "_insert", read_slowly)
    browsed.start()
    assert began.wait(10)
    started = time.monotonic()
    browsed.stop()
    assert time.monotonic() - started < 3
    assert browsed._thread is not None
    assert not browsed._thread.is_alive()
