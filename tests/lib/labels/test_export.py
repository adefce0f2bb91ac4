"""Export: what each format holds comes back from it, wherever recordings lie and whatever they are called."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubbub.errors import LabelsError, StorageError, UsageError
from hubbub.labels.export import EVENT_COLUMNS, FORMATS, ExportSource
from hubbub.labels.export import export_events as export_source
from tests.examples import count_examples

HELD = {  # what each format can hold of an event, beside the recording it is from
    "audacity": ["label", "onset_s", "offset_s"],
    "birdnet": ["uri", "label", "onset_s", "offset_s", "peak"],
    "csv": ["uri", "label", "onset_s", "offset_s", "peak", "mean", "onset_at"],
    "elan": ["label", "onset_s", "offset_s"],
    "jams": ["uri", "label", "onset_s", "offset_s", "peak"],
    "jsonl": ["uri", "label", "onset_s", "offset_s", "peak", "mean", "onset_at"],
    "kaleidoscope": ["uri", "label", "onset_s", "offset_s", "peak"],
    "raven": ["uri", "label", "onset_s", "offset_s", "peak", "mean"],
    "textgrid": ["label", "onset_s", "offset_s"],
}
FINENESS_S = {"elan": 0.0005}  # how exactly times come back, where that is no millionth
CONTROL = "[\x00-\x1f\x7f-\x9f\u2028\u2029]"  # what a line of text cannot hold
A_FILE_EACH = ["audacity", "birdnet", "elan", "jams", "raven", "textgrid"]
WHOLE_TEXT = ["jams", "jsonl"]  # which have escapes for control characters
OTHERS = ["clips", "daily", "geojson", "wav-cues"]  # which give no events back; they have tests of their own


def export_events(events, files, folder, format):
    return export_source(ExportSource(events, files), folder, format).paths


def test_every_format_is_tried():
    assert sorted([*HELD, *OTHERS]) == sorted(FORMATS)


def events_table(*rows, **carried):
    """Build events from (uri, label, onset_s, offset_s, peak, mean)."""
    table = pd.DataFrame(rows, columns=list(EVENT_COLUMNS[:6])).assign(
        onset_at=pd.Series(pd.NaT, index=range(len(rows)), dtype="datetime64[us, UTC]"), **carried
    )
    return table.astype({"uri": "string", "label": "string", **dict.fromkeys(EVENT_COLUMNS[2:6], "float64")})


def files_table(*uris, status="ok", sample_rate=22050):
    return pd.DataFrame({"uri": uris, "status": status, "sample_rate": sample_rate}).astype({"uri": "string"})


EVENTS = events_table(
    ("site/a.wav", "dog", 1.25, 3.5, 0.9, 0.7),
    ("site/a.wav", "chain saw", 2.0, 3.000001, 1.0, 0.95),
    ("b.wav", "rain", 0.0, 3600.123456, 0.6, 0.5),
)
FILES = files_table("b.wav", "quiet.wav", "site/a.wav")


def read_back(paths, format):
    parts = [FORMATS[format].read(path) for path in paths]
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("format", HELD)
def test_what_a_format_holds_comes_back(tmp_path, format):
    paths = export_events(EVENTS, FILES, tmp_path, format)
    expected = EVENTS.sort_values(["uri", "onset_s"], ignore_index=True)[HELD[format]]
    found = read_back(paths, format)[HELD[format]]
    atol = FINENESS_S.get(format, 1e-9)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=0, atol=atol)


@pytest.mark.parametrize("format", HELD)
def test_no_events_at_all_still_make_files_that_can_be_read(tmp_path, format):
    paths = export_events(EVENTS.iloc[:0], FILES, tmp_path, format)
    assert len(paths) == (3 if format in A_FILE_EACH else 1)
    for path in paths:
        back = FORMATS[format].read(path)
        assert len(back) == 0
        assert set(HELD[format]) <= set(back.columns)


@pytest.mark.parametrize("format", A_FILE_EACH)
def test_a_recording_in_which_nothing_was_found_has_a_file_and_a_failed_one_has_none(tmp_path, format):
    files = pd.concat([FILES, files_table("broken.wav", status="failed", sample_rate=None)])
    paths = export_events(EVENTS, files, tmp_path, format)
    names = [path.relative_to(tmp_path).as_posix() for path in paths]
    suffix = FORMATS[format].SUFFIX
    assert names == [f"b.wav{suffix}", f"quiet.wav{suffix}", f"site/a.wav{suffix}"]


def test_csv_is_one_file_with_columns_in_a_fixed_order(tmp_path):
    events = EVENTS.assign(city="Łódź", tags=[["a", "b"], [], ["c"]])
    events["onset_at"] = pd.to_datetime("2026-03-29T01:59:59.5Z")
    shuffled = events[["tags", "onset_at", "label", "mean", "uri", "peak", "city", "offset_s", "onset_s"]]
    (path,) = export_events(shuffled, FILES, tmp_path, "csv")
    assert path == tmp_path / "events.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "uri,label,onset_s,offset_s,peak,mean,onset_at,tags,city"
    assert lines[1] == 'b.wav,rain,0.0,3600.123456,0.6,0.5,2026-03-29T01:59:59.500000Z,"[""c""]",Łódź'
    assert FORMATS["csv"].read(path)["onset_at"].iloc[0] == pd.Timestamp("2026-03-29T01:59:59.5Z")


def test_half_precision_scores_and_float_noise_stay_readable(tmp_path):
    events = events_table(("a.wav", "dog", 0.1 + 0.2, 1.0, np.float16(0.9), np.float32(0.7)))
    (path,) = export_events(events, files_table("a.wav"), tmp_path, "csv")
    assert path.read_text().splitlines()[1] == "a.wav,dog,0.3,1.0,0.899902,0.7,"


def test_audacity_lines(tmp_path):
    paths = export_events(EVENTS, FILES, tmp_path, "audacity")
    assert paths[2].read_text() == "1.250000\t3.500000\tdog\n2.000000\t3.000001\tchain saw\n"
    assert paths[1].read_text() == ""


def test_raven_table(tmp_path):
    paths = export_events(EVENTS, FILES, tmp_path, "raven")
    table = pd.read_csv(paths[2], sep="\t")
    assert list(table.columns[:7]) == [
        "Selection",
        "View",
        "Channel",
        "Begin Time (s)",
        "End Time (s)",
        "Low Freq (Hz)",
        "High Freq (Hz)",
    ]
    assert table["Selection"].tolist() == [1, 2]
    assert table["High Freq (Hz)"].tolist() == [11025.0, 11025.0]  # all that 22,050 Hz can hold
    assert table["Begin File"].tolist() == ["a.wav", "a.wav"]


def test_raven_boxes_of_a_recording_with_unknown_rate_have_an_upper_edge(tmp_path):
    files = files_table("b.wav", "site/a.wav", sample_rate=None)
    paths = export_events(EVENTS, files, tmp_path, "raven")
    assert (pd.read_csv(paths[0], sep="\t")["High Freq (Hz)"] > 0).all()


@pytest.mark.parametrize(
    "uris",
    [
        ("a/x.wav", "b/x.wav"),  # one name in two folders
        ("x.wav", "x.flac"),  # one stem, two recordings
        ("X.wav", "x.wav"),  # one file on macOS and Windows
        ("é.wav", unicodedata.normalize("NFD", "é.wav")),  # the same, for Unicode forms
        ("../x.wav", "x.wav", "../../x.wav", "a/../x.wav"),  # outside, and back again
        ("/x.wav", "x.wav", "//x.wav"),  # absolute
        (
            "s3://bucket/x.wav",
            "s3_/bucket/x.wav",
            "s3:/bucket/x.wav",
        ),  # URLs beside folders that look like them
        ("a b#?.wav", "a b#_.wav", "a b#*.wav"),  # what Windows forbids
        ("x.labels.txt/y.wav", "x", "x.Table.1.selections.txt/y.wav"),  # a folder where a file should be
        ("..", ".", "/", ""),  # no name at all
        ("n" * 300 + ".wav", "n" * 301 + ".wav", "ж" * 200 + ".wav"),  # longer than file systems allow
        ("tab\there.wav", "tab here.wav", "line\nend.wav"),
    ],
)
@pytest.mark.parametrize("format", A_FILE_EACH)
def test_names_neither_collide_nor_leave_the_folder(tmp_path, format, uris):
    folder = tmp_path / "out" / "deep"
    events = events_table(*[(uri, f"label {i}", 0.0, 1.0 + i, 1.0, 1.0) for i, uri in enumerate(uris)])
    paths = export_events(events, files_table(*uris), folder, format)
    assert len({unicodedata.normalize("NFC", str(path)).casefold() for path in paths}) == len(uris)
    everything = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert everything == set(paths)
    assert all(path.resolve().is_relative_to(folder) for path in paths)
    assert sorted(read_back(paths, format)["label"]) == sorted(events["label"])


@pytest.mark.parametrize("uri", ["x.wav", "../x.wav", "a b#?.wav", "s3://bucket/x.wav", "n" * 300])
def test_a_name_stays_the_same_when_the_archive_grows(tmp_path, uri):
    alone = export_events(EVENTS.iloc[:0], files_table(uri), tmp_path, "raven")
    grown = export_events(
        EVENTS.iloc[:0], files_table(*{"x.wav", "a b#_.wav", "s3_/bucket/x.wav", "n" * 120, uri}), tmp_path, "raven"
    )
    assert alone[0] in grown


words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
uris = st.lists(words | st.sampled_from(["..", ".", "a", "A", "a.wav"]), min_size=1, max_size=4).map("/".join)


@given(st.lists(st.tuples(uris, words, st.integers(0, 10**12), st.integers(1, 10**9)), min_size=1, max_size=5))
@settings(max_examples=count_examples(20), deadline=None)
def test_any_events_come_back(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("any")
    micro = 1e-6
    events = events_table(
        *[(uri, label, start * micro, (start + length) * micro, 0.75, 0.5) for uri, label, start, length in rows]
    )
    files = files_table(*{uri for uri, *_ in rows})
    for format in HELD:
        paths = export_events(events, files, folder / format, format)
        back = read_back(paths, format)
        onset_s, offset_s = events["onset_s"], events["offset_s"]
        if format == "elan":  # an event is a millisecond at least
            offset_s = np.maximum(offset_s, onset_s.round(3) + 0.001)
        fineness_s = FINENESS_S.get(format, 1e-6) + 1e-9
        assert sorted(back["onset_s"]) == pytest.approx(sorted(onset_s), abs=fineness_s, rel=0)
        assert sorted(back["offset_s"]) == pytest.approx(sorted(offset_s), abs=fineness_s, rel=0)
        assert all(path.resolve().is_relative_to(folder / format) for path in paths)
        for column in ("label", "uri") if format in ("csv", "jsonl", "jams") else ():
            shown = [text if format in WHOLE_TEXT else re.sub(CONTROL, " ", text) for text in events[column]]
            assert sorted(back[column]) == sorted(shown)


def test_a_label_cannot_break_a_line(tmp_path):
    events = events_table(("a.wav", "dog\tor\nfox\r", 0.0, 1.0, 1.0, 1.0))
    for format in HELD:
        (path,) = export_events(events, files_table("a.wav"), tmp_path, format)
        label = "dog\tor\nfox\r" if format in WHOLE_TEXT else "dog or fox "
        assert FORMATS[format].read(path)["label"].tolist() == [label], format


def test_audacitys_own_frequency_lines_are_skipped(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("1.0\t2.0\tdog\n\\\t100.0\t900.0\n3.0\t3.5\t\n")
    table = FORMATS["audacity"].read(path)
    assert table["label"].tolist() == ["dog", ""]
    assert table["offset_s"].tolist() == [2.0, 3.5]


def test_an_unknown_format_names_the_nearest(tmp_path):
    with pytest.raises(
        UsageError, match=r"called 'ravn': did you mean 'raven'\? \(known: audacity, birdnet, .*, wav-cues\)"
    ):
        export_events(EVENTS, FILES, tmp_path, "ravn")


def test_a_missing_column_is_named(tmp_path):
    with pytest.raises(LabelsError, match="events table lacks onset_s; expected it beside: uri, label"):
        export_events(EVENTS.drop(columns="onset_s"), FILES, tmp_path, "csv")


@pytest.mark.parametrize("format", HELD)
def test_a_folder_that_is_a_file_is_refused(tmp_path, format):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(StorageError, match="cannot write"):
        export_events(EVENTS, FILES, tmp_path / "out", format)
    assert (tmp_path / "out").read_text() == "mine"


def test_a_full_disk_leaves_the_earlier_export_whole(full_disk: Path):
    from hubbub.io.atomic import write_text

    write_text(full_disk / "events.csv", "a,b\n")
    with pytest.raises(StorageError, match="No space left on device"):
        write_text(full_disk / "events.csv", "a,b\n" * 1_000_000)
    assert (full_disk / "events.csv").read_text() == "a,b\n"


def test_a_second_export_replaces_the_first_and_nothing_else(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    first = export_events(EVENTS, FILES, tmp_path, "audacity")
    second = export_events(EVENTS.iloc[:1], FILES, tmp_path, "audacity")
    assert first == second
    assert second[0].read_text() == ""
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert not list(tmp_path.rglob("*.partial"))
