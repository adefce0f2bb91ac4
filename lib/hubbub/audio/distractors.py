"""Synthetic sounds that belong to no class: voices, beeps, chirps, clicks, chords and bursts of noise.

A detector that has only met its own classes takes whatever is strange for one of them. These teach it otherwise
(N. Turpault et al., "Sound event detection in synthetic domestic environments", 2020, found such sounds to hurt most
where training lacks them). They are as simple as they can be while each has its kind's time and frequency structure.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy.signal import lfilter

from hubbub.audio.voices import make_voice

Samples = npt.NDArray[np.float32]


VOICE_WORDS = frozenset(
    "speech voice voices talk talking speaking conversation chatter crowd people man woman child children human "
    "shout shouting laughter laughing singing".split()
)
"""Words in a label for which voices are no sound of no class."""


def names_voice(label: str) -> bool:
    """Whether a label's name says that it is of people's voices."""
    return not VOICE_WORDS.isdisjoint(re.split(r"[^a-z]+", label.lower()))


def make_distractor(rng: np.random.Generator, *, duration_s: float, sample_rate: int, is_voice: bool) -> Samples:
    """Draw one sound of a random kind: a voice, or anything else.

    Returns
    -------
    samples
        float32 [sample], peak at 0.5.
    """
    length = max(1, round(duration_s * sample_rate))
    kind = make_voice if is_voice else _KINDS[int(rng.integers(len(_KINDS)))]
    sound = kind(rng, length, sample_rate)
    return (0.5 * sound / max(float(np.abs(sound).max()), 1e-9)).astype(np.float32)


def _resonate(sound: npt.NDArray[np.float64], hz: float, width_hz: float, rate: int) -> npt.NDArray[np.float64]:
    if hz > 0.45 * rate:
        return sound
    radius = np.exp(-np.pi * width_hz / rate)
    return lfilter([1 - radius], [1, -2 * radius * np.cos(2 * np.pi * hz / rate), radius**2], sound)


def _beeps(rng: np.random.Generator, length: int, rate: int) -> npt.NDArray[np.float64]:
    """A tone switched on and off."""
    hz = float(np.exp(rng.uniform(np.log(300), np.log(min(4000, 0.4 * rate)))))
    time_s = np.arange(length) / rate
    period_s, share = rng.uniform(0.1, 1.2), rng.uniform(0.2, 0.9)
    is_on = (time_s / period_s) % 1 < share
    tone = sum(np.sin(2 * np.pi * n * hz * time_s) / n**2 for n in (1, 2, 3) if n * hz < 0.45 * rate)
    return tone * _smooth(is_on.astype(np.float64), rate)


def _chirps(rng: np.random.Generator, length: int, rate: int) -> npt.NDArray[np.float64]:
    """Gliding whistles, as of birds and brakes."""
    sound = np.zeros(length)
    for _ in range(int(rng.integers(1, 12))):
        size = min(length, int(rng.uniform(0.05, 0.8) * rate))
        begin = int(rng.integers(0, length - size + 1))
        from_hz, to_hz = np.exp(rng.uniform(np.log(400), np.log(min(7000, 0.45 * rate)), 2))
        glide_hz = from_hz * (to_hz / from_hz) ** (np.arange(size) / size)
        if rng.random() < 0.4:
            glide_hz = glide_hz * (1 + 0.05 * np.sin(2 * np.pi * rng.uniform(10, 40) * np.arange(size) / rate))
        sound[begin : begin + size] += np.sin(2 * np.pi * np.cumsum(glide_hz) / rate) * np.hanning(size)
    return sound


def _clicks(rng: np.random.Generator, length: int, rate: int) -> npt.NDArray[np.float64]:
    """Knocks and rattles at irregular times."""
    sound = np.zeros(length)
    sound[rng.integers(0, length, size=int(rng.integers(2, 30)))] = rng.uniform(0.3, 1.0)
    return _resonate(sound, rng.uniform(200, min(3000, 0.4 * rate)), rng.uniform(100, 800), rate)


def _chords(rng: np.random.Generator, length: int, rate: int) -> npt.NDArray[np.float64]:
    """Struck notes together, as of an instrument."""
    sound = np.zeros(length)
    step = int(rng.uniform(0.15, 0.8) * rate)
    for begin in range(0, length, max(1, step)):
        for _ in range(int(rng.integers(1, 4))):
            hz = 110 * 2 ** (rng.integers(0, 40) / 12)
            for overtone in (1, 2, 3):
                if overtone * hz < 0.45 * rate:
                    keep = np.exp(-rng.uniform(2, 6) * overtone**0.5 / rate)
                    _add_note(sound[begin : begin + rate], 2 * np.pi * overtone * hz / rate, keep, 1 / overtone)
    return sound


@njit(cache=True, nogil=True)
def _add_note(sound: npt.NDArray[np.float64], turn: float, keep: float, level: float) -> None:
    """Add a sine that decays: each sample is the one before, turned and shrunk."""
    across, along = keep * np.sin(turn), keep * np.cos(turn)
    now, beside = 0.0, level
    for at in range(len(sound)):
        sound[at] += now
        now, beside = now * along + beside * across, beside * along - now * across


def _bursts(rng: np.random.Generator, length: int, rate: int) -> npt.NDArray[np.float64]:
    """Filtered noise that swells and stops: doors, brakes, passing cars."""
    noise, envelope = rng.standard_normal(length), np.zeros(length)
    for _ in range(int(rng.integers(1, 5))):
        size = min(length, int(rng.uniform(0.05, 2.5) * rate))
        begin = int(rng.integers(0, length - size + 1))
        rise = rng.uniform(0.02, 0.98)
        place = np.arange(size) / size
        envelope[begin : begin + size] += np.minimum(place / rise, (1 - place) / (1 - rise))
    for _ in range(int(rng.integers(1, 3))):
        noise = _resonate(noise, rng.uniform(100, 0.4 * rate), rng.uniform(100, 2000), rate)
    return noise * envelope


def _smooth(gate: npt.NDArray[np.float64], rate: int) -> npt.NDArray[np.float64]:
    width = max(1, round(0.005 * rate))
    return np.convolve(gate, np.ones(width) / width, mode="same")


_KINDS: tuple[Callable[[np.random.Generator, int, int], npt.NDArray[np.float64]], ...] = (
    _beeps,
    _chirps,
    _clicks,
    _chords,
    _bursts,
)
