"""Long recordings in pieces: cut anywhere, lost anywhere, the label tables are those of one go, to the bit."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import soundfile

from hubbub.audio.decode import decode_blocks
from hubbub.audio.windows import Window, WindowGrid, split_windows
from hubbub.clips.index import index_listing
from hubbub.clips.sources import Columns, list_source
from hubbub.clips.table import ClipTable, clip_id
from hubbub.config import LogMelSettings, Settings, Windows
from hubbub.engine.serial import SerialEngine
from hubbub.io.paths import parse_path
from hubbub.labels.events import EventRule
from hubbub.labels.tables import LabelTables, create_labels, open_labels
from hubbub.labels.verify import verify_label_objects
from hubbub.models.bundle import load_bundle, write_bundle
from hubbub.planning.plan import Plan, plan_labels
from hubbub.planning.units import Item, SegmentUnit, split_into_segments
from hubbub.tasks import label
from hubbub.tasks.label import LabelTask
from hubbub.tasks.result import UnitResult
from hubbub.tasks.segments import SegmentWindows, join_segments, resampler_period, score_segment
from tests.data.recordings import noise, sweep, with_wav_length, write

keras = pytest.importorskip("keras")

SETTINGS = Settings(
    frontend=LogMelSettings(sample_rate=8000, n_fft=256, hop_samples=256, n_mels=8), windows=Windows(duration_s=0.5)
)
HOP_S = 0.05
SECONDS = 70.0
"""1,391 windows: two pieces of 512, and a third."""

RATES = [
    (44_100, 22_050),
    (48_000, 22_050),
    (44_100, 16_000),
    (16_000, 22_050),
    (8_000, 44_100),
    (192_000, 32_000),
    (22_050, 22_050),
    (2_000, 8_000),  # blocks longer than what is decoded around a stretch anyway
    (48_828, 32_000),  # hardly a common divisor: no period, decoded from the start
]
FORMATS: dict[str, dict[str, Any]] = {
    "wav": {},
    "flac": {},
    "ogg": {},
    "aiff": {},
    "mp3": {},
    "opus": {"format": "OGG", "subtype": "OPUS"},
}


def item_of(path: Path, n_windows: int, **segment: Any) -> Item:
    """A whole file, or a segment of it, as a plan has it."""
    info = soundfile.info(str(path))
    clip = {"uri": str(path), "clip_id": clip_id(str(path)), "version": "1", "start_s": None, "end_s": None}
    clip |= {"sample_rate": info.samplerate, "duration_s": info.duration, "size_bytes": 1, **segment}
    return Item(clip, "mix", 0, "", 0, n_windows, n_windows, 1)


class Heard:
    """Stands for a model: keeps the windows that it hears."""

    def __init__(self) -> None:
        self.windows: list[Window] = []

    def __call__(self, windows: Iterable[Window]) -> tuple[np.ndarray, np.ndarray]:
        event_counts = list(windows)
        self.windows += event_counts
        valid = np.array([window.valid for window in event_counts], np.int64)
        return valid, np.array([window.number for window in event_counts], np.float16)[:, None]


def in_pieces(
    whole: Item, cuts: list[int], cutting: SegmentWindows, order: Iterable[int] | None = None
) -> list[Window]:
    """Windows of a file that is cut at some, each piece by itself; put together they must fit."""
    bounds = [0, *cuts, whole.windows]
    items = [replace(whole, first_window=a, n_windows=b - a) for a, b in zip(bounds, bounds[1:], strict=False)]
    pieces, event_counts = {}, Heard()
    for number in range(len(items)) if order is None else order:
        pieces[number] = score_segment(items[number], cutting, event_counts)
    put = join_segments([pieces[number] for number in range(len(items))], items, cutting.grid)
    assert put is not None
    assert len(put.valid) == len(event_counts.windows)
    return sorted(event_counts.windows, key=lambda window: window.number)


def assert_same(path: Path, cutting: SegmentWindows, cuts: list[int], first: int = 0, count: int | None = None) -> None:
    rate = cutting.sample_rate
    expected = list(split_windows(decode_blocks(path, sample_rate=rate, first=first, count=count), cutting.grid))
    segment = {"start_s": first / rate, "end_s": None if count is None else (first + count) / rate}
    found = in_pieces(item_of(path, len(expected), **segment), cuts, cutting)
    assert [(window.number, window.valid) for window in found] == [(each.number, each.valid) for each in expected]
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours.samples, theirs.samples, err_msg=str(theirs.number))


def cutting_at(rate: int) -> SegmentWindows:
    return SegmentWindows(Path("/"), WindowGrid(window=rate // 2, hop=rate // 20 + 3, min_tail=rate // 50), rate, None)


@pytest.mark.parametrize(("source_rate", "rate"), RATES)
def test_pieces_are_the_whole_to_the_bit_at_any_rate(source_rate: int, rate: int, tmp_path: Path):
    path = write(tmp_path / "long.wav", noise(20.123, source_rate), source_rate, subtype="FLOAT")
    assert_same(path, cutting_at(rate), [1, 77, 150, 151, 300])
    assert_same(path, cutting_at(rate), [40, 200], first=round(1.2345 * rate), count=round(14.3 * rate))


@pytest.mark.parametrize("kind", FORMATS)
def test_pieces_are_the_whole_to_the_bit_in_any_format(kind: str, tmp_path: Path):
    rate = 24_000 if kind == "opus" else 22_050
    options = {"format": kind.upper(), **FORMATS[kind]}
    path = write(tmp_path / f"long.{kind}", sweep(20.123, rate, channels=2), rate, **options)
    assert_same(path, cutting_at(22_050), [50, 90, 91, *range(110, 380, 20)])


@pytest.mark.parametrize("kind", ["wav", "mp3"])
def test_pieces_come_in_any_order(kind: str, tmp_path: Path):
    """An MP3 is decoded from its start, and goes on where it stands only where that is before the piece."""
    path = write(tmp_path / f"long.{kind}", sweep(12, 16_000), 16_000, format=kind.upper())
    cutting = cutting_at(16_000)
    expected = list(split_windows(decode_blocks(path, sample_rate=16_000), cutting.grid))
    for order in ([2, 0, 1], [1, 1, 0, 2]):
        found = in_pieces(item_of(path, len(expected)), [50, 120], cutting, sorted(set(order), key=order.index))
        assert all(np.array_equal(a.samples, b.samples) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("hop", [100, 350, 800])
@pytest.mark.parametrize("beyond", [-1, 0, 1, 199, 200, 201, 799, 800])
def test_a_sound_that_ends_at_or_around_a_seam(hop: int, beyond: int, tmp_path: Path):
    """Windows that touch, overlap, or lie closer than a tail; the sound ends within samples of a piece's border."""
    grid = WindowGrid(window=800, hop=hop, min_tail=200)
    path = write(tmp_path / "long.wav", noise((grid.span(20) + beyond) / 8000, 8000), 8000, subtype="FLOAT")
    assert_same(path, SegmentWindows(Path("/"), grid, 8000, None), [10, 20] if beyond > 200 else [10, 19])


@pytest.mark.parametrize("windows", [21, 40, 61, 300])
def test_a_file_of_another_length_than_planned_is_gone_through_all_the_same(windows: int, tmp_path: Path):
    """The plan goes by a header: whether it says less or more than there is, what there is counts."""
    path = write(tmp_path / "long.wav", noise(4, 16_000), 16_000)
    cutting = cutting_at(16_000)
    expected = list(split_windows(decode_blocks(path, sample_rate=16_000), cutting.grid))
    found = in_pieces(item_of(path, windows), list(range(20, windows, 20)), cutting)
    assert [window.number for window in found] == [window.number for window in expected]
    assert len(expected) == 71


def test_pieces_of_different_content_do_not_go_together(tmp_path: Path):
    path = write(tmp_path / "long.wav", noise(4, 16_000), 16_000)
    whole, cutting = item_of(path, 71), cutting_at(16_000)
    items = [replace(whole, first_window=0, n_windows=40), replace(whole, first_window=40, n_windows=31)]
    first = score_segment(items[0], cutting, Heard())
    write(path, noise(4, 16_000, seed=1), 16_000)
    os.utime(path, (1, 1))
    second = score_segment(items[1], cutting, Heard())
    assert first is not None
    assert second is not None
    assert join_segments([first, second], items, cutting.grid) is None
    assert join_segments([second, second], items, cutting.grid) is None, "two ends"


def test_periods_of_resamplers():
    """As found by trying every shift of noise; None: the filter is interpolated, and never the same again."""
    assert resampler_period(44_100, 22_050) == 1660
    assert resampler_period(48_000, 22_050) == 128_320
    assert resampler_period(48_000, 16_000) == 4404
    assert resampler_period(48_828, 32_000) is None


# Label tables.


@dataclass(frozen=True)
class Archive:
    """Recordings, two of them long, with a model, and the label tables that decoding in one go gives."""

    folder: Path
    table: ClipTable
    bundle: Path
    expected: dict[str, pa.Table]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Give the archive; tests copy what they change."""
    folder = tmp_path_factory.mktemp("pieces") / "archive"
    folder.mkdir()
    write(folder / "a long one.flac", sweep(SECONDS, 11_025), 11_025)
    write(folder / "long.ogg", sweep(SECONDS + 10, 16_000, seed=1), 16_000)
    write(folder / "short.wav", sweep(1, 8000), 8000)
    write(folder / "short2.wav", sweep(2, 8000), 8000)
    bundle = folder.with_name("bundle")
    write_bundle(bundle, model(), description(), "# A card\n")
    table = index(folder)
    return Archive(folder, table, bundle, in_one_go(table, bundle, folder.with_name("expected")))


def model() -> Any:
    """A network of random weights, so large that scores differ from window to window."""
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Flatten(), keras.layers.Dense(16, activation="tanh"), keras.layers.Dense(2)]
    return keras.Sequential([keras.Input((16, 8)), *layers, keras.layers.Softmax()])


def description() -> dict[str, Any]:
    return {
        "labels": ["dog", "rain"],
        "activation": "softmax",
        "thresholds": {"dog": 0.5, "rain": 0.5},
        "settings": SETTINGS.model_dump(mode="json"),
        "settings_hash": SETTINGS.hash,
        "window_s": 0.5,
        "n_frames": 16,
        "n_bands": 8,
    }


def index(folder: Path) -> ClipTable:
    return index_listing(list_source(folder, "flat", Columns()))[0]


def begun(table: ClipTable, bundle: Path, out: Any) -> tuple[Plan, LabelTask]:
    """A plan, and the task for new tables, or those that are there."""
    said = load_bundle(bundle).description
    run = {name: said[name] for name in ("model_hash", "settings_hash", "settings", "labels", "window_s")}
    run |= {"rules": {name: vars(EventRule()) for name in said["labels"]}, "root": str(table.root), "hop_s": HOP_S}
    made = open_labels(out) if (out / "run.json").exists() else create_labels(out, run | {"command": "hubbub label"})
    plan = plan_labels(table, SETTINGS, HOP_S, made.files(), made.committed())
    return plan, LabelTask(made.begin(plan.clips), bundle, table.rows.schema)


def done(plans: Iterable[Plan], task: LabelTask) -> list[UnitResult]:
    return [result for plan in plans for result in SerialEngine().run(task, plan.units())]


def in_one_go(table: ClipTable, bundle: Path, out: Path) -> dict[str, pa.Table]:
    """The tables that come of decoding every file in one go, whatever its length."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(label, "MAX_LABEL_WINDOWS", 10**9)
        plan, task = begun(table, bundle, out)
        done([plan], task)
    return told(task.tables)


def told(tables: LabelTables) -> dict[str, pa.Table]:
    return {
        f"{folder} {unit}": tables.read_part(folder, unit)
        for folder in ("files", "windows", "events")
        for unit in tables.committed()
    }


def piece_files(task: LabelTask) -> list[Path]:
    return sorted((task.tables.path / "pieces").iterdir()) if (task.tables.path / "pieces").exists() else []


def test_tables_of_two_phases_are_those_of_one_go(archive: Archive, tmp_path: Path):
    plan, task = begun(archive.table, archive.bundle, tmp_path / "labels")
    first, then = plan.phases()
    ahead = done([first], task)
    assert len(piece_files(task)) == 3 + 4
    assert len(task.tables.committed()) == 2 - 1  # both short files are one unit
    after = done([then], task)
    assert told(task.tables) == archive.expected
    assert piece_files(task) == []
    assert not any("model" in result.seconds for result in after), "scores come from the pieces"
    both = [*ahead, *after]
    files = task.tables.files()
    assert (sum(result.ok for result in both), sum(result.failed for result in both)) == (4, 0)
    assert sum(result.windows for result in both) == plan.windows == files["windows"].sum()
    assert sum(result.rows for result in both) == plan.windows
    assert sum(result.bytes_read for result in both) == plan.bytes_to_read
    assert sum(result.audio_s for result in both) == pytest.approx(files["duration_s"].sum())
    pieces = [result for result, unit in zip(ahead, first.units(), strict=True) if isinstance(unit, SegmentUnit)]
    assert {(result.ok, result.failed, result.rows) for result in pieces} == {(0, 0, 0)}


def test_a_unit_without_pieces_does_all_by_itself(archive: Archive, tmp_path: Path):
    plan, task = begun(archive.table, archive.bundle, tmp_path / "labels")
    results = done([plan], task)
    assert told(task.tables) == archive.expected
    assert sum(result.windows for result in results) == plan.windows


def test_pieces_that_are_there_are_not_done_again(archive: Archive, tmp_path: Path):
    plan, task = begun(archive.table, archive.bundle, tmp_path / "labels")
    units = [unit for unit in plan.phases()[0].units() if isinstance(unit, SegmentUnit)]
    for unit in units[:4]:  # killed here
        task(unit)
    before = {path: path.stat().st_mtime_ns for path in piece_files(task)}
    plan, task = begun(archive.table, archive.bundle, tmp_path / "labels")
    results = done(plan.phases(), task)
    assert told(task.tables) == archive.expected
    assert len(before) == 4
    scored = [result for result in results[: len(plan.phases()[0])] if "model" in result.seconds]
    assert len(scored) == 3 + 1  # pieces that were not there, and the unit of short files
    assert sum(result.windows for result in results) == plan.windows


def spoil(path: Path, how: str, other: Path) -> None:
    data = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "torn":
        path.write_bytes(data[: len(data) // 2])
    elif how == "flipped":
        path.write_bytes(data[:200] + bytes([data[200] ^ 1]) + data[201:])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        shutil.copy(other, path)


@pytest.mark.parametrize("how", ["missing", "torn", "flipped", "empty", "another piece"])
def test_a_piece_that_cannot_be_used_is_scored_by_its_recording_s_unit(how: str, archive: Archive, tmp_path: Path):
    plan, task = begun(archive.table, archive.bundle, tmp_path / "labels")
    first, then = plan.phases()
    ahead = done([first], task)
    files = piece_files(task)
    spoil(files[2], how, files[4])
    after = done([then], task)
    assert told(task.tables) == archive.expected
    assert piece_files(task) == []
    assert [("model" in result.seconds) for result in after].count(True) == 1
    assert sum(result.windows for result in [*ahead, *after]) >= plan.windows


def changed_archive(archive: Archive, tmp_path: Path) -> Path:
    return Path(shutil.copytree(archive.folder, tmp_path / "archive"))


@pytest.mark.parametrize("phase", [0, 1])
def test_a_file_that_changes_during_the_run_is_of_one_content(phase: int, archive: Archive, tmp_path: Path):
    """What counts is what lies there when its unit is done, as it was when files were decoded in one go."""
    folder = changed_archive(archive, tmp_path)
    plan, task = begun(table := index(folder), archive.bundle, tmp_path / "labels")
    first, then = plan.phases()
    for number, unit in enumerate(first.units()):
        if (number, phase) == (2, 0):
            write(folder / "a long one.flac", sweep(SECONDS - 3, 11_025, seed=9), 11_025)
        task(unit)
    if phase == 1:
        write(folder / "a long one.flac", sweep(SECONDS - 3, 11_025, seed=9), 11_025)
    done([then], task)
    assert told(task.tables) == in_one_go(table, archive.bundle, tmp_path / "expected")


def with_nan(path: Path) -> None:
    samples = noise(SECONDS, 8000)
    samples[400_000] = np.nan
    write(path, samples, 8000, subtype="FLOAT")


def broken_off(path: Path) -> None:
    write(path, noise(SECONDS, 8000), 8000, format="FLAC")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4000] = bytes(4000)
    path.write_bytes(data)


def gone(path: Path) -> None:
    path.unlink()


def no_sound(path: Path) -> None:
    path.write_text("no sound at all")


def longer(path: Path) -> None:
    write(path, sweep(SECONDS + 60, 8000), 8000)


def shorter(path: Path) -> None:
    write(path, sweep(30.3, 8000), 8000)


def a_second(path: Path) -> None:
    write(path, sweep(1, 8000), 8000)


def nothing(path: Path) -> None:
    write(path, np.zeros((0, 1), np.float32), 8000)


def lying(path: Path) -> None:
    write(path, sweep(SECONDS, 8000), 8000)
    path.write_bytes(with_wav_length(path.read_bytes(), 2**31))


@pytest.mark.parametrize(
    "spoilt",
    [with_nan, broken_off, gone, no_sound, longer, shorter, a_second, nothing, lying],
    ids=lambda f: f.__name__,
)
def test_a_bad_or_lying_file_ends_as_it_would_in_one_go(spoilt: Any, archive: Archive, tmp_path: Path):
    folder = tmp_path / "archive"
    folder.mkdir()
    path = folder / "long.wav"
    write(path, sweep(SECONDS, 8000), 8000)
    table = index(folder)  # which believes that there are 70 s
    spoilt(path)
    plan, task = begun(table, archive.bundle, tmp_path / "labels")
    results = done(plan.phases(), task)
    expected = in_one_go(table, archive.bundle, tmp_path / "expected")
    assert told(task.tables) == expected
    assert piece_files(task) == []
    assert sum(result.windows for result in results) == plan.windows


def test_an_item_that_is_given_up_is_a_failed_row_and_no_piece(archive: Archive, tmp_path: Path):
    plan, task = begun(archive.table, archive.bundle, tmp_path / "labels")
    first, then = plan.phases()

    def given_up(plan: Plan) -> Iterator[Any]:
        for unit in plan.units():
            items = [
                replace(item, failure="WorkerDied: it did") if "long one" in item.clip["uri"] else item
                for item in unit.items
            ]
            yield replace(unit, items=tuple(items))

    results = [task(unit) for unit in given_up(first)]
    assert len(piece_files(task)) == 4
    results += [task(unit) for unit in given_up(then)]
    files = task.tables.files().set_index("uri")
    assert files["error"].dropna().to_dict() == {"a long one.flac": "WorkerDied: it did"}
    assert sum(result.windows for result in results) == plan.windows
    assert piece_files(task) == []


def test_verify_tells_pieces_that_were_left_from_what_is_foreign(archive: Archive, tmp_path: Path):
    plan, task = begun(archive.table, archive.bundle, tmp_path / "labels")
    first, then = plan.phases()
    done([first], task)
    (tmp_path / "labels" / "pieces" / "notes.txt").write_text("mine")
    (tmp_path / "labels" / "pieces" / "1.parquet.partial").touch()
    problems = verify_label_objects(task.tables)
    assert [(problem.where.split("/")[-1], problem.mend) for problem in problems] == [
        ("1.parquet.partial", "remove"),
        ("notes.txt", None),
        ("pieces", "run"),
    ]
    assert "7 segments of long recordings left from a run that broke off" in problems[-1].what
    done([then], task)
    assert [problem.mend for problem in verify_label_objects(task.tables)] == ["remove", None]


def test_a_sweep_removes_all_pieces_but_those_wanted(archive: Archive, tmp_path: Path):
    plan, task = begun(archive.table, archive.bundle, tmp_path / "labels")
    done(plan.phases()[:1], task)
    kept = sorted(task.tables.segment_numbers())[:2]
    task.tables.sweep_segments(kept)
    assert sorted(task.tables.segment_numbers()) == kept
    task.tables.sweep_segments()
    assert task.tables.segment_numbers() == set()


def test_pieces_in_a_bucket(archive: Archive, s3: str, tmp_path: Path):
    plan, task = begun(archive.table, archive.bundle, parse_path(f"{s3}/my labels #1"))
    first, then = plan.phases()
    done([first], task)
    assert len(task.tables.segment_numbers()) == 7
    assert verify_label_objects(task.tables)[0].mend == "run"
    done([then], task)
    assert told(task.tables) == archive.expected
    assert task.tables.segment_numbers() == set()
    assert verify_label_objects(task.tables) == []


def test_the_last_piece_is_where_the_plan_ends():
    whole = item_of_windows(1024)
    assert [(piece.first_window, piece.n_windows) for piece in split_into_segments(whole)] == [(0, 512), (512, 512)]
    assert [piece.n_windows for piece in split_into_segments(item_of_windows(1025))] == [512, 512, 1]


def item_of_windows(n_windows: int) -> Item:
    return Item({"clip_id": "a", "version": "1"}, "mix", 0, "", 0, n_windows, n_windows, 1)
