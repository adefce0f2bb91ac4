"""Exports of tables: columns that scripts rely on, and what spreadsheets, maps and other analysers read in them."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hubbub.errors import LabelsError, UsageError
from hubbub.labels.export import EVENT_COLUMNS, FORMATS, ExportOptions, ExportSource, export_events
from hubbub.labels.export import csv as csv_format
from tests.export_tables import AWKWARD, AWKWARD_FILES, FORMULA, QUOTED, SCRIPT, events_table, files_table

ROOT = Path(__file__).resolve().parents[3]
SOURCE = ExportSource(AWKWARD, AWKWARD_FILES, root=Path("/archive"))
AT = pd.Timestamp("2026-03-29T01:59:59.5Z")


def write(folder: Path, format: str, source: ExportSource = SOURCE, **options: object) -> Path:
    """Export to a format of one file."""
    (path,) = export_events(
        ExportSource(source.events, source.files, root=source.root, options=ExportOptions(**options)), folder, format
    ).paths
    return path


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read a CSV file by RFC 4180."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


GOLDEN = {
    "csv": [
        ("uri", "text"),
        ("label", "text"),
        ("onset_s", "seconds"),
        ("offset_s", "seconds"),
        ("peak", "score"),
        ("mean", "score"),
        ("onset_at", "time in UTC"),
    ],
    "daily": [
        ("date", "day"),
        ("hour", "0 to 23"),
        ("timezone", "text"),
        ("label", "text"),
        ("events", "events"),
        ("minutes_with_events", "minutes"),
        ("recordings", "recordings"),
        ("analysed_hours", "hours"),
    ],
    "clips": [
        ("clip", "path"),
        ("label", "text"),
        ("uri", "text"),
        ("onset_s", "seconds"),
        ("offset_s", "seconds"),
        ("peak", "score"),
        ("mean", "score"),
        ("onset_at", "time in UTC"),
        ("clip_onset_s", "seconds"),
        ("clip_offset_s", "seconds"),
        ("problem", "text"),
        ("recorded_at", "time in UTC"),
        ("group", "text"),
    ],
}
"""Columns that users' scripts read, in their order. What changes here breaks those scripts."""


@pytest.mark.parametrize("format", GOLDEN)
def test_columns_keep_their_names_order_and_types(format: str):
    schema = FORMATS[format].SCHEMA
    assert list(schema) == [name for name, _ in GOLDEN[format]]
    for name, kind in GOLDEN[format]:
        assert schema[name].startswith(kind), name


@pytest.mark.parametrize("format", GOLDEN)
def test_the_page_of_formats_has_the_columns(format: str):
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    (section,) = re.findall(rf"^### Columns of {format}\b.*?(?=^##)", page, re.MULTILINE | re.DOTALL)
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [name for name, _ in GOLDEN[format]]


def test_every_format_is_on_the_page_of_formats_and_in_the_how_to():
    section = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8").split("## Exports\n")[1].split("\n## ")[0]
    assert sorted(re.findall(r"^\| `([a-z-]+)` \| (?=.*\|.*\|)", section.split("###")[0], re.MULTILINE)) == sorted(
        FORMATS
    )
    guide = (ROOT / "docs" / "howto" / "export.md").read_text(encoding="utf-8")
    assert set(FORMATS) <= {*re.findall(r"--format ([a-z-]+)", guide)}


@pytest.mark.parametrize("format", ["birdnet", "kaleidoscope", "raven", "wav-cues"])
def test_the_page_has_the_columns_of_other_programs(format: str):
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8").replace("\\*", "*")
    (row,) = re.findall(rf"^\| `{format}` .*$", page, re.MULTILINE)
    assert ", ".join(FORMATS[format].COLUMNS) in row


@pytest.mark.parametrize("format", sorted({*FORMATS} - {"clips", "wav-cues"}))
def test_progress_goes_to_the_end(format: str, tmp_path: Path):
    shown: list[list[float]] = []

    @contextmanager
    def show_progress(what: str, total: float, unit: str) -> Iterator[Callable[[float], None]]:
        shown.append([total])
        yield shown[-1].append

    files = PLACED.assign(latitude=1.0, longitude=2.0)
    export_events(ExportSource(AWKWARD, files, show_progress=show_progress), tmp_path, format)
    ((total, *steps),) = shown
    assert total > 0
    assert sum(steps) == total


def test_csv_holds_every_type_as_documented(tmp_path: Path):
    events = AWKWARD.assign(onset_at=AT, city="Łódź", tags=[["a", "b"]] * 6)
    rows = read_csv(write(tmp_path, "csv", ExportSource(events, AWKWARD_FILES)))
    assert list(rows[0]) == [*EVENT_COLUMNS, "city", "tags"]
    row = next(row for row in rows if row["label"] == FORMULA)
    assert (row["onset_s"], row["offset_s"], row["peak"]) == ("0.0", "3600.0", "0.55")
    assert datetime.fromisoformat(row["onset_at"]) == AT.to_pydatetime()
    assert json.loads(row["tags"]) == ["a", "b"]
    assert {row["label"] for row in rows} == {*AWKWARD["label"]} - {QUOTED} | {QUOTED.replace("\t", " ")}


def test_times_of_an_hour_keep_their_microseconds(tmp_path: Path):
    for format in ("csv", "jsonl", "kaleidoscope", "birdnet"):
        paths = export_events(SOURCE, tmp_path / format, format).paths
        onsets = sorted(onset for path in paths for onset in FORMATS[format].read(path)["onset_s"])
        assert onsets == pytest.approx(sorted(AWKWARD["onset_s"]), abs=1e-9, rel=0), format


def test_text_of_spreadsheets_is_guarded_only_when_asked(tmp_path: Path):
    rows = [("=cmd.wav", "+dog", 0.0, 1.0, 0.5, 0.5), ("a.wav", "@x", 0.0, 1.0, 0.5, 0.5)]
    source = ExportSource(events_table(*rows, note="-1"), files_table("=cmd.wav", "a.wav"))
    plain, guarded = (
        read_csv(write(tmp_path / str(asked), "csv", source, spreadsheet=asked)) for asked in (False, True)
    )
    assert [(row["uri"], row["label"], row["note"]) for row in plain] == [
        ("=cmd.wav", "+dog", "-1"),
        ("a.wav", "@x", "-1"),
    ]
    assert [row["uri"] for row in guarded] == ["'=cmd.wav", "a.wav"]
    assert [(row["label"], row["note"]) for row in guarded] == [("'+dog", "'-1"), ("'@x", "'-1")]
    assert [row["onset_s"] for row in guarded] == ["0.0", "0.0"]  # numbers are no text


def read_jsonl(path: Path) -> list[dict]:
    """Read JSON lines; NaN and infinities, which JSON has not, are refused."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return [json.loads(line, parse_constant=refuse) for line in path.read_text(encoding="utf-8").splitlines()]


def test_json_lines_are_json(tmp_path: Path):
    odd = {
        "number": [1.5, math.nan, math.inf, -0.0, None, 2.0],
        "when": pd.Series([AT, pd.NaT, AT, AT, AT, AT]),
        "day": [date(2026, 3, 29)] * 6,
        "tags": [np.array(["x", "y\u2028"]), [], [None, math.nan], ["b"], ["c"], ["d"]],
        "whole": pd.array([1, None, 3, 4, 5, 6], dtype="Int64"),
        "bytes": [b"\xff"] * 6,
        "truth": [True, False] * 3,
    }
    rows = read_jsonl(write(tmp_path, "jsonl", ExportSource(AWKWARD.assign(**odd), AWKWARD_FILES)))
    assert len(rows) == len(AWKWARD)
    assert list(rows[0]) == [*EVENT_COLUMNS, *odd]
    found = {(row["uri"], row["label"]): row for row in rows}
    first = found["deep/Łódź 1.wav", "dog"]
    assert (first["onset_s"], first["peak"], first["onset_at"]) == (1.25, 0.9, None)
    assert datetime.fromisoformat(first["when"]) == AT.to_pydatetime()
    assert datetime.fromisoformat(first["when"]).tzinfo == UTC
    assert (first["tags"], first["whole"], first["day"], first["truth"]) == (["x", "y\u2028"], 1, "2026-03-29", True)
    assert first["bytes"] == "/w=="
    other = found["deep/Łódź 1.wav", SCRIPT]
    assert (other["number"], other["when"], other["whole"], other["tags"]) == (None, None, None, [])
    assert found["deep/Łódź 1.wav", QUOTED]["tags"] == [None, None]  # and the label has its tab


def test_birdnet_tables_are_as_its_analyser_writes_them(tmp_path: Path):
    events = events_table(
        ("a.wav", "Turdus merula_Eurasian Blackbird", 0.0, 3.0, 0.8123, 0.5),
        ("a.wav", 'Engine, "old"', 3.0, 6.5, 0.5, 0.5),
        ("a.wav", "Dog_barks", 7.0, 8.0, 0.5, 0.5),
    )
    (path,) = export_events(ExportSource(events, files_table("a.wav"), root=Path("/x")), tmp_path, "birdnet").paths
    assert path.name == "a.wav.BirdNET.results.csv"
    assert path.read_text().splitlines()[0] == "Start (s),End (s),Scientific name,Common name,Confidence,File"
    rows = read_csv(path)
    assert [(row["Scientific name"], row["Common name"]) for row in rows] == [
        ("Turdus merula", "Eurasian Blackbird"),
        ('Engine, "old"', 'Engine, "old"'),
        ("Dog_barks", "Dog_barks"),
    ]
    assert [(float(row["Start (s)"]), float(row["End (s)"])) for row in rows] == [(0, 3), (3, 6.5), (7, 8)]
    assert {row["File"] for row in rows} == {"/x/a.wav"}
    assert FORMATS["birdnet"].read(path)["label"].tolist() == events["label"].tolist()


def test_kaleidoscope_opens_the_table(tmp_path: Path):
    files = files_table("night/a.wav", "b.wav", "/elsewhere/c.wav", recorded_at=[AT, pd.NaT, AT])
    rows = [(uri, "dog", 1.5, 2.25, 0.75, 0.5) for uri in files["uri"]]
    source = ExportSource(events_table(*rows, low_hz=100.0, high_hz=[2000.0, None, 50.0]), files, root=Path("/archive"))
    table = {row["IN FILE"]: row for row in read_csv(write(tmp_path, "kaleidoscope", source, timezone="Europe/Berlin"))}
    first = table["a.wav"]
    assert (first["INDIR"], first["FOLDER"], first["CHANNEL"]) == ("/archive", "night", "0")
    assert (float(first["OFFSET"]), float(first["DURATION"])) == (1.5, 0.75)
    assert (first["DATE"], first["TIME"], first["HOUR"]) == ("2026-03-29", "03:59:59", "03")  # of the recording's begin
    assert (first["DATE-12"], first["TIME-12"], first["HOUR-12"]) == ("2026-03-28", "15:59:59", "15")
    assert (first["TOP1MATCH*"], first["AUTO ID*"], first["MANUAL ID"]) == ("dog", "dog", "")
    assert float(first["TOP1DIST"]) == 0.25
    assert (float(first["Fmin"]), float(first["Fmax"])) == (100.0, 2000.0)
    assert (table["b.wav"]["FOLDER"], table["b.wav"]["DATE"], table["b.wav"]["Fmin"]) == ("", "", "")
    assert (table["c.wav"]["INDIR"], table["c.wav"]["FOLDER"]) == ("/elsewhere", "")


def read_geojson(path: Path) -> list[dict]:
    """Read a feature collection by RFC 7946: longitude before latitude, in degrees."""
    held = json.loads(path.read_text(encoding="utf-8"))
    assert held["type"] == "FeatureCollection"
    for feature in held["features"]:
        assert feature["type"] == "Feature"
        assert feature["geometry"]["type"] == "Point"
        longitude, latitude = feature["geometry"]["coordinates"]
        assert -180 <= longitude <= 180
        assert -90 <= latitude <= 90
    return held["features"]


PLACED = AWKWARD_FILES.assign(
    latitude=["52.5", None, "91", "10"], longitude=["13.4", "13.4", "13.4", "10"], city="Łódź <b>", recorded_at=AT
)


def test_geojson_has_recordings_where_they_lie(tmp_path: Path):
    done = export_events(ExportSource(AWKWARD, PLACED), tmp_path, "geojson")
    (feature,) = read_geojson(done.paths[0])
    assert feature["geometry"]["coordinates"] == [13.4, 52.5]
    properties = feature["properties"]
    assert (properties["uri"], properties["events"], properties["city"]) == ("deep/Łódź 1.wav", 3, "Łódź <b>")
    assert properties["by_label"] == {"dog": 1, SCRIPT: 1, QUOTED: 1}
    assert (properties["analysed_s"], properties["recorded_at"]) == (3600.0, "2026-03-29T01:59:59.500000Z")
    assert done.notes == ("2 recordings without latitude and longitude left out of the map",)


def test_geojson_has_events_too_and_quiet_recordings(tmp_path: Path):
    files = PLACED.assign(latitude=1.0, longitude=2.0)
    source = ExportSource(AWKWARD, files)
    names = [feature["properties"]["uri"] for feature in read_geojson(write(tmp_path, "geojson", source))]
    assert names == ["deep/Łódź 1.wav", "hour.wav", "quiet.wav"]  # not the one that failed
    features = read_geojson(write(tmp_path, "geojson", source, points="events"))
    assert [feature["properties"]["onset_s"] for feature in features] == AWKWARD.sort_values(["uri", "onset_s"])[
        "onset_s"
    ].tolist()
    assert list(features[0]["properties"]) == list(EVENT_COLUMNS)


def test_a_map_of_nothing_is_a_map(tmp_path: Path):
    source = ExportSource(events_table(), files_table(latitude=[], longitude=[]))
    assert read_geojson(write(tmp_path, "geojson", source)) == []


def test_tables_without_coordinates_are_refused_with_what_to_do(tmp_path: Path):
    with pytest.raises(LabelsError, match=r"no columns latitude and longitude .*hubbub index reads, and label"):
        write(tmp_path, "geojson")
    assert list(tmp_path.iterdir()) == []


def test_options_of_other_formats_are_refused(tmp_path: Path):
    with pytest.raises(UsageError, match=r"--per-label goes with --format clips; --format csv takes --spreadsheet"):
        write(tmp_path, "csv", per_label=3)
    with pytest.raises(
        UsageError, match=r"--timezone goes with --format daily or --format kaleidoscope; .* no options"
    ):
        write(tmp_path, "raven", timezone="UTC")
    with pytest.raises(
        UsageError, match=r"--timezone Berlin: no such time zone; expected a name such as Europe/Berlin"
    ):
        write(tmp_path, "kaleidoscope", timezone="Berlin")
    with pytest.raises(UsageError, match=r"--points recording: did you mean 'recordings'\?"):
        write(tmp_path, "geojson", ExportSource(AWKWARD, PLACED), points="recording")
    assert list(tmp_path.iterdir()) == []


def test_a_schema_that_drifts_would_be_seen(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(csv_format, "SCHEMA", {"label": "text", "uri": "text"})
    with pytest.raises(AssertionError):
        test_columns_keep_their_names_order_and_types("csv")
