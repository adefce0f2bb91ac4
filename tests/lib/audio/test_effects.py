"""Stored variants: what each transform does to sound, equal bits wherever they are made, padding that stays padding."""

from __future__ import annotations

import hashlib
import json
import math
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hubbub.audio import decode
from hubbub.audio.effects import CHECKED_S, AugmentedWindow, apply_effects, check_effect_recordings
from hubbub.config.variants import Variants, load_variants
from hubbub.errors import AugmentationError, EmptyAudio, NonFiniteAudio, SettingsError
from tests.examples import count_examples

RATE = 22050

SNR_TOLERANCE_DB = 1e-3
"""Noise is scaled by its measured level; what is left is the rounding of the sum to float32."""

GAIN_TOLERANCE = 2e-7
"""Relative; a float32 product is rounded once."""

ROOM_TOLERANCE = 1e-5
"""Of the peak: a convolution by a float32 Fourier transform."""

PITCH_TOLERANCE_CENTS = 10.0
"""A twentieth of what two neighbouring keys of a piano differ by; the stretcher's bins are 4 Hz apart."""

ONSET_TOLERANCE_S = 0.002
"""The stretcher puts a click within some 10 samples of its place."""

HUGE = 1e20
"""From here up a gain may leave what float32 holds; below its inverse a sound may vanish in a room."""


def policy(folder: Path, *steps: str, seed: int = 0, count: int = 3) -> Variants:
    """A policy for every clip, of steps in YAML."""
    file = folder / "policy.yaml"
    file.write_text(
        f"seed: {seed}\nrules:\n- count: {count}\n  transforms:\n" + "".join(f"  - {{{s}}}\n" for s in steps)
    )
    return load_variants(file)


def fixed(*steps: dict[str, Any]) -> Variants:
    return Variants.model_validate({"rules": [{"count": 3, "transforms": steps}]})


def variant(samples: Any, variants: Variants, *, valid: int | None = None, **changes: Any) -> AugmentedWindow:
    where: dict[str, Any] = {"number": 1, "labels": [], "clip_id": "a", "window": 0, "sample_rate": RATE} | changes
    samples = np.asarray(samples, np.float32)
    return apply_effects(samples, len(samples) if valid is None else valid, variants=variants, **where)


def tone(hz: float, seconds: float = 2.0, level: float = 0.5) -> npt.NDArray[np.float32]:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def peak_hz(samples: npt.NDArray[np.float32]) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 2**20))
    return float(np.argmax(spectrum)) * RATE / 2**20


def farthest(samples: npt.NDArray[np.float32], expected: npt.ArrayLike) -> float:
    """The largest difference, relative to the peak expected."""
    return float(np.abs(samples - np.asarray(expected)).max() / np.abs(expected).max())


def level_db(samples: npt.NDArray[np.float32]) -> float:
    return 10 * math.log10(np.mean(np.square(samples, dtype=np.float64)))


def impulse_response(folder: Path, response: npt.ArrayLike, *, rate: int = RATE, name: str = "room.wav") -> Variants:
    (folder / "rooms").mkdir(exist_ok=True)
    soundfile.write(folder / "rooms" / name, np.asarray(response, np.float32), rate, subtype="FLOAT")
    return policy(folder, "kind: room, folder: rooms")


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Variants:
    """A policy of all transforms, its noise and rooms at rates of their own."""
    folder, rng = tmp_path_factory.mktemp("everything"), np.random.default_rng(5)
    for name, seconds, rate in [("street/a.wav", 3, 44100), ("street/b.flac", 1, 16000), ("street/c.wav", 0.01, RATE)]:
        (folder / name).parent.mkdir(exist_ok=True)
        soundfile.write(folder / name, 0.1 * rng.standard_normal(round(seconds * rate)), rate)
    for name, seconds, rate in [("rooms/hall.wav", 0.8, 48000), ("rooms/cell.wav", 0.1, RATE)]:
        (folder / name).parent.mkdir(exist_ok=True)
        fade = np.exp(-np.arange(round(seconds * rate)) / (0.1 * seconds * rate))
        soundfile.write(folder / name, 0.3 * fade * rng.standard_normal(len(fade)), rate)
    return policy(
        folder,
        "kind: time-stretch, rate: [0.8, 1.25]",
        "kind: pitch-shift, semitones: [-3, 3]",
        "kind: noise, snr_db: [5, 20]",
        "kind: noise, snr_db: [5, 20], folder: street",
        "kind: gain, gain_db: [-6, 6]",
        "kind: room, folder: rooms",
    )


@pytest.fixture(scope="module")
def dog(esc10_mini: Path) -> npt.NDArray[np.float32]:
    """Two seconds of a real clip."""
    return decode.load_audio(sorted((esc10_mini / "audio").iterdir())[0], sample_rate=RATE, count=2 * RATE)


# The same bits


def test_the_order_of_calls_changes_no_bit(everything: Variants, dog: npt.NDArray[np.float32]):
    keys = [(clip, number, window) for clip in "ab" for number in (1, 2) for window in (0, 1)]

    def made(order: list[tuple[str, int, int]]) -> dict[tuple[str, int, int], AugmentedWindow]:
        return {key: variant(dog, everything, clip_id=key[0], number=key[1], window=key[2]) for key in order}

    forwards, backwards = made(keys), made(keys[::-1])
    for key in keys:
        assert forwards[key].samples.tobytes() == backwards[key].samples.tobytes()
        assert (forwards[key].valid, forwards[key].done) == (backwards[key].valid, backwards[key].done)


def test_threads_side_by_side_make_the_same_bits(everything: Variants, dog: npt.NDArray[np.float32]):
    def made(number: int) -> bytes:
        return variant(dog[:5000], everything, number=1 + number % 3).samples.tobytes()

    alone = [made(number) for number in range(3)]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(made, range(60))) == alone * 20


OTHER_PROCESS = """
import hashlib, json, sys
import numpy as np
from hubbub.audio.effects import apply_effects
from hubbub.config.variants import Variants
np.random.seed(99)
samples, variants = np.load(sys.argv[1]), Variants.model_validate_json(open(sys.argv[2]).read())
made = apply_effects(samples, len(samples), variants=variants, number=2, labels=["dog"], clip_id="f0", window=3,
                 sample_rate=22050)
print(hashlib.sha256(made.samples.tobytes()).hexdigest(), made.valid, made.done, sep="\\n")
"""


def test_another_process_makes_the_same_bits(tmp_path: Path, everything: Variants, dog: npt.NDArray[np.float32]):
    np.save(tmp_path / "samples.npy", dog)
    (tmp_path / "policy.json").write_text(everything.model_dump_json())
    here = variant(dog, everything, number=2, labels=["dog"], clip_id="f0", window=3)
    arguments = [sys.executable, "-c", OTHER_PROCESS, tmp_path / "samples.npy", tmp_path / "policy.json"]
    digest, valid, done = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.splitlines()
    assert (int(valid), done) == (here.valid, here.done)
    assert digest == hashlib.sha256(here.samples.tobytes()).hexdigest()


@pytest.mark.parametrize("rate", [0.55, 0.551, 0.7, 1.0, 1.3, 2.0])
@pytest.mark.parametrize("sample_rate", [1000, 22050, 48000])
def test_every_rate_allowed_stretches_without_chance(rate: float, sample_rate: int):
    noise = np.random.default_rng(0).standard_normal(sample_rate).astype(np.float32)
    for length in (1, 100, sample_rate):
        made = [
            variant(noise[:length], fixed({"kind": "time-stretch", "rate": rate}), sample_rate=sample_rate)
            for _ in range(3)
        ]
        assert len({one.samples.tobytes() for one in made}) == 1


@pytest.mark.parametrize("change", [{"number": 2}, {"clip_id": "b"}, {"window": 1}, {"variants": "seed"}])
def test_number_clip_window_and_seed_each_make_other_samples(tmp_path: Path, change: dict[str, Any]):
    steps = "kind: noise, snr_db: [5, 20]", "kind: gain, gain_db: [-6, 6]"
    variants = policy(tmp_path, *steps)
    changed = policy(tmp_path, *steps, seed=1) if "variants" in change else variants
    one = variant(tone(440), variants)
    other = variant(tone(440), changed, **{key: value for key, value in change.items() if key != "variants"})
    assert one.done != other.done
    assert not np.array_equal(one.samples, other.samples)


def test_values_drawn_fill_their_range(tmp_path: Path):
    variants = policy(tmp_path, "kind: gain, gain_db: [-6, 6]", count=200)
    drawn = [json.loads(variant([1.0], variants, number=n).done)[0]["gain_db"] for n in range(1, 201)]
    assert -6 <= min(drawn) < -5.5 < 5.5 < max(drawn) <= 6
    assert len(set(drawn)) == 200


def test_random_states_of_the_process_are_left_alone(everything: Variants, dog: npt.NDArray[np.float32]):
    random.seed(1)
    np.random.seed(1)
    before = random.getstate(), np.random.get_state()[1].tobytes(), np.random.get_state()[2:]
    made = variant(dog, everything)
    assert (random.getstate(), np.random.get_state()[1].tobytes(), np.random.get_state()[2:]) == before
    random.seed(2)
    np.random.seed(2)
    assert variant(dog, everything).samples.tobytes() == made.samples.tobytes()


def test_a_softer_clip_has_the_same_variant_softer(everything: Variants, dog: npt.NDArray[np.float32]):
    loud, soft = variant(dog, everything), variant(dog * np.float32(2**-12), everything)
    assert np.array_equal(loud.samples * np.float32(2**-12), soft.samples)
    assert loud.done == soft.done


# What each transform does


@pytest.mark.parametrize("snr_db", [-10.0, 0.0, 12.5, 40.0])
@pytest.mark.parametrize("valid", [RATE // 3, 2 * RATE])
def test_white_noise_lies_at_its_ratio_to_the_sound(snr_db: float, valid: int):
    sound = tone(440)
    sound[valid:] = 0
    made = variant(sound, fixed({"kind": "noise", "snr_db": snr_db}), valid=valid)
    noise = made.samples - sound
    measured = level_db(sound[:valid]) - level_db(noise[:valid])
    assert measured == pytest.approx(snr_db, abs=SNR_TOLERANCE_DB)
    assert not noise[valid:].any()


def test_white_noise_is_white():
    made = variant(tone(440, 10, 1e-3), fixed({"kind": "noise", "snr_db": -40}))
    power = np.square(np.abs(np.fft.rfft(made.samples))).reshape(-1)[1:]
    octants = [10 * math.log10(part.mean()) for part in np.array_split(power, 8)]
    assert max(octants) - min(octants) < 0.3


def test_recorded_noise_is_a_stretch_of_the_recording_at_its_ratio(tmp_path: Path):
    (tmp_path / "street").mkdir()
    recording = np.random.default_rng(1).uniform(-0.5, 0.5, 5 * RATE).astype(np.float32)
    soundfile.write(tmp_path / "street/a.wav", recording, RATE, subtype="FLOAT")
    variants, sound = policy(tmp_path, "kind: noise, snr_db: 3, folder: street"), tone(440)
    starts = set()
    for number in (1, 2, 3):
        made = variant(sound, variants, number=number)
        (done,) = json.loads(made.done)
        noise, first = made.samples - sound, round(done["start_s"] * RATE)
        stretch = recording[first : first + len(sound)]
        assert done["file"] == "a.wav"
        assert np.corrcoef(noise, stretch)[0, 1] > 0.999999
        assert level_db(sound) - level_db(noise) == pytest.approx(3, abs=SNR_TOLERANCE_DB)
        starts.add(first)
    assert len(starts) == 3


def test_a_recording_shorter_than_the_sound_is_repeated(tmp_path: Path):
    (tmp_path / "street").mkdir()
    soundfile.write(tmp_path / "street/a.wav", np.array([0.1, 0.2, -0.3]), RATE, subtype="FLOAT")
    made = variant(np.full(8, 0.5), policy(tmp_path, "kind: noise, snr_db: 0, folder: street"))
    noise = made.samples - 0.5
    assert noise / noise[0] == pytest.approx([1, 2, -3, 1, 2, -3, 1, 2], rel=1e-5)


def test_a_pause_in_a_recording_adds_nothing_and_is_told(tmp_path: Path):
    (tmp_path / "street").mkdir()
    soundfile.write(tmp_path / "street/a.wav", np.zeros(100), RATE)
    made = variant(tone(440), policy(tmp_path, "kind: noise, snr_db: 0, folder: street"))
    assert np.array_equal(made.samples, tone(440))
    assert json.loads(made.done)[0]["silent"] is True


@pytest.mark.parametrize("gain_db", [-60.0, -6.0, 0.0, 3.3, 40.0])
def test_gain_is_exact_and_clips_nothing(gain_db: float, dog: npt.NDArray[np.float32]):
    made = variant(dog, fixed({"kind": "gain", "gain_db": gain_db}))
    np.testing.assert_allclose(made.samples, dog.astype(np.float64) * 10 ** (gain_db / 20), rtol=GAIN_TOLERANCE)
    if gain_db == 40:
        assert np.abs(made.samples).max() > 1


@pytest.mark.parametrize("semitones", [-12.0, -5.0, -0.5, 2.0, 7.0, 12.0])
def test_pitch_shift_moves_a_tone_and_keeps_its_length(semitones: float):
    sound = np.pad(tone(440), (0, 500))
    made = variant(sound, fixed({"kind": "pitch-shift", "semitones": semitones}), valid=2 * RATE)
    moved_cents = 1200 * math.log2(peak_hz(made.samples) / 440)
    assert moved_cents == pytest.approx(100 * semitones, abs=PITCH_TOLERANCE_CENTS)
    assert made.valid == 2 * RATE
    assert level_db(made.samples) == pytest.approx(level_db(sound), abs=1)


@pytest.mark.parametrize("rate", [0.55, 0.8, 0.95, 1.1, 1.5, 2.0])
def test_time_stretch_moves_onsets_and_keeps_pitch(rate: float):
    onset_s, burst = 0.7, tone(1000, 0.01)
    sound = np.zeros(2 * RATE, np.float32)
    sound[round(onset_s * RATE) :][: len(burst)] = burst
    made = variant(sound, fixed({"kind": "time-stretch", "rate": rate}))
    energy = np.square(made.samples, dtype=np.float64)
    middle_s = float((energy * np.arange(len(energy))).sum() / energy.sum()) / RATE
    assert middle_s == pytest.approx((onset_s + 0.005) / rate, abs=ONSET_TOLERANCE_S)
    assert made.valid == min(2 * RATE, round(2 * RATE / rate))
    steady = variant(tone(440), fixed({"kind": "time-stretch", "rate": rate})).samples
    assert 1200 * math.log2(peak_hz(steady) / 440) == pytest.approx(0, abs=PITCH_TOLERANCE_CENTS)


@pytest.mark.parametrize("where", [0, 1, RATE - 1])
@pytest.mark.parametrize("step", [{"kind": "pitch-shift", "semitones": 0}, {"kind": "time-stretch", "rate": 1}])
def test_the_stretcher_shifts_nothing_in_time_even_at_the_edges(where: int, step: dict[str, Any]):
    click = np.zeros(RATE, np.float32)
    click[where] = 0.9
    assert farthest(variant(click, fixed(step)).samples, click) < 1e-5


def test_slower_fills_the_padding_and_faster_leaves_more_of_it():
    sound = np.pad(tone(440, 1.0), (0, RATE))
    assert variant(sound, fixed({"kind": "time-stretch", "rate": 0.8}), valid=RATE).valid == round(RATE / 0.8)
    assert variant(sound, fixed({"kind": "time-stretch", "rate": 1.25}), valid=RATE).valid == round(RATE / 1.25)
    assert variant(sound[:RATE], fixed({"kind": "time-stretch", "rate": 0.8})).valid == RATE


@pytest.mark.parametrize("level", [1.0, 0.01])
def test_a_room_of_a_unit_impulse_is_identity(tmp_path: Path, dog: npt.NDArray[np.float32], level: float):
    made = variant(np.pad(dog, (0, 100)), impulse_response(tmp_path, [level, 0, 0, 0]), valid=len(dog))
    assert farthest(made.samples[: len(dog)], dog) < ROOM_TOLERANCE
    assert made.valid == len(dog)


def test_a_room_of_a_delayed_impulse_delays(tmp_path: Path, dog: npt.NDArray[np.float32]):
    variants = impulse_response(tmp_path, [*np.zeros(50), 0.5, 0, 0])
    made = variant(np.pad(dog, (0, 100)), variants, valid=len(dog))
    expected = np.concatenate([np.zeros(50), dog])
    assert made.valid == len(expected)
    assert farthest(made.samples[: made.valid], expected) < ROOM_TOLERANCE
    cut = variant(dog, variants)
    assert cut.valid == len(dog)
    assert farthest(cut.samples, expected[: len(dog)]) < ROOM_TOLERANCE


def test_a_room_is_a_convolution_of_equal_energy(tmp_path: Path):
    rng = np.random.default_rng(2)
    sound, response = rng.uniform(-1, 1, 300), rng.uniform(-1, 1, 40)
    made = variant(np.pad(sound, (0, 100)), impulse_response(tmp_path, response), valid=300)
    expected = np.convolve(sound, response)
    expected *= math.sqrt(np.square(sound).sum() / np.square(expected).sum())
    assert made.valid == len(expected)
    assert farthest(made.samples[:339], expected) < ROOM_TOLERANCE


def test_a_response_at_another_rate_is_resampled(tmp_path: Path):
    variants = impulse_response(tmp_path, [*np.zeros(4410), 0.5, *np.zeros(4410)], rate=44100)
    made = variant(np.pad(tone(440), (0, RATE)), variants, valid=2 * RATE)
    assert farthest(made.samples[2205 : 2205 + 2 * RATE], tone(440)) < 0.02
    assert np.abs(made.samples[:2000]).max() < 1e-3


def test_another_response_under_the_same_name_is_another_room(tmp_path: Path):
    first = variant([0.5, 0, 0, 0], impulse_response(tmp_path, [1, 0, 0]))
    second = variant([0.5, 0, 0, 0], impulse_response(tmp_path, [0, 1, 0]))
    assert (np.argmax(first.samples), np.argmax(second.samples)) == (0, 1)


def test_transforms_are_done_in_their_order(dog: npt.NDArray[np.float32]):
    gain, noise = {"kind": "gain", "gain_db": 20}, {"kind": "noise", "snr_db": 10}
    one, other = variant(dog, fixed(gain, noise)), variant(dog, fixed(noise, gain))
    assert [step["kind"] for step in json.loads(one.done)] == ["gain", "noise"]
    assert [step["kind"] for step in json.loads(other.done)] == ["noise", "gain"]


def test_a_rule_does_only_what_its_labels_ask_for():
    rules = [
        {"labels": ["dog"], "transforms": [{"kind": "gain", "gain_db": 6}]},
        {"labels": ["rain"], "transforms": [{"kind": "gain", "gain_db": -6}]},
    ]
    variants = Variants.model_validate({"rules": rules})
    assert variant([0.1], variants, labels=["dog"]).samples == pytest.approx([0.1 * 10**0.3])
    assert variant([0.1], variants, labels=["rain"]).samples == pytest.approx([0.1 * 10**-0.3])
    with pytest.raises(IndexError):
        variant([0.1], variants, labels=["crow"])


# What always holds

ONE_STEP = st.sampled_from(
    [
        {"kind": "time-stretch", "rate": [0.55, 2]},
        {"kind": "pitch-shift", "semitones": [-24, 24]},
        {"kind": "noise", "snr_db": [-40, 100]},
        {"kind": "gain", "gain_db": [-60, 40]},
    ]
)


@st.composite
def windows(draw: st.DrawFn) -> tuple[npt.NDArray[np.float32], int]:
    """A window and how much of it is sound: noise, silence, one value, or one click, at any level."""
    length = draw(st.integers(1, 3000))
    valid = draw(st.integers(1, length))
    shape = draw(st.sampled_from(["noise", "silence", "constant", "click"]))
    sound = np.zeros(valid)
    if shape == "noise":
        sound = np.random.default_rng(draw(st.integers(0, 99))).uniform(-1, 1, valid)
    elif shape != "silence":
        sound[slice(None) if shape == "constant" else draw(st.integers(0, valid - 1))] = 1
    level = 10.0 ** draw(st.integers(-44, 38))
    return np.pad(level * sound, (0, length - valid)).astype(np.float32), valid


@settings(max_examples=count_examples(150))
@given(windows(), st.lists(ONE_STEP, min_size=1, max_size=4), st.sampled_from([1000, 8000, 22050]))
def test_any_window_gives_finite_samples_and_silence_after_valid(
    window: tuple[npt.NDArray[np.float32], int], steps: list[dict[str, Any]], sample_rate: int
):
    samples, valid = window
    given_samples = samples.copy()
    try:
        made = variant(samples, fixed(*steps), valid=valid, sample_rate=sample_rate)
    except NonFiniteAudio:
        assert np.abs(samples).max() > HUGE, "only huge samples may leave what float32 holds"
        return
    assert made.samples.dtype == np.float32
    assert made.samples.shape == samples.shape
    assert np.isfinite(made.samples).all()
    assert 1 <= made.valid <= len(samples)
    assert not made.samples[made.valid :].any()
    assert np.array_equal(samples, given_samples), "what was given has changed"
    assert [step["kind"] for step in json.loads(made.done)] == [step["kind"] for step in steps]
    if not samples.any():
        assert not made.samples.any(), "silence must stay silence"
    if not any(step["kind"] == "time-stretch" for step in steps):
        assert made.valid == valid


@settings(max_examples=count_examples(40))
@given(windows())
@example((np.zeros(10, np.float32), 10))
@example((np.ones(1, np.float32), 1))
def test_any_window_goes_through_everything(everything: Variants, window: tuple[npt.NDArray[np.float32], int]):
    samples, valid = window
    try:
        made = variant(samples, everything, valid=valid)
    except NonFiniteAudio:
        assert np.abs(samples).max() > HUGE
        return
    assert np.isfinite(made.samples).all()
    assert len(made.samples) == len(samples)
    assert not made.samples[made.valid :].any()
    if not samples.any():
        assert not made.samples.any(), "silence must stay silence"
    if np.abs(samples).max() > 1 / HUGE:
        assert made.samples.any(), "sound must stay sound"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_refused(bad: float):
    with pytest.raises(NonFiniteAudio, match="sample 2 of the window"):
        variant([0, 0, bad, 0], fixed({"kind": "gain", "gain_db": 0}))


def test_a_window_without_sound_is_refused():
    for samples in ([], [0.0, 0.0]):
        with pytest.raises(EmptyAudio, match="holds no audio"):
            variant(samples, fixed({"kind": "gain", "gain_db": 0}), valid=0)


def test_samples_beyond_float32_are_refused_with_what_was_done():
    with pytest.raises(NonFiniteAudio, match=r"variant 1 is too loud for float32: .*gain_db"):
        variant([1e38], fixed({"kind": "gain", "gain_db": 40}))


# Bad recordings in the policy's folders


def broken(folder: Path, content: bytes) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "bad.wav").write_bytes(content)


@pytest.mark.parametrize("kind", ["kind: room", "kind: noise, snr_db: 0"])
@pytest.mark.parametrize("content", [b"", b"this is text"])
def test_a_file_that_is_no_audio_is_told_before_the_run_and_in_it(tmp_path: Path, kind: str, content: bytes):
    broken(tmp_path / "sounds", content)
    variants = policy(tmp_path, f"{kind}, folder: sounds")
    says = r"policy's recording sounds/bad.wav cannot be used: bad.wav is not audio"
    with pytest.raises(SettingsError, match=rf"{says} .*; remove or replace the file in {tmp_path}/sounds"):
        check_effect_recordings(variants, sample_rate=RATE)
    with pytest.raises(AugmentationError, match=says):
        variant(tone(440), variants)


@pytest.mark.parametrize(
    ("response", "rate", "says"),
    [
        (np.zeros(100), RATE, "silent: no impulse response"),
        (np.ones(31 * 1000), 1000, "lasts 31 s: an impulse response has 30 s at most"),
        ([1, np.nan], RATE, "is nan"),
        ([], RATE, "holds no samples"),
    ],
)
def test_what_is_no_impulse_response_is_told(tmp_path: Path, response: Any, rate: int, says: str):
    variants = impulse_response(tmp_path, response, rate=rate)
    with pytest.raises(SettingsError, match=says):
        check_effect_recordings(variants, sample_rate=RATE)
    with pytest.raises(AugmentationError, match=f"recording rooms/room.wav cannot be used: .*{says}"):
        variant(tone(440), variants)


def test_a_noise_file_without_samples_is_told(tmp_path: Path):
    (tmp_path / "street").mkdir()
    soundfile.write(tmp_path / "street/a.wav", np.zeros(0), RATE)
    variants = policy(tmp_path, "kind: noise, snr_db: 0, folder: street")
    with pytest.raises(AugmentationError, match="recording street/a.wav cannot be used: a.wav holds no samples"):
        variant(tone(440), variants)
    with pytest.raises(SettingsError, match="street/a.wav"):
        check_effect_recordings(variants, sample_rate=RATE)


def noise_with_a_hole(folder: Path, at_s: float) -> Variants:
    """20 s of noise at 1 kHz, of which one sample is no number."""
    recording = np.random.default_rng(0).uniform(-0.5, 0.5, 20_000).astype(np.float32)
    recording[round(at_s * 1000)] = np.nan
    (folder / "street/night").mkdir(parents=True)
    soundfile.write(folder / "street/night/a.wav", recording, 1000, subtype="FLOAT")
    return policy(folder, "kind: noise, snr_db: 0, folder: street")


def test_broken_noise_is_not_blamed_on_the_clip(tmp_path: Path):
    variants = noise_with_a_hole(tmp_path, 9.0)
    says = r"recording street/night/a.wav cannot be used: the sample at 9\.000 s is nan"
    with pytest.raises(AugmentationError, match=says):
        variant(np.full(20_000, 0.1), variants, sample_rate=1000)
    with pytest.raises(SettingsError, match=rf"{says}; remove or replace the file in {tmp_path}/street"):
        check_effect_recordings(variants, sample_rate=1000)


def test_of_long_noise_only_the_beginning_is_decoded_before_a_run(tmp_path: Path):
    variants = noise_with_a_hole(tmp_path, CHECKED_S + 5)
    check_effect_recordings(variants, sample_rate=1000)
    with pytest.raises(AugmentationError, match="street/night/a.wav cannot be used: the sample at 15"):
        variant(np.full(20_000, 0.1), variants, sample_rate=1000)


def test_a_recording_that_is_gone_is_told_as_the_policys(tmp_path: Path):
    variants = impulse_response(tmp_path, [1, 0])
    (tmp_path / "rooms/room.wav").unlink()
    with pytest.raises(AugmentationError, match="rooms/room.wav cannot be used: room.wav cannot be opened"):
        variant(tone(440), variants)


def test_good_recordings_pass(everything: Variants):
    check_effect_recordings(everything, sample_rate=RATE)


def stored(variants: Variants) -> Variants:
    """The policy as a store hands it back, without a look at the disk."""
    return Variants.model_validate(json.loads(json.dumps(variants.model_dump(mode="json"))))


@pytest.mark.parametrize("kind", ["kind: room", "kind: noise, snr_db: 0"])
def test_changed_recordings_are_refused_with_both_hashes_until_they_are_back(tmp_path: Path, kind: str):
    (tmp_path / "sounds").mkdir()
    soundfile.write(tmp_path / "sounds/a.wav", np.full(100, 0.1), RATE)
    variants = stored(policy(tmp_path, f"{kind}, folder: sounds"))
    before = (tmp_path / "sounds/a.wav").read_bytes()
    soundfile.write(tmp_path / "sounds/a.wav", np.full(100, 0.2), RATE)
    now = policy(tmp_path, f"{kind}, folder: sounds")
    says = rf"folder {tmp_path}/sounds has changed: it holds {now.folders[0].hash}, .* {variants.folders[0].hash}; "
    with pytest.raises(SettingsError, match=says + "put the recordings back, or give another -o with --variants FILE"):
        check_effect_recordings(variants, sample_rate=RATE)
    check_effect_recordings(now, sample_rate=RATE)
    (tmp_path / "sounds/a.wav").write_bytes(before)
    check_effect_recordings(variants, sample_rate=RATE)


@pytest.mark.parametrize(("name", "says"), [("sounds", "is no folder"), ("sounds/a.wav", "holds no file")])
def test_a_folder_that_is_gone_or_empty_is_refused(tmp_path: Path, name: str, says: str):
    (tmp_path / "sounds").mkdir()
    soundfile.write(tmp_path / "sounds/a.wav", np.full(100, 0.1), RATE)
    variants = stored(policy(tmp_path, "kind: noise, snr_db: 0, folder: sounds"))
    (tmp_path / name).rename(tmp_path / "elsewhere")
    with pytest.raises(SettingsError, match=rf"{tmp_path}/sounds {says}.* {variants.folders[0].hash}.*; put the rec"):
        check_effect_recordings(variants, sample_rate=RATE)
    (tmp_path / "elsewhere").rename(tmp_path / name)
    check_effect_recordings(variants, sample_rate=RATE)


def test_every_folder_named_is_compared_and_each_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for folder in ("street", "sea"):
        (tmp_path / folder).mkdir()
        soundfile.write(tmp_path / folder / "a.wav", np.full(100, 0.1), RATE)
    steps = [f"kind: noise, snr_db: {snr}, folder: {folder}" for snr in (0, 3) for folder in ("street", "sea")]
    variants, digested = policy(tmp_path, *steps), []
    digest = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda file, name: digested.append(file.name) or digest(file, name))
    check_effect_recordings(variants, sample_rate=RATE)
    assert sorted(digested) == [f"{tmp_path}/sea/a.wav", f"{tmp_path}/street/a.wav"]
    soundfile.write(tmp_path / "sea/b.wav", np.full(100, 0.1), RATE)
    with pytest.raises(SettingsError, match="folder .*/sea has changed"):
        check_effect_recordings(variants, sample_rate=RATE)


def test_the_library_loads_without_audiomentations():
    code = "import sys, hubbub.audio.effects; sys.exit('audiomentations' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
