"""Waveform augmentation: the effects of a policy (`hubbub.config.variants`), applied to one window of samples.

A window in, a window out, so that memory does not grow with a recording's length::

    given      [audio========|.......]        |  after the bar is padding: zeros that are no audio
    faster     [audio====|...........]        the audio ends earlier
    slower     [audio===============]         and is cut where the window ends
    in a room  [audio========~~~|....]        reverberation rings on into the padding, and is audio

Everything drawn, the noise too, comes from a generator seeded by the policy's seed, the clip's id and the numbers of
variant and window. So a variant has the same bits in any process, thread and order, on processors of one kind and with
the same versions of the libraries. Nothing touches the random states that Python and NumPy share among a process's
threads; that is why noise is mixed here, while time stretch, pitch shift, gain and rooms are audiomentations'.

Samples above full scale stay as they are, in floating point: nothing is clipped.
"""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hubbub.audio import decode
from hubbub.audio.soundscape import find_audible_part
from hubbub.config.variants import (
    Gain,
    Noise,
    PitchShift,
    RecordingFolder,
    Room,
    TimeStretch,
    Variants,
    scan_recordings,
)
from hubbub.errors import AudioError, AugmentationError, DecodeError, EmptyAudio, NonFiniteAudio, SettingsError

if TYPE_CHECKING:
    from audiomentations import ApplyImpulseResponse
    from audiomentations.core.transforms_interface import BaseWaveformTransform

Samples = npt.NDArray[np.float32]

LONGEST_RESPONSE_S = 30.0
"""Impulse responses last a few seconds; what lasts longer than this is a recording of something else."""

CHECKED_S = 10.0
"""Of a recording of noise, so much is decoded before a run: a broken file is mostly broken there, and hours would be
too many to decode."""

_STRETCH_BLOCK_S = 0.12  # the stretcher's own; it smears the first and last block of what it is given
_ROOMS_KEPT = 16  # impulse responses held decoded, 5 MB each at the most that is usual


@dataclass(frozen=True)
class AugmentedWindow:
    """A window's variant.

    Attributes
    ----------
    samples
        float32 [sample], as many as were given, zeros after `valid`; all finite, maybe beyond full scale.
    valid
        Samples that are audio, not padding.
    done
        JSON: a list of the transforms in their order, each with its kind and the values drawn.
    """

    samples: Samples
    valid: int
    done: str


def apply_effects(
    samples: Samples,
    valid: int,
    *,
    variants: Variants,
    number: int,
    labels: Sequence[str],
    clip_id: str,
    window: int,
    sample_rate: int,
) -> AugmentedWindow:
    """Make one variant of one window.

    Parameters
    ----------
    samples
        float32 [sample], mono, zeros after `valid`; not changed.
    valid
        Samples that are audio; only these are transformed.
    variants
        The policy.
    number
        Which of the clip's variants, from 1 to ``variants.count(labels)``.
    labels, clip_id, window
        The clip's labels and id, and the window's number in it. Each window draws its own values.
    sample_rate
        Hz, of the samples and of the result.

    Raises
    ------
    EmptyAudio
        The window holds no audio.
    NonFiniteAudio
        A sample given is NaN or infinite, or one of the variant is too large for float32.
    AugmentationError
        A recording that the policy names cannot be decoded, holds no audio, or is no impulse response.
    IndexError
        When the clip has no variant of that number.
    """
    audio = _pad_silence(samples, valid)
    scale = int(np.frexp(np.abs(audio).max())[1])
    # Scaled by a power of two, which rounds nothing, so that the variant does not depend on how loud the clip is:
    # the stretcher would overflow on huge samples and lose tiny ones.
    audio = np.ldexp(audio, -scale)
    call = _EffectCall(_generator(variants.seed, clip_id, number, window), sample_rate, len(samples))
    done = []
    with np.errstate(over="ignore", invalid="ignore"):  # told below
        for step in variants.rule_of(labels, number).transforms:
            audio, drawn = _STEPS[type(step)](audio, step, call)
            done.append({"kind": step.kind} | drawn)
        audio = np.ldexp(audio, scale)
    if not np.isfinite(audio).all():
        raise NonFiniteAudio(f"variant {number} is too loud for float32: {json.dumps(done)}")
    return AugmentedWindow(np.pad(audio, (0, len(samples) - len(audio))), len(audio), json.dumps(done))


def check_effect_recordings(variants: Variants, *, sample_rate: int) -> None:
    """Refuse a policy whose recordings are others than when it was read, or cannot be used.

    So that no store mixes variants of two kinds, and that a broken recording is found before a run and not in it. Every
    folder is read once; of noise, no more than `CHECKED_S` of each recording are decoded.

    Raises
    ------
    SettingsError
        For the first folder that is gone or changed, then for the first recording that cannot be used.
    """
    for folder in dict.fromkeys(variants.folders):
        _check_content(folder)
    steps = (step for rule in variants.rules for step in rule.transforms)
    named = ((type(step), step.folder) for step in steps if isinstance(step, Noise | Room) and step.folder)
    for kind, folder in dict.fromkeys(named):
        for name in folder.files:
            _check_recording(kind, folder, name, sample_rate)


def _check_content(folder: RecordingFolder) -> None:
    was = f"the policy was made with {folder.hash}"
    mend = "put the recordings back, or give another -o with --variants FILE to make a new store"
    try:
        found = scan_recordings(Path(folder.path))
    except ValueError as error:
        raise SettingsError(f"the policy's folder {folder.path} cannot be used: {error} ({was}); {mend}") from None
    if found.hash != folder.hash:
        raise SettingsError(f"the policy's folder {folder.path} has changed: it holds {found.hash}, {was}; {mend}")


def _check_recording(kind: type, folder: RecordingFolder, name: str, sample_rate: int) -> None:
    path = Path(folder.path) / name
    try:
        with _explain_errors(folder, name):
            if kind is Room:
                _room(path, folder.hash, sample_rate)
            else:
                for _ in decode.decode_blocks(path, sample_rate=sample_rate, count=round(CHECKED_S * sample_rate)):
                    pass
    except AugmentationError as error:
        raise SettingsError(f"{error}; remove or replace the file in {folder.path}") from None


@contextmanager
def _explain_errors(folder: RecordingFolder, name: str) -> Iterator[None]:
    """Say of what is wrong with a recording that it is the policy's, not the clip."""
    try:
        yield
    except AudioError as error:
        recording = f"{Path(folder.path).name}/{name}"
        raise AugmentationError(f"the policy's recording {recording} cannot be used: {error}") from None


@dataclass(frozen=True)
class _EffectCall:
    """What every transform is told."""

    rng: np.random.Generator
    sample_rate: int
    length: int

    def drawn(self, pair: tuple[float, float]) -> float:
        return float(self.rng.uniform(*pair))

    def file(self, folder: RecordingFolder) -> tuple[str, Path]:
        """A recording's name, by which it is known wherever the folder lies, and its path."""
        index = int(self.rng.integers(len(folder.files)))
        return folder.files[index], folder.paths[index]


Step = tuple[Samples, dict[str, Any]]
"""The audio, at most as long as the window, and what was drawn."""


def _pad_silence(samples: Samples, valid: int) -> Samples:
    audio = np.asarray(samples[:valid], np.float32)
    if not len(audio):
        raise EmptyAudio("the window holds no audio")
    if not np.isfinite(audio).all():
        raise NonFiniteAudio(f"sample {int(np.argmin(np.isfinite(audio)))} of the window is NaN or infinite")
    return audio


def _generator(*key: int | str) -> np.random.Generator:
    """A generator that is equal exactly for equal keys."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(json.dumps(key).encode()).digest(), "big"))


def _time_stretch(audio: Samples, step: TimeStretch, call: _EffectCall) -> Step:
    from audiomentations import TimeStretch as Stretch

    rate = call.drawn(step.rate)
    transform = _configure(Stretch(leave_length_unchanged=False, method="signalsmith_stretch"), rate=rate)
    length = max(1, round(len(audio) / rate))
    return _process_audible_part(audio, transform, call, rate, length)[: call.length], {"rate": rate}


def _pitch_shift(audio: Samples, step: PitchShift, call: _EffectCall) -> Step:
    from audiomentations import PitchShift as Shift

    semitones = call.drawn(step.semitones)
    transform = _configure(Shift(method="signalsmith_stretch"), num_semitones=semitones)
    return _process_audible_part(audio, transform, call, 1.0, len(audio)), {"semitones": semitones}


def _process_audible_part(
    audio: Samples, transform: BaseWaveformTransform, call: _EffectCall, rate: float, length: int
) -> Samples:
    """Stretch audio that has a block of silence before and after it.

    The block takes the smear, and makes even one sample long enough for it.
    """
    silence = math.ceil(_STRETCH_BLOCK_S * call.sample_rate)
    first = round(silence / rate)
    return transform.apply(np.pad(audio, silence), call.sample_rate)[first : first + length]


def _noise(audio: Samples, step: Noise, call: _EffectCall) -> Step:
    snr_db = call.drawn(step.snr_db)
    drawn: dict[str, Any] = {"snr_db": snr_db}
    if step.folder is None:
        noise = call.rng.standard_normal(len(audio), np.float32)
    else:
        name, path = call.file(step.folder)
        with _explain_errors(step.folder, name):
            noise, start_s = _read_noise(path, len(audio), call)
        drawn |= {"file": name, "start_s": start_s}
    level = _rms(noise)
    if level == 0:  # a pause in a recording: no gain makes noise of it
        return audio, drawn | {"silent": True}
    gain = _rms(audio) / level * 10 ** (-snr_db / 20)
    return audio + (gain * noise.astype(np.float64)).astype(np.float32), drawn


def _read_noise(path: Path, length: int, call: _EffectCall) -> tuple[Samples, float]:
    """A stretch of a recording from a second drawn, repeated where the recording is shorter; and that second."""
    total = round(decode.read_audio_info(path).duration_s * call.sample_rate)
    first = int(call.rng.integers(max(1, total - length + 1)))
    noise = decode.load_audio(path, sample_rate=call.sample_rate, first=first, count=length)
    if not len(noise):
        raise EmptyAudio(f"{path.name} holds no samples from {first / call.sample_rate:.3f} s on")
    return np.resize(noise, length), first / call.sample_rate


def _gain(audio: Samples, step: Gain, call: _EffectCall) -> Step:
    from audiomentations import Gain as Amplifier

    gain_db = call.drawn(step.gain_db)
    transform = _configure(Amplifier(), amplitude_ratio=10 ** (gain_db / 20))
    return transform.apply(audio, call.sample_rate), {"gain_db": gain_db}


def _apply_room(audio: Samples, step: Room, call: _EffectCall) -> Step:
    """The audio convolved with a response, its energy (sum of squares) as before.

    How loud a response was recorded says nothing about a room, so that only what it does to the audio is taken over.
    """
    name, path = call.file(step.folder)
    with _explain_errors(step.folder, name):
        transform, rings = _room(path, step.folder.hash, call.sample_rate)
    wet = transform.apply(audio, call.sample_rate)
    energy = _energy(wet)
    gain = np.float32(math.sqrt(_energy(audio) / energy)) if energy else np.float32(0)
    return gain * wet[: min(call.length, len(audio) + rings)], {"file": name}


@lru_cache(maxsize=_ROOMS_KEPT)
def _room(path: Path, content: str, sample_rate: int) -> tuple[ApplyImpulseResponse, int]:
    """A room, and for how many samples the audio rings on in it: until the response is 60 dB below its peak.

    `content`, the folder's hash, tells a file from the one that had its name before.
    """
    from audiomentations import ApplyImpulseResponse

    if (duration_s := decode.read_audio_info(path).duration_s) > LONGEST_RESPONSE_S:
        raise DecodeError(
            f"{path.name} lasts {duration_s:.0f} s: an impulse response has {LONGEST_RESPONSE_S:g} s at most"
        )
    # audiomentations decodes it too, but does not say what is wrong with a bad one.
    response = decode.load_audio(path, sample_rate=sample_rate)
    _, end = find_audible_part(response)
    if not end:
        raise EmptyAudio(f"{path.name} is silent: no impulse response")
    transform = _configure(ApplyImpulseResponse(str(path), leave_length_unchanged=False), ir_file_path=str(path))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*had to be resampled")  # as it should be, once
        transform.apply(np.ones(1, np.float32), sample_rate)  # decodes it and keeps it
    return transform, end - 1


def _configure(transform: Any, **parameters: Any) -> Any:
    """An audiomentations transform with the values that its `apply` uses; its call would draw others."""
    transform.parameters = parameters
    return transform


def _energy(audio: Samples) -> float:
    return float(np.sum(np.square(audio, dtype=np.float64)))


def _rms(audio: Samples) -> float:
    return math.sqrt(_energy(audio) / len(audio))


_STEPS: dict[type, Callable[[Samples, Any, _EffectCall], Step]] = {
    TimeStretch: _time_stretch,
    PitchShift: _pitch_shift,
    Noise: _noise,
    Gain: _gain,
    Room: _apply_room,
}
