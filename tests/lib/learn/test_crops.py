"""Crops: anew at every epoch, never into padding, and what the frontend makes of that stretch of sound."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.audio.frontends import get_frontend
from hubbub.audio.windows import window_grid
from hubbub.config import Settings, load_settings
from hubbub.learn.crops import Crops, covering_crops, edge_frames, input_frames, random_crops, valid_within
from hubbub.learn.dataset import iterate_batches

ROUNDING_DB = 1e-4
"""How far two float32 transforms of the same frame may lie apart, which are cut from waveforms of other lengths."""

ROW_FRAMES, CROP_FRAMES = 65, 17


def settings(*more: str) -> Settings:
    """Rows of 2 s, crops of 0.5 s: 65 and 17 frames."""
    frontend = ["sample_rate=8000", "n_fft=512", "hop_samples=250"]
    windows = ["mode=random", "duration_s=2", "crop_s=0.5"]
    return load_settings(None, [*(f"frontend.{x}" for x in frontend), *(f"windows.{x}" for x in windows), *more])


MEL = settings("frontend.n_mels=16")
WHOLE_ROWS = load_settings()


def table(valid: list[int]) -> pd.DataFrame:
    return pd.DataFrame({"row": np.arange(len(valid)) * 3 + 1, "valid_frames": np.array(valid, np.int32)})


def test_rows_are_stored_long_and_labelling_cuts_what_a_model_hears():
    rows, heard = window_grid(MEL), window_grid(MEL, hop_s=0.1)
    assert (rows.window, rows.only_first) == (16_000, True)
    assert (heard.window, heard.hop, heard.only_first) == (4000, 800, False)


some_rows = st.lists(st.integers(1, ROW_FRAMES), min_size=1, max_size=30).map(table)


def test_what_a_model_hears_is_the_crop():
    assert input_frames(MEL) == CROP_FRAMES
    assert edge_frames(MEL) == 2  # 256 samples reach into the second frame of 250
    assert input_frames(WHOLE_ROWS) == 216


@given(rows=some_rows, seed=st.integers(0, 2**31), epoch=st.integers(0, 9))
def test_random_crops_hold_sound_alone_and_depend_on_seed_epoch_and_row(rows, seed, epoch):
    crops = random_crops(MEL, rows, seed=seed, epoch=epoch)
    assert crops is not None
    for begin, valid in zip(crops.begin, rows["valid_frames"], strict=True):
        assert begin == 0 or (0 <= begin and begin + CROP_FRAMES <= valid)
    few = rows.iloc[::-2]
    again = random_crops(MEL, few, seed=seed, epoch=epoch)
    assert again is not None
    np.testing.assert_array_equal(again.begin, crops.begin[::-2])


def test_crops_are_drawn_anew_and_from_everywhere():
    rows = table([ROW_FRAMES] * 200)
    drawn = [random_crops(MEL, rows, seed=seed, epoch=epoch).begin for seed in (1, 2) for epoch in (0, 1)]
    for number, one in enumerate(drawn):
        assert (one.min(), one.max()) == (0, ROW_FRAMES - CROP_FRAMES)
        for other in drawn[:number]:
            assert (one != other).mean() > 0.9


@given(rows=some_rows)
def test_covering_crops_hold_every_valid_frame_with_as_few_as_can(rows):
    heard, crops = covering_crops(MEL, rows)
    assert crops is not None
    valid = valid_within(heard, crops)
    for row, row_valid in zip(rows["row"], rows["valid_frames"], strict=True):
        mine = (heard["row"] == row).to_numpy()
        held = {frame for begin in crops.begin[mine] for frame in range(begin, begin + CROP_FRAMES)}
        assert held >= set(range(row_valid))
        assert mine.sum() == -(-row_valid // CROP_FRAMES)
        if row_valid >= CROP_FRAMES:
            assert held == set(range(row_valid))
            assert (valid[mine] == CROP_FRAMES).all()
        else:
            assert valid[mine].tolist() == [row_valid]


def test_whole_rows_are_left_as_they_are():
    rows = table([3, 200])
    assert random_crops(WHOLE_ROWS, rows, seed=0, epoch=0) is None
    heard, crops = covering_crops(WHOLE_ROWS, rows)
    assert heard is rows
    assert crops is None
    assert valid_within(heard, crops).tolist() == [3, 200]


class Rows:
    """Shards of 4 rows of 9 frames and 2 bands, told apart by their values."""

    path, settings = "STORE", SimpleNamespace(dtype="float32")
    rows_per_shard, n_frames, n_bands = 4, 9, 2
    values = np.arange(12 * 9 * 2, dtype=np.float32).reshape(12, 9, 2)

    def read_shard(self, shard: int) -> np.ndarray:
        return self.values[shard * 4 : shard * 4 + 4]


@given(seed=st.one_of(st.none(), st.integers(0, 99)), batch_rows=st.integers(1, 9))
def test_the_loader_gives_each_row_its_own_crop(seed, batch_rows):
    rng = np.random.default_rng(7)
    rows, begin = rng.integers(0, 12, 25), rng.integers(0, 6, 25)  # a row comes several times
    crops, targets = Crops(begin, 4), np.arange(25)
    seen = []
    for batch in iterate_batches(Rows(), rows, targets, batch_rows=batch_rows, seed=seed, crops=crops):
        for features, target, row in zip(*batch, strict=True):
            assert row == rows[target]
            np.testing.assert_array_equal(features, Rows.values[row, begin[target] : begin[target] + 4])
            seen.append(target)
    assert sorted(seen) == list(range(25))


def street(rng: np.random.Generator) -> np.ndarray:
    """Two seconds of murmur with a bang in each half second, the loudest in the last; float32 [samples]."""
    samples = rng.normal(0, 1e-3, 16_000)
    for number, level in enumerate((0.003, 0.1, 0.01, 0.9)):
        samples[number * 4000 + 1900 : number * 4000 + 2100] += rng.normal(0, level, 200)
    return samples.astype(np.float32)


def unfloored(config: Settings, samples: np.ndarray) -> np.ndarray:
    """A row that keeps what lies below its own floor."""
    update = {"top_db": None} | ({"ref": 1.0} if config.frontend.ref == "max" else {})
    return get_frontend(config.frontend.model_copy(update=update))(samples)


@pytest.mark.parametrize("name", ["log-mel", "stft-db", "log-frequency"])
@pytest.mark.parametrize(
    "more",
    [
        (),  # the default: 80 dB below the peak
        ("top_db=30", "ref=max"),  # each crop's peak is 0 dB, and much lies below the floor
        ("top_db=null", "ref=0.5"),  # no floor below the peak, another zero
    ],
    ids=" ".join,
)
def test_a_crop_is_what_the_frontend_makes_of_that_stretch(name, more):
    config = settings(f"frontend.name={name}", "dtype=float32", *(f"frontend.{line}" for line in more))
    hop, edge = config.frontend.hop_samples, edge_frames(config)
    samples = street(np.random.default_rng(3))
    row = unfloored(config, samples)
    assert len(row) == ROW_FRAMES
    scale = covering_crops(config, table([ROW_FRAMES]))[1].scale
    for begin in (0, 16, 13, 32, 48):  # each has its bang well inside
        crop = Crops(np.array([begin]), CROP_FRAMES, scale).cut(row[None], np.array([0]))[0]
        heard = get_frontend(config.frontend)(samples[begin * hop :][:4000])
        np.testing.assert_allclose(crop[edge:-edge], heard[edge:-edge], atol=ROUNDING_DB)


def test_other_frontends_are_cut_and_nothing_else():
    mfcc = settings("frontend.name=mfcc", "frontend.n_mels=16", "frontend.n_mfcc=4", "frontend.top_db=null")
    assert covering_crops(mfcc, table([60]))[1].scale is None
