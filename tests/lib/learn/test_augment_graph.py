"""Augmentation in the graph: repeatable, and each operation does what its namesake in NumPy does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hubbub.learn.dataset import Pass

tf = pytest.importorskip("tensorflow")

from hubbub.learn.augment_graph import GraphPolicy, mask, mixup, roll_frames  # noqa: E402
from hubbub.learn.tf_data import as_tf_data  # noqa: E402

ROUNDING = 1e-5
"""What float32 sums may differ by."""

FEATURES = np.random.default_rng(0).normal(size=(64, 24, 16)).astype(np.float32)
SEED = tf.constant([7, 8])


def test_rows_are_rolled_whole_and_each_by_its_own_number():
    rolled = roll_frames(tf.constant(FEATURES), SEED).numpy()
    by = [next(n for n in range(24) if np.array_equal(np.roll(a, n, 0), b)) for a, b in zip(FEATURES, rolled)]  # noqa: B905
    assert len(set(by)) > 12


def test_mixup_blends_targets_as_features_and_the_larger_part_stays():
    targets = np.eye(64, dtype=np.float32)
    features, blended = (part.numpy() for part in mixup(FEATURES, targets, SEED, alpha=0.4, share=0.5))
    np.testing.assert_allclose(features, np.einsum("ij,jfb->ifb", blended, FEATURES), atol=ROUNDING)
    np.testing.assert_allclose(blended.sum(axis=1), 1, atol=ROUNDING)
    assert (np.diag(blended) >= 0.5).all()
    assert 16 < (np.diag(blended) == 1).sum() < 48  # of the half that is left alone


def test_masks_cover_whole_frames_and_bands_with_the_bands_means():
    masked = mask(FEATURES, SEED, masks=2, widest=0.25).numpy()
    covered = masked != FEATURES
    mean = np.broadcast_to(FEATURES.mean(axis=1, keepdims=True), FEATURES.shape)
    np.testing.assert_allclose(masked[covered], mean[covered], atol=ROUNDING)
    frames, bands = covered.all(axis=2), covered.all(axis=1)
    np.testing.assert_array_equal(covered, frames[:, :, None] | bands[:, None, :])
    assert 0 < frames.sum(axis=1).max() <= 2 * 6
    assert 0 < bands.sum(axis=1).max() <= 2 * 4
    np.testing.assert_array_equal(mask(FEATURES, SEED, masks=0, widest=0.25), FEATURES)


def test_seed_epoch_and_batch_decide_from_any_position_on(tiny_store):
    rows = tiny_store.rows()["row"].to_numpy()

    def served(first_batch=0, **changes):
        one = replace(Pass(tiny_store, rows, rows % 3, batch_rows=5, seed=3), **changes)
        dataset = as_tf_data(one, n_labels=3, in_graph=GraphPolicy(), first_batch=first_batch)
        return [features for features, _ in dataset.as_numpy_iterator()]

    whole = served()
    for one, other in zip(served(2), whole[2:], strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(whole[0], served(epoch=1)[0])
    assert not np.array_equal(whole[0], served(seed=4)[0])
