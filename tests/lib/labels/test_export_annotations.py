"""Exports of annotations, each read by the rules of its program: by its own library, or its documented format."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import jams
import pandas as pd
import pympi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from praatio import textgrid

from hubbub.labels.export import ExportSource, export_events
from hubbub.labels.export._tiers import lay_tiers
from tests.examples import count_examples
from tests.export_tables import (
    AWKWARD,
    AWKWARD_FILES,
    FORMULA,
    LABELS,
    POLISH,
    QUOTED,
    SCRIPT,
    events_table,
    files_table,
)

ON_ONE_LINE = {QUOTED: 'say "hi", she said'}
SOURCE = ExportSource(AWKWARD, AWKWARD_FILES, labels=tuple(LABELS), root=Path("/archive"))
FIRST, HOUR, QUIET = "deep/Łódź 1.wav", "hour.wav", "quiet.wav"


def write(folder: Path, format: str, source: ExportSource = SOURCE) -> dict[str, Path]:
    """Export; return the file of each recording."""
    paths = export_events(source, folder, format).paths
    uris = sorted({*source.recordings["uri"]})
    assert len(paths) == len(uris)
    return dict(zip(uris, paths, strict=True))


def of_recording(uri: str, *, decimals: int) -> list[tuple[float, float, str]]:
    """Return onset, offset and label of a recording's events as they are to come back."""
    own = AWKWARD[AWKWARD["uri"] == uri].sort_values("onset_s")
    rows = own[["onset_s", "offset_s", "label"]].itertuples(index=False, name=None)
    return [(round(on, decimals), round(off, decimals), ON_ONE_LINE.get(label, label)) for on, off, label in rows]


def read_raven(path: Path) -> list[dict[str, str]]:
    """Read a selection table as Raven does: tabs between cells, which have no quotes; columns named in the first line.

    Begin times run over the sequence of the table's sound files, here one; selections are numbered from 1.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert [int(row["Selection"]) for row in rows] == list(range(1, len(rows) + 1))
    for row in rows:
        assert None not in row  # more cells than columns
        assert None not in row.values()  # fewer
        assert row["View"] == "Spectrogram 1"
        assert int(row["Channel"]) == 1
        assert 0 <= float(row["Begin Time (s)"]) < float(row["End Time (s)"])
        assert 0 <= float(row["Low Freq (Hz)"]) < float(row["High Freq (Hz)"]) <= 11025
        assert row["File Offset (s)"] == row["Begin Time (s)"]
        assert Path(row["Begin Path"]).name == row["Begin File"]
    return rows


def test_raven_opens_the_tables(tmp_path: Path):
    files = write(tmp_path, "raven")
    for uri in (FIRST, HOUR, QUIET):
        rows = read_raven(files[uri])
        found = [(float(row["Begin Time (s)"]), float(row["End Time (s)"]), row["Label"]) for row in rows]
        assert found == of_recording(uri, decimals=6)
        assert {row["Begin Path"] for row in rows} <= {f"/archive/{uri}"}  # by which Raven finds the sound
    assert [float(row["Score"]) for row in read_raven(files[FIRST])] == [0.9, 1.0, 0.5]


def test_raven_boxes_have_the_events_own_frequencies(tmp_path: Path):
    nan = float("nan")
    events = AWKWARD.iloc[:3].assign(low_hz=[500.0, nan, 4000.0], high_hz=[2000.5, 3000.0, 100.0])
    (path,) = export_events(ExportSource(events, files_table(FIRST)), tmp_path, "raven").paths
    bands = [(row["Low Freq (Hz)"], row["High Freq (Hz)"]) for row in read_raven(path)]
    assert bands == [("500.0", "2000.5"), ("0.0", "11025.0"), ("0.0", "11025.0")]  # half a band, and none, is no band


def read_audacity(path: Path) -> list[list]:
    """Read a label track by Audacity's manual: onset, offset, label; a line with a backslash has the frequencies."""
    found: list[list] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        cells = line.split("\t")
        if cells[0] == "\\":
            assert len(found[-1]) == 3
            found[-1] += [float(cells[1]), float(cells[2])]
        else:
            onset, offset, label = cells
            found.append([float(onset), float(offset), label])
    return found


def test_audacity_opens_the_tracks(tmp_path: Path):
    files = write(tmp_path, "audacity")
    for uri in (FIRST, HOUR, QUIET):
        assert read_audacity(files[uri]) == [list(event) for event in of_recording(uri, decimals=6)]


def test_audacity_has_spectral_selections_where_events_have_frequencies(tmp_path: Path):
    events = AWKWARD.iloc[:2].assign(low_hz=[None, "500"], high_hz=[None, "2000.25"])  # text, as tables of others have
    (path,) = export_events(ExportSource(events, files_table(FIRST)), tmp_path, "audacity").paths
    assert [row[3:] for row in read_audacity(path)] == [[], [500.0, 2000.25]]


def test_jams_files_validate(tmp_path: Path):
    files = write(tmp_path, "jams")
    for uri in (FIRST, HOUR, QUIET):
        read = jams.load(str(files[uri]), strict=True)
        assert read.validate()
        (annotation,) = read.annotations
        assert annotation.namespace == "tag_open"
        assert annotation.validate()
        own = AWKWARD[AWKWARD["uri"] == uri].sort_values("onset_s")
        assert [row.value for row in annotation] == own["label"].tolist()  # JSON holds a tab, too
        assert [row.confidence for row in annotation] == own["peak"].tolist()
        assert [row.time for row in annotation] == own["onset_s"].tolist()
        ends = [row.time + row.duration for row in annotation]
        assert ends == pytest.approx(own["offset_s"].tolist(), abs=1e-9, rel=0)
        assert read.file_metadata.duration == 3600.0
        assert read.sandbox["uri"] == uri


def test_jams_of_a_recording_without_length_and_scores_validates(tmp_path: Path):
    events = events_table(("a.wav", "dog", 1.0, 2.5, float("nan"), float("nan")))
    (path,) = export_events(ExportSource(events, files_table("a.wav", duration_s=None)), tmp_path, "jams").paths
    read = jams.load(str(path), strict=True)
    assert read.file_metadata.duration == 2.5
    assert "NaN" not in path.read_text()


def test_praat_opens_the_grids(tmp_path: Path):
    files = write(tmp_path, "textgrid")
    for uri in (FIRST, HOUR):
        grid = textgrid.openTextgrid(str(files[uri]), includeEmptyIntervals=False, reportingMode="error")
        assert (grid.minTimestamp, grid.maxTimestamp) == (0, 3600)
        found = [tuple(entry) for tier in grid.tiers for entry in tier.entries]
        assert sorted(found) == of_recording(uri, decimals=6)
        order = [ON_ONE_LINE.get(label, label) for label in LABELS]
        assert list(grid.tierNames) == [name for name in order if name in {entry[2] for entry in found}]


def tokenise_praat(text: str) -> list[float | str]:
    """Read a text file as Praat's manual says ("TextGrid file formats").

    What counts are numbers that stand free, strings in double quotes, in which a quote is two, and flags in angle
    brackets; all else is comment.
    """
    found: list[float | str] = []
    for token in re.findall(r'"(?:[^"]|"")*"|\S+', text):
        if token.startswith('"'):
            assert token.endswith('"')
            found.append(token[1:-1].replace('""', '"'))
        elif re.fullmatch(r"-?\d+(\.\d+)?", token):
            found.append(float(token))
        elif token == "<exists>":
            found.append(token)
    return found


def test_praats_own_rules_find_the_same(tmp_path: Path):
    (first, *_) = write(tmp_path, "textgrid").values()
    head, *tokens = tokenise_praat(first.read_text(encoding="utf-8"))
    assert (head, *tokens[:5]) == ("ooTextFile", "TextGrid", 0.0, 3600.0, "<exists>", 3.0)
    events, at = [], 5
    for _ in range(3):
        kind, name, begin, end, count = tokens[at : at + 5]
        assert (kind, begin, end) == ("IntervalTier", 0.0, 3600.0)
        at += 5
        for _ in range(int(count)):
            events += [tuple(tokens[at : at + 3])] if tokens[at + 2] else []
            assert tokens[at + 2] in ("", name)
            at += 3
    assert at == len(tokens)
    assert sorted(events) == of_recording(FIRST, decimals=6)


def test_praat_finds_intervals_without_gaps(tmp_path: Path):
    files = write(tmp_path, "textgrid")
    for path in files.values():
        grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=True, reportingMode="error")
        for tier in grid.tiers:
            edges = [(entry.start, entry.end) for entry in tier.entries]
            assert edges[0][0] == 0
            assert edges[-1][1] == 3600
            assert all(before[1] == after[0] for before, after in zip(edges, edges[1:], strict=False))
    quiet = textgrid.openTextgrid(str(files[QUIET]), includeEmptyIntervals=False)
    assert [(tier.name, list(tier.entries)) for tier in quiet.tiers] == [("events", [])]


def test_a_grid_of_a_recording_without_a_sample_has_a_length(tmp_path: Path):
    source = ExportSource(events_table(), files_table("empty.wav", duration_s=0.0))
    (path,) = export_events(source, tmp_path, "textgrid").paths
    assert textgrid.openTextgrid(str(path), includeEmptyIntervals=True).maxTimestamp == 1


def test_elan_opens_the_documents(tmp_path: Path):
    files = write(tmp_path, "elan")
    for uri in (FIRST, HOUR):
        document = pympi.Elan.Eaf(str(files[uri]))
        found = [
            (begin / 1000, end / 1000, value)
            for tier in document.get_tier_names()
            for begin, end, value in document.get_annotation_data_for_tier(tier)
        ]
        expected = [(on, max(off, on + 0.001), label) for on, off, label in of_recording(uri, decimals=3)]
        assert sorted(found) == sorted(expected)
        (media,) = document.get_linked_files()
        assert media["MEDIA_URL"].startswith("file:///archive/")
    assert list(pympi.Elan.Eaf(str(files[QUIET])).get_tier_names()) == ["events"]
    text = files[FIRST].read_text(encoding="utf-8")
    assert "<script>" not in text
    assert "%C5%81%C3%B3d%C5%BA%201.wav" in text  # an address, as Java reads it


def test_events_of_segments_that_overlap_lie_in_tiers_of_their_own(tmp_path: Path):
    """Each segment is labelled by itself, so that two events of one label may share sound."""
    events = events_table(
        ("a.wav", "dog", 8.0, 12.0, 0.9, 0.7),
        ("a.wav", "dog", 10.0, 13.0, 0.8, 0.7),
        ("a.wav", "dog", 12.0, 14.0, 0.8, 0.7),
        ("a.wav", "dog (2)", 1.0, 2.0, 0.8, 0.7),
    )
    files = files_table("a.wav", "a.wav", clip_start_s=[0.0, 10.0], duration_s=[15.0, 15.0])
    source = ExportSource(events, files, labels=("dog", "dog (2)"))
    expected = {"dog": [(8.0, 12.0), (12.0, 14.0)], "dog (3)": [(10.0, 13.0)], "dog (2)": [(1.0, 2.0)]}
    (path,) = export_events(source, tmp_path, "textgrid").paths
    grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=False, reportingMode="error")
    assert {tier.name: [(one.start, one.end) for one in tier.entries] for tier in grid.tiers} == expected
    assert grid.maxTimestamp == 25
    (path,) = export_events(source, tmp_path, "elan").paths
    document = pympi.Elan.Eaf(str(path))
    spans = {
        tier: [(begin / 1000, end / 1000) for begin, end, _ in document.get_annotation_data_for_tier(tier)]
        for tier in document.get_tier_names()
    }
    assert {tier: sorted(found) for tier, found in spans.items()} == expected


@given(st.lists(st.tuples(st.sampled_from(["a", "a (2)", "b"]), st.integers(0, 30), st.integers(0, 9)), max_size=25))
@settings(max_examples=count_examples(60))
def test_tiers_hold_every_event_once_and_nothing_overlaps(rows: list[tuple[str, int, int]]):
    events = events_table(*[("x.wav", label, float(on), float(on + lasts), 0.5, 0.5) for label, on, lasts in rows])
    tiers = lay_tiers(events.sort_values("onset_s"), ["b", "a"], steps_a_second=10)
    found = [(tier.label, *span) for tier in tiers for span in tier.spans]
    assert sorted(found) == sorted((label, 10 * on, max(10 * on + 1, 10 * (on + lasts))) for label, on, lasts in rows)
    assert len({tier.name for tier in tiers}) == len(tiers)
    for tier in tiers:
        assert all(before[1] <= after[0] for before, after in zip(tier.spans, tier.spans[1:], strict=False))


def test_awkward_labels_are_all_tried():
    assert {SCRIPT, QUOTED, POLISH, FORMULA} <= set(AWKWARD["label"])
    assert pd.notna(AWKWARD[["onset_s", "offset_s"]]).all(axis=None)
