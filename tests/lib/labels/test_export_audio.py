"""Exports of audio: clips cut where events are, and WAV copies with markers that a parser of its own finds."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

import hubbub
from hubbub.audio.cues import Cue, copy_with_cues
from hubbub.audio.cutting import _write_flac, cut_stretch
from hubbub.clips.sources import Columns, list_source
from hubbub.clips.table import content_version
from hubbub.errors import ClipTableError, DecodeError, StorageError, UsageError
from hubbub.labels.export import ExportOptions, ExportSource, export_events
from hubbub.labels.export.clips import choose_fairly
from tests.examples import count_examples
from tests.export_tables import (
    FORMULA,
    POLISH,
    QUOTED,
    SCRIPT,
    events_table,
    files_table,
    write_clock,
    write_label_tables,
)

RATE = 8000


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of 20 s in several formats, whose samples say when they are."""
    folder = tmp_path_factory.mktemp("archive")
    write_clock(folder / "a.wav", 20)
    write_clock(folder / "deep" / "Łódź b.flac", 20)
    write_clock(folder / "c.wav", 20, rate=44100, format="RF64")
    soundfile.write(folder / "d.wav", np.zeros((RATE, 3)), RATE, format="W64")
    soundfile.write(folder / "e.wav", np.zeros(RATE), RATE, subtype="IMA_ADPCM")
    (folder / "broken.wav").write_bytes((folder / "a.wav").read_bytes()[:5000])
    return folder


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def source_of(root: Path, events: pd.DataFrame, *uris: str, **options: object) -> ExportSource:
    return ExportSource(events, files_table(*uris), root=root, options=ExportOptions(**options))


def heard_at(path: Path) -> tuple[float, float]:
    """Return when the first and the last sample of a clip were recorded, seconds; a sample counts hundredths."""
    samples, _ = soundfile.read(path, dtype="int16")
    return samples[0] / 100, samples[-1] / 100


EVENTS = events_table(
    ("a.wav", "dog", 5.0, 6.0, 0.9, 0.7),
    ("a.wav", "dog", 0.5, 2.0, 0.95, 0.7),
    ("deep/Łódź b.flac", "dog", 18.5, 20.0, 0.8, 0.7),
    ("deep/Łódź b.flac", SCRIPT, 3.0, 4.0, 0.9, 0.7),
    ("a.wav", QUOTED, 3.0, 4.0, 0.9, 0.7),
    ("a.wav", "Dog", 3.0, 4.0, 0.9, 0.7),
    ("a.wav", POLISH, 3.0, 4.0, 0.9, 0.7),
    ("a.wav", FORMULA, 3.0, 4.0, 0.9, 0.7),
    ("a.wav", "../..", 3.0, 4.0, 0.9, 0.7),
)


def test_clips_hold_the_events_with_sound_around_them(archive: Path, tmp_path: Path):
    done = export_events(source_of(archive, EVENTS, "a.wav", "deep/Łódź b.flac"), tmp_path / "out", "clips")
    assert done.failed == ()
    rows = read_rows(tmp_path / "out" / "clips.csv")
    assert len(rows) == len(EVENTS)
    assert sorted(map(str, done.paths)) == sorted(
        [*(str(tmp_path / "out" / row["clip"]) for row in rows), str(tmp_path / "out" / "clips.csv")]
    )
    for row in rows:
        path = tmp_path / "out" / row["clip"]
        info = soundfile.info(path)
        assert (info.format, info.subtype, info.channels, info.samplerate) == ("FLAC", "PCM_16", 1, RATE)
        onset, offset = float(row["onset_s"]), float(row["offset_s"])
        first, last = heard_at(path)
        assert first == pytest.approx(max(0.0, onset - 1), abs=0.01)
        assert last == pytest.approx(min(20.0, offset + 1), abs=0.02)
        assert float(row["clip_onset_s"]) == pytest.approx(min(1.0, onset))
        assert float(row["clip_offset_s"]) - float(row["clip_onset_s"]) == pytest.approx(offset - onset)
        assert row["problem"] == ""
        assert path.resolve().is_relative_to(tmp_path / "out")
    assert len({row["clip"].lower() for row in rows}) == len(rows)
    assert len({row["clip"].split("/")[0].lower() for row in rows}) == EVENTS["label"].nunique()


def test_names_sort_by_score(archive: Path, tmp_path: Path):
    export_events(source_of(archive, EVENTS, "a.wav", "deep/Łódź b.flac", padding_s=0.0), tmp_path / "out", "clips")
    rows = [row for row in read_rows(tmp_path / "out" / "clips.csv") if row["label"] == "dog"]
    names = [row["clip"].split("/")[1] for row in rows]
    assert names == sorted(names)
    assert names == [
        "000001-0.95-a-0.500s.flac",
        "000002-0.90-a-5.000s.flac",
        "000003-0.80-Łódź_b-18.500s.flac",
    ]
    assert soundfile.info(tmp_path / "out" / rows[1]["clip"]).duration == 1.0


def test_hubbub_indexes_the_clips_with_their_labels(archive: Path, tmp_path: Path):
    events = EVENTS[EVENTS["label"].isin(["dog", POLISH])]
    export_events(source_of(archive, events, "a.wav"), tmp_path / "out", "clips")
    clips = hubbub.index(tmp_path / "out")
    labels = [labels[0] for labels in clips.rows["labels"].to_pylist()]
    assert sorted(labels) == sorted(events["label"])
    assert {name.split("/")[0] for name in clips.rows["uri"].to_pylist()} == {"dog", POLISH}


def test_clips_of_one_label_are_indexed_too(archive: Path, tmp_path: Path):
    events = EVENTS[EVENTS["label"] == SCRIPT]
    export_events(source_of(archive, events, "a.wav"), tmp_path / "out", "clips")
    clips = hubbub.index(tmp_path / "out")
    assert clips.rows["labels"].to_pylist() == [[SCRIPT]]
    assert clips.rows["uri"].to_pylist()[0].startswith("_script_alert(1)__script_-")  # what every file system takes


def test_the_indexed_clips_know_their_recordings(archive: Path, tmp_path: Path):
    """Clips of one recording, or of one group, are never on both sides of a split; times are of the clips."""
    began = datetime(2026, 5, 17, 4, 30, tzinfo=UTC)
    named = "PARK_20260501_060000.wav"  # a time that is not the clip's
    write_clock(archive / named, 20)
    site = pa.field("city", pa.string())
    tables = write_label_tables(
        tmp_path / "labels",
        archive,
        [
            {"uri": "a.wav", "duration_s": 20.0, "recorded_at": began, "group": "market", "city": "Łódź"},
            {"uri": named, "duration_s": 10.0, "clip_start_s": 5.0, "clip_end_s": 15.0},
            {"uri": "gone.wav", "duration_s": 10.0, "recorded_at": began},
        ],
        [
            {"uri": "a.wav", "label": "dog", "onset_s": 5.0, "offset_s": 6.0, "onset_at": began + timedelta(seconds=5)},
            {"uri": "a.wav", "label": "rain", "onset_s": 0.25, "offset_s": 2.0}
            | {"onset_at": began + timedelta(seconds=0.25), "city": "Łódź"},
            {"uri": named, "label": "dog", "onset_s": 6.0, "offset_s": 7.0, "clip_start_s": 5.0} | {"peak": 0.5},
            {"uri": "gone.wav", "label": "dog", "onset_s": 6.0, "offset_s": 7.0, "peak": 0.25},
        ],
        carried=[site],
    )
    hubbub.export_events(tables, tmp_path / "out", format="clips")
    listing = list_source(tmp_path / "out", None, Columns())
    assert listing.evidence.startswith("read as exported: clips.csv")
    assert list(listing.notes) == ["1 event left out, of which no clip could be cut"]
    clips = hubbub.index(tmp_path / "out", timezone="UTC")
    assert "site" not in clips.carried  # 000001-0.75-a is none
    assert clips.rows.select(["uri", "labels", "group", "recorded_at", "city"]).to_pylist() == [
        {"uri": "dog/000001-0.75-a-5.000s.flac", "labels": ["dog"], "group": "market", "city": None}
        | {"recorded_at": began + timedelta(seconds=4)},
        {"uri": "dog/000002-0.50-PARK_20260501_060000-6.000s.flac", "labels": ["dog"], "group": named, "city": None}
        | {"recorded_at": None},
        {"uri": "rain/000001-0.75-a-0.250s.flac", "labels": ["rain"], "group": "market", "city": "Łódź"}
        | {"recorded_at": began},
    ]
    # Tables of before have neither a group nor a time.
    rows = pd.read_csv(tmp_path / "out" / "clips.csv").drop(columns=["group", "recorded_at"])
    rows.to_csv(tmp_path / "out" / "clips.csv", index=False)
    older = hubbub.index(tmp_path / "out").rows
    assert older["recorded_at"].to_pylist() == clips.rows["recorded_at"].to_pylist()
    assert older["group"].to_pylist() == ["a.wav", named, "a.wav"]


def test_a_table_of_clips_that_lacks_something_is_refused(archive: Path, tmp_path: Path):
    out = tmp_path / "out"
    export_events(source_of(archive, events_table(("gone.wav", "dog", 1.0, 2.0, 0.9, 0.7)), "gone.wav"), out, "clips")
    with pytest.raises(ClipTableError, match="no event has a clip, and its column problem says why; export again"):
        hubbub.index(out)
    with pytest.raises(ClipTableError, match="format exported has columns of its own"):
        list_source(out, "exported", Columns(path="clip"))
    (out / "clips.csv").write_text("clip,label\na.flac,dog\n")
    with pytest.raises(ClipTableError, match="has no column 'uri'; expected clips.csv as hubbub export wrote it"):
        list_source(out, "exported", Columns())
    with pytest.raises(ClipTableError, match="holds no clips.csv; expected a folder that hubbub export made"):
        list_source(archive, "exported", Columns())


def test_a_recording_that_cannot_be_read_is_a_row_and_no_end(archive: Path, tmp_path: Path):
    old = content_version((archive / "a.wav").stat())
    events = events_table(
        ("a.wav", "dog", 5.0, 6.0, 0.9, 0.7),
        ("gone.wav", "dog", 5.0, 6.0, 0.8, 0.7),
        ("a.wav", "dog", 50.0, 60.0, 0.7, 0.7),  # behind the end
        ("deep/Łódź b.flac", "dog", 5.0, 6.0, 0.6, 0.7),
    )
    files = files_table("a.wav", "gone.wav", "deep/Łódź b.flac", version=[old, None, "1-1"])
    done = export_events(ExportSource(events, files, root=archive), tmp_path / "out", "clips")
    rows = read_rows(tmp_path / "out" / "clips.csv")
    assert [row["problem"].split(":")[0] for row in rows] == ["", "DecodeError", "EmptyAudio", "FileChanged"]
    assert [bool(row["clip"]) for row in rows] == [True, False, False, False]
    assert len(done.failed) == 3
    assert done.failed[0].startswith("gone.wav: DecodeError: gone.wav cannot be opened")
    assert {path.suffix for path in (tmp_path / "out").rglob("*") if path.is_file()} == {".flac", ".csv"}


def test_no_events_make_a_table_without_rows(archive: Path, tmp_path: Path):
    done = export_events(source_of(archive, EVENTS.iloc[:0], "a.wav", per_label=2), tmp_path / "out", "clips")
    assert [path.name for path in done.paths] == ["clips.csv"]
    assert read_rows(done.paths[0]) == []


def test_a_folder_that_holds_something_is_refused_for_clips(archive: Path, tmp_path: Path):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(UsageError, match="holds something else; give a new folder for the clips"):
        export_events(source_of(archive, EVENTS, "a.wav"), tmp_path, "clips")
    for options, said in (
        ({"padding_s": -1.0}, "--padding -1: expected 0 or more"),
        ({"per_label": 0}, "--per-label 0"),
    ):
        with pytest.raises(UsageError, match=said):
            export_events(source_of(archive, EVENTS, "a.wav", **options), tmp_path / "out", "clips")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_leaves_nothing_behind(archive: Path, small_disk: Path):
    noise = np.random.default_rng(0).integers(-30000, 30000, 20 * RATE).astype(np.int16)
    soundfile.write(archive / "noise.wav", noise, RATE)
    with pytest.raises(StorageError, match="No space left"):
        export_events(
            source_of(archive, events_table(("noise.wav", "dog", 0.0, 20.0, 0.9, 0.5)), "noise.wav"),
            small_disk / "out",
            "clips",
        )
    assert list(small_disk.iterdir()) == []


class FullOnce(io.BytesIO):
    """A disk that is full for one write."""

    is_full = True

    def write(self, data: bytes) -> int:
        if self.is_full:
            self.is_full = False
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


def test_a_write_that_fell_short_is_not_forgotten():
    with pytest.raises(OSError, match="No space left"), _write_flac(FullOnce(), RATE) as write:
        write(np.zeros(RATE, np.int16))


def test_a_rate_that_flac_has_not_is_a_reason(tmp_path: Path):
    soundfile.write(tmp_path / "sea.wav", np.zeros(2000), 2_000_000)
    with pytest.raises(DecodeError, match="2000000 Hz is more than FLAC holds; expected 655350 Hz at most"):
        cut_stretch(tmp_path / "sea.wav", tmp_path / "sea.flac", start_s=0, end_s=1)
    assert [path.name for path in tmp_path.iterdir()] == ["sea.wav"]


def many_events(seed: int = 0) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    rows = [
        ("a.wav", "dog", float(place), place + 1.0, score, score)
        for place, score in enumerate(draw.uniform(0, 1, 300) ** 0.3)
    ]
    rows += [("b.wav", "rain", float(place), place + 1.0, 0.5, 0.5) for place in range(3)]
    return events_table(*rows)


def test_few_of_each_label_are_spread_over_the_scores_and_the_same_in_any_order():
    events = many_events()
    chosen = choose_fairly(events, 20)
    counts = chosen["label"].value_counts()
    assert (counts["dog"], counts["rain"]) == (20, 3)
    dogs = chosen[chosen["label"] == "dog"]["peak"]
    share = np.histogram(dogs, [0, 0.2, 0.4, 0.6, 0.8, 1.0])[0]
    there = np.histogram(events[events["label"] == "dog"]["peak"], [0, 0.2, 0.4, 0.6, 0.8, 1.0])[0]
    assert there[-1] > 5 * there[1]  # most score high,
    assert all(
        number >= min(4, have) for number, have in zip(share, there, strict=True)
    )  # and all ranges have their share
    assert choose_fairly(events, 1)["peak"].max() >= 0.8  # the highest range is asked first
    shuffled = choose_fairly(events.sample(frac=1, random_state=1), 20)
    keys = ["uri", "onset_s", "label"]
    pd.testing.assert_frame_equal(
        shuffled.sort_values(keys, ignore_index=True), chosen.sort_values(keys, ignore_index=True)
    )


# Markers


def parse_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Read the chunks of a WAV file, by the RIFF specification: nothing more and nothing less than its length says."""
    assert data[:4] == b"RIFF"
    assert data[8:12] == b"WAVE"
    assert struct.unpack("<I", data[4:8])[0] == len(data) - 8
    return parse_list(data[12:])


def parse_list(data: bytes) -> list[tuple[bytes, bytes]]:
    chunks, at = [], 0
    while at < len(data):
        name, length = data[at : at + 4], struct.unpack("<I", data[at + 4 : at + 8])[0]
        assert at + 8 + length + length % 2 <= len(data)
        chunks.append((name, data[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    return chunks


def read_markers(path: Path) -> list[tuple[int, int, str]]:
    """Read frame, length in frames and text of each marker."""
    chunks = parse_chunks(path.read_bytes())
    cues = [content for name, content in chunks if name == b"cue "]
    lists = [content[4:] for name, content in chunks if name == b"LIST" and content[:4] == b"adtl"]
    if not cues:
        assert not lists
        return []
    (cue,), (texts,) = cues, lists
    (count,) = struct.unpack("<I", cue[:4])
    assert len(cue) == 4 + 24 * count
    frames, labels, lengths = {}, {}, {}
    for number, position, chunk, chunk_start, block_start, offset in struct.iter_unpack("<II4sIII", cue[4:]):
        assert number not in frames
        assert (chunk, chunk_start, block_start, position) == (b"data", 0, 0, offset)
        frames[number] = offset
    for name, content in parse_list(texts):
        (number,) = struct.unpack("<I", content[:4])
        if name == b"labl":
            assert content.endswith(b"\0")
            labels[number] = content[4:-1].decode()
        elif name == b"ltxt":
            length, purpose = struct.unpack("<I4s", content[4:12])
            assert purpose == b"rgn "
            lengths[number] = length
    assert frames.keys() >= labels.keys()
    return [(frames[number], lengths.get(number, 0), labels.get(number, "")) for number in sorted(frames)]


def digest(folder: Path) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def test_wav_copies_have_the_events_as_markers(archive: Path, tmp_path: Path):
    before = digest(archive)
    uris = ("a.wav", "deep/Łódź b.flac", "c.wav", "d.wav", "e.wav", "broken.wav", "gone.wav")
    done = export_events(source_of(archive, EVENTS, *uris), tmp_path, "wav-cues")
    assert digest(archive) == before
    copy = tmp_path / "a.wav.cues.wav"
    own = EVENTS[EVENTS["uri"] == "a.wav"].sort_values(["onset_s", "offset_s", "label"])
    assert read_markers(copy) == [
        (round(onset * RATE), round((offset - onset) * RATE), label.replace("\t", " "))
        for onset, offset, label in own[["onset_s", "offset_s", "label"]].itertuples(index=False)
    ]
    assert (
        soundfile.read(copy, dtype="int16")[0].tolist() == soundfile.read(archive / "a.wav", dtype="int16")[0].tolist()
    )
    rows = {row["uri"]: row for row in read_rows(tmp_path / "cues.csv")}
    assert (rows["a.wav"]["file"], rows["a.wav"]["cues"], rows["a.wav"]["problem"]) == ("a.wav.cues.wav", "7", "")
    assert rows["deep/Łódź b.flac"]["problem"] == "no WAV file: passed over"
    for uri, said in (
        ("c.wav", "is RF64"),
        ("d.wav", "is W64"),
        ("e.wav", "compressed"),
        ("broken.wav", "beyond the end"),
        ("gone.wav", "cannot be opened"),
    ):
        assert said in rows[uri]["problem"], uri
        assert rows[uri]["file"] == ""
    assert len(done.failed) == 5
    assert done.notes == ("1 recording passed over: no WAV file",)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["a.wav.cues.wav", "cues.csv"]


def test_a_recording_without_events_is_copied_as_it_is(archive: Path, tmp_path: Path):
    export_events(source_of(archive, EVENTS.iloc[:0], "a.wav"), tmp_path, "wav-cues")
    assert (tmp_path / "a.wav.cues.wav").read_bytes() == (archive / "a.wav").read_bytes()


def test_markers_that_are_there_are_kept(archive: Path, tmp_path: Path):
    copy_with_cues(archive / "a.wav", tmp_path / "once.wav", [Cue(1.0, 2.0, "first"), Cue(3.0, 3.5, "odd")])
    copy_with_cues(tmp_path / "once.wav", tmp_path / "twice.wav", [Cue(2.0, 99.0, "über")])
    assert read_markers(tmp_path / "twice.wav") == [
        (RATE, RATE, "first"),
        (3 * RATE, RATE // 2, "odd"),
        (2 * RATE, 18 * RATE, "über"),  # to the recording's end
    ]


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "FLOAT", "DOUBLE"])
def test_samples_of_every_plain_type_are_the_same(tmp_path: Path, subtype: str):
    noise = np.random.default_rng(0).uniform(-1, 1, (801, 3))  # an odd number of bytes, of 8 bits
    soundfile.write(tmp_path / "x.wav", noise, 96000, subtype=subtype)
    with soundfile.SoundFile(tmp_path / "x.wav", "r+") as file:
        file.title = "a title"  # a LIST INFO of the recording's own
    copy_with_cues(tmp_path / "x.wav", tmp_path / "y.wav", [Cue(0.001, 0.002, "dog")])
    assert read_markers(tmp_path / "y.wav") == [(96, 96, "dog")]
    first, second = (soundfile.SoundFile(tmp_path / name) for name in ("x.wav", "y.wav"))
    assert np.array_equal(first.read(always_2d=True), second.read(always_2d=True))
    assert (second.title, second.subtype, second.samplerate, second.channels) == ("a title", subtype, 96000, 3)


def test_what_stands_behind_the_wav_is_left_behind(archive: Path, tmp_path: Path):
    data = (archive / "a.wav").read_bytes()
    (tmp_path / "x.wav").write_bytes(data + b"ID3 and more")
    copy_with_cues(tmp_path / "x.wav", tmp_path / "y.wav", [])
    assert (tmp_path / "y.wav").read_bytes() == data


@given(st.binary(max_size=60), st.integers(0, 60))
@settings(max_examples=count_examples(60))
def test_damaged_headers_are_reasons(tmp_path_factory, junk: bytes, at: int):
    folder = tmp_path_factory.mktemp("wav")
    write_clock(folder / "x.wav", 0.1)
    data = bytearray((folder / "x.wav").read_bytes())
    data[at : at + len(junk)] = junk
    (folder / "x.wav").write_bytes(data)
    try:
        copy_with_cues(folder / "x.wav", folder / "y.wav", [Cue(0.01, 0.02, "dog")])
    except DecodeError:
        assert not (folder / "y.wav").exists()
    else:
        parse_chunks((folder / "y.wav").read_bytes())
