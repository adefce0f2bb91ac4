"""Soundscapes with known events: clips mixed into quiet noise at known times.

The background is noise with a pink spectrum, the shape of a distant city. Into it go the sounding parts of clips,
one after the other, never overlapping::

    background  ~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~
    events           [ dog ]         [ rain      ] [sneezing]
                     ^onset_s ^offset_s

Outside the events the samples are the background's own, to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hubbub.errors import EmptyAudio, NonFiniteAudio, UsageError
from hubbub.io.text import count_noun

SILENCE_DB = -60.0
"""A clip is audible where a sample is above this, in dB relative to the clip's peak.

Many published clips are a short sound padded with zeros, around which lossy coding leaves a faint smear;
60 dB down is below what a listener notices beside the sound, and above that smear.
"""

FADE_S = 0.01
"""Length of the fade at either end of an event, in seconds: long enough not to click."""

LOUDEST_BACKGROUND_DB = -20.0
"""Highest level of the background, in dBFS: its peaks, some 15 dB above, must leave room for events."""

PINK_FROM_HZ = 20.0
"""Below this frequency the background's spectrum is flat: inaudible rumble takes up no level."""


@dataclass(frozen=True)
class TrueEvent:
    """One event in a soundscape."""

    label: str
    """Class of the clip it was cut from."""

    onset_s: float
    """Seconds from the soundscape's start to the event's first sample."""

    offset_s: float
    """Seconds from the soundscape's start to the end of the event's last sample."""

    snr_db: float
    """Level over the background in dB, as mixed: the one drawn, or lower where that would have clipped."""


@dataclass(frozen=True)
class Soundscape:
    """A mixed recording and the truth about it."""

    samples: np.ndarray
    """float32 [sample], mono, within -1 and 1."""

    events: tuple[TrueEvent, ...]
    """Every event, in order of onset."""


def mix_soundscape(
    clips: Sequence[tuple[str, np.ndarray]],
    *,
    duration_s: float,
    sample_rate: int,
    background_db: float = -50.0,
    snr_db: tuple[float, float] = (10.0, 25.0),
    min_gap_s: float = 0.5,
    seed: int,
) -> Soundscape:
    """Mix clips into quiet pink noise, each once, in random order and at random times without overlap.

    Each clip is trimmed to its sounding part (`find_audible_part`), faded in and out over `FADE_S`, and scaled so that
    its RMS lies a random number of dB above the background's, or as far as it can without clipping. The background
    does not depend on the clips: the same call without any returns it bare. Everything is held in memory at once,
    about 40 bytes a sample at its peak: meant for minutes, not for days.

    Parameters
    ----------
    clips
        Label and samples, float [sample], mono, at `sample_rate`, of each clip.
    duration_s
        Seconds of the soundscape; it has ``round(duration_s * sample_rate)`` samples.
    sample_rate
        Hz, of the clips and of the soundscape.
    background_db
        RMS level of the noise in dBFS (0 dBFS: an RMS of 1), at most `LOUDEST_BACKGROUND_DB`.
    snr_db
        Lowest and highest ratio of an event's RMS to the background's, in dB.
    min_gap_s
        Least seconds between one event's offset and the next one's onset.
    seed
        Equal seeds and arguments give equal soundscapes.

    Returns
    -------
    Soundscape
        Samples within -1 and 1, and one event a clip.

    Raises
    ------
    UsageError
        An argument is out of range, or the clips do not fit into the duration.
    EmptyAudio, NonFiniteAudio
        A clip is empty or all zeros, or holds NaN or infinite samples.
    """
    _check(duration_s, sample_rate, background_db, snr_db, min_gap_s)
    rng = np.random.default_rng(seed)
    samples = _pink_noise(rng, round(duration_s * sample_rate), sample_rate, background_db)

    sounds = [_sound(label, clip, sample_rate) for label, clip in clips]
    order = [int(index) for index in rng.permutation(len(sounds))]
    lengths = [len(sounds[index]) for index in order]
    onsets = _draw_onsets(rng, lengths, round(min_gap_s * sample_rate), len(samples), sample_rate)

    room = 1.0 - float(np.abs(samples).max())
    events: list[TrueEvent] = []
    for index, onset, length in zip(order, onsets, lengths, strict=True):
        level_db = rng.uniform(*snr_db)
        gain = _gain(sounds[index], background_db + level_db, room)
        samples[onset : onset + length] += (gain * sounds[index]).astype(np.float32)
        mixed_db = _level_db(gain * sounds[index]) - background_db
        label = clips[index][0]
        events.append(TrueEvent(label, onset / sample_rate, (onset + length) / sample_rate, mixed_db))
    return Soundscape(samples, tuple(events))


def find_audible_part(samples: np.ndarray) -> tuple[int, int]:
    """Return the first sample of the sounding part and the one after its last.

    The sounding part reaches from the first to the last sample above `SILENCE_DB` relative to the clip's peak;
    pauses within it stay. Both are 0 for a clip that is empty or all zeros.

    >>> sounding_part(np.array([0.0, 0.0, 0.5, 0.0, -1.0, 0.0005]))
    (2, 5)
    """
    magnitude = np.abs(samples)
    loud = np.flatnonzero(magnitude > magnitude.max(initial=0.0) * 10 ** (SILENCE_DB / 20))
    return (int(loud[0]), int(loud[-1]) + 1) if len(loud) else (0, 0)


def _check(
    duration_s: float, sample_rate: int, background_db: float, snr_db: tuple[float, float], min_gap_s: float
) -> None:
    if not (math.isfinite(duration_s) and sample_rate > 0 and round(duration_s * sample_rate) >= 1):
        raise UsageError(f"a soundscape of {duration_s:g} s at {sample_rate} Hz has no samples; give a longer one")
    if not -200 <= background_db <= LOUDEST_BACKGROUND_DB:
        raise UsageError(
            f"background_db {background_db:g} is out of range; give -200 to {LOUDEST_BACKGROUND_DB:g} dBFS"
        )
    if not (math.isfinite(snr_db[0]) and math.isfinite(snr_db[1]) and snr_db[0] <= snr_db[1]):
        raise UsageError(f"snr_db {snr_db} is no range; give the lowest dB, then the highest")
    if not 0 <= min_gap_s < math.inf:
        raise UsageError(f"min_gap_s {min_gap_s:g} is out of range; give 0 or more seconds")


def _pink_noise(rng: np.random.Generator, length: int, sample_rate: int, level_db: float) -> np.ndarray:
    """float32 noise whose power falls by 3 dB an octave and whose RMS is `level_db` dBFS."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    frequency_hz = np.fft.rfftfreq(length, 1 / sample_rate)
    spectrum /= np.sqrt(np.maximum(frequency_hz, PINK_FROM_HZ))
    noise = np.fft.irfft(spectrum, length)
    return (noise * 10 ** ((level_db - _level_db(noise)) / 20)).astype(np.float32)


def _sound(label: str, clip: np.ndarray, sample_rate: int) -> np.ndarray:
    """The sounding part of a clip, float64, its peak at 1, with its fades."""
    clip = np.asarray(clip, dtype=np.float64)
    if clip.ndim != 1:
        raise UsageError(f"a clip of '{label}' has shape {clip.shape}; expected mono samples, [sample]")
    if not np.isfinite(clip).all():
        raise NonFiniteAudio(f"a clip of '{label}' holds NaN or infinite samples")
    start, stop = find_audible_part(clip)
    if start == stop:
        raise EmptyAudio(f"a clip of '{label}' holds no audio to mix: {len(clip)} samples, none above zero")
    sound = clip[start:stop] / np.abs(clip).max()
    return sound * _fades(len(sound), sample_rate)


def _fades(length: int, sample_rate: int) -> np.ndarray:
    """A raised-cosine rise and fall, never quite zero, for a sound of any length."""
    fade = min(round(FADE_S * sample_rate), length // 2)
    rise = np.sin(0.5 * np.pi * (np.arange(fade) + 0.5) / max(fade, 1)) ** 2
    return np.concatenate([rise, np.ones(length - 2 * fade), rise[::-1]])


def _draw_onsets(rng: np.random.Generator, lengths: Sequence[int], gap: int, total: int, sample_rate: int) -> list[int]:
    """First samples for sounds of these lengths, in this order, at least `gap` apart.

    The free samples are what the sounds and their gaps leave over. Sorted random shares of them are where the sounds
    would lie if they had no length; each is then moved on by the sounds and gaps before it.
    """
    needed = sum(lengths) + gap * max(len(lengths) - 1, 0)
    if needed > total:
        raise UsageError(
            f"{count_noun(len(lengths), 'clip')} of {sum(lengths) / sample_rate:.1f} s need "
            f"{needed / sample_rate:.1f} s "
            f"with their gaps, but the soundscape has {total / sample_rate:.1f} s; give fewer clips or a longer one"
        )
    shares = np.sort(rng.integers(0, total - needed, size=len(lengths), endpoint=True))
    before = np.concatenate([[0], np.cumsum([length + gap for length in lengths])[:-1]]) if lengths else shares
    return [int(onset) for onset in shares + before]


def _gain(sound: np.ndarray, level_db: float, room: float) -> float:
    """What brings the sound's RMS to `level_db` dBFS, or its peak to `room`, whichever is less."""
    wanted = 10 ** ((level_db - _level_db(sound)) / 20)
    # A float32 sum may round up by one unit in the last place; a little less room keeps it within 1.
    return min(wanted, 0.999 * room / float(np.abs(sound).max()))


def _level_db(samples: np.ndarray) -> float:
    """RMS in dBFS."""
    return 10 * math.log10(float(np.mean(np.square(samples))))
