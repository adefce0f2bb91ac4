"""Augmentation of any features: rows that are still themselves, backgrounds that the frontend itself has made."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from hubbub.audio.frontends import get_frontend
from hubbub.config import Settings, load_settings
from hubbub.learn import augment_any
from hubbub.learn.augment import Scale, mask
from hubbub.learn.augment_any import BACKGROUNDS_BYTES, AnyPolicy, Backgrounds
from hubbub.learn.networks import find_recipe

MIB = 2**20

MAKING_MIB = 100
"""One waveform of a minute takes 5 MiB, twice that in double precision, and its spectrum as much: some 50 in all."""

SETTINGS = load_settings(
    None,
    ["frontend.name=mel", "frontend.sample_rate=8000", "frontend.n_fft=512", "frontend.hop_samples=250"]
    + ["frontend.n_mels=16", "windows.duration_s=0.5"],
)


def some(n_rows: int = 6) -> np.ndarray:
    """Bands of very different size, as descriptors have."""
    values = np.random.default_rng(0).normal(1, 0.3, (n_rows, 17, 16)) * 10.0 ** np.arange(-8, 8)
    return values.astype(np.float32)


@pytest.fixture(scope="module")
def policy() -> AnyPolicy:
    return AnyPolicy(Backgrounds.of(SETTINGS, level_db=(-60, -20), takes=8), negatives=0.25)


def test_masks_by_band_cover_each_band_with_its_own_mean():
    masked = mask(some(), np.random.default_rng(0), masks=2, widest=0.25, by_band=True)
    changed = masked != some()
    mean = np.broadcast_to(some().mean(axis=1, keepdims=True), masked.shape)
    np.testing.assert_allclose(masked[changed], mean[changed], rtol=1e-5)
    assert 0 < changed.mean() < 0.8


def test_backgrounds_are_noise_of_the_levels_asked_for_and_silence():
    loud, quiet = (
        Backgrounds.of(SETTINGS, level_db=(level, level), takes=4).takes.astype(np.float64) for level in (-20, -40)
    )
    silence = get_frontend(SETTINGS.frontend)(np.zeros(4000, np.float32))
    np.testing.assert_array_equal(loud[0], silence)
    np.testing.assert_array_equal(quiet[0], silence)
    np.testing.assert_allclose(loud[1:], quiet[1:] * 100, rtol=1e-3)  # the same noise, 20 dB apart in power


def test_a_few_backgrounds_are_silence(policy):
    drawn = policy.backgrounds.draw(400, np.random.default_rng(0))
    assert 0.05 < (drawn == 0).all(axis=(1, 2)).mean() < 0.25


def test_a_policy_is_repeatable_and_leaves_its_input_alone(policy):
    features, targets = some(8), np.eye(8, 3, dtype=np.float32)
    first, again = (policy(features, targets, np.random.default_rng(5)) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(features, some(8))
    np.testing.assert_array_equal(targets, np.eye(8, 3, dtype=np.float32))


def test_rows_stay_what_they_are_where_a_threshold_is_chosen(policy):
    features, targets = policy.for_validation()(some(8), np.ones((8, 3), np.float32), np.random.default_rng(5))
    assert (features.shape, targets.shape) == ((16, 17, 16), (16, 3))
    np.testing.assert_array_equal(np.sort(features[:8], axis=1), np.sort(some(8), axis=1))  # moved in time, no more
    assert (targets[:8] == 1).all()
    assert (targets[8:] == 0).all()
    assert features.dtype == targets.dtype == np.float32


def test_crops_get_backgrounds_of_their_own_length():
    windows = {"mode": "random", "duration_s": 2.0, "crop_s": 0.5}
    cropped = Settings(frontend=SETTINGS.frontend, windows=windows, dtype="float32")
    assert Backgrounds.of(cropped, level_db=(-60, -20), takes=1).takes.shape == (2, 17, 16)


def long(duration_s: float, name: str = "mel") -> Settings:
    return load_settings(None, [f"frontend.name={name}", f"windows.duration_s={duration_s:g}"])


@pytest.mark.slow
def test_backgrounds_of_long_windows_stay_within_their_memory():
    settings = long(60)
    get_frontend(settings.frontend)(np.zeros(22050, np.float32))  # what is made once and kept is no part of it
    tracemalloc.start()
    made = Backgrounds.of(settings, level_db=(-60, -20))
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 2 < len(made.takes) < 65
    assert made.takes.nbytes <= BACKGROUNDS_BYTES
    assert BACKGROUNDS_BYTES - made.takes[0].nbytes < made.takes.nbytes, "one more would have fitted"
    assert held < BACKGROUNDS_BYTES + MIB
    assert peak < BACKGROUNDS_BYTES + MAKING_MIB * MIB


def test_windows_too_long_for_the_memory_get_two_backgrounds_whatever_they_take(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(augment_any, "BACKGROUNDS_BYTES", 1)
    takes = [len(Backgrounds.of(SETTINGS, level_db=(-60, -20), takes=takes).takes) for takes in (64, 2, 1)]
    assert takes == [3, 3, 2], "and silence"


def test_noise_longer_than_the_longest_is_repeated(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(augment_any, "LONGEST_NOISE_S", 0.125)  # four hops
    _, noise = Backgrounds.of(SETTINGS, level_db=(-20, -20), takes=1).takes
    np.testing.assert_allclose(noise[2:10], noise[6:14], rtol=1e-4)
    assert not np.allclose(noise[2:6], noise[3:7], rtol=0.1)


def test_at_the_default_window_backgrounds_are_as_many_as_asked_for_and_in_one_order():
    settings = long(5)
    many, few = (Backgrounds.of(settings, level_db=(-60, -20), takes=takes).takes for takes in (64, 3))
    assert len(many) == 65
    np.testing.assert_array_equal(many[:4], few)


def test_decibels_get_what_is_for_decibels_and_nothing_else_does():
    assert isinstance(find_recipe("default").policy(SETTINGS), AnyPolicy)
    assert not isinstance(find_recipe("default").policy(load_settings()), AnyPolicy)
    with pytest.raises(TypeError, match="mel gives no decibels"):
        Scale.of(SETTINGS)


def test_masked_bands_keep_their_own_size(policy):
    """The loudest band's mean in a quiet band would be 16 orders of magnitude too much."""
    masked, _ = replace(policy, negatives=0, mixup_share=0, masks=3)(
        some(20), np.ones((20, 1), np.float32), np.random.default_rng(0)
    )
    size = np.abs(masked).max(axis=(0, 1)) / 10.0 ** np.arange(-8, 8)
    assert size.max() < 4
