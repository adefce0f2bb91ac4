"""Soundscapes with known events: parts of clips mixed into a background at known times.

The background is noise, or a recording without events. Into it go the sounding stretches of clips::

    background  ~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~
    events           [ dog ]         [ rain      ] [sneezing]
                     ^onset_s ^offset_s

An event is one stretch in which the clip sounds (`hubbub.audio.activity`), with the pauses within it; nothing else of
the clip is mixed. Outside the events the samples are the background's own, to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hubbub.audio.activity import PAUSE_S, find_active_frames, find_runs
from hubbub.audio.noise import make_noise
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

FRAME_S = 0.02
"""Seconds of a frame whose level tells whether a clip sounds."""

_TRIES = 100  # places tried for an event that may not meet others of its label

SHORTEST_EVENT_S = 0.05
"""A shorter stretch becomes no event where the clip has a longer one."""


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

    clip: int
    """Which of the clips it was cut from."""


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
    background: np.ndarray | None = None,
    background_db: float = -50.0,
    snr_db: tuple[float, float] = (10.0, 25.0),
    min_gap_s: float | None = 0.5,
    varied_noise: bool = False,
    seed: int,
) -> Soundscape:
    """Mix one event of each clip into a background, at random times.

    Each event is one sounding stretch of its clip, drawn at random, faded in and out over `FADE_S`, and scaled so that
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
    background
        float [sample], at least as long as the soundscape: its samples from the first on are taken; None: noise.
    background_db
        RMS level of the background in dBFS (0 dBFS: an RMS of 1), at most `LOUDEST_BACKGROUND_DB`.
    snr_db
        Lowest and highest ratio of an event's RMS to the background's, in dB.
    min_gap_s
        Least seconds between one event's offset and the next one's onset; None: events may overlap, but for those of
        one label, which stay `PAUSE_S` apart: a clip for whose event there is then no room is left out.
    varied_noise
        Draw the colour of the noise and let it come and go (`hubbub.audio.noise`); False: pink and steady.
    seed
        Equal seeds and arguments give equal soundscapes.

    Returns
    -------
    Soundscape
        Samples within -1 and 1, and one event a clip, as far as there is room.

    Raises
    ------
    UsageError
        An argument is out of range, the background is too short, or the clips do not fit into the duration.
    EmptyAudio, NonFiniteAudio
        A clip or the background is empty or all zeros, or holds NaN or infinite samples.
    """
    _check(duration_s, sample_rate, background_db, snr_db, min_gap_s)
    rng = np.random.default_rng(seed)
    total = round(duration_s * sample_rate)
    bare = (
        make_noise(rng, total, sample_rate, varied=varied_noise)
        if background is None
        else _normalise_background(background, total, sample_rate)
    )
    # Peaks of a recording may be far above its RMS: it is made as loud as it can be without clipping.
    loudest = 0.5 / max(float(np.abs(bare).max()), 1e-9)
    samples = (bare * min(10 ** (background_db / 20), loudest)).astype(np.float32)
    background_db = _level_db(samples)

    sounds = [_cut_event(label, clip, sample_rate, rng) for label, clip in clips]
    order = [int(index) for index in rng.permutation(len(sounds))]
    lengths = [len(sounds[index]) for index in order]
    if min_gap_s is None:
        onsets = _draw_overlapping(rng, [clips[index][0] for index in order], lengths, total, sample_rate)
    else:
        onsets = list(_draw_onsets(rng, lengths, round(min_gap_s * sample_rate), total, sample_rate))

    events: list[TrueEvent] = []
    for index, onset, length in zip(order, onsets, lengths, strict=True):
        if onset is None:
            continue
        sound = sounds[index][:total]
        level_db = rng.uniform(*snr_db)
        room = 1.0 - float(np.abs(samples[onset : onset + length]).max(initial=0.0))
        gain = _gain(sound, background_db + level_db, room)
        samples[onset : onset + len(sound)] += (gain * sound).astype(np.float32)
        mixed_db = _level_db(gain * sound) - background_db if gain > 0 else -math.inf
        onset_s, offset_s = onset / sample_rate, (onset + len(sound)) / sample_rate
        events.append(TrueEvent(clips[index][0], onset_s, offset_s, mixed_db, index))
    return Soundscape(samples, tuple(sorted(events, key=lambda event: event.onset_s)))


def find_audible_part(samples: np.ndarray) -> tuple[int, int]:
    """Return the first sample of the sounding part and the one after its last.

    The sounding part reaches from the first to the last sample above `SILENCE_DB` relative to the clip's peak;
    pauses within it stay. Both are 0 for a clip that is empty or all zeros.

    >>> find_audible_part(np.array([0.0, 0.0, 0.5, 0.0, -1.0, 0.0005]))
    (2, 5)
    """
    magnitude = np.abs(samples)
    loud = np.flatnonzero(magnitude > magnitude.max(initial=0.0) * 10 ** (SILENCE_DB / 20))
    return (int(loud[0]), int(loud[-1]) + 1) if len(loud) else (0, 0)


def _check(
    duration_s: float, sample_rate: int, background_db: float, snr_db: tuple[float, float], min_gap_s: float | None
) -> None:
    if not (math.isfinite(duration_s) and sample_rate > 0 and round(duration_s * sample_rate) >= 1):
        raise UsageError(f"a soundscape of {duration_s:g} s at {sample_rate} Hz has no samples; give a longer one")
    if not -200 <= background_db <= LOUDEST_BACKGROUND_DB:
        raise UsageError(
            f"background_db {background_db:g} is out of range; give -200 to {LOUDEST_BACKGROUND_DB:g} dBFS"
        )
    if not (math.isfinite(snr_db[0]) and math.isfinite(snr_db[1]) and snr_db[0] <= snr_db[1]):
        raise UsageError(f"snr_db {snr_db} is no range; give the lowest dB, then the highest")
    if min_gap_s is not None and not 0 <= min_gap_s < math.inf:
        raise UsageError(f"min_gap_s {min_gap_s:g} is out of range; give 0 or more seconds")


def _normalise_background(background: np.ndarray, length: int, sample_rate: int) -> np.ndarray:
    """The first samples of a recording, their RMS at 1."""
    background = np.asarray(background, dtype=np.float64)
    if background.ndim != 1 or len(background) < length:
        raise UsageError(
            f"a background of {len(background) / sample_rate:.1f} s; expected mono samples, "
            f"{length / sample_rate:.1f} s of them at least"
        )
    if not np.isfinite(background).all():
        raise NonFiniteAudio("a background holds NaN or infinite samples")
    rms = math.sqrt(float(np.mean(np.square(background[:length]))))
    if rms == 0:
        raise EmptyAudio("a background is silent: all of its samples are zero; leave it out")
    return background[:length] / rms


def _cut_event(label: str, clip: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """One sounding stretch of a clip, float64, its peak at 1, with its fades."""
    clip = np.asarray(clip, dtype=np.float64)
    if clip.ndim != 1:
        raise UsageError(f"a clip of '{label}' has shape {clip.shape}; expected mono samples, [sample]")
    if not np.isfinite(clip).all():
        raise NonFiniteAudio(f"a clip of '{label}' holds NaN or infinite samples")
    stretches = find_stretches(clip, sample_rate)
    if not stretches:
        raise EmptyAudio(f"a clip of '{label}' holds no audio to mix: {len(clip)} samples, none above zero")
    start, stop = stretches[int(rng.integers(len(stretches)))]
    sound = clip[start:stop] / np.abs(clip[start:stop]).max()
    return sound * _fades(len(sound), sample_rate)


def find_stretches(samples: np.ndarray, sample_rate: int) -> list[tuple[int, int]]:
    """Find the stretches in which a clip sounds, as first sample and the one after the last.

    Pauses up to `hubbub.audio.activity.PAUSE_S` belong to a stretch. Stretches below `SHORTEST_EVENT_S` are left out
    where there is a longer one. Empty for a clip that is empty or all zeros.
    """
    frame = max(1, round(FRAME_S * sample_rate))
    count = -(-len(samples) // frame)
    peak = float(np.abs(samples).max(initial=0.0))
    if peak == 0:
        return []
    padded = np.pad(np.asarray(samples, np.float64) / peak, (0, count * frame - len(samples)))
    power = np.mean(np.square(padded.reshape(count, frame)), axis=1)
    first, stop = find_runs(find_active_frames(10 * np.log10(np.maximum(power, 1e-30)), frame / sample_rate))
    found = []
    for begin, end in zip(first * frame, stop * frame, strict=True):
        inner, outer = find_audible_part(samples[begin:end])
        found.append((int(begin) + inner, int(begin) + outer))
    long = [span for span in found if span[1] - span[0] >= SHORTEST_EVENT_S * sample_rate]
    return long or [max(found, key=lambda span: span[1] - span[0])]


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


def _draw_overlapping(
    rng: np.random.Generator, labels: Sequence[str], lengths: Sequence[int], total: int, sample_rate: int
) -> list[int | None]:
    """First samples for sounds that may overlap, but for those of one label; None where one finds no room."""
    apart = round(PAUSE_S * sample_rate)
    taken: dict[str, list[tuple[int, int]]] = {}
    onsets: list[int | None] = []
    for label, length in zip(labels, lengths, strict=True):
        others = taken.setdefault(label, [])
        tries = (int(rng.integers(0, max(0, total - length) + 1)) for _ in range(_TRIES))
        free = (at for at in tries if all(at + length + apart <= begin or end + apart <= at for begin, end in others))
        onsets.append(onset := next(free, None))
        if onset is not None:
            others.append((onset, onset + length))
    return onsets


def _gain(sound: np.ndarray, level_db: float, room: float) -> float:
    """What brings the sound's RMS to `level_db` dBFS, or its peak to `room`, whichever is less."""
    wanted = 10 ** ((level_db - _level_db(sound)) / 20)
    # A float32 sum may round up by one unit in the last place; a little less room keeps it within 1.
    return min(wanted, 0.999 * max(room, 0.0) / float(np.abs(sound).max()))


def _level_db(samples: np.ndarray) -> float:
    """RMS in dBFS."""
    return 10 * math.log10(float(np.mean(np.square(samples))))
