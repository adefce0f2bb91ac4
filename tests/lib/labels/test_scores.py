"""Scores of events against the field's own tools, on random tables; references of other programs; candidates."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st

from hubbub.errors import LabelsError
from hubbub.labels.candidates import find_candidates
from hubbub.labels.curves import ScoredRecording, compute_mean_pauc, compute_psds
from hubbub.labels.event_scores import score_events
from hubbub.labels.events import EventRule, events_from_windows
from hubbub.labels.references import Reference, cut_to_clips, match_reference, read_reference

LABELS = ["dog", "rain", "siren"]
DURATION_S = 30.0
FRAME_S = 0.1


def draw_events(rng: np.random.Generator, uris: list[str], most: int = 6) -> pd.DataFrame:
    """Random events; those of a label do not overlap."""
    rows = []
    for uri in uris:
        for label in LABELS:
            edges = np.sort(rng.choice(np.arange(1, 290), 2 * int(rng.integers(0, most)), replace=False)) / 10
            rows += [(uri, label, float(a), float(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return pd.DataFrame(rows, columns=["uri", "label", "onset_s", "offset_s"])


def move(truth: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Found events: some missed, some moved, some of another label, some that are not there."""
    found = truth[rng.random(len(truth)) < 0.8].copy()
    found["onset_s"] = (found["onset_s"] + rng.normal(0, 0.4, len(found)).round(2)).clip(0, DURATION_S - 1)
    found["offset_s"] = np.maximum(found["offset_s"] + rng.normal(0, 0.4, len(found)).round(2), found["onset_s"] + 0.1)
    found["label"] = np.where(rng.random(len(found)) < 0.15, rng.choice(LABELS, len(found)), found["label"])
    return pd.concat([found, draw_events(rng, sorted(truth["uri"].unique()), 2)], ignore_index=True)


@pytest.mark.parametrize("seed", range(6))
def test_event_and_segment_scores_are_those_of_sed_eval(seed: int):
    sed_eval = pytest.importorskip("sed_eval")
    rng = np.random.default_rng(seed)
    uris = ["a.wav", "b.wav", "c.wav"]
    truth = draw_events(rng, uris)
    found = move(truth, rng)
    ours = score_events(truth, found, uris, tolerances_s=(0.5,), segment_s=1.0)
    segment = sed_eval.sound_event.SegmentBasedMetrics(LABELS, time_resolution=1.0)
    event = sed_eval.sound_event.EventBasedMetrics(
        LABELS, t_collar=0.5, percentage_of_length=0.5, event_matching_type="optimal"
    )
    for uri in uris:
        true, said = (as_sed_eval(table, uri) for table in (truth, found))
        segment.evaluate(true, said, evaluated_length_seconds=DURATION_S + 2)
        event.evaluate(true, said)
    theirs = segment.results_overall_metrics()
    assert ours.metrics[0].segment.f1 == pytest.approx(theirs["f_measure"]["f_measure"])
    assert ours.segment_error_rate == pytest.approx(theirs["error_rate"]["error_rate"])
    theirs = event.results_overall_metrics()
    assert ours.metrics[0].event.precision == pytest.approx(theirs["f_measure"]["precision"])
    assert ours.metrics[0].event.recall == pytest.approx(theirs["f_measure"]["recall"])
    for label in LABELS:
        own = event.results_class_wise_metrics()[label]["f_measure"]["f_measure"]
        assert ours.metrics[0].event_by_label[label].f1 == pytest.approx(0.0 if np.isnan(own) else own)


def as_sed_eval(table: pd.DataFrame, uri: str) -> list[dict[str, object]]:
    own = table[table["uri"] == uri]
    return [
        {"filename": uri, "event_label": label, "event_onset": onset_s, "event_offset": offset_s}
        for label, onset_s, offset_s in own[["label", "onset_s", "offset_s"]].itertuples(index=False)
    ]


@pytest.mark.parametrize("seed", range(4))
def test_curves_are_those_of_sed_scores_eval(seed: int, monkeypatch: pytest.MonkeyPatch):
    sed_scores_eval = pytest.importorskip("sed_scores_eval")
    scores_of = pytest.importorskip("sed_scores_eval.base_modules.scores")
    for kind in (pd.DataFrame, pd.Series):  # it writes into what pandas 3 gives to read only
        given_values = kind.to_numpy
        monkeypatch.setattr(kind, "to_numpy", lambda self, *a, _of=given_values, **k: np.array(_of(self, *a, **k)))
    rng = np.random.default_rng(seed)
    uris = ["a", "b", "c", "d"]
    truth = draw_events(rng, uris, 4)
    edge_s = np.arange(round(DURATION_S / FRAME_S) + 1) * FRAME_S
    recordings = {uri: ScoredRecording(edge_s, draw_scores(rng, truth, uri, edge_s)) for uri in uris}
    theirs_scores = {
        uri: scores_of.create_score_dataframe(one.scores, edge_s.round(6), LABELS) for uri, one in recordings.items()
    }
    reference = {
        uri: [(onset_s, offset_s, label) for _, label, onset_s, offset_s in own.itertuples(index=False)]
        for uri, own in ((uri, truth[truth["uri"] == uri]) for uri in uris)
    }
    durations = dict.fromkeys(uris, DURATION_S)
    psds, *_ = sed_scores_eval.intersection_based.psds(
        theirs_scores,
        reference,
        durations,
        dtc_threshold=0.7,
        gtc_threshold=0.7,
        cttc_threshold=None,
        alpha_ct=0.0,
        alpha_st=1.0,
        max_efpr=100.0,
        num_jobs=1,
    )
    assert compute_psds(recordings, truth, LABELS) == pytest.approx(psds, abs=1e-6)
    pauc, _ = sed_scores_eval.segment_based.auroc(
        theirs_scores, reference, durations, segment_length=1.0, max_fpr=0.1, num_jobs=1
    )
    assert compute_mean_pauc(recordings, truth, LABELS) == pytest.approx(pauc["mean"], abs=1e-6)


def draw_scores(rng: np.random.Generator, truth: pd.DataFrame, uri: str, edge_s: np.ndarray) -> np.ndarray:
    """Scores that follow the truth, with noise, in steps of a byte."""
    scores = rng.beta(1, 4, (len(edge_s) - 1, len(LABELS)))
    for label, onset_s, offset_s in truth[truth["uri"] == uri][["label", "onset_s", "offset_s"]].itertuples(
        index=False
    ):
        inside = (edge_s[:-1] >= onset_s - 0.05) & (edge_s[:-1] < offset_s - 0.05)
        scores[inside, LABELS.index(label)] = rng.beta(5, 2, inside.sum())
    return np.round(scores * 255) / 255


def test_onsets_that_are_late_are_late():
    truth = pd.DataFrame({"uri": ["a"] * 3, "label": ["dog"] * 3, "onset_s": [1.0, 5.0, 9.0], "offset_s": [2.0, 6, 10]})
    found = truth.assign(onset_s=truth["onset_s"] + [0.1, 0.3, -0.1])
    onsets = score_events(truth, found, ["a"]).onsets
    assert (onsets.events, onsets.median_s, onsets.median_absolute_s) == (3, pytest.approx(0.1), pytest.approx(0.1))


def test_nothing_found_and_nothing_there():
    empty = pd.DataFrame({"uri": [], "label": [], "onset_s": [], "offset_s": []})
    scores = score_events(empty, empty, ["a"])
    assert scores.metrics[0].event.f1 == 0
    assert scores.onsets.events == 0


REFERENCES = {
    "plain.csv": "uri,label,onset_s,offset_s\na.wav,dog,1.0,2.5\n",
    "desed.tsv": "filename\tonset\toffset\tevent_label\na.wav\t1.0\t2.5\tdog\n",
    "a.Table.1.selections.txt": "Selection\tView\tBegin Time (s)\tEnd Time (s)\tBegin File\tLabel\n"
    "1\tSpectrogram 1\t1.0\t2.5\ta.wav\tdog\n",
    "a.labels.txt": "1.000000\t2.500000\tdog\n\\\t100.0\t200.0\n",
    "a.jams": json.dumps(
        {
            "file_metadata": {"title": "a"},
            "annotations": [
                {"namespace": "segment_open", "data": [{"time": 1.0, "duration": 1.5, "value": "dog"}]},
                {
                    "namespace": "scaper",
                    "data": [{"time": 0, "duration": 9, "value": {"label": "park", "role": "background"}}],
                },
            ],
        }
    ),
}
FILES = pd.DataFrame({"uri": ["folder/a.wav", "folder/b.wav"], "duration_s": [10.0, 10.0]})


@pytest.mark.parametrize("name", REFERENCES)
def test_references_of_other_programs_are_read(name: str, tmp_path: Path):
    (tmp_path / name).write_text(REFERENCES[name], encoding="utf-8")
    for given_path in (tmp_path / name, tmp_path):
        events = match_reference(read_reference(given_path), FILES, LABELS).events
        assert events.to_dict("records") == [{"uri": "folder/a.wav", "label": "dog", "onset_s": 1.0, "offset_s": 2.5}]


def test_a_reference_may_have_another_encoding_and_decimal_commas(tmp_path: Path):
    path = tmp_path / "a.Table.2.selections.txt"
    path.write_text("Begin Time (s)\tEnd Time (s)\tLabel\n1,0\t2,5\tdog\n", encoding="utf-16")
    events = match_reference(read_reference(path), FILES, LABELS).events
    assert events.to_dict("records") == [{"uri": "folder/a.wav", "label": "dog", "onset_s": 1.0, "offset_s": 2.5}]


@pytest.mark.parametrize(
    "name", ["2021.05.03_0600.Table.1.selections.txt", "2021.05.03_0600.BirdNET.selection.table.txt"]
)
def test_a_table_is_named_after_its_recording_whose_name_has_dots(name: str, tmp_path: Path):
    (tmp_path / name).write_text("Begin Time (s)\tEnd Time (s)\tLabel\n1\t2\tdog\n", encoding="utf-8")
    files = pd.DataFrame({"uri": ["2021.05.03_0600.wav", "2021.wav"], "duration_s": [10.0, 10.0]})
    events = match_reference(read_reference(tmp_path), files, LABELS).events
    assert events["uri"].to_list() == ["2021.05.03_0600.wav"]


def test_a_file_without_events_says_that_its_recording_was_annotated(tmp_path: Path):
    (tmp_path / "a.txt").write_text("1\t2\tdog\n", encoding="utf-8")
    (tmp_path / "b.txt").write_text("", encoding="utf-8")
    (tmp_path / "else.Table.1.selections.txt").write_text("Begin Time (s)\tEnd Time (s)\tLabel\n", encoding="utf-8")
    matched = match_reference(read_reference(tmp_path), FILES, LABELS)
    assert matched.recordings == {"folder/a.wav", "folder/b.wav"}
    assert len(matched.events) == 1


@given(seed=st.integers(0, 10_000))
def test_clips_have_what_of_the_events_lies_in_them(seed: int):
    rng = np.random.default_rng(seed)
    events = draw_events(rng, ["a", "b"], 4)
    clips = pd.DataFrame(
        [(f"{uri}{n}", uri, *rng.integers(0, 25, 1), *rng.integers(1, 12, 1)) for uri in "abc" for n in range(3)],
        columns=["clip_id", "uri", "start_s", "duration_s"],
    )
    expected = set()
    for clip in clips.itertuples():
        for event in events.itertuples():
            onset_s = max(event.onset_s, clip.start_s) - clip.start_s
            offset_s = min(event.offset_s, clip.start_s + clip.duration_s) - clip.start_s
            if event.uri == clip.uri and onset_s < offset_s:
                expected.add((clip.clip_id, event.label, event.Index, round(onset_s, 6), round(offset_s, 6)))
    found = cut_to_clips(events, clips).round(6)
    assert (
        set(found[["clip_id", "label", "event", "onset_s", "offset_s"]].itertuples(index=False, name=None)) == expected
    )
    assert len(found) == len(expected)


def test_what_is_odd_about_a_reference_is_said():
    rows = [
        *(("a.wav", "dog", 1.0, 3.0), ("a.wav", "dog", 2.0, 4.0), ("a.wav", "cat", 1.0, 2.0)),
        *(("a.wav", "rain", 9.0, 12.0), ("a.wav", "rain", 11.0, 12.0), ("else.wav", "dog", 1.0, 2.0)),
    ]
    events = pd.DataFrame(rows, columns=["uri", "label", "onset_s", "offset_s"])
    matched = match_reference(Reference(events), FILES, LABELS)
    said = " | ".join(matched.notes)
    assert "1 recording of the reference not labelled: else.wav" in said
    assert "1 event of labels that the model lacks, left out: cat 1" in said
    assert "2 events beyond the end of the recording, cut off there (1 wholly outside, left out)" in said
    assert matched.events["offset_s"].max() == 10.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("uri,label,onset_s\na,dog,1\n", "lacks offset_s; expected it beside: uri, label, onset_s"),
        ("uri,label,onset_s,offset_s\na,dog,soon,2\n", "onset_s holds 'soon'; expected seconds"),
        (
            "uri,label,onset_s,offset_s\na,dog,3,2\n",
            "an event must end after it starts; 1 event does not, such as dog from 3 to 2",
        ),
    ],
)
def test_references_that_cannot_be_read_are_refused(text: str, message: str, tmp_path: Path):
    (tmp_path / "truth.csv").write_text(text, encoding="utf-8")
    with pytest.raises(LabelsError, match=message):
        read_reference(tmp_path / "truth.csv")


def test_a_reference_of_other_recordings_is_refused():
    events = pd.DataFrame({"uri": ["x.wav"], "label": ["dog"], "onset_s": [0.0], "offset_s": [1.0]})
    with pytest.raises(
        LabelsError, match=r"none of the reference's recordings was labelled; .*\(reference: 1 recording \(x.wav\)"
    ):
        match_reference(Reference(events), FILES, LABELS)


def join_slowly(scores: np.ndarray, edges: list[int], least: float) -> list[int]:
    """Join the two neighbours that differ least, again and again."""
    edges = list(edges)
    while len(edges) > 2:
        means = [scores[a:b].mean() for a, b in zip(edges[:-1], edges[1:], strict=True)]
        changes = np.abs(np.diff(means))
        if changes.min() >= least:
            break
        del edges[int(np.argmin(changes)) + 1]
    return edges


@given(
    scores=st.lists(st.floats(0, 1), min_size=1, max_size=80),
    step=st.integers(1, 9),
    least=st.floats(0.05, 0.9),
)
@trials(deadline=None)
def test_candidates_divide_all_frames_and_differ_from_their_neighbours(scores: list[float], step: int, least: float):
    values = np.array(scores)
    edges, means = find_candidates(values, step, least)
    assert edges[0] == 0
    assert edges[-1] == len(values)
    assert (np.diff(edges) > 0).all()
    np.testing.assert_allclose(
        means, [values[a:b].mean() for a, b in zip(edges[:-1], edges[1:], strict=True)], atol=1e-9
    )
    assert (np.abs(np.diff(means)) >= least).all()


@given(seed=st.integers(0, 200))
@trials(deadline=None)
def test_candidates_are_joined_as_the_slow_way_does(seed: int):
    values = np.random.default_rng(seed).random(60)
    edges, _ = find_candidates(values, 4, 1e-6)
    joined, _ = find_candidates(values, 4, 0.25)
    # Borders of small changes are not looked at: the slow way begins with what the search found.
    from hubbub.labels import candidates

    total = np.concatenate([[0.0], np.cumsum(values)])
    assert joined.tolist() == join_slowly(values, candidates._find_borders(total, 4, 0.125).tolist(), 0.25)
    assert len(edges) >= len(joined)


def test_a_threshold_moves_no_border():
    time_s = np.arange(100) * FRAME_S
    scores = np.clip(0.9 - 0.3 * np.abs(time_s - 5), 0.02, None)[:, None]  # a slope: a threshold would walk along it
    edges, _ = find_candidates(scores[:, 0].astype(float), 6, 0.2)
    for threshold in np.linspace(0.3, 0.85, 12):
        rule = EventRule(threshold, 0.2, step_s=0.6, least_change=0.2)
        for event in events_from_windows(time_s, time_s + FRAME_S, scores, ["dog"], rule, 10.0):
            assert round(event.onset_s / FRAME_S) in edges
            assert round(event.offset_s / FRAME_S) in edges
