"""Soundscapes: what is written down is what was mixed, and nothing else was."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hubbub.audio.soundscape import Soundscape, TrueEvent, find_audible_part, mix_soundscape
from hubbub.errors import EmptyAudio, NonFiniteAudio, UsageError

RATE = 8000
LEVEL_TOLERANCE_DB = 0.01  # float32 samples: far finer than anybody hears, far coarser than rounding


def tone(duration_s: float, amplitude: float = 0.5) -> np.ndarray:
    time_s = np.arange(round(duration_s * RATE)) / RATE
    return (amplitude * np.sin(2 * np.pi * 440 * time_s + 0.5)).astype(np.float32)


def padded(sound: np.ndarray, before_s: float, after_s: float) -> np.ndarray:
    return np.pad(sound, (round(before_s * RATE), round(after_s * RATE)))


def level_db(samples: np.ndarray) -> float:
    return 10 * math.log10(np.mean(samples.astype(np.float64) ** 2))


def spans(scape: Soundscape) -> list[tuple[int, int]]:
    return [(round(event.onset_s * RATE), round(event.offset_s * RATE)) for event in scape.events]


sounds = st.integers(1, 1200).flatmap(
    lambda length: arrays(np.float32, length, elements=st.floats(-4, 4, width=32)).filter(np.any)
)
clip_lists = st.lists(st.tuples(st.sampled_from(["dog", "rain", "siren"]), sounds), max_size=5)


@given(
    clips=clip_lists,
    duration_s=st.floats(1.0, 2.0),
    background_db=st.floats(-90, -20),
    lowest_db=st.floats(-10, 60),
    seed=st.integers(0, 2**32),
)
def test_any_mix_keeps_its_word(
    clips: list[tuple[str, np.ndarray]], duration_s: float, background_db: float, lowest_db: float, seed: int
) -> None:
    settings = {
        "duration_s": duration_s,
        "sample_rate": RATE,
        "background_db": background_db,
        "snr_db": (lowest_db, lowest_db + 10),
        "min_gap_s": 0.01,
        "seed": seed,
    }
    scape = mix_soundscape(clips, **settings)
    bare = mix_soundscape([], **settings).samples

    assert scape.samples.dtype == np.float32
    assert scape.samples.shape == (round(duration_s * RATE),)
    assert np.abs(scape.samples).max() <= 1
    assert sorted(event.label for event in scape.events) == sorted(label for label, _ in clips)

    outside = np.ones(len(bare), dtype=bool)
    end = -math.inf
    for onset, offset in spans(scape):
        assert 0 <= onset < offset <= len(bare)
        assert onset - end >= round(0.01 * RATE)
        outside[onset:offset] = False
        end = offset
    np.testing.assert_array_equal(scape.samples[outside], bare[outside])

    again = mix_soundscape(clips, **settings)
    assert again.events == scape.events
    np.testing.assert_array_equal(again.samples, scape.samples)


@given(clips=clip_lists, scale=st.sampled_from([1e-4, 0.5, 8.0]))
def test_the_level_a_clip_was_recorded_at_does_not_matter(clips: list[tuple[str, np.ndarray]], scale: float) -> None:
    scaled = [(label, samples * np.float64(scale)) for label, samples in clips]
    one = mix_soundscape(clips, duration_s=4, sample_rate=RATE, seed=0)
    other = mix_soundscape(scaled, duration_s=4, sample_rate=RATE, seed=0)
    np.testing.assert_allclose(other.samples, one.samples, atol=1e-6)


SOUNDING = [
    # samples, sounding part, why
    ([], (0, 0), "nothing there"),
    ([0.0, 0.0], (0, 0), "digital silence alone"),
    ([1.0], (0, 1), "a single sample is a sound"),
    ([0.0, 0.5, 0.0], (1, 2), "zeros on both sides"),
    ([0.0, 0.5, 0.0, 0.0, -0.5, 0.0], (1, 5), "a pause within stays; negative peaks count"),
    ([0.0009, 1.0, 0.0011, 0.0009], (1, 3), "60 dB below the peak is 0.001 of it"),
    ([9e-7, 1e-3, 1.1e-6, 9e-7], (1, 3), "the same clip, recorded 60 dB lower"),
    ([0.0, 1e-45, 0.0], (1, 2), "the quietest float32 there is"),
]


@pytest.mark.parametrize(("samples", "expected", "why"), SOUNDING, ids=[row[2] for row in SOUNDING])
def test_audible_part(samples: list[float], expected: tuple[int, int], why: str) -> None:
    assert find_audible_part(np.array(samples, dtype=np.float32)) == expected, why


def test_padding_a_clip_with_zeros_changes_nothing() -> None:
    bare = mix_soundscape([("dog", tone(0.4))], duration_s=5, sample_rate=RATE, seed=3)
    silence = mix_soundscape([("dog", padded(tone(0.4), 0.3, 2.0))], duration_s=5, sample_rate=RATE, seed=3)
    assert silence.events == bare.events
    np.testing.assert_array_equal(silence.samples, bare.samples)


def test_onset_and_offset_are_where_the_sound_is() -> None:
    clip = padded(tone(0.4), 0.3, 2.0)
    scape = mix_soundscape([("dog", clip)], duration_s=5, sample_rate=RATE, snr_db=(30, 30), seed=3)
    (event,) = scape.events
    assert event.label == "dog"
    assert event.offset_s - event.onset_s == pytest.approx(0.4, abs=1 / RATE)
    # The obvious way to find it again: where the mix is well above the quiet noise, a fade's length within.
    loud_s = np.flatnonzero(np.abs(scape.samples) > 0.03) / RATE
    assert loud_s[0] == pytest.approx(event.onset_s, abs=0.01)
    assert loud_s[-1] == pytest.approx(event.offset_s, abs=0.01)


@pytest.mark.parametrize("wanted_db", [-6.0, 0.0, 20.0])
def test_an_event_has_the_level_asked_for_over_the_background(wanted_db: float) -> None:
    settings = {"duration_s": 3, "sample_rate": RATE, "background_db": -40.0, "seed": 1}
    scape = mix_soundscape([("dog", tone(1.0))], snr_db=(wanted_db, wanted_db), **settings)
    bare = mix_soundscape([], **settings).samples
    (onset, offset), (event,) = spans(scape)[0], scape.events
    mixed = scape.samples[onset:offset] - bare[onset:offset]
    assert level_db(bare) == pytest.approx(-40, abs=LEVEL_TOLERANCE_DB)
    assert level_db(mixed) - level_db(bare) == pytest.approx(wanted_db, abs=LEVEL_TOLERANCE_DB)
    assert event.snr_db == pytest.approx(wanted_db, abs=LEVEL_TOLERANCE_DB)


def test_a_level_that_would_clip_is_lowered_and_said() -> None:
    scape = mix_soundscape(
        [("dog", tone(1.0))], duration_s=3, sample_rate=RATE, background_db=-30, snr_db=(60, 60), seed=1
    )
    assert 0.9 < np.abs(scape.samples).max() <= 1
    assert scape.events[0].snr_db == pytest.approx(
        30 - 3, abs=2
    )  # a sine lies 3 dB below its peak, and noise takes room


def test_levels_are_drawn_from_the_range() -> None:
    clips = [("dog", tone(0.05))] * 40
    scape = mix_soundscape(clips, duration_s=60, sample_rate=RATE, snr_db=(5, 15), seed=1)
    levels = [event.snr_db for event in scape.events]
    assert 5 <= min(levels) < 7
    assert 13 < max(levels) <= 15


def test_events_start_and_end_softly() -> None:
    scape = mix_soundscape(
        [("hum", np.ones(RATE, np.float32))],
        duration_s=3,
        sample_rate=RATE,
        background_db=-200,
        snr_db=(190, 190),
        seed=1,
    )
    steps = np.abs(np.diff(scape.samples))
    assert steps.max() < np.pi / 2 / (0.01 * RATE) * np.abs(scape.samples).max() * 1.01


def test_the_background_falls_by_3_db_an_octave() -> None:
    noise = mix_soundscape([], duration_s=30, sample_rate=RATE, seed=5).samples
    power = np.abs(np.fft.rfft(noise)) ** 2
    hz = np.fft.rfftfreq(len(noise), 1 / RATE)
    octaves = [power[(hz >= low) & (hz < 2 * low)].mean() for low in (100, 200, 400, 800, 1600)]
    np.testing.assert_allclose(10 * np.diff(np.log10(octaves)), -3, atol=0.5)


def test_another_seed_is_another_soundscape() -> None:
    clips = [("dog", tone(0.3)), ("rain", tone(0.2))]
    one = mix_soundscape(clips, duration_s=5, sample_rate=RATE, seed=1)
    other = mix_soundscape(clips, duration_s=5, sample_rate=RATE, seed=2)
    assert one.events != other.events
    assert not np.array_equal(one.samples, other.samples)


def test_events_are_spread_over_the_whole_soundscape() -> None:
    onsets = [
        event.onset_s
        for seed in range(200)
        for event in mix_soundscape([("dog", tone(0.1))] * 2, duration_s=2, sample_rate=RATE, seed=seed).events
    ]
    counts, _ = np.histogram(onsets, bins=4, range=(0, 2))
    assert counts.min() > 50


def test_clips_that_just_fit_are_placed_without_slack() -> None:
    clips = [("dog", np.ones(RATE, np.float32))] * 2
    scape = mix_soundscape(clips, duration_s=2.5, sample_rate=RATE, min_gap_s=0.5, seed=0)
    assert spans(scape) == [(0, RATE), (round(1.5 * RATE), round(2.5 * RATE))]


GOOD = {"duration_s": 2.0, "sample_rate": RATE, "seed": 0}
REFUSED = [
    # clips, arguments, error, message, why
    ([("dog", tone(1.5))] * 2, {}, UsageError, r"2 clips of 3\.0 s need 3\.5 s", "too much sound"),
    (
        [("dog", np.zeros(9))],
        {},
        EmptyAudio,
        r"'dog' holds no audio to mix: 9 samples, none above",
        "silence",
    ),
    ([("dog", np.zeros(0))], {}, EmptyAudio, r"0 samples", "no samples"),
    ([("dog", np.array([0.1, np.nan]))], {}, NonFiniteAudio, r"'dog' holds NaN", "NaN would fill the mix"),
    ([("dog", np.ones((2, 9)))], {}, UsageError, r"shape \(2, 9\); expected mono", "stereo"),
    ([], {"duration_s": 0.0}, UsageError, r"0 s at 8000 Hz has no samples", "no duration"),
    ([], {"duration_s": math.inf}, UsageError, r"inf s at", "no end"),
    (
        [],
        {"background_db": -6.0},
        UsageError,
        r"background_db -6 .* -200 to -20",
        "louder than the events may be",
    ),
    ([], {"snr_db": (20.0, 10.0)}, UsageError, r"snr_db \(20\.0, 10\.0\) is no range", "the wrong way round"),
    ([], {"min_gap_s": -1.0}, UsageError, r"min_gap_s -1", "events would overlap"),
]


@pytest.mark.parametrize(("clips", "arguments", "error", "message", "why"), REFUSED, ids=[row[4] for row in REFUSED])
def test_refused(
    clips: list[tuple[str, np.ndarray]],
    arguments: dict[str, float],
    error: type[Exception],
    message: str,
    why: str,
) -> None:
    with pytest.raises(error, match=message):
        mix_soundscape(clips, **{**GOOD, **arguments})


def test_real_clips(esc10_mini: Path) -> None:
    paths = sorted((esc10_mini / "audio").glob("5-*.ogg"))[:8]
    loaded = [soundfile.read(path, dtype="float32") for path in paths]
    clips = [(path.stem, samples) for path, (samples, _) in zip(paths, loaded, strict=True)]
    scape = mix_soundscape(clips, duration_s=60, sample_rate=44100, seed=1)
    assert [event.label for event in scape.events] != [label for label, _ in clips]  # in random order
    assert {event.label for event in scape.events} == {label for label, _ in clips}
    assert all(0.05 < event.offset_s - event.onset_s < 8 for event in scape.events)
    assert scape.events[0] == TrueEvent(**vars(scape.events[0]))  # plain data: goes into a table as it is
