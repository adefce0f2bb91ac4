"""``hubbub export``: every format from label tables as they lie on a disk or in a bucket, options, exit codes."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
import soundfile

import hubbub
from hubbub.io.paths import parse_path
from hubbub.labels.export import FORMATS
from hubbub.labels.reviews.journal import ReviewJournal
from hubbub.labels.tables import LabelTables
from tests.data.reviews import judge_row
from tests.export_tables import write_clock, write_label_tables
from tests.jobs.command import hubbub as run
from tests.jobs.command import refuse, succeed

NOON = pd.Timestamp("2026-06-01T12:00Z").to_pydatetime()
CARRIED = [pa.field("city", pa.string()), pa.field("latitude", pa.float64()), pa.field("longitude", pa.float64())]
SCRIPT = "<script>"


def write_tables(folder: Path, archive: Path) -> LabelTables:
    """Two segments of one recording, a quiet recording, one that is gone, and one that failed."""
    place = {"city": "Łódź", "latitude": 51.8, "longitude": 19.5, "recorded_at": NOON, "sample_rate": 8000}
    files = [
        {"uri": "a.wav", "clip_start_s": 0.0, "clip_end_s": 10.0, "duration_s": 10.0, **place},
        {"uri": "a.wav", "clip_start_s": 8.0, "clip_end_s": 18.0, "duration_s": 10.0, **place},
        {"uri": "quiet.wav", "duration_s": 20.0, **place, "latitude": None},
        {"uri": "gone.wav", "duration_s": 20.0, **place, "recorded_at": None},
        {"uri": "bad.wav", "status": "failed", "error": "DecodeError: no", **place},
    ]
    times = {"onset_at": NOON, "city": "Łódź", "latitude": 51.8, "longitude": 19.5}
    events = [
        {"uri": "a.wav", "clip_start_s": 0.0, "label": "dog", "onset_s": 7.5, "offset_s": 9.5, **times},
        {"uri": "a.wav", "clip_start_s": 8.0, "label": "dog", "onset_s": 8.5, "offset_s": 9.5, **times},
        {"uri": "a.wav", "clip_start_s": 8.0, "label": SCRIPT, "onset_s": 12.0, "offset_s": 13.0, **times},
        {"uri": "gone.wav", "label": "dog", "onset_s": 1.0, "offset_s": 2.0},
    ]
    return write_label_tables(folder, archive, files, events, labels=("dog", "rain", SCRIPT), carried=CARRIED)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    for name in ("a.wav", "quiet.wav"):
        write_clock(folder / name, 20)
    return folder


@pytest.fixture(scope="module")
def tables(archive: Path) -> Path:
    path = archive.with_name("label tables")
    write_tables(path, archive)
    return path


AUDIO = ("clips", "wav-cues")


@pytest.mark.parametrize("format", sorted({*FORMATS} - {*AUDIO}))
def test_every_format_of_text_is_written(format: str, tables: Path, tmp_path: Path):
    said = succeed("export", tables, "--format", format, "-o", tmp_path / "out")
    assert "export: done" in said
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(files) in (1, 3)
    for path in files:
        assert FORMATS[format].read(path) is not None
    whole = "".join(path.read_text(encoding="utf-8") for path in files)
    assert "bad.wav" not in whole


@pytest.mark.parametrize("format", sorted(FORMATS))
def test_tables_of_nothing_are_exported(format: str, archive: Path, tmp_path: Path):
    """No recording was analysed, and one with nothing in it."""
    failed = {"uri": "a.wav", "status": "failed", "error": "DecodeError: no", "latitude": None}
    quiet = {"uri": "quiet.wav", "duration_s": 20.0, "sample_rate": 8000, "latitude": None}
    for name, file in (("failed", failed), ("quiet", quiet)):
        write_label_tables(tmp_path / name, archive, [file], [], carried=CARRIED)
        assert "export: done" in succeed("export", tmp_path / name, "--format", format, "-o", tmp_path / f"{name} out")


def test_audio_ends_with_one_where_a_recording_is_gone(tables: Path, tmp_path: Path):
    said = refuse("export", tables, "--format", "clips", "-o", tmp_path / "clips", "--padding", 0.5, code=1)
    assert "failed: gone.wav: DecodeError: gone.wav cannot be opened" in said
    clips = pd.read_csv(tmp_path / "clips" / "clips.csv", keep_default_na=False)
    assert clips["problem"].astype(bool).tolist().count(True) == 1
    done = clips[clips["problem"] == ""]
    assert len(done) == 3
    onset_s, _ = soundfile.read(tmp_path / "clips" / done[done["label"] == SCRIPT]["clip"].iloc[0], dtype="int16")
    assert onset_s[0] == 1150  # a segment's events are where they are in the recording
    said = refuse("export", tables, "--format", "wav-cues", "-o", tmp_path / "cues", code=1)
    assert "gone.wav" in said
    assert sorted(path.name for path in (tmp_path / "cues").iterdir()) == [
        "a.wav.cues.wav",
        "cues.csv",
        "quiet.wav.cues.wav",
    ]


def test_summaries_and_maps_warn_of_what_has_no_time_or_place(tables: Path, tmp_path: Path):
    done = run("export", tables, "--format", "daily", "--by", "city", "--timezone", "Europe/Berlin", "-o", tmp_path)
    assert "1 recording without recorded_at: counted in rows without date and hour" in " ".join(
        (done.stdout + done.stderr).split()
    )
    table = pd.read_csv(tmp_path / "daily.csv")
    assert table["events"].sum() == 4
    assert table[table["label"] == "dog"]["analysed_hours"].sum() == pytest.approx((18 + 20 + 20) / 3600, abs=2e-6)
    assert set(table["hour"].dropna()) == {14}
    done = run("export", tables, "--format", "geojson", "-o", tmp_path)
    assert "1 recording without latitude and longitude left out of the map" in " ".join(
        (done.stdout + done.stderr).split()
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "ravn"], "no export format is called 'ravn': did you mean 'raven'?"),
        (
            ["--format", "raven", "--padding", "2"],
            "--padding goes with --format clips; --format raven takes no options",
        ),
        (
            ["--format", "csv", "--root", "."],
            "--root goes with --format clips or --format wav-cues; --format csv takes",
        ),
        (
            ["--format", "clips", "--root", "nowhere"],
            "--root nowhere is no folder; give the one in which the recordings",
        ),
        (["--format", "daily", "--by", "town"], "--by town: the label tables carry no such column"),
        (["--format", "daily", "--timezone", "CEST!"], "--timezone CEST!: no such time zone"),
    ],
)
def test_what_is_asked_wrongly_is_refused(words: list[str], said: str, tables: Path, tmp_path: Path):
    assert said in " ".join(refuse("export", tables, *words, "-o", tmp_path / "out").split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("format", AUDIO)
def test_recordings_that_have_moved_are_found(format: str, archive: Path, tmp_path: Path):
    there = {"uri": "a.wav", "duration_s": 20.0, "sample_rate": 8000}
    event = {"uri": "a.wav", "label": "dog", "onset_s": 7.5, "offset_s": 9.5}
    tables = write_label_tables(tmp_path / "labels", tmp_path / "gone", [there], [event])
    words = ("export", tables.path, "--format", format, "-o")
    assert "a.wav cannot be opened" in " ".join(refuse(*words, tmp_path / "out", code=1).split())
    succeed(*words, tmp_path / "found", "--root", archive)
    assert len(list((tmp_path / "found").rglob("*.*"))) == 2
    assert len(hubbub.export_events(tables, tmp_path / "face", format=format, root=archive)) == 2


def test_events_that_reviewers_confirm_can_be_written_alone(archive: Path, tmp_path: Path):
    tables = write_tables(tmp_path / "labels", archive)
    words = ("export", tables.path, "--format", "csv", "--confirmed", "-o")
    assert "has no verdicts on events, which --confirmed asks for" in refuse(*words, tmp_path / "out")
    events = tables.events().to_dict("records")
    votes = {"ada": ("yes", "no", "yes", "unsure"), "grace": ("yes", "no", "no", "yes"), "mary": ("no", "no", "no", "")}
    for reviewer, verdicts in votes.items():
        with ReviewJournal(tables.path, reviewer) as journal:
            for event, verdict in zip(events, verdicts, strict=True):
                if verdict:
                    journal.add(judge_row(event, verdict, label=event["label"] if verdict == "yes" else None))
    said = run(*words, tmp_path / "out")
    assert "2 of 4 events confirmed, 4 reviewed" in said.stdout + said.stderr
    written = pd.read_csv(tmp_path / "out" / "events.csv")
    expected = pd.DataFrame([events[0], events[3]])[["uri", "label", "onset_s"]]
    pd.testing.assert_frame_equal(written[["uri", "label", "onset_s"]], expected.reset_index(drop=True))
    paths = hubbub.export_events(tables.path, tmp_path / "raven", format="raven", confirmed=True)
    assert sum(len(path.read_text().splitlines()) - 1 for path in map(Path, paths)) == 2


def test_a_file_is_no_folder_of_label_tables_and_none_to_write_to(tables: Path, tmp_path: Path):
    file = tmp_path / "clips.parquet"
    file.write_text("no tables")
    said = " ".join(refuse("export", file, "--format", "csv", "-o", tmp_path / "out").split())
    assert "clips.parquet is a file; expected a folder of label tables, which hubbub label makes" in said
    for format in FORMATS:
        said = " ".join(refuse("export", tables, "--format", format, "-o", file).split())
        assert "clips.parquet is a file; expected a folder to write to" in said
    assert file.read_text() == "no tables"


def test_help_names_every_format_and_fits_80_columns():
    said = succeed("export", "--help", env=os.environ | {"COLUMNS": "80"})
    assert max(map(len, said.splitlines())) <= 80
    words = said.replace("│", " ").replace(",", " ").replace(".", " ").split()
    assert {*FORMATS} <= {*words}


def test_the_face_takes_the_same_options(tables: Path, archive: Path, tmp_path: Path):
    paths = hubbub.export_events(tables, tmp_path / "out", format="clips", per_label=1, padding_s=0)
    assert [path.name for path in paths][-1] == "clips.csv"
    assert len(pd.read_csv(paths[-1])) == 2
    assert hubbub.export_events(tables, tmp_path, format="daily", by="city", timezone="UTC", spreadsheet=True)
    (path,) = hubbub.export_events(tables, tmp_path, format="geojson", points="events")
    assert path.name == "events.geojson"


@pytest.mark.parametrize("format", ["csv", "raven", "daily", "clips", "wav-cues"])
def test_tables_and_results_in_a_bucket(format: str, archive: Path, tmp_path: Path, s3: str):
    tables = write_tables(parse_path(f"{s3}/labels"), archive)
    here = hubbub.export_events(tables, tmp_path / "out", format=format)
    there = hubbub.export_events(f"{s3}/labels", f"{s3}/out", format=format)
    assert [path.name for path in there] == [path.name for path in here]
    assert [path.read_bytes() for path in there] == [path.read_bytes() for path in here]


def test_recordings_in_a_bucket_are_cut_and_marked(archive: Path, tmp_path: Path, s3: str):
    (parse_path(f"{s3}/sound") / "a.wav").write_bytes((archive / "a.wav").read_bytes())
    events = [{"uri": "a.wav", "label": "dog", "onset_s": 12.0, "offset_s": 13.0}]
    tables = write_label_tables(
        tmp_path / "labels", parse_path(f"{s3}/sound"), [{"uri": "a.wav", "duration_s": 20.0}], events
    )
    (clip, _) = hubbub.export_events(tables, tmp_path / "clips", format="clips", padding_s=0)
    assert soundfile.read(clip, dtype="int16")[0][0] == 1200
    (copy, _) = hubbub.export_events(tables, tmp_path / "cues", format="wav-cues")
    assert soundfile.info(copy).frames == 160_000
    (table,) = hubbub.export_events(tables, tmp_path / "tables", format="raven")
    assert f"\t{s3}/sound/a.wav\t" in table.read_text()
    (document,) = hubbub.export_events(tables, tmp_path / "tables", format="elan")
    assert f'MEDIA_URL="{s3}/sound/a.wav"' in document.read_text()
