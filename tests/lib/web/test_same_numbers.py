"""The page's sums over DuckDB and the report's over frames of pandas tell the same numbers of the same tables."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hubbub.labels.coverage import audio_by_hour, events_by_hour, span_days
from hubbub.labels.overview import SCORE_BINS, count_columns, count_labels, count_scores, count_totals, find_places
from hubbub.labels.tables import LabelTables
from hubbub.web.archive import Archive
from hubbub.web.filters import Filter
from hubbub.web.overview import BINS, describe_archive, summarise
from tests.lib.web.tables_to_browse import LABELS, make_file, make_tables, write_unit

FAILED = {"status": "failed", "duration_s": None, "windows": None}


def make_random_tables(folder: Path, seed: int) -> LabelTables:
    """Whole recordings and segments, failures, later attempts, no times, no places, and several units."""
    rng, tables = np.random.default_rng(seed), make_tables(folder, files=0, units=0)
    rows: list[dict[str, Any]] = []
    for number in range(int(rng.integers(1, 14))):
        row = make_file(number)
        row["recorded_at"] += timedelta(seconds=float(rng.integers(0, 40_000)))
        changes: list[dict[str, Any]] = [
            {},
            {"recorded_at": None},
            {"latitude": float("nan")},
            {"latitude": 91.0},
            {"city": None},
            {"duration_s": float(rng.integers(31, 9000))},
            FAILED | {"error": f"DecodeError: {row['uri']} ends at {number}"},
        ]
        row |= changes[int(rng.integers(len(changes)))]
        if number and rng.random() < 0.4:  # a segment of the recording before it
            row |= {"uri": rows[-1]["uri"], "clip_start_s": 3000.0 * number, "clip_end_s": 3000.0 * number + 30}
        rows.append(row)
    again = [row | {"attempts": 2, "status": "ok", "duration_s": 30.0, "windows": 30} for row in rows[::4]]
    for unit, own in enumerate([rows[::2], rows[1::2], again]):
        write_unit(tables, unit, own, events=int(rng.integers(0, 6)), seed=seed + unit)
    return tables


@pytest.mark.parametrize("seed", range(12))
def test_the_page_and_the_report_count_alike(seed: int, tmp_path: Path) -> None:
    tables = make_random_tables(tmp_path / "labels", seed)
    files, events = tables.files(), tables.events()
    archive = Archive(tables)
    archive.refresh()
    told, found = describe_archive(archive), summarise(archive, Filter(), column="city")

    totals = count_totals(files, events)
    assert (told["failed"], told["events"]) == (totals.failed, totals.events)
    assert told["analysed_s"] == pytest.approx(totals.audio_s)
    ok = files[files["status"] == "ok"]
    assert told["silent_recordings"] == len(set(ok["uri"]) - set(events["uri"]))

    labels = {count.label: (count.events, pytest.approx(count.total_s)) for count in count_labels(events)}
    assert {row["label"]: (row["events"], row["seconds"]) for row in found["labels"]} == labels

    days = span_days(files, events)
    if days is not None and days.step == 1:
        audio, begun = audio_by_hour(files, days), events_by_hour(events, days)
        cells = [(day, hour) for day in days.names for hour in range(24)]
        effort = defaultdict(float, {(day, hour): seconds for day, hour, seconds in found["effort"]})
        assert [effort[cell] for cell in cells] == pytest.approx(audio.values.ravel().tolist(), abs=1e-3)
        assert sum(effort.values()) == pytest.approx(audio.values.sum(), abs=1e-2)
        heat = defaultdict(int, {(day, hour): count for day, hour, count in found["heat"]})
        assert [heat[cell] for cell in cells] == begun.values.ravel().tolist()
        assert found["events"]["without_time"] == begun.untimed

    cities = {row["value"] or "": (row["events"], row["seconds"]) for row in found["column"]["values"]}
    for column in count_columns(files, events, LABELS):
        if column.column == "city":
            assert cities == {one.value: (one.events, pytest.approx(one.audio_s)) for one in column.values}

    places = find_places(files, events)
    points = {} if places is None else {(p.latitude, p.longitude): (p.events, p.audio_s) for p in places.points}
    assert {(row["lat"], row["lon"]): (row["events"], row["seconds"]) for row in found["places"]["places"]} == points

    step = BINS // 10
    for histogram in count_scores(files, events, LABELS):
        bins = np.add.reduceat(found["scores"].get(histogram.label, [0] * BINS), np.arange(0, BINS, step))
        assert bins.tolist() == np.add.reduceat(histogram.events, np.arange(0, SCORE_BINS, SCORE_BINS // 10)).tolist()
