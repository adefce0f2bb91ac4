"""Augmentation of features that are no decibels: cepstra, pitch classes, normalised energy, tables of features.

Sums of sounds, changes of level and shifts of pitch are no simple function of such values, so only what is valid on any
features is done to them::

    moved in time, end to beginning -> mixed with another row -> masks -> rows of backgrounds beside them

What leaves a row at one end comes in at the other and nothing is cut off: what silence reads there depends on the rest
of the window. Backgrounds are made as sound and go through the frontend itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hubbub.audio.frontends import get_frontend
from hubbub.audio.windows import window_grid
from hubbub.config import Settings
from hubbub.learn.augment import Features, Targets, add_negatives, mask, mixup, roll_frames

TILT_DB, BEND_DB = (-40.0, 15.0), (-10.0, 10.0)
"""Colours of backgrounds, as `hubbub.learn.augment.Noise` has them."""

BACKGROUNDS_BYTES = 64 * 2**20
"""Memory that backgrounds may take: 65 of 46 s at the default rate, hop and bands, fewer of longer ones."""

LONGEST_NOISE_S = 60.0
"""Longer noise is this much, repeated: its end fits its beginning, and what it takes to make it stays bounded."""

_CORNER_HZ = 700.0  # of the mel scale (O'Shaughnessy, 1987): below, bands are equally wide in hertz


@dataclass(frozen=True)
class Backgrounds:
    """What a frontend makes of quiet noise of many colours, and of digital silence."""

    takes: Features
    """float32 [take, frame, band]; the first is silence."""

    @classmethod
    def of(cls, settings: Settings, *, level_db: tuple[float, float], takes: int = 64, seed: int = 0) -> Backgrounds:
        """Make noise with an RMS between two levels in dBFS, and run it through the settings' own frontend.

        As many as `takes` of noise, or as fit `BACKGROUNDS_BYTES` together with silence, but two if more are asked for;
        no more than one waveform is held at a time.
        """
        frontend, rng = get_frontend(settings.frontend), np.random.default_rng(seed)
        length, rate = window_grid(settings, hop_s=settings.windows.input_s).window, settings.frontend.sample_rate
        silence = frontend(np.zeros(length, np.float32))
        takes = min(takes, max(2, BACKGROUNDS_BYTES // silence.nbytes - 1))
        features = np.empty((1 + takes, *silence.shape), silence.dtype)
        features[0] = silence
        for take in features[1:]:
            noise = _noise(rng, min(length, round(LONGEST_NOISE_S * rate)), rate, level_db)
            take[:] = frontend(np.resize(noise, length))
        return cls(features)

    def draw(self, n_rows: int, rng: np.random.Generator) -> Features:
        """float32 [row, frame, band]: one background a row, about one in eight of them silence."""
        which = rng.integers(1, len(self.takes), size=n_rows)
        which[rng.random(n_rows) < 0.125] = 0
        return roll_frames(self.takes[which], rng.integers(self.takes.shape[1], size=n_rows))


def _noise(
    rng: np.random.Generator, length: int, sample_rate: int, level_db: tuple[float, float]
) -> npt.NDArray[np.float32]:
    """Noise with a random tilt and bend along the mel scale, float32 [samples]."""
    hz = np.fft.rfftfreq(length, 1 / sample_rate)
    across = np.log1p(hz / _CORNER_HZ) / np.log1p(sample_rate / 2 / _CORNER_HZ) - 0.5
    eq_db = rng.uniform(*TILT_DB) * across + rng.uniform(*BEND_DB) * (4 * across**2 - 1 / 3)
    sound = np.fft.irfft(np.fft.rfft(rng.standard_normal(length)) * 10 ** (eq_db / 20), length)
    level = 10 ** (rng.uniform(*level_db) / 20)
    return (sound * (level / max(float(np.sqrt(np.mean(sound**2))), 1e-12))).astype(np.float32)


@dataclass(frozen=True)
class AnyPolicy:
    """Everything that is done to a training batch, and how much of it."""

    backgrounds: Backgrounds
    """Background noise, for rows without any label."""

    negatives: float = 0.0
    """Rows of background alone, whose targets are all 0, a row of the batch; they teach 'nothing'."""

    mixup_alpha: float = 0.4
    """Beta distribution of `mixup`; smaller: one of two rows prevails."""

    mixup_share: float = 1.0
    """Share of rows that `mixup` blends."""

    masks: int = 2
    """Masks along each axis; each covers bands with their own means."""

    widest_mask: float = 0.125
    """Widest mask, as a share of the axis."""

    def __call__(self, features: Features, targets: Targets, rng: np.random.Generator) -> tuple[Features, Targets]:
        """Augment a batch: float32 [row, frame, band] and [row, label]; negatives come after its rows."""
        features = roll_frames(features, rng.integers(features.shape[1], size=len(features)))
        features, targets = mixup(features, targets, rng, alpha=self.mixup_alpha, share=self.mixup_share)
        features = mask(features, rng, masks=self.masks, widest=self.widest_mask, by_band=True)
        return add_negatives(
            features, targets, share=self.negatives, draw=lambda count: self.backgrounds.draw(count, rng)
        )

    def draw_negatives(self, count: int, shape: tuple[int, ...], rng: np.random.Generator) -> Features:
        """float32 [row, frame, band]: backgrounds, which have the shape of a row."""
        return self.backgrounds.draw(count, rng)

    def for_validation(self) -> AnyPolicy:
        """What it is where a threshold is chosen: rows as they are, moved in time, and as many of background alone."""
        return replace(self, negatives=1.0, mixup_share=0.0, masks=0)
