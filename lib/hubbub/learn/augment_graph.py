"""Augmentation inside a TensorFlow graph, for any features, drawn from stateless seeds.

The same operations as in `hubbub.learn.augment`, with TensorFlow's own draws in place of NumPy's: equal in kind and
share, not row by row. The recipes' policies stay the NumPy ones, which train alike on every backend; this is for
pipelines of one's own, where augmentation must not touch Python::

    as_tf_data(one, n_labels=10, in_graph=GraphPolicy())
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class GraphPolicy:
    """Rows moved in time, mixed with one another, then masked. Fields as `hubbub.learn.augment.Policy` has them."""

    mixup_alpha: float = 0.4
    """Beta distribution of `mixup`; smaller: one of two rows prevails."""

    mixup_share: float = 1.0
    """Share of rows that `mixup` blends."""

    masks: int = 2
    """Masks along each axis."""

    widest_mask: float = 0.125
    """Widest mask, as a share of the axis."""

    def __call__(self, features: Any, targets: Any, seed: Any) -> tuple[Any, Any]:
        """Augment a batch: float32 [row, frame, band] and [row, label]; `seed` is int32 [2], another for each batch."""
        import tensorflow as tf

        seeds = tf.unstack(tf.random.split(seed, 3))
        features = roll_frames(features, seeds[0])
        features, targets = mixup(features, targets, seeds[1], alpha=self.mixup_alpha, share=self.mixup_share)
        return mask(features, seeds[2], masks=self.masks, widest=self.widest_mask), targets


def roll_frames(features: Any, seed: Any) -> Any:
    """Move each row in time by a number of frames of its own; what leaves at one end comes in at the other."""
    import tensorflow as tf

    n_rows, n_frames = tf.shape(features)[0], tf.shape(features)[1]
    by = tf.random.stateless_uniform([n_rows, 1], seed, 0, n_frames, tf.int32)
    return tf.gather(features, (tf.range(n_frames)[None, :] - by) % n_frames, batch_dims=1)


def mixup(features: Any, targets: Any, seed: Any, *, alpha: float, share: float) -> tuple[Any, Any]:
    """Blend rows, and their targets, with those of other rows of the batch; the larger part keeps its place.

    H. Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018.
    """
    import tensorflow as tf

    n_rows = tf.shape(features)[0]
    seeds = tf.unstack(tf.random.split(seed, 3))
    other = tf.argsort(tf.random.stateless_uniform([n_rows], seeds[0]))
    # Beta(a, a) is G / (G + H) of two draws of Gamma(a); both may round to 0.
    gammas = tf.random.stateless_gamma([2, n_rows], seeds[1], alpha) + 1e-30
    part = gammas[0] / (gammas[0] + gammas[1])
    blended = tf.random.stateless_uniform([n_rows], seeds[2]) < share
    part = tf.where(blended, tf.maximum(part, 1 - part), 1.0)
    wide = part[:, None, None]
    mixed = wide * features + (1 - wide) * tf.gather(features, other)
    return mixed, part[:, None] * targets + (1 - part[:, None]) * tf.gather(targets, other)


def mask(features: Any, seed: Any, *, masks: int, widest: float) -> Any:
    """Cover some bands and some frames of each row, each band with its own mean.

    D. S. Park et al., "SpecAugment: A Simple Data Augmentation Method for Automatic Speech Recognition", 2019.
    """
    import tensorflow as tf

    shape = tf.shape(features)
    covered = tf.zeros(shape, tf.bool)
    for one in tf.unstack(tf.random.split(seed, masks)) if masks else []:
        frames, bands = tf.unstack(tf.random.split(one, 2))
        covered |= _stretches(frames, shape[0], shape[1], widest)[:, :, None]
        covered |= _stretches(bands, shape[0], shape[2], widest)[:, None, :]
    return tf.where(covered, tf.reduce_mean(features, axis=1, keepdims=True), features)


def _stretches(seed: Any, n_rows: Any, length: Any, widest: float) -> Any:
    """Bool [row, length]: one stretch a row, of random width and place."""
    import tensorflow as tf

    drawn = tf.random.stateless_uniform([2, n_rows, 1], seed)
    whole = tf.cast(length, tf.float32)
    width = tf.floor(drawn[0] * (tf.floor(widest * whole) + 1))
    begin = tf.floor(drawn[1] * (whole - width + 1))
    place = tf.range(whole)[None, :]
    return (place >= begin) & (place < begin + width)
