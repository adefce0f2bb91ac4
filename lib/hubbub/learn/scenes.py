"""Scenes mixed on the fly from a batch of rows, with what is active in every frame.

::

    background   ~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~   noise, the rows' own quiet stretches, or the user's recordings
    events          [ dog ]     [ rain         ]      0 to 4 rows, each at a random time and level; they may overlap
                       [ no class ]                   sounds of no class, whose targets are 0
    targets      0 0 1 1 1 0 0 1 1 1 1 1 1 1 1 0 0    share of each score's frame in which the label is active

Everything is added in power, as unrelated sounds are. Levels are those of the active frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hubbub.audio.activity import SILENCE_BELOW_DB, find_active_frames
from hubbub.audio.frontends import get_frontend
from hubbub.config import Settings
from hubbub.learn.augment import Features, Scale, Targets, mask
from hubbub.learn.backgrounds import Backgrounds, make_distractors, weigh_bands
from hubbub.learn.scene_parts import Deck, Sound, mark_active, reverberate
from hubbub.learn.teaching import Lesson
from hubbub.models.frames import FrameLayout

SCENE_S = 10.0
"""Seconds of a scene, about."""

SPARSE_EVENTS = (0.6, 0.25, 0.1, 0.05)
"""Share of scenes with 0, 1, 2 … events on which event rules are fitted."""

LEAST_QUIET_S, PIECE_FRAMES = 0.5, 16
"""What a row must hold between its events to lie under a scene, and frames of it that stay together."""

WHOLE_EVENT = 2.0
"""Targets of a row that is one event from its first frame of sound to its last, as in a clip table of events; those of
a row of which only the level tells when it sounds are 1."""

_TO_POWER = math.log(10) / 10


@dataclass(frozen=True)
class SceneMixer:
    """Turns a batch of rows into as many scenes."""

    scale: Scale
    """The frontend's decibels."""

    n_frames: int
    """Frontend frames of a scene."""

    stride: int
    """Frontend frames of a score."""

    frame_s: float
    """Seconds from one frontend frame to the next."""

    band_weight: npt.NDArray[np.float32]
    """float32 [band]: what a band's power counts in a frame's level; that of noise with an RMS of 1 is 0 dB."""

    backgrounds: Backgrounds
    """What lies under the events."""

    distractors: Sequence[Sound] = ()
    """Synthetic sounds of no class."""

    voices: Sequence[Sound] = ()
    """Synthetic voices, likewise."""

    voice_share: float = 0.45
    """Share of sounds of no class that are voices: most of what microphones in a city hear, beside traffic."""

    negatives: Sequence[Sound] = ()
    """The user's own, likewise: where there are some, half of those that are drawn, however few they are."""

    lessons: Sequence[Lesson] = ()
    """Stretches of an archive without labels, with what a teacher hears in them."""

    lesson_share: float = 0.3
    """Share of scenes that are such a stretch, where there are some."""

    event_shares: tuple[float, ...] = (0.18, 0.28, 0.26, 0.17, 0.11)
    """Share of scenes with 0, 1, 2 … events."""

    snr_db: tuple[float, float] = (-5.0, 20.0)
    """Lowest and highest level of an event over the background."""

    clean_share: float = 0.3
    """Share of scenes that are whole rows as they are recorded, one after another, over next to nothing."""

    clean_distractor_share: float = 0.25
    """Share of the places of such a scene that hold a sound of no class: not all that is clear is of a class."""

    background_db: tuple[float, float] = (-70.0, -25.0)
    """Softest and loudest background, dBFS."""

    distractor_share: float = 0.5
    """Share of scenes with a sound of no class."""

    busy_share: float = 0.25
    """Share of scenes with several of them all the way through, as where people talk or birds sing."""

    quiet_share: float = 0.2
    """Share of scenes over what rows hold between their events, where some do."""

    edge_share: float = 0.25
    """Share of mixed scenes in which the recording begins or ends: noise that sets in out of silence is no rain."""

    reverb_share: float = 0.3
    """Share of events that reverberate."""

    eq_db: float = 4.0
    """Spread of the random equalisation of each event and of each scene."""

    max_band_shift: int = 4
    """Bands that an event is moved up or down by, at most."""

    masks: int = 1
    """SpecAugment masks along each axis."""

    widest_mask: float = 0.1
    """Widest mask, as a share of the axis."""

    @classmethod
    def of(cls, settings: Settings, layout: FrameLayout) -> SceneMixer:
        """Make the mixer for a frontend in decibels, and a network of frames."""
        scale, frontend, backgrounds = Scale.of(settings), settings.frontend, Backgrounds.of(settings)
        frame_s = frontend.hop_samples / frontend.sample_rate
        mixer = cls(
            scale=scale,
            n_frames=layout.multiple * max(1, round(SCENE_S / frame_s / layout.multiple)),
            stride=layout.stride,
            frame_s=frame_s,
            band_weight=weigh_bands(get_frontend(frontend).band_hz, frontend.name) / backgrounds.white_level(settings),
            backgrounds=backgrounds,
            max_band_shift=max(1, frontend.n_bands // 32) if frontend.name == "log-mel" else 1,
        )
        others, voices = (make_distractors(settings, are_voices=are_voices) for are_voices in (False, True))
        return replace(mixer, distractors=mixer._as_sounds(others), voices=mixer._as_sounds(voices))

    def with_sounds(
        self,
        *,
        backgrounds: Sequence[Features] = (),
        negatives: Sequence[Features] = (),
        lessons: Sequence[Lesson] = (),
    ) -> SceneMixer:
        """Take recordings for backgrounds, sounds of no class, and lessons, beside its own.

        Parameters
        ----------
        backgrounds, negatives
            Each float32 [frame, band], in the frontend's decibels.
        lessons
            What a teacher hears in an archive.
        """
        under = [np.exp(np.float32(_TO_POWER) * piece) for piece in backgrounds]
        return replace(
            self,
            backgrounds=replace(self.backgrounds, recorded=(*self.backgrounds.recorded, *under)),
            negatives=self._as_sounds(negatives),
            lessons=lessons,
        )

    def _as_sounds(self, sounds: Iterable[npt.NDArray[np.floating]]) -> list[Sound]:
        """Find once which frames of each are active."""
        powers = ((one, np.exp(np.float32(_TO_POWER) * one.astype(np.float32))) for one in sounds)
        return [Sound(one, find_active_frames(self.levels_db(power[None])[0], self.frame_s)) for one, power in powers]

    def for_validation(self) -> SceneMixer:
        """Scenes as they are heard: no masks, no shifts, no equalisation."""
        return replace(self, masks=0, max_band_shift=0, eq_db=0.0, lessons=())

    def for_rules(self) -> SceneMixer:
        """Scenes as archives hold them: most of the time nothing of any class, but other sounds."""
        return replace(self.for_validation(), event_shares=SPARSE_EVENTS, clean_share=0.0)

    def for_onsets(self, snr_db: tuple[float, float]) -> SceneMixer:
        """Scenes in which it is clear when something begins: an event or two over a background, and nothing else."""
        quiet = replace(self.for_validation(), distractor_share=0.0, busy_share=0.0, clean_share=0.0, edge_share=0.0)
        return replace(quiet, event_shares=(0.0, 0.5, 0.5), snr_db=snr_db, reverb_share=0.0)

    def without_events(self) -> tuple[SceneMixer, ...]:
        """Scenes of noise alone, and scenes where sounds of no class, or where voices go on all the time.

        Half of the latter are clear: without noise, sounds of no class are most like those of a label.
        """
        empty = replace(self.for_rules(), event_shares=(1.0,), distractor_share=0.0, busy_share=0.0)
        busy = replace(empty, busy_share=1.0, clean_share=0.5, clean_distractor_share=1.0)
        if not self.voices:
            return empty, busy
        return empty, replace(busy, voice_share=0.0), replace(busy, voice_share=1.0, negatives=())

    def __call__(self, features: Features, targets: Targets, rng: np.random.Generator) -> tuple[Features, Targets]:
        """Mix as many scenes as there are rows.

        Returns
        -------
        scenes
            float32 [scene, frame, band], in the frontend's decibels.
        targets
            float32 [scene, score, label], 0 to 1; those given are 0, 1 or `WHOLE_EVENT`, [row, label].
        """
        power = np.exp(np.float32(_TO_POWER) * features)
        is_whole: npt.NDArray[np.bool_] = targets.max(axis=1) > 1.0
        targets = np.minimum(targets, 1.0)
        levels_db = self.levels_db(power)
        active = [self._find_active(*one) for one in zip(levels_db, is_whole, strict=True)]
        rows = Deck(len(features), rng)
        quiet = self._find_quiet(power, active)
        scenes = np.empty((len(features), self.n_frames, features.shape[2]), np.float32)
        wanted = np.zeros((len(features), self.n_frames, targets.shape[1]), np.float32)
        for scene, want in zip(scenes, wanted, strict=True):
            if self.lessons and rng.random() < self.lesson_share:
                self._place_lesson(scene, want, rng)
            elif rng.random() < self.clean_share:
                self._place_whole_rows(scene, want, rows, power, active, targets, rng)
            else:
                under = self._draw_background(quiet, rng)
                self._mix_scene(scene, want, under, rows, power, active, targets, rng)
        scenes += self._equalise(len(scenes), scenes.shape[2], rng)[:, None, :]
        decibels = self.scale.apply(scenes)
        if self.masks:
            decibels = mask(decibels, rng, masks=self.masks, widest=self.widest_mask)
        shape = (len(features), self.n_frames // self.stride, self.stride, targets.shape[1])
        return decibels.astype(np.float32, copy=False), wanted.reshape(shape).mean(axis=2)

    def _find_active(self, level_db: npt.NDArray[np.float32], is_whole: bool) -> npt.NDArray[np.bool_]:
        """Which frames of a row are active: bool [frame]."""
        if not is_whole:
            return find_active_frames(level_db, self.frame_s)
        sounds = np.flatnonzero(level_db > level_db.max() - SILENCE_BELOW_DB)
        return np.arange(len(level_db)) <= sounds[-1]

    def levels_db(self, power: Features) -> npt.NDArray[np.float32]:
        """Level of each frame: float32 [row, frame], dB, of power [row, frame, band]."""
        return 10 * np.log10(np.maximum(power @ self.band_weight, 1e-30))

    def _mix_scene(
        self,
        scene: Features,
        want: Targets,
        background: Features,
        rows: Deck,
        power: Features,
        active: list[npt.NDArray[np.bool_]],
        targets: Targets,
        rng: np.random.Generator,
    ) -> None:
        level_db = rng.uniform(*self.background_db)
        total = background * np.float32(10 ** (level_db / 10) / max(self._mean_level(background), 1e-30))
        for _ in range(int(rng.choice(len(self.event_shares), p=self.event_shares))):
            row = rows.draw()
            self._add(total, power[row], active[row], level_db, rng, want, targets[row])
        for _ in range(self._count_distractors(rng)):
            sound = self._draw_distractor(rng)
            self._add(total, self._power_of(sound), sound.active, level_db, rng)
        if rng.random() < self.edge_share:
            at = int(rng.integers(self.n_frames // 10, self.n_frames * 9 // 10))
            beyond = slice(at) if rng.random() < 0.5 else slice(at, None)
            total[beyond], want[beyond] = 10 ** (self.scale.silence_db / 10), 0.0
        scene[:] = np.log(np.maximum(total, 1e-30)) / np.float32(_TO_POWER)

    def _draw_distractor(self, rng: np.random.Generator) -> Sound:
        if self.negatives and rng.random() < 0.5:
            chosen = self.negatives
        else:
            chosen = self.voices if self.voices and rng.random() < self.voice_share else self.distractors
        return chosen[int(rng.integers(len(chosen)))]

    def _power_of(self, sound: Sound) -> Features:
        return np.exp(np.float32(_TO_POWER) * sound.features.astype(np.float32))

    def _count_distractors(self, rng: np.random.Generator) -> int:
        if not len(self.distractors):
            return 0
        if rng.random() < self.busy_share:
            return int(rng.integers(3, 8))
        return int(rng.random() < self.distractor_share)

    def _find_quiet(self, power: Features, active: list[npt.NDArray[np.bool_]]) -> list[Features]:
        """Frames of each row that lie apart from its events, where they are many, and no digital silence."""
        found = []
        for one, sounding in zip(power, active, strict=True):
            near = np.convolve(sounding, np.ones(7), mode="same") > 0
            own = one[~near & (one.max(axis=1) > 10 ** (self.scale.silence_db / 10 + 1.0))]
            if len(own) * self.frame_s >= LEAST_QUIET_S:
                found.append(own)
        return found

    def _draw_background(self, quiet: list[Features], rng: np.random.Generator) -> Features:
        if quiet and rng.random() < self.quiet_share:
            own = quiet[int(rng.integers(len(quiet)))]
            pieces = rng.integers(0, len(own), self.n_frames // PIECE_FRAMES + 1)
            frames = (pieces[:, None] + np.arange(PIECE_FRAMES)).ravel()[: self.n_frames] % len(own)
            return own[frames]
        return self.backgrounds.draw(self.n_frames, rng)

    def _place_lesson(self, scene: Features, want: Targets, rng: np.random.Generator) -> None:
        """A stretch of the archive as it is, in silence where it is shorter than a scene."""
        lesson = self.lessons[int(rng.integers(len(self.lessons)))]
        count = len(lesson.features)
        first = self.stride * int(rng.integers(0, max(0, count - self.n_frames) // self.stride + 1))
        size = min(count - first, self.n_frames)
        scene[:] = self.scale.silence_db
        scene[:size] = lesson.features[first : first + size]
        want[:size] = np.repeat(lesson.scores[first // self.stride :], self.stride, axis=0)[:size]

    def _place_whole_rows(
        self,
        scene: Features,
        want: Targets,
        rows: Deck,
        power: Features,
        active: list[npt.NDArray[np.bool_]],
        targets: Targets,
        rng: np.random.Generator,
    ) -> None:
        total = np.full(scene.shape, 10 ** (self.scale.silence_db / 10), np.float32)
        if rng.random() < 0.5:  # a recorder's own noise
            background = self.backgrounds.draw(self.n_frames, rng)
            total += background * np.float32(10 ** rng.uniform(-9, -7) / max(self._mean_level(background), 1e-30))
        length = power.shape[1]
        count = max(1, self.n_frames // length)
        spare = self.n_frames - count * length
        begin = int(rng.integers(min(0, spare), max(0, spare) + 1))
        for place in range(count):
            gain = np.float32(10 ** (rng.uniform(-15, 6) / 10))
            if len(self.distractors) and rng.random() < self.clean_distractor_share:
                heard = self._power_of(self._draw_distractor(rng))
                self._lay(total, gain * self._vary(heard, rng), begin + place * length)
                continue
            row = rows.draw()
            self._lay(total, gain * self._vary(power[row], rng), begin + place * length)
            mark_active(want, active[row], begin + place * length, targets[row])
        scene[:] = np.log(np.maximum(total, 1e-30)) / np.float32(_TO_POWER)

    def _add(
        self,
        total: Features,
        sound: Features,
        active: npt.NDArray[np.bool_],
        background_db: float,
        rng: np.random.Generator,
        want: Targets | None = None,
        carried: Targets | None = None,
    ) -> None:
        """Add what of a row is active, at a random time and level."""
        where = np.flatnonzero(active)
        if not len(where):
            return
        first, stop = int(where[0]), int(where[-1]) + 1
        piece, sounding = sound[first:stop] * active[first:stop, None], active[first:stop]
        level = float((piece @ self.band_weight).sum() / sounding.sum())
        snr_db = rng.uniform(*self.snr_db)
        piece = self._vary(piece, rng) * np.float32(10 ** ((background_db + snr_db) / 10) / max(level, 1e-30))
        if rng.random() < self.reverb_share:
            piece = reverberate(piece, self.frame_s, rng)
        shown = max(1, min(stop - first, round(0.3 / self.frame_s)))  # so much of it lies in the scene at least
        begin = int(rng.integers(shown - (stop - first), self.n_frames - shown + 1))
        self._lay(total, piece, begin)
        if want is not None and carried is not None:
            mark_active(want, sounding, begin, carried)

    def _vary(self, power: Features, rng: np.random.Generator) -> Features:
        """Equalise an event, move it in frequency."""
        curve = self._equalise(1, power.shape[1], rng)[0]
        by = int(rng.integers(-self.max_band_shift, self.max_band_shift + 1))
        if by:
            power = np.roll(power, by, axis=1)
            if by > 0:
                power[:, :by] = power[:, by : by + 1]
            else:
                power[:, by:] = power[:, by - 1 : by]
        return power * np.exp(np.float32(_TO_POWER) * curve)

    def _equalise(self, count: int, n_bands: int, rng: np.random.Generator) -> Features:
        """Smooth random curves, float32 [curve, band], dB, as another microphone or room has them."""
        points = rng.normal(0.0, self.eq_db, (count, 5)) if self.eq_db else np.zeros((count, 5))
        at = np.linspace(0, 4, n_bands)
        return np.stack([np.interp(at, np.arange(5), row) for row in points]).astype(np.float32)

    def _lay(self, total: Features, piece: Features, begin: int) -> None:
        first, stop = max(0, begin), min(len(total), begin + len(piece))
        if stop > first:
            total[first:stop] += piece[first - begin : stop - begin]

    def _mean_level(self, power: Features) -> float:
        return float((power @ self.band_weight).mean())
