"""The page of an archive: charts and samples of any label tables, within a size, and what is missing is said."""

from __future__ import annotations

import re
import shutil
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import soundfile

from hubbub.clips.table import CLIP_SCHEMA
from hubbub.config import parse_settings
from hubbub.errors import UsageError
from hubbub.labels.events import EventRule
from hubbub.labels.schemas import label_schemas
from hubbub.labels.tables import LabelTables, create_labels
from hubbub.pipelines.report import report
from hubbub.report import labels as labels_page
from hubbub.report import labels_section
from hubbub.report import samples as samples_module
from tests.jobs.command import refuse, succeed
from tests.lib.report.test_report import Page

SETTINGS = parse_settings(
    {"frontend": {"sample_rate": 8000, "n_fft": 512, "hop_samples": 256, "n_mels": 32}}, where="test"
)
BEGIN = datetime(2025, 5, 1, 4, 30, tzinfo=UTC)
CITIES = ["Oslo", "São Paulo", "<b>Bern</b>"]
CARRIED = pa.schema([("city", pa.string()), ("latitude", pa.float64()), ("longitude", pa.float64())])


def make_archive(
    folder: Path, labels: list[str], *, recordings: int = 30, events_a_label: int = 4, failed: int = 0
) -> LabelTables:
    """Label tables written by hand; all recordings are links to one tone of 6 s, one every 7 hours."""
    sounds = folder / "sounds"
    sounds.mkdir(parents=True)
    rng = np.random.default_rng(0)
    wave = 0.3 * np.sin(2 * np.pi * 1000 * np.arange(48_000) / 8000) + 0.05 * rng.standard_normal(48_000)
    soundfile.write(sounds / "0.wav", wave, 8000)
    for number in range(1, recordings):
        (sounds / f"{number}.wav").hardlink_to(sounds / "0.wav")
    run = {
        "model_hash": "0123456789abcdef",
        "settings_hash": SETTINGS.hash,
        "settings": SETTINGS.values,
        "labels": labels,
        "hop_s": 1.0,
        "rules": {label: asdict(EventRule(threshold=0.4)) for label in labels},
        "root": str(sounds),
        "command": "hubbub label sounds --model city",
        "bundle": "city",
    }
    tables = create_labels(folder / "labels", run)
    schemas = label_schemas(pa.schema([*CLIP_SCHEMA, *CARRIED]), len(labels))
    files: list[dict[str, Any]] = [
        {
            "uri": f"{number}.wav",
            "clip_id": f"id {number}",
            "status": "ok",
            "attempts": 1,
            "duration_s": 6.0,
            "recorded_at": None if number == 0 else BEGIN + timedelta(hours=7 * number),
            "peak_scores": rng.random(len(labels)).astype(np.float16).tolist(),
            "city": CITIES[number % 3],
            "latitude": 47 + number % 5 / 100,
            "longitude": 8.5 + number % 4 / 100,
        }
        for number in range(recordings)
    ]
    broken = [
        {"uri": f"bad{n}.wav", "clip_id": f"bad {n}", "status": "failed", "error": f"DecodeError: bad{n}.wav is text"}
        for n in range(failed)
    ]
    events = []
    for number in range(len(labels) * events_a_label if recordings else 0):
        file, onset_s = files[number % recordings], float(number % 4)
        at = file["recorded_at"] and file["recorded_at"] + timedelta(seconds=onset_s)
        times = {"onset_s": onset_s, "offset_s": onset_s + 1.5, "onset_at": at}
        scores = {"peak": 0.4 + 0.6 * rng.random(), "mean": 0.4}
        events.append({**file, "label": labels[number % len(labels)], **times, **scores})
    tables.write_unit(
        0,
        files=pa.Table.from_pylist([*files, *[{**row, "attempts": 1} for row in broken]], schema=schemas.files),
        windows=schemas.windows.empty_table(),
        events=pa.Table.from_pylist(events, schema=schemas.events),
    )
    return tables


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> LabelTables:
    """30 recordings, 3 failed ones, 24 events of 3 labels."""
    folder = tmp_path_factory.mktemp("city")
    return make_archive(folder, ["dog", "rain", "<script>alert(1)</script>"], events_a_label=8, failed=3)


def read(tables: LabelTables, out: Path, **options: Any) -> Page:
    return Page(Path(report(tables, out / "page.html", **options)))


def test_an_archive_is_told_in_numbers_and_charts(archive: LabelTables, tmp_path: Path):
    page = read(archive, tmp_path)
    for words in (
        "recordings analysed 30",
        "failed 3",
        "of sound 3.0 min",
        "events 24",
        "When there was audio",
        "1 recording without a time is not in here",
        "When labels are heard",
        "By city",
        "<b>Bern</b> 10",
        "Where",
        "1 km",
        "DecodeError: … is text 3 bad0.wav",
        "model hash 0123456789abcdef",
        "command hubbub label sounds --model city",
        "dog 0.4 0.35",
        "n_mels: 32",
    ):
        assert words in page.text, words
    assert "<script>alert(1)</script> 8 events in 8 recordings" in page.text
    assert not re.search("<script>alert|<b>Bern", page.source)
    assert len(page.having("place")) == 20
    assert len(page.having("heat")) == 4


def test_samples_of_each_label_have_picture_and_player(archive: LabelTables, tmp_path: Path):
    page = read(archive, tmp_path, samples=3)
    assert len(page.having("sample")) == 9
    assert len(page.attributes("audio", "src")) == len(page.attributes("img", "src")) == 9
    assert all(address.startswith("data:") for address in page.attributes("audio", "src"))
    marks = [re.findall(r"[\d.]+", mark["style"]) for mark in page.having("within")]
    assert all(float(left) + float(width) <= 100.01 for left, width in marks)
    assert ["0.00", "42.86"] in marks  # 0 to 1.5 s, of which 3.5 s are shown
    assert "room" not in page.text
    assert page.source == read(archive, tmp_path, samples=3).source
    assert len(read(archive, tmp_path, samples=0).having("sample")) == 0


def test_progress_adds_up(archive: LabelTables):
    for samples in (0, 3):
        shares: list[float] = []
        labels_section(archive, samples=samples, advance=shares.append)
        assert sum(shares) == 1
        assert min(shares) >= 0
    assert sum(share > 0 for share in shares) == 9


def test_a_page_stays_within_its_size_and_says_what_is_left_out(archive: LabelTables, tmp_path: Path):
    whole = read(archive, tmp_path, samples=8)
    size_mb = len(whole.source.encode()) / 1e6
    page = read(archive, tmp_path, samples=8, max_size_mb=size_mb / 2)
    shown = len(page.having("sample"))
    assert 3 <= shown < 24
    assert len(page.source.encode()) <= size_mb / 2 * 1e6
    assert f"{shown} of 24 samples are shown: for {24 - shown} the page has no room" in page.text
    by_label = [
        block.count('class="recording sample"') for block in page.source.split('<details class="card label"')[1:]
    ]
    assert max(by_label) - min(by_label) <= 1
    nothing = read(archive, tmp_path, max_size_mb=0.001)
    assert "0 of 24 samples are shown" in nothing.text
    assert "3 of 3 labels have no sample on the page" in nothing.text


def test_recordings_that_moved_are_said_and_found_again(archive: LabelTables, tmp_path: Path):
    moved = tmp_path / "moved"
    shutil.copytree(archive.path, moved / "labels")
    labels = LabelTables(moved / "labels", archive.run | {"root": str(moved / "gone")})
    (moved / "labels" / "run.json").write_text(
        (archive.path / "run.json").read_text().replace(str(archive.root), str(moved / "gone"))
    )
    page = read(labels, tmp_path)
    assert "24 samples cannot be shown (DecodeError), such as: DecodeError: " in page.text
    assert "--root DIR says where they are now" in page.text
    assert "events 24" in page.text
    found = read(labels, tmp_path, root=archive.root)
    assert len(found.having("sample")) == 24
    assert "cannot be shown" not in found.text


def test_what_cannot_be_read_is_not_tried_for_ever(
    archive: LabelTables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(samples_module, "MOST_UNREADABLE", 5)
    page = read(archive, tmp_path, root=tmp_path)
    assert "5 samples cannot be shown" in page.text
    assert "19 more samples were not tried" in page.text


def test_a_small_set_is_shown_whole_and_samples_only_if_asked(tmp_path: Path):
    tables = make_archive(tmp_path, ["dog"], recordings=2)
    page = read(tables, tmp_path)
    assert (len(page.having("sample")), len(page.having("lane"))) == (0, 2)
    assert "cannot be shown" not in page.text
    asked = read(tables, tmp_path, samples=1)
    assert (len(asked.having("sample")), len(asked.having("lane"))) == (1, 0)
    none = read(tables, tmp_path, samples=0)
    assert (len(none.having("sample")), len(none.having("lane"))) == (0, 0)
    bounded = read(tables, tmp_path, max_size_mb=0.09)
    assert "2 of 2 recordings are left out, for which the page has no room" in bounded.text


def test_few_long_recordings_are_shown_by_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An hour of sound in twenty files was a page of 35 MB that took 49 s."""
    tables = make_archive(tmp_path, ["dog"], recordings=2)
    files = tables.files()
    monkeypatch.setattr(labels_page, "MOST_WHOLE_S", float(files["duration_s"].sum()) - 0.001)
    page = read(tables, tmp_path)
    assert len(page.having("sample")) > 0
    assert len(page.having("lane")) == 0
    truth = tables.events().iloc[:1]
    with_truth = read(tables, tmp_path, truth=truth)  # as many as fit, those with truth first
    assert len(with_truth.having("recording")) == 1
    assert len(with_truth.having("lane")) == 2
    assert "1 of 2 recordings are shown" in with_truth.text


def test_an_archive_without_events_has_its_coverage(tmp_path: Path):
    page = read(make_archive(tmp_path, ["dog", "rain"], recordings=25, events_a_label=0), tmp_path)
    assert "Nothing was found" in page.text
    assert "When there was audio" in page.text
    assert len(page.having("heat")) == 1
    assert len(page.having("label")) == 2  # scores of clips, below the threshold


def test_five_hundred_labels_are_a_page_of_bounded_size(tmp_path: Path):
    labels = [f"label {number}" for number in range(500)]
    tables = make_archive(tmp_path, labels, events_a_label=1)
    page = read(tables, tmp_path, samples=1, max_size_mb=3)
    assert len(page.source.encode()) <= 3e6
    assert len(page.having("label")) == 500
    assert "475 more labels" in page.text
    assert re.search(r"\d+ of 500 labels have no sample on the page", page.text)
    assert sum("open" in attrs for attrs in page.having("label")) == 3


def test_the_command_takes_the_options(archive: LabelTables, tmp_path: Path):
    page = tmp_path / "page.html"
    root = archive.root
    options = ("--samples", 1, "--max-size", 1.5, "--root", root, "--timezone", "Asia/Kathmandu")
    assert "report: done" in succeed("report", archive.path, "-o", page, *options)
    shown = Page(page)
    assert len(shown.having("sample")) == 3
    assert "hours downwards, in Asia/Kathmandu" in shown.text
    assert len(re.findall(r"\d\d:\d\d:\d\d Asia/Kathmandu", shown.text)) == 3
    assert "UTC" not in shown.text.partition("hubbub report")[2].partition("labelled at")[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--samples", -1], "--samples -1: give 0 or more"),
        (["--max-size", 0], "--max-size 0: give megabytes above 0"),
        (["--root", "nowhere"], "--root nowhere is no folder"),
        (["--timezone", "Berlin"], "--timezone Berlin: no such time zone; expected a name such as Europe/Berlin"),
    ],
)
def test_bad_options_are_refused(archive: LabelTables, tmp_path: Path, options: list[object], message: str):
    assert message in refuse("report", archive.path, "-o", tmp_path / "page.html", *options)
    assert not (tmp_path / "page.html").exists()
    if options[0] == "--root":
        with pytest.raises(UsageError, match="is no folder"):
            report(archive, tmp_path / "page.html", root="nowhere")
