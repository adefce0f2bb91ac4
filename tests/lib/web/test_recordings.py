"""What one recording is shown by: tiles, pieces of sound, score curves; each against a slow reckoning."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hubbub.errors import DecodeError, UsageError
from hubbub.labels.curves import ScoredRecording
from hubbub.web import tiles
from hubbub.web.browsed import BrowsedTables
from hubbub.web.curves import draw_curves
from hubbub.web.sound import encode_piece, parse_range
from hubbub.web.tiles import COLUMNS, FLOOR_DB, LINES, ByteCache, compute_levels, draw_tile, line_edges_hz
from tests.examples import count_examples
from tests.lib.web.tables_to_browse import CARRIED, LABELS, RATE, make_file, make_tables, write_recording, write_unit


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "noise.wav"
    write_recording(path)
    return path


def levels(path: Path, level: int, number: int, scale: str = "linear") -> np.ndarray:
    return compute_levels(path, RATE, level=level, number=number, edges_hz=line_edges_hz(scale, RATE))


@pytest.mark.parametrize("scale", ["linear", "mel"])
def test_a_tone_lies_at_its_frequency_at_its_time_and_as_loud_as_it_is(scale: str, recording: Path) -> None:
    found = levels(recording, 2, 0, scale)  # four seconds
    edges = line_edges_hz(scale, RATE)
    loudest = found.max(axis=0).argmax()
    assert edges[loudest - 1] <= 1000 <= edges[loudest + 2]
    assert found.max() == pytest.approx(20 * np.log10(0.5), abs=1.5)  # half of full scale
    loud = np.flatnonzero(found[:, loudest] > -20) * 4 / COLUMNS
    assert loud[0] == pytest.approx(1.0, abs=0.06)
    assert loud[-1] == pytest.approx(2.0, abs=0.06)


def test_a_column_is_the_loudest_of_its_frames(recording: Path) -> None:
    """Reckoned for some columns by hand, frame by frame."""
    samples, _ = soundfile.read(recording)
    level, number = 4, 1
    span_s = 2.0**level
    column_s = span_s / COLUMNS
    n_fft = tiles.choose_fft(RATE, column_s)
    count = int(np.clip(np.ceil(column_s * RATE / (n_fft / 2)), 1, tiles.FRAMES))
    found = levels(recording, level, number)
    edges = line_edges_hz("linear", RATE)
    window = np.hanning(n_fft + 1)[:-1]
    padded = np.concatenate([np.zeros(n_fft), samples, np.zeros(n_fft)])
    for column in (0, 3, 200, 400):
        middle = (number * span_s + (column + 0.5) * column_s) * RATE
        expected = np.full(LINES, -np.inf)
        for place in range(count):
            centre = round(middle + (place - (count - 1) / 2) * column_s * RATE / count)
            frame = padded[centre + n_fft // 2 : centre + n_fft // 2 + n_fft]
            power = np.abs(np.fft.rfft(frame * window)) * 2 / window.sum()
            for line in range(LINES):
                first = int(np.clip(np.rint(edges[line] * n_fft / RATE), 0, n_fft // 2))
                stop = max(int(np.clip(np.rint(edges[line + 1] * n_fft / RATE), 1, n_fft // 2 + 1)), first + 1)
                expected[line] = max(expected[line], power[first:stop].max())
        np.testing.assert_allclose(
            found[column], np.maximum(20 * np.log10(np.maximum(expected, 1e-7)), FLOOR_DB), atol=0.05
        )


def test_neighbouring_tiles_join(recording: Path) -> None:
    """A steady tone is as loud on both sides of the seam: frames reach over it."""
    first, second = levels(recording, -1, 2), levels(recording, -1, 3)  # 1 to 1.5 s, and to 2 s
    line = first.max(axis=0).argmax()
    across = np.concatenate([first[-20:, line], second[:20, line]])
    assert np.ptp(across) < 0.5


def test_what_lies_beyond_the_recording_is_silence(recording: Path) -> None:
    assert (levels(recording, 5, 1) == FLOOR_DB).all()
    end = levels(recording, 4, 1)  # 16 to 32 s of 30
    assert (end[round(14.2 / 16 * COLUMNS) :] == FLOOR_DB).all()
    assert (end[: round(13.8 / 16 * COLUMNS)] > FLOOR_DB).any(axis=1).all()


def test_sampled_columns_show_what_whole_ones_do_of_a_steady_sound(recording: Path, monkeypatch) -> None:
    whole = levels(recording, 4, 0)
    monkeypatch.setattr(tiles, "MOST_SAMPLES", 1000)
    sampled = levels(recording, 4, 0)
    assert abs(np.median(whole) - np.median(sampled)) < 3
    assert sampled.max() == pytest.approx(whole.max(), abs=1)
    monkeypatch.setattr(tiles, "can_seek", lambda path: False)
    np.testing.assert_array_equal(levels(recording, 4, 0), sampled)  # read in passing: the same frames


def test_a_tile_is_a_grey_picture_with_low_frequencies_below(recording: Path) -> None:
    image = Image.open(io.BytesIO(draw_tile(recording, RATE, level=1, number=0, scale="mel")))
    assert (image.mode, image.size) == ("L", (COLUMNS, LINES))
    grey = np.asarray(image)
    edges = line_edges_hz("mel", RATE)
    line = LINES - 1 - int(np.median(np.flatnonzero(grey[:, 400] == grey[:, 400].max())))
    assert edges[line - 2] <= 1000 <= edges[line + 3]


@pytest.mark.parametrize(("level", "number", "scale"), [(40, 0, "mel"), (2, -1, "mel"), (2, 0, "bark")])
def test_a_tile_that_is_none_is_refused(level: int, number: int, scale: str, recording: Path) -> None:
    with pytest.raises(UsageError, match="expected"):
        draw_tile(recording, RATE, level=level, number=number, scale=scale)


def test_a_day_at_a_bat_recorders_rate_is_drawn_from_few_samples(tmp_path: Path) -> None:
    """24 hours at 192 kHz as a sparse file of 33 GB of silence, with a click at noon."""
    path, rate, seconds = tmp_path / "day.wav", 192_000, 86_400
    write_sparse(path, rate, seconds)
    found = compute_levels(path, rate, level=17, number=0, edges_hz=line_edges_hz("linear", rate))
    assert found.shape == (COLUMNS, LINES)
    assert len(encode_piece(path, rate, start_s=43_200.0, length_s=1.0, slow=8)) > 0


def write_sparse(path: Path, rate: int, seconds: int) -> None:
    """Write an RF64 file of 16-bit silence that takes no room on the disk."""
    import struct

    size = rate * seconds * 2
    head = struct.pack("<4sI4s", b"RF64", 0xFFFFFFFF, b"WAVE")
    head += struct.pack("<4sIQQQI", b"ds64", 28, size + 80 - 8, size, rate * seconds, 0)
    head += struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16)
    head += struct.pack("<4sI", b"data", 0xFFFFFFFF)
    with open(path, "wb") as file:
        file.write(head)
        file.truncate(len(head) + size)


def test_pieces_join_to_the_recording(recording: Path) -> None:
    samples, _ = soundfile.read(recording, dtype="int16")
    pieces = []
    for start_s in np.arange(0, 30, 7.5):
        piece, rate = soundfile.read(
            io.BytesIO(encode_piece(recording, RATE, start_s=float(start_s), length_s=7.5)), dtype="int16"
        )
        assert rate == RATE
        pieces.append(piece)
    np.testing.assert_array_equal(np.concatenate(pieces), samples)


def test_slowed_pieces_hold_the_same_samples_at_a_lower_rate(recording: Path) -> None:
    data = encode_piece(recording, RATE, start_s=1.0, length_s=0.5, slow=4)
    piece, rate = soundfile.read(io.BytesIO(data), dtype="int16")
    samples, _ = soundfile.read(recording, dtype="int16", start=RATE, frames=RATE // 2)
    assert rate == RATE // 4
    np.testing.assert_array_equal(piece, samples)


@pytest.mark.parametrize(
    "changed",
    [
        {"start_s": -1.0},
        {"length_s": 31.0},
        {"length_s": 0.0},
        {"slow": 3},
        {"length_s": 20.0, "slow": 2},
        {"start_s": float("nan")},
    ],
)
def test_a_piece_that_is_none_is_refused(changed: dict, recording: Path) -> None:
    with pytest.raises(UsageError, match="expected"):
        encode_piece(recording, RATE, **({"start_s": 0.0, "length_s": 1.0} | changed))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-9", (0, 10)),
        ("bytes=90-", (90, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=95-1000", (95, 100)),
        ("bytes=0-1,5-6", None),
        ("lines=0-1", None),
        ("bytes=x-1", None),
    ],
)
def test_ranges(header: str | None, expected: tuple[int, int] | None) -> None:
    assert parse_range(header, 100) == expected


def test_a_range_beyond_the_end_is_refused() -> None:
    with pytest.raises(UsageError, match="expected bytes that are there"):
        parse_range("bytes=100-", 100)


@settings(max_examples=count_examples(80))
@given(data=st.data(), seed=st.integers(0, 99), count=st.integers(1, 40), columns=st.integers(1, 60))
def test_curves_hold_the_highest_score_of_each_column(data, seed: int, count: int, columns: int) -> None:
    rng = np.random.default_rng(seed)
    edge_s = np.concatenate([[0.0], np.cumsum(rng.uniform(0.1, 2.0, count))])
    scores = rng.integers(0, 256, (count, 2)).astype(np.uint8)
    start_s = data.draw(st.floats(0, float(edge_s[-1])))
    end_s = start_s + data.draw(st.floats(0.05, float(edge_s[-1]) + 1))
    drawn = draw_curves([ScoredRecording(edge_s, scores)], [1], start_s=start_s, end_s=end_s, columns=columns)[0]
    width_s = (end_s - start_s) / columns
    for column in range(columns):
        left, right = start_s + column * width_s, start_s + (column + 1) * width_s
        # Frames that touch a column's edge by a rounding error may count or not.
        sure = [
            s for s, a, b in zip(scores[:, 1], edge_s, edge_s[1:], strict=False) if a < right - 1e-9 and b > left + 1e-9
        ]
        maybe = [
            s for s, a, b in zip(scores[:, 1], edge_s, edge_s[1:], strict=False) if a < right + 1e-9 and b > left - 1e-9
        ]
        if not maybe:
            assert np.isnan(drawn[column])
        elif sure:
            assert max(sure) / 255 - 1e-6 <= drawn[column] <= max(maybe) / 255 + 1e-6


def test_curves_of_segments_leave_gaps_where_nothing_was_scored() -> None:
    parts = [
        ScoredRecording(np.array([0.0, 1.0]), np.array([[0.25]], np.float16)),
        ScoredRecording(np.array([3.0, 4.0]), np.array([[0.75]], np.float16)),
    ]
    drawn = draw_curves(parts, [0], start_s=0.0, end_s=4.0, columns=4)[0]
    np.testing.assert_array_equal(drawn, [0.25, np.nan, np.nan, 0.75])


def test_stored_scores_are_read_with_their_times(tmp_path: Path) -> None:
    tables = make_tables(tmp_path / "labels", files=2, units=1)
    segment = make_file(7, clip_start_s=100.0, clip_end_s=130.0)
    write_unit(tables, 3, [segment])
    browsed = BrowsedTables(tables)
    browsed.refresh()
    (file,) = browsed.archive.ask("SELECT file FROM clips WHERE clip_id = ?", [segment["clip_id"]])[0]
    (scored,) = browsed.scores.read(tables, browsed.recording(file))
    windows = tables.windows(segment["uri"])
    assert scored.edge_s[[0, -1]].tolist() == [100.0, 130.0]
    assert scored.edge_s[1] == 103.0  # half-way between the centres of windows of 5 s, one second apart
    np.testing.assert_array_equal(scored.scores, np.stack(windows["scores"].to_list()))


def test_scores_of_frames_are_curves_and_windows(tmp_path: Path) -> None:
    """A segment of 7.2 s from 100 s on, in frames of half a second, the loudest of which is the fourth."""
    per_window, frame_s, count = 6, 0.5, 15
    tables = make_tables(tmp_path / "labels", files=0, units=0, frames={"per_window": per_window, "frame_s": frame_s})
    segment = make_file(7, clip_start_s=100.0, clip_end_s=107.2, duration_s=7.2, windows=3)
    frames = np.zeros((3, per_window, len(LABELS)), np.uint8)
    frames.reshape(-1, len(LABELS))[3, 0], frames.reshape(-1, len(LABELS))[count:] = 255, 99
    rows = [
        segment | {"start_s": 100.0 + 3 * number, "end_s": 103.0 + 3 * number, "scores": own.ravel()}
        for number, own in enumerate(frames)
    ]
    schemas = tables.schemas(CARRIED)
    broken = make_file(8, duration_s=float("nan"), windows=0)
    for unit, file, windows in ((0, segment, rows), (1, broken, [row | broken for row in rows])):
        tables.write_unit(
            unit,
            files=pa.Table.from_pylist([file], schema=schemas.files),
            windows=pa.Table.from_pylist(windows, schema=schemas.windows),
            events=schemas.events.empty_table(),
        )
    browsed = BrowsedTables(tables)
    browsed.refresh()
    (file,) = browsed.archive.ask("SELECT file FROM clips WHERE unit = 0")[0]
    drawn = draw_curves(
        browsed.scores.read(tables, browsed.recording(file)), [0, 1], start_s=99.5, end_s=108.0, columns=17
    )
    expected = np.full((2, 17), 0.0, np.float32)
    expected[:, [0, 16]], expected[0, 4] = np.nan, 1.0
    np.testing.assert_array_equal(drawn, expected)
    sample = browsed.windows.get(wait=True)
    assert sample is not None
    assert (sample.units, sample.units_in_all) == (1, 2)  # nobody knows where the other's frames end
    assert sample.kept["score"].max() == 1.0
    assert (sample.kept["start_s"] >= 100.0).all()


def test_recordings_that_moved_are_told_and_found_with_another_root(tmp_path: Path) -> None:
    tables = make_tables(tmp_path / "labels", files=2, units=1, sound=True)
    held = Path(str(tables.root))
    moved = tmp_path / "elsewhere"
    held.rename(moved)
    browsed = BrowsedTables(tables)
    browsed.refresh()
    file = browsed.archive.ask("SELECT file FROM clips ORDER BY uri")[0][0]
    with pytest.raises(DecodeError, match="--root DIR"):
        _ = browsed.recording(file).path
    again = BrowsedTables(tables, root=moved)
    again.refresh()
    assert again.recording(file).info.sample_rate == RATE


def test_only_recordings_of_the_tables_are_found(tmp_path: Path) -> None:
    tables = make_tables(tmp_path / "labels", files=1, units=1)
    browsed = BrowsedTables(tables)
    browsed.refresh()
    for file in ("../../etc/passwd", "0" * 16, ""):
        with pytest.raises(UsageError, match="the tables hold no recording"):
            browsed.recording(file)


def test_the_cache_is_bounded_and_keeps_what_was_used_last() -> None:
    cache, made = ByteCache(most_bytes=30), []
    for key in ("a", "b", "a", "c", "a", "d", "b"):
        assert cache.get(key, lambda key=key: made.append(key) or bytes(10)) == bytes(10)
    assert made == ["a", "b", "c", "d", "b"]


def test_labels_are_those_of_the_tables(tmp_path: Path) -> None:
    assert make_tables(tmp_path / "labels", files=1, units=1).labels == LABELS
