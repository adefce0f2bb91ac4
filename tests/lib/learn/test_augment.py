"""Augmentation: rows that the frontend could have made, targets that say what is left of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubbub.audio.frontends import compute_features
from hubbub.config import LogMelSettings, Settings, Windows
from hubbub.learn.augment import (
    Noise,
    Policy,
    Scale,
    add_power,
    mask,
    mixup,
    random_eq,
    roll_frames,
    shift_frequency,
    shift_time,
)
from tests.examples import count_examples

WINDOW = Windows(duration_s=0.5)
PLAIN = Settings(frontend=LogMelSettings(sample_rate=8000, n_fft=512, hop_samples=250, n_mels=16), windows=WINDOW)
SILENCE_DB = -100.0
CHANCE_DB = 1.5
"""How far means over 20 short takes of noise may lie apart, padded frames at the ends of some included."""


def some(n_rows: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(-30, 10, (n_rows, 17, 16)).astype(np.float32)


def hot(n_rows: int = 6) -> np.ndarray:
    return np.eye(n_rows, dtype=np.float32)


@pytest.mark.parametrize(
    "changed",
    [
        {},  # the default
        {"ref": "max"},  # each window's peak is 0 dB
        {"ref": 0.5, "amin": 1e-8},  # another zero, another floor
        {"top_db": None},  # no floor below the peak
        {"top_db": 20.0},  # a floor that cuts much away
    ],
)
def test_the_scale_is_the_frontends_own(changed):
    frontend = PLAIN.frontend.model_copy(update=changed)
    window = Settings(frontend=frontend, windows=WINDOW, dtype="float32")
    scale = Scale.of(window)
    silence = compute_features(np.zeros(4000, np.float32), window)
    np.testing.assert_allclose(scale.apply(np.full((1, 17, 16), -300, np.float32))[0], silence, atol=1e-4)
    sound = np.random.default_rng(1).normal(0, 0.01, 4000).astype(np.float32)
    made = compute_features(sound, window)[None]
    np.testing.assert_allclose(scale.apply(made), made, atol=1e-4)  # what the frontend made stays as it is


def test_noise_reads_what_noise_of_that_level_reads():
    noise = Noise.of(PLAIN, level_db=(-40, -40), takes=8)
    flat = Noise(noise.bank, (-40, -40), tilt_db=(0, 0), bend_db=(0, 0))
    drawn = flat.draw(20, np.random.default_rng(0))
    samples = np.random.default_rng(1).normal(0, 0.01, (20, 4000)).astype(np.float32)
    heard = np.stack([compute_features(row, PLAIN.model_copy(update={"dtype": "float32"})) for row in samples])
    drawn_db, heard_db = (part.mean(axis=(0, 1)) for part in (drawn, heard[:, 2:-2]))
    np.testing.assert_allclose(drawn_db, heard_db, atol=CHANCE_DB)


def test_a_tilt_raises_no_band_above_the_level():
    noise = Noise(np.zeros((1, 17, 16), np.float32), (-50, -20))
    drawn = noise.draw(200, np.random.default_rng(0))
    peak = drawn.max(axis=(1, 2))
    assert -50 <= peak.min() < peak.max() <= -20


@given(seed=st.integers(0, 99))
def test_rolling_back_gives_the_row_again(seed):
    rng, features = np.random.default_rng(seed), some()
    by = rng.integers(-40, 40, size=6)
    np.testing.assert_array_equal(roll_frames(roll_frames(features, by), -by), features)
    np.testing.assert_array_equal(roll_frames(features, by)[2], np.roll(features[2], by[2], axis=0))


def test_a_row_that_is_cut_loses_its_target_with_its_sound():
    features = some(400)
    moved, kept = shift_time(features, np.random.default_rng(0), cut_share=1.0, silence_db=SILENCE_DB)
    left = (moved > SILENCE_DB).any(axis=2).mean(axis=1)
    assert (kept[left > 0.75] == 1).all()
    assert (kept[left < 0.25] == 0).all()
    assert ((kept > 0) & (kept < 1)).any()


def test_a_short_sound_counts_whole_while_it_is_in_the_window():
    features = np.full((300, 17, 16), SILENCE_DB, np.float32)
    features[:, 3:5] = -10
    moved, kept = shift_time(features, np.random.default_rng(0), cut_share=1.0, silence_db=SILENCE_DB)
    frames_left = (moved > -50).any(axis=2).sum(axis=1)
    assert (kept[frames_left == 2] == 1).all()
    assert (kept[frames_left == 0] == 0).all()


def test_uncut_rows_keep_every_frame():
    moved, kept = shift_time(some(), np.random.default_rng(0), cut_share=0.0, silence_db=SILENCE_DB)
    np.testing.assert_array_equal(np.sort(moved, axis=1), np.sort(some(), axis=1))
    assert (kept == 1).all()


def test_digital_silence_survives_being_moved():
    silent = np.full((5, 17, 16), SILENCE_DB, np.float32)
    moved, kept = shift_time(silent, np.random.default_rng(0), cut_share=0.5, silence_db=SILENCE_DB)
    assert np.isfinite(moved).all()
    assert np.isfinite(kept).all()


@settings(max_examples=count_examples(30))
@given(seed=st.integers(0, 999), alpha=st.floats(0.1, 2), share=st.floats(0, 1))
def test_mixup_blends_rows_and_targets_alike(seed, alpha, share):
    features, targets = some(), hot()
    mixed, blended = mixup(features, targets, np.random.default_rng(seed), alpha=alpha, share=share)
    np.testing.assert_allclose(blended.sum(axis=1), 1, rtol=1e-5)
    assert (np.diag(blended) >= 0.5 - 1e-6).all()  # the larger part keeps its place
    np.testing.assert_allclose(mixed, np.einsum("ij,jfb->ifb", blended, features), atol=1e-3)


@given(one=st.floats(-100, 40), other=st.floats(-100, 40))
def test_powers_add(one, other):
    got = add_power(np.array([[[one]]], np.float32), np.array([[[other]]], np.float32))
    assert got[0, 0, 0] == pytest.approx(10 * np.log10(10 ** (one / 10) + 10 ** (other / 10)), abs=1e-3)


def test_colour_changes_bands_smoothly_and_frames_alike():
    change = random_eq(some(), np.random.default_rng(0), spread_db=4) - some()
    np.testing.assert_allclose(change, np.broadcast_to(change[:, :1], change.shape), atol=1e-4)
    assert np.abs(np.diff(change[:, 0], n=2, axis=1)).max() < 10


def test_bands_move_together():
    before = some(50)
    after = shift_frequency(before, np.random.default_rng(0), furthest=2)
    by = set()
    for old, new in zip(before, after, strict=True):
        by |= {k for k in range(-2, 3) if np.array_equal(new[:, 4:12], old[:, 4 - k : 12 - k])}
    assert by == {-2, -1, 0, 1, 2}


def test_masks_cover_stretches_with_the_rows_mean():
    masked = mask(some(), np.random.default_rng(0), masks=2, widest=0.25)
    changed = masked != some()
    mean = np.broadcast_to(some().mean(axis=(1, 2), keepdims=True), masked.shape)
    np.testing.assert_allclose(masked[changed], mean[changed], rtol=1e-5)
    assert 0 < changed.mean() < 0.8


def policy(**changed) -> Policy:
    noise = Noise.of(PLAIN, level_db=(-80, -30), takes=2)
    return Policy(Scale.of(PLAIN), noise, **{"negatives": 0.25, "gain_db": (-10, 5), "cut_share": 0.3} | changed)


def test_a_policy_is_repeatable_and_leaves_its_input_alone():
    features, targets = some(8), np.eye(8, 3, dtype=np.float32)
    first = policy()(features, targets, np.random.default_rng(5))
    again = policy()(features, targets, np.random.default_rng(5))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    np.testing.assert_array_equal(features, some(8))
    np.testing.assert_array_equal(targets, np.eye(8, 3, dtype=np.float32))


def test_a_policy_adds_rows_of_nothing():
    features, targets = policy()(some(8), np.ones((8, 3), np.float32), np.random.default_rng(5))
    assert features.shape == (10, 17, 16)
    assert features.dtype == targets.dtype == np.float32
    assert (targets[8:] == 0).all()
    assert features.min() >= SILENCE_DB
    assert np.isfinite(features).all()


def test_backgrounds_stay_below_their_row():
    quiet = some(200) - 60
    loud_noise = Noise(np.zeros((1, 17, 16), np.float32), (0, 0), tilt_db=(0, 0), bend_db=(0, 0))
    around = Policy(Scale.of(PLAIN), loud_noise, noisy_share=1.0, noise_below_db=12.0)._among_noise
    louder = around(quiet, loud_noise, np.random.default_rng(0)).max(axis=(1, 2)) - quiet.max(axis=(1, 2))
    assert louder.max() < 0.3  # 12 dB below adds 0.27 dB
