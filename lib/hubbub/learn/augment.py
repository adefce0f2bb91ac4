"""Augmentation of spectrograms in decibels, drawn anew for every batch.

`hubbub.learn.augment_any` is for what other frontends make.

Each function takes features, float32 [row, frame, band], and a NumPy generator, and returns new arrays. `Policy` puts
them in the order in which sound would meet them::

    cut off, moved in time -> louder or softer -> random EQ, higher or lower
    -> mixed with another row -> noise around it -> the frontend's floor -> masks
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from hubbub.audio.frontends import get_frontend
from hubbub.audio.windows import window_grid
from hubbub.config import Settings
from hubbub.config.frontends import Decibels

Features = npt.NDArray[np.float32]
Targets = npt.NDArray[np.float32]
ACTIVE_DB = 40.0
"""A frame is active where its loudest band is within this of the row's loudest."""


class Augmentation(Protocol):
    """What a recipe does to training batches."""

    def __call__(self, features: Features, targets: Targets, rng: np.random.Generator) -> tuple[Features, Targets]:
        """Augment a batch: float32 [row, frame, band] and [row, label]; negatives may come after its own rows."""

    def for_validation(self) -> Augmentation:
        """What it is where a threshold is chosen: rows stay what they are, among and beside backgrounds."""


@dataclass(frozen=True)
class Scale:
    """Where a frontend's decibels begin and end, so that augmented rows look as if it had made them."""

    silence_db: float
    """What digital silence reads."""

    top_db: float | None
    """Floor below each window's peak; None for none."""

    ref_db: float
    """What a power of 1 is compared with; 0 where the reference is each window's own peak."""

    peak_is_zero: bool
    """Whether each window's peak reads 0 dB."""

    @classmethod
    def of(cls, settings: Settings) -> Scale:
        """Read the scale off a frontend's settings; those of one that gives no decibels are a TypeError."""
        frontend = settings.frontend
        if not (frontend.is_db and isinstance(frontend, Decibels)):
            raise TypeError(f"{frontend.name} gives no decibels")
        peak_is_zero = frontend.ref == "max"
        ref_db = 0.0 if peak_is_zero else 10 * math.log10(max(frontend.amin, float(frontend.ref)))
        return cls(10 * math.log10(frontend.amin) - ref_db, frontend.top_db, ref_db, peak_is_zero)

    def apply(self, features: Features) -> Features:
        """Raise what lies below the floor to it, as the frontend would."""
        floored = np.maximum(features, np.float32(self.silence_db))
        peak = floored.max(axis=(1, 2), keepdims=True)
        if self.top_db is not None:
            floored = np.maximum(floored, peak - np.float32(self.top_db))
        return floored - peak if self.peak_is_zero else floored


@dataclass(frozen=True)
class Noise:
    """Quiet backgrounds: white noise that went through the frontend, then coloured and levelled in decibels."""

    bank: Features
    """float32 [take, frame, band], dB of noise with an RMS of 1 (0 dBFS)."""

    level_db: tuple[float, float]
    """Softest and loudest RMS, dBFS."""

    tilt_db: tuple[float, float] = (-40.0, 15.0)
    """From the lowest to the highest band, about: from rumble to hiss."""

    bend_db: tuple[float, float] = (-10.0, 10.0)
    """How far the middle bands lie below (positive) or above the outer ones."""

    @classmethod
    def of(cls, settings: Settings, *, level_db: tuple[float, float], takes: int = 16, seed: int = 0) -> Noise:
        """Run white noise through the settings' own frontend, without its floor."""
        scale = Scale.of(settings)
        frontend = get_frontend(settings.frontend.model_copy(update={"top_db": None, "ref": 1.0}))
        rng = np.random.default_rng(seed)
        length = window_grid(settings, hop_s=settings.windows.input_s).window
        bank = [frontend(rng.standard_normal(length).astype(np.float32)) for _ in range(takes)]
        return cls(np.stack(bank) - np.float32(scale.ref_db), level_db)

    def draw(self, n_rows: int, rng: np.random.Generator) -> Features:
        """float32 [row, frame, band]: one background a row."""
        takes = self.bank[rng.integers(len(self.bank), size=n_rows)]
        turned = roll_frames(takes, rng.integers(takes.shape[1], size=n_rows))
        across = np.linspace(-0.5, 0.5, takes.shape[2])
        tilt, bend = (rng.uniform(*span, n_rows)[:, None] for span in (self.tilt_db, self.bend_db))
        # The louder end sets the perceived level, so a tilt lowers the rest instead of raising one end.
        random_eq = tilt * across + bend * (4 * across**2 - 1 / 3)
        random_eq += rng.uniform(*self.level_db, n_rows)[:, None] - random_eq.max(axis=1, keepdims=True)
        return turned + random_eq.astype(np.float32)[:, None, :]


def roll_frames(features: Features, by: npt.NDArray[np.integer]) -> Features:
    """Move each row in time by its own number of frames; what leaves at one end comes in at the other."""
    moved = np.empty_like(features)
    # Slices of one row are copied whole, several times as fast as an index for each value.
    for row, into, frames in zip(features, moved, np.asarray(by) % features.shape[1], strict=True):
        into[frames:] = row[: len(row) - frames]
        into[:frames] = row[len(row) - frames :]
    return moved


def shift_time(
    features: Features, rng: np.random.Generator, *, cut_share: float, silence_db: float
) -> tuple[Features, npt.NDArray[np.float32]]:
    """Move each row in time; in some rows what leaves is lost, as where a window meets a sound half-way.

    Returns
    -------
    features
        Moved. Where nothing came in there is `silence_db`.
    kept
        float32 [row], how much of the row is still there to be recognised: 1 down to 0, half where half of its
        sounding frames are left. A window whose centre has just passed the sound's edge then scores about half.
    """
    n_rows, n_frames = features.shape[:2]
    is_cut = np.less(rng.random(n_rows), cut_share)
    by = rng.integers(-n_frames + 1, n_frames, size=n_rows)
    frame = np.arange(n_frames)[None, :] - by[:, None]
    came_in = is_cut[:, None] & ((frame < 0) | (frame >= n_frames))
    moved = roll_frames(features, by)
    loudest: npt.NDArray[np.float32] = moved.max(axis=2)
    sounding = loudest > loudest.max(axis=1, keepdims=True) - ACTIVE_DB
    share = (sounding & ~came_in).sum(axis=1) / np.maximum(sounding.sum(axis=1), 1)
    moved[came_in] = silence_db
    return moved, np.clip((share - 0.3) / 0.4, 0.0, 1.0).astype(np.float32)


def random_eq(features: Features, rng: np.random.Generator, *, spread_db: float, points: int = 5) -> Features:
    """Raise and lower bands along a smooth random curve, as another microphone or another room would.

    H. Nam et al., "FilterAugment: An Acoustic Environmental Data Augmentation Method", 2022.

    Parameters
    ----------
    spread_db
        Standard deviation at each of the curve's points.
    points
        Points of the curve, from the lowest to the highest band; between them it is straight.
    """
    at = rng.normal(0.0, spread_db, (len(features), points))
    place = np.linspace(0, points - 1, features.shape[2])
    left = np.minimum(place.astype(int), points - 2)
    weight = place - left
    curve = at[:, left] * (1 - weight) + at[:, left + 1] * weight
    return features + curve[:, None, :].astype(np.float32)


def shift_frequency(features: Features, rng: np.random.Generator, *, furthest: int) -> Features:
    """Move each row up or down by up to `furthest` bands, the outermost band filling in: about a change of pitch."""
    by = rng.integers(-furthest, furthest + 1, size=len(features))
    moved = np.empty_like(features)
    for row, into, bands in zip(features, moved, by, strict=True):
        up, down = max(bands, 0), max(-bands, 0)
        n_kept = max(row.shape[1] - up - down, 0)
        into[:, up : up + n_kept] = row[:, down : down + n_kept]
        into[:, :up], into[:, up + n_kept :] = row[:, :1], row[:, -1:]
    return moved


def mixup(
    features: Features,
    targets: npt.NDArray[np.float32],
    rng: np.random.Generator,
    *,
    alpha: float,
    share: float,
) -> tuple[Features, npt.NDArray[np.float32]]:
    """Blend rows, and their targets, with those of other rows of the batch.

    H. Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018; here the larger part keeps its place.
    """
    n_rows = len(features)
    other = rng.permutation(n_rows)
    part = rng.beta(alpha, alpha, n_rows)
    part = np.where(rng.random(n_rows) < share, np.maximum(part, 1 - part), 1.0)
    return _blend(features, features[other], part), _blend(targets, targets[other], part)


def _blend(
    one: npt.NDArray[np.float32], other: npt.NDArray[np.float32], part: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    weight = part.astype(np.float32).reshape(-1, *[1] * (one.ndim - 1))
    return weight * one + (np.float32(1) - weight) * other


def add_power(one_db: Features, other_db: Features) -> Features:
    """The sum of two powers given in dB: two sounds at once, their phases unrelated."""
    scale = np.float32(math.log(10) / 10)
    return np.maximum(one_db, other_db) + np.log1p(np.exp(-scale * np.abs(one_db - other_db))) / scale


def mask(features: Features, rng: np.random.Generator, *, masks: int, widest: float, by_band: bool = False) -> Features:
    """Cover some bands and some frames of each row with its mean.

    D. S. Park et al., "SpecAugment: A Simple Data Augmentation Method for Automatic Speech Recognition", 2019.

    Parameters
    ----------
    masks
        How many along each axis.
    widest
        Widest mask as a share of the axis, 0 to 1.
    by_band
        Cover each band with its own mean: bands have units of their own.
    """
    n_rows, n_frames, n_bands = features.shape
    mean = features.mean(axis=1 if by_band else (1, 2), keepdims=True)
    covered = np.zeros(features.shape, bool)
    for _ in range(masks):
        covered |= _stretches(rng, n_rows, n_frames, widest)[:, :, None]
        covered |= _stretches(rng, n_rows, n_bands, widest)[:, None, :]
    return np.where(covered, mean, features)


def add_negatives(
    features: Features,
    targets: Targets,
    *,
    share: float,
    draw: Callable[[int], Features],
) -> tuple[Features, Targets]:
    """Append negatives to a batch: rows of background alone, whose targets are all 0.

    Parameters
    ----------
    share
        How many, a row of the batch; rounded up.
    draw
        Makes that many, float32 [row, frame, band].
    """
    count = math.ceil(share * len(features))
    if not count:
        return features, targets
    nothing = np.zeros((count, targets.shape[1]), np.float32)
    return np.concatenate([features, draw(count)]), np.concatenate([targets, nothing])


def _stretches(rng: np.random.Generator, n_rows: int, length: int, widest: float) -> npt.NDArray[np.bool_]:
    """Bool [row, length]: one stretch a row, of random width and place."""
    width = rng.integers(0, int(widest * length) + 1, size=n_rows)
    begin = rng.integers(0, length - width + 1)
    place = np.arange(length)[None, :]
    return (place >= begin[:, None]) & (place < (begin + width)[:, None])


@dataclass(frozen=True)
class Policy:
    """Everything that is done to a training batch, and how much of it."""

    scale: Scale
    """The frontend's decibels."""

    noise: Noise | None = None
    """Backgrounds; None for none."""

    noisy_share: float = 0.3
    """Share of rows that get one, softer than themselves."""

    noise_below_db: float = 12.0
    """How far a background's peak stays below its row's peak, at least."""

    negatives: float = 0.0
    """Rows of background or silence alone, whose targets are all 0, a row of the batch; they teach 'nothing'."""

    gain_db: tuple[float, float] = (0.0, 0.0)
    """Softest and loudest change of level."""

    cut_share: float = 0.0
    """Share of rows that `shift_time` cuts off."""

    eq_db: float = 0.0
    """Spread of `random_eq`."""

    max_band_shift: int = 0
    """Bands that `shift_frequency` moves a row by, at most."""

    mixup_alpha: float = 0.4
    """Beta distribution of `mixup`; smaller: one of two rows prevails."""

    mixup_share: float = 1.0
    """Share of rows that `mixup` blends."""

    masks: int = 2
    """Masks along each axis."""

    widest_mask: float = 0.125
    """Widest mask, as a share of the axis."""

    def __call__(self, features: Features, targets: Targets, rng: np.random.Generator) -> tuple[Features, Targets]:
        """Augment a batch: float32 [row, frame, band] and [row, label]; negatives come after its rows."""
        features, kept = shift_time(features, rng, cut_share=self.cut_share, silence_db=self.scale.silence_db)
        features = features + rng.uniform(*self.gain_db, (len(features), 1, 1)).astype(np.float32)
        features = random_eq(features, rng, spread_db=self.eq_db)
        features = shift_frequency(features, rng, furthest=self.max_band_shift)
        features, targets = mixup(
            features, targets * kept[:, None], rng, alpha=self.mixup_alpha, share=self.mixup_share
        )
        if self.noise is not None:
            features = self._among_noise(features, self.noise, rng)
        features = mask(self.scale.apply(features), rng, masks=self.masks, widest=self.widest_mask)
        shape = features.shape[1:]
        return add_negatives(
            features, targets, share=self.negatives, draw=lambda count: self.draw_negatives(count, shape, rng)
        )

    def for_validation(self) -> Policy:
        """What it is where a threshold is chosen: every row among quiet noise, and as many of noise alone."""
        return replace(self, noisy_share=1.0, negatives=1.0, mixup_share=0.0, masks=0, eq_db=0.0, max_band_shift=0)

    def _among_noise(self, features: Features, noise: Noise, rng: np.random.Generator) -> Features:
        chosen = np.flatnonzero(rng.random(len(features)) < self.noisy_share)
        if not len(chosen):
            return features
        background, rows = noise.draw(len(chosen), rng), features[chosen]
        peak, loudest = (part.max(axis=(1, 2), keepdims=True) for part in (rows, background))
        background -= np.maximum(loudest - (peak - np.float32(self.noise_below_db)), 0)
        features = features.copy()
        features[chosen] = add_power(rows, background)
        return features

    def draw_negatives(self, count: int, shape: tuple[int, ...], rng: np.random.Generator) -> Features:
        """float32 [row, frame, band]: backgrounds, or silence where there are none; `shape` is [frame, band]."""
        silence_db = self.scale.silence_db
        quiet = np.full((count, *shape), silence_db, np.float32) if self.noise is None else self.noise.draw(count, rng)
        # One in eight is digital silence, which noise alone would not teach.
        quiet[rng.random(count) < 0.125] = silence_db
        return self.scale.apply(quiet)
