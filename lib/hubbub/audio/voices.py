"""Voices that say nothing: a formant synthesiser of random syllables, for what a detector should not take for an event.

Parameters run in frames of 5 ms: how strongly the glottis sounds and the breath hisses, three formants, and the noise
of stops and fricatives; the formants above the third stand still. After D. H. Klatt, "Software for a cascade/parallel
formant synthesizer", 1980; the formants of vowels are those of G. E. Peterson and H. L. Barney, "Control methods used
in a study of the vowels", 1952.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import soxr
from numba import njit
from scipy.signal import lfilter

Floats = npt.NDArray[np.float64]
Formants = tuple[float, float, float]

STEP_S = 0.005
VOWELS_HZ = (
    (270, 2290, 3010),
    (390, 1990, 2550),
    (530, 1840, 2480),
    (660, 1720, 2410),
    (730, 1090, 2440),
    (570, 840, 2410),
    (440, 1020, 2240),
    (300, 870, 2240),
    (640, 1190, 2390),
    (490, 1350, 1690),
)
WIDTHS_HZ = (70.0, 110.0, 170.0)
FOURTH_HZ, SPACING_HZ = 3500.0, 1000.0
"""Of the formants above the third, in a tract of 17 cm that is open at one end."""

SPOKEN_AT_HZ = (8000, 11_025, 16_000, 22_050, 32_000)
"""Sample rates that a voice may be made at, where they are below that of the recording."""

_STOP, _AFFRICATE, _FRICATIVE, _NASAL, _BREATH, _NONE = range(6)
ONSET_SHARES = (0.28, 0.07, 0.28, 0.17, 0.06, 0.14)
CODA_SHARES = (0.25, 0.05, 0.3, 0.4, 0.0, 0.0)
"""Shares of kinds of consonants before and after a vowel."""

SMOOTH_STEPS = 8
"""Formants take some 40 ms from one sound to the next."""


@dataclass
class _Tracks:
    """Parameters, a value a step."""

    voicing: list[float] = field(default_factory=list)
    breath: list[float] = field(default_factory=list)
    noise: list[float] = field(default_factory=list)
    noise_hz: list[float] = field(default_factory=list)
    formants: list[Formants] = field(default_factory=list)

    def add(
        self,
        seconds: float,
        formants: Formants,
        *,
        voicing: float = 0.0,
        breath: float = 0.0,
        noise: float = 0.0,
        noise_hz: float = 3000.0,
    ) -> None:
        steps = max(1, round(seconds / STEP_S))
        self.voicing += [voicing] * steps
        self.breath += [breath] * steps
        self.noise += [noise] * steps
        self.noise_hz += [noise_hz] * steps
        self.formants += [formants] * steps


def make_voice(rng: np.random.Generator, length: int, rate: int) -> Floats:
    """Let a random speaker utter random syllables in phrases, with the bandwidth of a telephone, a radio or a recorder.

    Parameters
    ----------
    length
        Samples.
    rate
        Hz; formants above what it can hold are left out.

    Returns
    -------
    samples
        float64 [sample], at no particular level.
    """
    spoken_at = [one for one in SPOKEN_AT_HZ if one < rate] + [rate]
    own_rate = int(rng.choice(spoken_at))
    own_length = -(-length * own_rate // rate)
    voice = _add_echo(rng, _speak(rng, own_length, own_rate), own_rate)
    if own_rate == rate:
        return voice
    heard = soxr.resample(voice, own_rate, rate, quality="MQ")[:length]
    return np.pad(heard, (0, length - len(heard)))


def _speak(rng: np.random.Generator, length: int, rate: int) -> Floats:
    steps = int(np.ceil(length / rate / STEP_S)) + 1
    tract = rng.uniform(0.85, 1.3)
    tracks = _draw_tracks(rng, steps, tract)
    step = round(STEP_S * rate)
    formants = _smooth(np.array(tracks.formants[:steps]), SMOOTH_STEPS)
    voicing, breath, noise = (
        np.repeat(_smooth(np.array(track[:steps])[:, None], 3)[:, 0], step)[:length]
        for track in (tracks.voicing, tracks.breath, tracks.noise)
    )
    voicing, breath, noise = (np.pad(track, (0, length - len(track))) for track in (voicing, breath, noise))
    source = voicing * _glottis(rng, length, rate, steps, step) + 0.15 * breath * rng.standard_normal(length)
    spoken = source
    for number, width_hz in enumerate(WIDTHS_HZ):
        spoken = _resonate(spoken, formants[:, number], width_hz, rate, step)
    for number in range(int(rng.integers(2, 8))):
        centre_hz = tract * (FOURTH_HZ + SPACING_HZ * number) * rng.uniform(0.95, 1.05)
        spoken = _resonate(spoken, np.full(1, centre_hz), rng.uniform(150, 500), rate, length)
    spoken = np.diff(spoken, prepend=0.0)  # the lips
    width_hz = rng.uniform(1000, 4000)
    hiss = _resonate(noise * rng.standard_normal(length), np.array(tracks.noise_hz[:steps]), width_hz, rate, step)
    hiss = np.diff(hiss, prepend=0.0)
    loud = rng.uniform(0.1, 0.6)
    return spoken / max(np.abs(spoken).max(), 1e-9) + loud * hiss / max(np.abs(hiss).max(), 1e-9)


def _add_echo(rng: np.random.Generator, voice: Floats, rate: int) -> Floats:
    """Add an echo to three of ten voices, as a loudspeaker or a wall does."""
    late = round(rng.uniform(0.05, 0.25) * rate)
    if rng.random() < 0.7 or late >= len(voice):
        return voice
    echo = np.concatenate([np.zeros(late), voice[: len(voice) - late]])
    return voice + rng.uniform(0.05, 0.4) * echo


def _draw_tracks(rng: np.random.Generator, steps: int, tract: float) -> _Tracks:
    breathy = rng.uniform(0.0, 0.4) if rng.random() < 0.85 else 1.0  # some whisper
    speaker = _Speaker(rng, _Tracks(), tract, rng.uniform(0.6, 1.5), breathy)
    while len(speaker.tracks.voicing) < steps:
        for _ in range(int(rng.integers(0, 13))):
            speaker.utter_syllable(speaker.pace, coda_share=0.35)
        speaker.utter_syllable(speaker.pace * rng.uniform(1.0, 2.0), coda_share=0.7)  # the last of a phrase is longer
        speaker.tracks.add(rng.uniform(0.1, 1.2), (500, 1500, 2500))
    return speaker.tracks


@dataclass
class _Speaker:
    """Who speaks, and what has been said so far."""

    rng: np.random.Generator
    tracks: _Tracks
    tract: float
    pace: float
    breathy: float

    def utter_syllable(self, pace: float, *, coda_share: float) -> None:
        """Consonants or none, a vowel or two, sometimes consonants after it."""
        rng = self.rng
        loud = rng.uniform(0.4, 1.0)
        vowel = _draw_vowel(rng, self.tract)
        if rng.random() < 0.15:  # a cluster, as in "street"
            self._utter(_FRICATIVE, vowel, pace, loud)
        self._utter(rng.choice(len(ONSET_SHARES), p=ONSET_SHARES), vowel, pace, loud)
        self._utter_vowel(vowel, pace * rng.uniform(0.06, 0.18), loud)
        if rng.random() < 0.3:
            vowel = _draw_vowel(rng, self.tract)
            self._utter_vowel(vowel, pace * rng.uniform(0.05, 0.12), loud)
        while rng.random() < coda_share:
            loud, coda_share = 0.7 * loud, 0.2
            self._utter(rng.choice(len(CODA_SHARES), p=CODA_SHARES), vowel, pace, loud)

    def _voiced(self, loud: float) -> float:
        return 0.0 if self.breathy == 1.0 else loud

    def _utter_vowel(self, vowel: Formants, seconds: float, loud: float) -> None:
        self.tracks.add(seconds, vowel, voicing=self._voiced(loud), breath=self.breathy * loud)

    def _utter(self, kind: int, vowel: Formants, pace: float, loud: float) -> None:
        """One consonant beside a vowel, or none."""
        rng, tracks, voiced = self.rng, self.tracks, self._voiced(loud)
        if kind in (_STOP, _AFFRICATE):  # closed, then a burst, then breath or hiss
            bar = 0.15 * voiced if rng.random() < 0.5 else 0.0
            tracks.add(pace * rng.uniform(0.03, 0.08), (250, vowel[1], vowel[2]), voicing=bar)
            place_hz = float(rng.choice([800, 1800, 4200]) * rng.uniform(0.85, 1.2))
            tracks.add(rng.uniform(0.005, 0.02), vowel, noise=loud, noise_hz=place_hz)
            if kind == _STOP and bar == 0.0:
                tracks.add(pace * rng.uniform(0.01, 0.06), vowel, breath=0.8 * loud)
        if kind in (_FRICATIVE, _AFFRICATE):
            place_hz = float(rng.choice([1500, 2800, 5500, 8000]) * rng.uniform(0.85, 1.2))
            buzz = 0.4 * voiced if rng.random() < 0.3 else 0.0
            hiss = loud * rng.uniform(0.4, 1.0)
            tracks.add(pace * rng.uniform(0.05, 0.16), vowel, voicing=buzz, noise=hiss, noise_hz=place_hz)
        if kind == _NASAL:  # or a liquid
            middle_hz = rng.uniform(900, 1700)
            tracks.add(pace * rng.uniform(0.04, 0.14), (280, middle_hz, 2300), voicing=0.5 * voiced)
        if kind == _BREATH:  # an h
            tracks.add(pace * rng.uniform(0.04, 0.1), vowel, breath=0.8 * loud)


def _draw_vowel(rng: np.random.Generator, tract: float) -> Formants:
    first, second, third = VOWELS_HZ[int(rng.integers(len(VOWELS_HZ)))]
    return first * tract, second * tract, third * tract


def _glottis(rng: np.random.Generator, length: int, rate: int, steps: int, step: int) -> Floats:
    """Pulses at a pitch that falls and rises over a phrase, darkened by 12 dB an octave, less in a pressed voice."""
    base_hz = float(np.exp(rng.uniform(np.log(70), np.log(400))))
    turns = max(2, int(steps * STEP_S * rng.uniform(1.0, 3.0)) + 1)
    bend = np.interp(np.linspace(0, turns - 1, steps), np.arange(turns), rng.normal(0, 0.18, turns))
    pitch_hz = np.repeat(base_hz * 2**bend, step)[:length]
    pitch_hz = np.pad(pitch_hz, (0, length - len(pitch_hz)), mode="edge") * (1 + 0.01 * rng.standard_normal(length))
    phase = np.cumsum(pitch_hz) / rate
    begins = np.diff(np.floor(phase), prepend=0.0) > 0
    pulses: Floats = np.where(begins, np.sqrt(rate / pitch_hz), 0.0)
    at = np.flatnonzero(begins)
    pulses[at] *= 1 + rng.uniform(0.0, 0.4) * rng.standard_normal(len(at))  # roughness
    pressed_hz = float(np.exp(rng.uniform(np.log(300), np.log(8000))))
    for cut_hz in (rng.uniform(80, 250), pressed_hz):
        dark = np.exp(-2 * np.pi * cut_hz / rate)
        pulses = lfilter([1 - dark], [1, -dark], pulses)
    return 8 * pulses


def _resonate(sound: Floats, centre_hz: Floats, width_hz: float, rate: int, step: int) -> Floats:
    """A resonance whose centre moves from step to step; its state goes on."""
    if float(np.median(centre_hz)) > 0.45 * rate:
        return sound
    radius = float(np.exp(-np.pi * width_hz / rate))
    turn = 2 * radius * np.cos(2 * np.pi * np.minimum(centre_hz, 0.45 * rate) / rate)
    return _filter_moving(np.ascontiguousarray(sound), np.ascontiguousarray(turn), radius**2, step)


@njit(cache=True, nogil=True)
def _filter_moving(sound: Floats, turn: Floats, decay: float, step: int) -> Floats:
    """Two poles that move every `step` samples, at the same level at 0 Hz wherever they are."""
    heard = np.empty_like(sound)
    before, earlier = 0.0, 0.0
    for at in range(len(sound)):
        now_turn = turn[min(at // step, len(turn) - 1)]
        now = (1.0 - now_turn + decay) * sound[at] + now_turn * before - decay * earlier
        heard[at] = now
        earlier, before = before, now
    return heard


def _smooth(track: Floats, steps: int) -> Floats:
    padded = np.pad(track, ((steps // 2, steps - 1 - steps // 2), (0, 0)), mode="edge")
    total = np.cumsum(np.concatenate([np.zeros((1, track.shape[1])), padded]), axis=0)
    return (total[steps:] - total[:-steps]) / steps
