"""Windows worth a person's ear: each strategy against a slow choice, and the same whatever the order of the windows."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubbub.config import parse_settings
from hubbub.labels.events import EventRule
from hubbub.labels.frames import FrameScores, pack_scores
from hubbub.labels.schemas import label_schemas
from hubbub.labels.suggestions import (
    STRATEGIES,
    LabelScheme,
    ScoredWindows,
    Wanted,
    diverse,
    iterate_scored_windows,
    pool,
)
from hubbub.labels.suggestions.diverse import choose_farthest
from hubbub.labels.tables import create_labels
from tests.examples import count_examples

LABELS = ("dog", "rain", "siren")
WINDOW_S, HOP_S, OVERLAPPING = 5.0, 1.0, 9


def make_windows(seed: int, recordings: int = 4, windows: int = 12, labels: int = 3) -> ScoredWindows:
    """Windows of 5 s every second; scores have few values, so that many are equal."""
    random = np.random.default_rng(seed)
    uri = np.repeat([f"{number}.wav" for number in range(recordings)], windows).astype(object)
    start_s = np.tile(np.arange(windows, dtype=np.float64) * HOP_S, recordings)
    scores = (random.integers(0, 11, (len(uri), labels)) / 10).astype(np.float32)
    return ScoredWindows(uri, start_s, start_s + WINDOW_S, scores, scores)


def choose(
    name: str, windows: ScoredWindows, count: int, *, seed: int = 0, parts: int = 1, **wanted: object
) -> pd.DataFrame:
    """What a strategy chooses that is shown the windows in some order, in so many parts."""
    scheme = wanted.pop("scheme", LabelScheme(LABELS[: windows.scores.shape[1]], dict.fromkeys(LABELS, 0.5), "sigmoid"))
    strategy = STRATEGIES[name](Wanted(count, scheme, overlapping=OVERLAPPING, **wanted))
    order = np.random.default_rng(seed).permutation(len(windows))
    for some in np.array_split(order, parts):
        strategy.add(windows[some])
    return strategy.choose()


def choose_slowly(windows: ScoredWindows, value: np.ndarray, count: int, *, in_turns: bool) -> list[tuple[str, float]]:
    """Sort all; keep what overlaps nothing better; where recordings take turns, sort again by how many come before."""
    draw = windows.draw().tolist()
    order = sorted(range(len(windows)), key=lambda place: (-value[place], draw[place]))
    kept: list[int] = []
    for place in order:
        near = [one for one in kept if windows.uri[one] == windows.uri[place]]
        if all(abs(windows.start_s[one] - windows.start_s[place]) >= WINDOW_S for one in near):
            kept.append(place)
    if in_turns:
        turn = [sum(windows.uri[one] == windows.uri[place] for one in kept[:at]) for at, place in enumerate(kept)]
        kept = [
            place for _, place in sorted(zip(turn, kept, strict=True), key=lambda pair: (pair[0], kept.index(pair[1])))
        ]
    return [(windows.uri[place], windows.start_s[place]) for place in kept[:count]]


def spans(chosen: pd.DataFrame) -> list[tuple[str, float]]:
    return list(zip(chosen["uri"], chosen["start_s"], strict=True))


@settings(max_examples=count_examples(25))
@given(st.integers(0, 999), st.integers(1, 12), st.integers(1, 9), st.sampled_from([0, 7, 50_000]))
def test_the_highest_scores_are_those_of_a_slow_choice(seed: int, count: int, parts: int, held: int):
    windows = make_windows(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "_HELD_ROWS", held)
        chosen = choose("top", windows, count, seed=seed, parts=parts)
        of_rain = choose("top", windows, count, seed=seed, parts=parts, only=("rain",))
    assert spans(chosen) == choose_slowly(windows, windows.scores.max(axis=1), count, in_turns=False)
    assert spans(of_rain) == choose_slowly(windows, windows.scores[:, 1], count, in_turns=False)
    assert set(of_rain["suggested"]) <= {"rain"}


@settings(max_examples=count_examples(25))
@given(st.integers(0, 999), st.integers(1, 12), st.integers(1, 9), st.sampled_from([0, 7, 50_000]))
def test_the_least_sure_are_those_of_a_slow_choice(seed: int, count: int, parts: int, held: int):
    windows = make_windows(seed)
    thresholds = {"dog": 0.5, "rain": 0.2, "siren": 0.9}
    odds = {
        score: np.log(np.clip(score, 1e-3, 1 - 1e-3) / (1 - np.clip(score, 1e-3, 1 - 1e-3)))
        for score in windows.scores.ravel()
    }
    limits = [np.log(value / (1 - value)) for value in thresholds.values()]
    distance = np.array(
        [min(abs(odds[score] - limit) for score, limit in zip(row, limits, strict=True)) for row in windows.scores]
    )
    scheme = LabelScheme(LABELS, thresholds, None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "_HELD_ROWS", held)
        chosen = choose("uncertain", windows, count, seed=seed, parts=parts, scheme=scheme)
    assert spans(chosen) == choose_slowly(windows, -distance.astype(np.float32).round(4), count, in_turns=True)


def test_recordings_take_turns():
    """One recording has all the doubtful windows; the others are heard as well."""
    windows = make_windows(1)
    windows.scores[:] = 0.9
    windows.scores[windows.uri == "2.wav"] = 0.5
    chosen = choose("uncertain", windows, 6)
    assert chosen["uri"].tolist()[0] == "2.wav"
    assert sorted(chosen["uri"].tolist()[:4]) == ["0.wav", "1.wav", "2.wav", "3.wav"]
    assert chosen["uri"].tolist()[4] == "2.wav"


def test_a_softmax_is_least_sure_where_its_two_best_are_near():
    scores = np.array([[0.5, 0.45, 0.05], [0.34, 0.33, 0.33], [0.9, 0.05, 0.05], [0.45, 0.05, 0.5]], np.float32)
    windows = make_windows(0, recordings=4, windows=1)
    windows = ScoredWindows(windows.uri, windows.start_s, windows.end_s, scores, scores)
    scheme = LabelScheme(LABELS, {}, "softmax")
    chosen = choose("uncertain", windows, 3, scheme=scheme)
    assert chosen["uri"].tolist()[0] == "1.wav"
    assert set(chosen["uri"][1:]) == {"0.wav", "3.wav"}
    assert set(chosen["reason"]) == {"dog 0.34, rain 0.33", "dog 0.50, rain 0.45", "siren 0.50, dog 0.45"}
    of_rain = choose("uncertain", windows, 2, scheme=scheme, only=("rain",))
    assert spans(of_rain) == [("1.wav", 0.0), ("0.wav", 0.0)]
    assert of_rain["suggested"].tolist() == ["dog", "dog"]


@settings(max_examples=count_examples(25))
@given(st.integers(0, 999), st.integers(1, 40), st.integers(1, 9))
def test_a_balanced_choice_is_even_and_tells_how_many_there_are(seed: int, count: int, parts: int):
    windows = make_windows(seed, recordings=60, windows=1)
    chosen = choose("balanced", windows, count, seed=seed, parts=parts)
    again = choose("balanced", windows, count, seed=seed + 1, parts=1)
    pd.testing.assert_frame_equal(chosen, again)
    assert len(chosen) == count  # each window once
    assert len(set(spans(chosen))) == count
    cells = chosen.groupby(["suggested", "range"]).size()
    for (label, span), own in chosen.groupby(["suggested", "range"]):
        low, high = (float(border) for border in span.split(" to "))
        of_label = windows.scores[:, LABELS.index(label)].astype(np.float64) + 1e-6
        inside = (of_label >= low) & ((of_label < high) | (high == 1.0))
        assert own["in_range"].tolist() == [inside.sum()] * len(own)
        assert own["score"].between(low - 1e-6, high + 1e-6).all()
        left = set(zip(windows.uri[inside], windows.start_s[inside], strict=True)) - set(spans(chosen))
        assert len(own) >= cells.max() - 1 or not left  # a range gives fewer only where it has no more


def test_a_balanced_choice_is_drawn_by_lot():
    """Of 400 windows in one range, those chosen are spread over the recordings as chance has it, and over time."""
    windows = make_windows(3, recordings=4, windows=500, labels=1)
    windows.scores[:] = 0.5
    chosen = choose("balanced", windows, 80)
    assert len(chosen) == 80
    assert chosen["uri"].value_counts().between(8, 34).all()
    assert 200 < chosen["start_s"].mean() < 300
    assert set(chosen["in_range"]) == {2000}


def test_few_windows_are_held_for_many_labels(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("hubbub.labels.suggestions.balanced._HELD", 60)
    windows = make_windows(5, recordings=300, windows=1)
    assert len(choose("balanced", windows, 9, parts=50)) == 9
    few = choose("balanced", windows, 9, parts=50, seed=4)
    pd.testing.assert_frame_equal(few, choose("balanced", windows, 9))


def test_one_part_of_many_windows_and_labels_takes_bounded_memory():
    windows = make_windows(5, recordings=1, windows=250, labels=1000)
    scheme = LabelScheme([str(number) for number in range(1000)], {}, "sigmoid")
    tracemalloc.start()
    assert len(choose("balanced", windows, 9, scheme=scheme)) == 9
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 100e6


def choose_farthest_slowly(vectors: np.ndarray, count: int) -> list[int]:
    """Greedy k-centre, distance by distance; the first is the nearest to the mean."""
    chosen = [int(np.linalg.norm(vectors - vectors.mean(axis=0), axis=1).argmin())]
    while len(chosen) < count:
        far = [min(np.linalg.norm(vector - vectors[one]) for one in chosen) for vector in vectors]
        if max(far) == 0:
            break
        chosen.append(int(np.argmax(far)))
    return chosen


@given(st.integers(0, 999), st.integers(1, 20))
def test_the_farthest_are_those_of_a_slow_choice(seed: int, count: int):
    windows = make_windows(seed, recordings=30, windows=1)
    vectors = np.random.default_rng(seed).normal(size=(30, 5)).astype(np.float32)
    windows = ScoredWindows(windows.uri, windows.start_s, windows.end_s, windows.scores, vectors)
    places, distances = choose_farthest(windows, None, count)
    assert places.tolist() == choose_farthest_slowly(vectors, count)
    assert np.isinf(distances[0])
    assert (np.diff(distances[1:]) <= 1e-6).all()


@settings(max_examples=count_examples(25))
@given(st.integers(0, 999), st.integers(1, 9), st.booleans())
def test_a_diverse_choice_does_not_depend_on_the_order(seed: int, parts: int, is_cut: bool):
    windows = make_windows(seed, recordings=6, windows=10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diverse, "MOST_COMPARED", 15 if is_cut else 1000)
        chosen = choose("diverse", windows, 7, seed=seed, parts=parts)
        pd.testing.assert_frame_equal(chosen, choose("diverse", windows, 7))
    for _, own in chosen.groupby("uri"):
        starts = own["start_s"].sort_values().to_numpy()
        assert (np.diff(starts) >= WINDOW_S).all()


def test_of_wide_windows_fewer_are_compared(monkeypatch: pytest.MonkeyPatch):
    windows = make_windows(3, recordings=6, windows=10)
    a_window = windows.scores[:1].nbytes + windows.vectors[:1].nbytes
    monkeypatch.setattr(diverse, "MOST_BYTES", 5 * a_window)
    chosen = choose("diverse", windows, 60, parts=7)
    assert 1 < len(chosen) <= 5
    pd.testing.assert_frame_equal(chosen, choose("diverse", windows, 60))


def test_what_was_heard_already_is_what_a_diverse_choice_stays_away_from():
    vectors = np.array([[2, 0], [1, 0.1], [0, 1], [0.1, 1], [-9, 0], [0, 0], [np.nan, 1]], np.float16)
    windows = make_windows(0, recordings=7, windows=1, labels=1)
    windows = ScoredWindows(windows.uri, windows.start_s, windows.end_s, np.empty((7, 0), np.float32), vectors)
    strategy = STRATEGIES["diverse"](Wanted(2, by_direction=True))
    strategy.add(windows[np.arange(1, 7)])
    strategy.add_reviewed(windows[np.arange(1)])
    chosen = strategy.choose()
    assert spans(chosen) == [("4.wav", 0.0), ("2.wav", 0.0)]
    assert chosen["reason"].tolist() == [
        "2.00 from the nearest one chosen or heard before",
        "1.41 from the nearest one chosen or heard before",
    ]
    assert chosen["score"].isna().all()
    assert chosen["suggested"].isna().all()


@pytest.mark.parametrize("name", STRATEGIES)
def test_nothing_is_chosen_of_nothing(name: str):
    windows = make_windows(0)
    assert len(choose(name, windows[np.empty(0, np.int64)], 5)) == 0


@pytest.mark.parametrize("name", STRATEGIES)
def test_what_is_chosen_of_little_is_all_of_it(name: str):
    windows = make_windows(0, recordings=3, windows=1)
    assert len(choose(name, windows, 50)) == 3


def make_tables(folder: Path, frames: FrameScores | None = None):
    run = {
        "model_hash": "m" * 16,
        "settings_hash": "0" * 16,
        "settings": parse_settings({"windows": {"duration_s": 2.0}}, where="test").model_dump(mode="json"),
        "labels": ["dog", "rain"],
        "hop_s": 1.0,
        "rules": {label: EventRule().to_dict() for label in ("dog", "rain")},
        "root": "/sounds",
        "command": "hubbub label",
    }
    if frames is not None:
        run["frames"] = {"per_window": frames.per_window, "frame_s": frames.frame_s}
    return create_labels(folder / "labels", run)


def write_unit(tables, unit: int, files: list[dict], windows: list[dict]):
    schemas = label_schemas(pa.schema([]), 2, tables.frames)
    ids = {file["uri"]: f"id {file['uri']}" for file in files}
    files = [{"status": "ok", "attempts": 1, "version": "1", "clip_id": ids[file["uri"]], **file} for file in files]
    windows = [{"clip_id": ids[window["uri"]], **window} for window in windows]
    tables.write_unit(
        unit,
        files=pa.Table.from_pylist(files, schema=schemas.files),
        windows=pa.Table.from_pylist(windows, schema=schemas.windows),
        events=pa.Table.from_pylist([], schema=schemas.events),
    )


def test_windows_of_label_tables_are_those_of_the_files_that_count(tmp_path: Path):
    tables = make_tables(tmp_path)
    scores = [np.float16(0.25), np.float16(0.75)]
    times = [(10.0, 12.0), (11.0, 13.0), (12.0, 12.5)]  # of a clip from 10 to 12.5 s: the last is a tail
    windows = [{"uri": "a.wav", "start_s": start, "end_s": end, "scores": scores} for start, end in times]
    short = {"uri": "b.wav", "start_s": 0.0, "end_s": 0.3, "scores": scores[::-1]}
    write_unit(tables, 0, [{"uri": "a.wav", "clip_start_s": 10.0}, {"uri": "b.wav"}], [*windows, short])
    write_unit(tables, 1, [{"uri": "b.wav", "attempts": 2, "status": "failed", "error": "gone"}], [])
    (found,) = iterate_scored_windows(tables)
    assert found.uri.tolist() == ["a.wav", "a.wav"]
    assert found.start_s.tolist() == [10.0, 11.0]
    assert found.scores.tolist() == [[0.25, 0.75]] * 2
    write_unit(tables, 2, [{"uri": "b.wav", "attempts": 3}], [short])
    assert [windows.uri.tolist() for windows in iterate_scored_windows(tables)] == [["a.wav", "a.wav"], ["b.wav"]]


def test_windows_of_frames_have_the_highest_score_of_theirs(tmp_path: Path):
    """Frames of half a second, six a row; windows of 2 s are four frames. The recording ends after ten and a half."""
    frames = FrameScores(per_window=6, frame_s=0.5)
    tables = make_tables(tmp_path, frames)
    scores = np.arange(24).reshape(12, 2) / 30
    rows = [
        {"uri": "a.wav", "start_s": start, "end_s": start + 3.0, "scores": pack_scores(part).ravel()}
        for start, part in ((3.0, scores[6:]), (0.0, scores[:6]))
    ]
    write_unit(tables, 0, [{"uri": "a.wav", "duration_s": 5.2}], rows)
    (found,) = iterate_scored_windows(tables)
    assert found.start_s.tolist() == [0.0, 2.0, 4.0]
    assert found.end_s.tolist() == [2.0, 4.0, 5.2]
    assert found.scores == pytest.approx(np.array([scores[3], scores[7], scores[10]]), abs=0.002)
    tables = make_tables(tmp_path / "tail", frames)
    write_unit(tables, 0, [{"uri": "a.wav", "duration_s": 4.2}, {"uri": "none.wav", "duration_s": 0.0}], rows)
    (found,) = iterate_scored_windows(tables)
    assert found.end_s.tolist() == [2.0, 4.0]


def test_a_draw_is_of_the_window_alone():
    windows = make_windows(0)
    draw = windows.draw()
    assert len(set(draw.tolist())) == len(windows)
    order = np.random.default_rng(0).permutation(len(windows))
    assert windows[order].draw().tolist() == draw[order].tolist()
