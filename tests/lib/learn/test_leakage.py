"""One recording on both sides of a split is found under any name; two recordings that sound alike are not one."""

from __future__ import annotations

import numpy as np
import pytest

from hubbub.errors import TrainingError
from hubbub.learn.leakage import find_leaks, refuse_leakage
from hubbub.learn.splits import SplitRule, split_rows

FRAMES, BANDS = 17, 16


def hiss(seed: int, **changes: float) -> np.ndarray:
    """A row of noise, float16 [frame, band], dB; the same spectrum for every seed."""
    rng = np.random.default_rng(seed)
    values = rng.normal(-40, 5, (FRAMES, BANDS)) + np.linspace(0, 30, BANDS)
    values += changes.get("gain_db", 0) + changes.get("tilt_db", 0) * np.linspace(-1, 1, BANDS)
    return (values + np.random.default_rng(99).normal(0, changes.get("noise_db", 0), values.shape)).astype(np.float16)


def clips_with(test_values: np.ndarray) -> list[dict]:
    lines = [("hum", 1, hiss(1)), ("ring", 1, hiss(2)), ("hum", 1, hiss(3)), ("ring", 1, hiss(4))]
    lines += [("hum", 2, test_values), ("ring", 2, hiss(5))]
    return [
        {"uri": f"{number}.wav", "labels": [label], "fold": fold, "group": f"g{number}", "values": values}
        for number, (label, fold, values) in enumerate(lines)
    ]


COPIES = [
    {},
    {"gain_db": -12.0},
    {"tilt_db": 6.0},
    {"noise_db": 1.0},
]


@pytest.mark.parametrize("changes", COPIES)
def test_a_copy_is_refused_whatever_its_level_and_equalisation(build, tmp_path, changes):
    store = build(tmp_path / "store", clips_with(hiss(3, **changes)))
    split = split_rows(store.rows(), SplitRule(by="fold", test_fold=2, validation_share=0))
    (leak,) = find_leaks(store, split)
    assert (leak.test_uri, leak.train_uri) == ("4.wav", "2.wav")
    with pytest.raises(TrainingError, match=r"1 test clip nearly identical.*4\.wav and 2\.wav.*--allow-leakage"):
        refuse_leakage(store, split)


def test_recordings_with_the_same_spectrum_are_not_one(build, tmp_path):
    store = build(tmp_path / "store", clips_with(hiss(77)))
    assert find_leaks(store, split_rows(store.rows(), SplitRule(by="fold", test_fold=2))) == []


def test_silence_is_nobodys_copy(build, tmp_path):
    clips = clips_with(np.full((FRAMES, BANDS), -100, np.float16))
    clips[0]["values"] = clips[-2]["values"]
    store = build(tmp_path / "store", clips)
    assert find_leaks(store, split_rows(store.rows(), SplitRule(by="fold", test_fold=2))) == []


def test_a_copy_among_the_validation_rows_counts(build, tmp_path):
    store = build(tmp_path / "store", clips_with(hiss(3)))
    split = split_rows(store.rows(), SplitRule(by="fold", test_fold=2, validation_share=0.5))
    assert len(find_leaks(store, split)) == 1


def test_crops_are_compared_within_their_valid_frames(cropped_store):
    """Padding is NaN there."""
    split = split_rows(cropped_store.rows(), SplitRule(by="fold", test_fold=1))
    assert find_leaks(cropped_store, split) == []
