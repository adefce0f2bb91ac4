"""Reviews of label tables become a clip table to train on."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import soundfile

import hubbub
from hubbub.clips.sources import Columns, list_source
from hubbub.clips.table import CLIP_SCHEMA
from hubbub.config import Settings
from hubbub.errors import ClipTableError, LabelsError
from hubbub.io.paths import StoragePath, parse_path
from hubbub.labels.reviews.journal import ReviewJournal
from hubbub.labels.schemas import label_schemas
from hubbub.labels.tables import LabelTables
from tests.data.reviews import judge, make_tables
from tests.export_tables import write_label_tables
from tests.jobs.command import hubbub as run
from tests.trees import listed

WINDOW_S = Settings().windows.input_s
FILES = {"a größe.wav": "site 1", "b.wav": None, "short.wav": "site 1"}
SECONDS = {"a größe.wav": 60.0, "b.wav": 30.0, "short.wav": 2.0}


def make_archive(path: str | StoragePath, root: str | StoragePath, **changed: Any) -> LabelTables:
    tables = make_tables(path, root=str(root), **changed)
    schemas = label_schemas(CLIP_SCHEMA, 3)
    own = {"status": "ok", "attempts": 1, "windows": 0, "version": "1"}
    rows = [
        {"uri": uri, "clip_id": f"id {uri}", "group": group, "duration_s": SECONDS[uri], **own}
        for uri, group in FILES.items()
    ]
    # A segment of a recording, from 10 to 20 s.
    rows.append({"uri": "b.wav", "clip_id": "segment", "clip_start_s": 10.0, "duration_s": 10.0, "group": "g", **own})
    parts = {name: pa.Table.from_pylist([], schema=getattr(schemas, name)) for name in ("windows", "events")}
    tables.write_unit(0, files=pa.Table.from_pylist(rows, schema=schemas.files), **parts)
    return tables


@pytest.fixture
def tables(tmp_path: Path) -> LabelTables:
    root = tmp_path / "archive"
    root.mkdir()
    for uri in FILES:
        (root / uri).touch()
    return make_archive(tmp_path / "labels", root)


def said(uri: str, onset_s: float, offset_s: float, verdict: str = "yes", **changed: Any) -> Any:
    changed.setdefault("clip_id", f"id {uri}")
    return judge(0, verdict, uri=uri, onset_s=onset_s, offset_s=offset_s, **changed)


def write_reviews(tables: LabelTables, by: str, *verdicts: Any) -> None:
    with ReviewJournal(tables.path, by) as journal:
        for verdict in verdicts:
            journal.add(verdict)


def spans(listing: Any) -> dict[tuple[str, float, float], list[str]]:
    return {(clip["uri"], clip["start_s"], clip["end_s"]): clip["labels"] for clip in listing.clips}


def test_what_people_say_becomes_labels(tables: LabelTables):
    a, b = "a größe.wav", "b.wav"
    write_reviews(
        tables,
        "ada",
        said(a, 10, 20),  # longer than a window: as it is
        said(a, 30, 40, "no", label="rain"),
        said(a, 41, 51, "no"),
        said(b, 0, 8),
        said(b, 0, 8, event_label="rain"),  # two labels of one stretch
        said(b, 10, 18, "unsure"),
        said(b, 20, 28),
        said(a, 52, 59, "no"),
        said(a, 0, 6, kind="window"),
        said(b, 22, 30, event_label="unknown"),
        said(b, 1, 9, "no", event_label="unknown", label="rain"),
    )
    write_reviews(tables, "bo", said(a, 10, 20), said(b, 20, 28, "no"), said(a, 52, 59, "no", label="<b>größe</b>"))
    listing = listed(tables.path / "reviews")
    assert listing.evidence == f"read as reviews: reviews lies in label tables, {tables.path}"
    assert listing.root == tables.path.parent / "archive"
    assert spans(listing) == {
        (a, 0.0, 6.0): ["dog"],
        (a, 10.0, 20.0): ["dog"],
        (a, 30.0, 40.0): ["rain"],
        (a, 52.0, 59.0): ["<b>größe</b>"],
        (b, 0.0, 8.0): ["dog", "rain"],
        (b, 1.0, 9.0): ["rain"],
    }
    assert [clip["group"] for clip in listing.clips] == ["site 1"] * 4 + ["b.wav"] * 2
    assert "is_event" not in next(iter(listing.clips))
    assert list(listing.notes) == [
        "1 event found wrong without another label left out",
        "1 event on which reviewers disagree left out",
        "1 event of none of the model's labels left out",
        "1 event of which nobody is sure left out",
    ]


@pytest.mark.parametrize(
    ("uri", "clip_id", "onset_s", "offset_s", "start_s", "end_s"),
    [
        ("a größe.wav", None, 30.0, 31.0, 30.5 - WINDOW_S / 2, 30.5 + WINDOW_S / 2),
        ("a größe.wav", None, 0.0, 0.5, 0.0, WINDOW_S),
        ("a größe.wav", None, 59.0, 60.0, 60 - WINDOW_S, 60.0),
        ("short.wav", None, 0.5, 1.0, 0.0, 2.0),  # a recording shorter than a window is taken whole
        ("b.wav", "segment", 10.0, 10.5, 10.0, 10.0 + WINDOW_S),  # no sound of before the segment
        ("b.wav", "segment", 19.5, 20.0, 20.0 - WINDOW_S, 20.0),
        ("b.wav", "of a run before", 25.0, 26.0, 25.5 - WINDOW_S / 2, 25.5 + WINDOW_S / 2),
    ],
)
def test_short_events_are_widened_to_a_window(
    tables: LabelTables, uri: str, clip_id: str | None, onset_s: float, offset_s: float, start_s: float, end_s: float
):
    write_reviews(tables, "ada", said(uri, onset_s, offset_s, **({} if clip_id is None else {"clip_id": clip_id})))
    assert list(spans(listed(tables.path / "reviews"))) == [(uri, start_s, end_s)]


def test_events_of_frames_stay_events(tmp_path: Path):
    (tmp_path / "a größe.wav").touch()
    tables = make_archive(tmp_path / "labels", tmp_path, frames={"per_window": 10, "frame_s": 0.1})
    write_reviews(tables, "ada", said("a größe.wav", 3, 3.5), said("a größe.wav", 5, 9, kind="window"))
    clips = list(listed(tables.path / "reviews").clips)
    assert [(clip["start_s"], clip["end_s"], clip["is_event"]) for clip in clips] == [(3, 3.5, True), (5, 9, False)]


def test_label_tables_say_what_to_type(tables: LabelTables):
    with pytest.raises(ClipTableError, match="nobody has reviewed these"):
        listed(tables.path)
    (tables.path / "reviews").mkdir()
    with pytest.raises(ClipTableError, match=r"no event has a label yet; expected"):
        list_source(tables.path / "reviews", "reviews", Columns())
    write_reviews(tables, "ada", said("b.wav", 0, 8, "no"))
    done = run("index", tables.path, "-o", "clips.parquet")
    assert done.returncode == 2
    assert f"hubbub index {tables.path / 'reviews'} -o clips.parquet" in " ".join(done.stderr.split())
    with pytest.raises(ClipTableError, match="1 event found wrong without another label left out"):
        listed(tables.path / "reviews")
    with pytest.raises(ClipTableError, match="format reviews has columns of its own"):
        list_source(tables.path / "reviews", "reviews", Columns(path="uri"))
    with pytest.raises(ClipTableError, match="lies in no label tables"):
        list_source(tables.path / "files", "reviews", Columns())


def test_torn_reviews_are_named(tables: LabelTables):
    write_reviews(tables, "ada", said("b.wav", 0, 8))
    (tables.path / "reviews" / "torn.parquet").write_bytes(b"PAR1")
    with pytest.raises(LabelsError, match="torn.parquet cannot be read"):
        listed(tables.path / "reviews")
    (tables.path / "reviews" / "torn.parquet").unlink()
    (tables.path / "files" / "00000000.parquet").write_bytes(b"PAR1")
    with pytest.raises(ClipTableError, match="00000000.parquet cannot be read"):
        listed(tables.path / "reviews")


def test_a_table_to_train_on(tables: LabelTables, tmp_path: Path):
    """From the reviews of recordings that there are to a clip table whose group keeps recordings together."""
    for uri, seconds in SECONDS.items():
        soundfile.write(tmp_path / "archive" / uri, np.zeros(int(8000 * seconds)), 8000)
    write_reviews(
        tables, "ada", said("b.wav", 0, 1), said("b.wav", 20, 29), said("short.wav", 0, 1, "no", label="rain")
    )
    table = hubbub.index(tables.path / "reviews", tmp_path / "clips.parquet")
    rows = table.rows.to_pylist()
    assert [row["group"] for row in rows] == ["b.wav", "b.wav", "site 1"]
    assert [row["labels"] for row in rows] == [["dog"], ["dog"], ["rain"]]
    assert hubbub.check_clips(table).is_ok


def test_what_label_tables_know_of_recordings_is_carried(tmp_path: Path):
    began, root = datetime(2026, 5, 17, 4, 30, tzinfo=UTC), tmp_path / "archive"
    root.mkdir()
    for uri in ("a.wav", "b.wav"):
        soundfile.write(root / uri, np.zeros(8000 * 20), 8000)
    known = {"duration_s": 20.0, "attempts": 1}
    tables = write_label_tables(
        tmp_path / "labels",
        root,
        [
            {"uri": "a.wav", "recorded_at": began, "city": "Łódź", "visit": 3, **known},
            {"uri": "b.wav", "clip_start_s": 5.0, "clip_end_s": 15.0, "latitude": 54.25, **known},
        ],
        [],
        carried=[pa.field("city", pa.string()), pa.field("visit", pa.int32()), pa.field("latitude", pa.float64())],
    )
    ids = dict(zip(tables.files()["uri"], tables.files()["clip_id"], strict=True))
    write_reviews(
        tables,
        "ada",
        said("a.wav", 0, 8, clip_id=ids["a.wav"]),
        said("b.wav", 6, 14, clip_id=ids["b.wav"]),
        said("b.wav", 0, 8, clip_id="of a run before"),
    )
    rows = hubbub.index(tables.path / "reviews").rows
    columns = ["uri", "start_s", "recorded_at", "city", "visit", "latitude", "group"]
    assert [tuple(row.values()) for row in rows.select(columns).to_pylist()] == [
        ("a.wav", 0.0, began, "Łódź", 3, None, "a.wav"),
        ("b.wav", 0.0, None, None, None, None, "b.wav"),
        ("b.wav", 6.0, None, None, None, 54.25, "b.wav"),
    ]
    assert set(rows.column_names) == {*CLIP_SCHEMA.names, "city", "visit", "latitude"}


def test_reviews_in_a_bucket(s3: str):
    root = parse_path(f"{s3}/archive")
    file = io.BytesIO()
    soundfile.write(file, np.zeros(8000 * 30), 8000, format="WAV")
    root.joinpath("b.wav").write_bytes(file.getvalue())
    tables = make_archive(f"{s3}/labels", root)
    write_reviews(tables, "ada", said("b.wav", 0, 8), said("b.wav", 10, 18, "no"))
    table = hubbub.index(f"{s3}/labels/reviews")
    assert str(table.root) == str(root)
    assert [(row["uri"], row["labels"], row["duration_s"]) for row in table.rows.to_pylist()] == [
        ("b.wav", ["dog"], 30)
    ]
    with pytest.raises(ClipTableError, match="holds label tables"):
        hubbub.index(f"{s3}/labels")
