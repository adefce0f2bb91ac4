"""What lies under the events of a scene: noise of any colour that comes and goes, or recordings of the user's own.

Everything here is power, float32 [frame, band], of any level: whoever mixes sets that.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hubbub.audio.distractors import make_distractor
from hubbub.audio.frontends import Frontend, get_frontend
from hubbub.audio.noise import draw_colour
from hubbub.config import Settings
from hubbub.learn.augment import Features, Scale

_BANK, _BANK_S = 8, 20.0  # takes of white noise, and the seconds of each
_DISTRACTORS, _DISTRACTOR_S = 320, 4.0  # voices, and as many other sounds
_TO_POWER = math.log(10) / 10


@dataclass(frozen=True)
class Backgrounds:
    """Where backgrounds come from."""

    noise: Features
    """float32 [take, frame, band], power of white noise that went through the frontend."""

    frame_s: float
    """Seconds from one frame to the next."""

    band_hz: npt.NDArray[np.float64]
    """float64 [band], the middles of the bands."""

    recorded: tuple[Features, ...] = ()
    """Power of recordings without events, each float32 [frame, band]."""

    recorded_share: float = 0.6
    """Share of backgrounds that are recorded, where there are recordings."""

    tilt_db: tuple[float, float] = (-45.0, 12.0)
    """From the lowest to the highest band: from rumble to hiss."""

    @classmethod
    def of(cls, settings: Settings, *, seed: int = 0) -> Backgrounds:
        """Run white noise through the settings' own frontend, without its floor."""
        frontend = open_frontend(settings)
        rng, rate = np.random.default_rng(seed), settings.frontend.sample_rate
        takes = [frontend(rng.standard_normal(round(_BANK_S * rate)).astype(np.float32)) for _ in range(_BANK)]
        power = np.exp(np.float32(_TO_POWER) * np.stack(takes))
        return cls(power, settings.frontend.hop_samples / rate, np.asarray(frontend.band_hz, np.float64))

    def white_level(self, settings: Settings) -> float:
        """Level that `weigh_bands` gives white noise with an RMS of 1."""
        weight = weigh_bands(get_frontend(settings.frontend).band_hz, settings.frontend.name)
        return float((self.noise @ weight).mean())

    def draw(self, n_frames: int, rng: np.random.Generator) -> Features:
        """One background, float32 [frame, band]."""
        if self.recorded and rng.random() < self.recorded_share:
            return self._vary(_tile(self.recorded, n_frames, rng), 2.0, rng)
        noise = _tile(self.noise, n_frames, rng)
        noise = noise * np.exp(_TO_POWER * self._draw_colour(rng)).astype(np.float32)
        if rng.random() < 0.2:  # a hum, of a fan or of the mains
            noise[:, int(rng.integers(noise.shape[1]))] *= np.float32(10 ** rng.uniform(0.5, 2.0))
        return self._vary(noise, rng.uniform(0.0, 5.0), rng) if rng.random() < 0.7 else noise

    def _draw_colour(self, rng: np.random.Generator) -> npt.NDArray[np.float64]:
        """float64 [band], dB: half of them as soundscapes have it, half of other shapes."""
        if rng.random() < 0.5:
            return draw_colour(rng, self.band_hz)
        across = np.linspace(-0.5, 0.5, len(self.band_hz))
        curve = rng.uniform(*self.tilt_db) * across + rng.uniform(-10, 10) * (4 * across**2 - 1 / 3)
        return curve + _smooth_curve(len(across), 8, 4.0, rng)

    def _vary(self, power: Features, spread_db: float, rng: np.random.Generator) -> Features:
        """Let a background come and go, its low and high bands apart, as wind and traffic do."""
        seconds = len(power) * self.frame_s
        points = max(2, int(seconds / rng.uniform(0.3, 4.0)) + 1)
        at = np.linspace(0, points - 1, len(power))
        low, high = (np.interp(at, np.arange(points), rng.normal(0, spread_db, points)) for _ in range(2))
        if rng.random() < 0.25:  # a car goes by
            middle, width = rng.uniform(0, len(power)), rng.uniform(0.5, 3.0) / self.frame_s
            low = low + rng.uniform(5, 15) * np.exp(-0.5 * ((np.arange(len(power)) - middle) / width) ** 2)
        share = np.linspace(0, 1, power.shape[1])
        gain_db = low[:, None] * (1 - share) + high[:, None] * share
        return power * np.exp(_TO_POWER * gain_db).astype(np.float32)


def open_frontend(settings: Settings) -> Frontend:
    """Return the frontend without a floor or a peak of its own; for decibels."""
    return get_frontend(settings.frontend.model_copy(update={"top_db": None}))


@lru_cache(maxsize=4)
def make_distractors(
    settings: Settings, *, are_voices: bool, count: int | None = None, seed: int = 0
) -> npt.NDArray[np.float16]:
    """Synthetic sounds of no class as the frontend shows them, float16 [sound, frame, band] in its decibels."""
    frontend, rate = open_frontend(settings), settings.frontend.sample_rate
    silence_db = np.float32(Scale.of(settings).silence_db)

    def make(number: int) -> npt.NDArray[np.float16]:
        rng = np.random.default_rng([seed, 1 + are_voices, number])
        sound = make_distractor(rng, duration_s=_DISTRACTOR_S, sample_rate=rate, is_voice=are_voices)
        return np.maximum(frontend(sound), silence_db).astype(np.float16)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        made = np.stack(list(threads.map(make, range(_DISTRACTORS if count is None else count))))
    made.flags.writeable = False  # kept for the next training of this process
    return made


def weigh_bands(band_hz: npt.NDArray[np.float64], frontend: str) -> npt.NDArray[np.float32]:
    """What each band's power counts in a frame's level, float32 [band]; the weights' mean is 1.

    Mel bands are normalised by their width (Slaney), so that a wide one stands for more power than it shows.
    """
    if frontend != "log-mel" or len(band_hz) < 2:
        return np.ones(len(band_hz), np.float32)
    width = np.gradient(band_hz)
    return (width / width.mean()).astype(np.float32)


def _smooth_curve(n_bands: int, points: int, spread_db: float, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    return np.interp(np.linspace(0, points - 1, n_bands), np.arange(points), rng.normal(0, spread_db, points))


def _tile(takes: Features | Sequence[Features], n_frames: int, rng: np.random.Generator) -> Features:
    """Frames of one take from a random one on, round and round."""
    take = takes[int(rng.integers(len(takes)))]
    return take[(int(rng.integers(len(take))) + np.arange(n_frames)) % len(take)]
