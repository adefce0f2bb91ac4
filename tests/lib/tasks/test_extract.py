"""One unit of `features`: nothing is lost, and cut anywhere the same comes out."""

from __future__ import annotations

import os
import shutil
import tracemalloc
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import soundfile

from hubbub.audio import decode
from hubbub.audio.decode import load_audio
from hubbub.audio.frontends import compute_features
from hubbub.audio.windows import split_windows as cut_windows
from hubbub.audio.windows import window_grid
from hubbub.clips.index import index_listing
from hubbub.clips.sources import Columns, Listing, list_source
from hubbub.clips.table import ClipTable
from hubbub.config import Settings, load_settings
from hubbub.engine.serial import SerialEngine
from hubbub.planning.plan import plan_features
from hubbub.store.features import FeatureStore
from hubbub.store.opening import create_store, open_store
from hubbub.store.rows import row_schema, select_current
from hubbub.store.verify import verify_clips, verify_shard
from hubbub.tasks.extract import ExtractTask
from hubbub.tasks.result import UnitResult

SEAM_DB = 0.07
"""Features of a window whose sound was decoded from a seam: resampling differs in the last bits, float16 rounds."""

RATE = 8000


def settings(*more: str, rows_per_shard: int = 4) -> Settings:
    frontend = [f"sample_rate={RATE}", "n_fft=256", "hop_samples=128", "n_mels=16"]
    layout = [f"layout.rows_per_shard={rows_per_shard}", "layout.rows_per_chunk=1", "windows.duration_s=0.5"]
    return load_settings(None, [*(f"frontend.{name}" for name in frontend), *layout, *more])


def noise(seconds: float, sample_rate: int = RATE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * sample_rate)).astype(np.float32)


def write(path: Path, seconds: float, sample_rate: int = RATE, seed: int = 0) -> Path:
    soundfile.write(path, noise(seconds, sample_rate, seed), sample_rate, subtype="FLOAT")
    return path


def index(folder: Path, clips: Sequence[dict] | None = None) -> ClipTable:
    listing = list_source(folder, "flat", Columns())
    return index_listing(listing if clips is None else Listing(folder, clips))[0]


def unversioned(table: ClipTable) -> ClipTable:
    """A table that others made, without versions: then a file may be another than its header was."""
    at = table.rows.column_names.index("version")
    return ClipTable(table.rows.set_column(at, "version", pa.nulls(len(table), pa.string())), table.root)


def run(
    folder: Path, table: ClipTable, config: Settings, *, retry_failed: bool = False, only: set[int] | None = None
) -> list[UnitResult]:
    """What the job does, in short; `only` stands for a run that was killed when these units were done."""
    store = open_store(folder) if folder.exists() else create_store(folder, config, source="here")
    plan = plan_features(table, config, select_current(store.row_index()), store.committed(), retry_failed=retry_failed)
    store.grow(plan.n_shards)
    units = [unit for unit in plan.units() if only is None or unit.index in only]
    return list(SerialEngine().run(ExtractTask(store, table.root, row_schema(table.rows.schema)), units))


def rows_and_values(folder: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows by clip and window, and their features: what must not depend on how they were made."""
    store = open_store(folder)
    rows = store.rows().sort_values(["uri", "window"], ignore_index=True)
    return rows, store.read_rows(rows["row"].to_numpy())


def failures(store: FeatureStore) -> dict[str, str]:
    row_index = select_current(store.row_index())
    failed = row_index[row_index["status"] == "failed"]
    return dict(zip(failed["uri"], failed["error"], strict=True))


def sound(store: FeatureStore) -> None:
    assert [problem for shard in store.committed() for problem in verify_shard(store, shard)] == []
    assert verify_clips(store) == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sounds").mkdir()
    return tmp_path / "sounds"


@pytest.mark.usefixtures("table_order")
def test_rows_are_the_features_of_their_windows(folder: Path, tmp_path: Path):
    for number in range(6):
        write(folder / f"{number}.wav", 0.7, seed=number)
    config = settings()
    results = run(tmp_path / "store", index(folder), config)
    rows, values = rows_and_values(tmp_path / "store")
    for row, features in zip(rows.to_dict("records"), values, strict=True):
        samples = load_audio(folder / row["uri"], sample_rate=RATE)[:4000]
        np.testing.assert_array_equal(features, compute_features(samples, config))
    assert rows["row"].tolist() == list(range(6))
    assert [(r.unit, r.ok, r.failed, r.windows, r.rows) for r in results] == [(0, 4, 0, 4, 4), (1, 2, 0, 2, 2)]
    assert results[0].audio_s == 4 * 0.5
    assert results[0].bytes_read == sum((folder / f"{n}.wav").stat().st_size for n in range(4))
    assert set(results[0].seconds) == {"decode", "features", "store"}
    sound(open_store(tmp_path / "store"))


def bad_files(folder: Path) -> dict[str, str]:
    """Files that cannot be done, and how the reason begins."""
    (folder / "1-text.wav").write_text("no sound")
    (folder / "2-empty.wav").touch()
    soundfile.write(folder / "3-no-samples.wav", np.zeros(0, np.float32), RATE)
    with_nan = noise(0.5)
    with_nan[100] = np.nan
    soundfile.write(folder / "4-nan.wav", with_nan, RATE, subtype="FLOAT")
    (folder / "5-gone.wav").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "6-pipe.wav")
    return {
        "1-text.wav": "DecodeError: 1-text.wav is not audio",
        "2-empty.wav": "DecodeError: 2-empty.wav is not audio",
        "3-no-samples.wav": "EmptyAudio: 3-no-samples.wav holds no samples",
        "4-nan.wav": "NonFiniteAudio: the sample at 0.013 s is nan",
        "5-gone.wav": "DecodeError: 5-gone.wav cannot be opened (No such file",
        "6-pipe.wav": "DecodeError: 6-pipe.wav is no regular file",
    }


@pytest.mark.timeout(60)
@pytest.mark.parametrize("mode", ["first", "all"])
def test_bad_clips_among_good_ones_become_rows_with_reasons(folder: Path, tmp_path: Path, mode: str):
    write(folder / "0-good.wav", 0.5)
    expected = bad_files(folder)
    write(folder / "7-good.wav", 0.5, seed=1)
    table, config = index(folder), settings(f"windows.mode={mode}")
    results = run(tmp_path / "store", table, config)
    store = open_store(tmp_path / "store")
    reasons = failures(store)
    assert set(reasons) == set(expected)
    assert all(reasons[uri].startswith(text) for uri, text in expected.items())
    assert store.rows()["uri"].tolist() == ["0-good.wav", "7-good.wav"]
    assert (sum(r.ok for r in results), sum(r.failed for r in results)) == (2, 6)
    assert len(table) == 8, "clips in = clips ok + clips failed"
    assert dict(pair for result in results for pair in result.reasons) == reasons
    assert np.isnan(store.read_shard(0)[1:]).all(), "a failed clip leaves no values behind"
    sound(store)
    assert run(tmp_path / "store", table, config) == []


def test_retrying_takes_failed_clips_and_no_others(folder: Path, tmp_path: Path):
    for number in range(3):
        write(folder / f"{number}.wav", 0.5, seed=number)
    table, config = index(folder), settings()
    (folder / "1.wav").rename(folder / "away")  # a disk that was not mounted
    run(tmp_path / "store", table, config)
    assert set(failures(open_store(tmp_path / "store"))) == {"1.wav"}
    again = run(tmp_path / "store", table, config, retry_failed=True)
    assert [(r.ok, r.failed) for r in again] == [(0, 1)]
    (folder / "away").rename(folder / "1.wav")
    assert [(r.ok, r.failed) for r in run(tmp_path / "store", table, config, retry_failed=True)] == [(1, 0)]
    store = open_store(tmp_path / "store")
    assert failures(store) == {}
    assert store.rows().set_index("uri")["attempts"].to_dict() == {"0.wav": 1, "1.wav": 3, "2.wav": 1}
    sound(store)


@pytest.mark.parametrize(("seconds", "valid"), [(0.5, 32), (0.25, 16), (0.016, 2), (1 / RATE, 1), (9, 32)])
def test_short_clips_are_padded_and_say_how_much_is_sound(folder: Path, tmp_path: Path, seconds: float, valid: int):
    write(folder / "a.wav", seconds)
    run(tmp_path / "store", index(folder), settings())
    (row,) = open_store(tmp_path / "store").rows().to_dict("records")
    assert row["valid_frames"] == valid  # one frame at every 128 samples, the first centred on sample 0


CUTS = [1, 3, 4, 7, 64]


@pytest.mark.parametrize("hop_s", [0.5, 0.2])
@pytest.mark.parametrize("source", [RATE, 44_100])
def test_a_long_recording_cut_anywhere_gives_the_whole(folder: Path, tmp_path: Path, source: int, hop_s: float):
    """Invariant 7: units of 1 to 64 windows, each decoding its own stretch."""
    write(folder / "long.wav", 6.3, source)
    table, made = index(folder), {}
    for split_windows in CUTS:
        config = settings("windows.mode=all", f"windows.hop_s={hop_s}", rows_per_shard=split_windows)
        run(tmp_path / f"{split_windows}", table, config)
        made[split_windows] = rows_and_values(tmp_path / f"{split_windows}")
        sound(open_store(tmp_path / f"{split_windows}"))
    rows, values = made[64]
    assert rows["window"].tolist() == list(range(len(rows)))
    np.testing.assert_allclose(rows["start_s"], rows["window"] * hop_s, rtol=0, atol=1e-9)
    for split_windows in CUTS[:-1]:
        others, other_values = made[split_windows]
        columns = ["uri", "window", "windows", "start_s", "valid_frames"]
        pd.testing.assert_frame_equal(others[columns], rows[columns])
        if source == RATE:
            np.testing.assert_array_equal(other_values, values)
        else:
            assert np.abs(other_values.astype(float) - values).max() <= SEAM_DB


def test_a_long_ogg_cut_anywhere_gives_the_whole(folder: Path, tmp_path: Path, esc10_mini: Path):
    for name in ("2-127108-A.ogg", "1-30344-A.ogg"):
        shutil.copy(esc10_mini / "audio" / name, folder / name)
    table = index(folder)
    for split_windows in (1, 64):
        run(tmp_path / f"{split_windows}", table, settings("windows.mode=all", rows_per_shard=split_windows))
    (one, values), (two, other_values) = rows_and_values(tmp_path / "64"), rows_and_values(tmp_path / "1")
    assert one["window"].tolist() == two["window"].tolist()
    assert np.abs(other_values.astype(float) - values).max() <= SEAM_DB


@pytest.mark.parametrize("killed_after", [set(), {0}, {1}, {0, 2}])
def test_killed_and_resumed_gives_the_uninterrupted_store(folder: Path, tmp_path: Path, killed_after: set[int]):
    for number in range(10):
        write(folder / f"{number}.wav", 0.5, seed=number)
    table, config = index(folder), settings()
    run(tmp_path / "whole", table, config)
    run(tmp_path / "killed", table, config, only=killed_after)
    run(tmp_path / "killed", table, config)
    (one, values), (two, other_values) = rows_and_values(tmp_path / "whole"), rows_and_values(tmp_path / "killed")
    pd.testing.assert_frame_equal(one, two)
    np.testing.assert_array_equal(values, other_values)


def test_killed_and_resumed_in_a_long_recording_gives_the_same_values(folder: Path, tmp_path: Path):
    write(folder / "long.wav", 5)
    table, config = index(folder), settings("windows.mode=all")
    run(tmp_path / "whole", table, config)
    run(tmp_path / "killed", table, config, only={0, 2})
    run(tmp_path / "killed", table, config)
    (one, values), (two, other_values) = rows_and_values(tmp_path / "whole"), rows_and_values(tmp_path / "killed")
    columns = ["uri", "window", "windows", "start_s", "valid_frames", "crc32"]
    pd.testing.assert_frame_equal(one[columns], two[columns])
    np.testing.assert_array_equal(values, other_values)
    sound(open_store(tmp_path / "killed"))


def test_segments_are_windows_of_their_own(folder: Path, tmp_path: Path):
    path = write(folder / "a.wav", 4)
    segments = [(None, None), (1.0, 1.5), (2.0, 2.25), (3.9, None), (9.0, 9.5)]
    table = index(folder, [{"uri": "a.wav", "labels": [], "start_s": a, "end_s": b} for a, b in segments])
    config = settings(rows_per_shard=8)
    run(tmp_path / "store", table, config)
    store = open_store(tmp_path / "store")
    rows = store.rows()
    assert rows["start_s"].tolist() == [0.0, 1.0, 2.0, 3.9]
    whole = load_audio(path, sample_rate=RATE)
    for row, expected in zip(
        rows["row"], [whole[:4000], whole[8000:12000], whole[16000:18000], whole[31200:]], strict=True
    ):
        padded = np.pad(expected, (0, 4000 - len(expected)))
        np.testing.assert_array_equal(store.read_rows([row])[0], compute_features(padded, config))
    assert failures(store)["a.wav"].startswith("EmptyAudio: no sound from")


@pytest.mark.parametrize("rows_per_shard", [64, 4, 3])
@pytest.mark.parametrize("left_s", [2.0, 2.3, 1.4])
@pytest.mark.parametrize("hop_s", [0.5, 0.2])
def test_a_file_that_ends_before_its_header_says(
    folder: Path, tmp_path: Path, rows_per_shard: int, left_s: float, hop_s: float
):
    """However its windows fall into units, the clip has the windows that it turns out to have."""
    write(folder / "a.wav", 4)
    config = settings("windows.mode=all", f"windows.hop_s={hop_s}", rows_per_shard=rows_per_shard)
    table = unversioned(index(folder))
    write(folder / "a.wav", left_s)
    run(tmp_path / "store", table, config)
    store = open_store(tmp_path / "store")
    write(folder / "b.wav", left_s)
    run(tmp_path / "right", index(folder, [{"uri": "b.wav", "labels": []}]), config)
    assert store.rows()["window"].tolist() == open_store(tmp_path / "right").rows()["window"].tolist()
    assert failures(store) == {}
    assert run(tmp_path / "store", table, config) == []


@pytest.mark.parametrize("rows_per_shard", [64, 3])
def test_a_file_that_goes_on_after_its_header_says_fails(folder: Path, tmp_path: Path, rows_per_shard: int):
    write(folder / "a.wav", 2)
    table, config = unversioned(index(folder)), settings("windows.mode=all", rows_per_shard=rows_per_shard)
    write(folder / "a.wav", 4)
    run(tmp_path / "store", table, config)
    store = open_store(tmp_path / "store")
    assert failures(store) == {
        "a.wav": "LengthMismatch: decodes to more than the clip table says (2.000 s); index it again"
    }
    failed_shard = store.committed()[-1]
    assert np.isnan(store.read_shard(failed_shard)).all(), "windows made before it failed are taken back"
    assert run(tmp_path / "store", index(folder), config), "indexed again, it is done"
    assert failures(open_store(tmp_path / "store")) == {}
    assert len(open_store(tmp_path / "store").rows()) == 8


@pytest.mark.parametrize("change", [lambda path: write(path, 3), lambda path: path.write_bytes(b"text"), os.utime])
def test_a_file_that_changed_since_it_was_indexed_fails(folder: Path, tmp_path: Path, change: Callable[[Path], Any]):
    """Its row would hold the values of one content and the version of another."""
    write(folder / "a.wav", 2)
    write(folder / "b.wav", 2)
    table, config = index(folder), settings()
    change(folder / "a.wav")
    run(tmp_path / "store", table, config)
    store = open_store(tmp_path / "store")
    assert failures(store) == {"a.wav": "FileChanged: changed since it was indexed; index it again"}
    assert store.rows()["uri"].tolist() == ["b.wav"]


@pytest.mark.parametrize("suffix", ["wav", "opus"])
@pytest.mark.parametrize("rows_per_shard", [1, 3, 16])
def test_windows_closer_than_a_frame_hop_are_all_there(folder: Path, tmp_path: Path, rows_per_shard: int, suffix: str):
    """Each brings less than a tail that counts as one; but the clip goes on after it."""
    path = opus(folder / "a.opus", 2) if suffix == "opus" else write(folder / "a.wav", 2)
    config = settings(
        "windows.mode=all", "windows.hop_s=0.01", "frontend.hop_samples=250", rows_per_shard=rows_per_shard
    )
    table = index(folder)
    run(tmp_path / "store", table, config)
    rows, values = rows_and_values(tmp_path / "store")
    whole = load_audio(path, sample_rate=RATE)
    expected = list(cut_windows([whole], window_grid(config)))
    assert rows["window"].tolist() == [window.number for window in expected]
    for window, features in zip(expected, values, strict=True):
        np.testing.assert_allclose(features, compute_features(window.samples, config), rtol=0, atol=0.07)
    assert set(rows["windows"]) == {len(expected)}
    sound(open_store(tmp_path / "store"))


def opus(path: Path, seconds: float) -> Path:
    with soundfile.SoundFile(path, "w", 48_000, 1, format="OGG", subtype="OPUS") as file:
        for number in range(round(seconds)):
            file.write(noise(1, 48_000, seed=number))
    return path


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (1, 0, 3, 2, 4), (4, 3, 2, 1, 0)], ids=str)
def test_a_recording_that_cannot_be_sought_is_gone_through_once(
    folder: Path, tmp_path: Path, order: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
):
    """Opus is decoded from its start; a worker goes on where it stands, in whatever order it gets the units."""
    path = opus(folder / "a.opus", 10)
    begun = []
    decode_blocks = decode.decode_blocks
    monkeypatch.setattr(
        decode, "decode_blocks", lambda *given, **more: begun.append(more["first"]) or decode_blocks(*given, **more)
    )
    table, config = index(folder), settings("windows.mode=all", "windows.duration_s=0.5", rows_per_shard=4)
    for unit in order:
        run(tmp_path / "store", table, config, only={unit})
    rows, values = rows_and_values(tmp_path / "store")
    whole = load_audio(path, sample_rate=RATE)
    assert rows["window"].tolist() == list(range(20))
    for window, features in zip(rows["window"], values, strict=True):
        np.testing.assert_array_equal(features, compute_features(whole[window * 4000 : (window + 1) * 4000], config))
    backwards = sum(one > other for one, other in pairwise(order))
    assert begun[:-1] == [0] * (1 + backwards), "and the last call is this test's own"
    sound(open_store(tmp_path / "store"))


def test_a_bad_stretch_of_a_long_recording_fails_the_clip(folder: Path, tmp_path: Path):
    samples = noise(4)
    samples[RATE * 3] = np.nan
    soundfile.write(folder / "a.wav", samples, RATE, subtype="FLOAT")
    table, config = index(folder), settings("windows.mode=all")
    run(tmp_path / "store", table, config)
    assert failures(open_store(tmp_path / "store"))["a.wav"].startswith("NonFiniteAudio: the sample at 3.000 s is nan")
    assert run(tmp_path / "store", table, config) == []


def test_memory_of_a_task_is_what_the_plan_says(folder: Path, tmp_path: Path):
    write(folder / "long.wav", 300, 22_050)
    config = load_settings(None, ["windows.mode=all", "layout.rows_per_shard=32"])
    table = index(folder)
    run(tmp_path / "warm", table, config, only={0})  # filter banks and libraries are what a worker takes to start
    tracemalloc.start()
    try:
        run(tmp_path / "store", table, config, only={0})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= plan_features(table, config).peak_bytes
