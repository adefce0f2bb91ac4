"""Daily summaries: what was analysed and what was found, hour by hour, against a slow count of every second."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubbub.errors import LabelsError
from hubbub.labels.export import ExportOptions, ExportSource, export_events
from tests.examples import count_examples
from tests.export_tables import events_table, files_table

LABELS = ("dog", "rain")
NOON = pd.Timestamp("2026-06-01T12:00Z")


def summarise(folder: Path, events: pd.DataFrame, files: pd.DataFrame, **options: object):
    """Export; return the rows of daily.csv, and what is said of them."""
    source = ExportSource(events, files, labels=LABELS, options=ExportOptions(**options))
    done = export_events(source, folder, "daily")
    with done.paths[0].open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True)), done.notes


def at(events: pd.DataFrame, files: pd.DataFrame) -> pd.DataFrame:
    """Give events the times that their recordings have."""
    began = dict(zip(files["uri"], pd.to_datetime(files["recorded_at"], utc=True), strict=True))
    onset_at = pd.to_datetime(events["uri"].map(began), utc=True) + pd.to_timedelta(events["onset_s"], unit="s")
    return events.assign(onset_at=onset_at.astype("datetime64[us, UTC]"))


def pick(rows: list[dict[str, str]], *names: str) -> list[tuple[str, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


def test_analysed_and_nothing_found_is_a_zero_and_not_a_gap(tmp_path: Path):
    files = files_table("a.wav", "b.wav", recorded_at=[NOON + pd.Timedelta(minutes=30), NOON + pd.Timedelta(hours=5)])
    events = at(events_table(("a.wav", "dog", 1795.0, 1805.0, 0.9, 0.5), ("a.wav", "dog", 10.0, 11.0, 0.9, 0.5)), files)
    rows, notes = summarise(tmp_path, events, files)
    names = ("date", "hour", "label", "events", "minutes_with_events", "recordings", "analysed_hours")
    assert pick(rows, *names) == [
        ("2026-06-01", "12", "dog", "2", "2", "1", "0.5"),  # 12:30 and 12:59
        ("2026-06-01", "12", "rain", "0", "0", "1", "0.5"),
        ("2026-06-01", "13", "dog", "0", "1", "1", "0.5"),  # it goes on at 13:00
        ("2026-06-01", "13", "rain", "0", "0", "1", "0.5"),
        ("2026-06-01", "17", "dog", "0", "0", "1", "1.0"),  # b.wav: nothing found; 14 to 16: not analysed
        ("2026-06-01", "17", "rain", "0", "0", "1", "1.0"),
    ]
    assert notes == ()


def test_failed_recordings_are_no_effort_and_an_archive_without_events_has_rows(tmp_path: Path):
    files = files_table("a.wav", "b.wav", status=["ok", "failed"], duration_s=[60.0, None], recorded_at=NOON)
    rows, _ = summarise(tmp_path, events_table(), files)
    assert pick(rows, "label", "events", "recordings", "analysed_hours") == [
        ("dog", "0", "1", "0.016667"),
        ("rain", "0", "1", "0.016667"),
    ]
    rows, _ = summarise(tmp_path, events_table(), files.iloc[:0])
    assert rows == []
    assert (tmp_path / "daily.csv").read_text().startswith("date,hour,timezone,label,events,")


def test_recordings_of_unknown_time_are_counted_without_a_date(tmp_path: Path):
    files = files_table("a.wav", "b.wav", "c.wav", recorded_at=[NOON, pd.NaT, pd.NaT])
    events = at(
        events_table(
            ("a.wav", "dog", 0.0, 1.0, 0.9, 0.5),
            ("b.wav", "dog", 59.0, 61.0, 0.9, 0.5),
            ("c.wav", "dog", 59.0, 60.0, 0.9, 0.5),
        ),
        files,
    )
    rows, notes = summarise(tmp_path, events, files)
    names = ("date", "hour", "label", "events", "minutes_with_events", "recordings", "analysed_hours")
    assert pick(rows, *names) == [
        ("", "", "dog", "2", "3", "2", "2.0"),
        ("", "", "rain", "0", "0", "2", "2.0"),
        ("2026-06-01", "12", "dog", "1", "1", "1", "1.0"),
        ("2026-06-01", "12", "rain", "0", "0", "1", "1.0"),
    ]
    assert notes == ("2 recordings without recorded_at: counted in rows without date and hour",)


def test_by_a_column(tmp_path: Path):
    cities = ["Łódź", None, "=Oslo"]
    files = files_table("a.wav", "b.wav", "c.wav", recorded_at=NOON, city=cities)
    events = at(events_table(("a.wav", "dog", 0.0, 1.0, 0.9, 0.5), ("c.wav", "dog", 0.0, 1.0, 0.9, 0.5)), files)
    rows, _ = summarise(tmp_path, events, files, by="city", spreadsheet=True)
    assert [row["events"] for row in rows if row["city"] == "Łódź"] == ["1", "0"]
    assert pick(rows, "city", "label", "events") == [
        ("", "dog", "0"),
        ("", "rain", "0"),
        ("'=Oslo", "dog", "1"),
        ("'=Oslo", "rain", "0"),
        ("Łódź", "dog", "1"),
        ("Łódź", "rain", "0"),
    ]
    assert list(rows[0])[:5] == ["date", "hour", "timezone", "city", "label"]
    rows, _ = summarise(tmp_path, events, files.assign(hour=1), by="hour")
    assert list(rows[0])[:5] == ["date", "hour", "timezone", "by_hour", "label"]
    with pytest.raises(LabelsError, match=r"--by citty: the label tables carry no such column: did you mean 'city'\?"):
        summarise(tmp_path, events, files, by="citty")


def test_segments_that_overlap_are_analysed_once(tmp_path: Path):
    files = files_table(
        "a.wav", "a.wav", recorded_at=NOON, clip_start_s=[0.0, 1200.0], duration_s=[1800.0, 1800.0], clip_id=["x", "y"]
    )
    rows, _ = summarise(tmp_path, events_table().assign(clip_id=None), files)
    assert {(row["recordings"], row["analysed_hours"]) for row in rows} == {("1", "0.833333")}


def test_where_clocks_are_set_back_an_hour_has_two(tmp_path: Path):
    files = files_table(
        "a.wav", recorded_at=pd.Timestamp("2026-10-25T00:00Z"), duration_s=2 * 3600.0
    )  # 2:00 summer time
    rows, _ = summarise(tmp_path, events_table(), files, timezone="Europe/Berlin")
    assert {(row["date"], row["hour"], row["analysed_hours"], row["timezone"]) for row in rows} == {
        ("2026-10-25", "2", "2.0", "Europe/Berlin")
    }


def test_zones_of_half_and_quarter_hours(tmp_path: Path):
    files = files_table("a.wav", recorded_at=NOON)
    for zone, hours in (
        ("Asia/Kathmandu", {("17", "0.25"), ("18", "0.75")}),
        ("Asia/Kolkata", {("17", "0.5"), ("18", "0.5")}),
    ):
        rows, _ = summarise(tmp_path, events_table(), files, timezone=zone)
        assert {(row["hour"], row["analysed_hours"]) for row in rows} == hours


def test_labels_that_were_never_found_have_no_rows_where_a_model_has_thousands(tmp_path: Path):
    files = files_table("a.wav", recorded_at=NOON)
    events = at(events_table(("a.wav", "bird 7", 0.0, 1.0, 0.9, 0.5), ("a.wav", "unknown", 0.0, 1.0, 0.9, 0.5)), files)
    source = ExportSource(events, files, labels=tuple(f"bird {number}" for number in range(1000)))
    done = export_events(source, tmp_path, "daily")
    assert pd.read_csv(done.paths[0])["label"].tolist() == ["bird 7", "unknown"]
    assert done.notes == ("999 of 1001 labels were never found, and have no rows of zeros",)


def count_slowly(events: pd.DataFrame, files: pd.DataFrame, zone: str, by: str | None) -> dict[tuple, list]:
    """Count every second of every recording, and every second of every event."""
    found: dict[tuple, list] = defaultdict(lambda: [0, set(), set(), 0.0])
    for file in files[files["status"] == "ok"].to_dict("records"):
        for second in range(int(file["duration_s"])):
            for label in LABELS:
                cell = found[place(file, second, zone, by, label)]
                cell[2].add(file["uri"])
                cell[3] += 1 / 3600
    told = {file["uri"]: file for file in files.to_dict("records")}
    for event in events.to_dict("records"):
        file = told[event["uri"]]
        found[place(file, event["onset_s"], zone, by, event["label"])][0] += 1
        for second in range(int(event["onset_s"]), int(event["offset_s"])):
            minute = (file["uri"], second // 60)
            if not pd.isna(file["recorded_at"]):
                minute = (None, (file["recorded_at"] + pd.Timedelta(seconds=second)).floor("min"))
            found[place(file, second, zone, by, event["label"])][1].add(minute)
    return found


def place(file: dict, second: float, zone: str, by: str | None, label: str) -> tuple:
    group = file[by] if by else ""
    if pd.isna(file["recorded_at"]):
        return "", "", group, label
    local = (file["recorded_at"] + pd.Timedelta(seconds=second)).astimezone(ZoneInfo(zone))
    return local.strftime("%Y-%m-%d"), str(local.hour), group, label


minutes = st.integers(0, 300)


@given(
    st.lists(st.tuples(st.none() | minutes, st.integers(1, 9), st.sampled_from(["x", "y"])), min_size=1, max_size=4),
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 500), st.integers(1, 200), st.sampled_from(LABELS)), max_size=6
    ),
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu"]),
    st.sampled_from([None, "site"]),
)
@settings(max_examples=count_examples(20))
def test_summaries_equal_a_slow_count(tmp_path_factory, recordings, found, zone, by):
    start = pd.Timestamp("2026-10-24T22:30:07Z")
    files = pd.concat(
        [
            files_table(
                f"{number}.wav",
                recorded_at=pd.NaT if begin is None else start + pd.Timedelta(minutes=begin),
                duration_s=lasts * 97.0,
                site=site,
            )
            for number, (begin, lasts, site) in enumerate(recordings)
        ],
        ignore_index=True,
    )
    rows = []
    for which, onset, lasts, label in found:
        file = files.iloc[which % len(files)]
        onset = onset % int(file["duration_s"])
        offset = min(onset + lasts, int(file["duration_s"]))
        rows.append((file["uri"], label, float(onset), float(offset), 0.5, 0.5))
    files["recorded_at"] = pd.to_datetime(files["recorded_at"], utc=True)
    events = at(events_table(*rows), files)
    written, _ = summarise(
        tmp_path_factory.mktemp("daily"), events, files, timezone=None if zone == "UTC" else zone, by=by
    )
    expected = {
        key: (cell[0], len(cell[1]), len(cell[2]), round(cell[3], 6))
        for key, cell in count_slowly(events, files, zone, by).items()
    }
    counted = {
        (row["date"], row["hour"], row[by] if by else "", row["label"]): (
            int(row["events"]),
            int(row["minutes_with_events"]),
            int(row["recordings"]),
            float(row["analysed_hours"]),
        )
        for row in written
    }
    assert len(counted) == len(written)
    assert counted.keys() == expected.keys()
    for key, values in expected.items():
        assert counted[key] == pytest.approx(values, abs=2e-6), key
