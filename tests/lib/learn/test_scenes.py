"""Scenes mixed on the fly: targets lie where sounds are, levels are those asked for, nothing else sneaks in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

import hubbub
from hubbub.audio.activity import PAUSE_S, close_pauses, find_active_frames
from hubbub.audio.distractors import make_distractor, names_voice
from hubbub.audio.voices import make_voice
from hubbub.config import LogMelSettings, Settings, Windows
from hubbub.config.frontends import MfccSettings
from hubbub.config.recipes import choose_recipe_settings
from hubbub.errors import SettingsError, TrainingError
from hubbub.labels.events import EventRule, LabelScores
from hubbub.learn.extra_sounds import load_extra_sounds
from hubbub.learn.scenes import WHOLE_EVENT, SceneMixer
from hubbub.store.features import FeatureStore
from tests.data.detectors import LABELS, SETTINGS, make_detector

keras = pytest.importorskip("keras")

from hubbub.learn.backgrounds import make_distractors  # noqa: E402
from hubbub.learn.event_rules import fit_rules, lay_scenes, move_onsets  # noqa: E402
from hubbub.learn.frames import frame_and_clip_loss, pool_in_graph  # noqa: E402
from hubbub.learn.networks.detector import plan_frames  # noqa: E402
from hubbub.learn.teaching import Lesson  # noqa: E402
from hubbub.learn.training_job import TrainingJob, plan_training  # noqa: E402
from hubbub.models.bundle import load_bundle  # noqa: E402
from hubbub.models.frames import pool_frames  # noqa: E402

LAYOUT = plan_frames(SETTINGS)


@pytest.fixture(scope="module")
def mixer() -> SceneMixer:
    return SceneMixer.of(SETTINGS, LAYOUT)


def rows_with_a_burst(count: int, n_frames: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """Rows of silence with a second of sound in the middle, each of its own label."""
    rows = np.full((count, n_frames, SETTINGS.frontend.n_bands), -100.0, np.float32)
    rows[:, 20:60] = -10.0
    return rows, np.eye(count, dtype=np.float32)


def test_targets_lie_where_the_sound_is(mixer: SceneMixer):
    """Over next to nothing, a frame is loud where, and only where, some label is active."""
    alone = replace(
        mixer, event_shares=(0.0, 1.0), snr_db=(60, 60), clean_share=0.0, distractors=(), reverb_share=0.0, masks=0,
        edge_share=0.0, eq_db=0.0, max_band_shift=0, background_db=(-80.0, -80.0), quiet_share=0.0,
    )  # fmt: skip
    rows, targets = rows_with_a_burst(6)
    scenes, wanted = alone(rows, targets, np.random.default_rng(0))
    assert scenes.shape == (6, mixer.n_frames, SETTINGS.frontend.n_bands)
    assert wanted.shape == (6, mixer.n_frames // LAYOUT.stride, 6)
    loud = (scenes.max(axis=2) > -40).reshape(6, -1, LAYOUT.stride).mean(axis=2)
    np.testing.assert_allclose(wanted.max(axis=2), loud, atol=1e-6)
    assert (wanted.max(axis=(1, 2)) == 1).all()


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 20.0])
def test_an_event_has_the_level_asked_for(mixer: SceneMixer, snr_db: float):
    settings = {
        "edge_share": 0.0,
        "snr_db": (snr_db, snr_db),
        "clean_share": 0.0,
        "distractors": (),
        "masks": 0,
        "reverb_share": 0.0,
    }
    settings |= {"eq_db": 0.0, "max_band_shift": 0, "quiet_share": 0.0, "background_db": (-40.0, -40.0)}
    rows, targets = rows_with_a_burst(1)
    with_event = replace(mixer, event_shares=(0.0, 1.0), **settings)
    without = replace(mixer, event_shares=(1.0,), **settings)
    scene, wanted = with_event(rows, targets, np.random.default_rng(1))
    bare, _ = without(rows, targets, np.random.default_rng(1))
    power, under = (10 ** (one[0].astype(float) / 10) @ mixer.band_weight for one in (scene, bare))
    is_active = np.repeat(wanted[0, :, 0], LAYOUT.stride) == 1
    assert 10 * np.log10(under.mean()) == pytest.approx(-40, abs=0.5)
    assert 10 * np.log10((power - under)[is_active].mean()) + 40 == pytest.approx(snr_db, abs=1.0)


def test_sounds_of_no_class_have_no_targets(mixer: SceneMixer):
    rows, targets = rows_with_a_burst(4)
    nothing = replace(mixer, event_shares=(1.0,), clean_share=0.0, busy_share=1.0)
    scenes, wanted = nothing(rows, targets, np.random.default_rng(0))
    assert not wanted.any()
    assert scenes.std() > 5  # there is something to hear


def test_what_is_clear_may_be_a_sound_of_no_class(mixer: SceneMixer):
    """Else whatever is heard without noise would be taken for some label."""
    rows, targets = rows_with_a_burst(32)
    clean = replace(mixer, clean_share=1.0, clean_distractor_share=1.0)
    scenes, wanted = clean(rows, targets, np.random.default_rng(0))
    assert not wanted.any()
    assert (scenes.max(axis=(1, 2)) - np.median(scenes, axis=(1, 2)) > 30).all()
    shares = [
        replace(clean, clean_distractor_share=share)(rows, targets, np.random.default_rng(0))[1].any(axis=(1, 2)).mean()
        for share in (0.0, 0.5)
    ]
    assert shares[0] == 1.0
    assert 0.4 < shares[1] < 0.95  # each scene has several places


def test_where_a_recording_ends_nothing_is_active(mixer: SceneMixer):
    rows, targets = rows_with_a_burst(6)
    cut = replace(mixer, edge_share=1.0, clean_share=0.0, event_shares=(0.0, 0.0, 0.0, 1.0), masks=0, eq_db=0.0)
    scenes, wanted = cut(rows, targets, np.random.default_rng(0))
    silent = (scenes <= scenes.min(axis=(1, 2), keepdims=True) + 1e-3).all(axis=2).reshape(6, -1, LAYOUT.stride)
    share = silent.mean(axis=(1, 2))
    assert ((share > 0.09) & (share < 0.91)).all()
    assert not wanted[silent.all(axis=2)].any()


def test_scenes_of_each_kind_without_events_hold_none(mixer: SceneMixer):
    """Rules are fitted on them: of noise alone, of other sounds, of voices, each louder in places than the last."""
    rows, targets = rows_with_a_burst(6)
    kinds = [one(rows, targets, np.random.default_rng(0)) for one in mixer.without_events()]
    assert len(kinds) == 3
    assert not any(wanted.any() for _, wanted in kinds)
    noise, others, voices = (scenes.std(axis=1).mean() for scenes, _ in kinds)
    assert noise < others
    assert noise < voices


def test_a_row_that_is_one_event_sounds_from_its_first_frame_to_its_last(mixer: SceneMixer):
    """What someone has marked is an event where it is soft, too; without a mark only its loud part is."""
    rows = np.full((1, 80, SETTINGS.frontend.n_bands), -100.0, np.float32)
    rows[:, :60] = -50.0
    rows[:, :10] = -10.0
    clean = replace(mixer, clean_share=1.0, masks=0)
    active_s = []
    for target in (1.0, WHOLE_EVENT):
        _, wanted = clean(rows, np.array([[target]], np.float32), np.random.default_rng(0))
        assert wanted.max() == 1
        active_s.append(wanted.sum() * LAYOUT.stride * mixer.frame_s / (mixer.n_frames // 80))
    assert active_s == pytest.approx([10 * mixer.frame_s, 60 * mixer.frame_s])


def test_a_lesson_is_learnt_as_the_teacher_heard_it(mixer: SceneMixer):
    rng = np.random.default_rng(0)
    n_scores = 100
    lesson = Lesson(
        rng.normal(-40, 3, (n_scores * LAYOUT.stride, SETTINGS.frontend.n_bands)).astype(np.float32),
        rng.random((n_scores, 2)).astype(np.float32),
    )
    taught = replace(mixer.with_sounds(lessons=[lesson]), lesson_share=1.0, masks=0, eq_db=0.0)
    rows, _ = rows_with_a_burst(2)
    scenes, wanted = taught(rows, np.eye(2, dtype=np.float32), rng)
    size = min(n_scores, mixer.n_frames // LAYOUT.stride)
    for scene, want in zip(scenes, wanted, strict=True):
        begins = [at for at in range(n_scores - size + 1) if np.allclose(want[:size], lesson.scores[at : at + size])]
        assert len(begins) == 1
        first = begins[0] * LAYOUT.stride
        np.testing.assert_allclose(scene[:10], lesson.features[first : first + 10], atol=1e-4)
    assert not taught.for_validation().lessons


def test_voices_are_no_sounds_of_no_class_where_a_label_names_them():
    assert names_voice("children_playing")
    assert names_voice("Male speech, man speaking")
    assert not names_voice("street_music")
    assert not names_voice("dog")


def test_the_same_generator_mixes_the_same(mixer: SceneMixer):
    rows, targets = rows_with_a_burst(3)
    first, again = (mixer(rows, targets, np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])


def test_one_row_and_many_labels_a_row_are_mixed(mixer: SceneMixer):
    rows, _ = rows_with_a_burst(1)
    _, wanted = mixer(rows, np.array([[1, 1, 0]], np.float32), np.random.default_rng(2))
    assert wanted.shape[2] == 3
    np.testing.assert_array_equal(wanted[..., 0], wanted[..., 1])


ACTIVE = [
    # levels in dB of frames of 0.1 s, active, why
    ([-90] * 10 + [0] * 10 + [-90] * 10, [0] * 10 + [1] * 10 + [0] * 10, "a sound in silence"),
    ([-40] * 10 + [0] * 10 + [-40] * 10, [0] * 10 + [1] * 10 + [0] * 10, "a sound in noise"),
    ([-3, 0, -2, -6, -1] * 6, [1] * 30, "rain: it sounds all the time"),
    ([0] * 5 + [-90] * 8 + [0] * 5, [1] * 18, "a pause below a second belongs to it"),
    ([0] * 5 + [-90] * 13 + [0] * 5, [1] * 5 + [0] * 13 + [1] * 5, "a longer one parts two sounds"),
]


@pytest.mark.parametrize(("level_db", "active", "why"), ACTIVE, ids=[row[2] for row in ACTIVE])
def test_active_frames(level_db: list[float], active: list[int], why: str):
    found = find_active_frames(np.array(level_db, float), 0.1)
    assert found.astype(int).tolist() == active, why


def test_no_frames_and_pauses_at_the_ends():
    assert not len(find_active_frames(np.empty(0), 0.1))
    assert PAUSE_S == 1.0
    assert close_pauses(np.array([0, 1, 0, 0], bool), 5).tolist() == [False, True, False, False]


@pytest.mark.parametrize("is_voice", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_distractors_are_audible_and_finite(seed: int, is_voice: bool):
    for rate in (8000, 11_025, 22_050, 44_100):
        sound = make_distractor(np.random.default_rng(seed), duration_s=1.5, sample_rate=rate, is_voice=is_voice)
        assert sound.shape == (round(1.5 * rate),)
        assert np.isfinite(sound).all()
        assert np.abs(sound).max() == pytest.approx(0.5)


def test_sounds_of_no_class_are_the_same_each_time():
    """Though threads make them."""
    make = make_distractors.__wrapped__
    first, again = (make(SETTINGS, are_voices=True, count=8) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert len({sound.tobytes() for sound in first}) == 8


def test_voices_have_syllables_and_pauses():
    voice = make_voice(np.random.default_rng(0), 8 * 16_000, 16_000)
    level_db = 20 * np.log10(np.abs(voice).reshape(-1, 160).max(axis=1) + 1e-9)
    loud = level_db > level_db.max() - 30
    assert 0.2 < loud.mean() < 0.95
    assert 10 < np.abs(np.diff(loud.astype(int))).sum() < 300


def test_pooled_scores_weigh_frames_by_themselves():
    scores = np.array([[[0.1, 0.0], [0.9, 0.0]]], np.float32)
    pooled = pool_frames(scores)
    assert pooled.tolist() == [[pytest.approx(0.82), 0.0]]
    np.testing.assert_allclose(keras.ops.convert_to_numpy(pool_in_graph(scores)), pooled, atol=1e-6)


def test_the_loss_is_least_where_scores_are_right():
    true = np.zeros((2, 10, 3), np.float32)
    true[0, 2:5, 1] = 1
    right, wrong = np.clip(true, 0.01, 0.99), np.clip(1 - true, 0.01, 0.99)
    losses = [keras.ops.convert_to_numpy(frame_and_clip_loss(true, scores)) for scores in (right, wrong)]
    assert losses[0].shape == (2,)
    assert (losses[0] < 0.05).all()
    assert (losses[1] > 1).all()


def test_onsets_are_moved_by_what_they_are_off():
    """By the median of a label, drawn to that of all; what began before its scene says nothing of when it began."""
    targets = np.zeros((60, 100), np.float32)
    targets[:20, 30:60] = 1
    targets[20:, :40] = 1
    early = np.roll(targets, -1, axis=1)
    early[20:] = targets[20:]
    silent = np.zeros_like(targets)
    rule = EventRule(0.5, 0.35)
    moved = move_onsets([rule, rule], [lay_scenes(early, targets, 0.1), lay_scenes(silent, targets, 0.1)])
    assert [one.late_s for one in moved] == [pytest.approx(0.1), pytest.approx(0.1)]
    late = np.roll(targets[:20], 3, axis=1)
    moved = move_onsets([rule, rule], [lay_scenes(early, targets, 0.1), lay_scenes(late, targets[:20], 0.1)])
    assert moved[0].late_s == pytest.approx((20 * 0.1 - 10 * 0.1) / 30, abs=2e-3)  # all: 20 of -0.1, 20 of 0.3
    assert moved[1].late_s == pytest.approx((20 * -0.3 - 10 * 0.1) / 30, abs=2e-3)


def test_scenes_for_onsets_hold_an_event_or_two_and_nothing_else(mixer: SceneMixer):
    clear = mixer.for_onsets((10.0, 20.0))
    nothing = replace(clear, event_shares=(1.0,), quiet_share=0.0)
    rows, targets = rows_with_a_burst(16)
    scenes, wanted = clear(rows, targets, np.random.default_rng(0))
    assert set((wanted.max(axis=1) > 0).sum(axis=1)) == {1, 2}
    bare, _ = nothing(rows, targets, np.random.default_rng(0))
    spread = [np.ptp(10 * np.log10((10 ** (one / 10)).mean(axis=2)), axis=1).mean() for one in (scenes, bare)]
    assert spread[1] < spread[0]
    assert bare.max() < mixer.background_db[1] + 30  # no sound of no class stands out


def test_rules_spare_every_kind_of_empty_scene():
    """Whatever makes scores in one kind of scenes without events, however few these are, must not make events."""
    targets = np.zeros((60, 100), np.float32)
    targets[:20, 30:60] = 1
    scores = 0.8 * targets
    scores[20:22, 40:60] = 0.6  # of forty empty scenes: two of the second kind
    kind = np.repeat([-1, 0, 1], [20, 30, 10])
    kind[20:22] = 1
    (rule,) = fit_rules([lay_scenes(scores, targets, 0.1, kind)])
    found = LabelScores(scores[20:].ravel().astype(float), np.arange(4001) * 0.1).find_events("", rule)
    assert not found
    assert LabelScores(scores[0].astype(float), np.arange(101) * 0.1).find_events("", rule)


def test_a_detector_that_cannot_tell_still_finds_something():
    """Empty scenes score as high as events: rules without a false event would find nothing."""
    targets = np.zeros((40, 100), np.float32)
    targets[:20, 30:60] = 1
    scores = 0.8 * targets
    scores[20:, 40:70] = 0.8
    (rule,) = fit_rules([lay_scenes(scores, targets, 0.1, np.repeat([-1, 0], 20))])
    assert LabelScores(scores[0].astype(float), np.arange(101) * 0.1).find_events("", rule)


def test_rules_are_fitted_to_where_events_are():
    rng = np.random.default_rng(0)
    targets = np.zeros((40, 100), np.float32)
    for row in targets[::2]:
        begin = int(rng.integers(5, 60))
        row[begin : begin + int(rng.integers(10, 30))] = 1
    # A label whose scores never pass 0.5: only its own threshold finds its events.
    scores = (0.4 * targets + 0.05 * rng.random(targets.shape)).astype(np.float32)
    (rule,) = fit_rules([lay_scenes(scores, targets, 0.1)])
    assert rule.threshold < 0.45


SETTINGS_REFUSED = [
    (Settings(frontend=LogMelSettings(ref="max")), "make features with --set frontend.ref=1"),
    (Settings(frontend=MfccSettings()), "make features with --set frontend.name=log-mel"),
    (
        Settings(frontend=LogMelSettings(sample_rate=8000, n_fft=4096, hop_samples=2048)),
        "scores frames of up to 0.13 s, and the store's are 0.256 s apart",
    ),
]


@pytest.mark.parametrize(("settings", "message"), SETTINGS_REFUSED)
def test_features_that_cannot_be_mixed_are_refused(settings: Settings, message: str):
    with pytest.raises(TrainingError, match=message):
        plan_frames(settings)


@pytest.mark.parametrize(("rate", "hop"), [(22_050, 512), (8000, 512), (16_000, 160), (44_100, 441), (48_000, 1024)])
def test_frames_are_a_tenth_of_a_second_about(rate: int, hop: int):
    settings = Settings(frontend=LogMelSettings(sample_rate=rate, n_fft=2048, hop_samples=hop))
    layout = plan_frames(settings)
    assert 0.06 < layout.stride * hop / rate <= 0.13
    assert layout.halo % layout.multiple == 0
    assert layout.multiple % layout.stride == 0


def test_sounds_of_the_users_own_are_read(tmp_path: Path):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", rng.normal(0, 0.1, 24_000).astype(np.float32), 8000)
    sounds = load_extra_sounds(tmp_path, SETTINGS, "--backgrounds")
    assert [piece.shape for piece in sounds.pieces] == [(121, 16)] * 2
    own = SceneMixer.of(SETTINGS, LAYOUT).with_sounds(backgrounds=sounds.pieces, negatives=sounds.pieces)
    rows, targets = rows_with_a_burst(2)
    assert own(rows, targets, np.random.default_rng(0))[0].shape[0] == 2
    assert load_extra_sounds(tmp_path, SETTINGS, "--backgrounds").identity == sounds.identity
    (tmp_path / "b.wav").unlink()
    assert load_extra_sounds(tmp_path, SETTINGS, "--backgrounds").identity != sounds.identity


WRONG_SOUNDS = [
    (np.zeros(16_000), "is silent: all of its samples are zero"),
    (np.full(800, 0.1), "has 0.10 s; expected 0.5 s at least"),
]


@pytest.mark.parametrize(("samples", "message"), WRONG_SOUNDS)
def test_sounds_that_teach_nothing_are_refused(samples: np.ndarray, message: str, tmp_path: Path):
    soundfile.write(tmp_path / "a.wav", samples, 8000)
    with pytest.raises(TrainingError, match=f"--negatives: .*a.wav {message}; leave it out"):
        load_extra_sounds(tmp_path, SETTINGS, "--negatives")


def test_places_without_sounds_are_refused(tmp_path: Path):
    with pytest.raises(TrainingError, match="no recordings in it"):
        load_extra_sounds(tmp_path, SETTINGS, "--backgrounds")
    with pytest.raises(TrainingError, match="expected a folder of recordings, or a feature store"):
        load_extra_sounds(tmp_path / "none", SETTINGS, "--backgrounds")


def test_a_training_without_augmentation_is_refused(tmp_path: Path):
    settings = choose_recipe_settings("detector", {"train.augment": False})
    with pytest.raises(SettingsError, match="detector trains on mixed scenes only"):
        plan_training(tmp_path, tmp_path / "out", "detector", None, None, settings, 0)


@pytest.mark.slow
def test_windows_of_any_length_make_scenes():
    settings = SETTINGS.model_copy(update={"windows": Windows(duration_s=1.0)})
    mixer = SceneMixer.of(settings, plan_frames(settings))
    rows, targets = rows_with_a_burst(2, n_frames=41)
    assert mixer(rows, targets, np.random.default_rng(0))[0].shape[1] == mixer.n_frames


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Four clips of each label of the detector of random weights, of noise."""
    folder, rng = tmp_path_factory.mktemp("store"), np.random.default_rng(0)
    for label in LABELS:
        (folder / "clips" / label).mkdir(parents=True)
        for number in range(4):
            samples = rng.normal(0, 0.1, 16_000).astype(np.float32)
            soundfile.write(folder / "clips" / label / f"{number}.wav", samples, 8000)
    clips = hubbub.index(folder / "clips")
    return hubbub.build_features(clips, folder / "store", settings=SETTINGS, cluster="serial")


def plan(store: FeatureStore, folder: Path, **extra: Path) -> TrainingJob:
    settings = choose_recipe_settings("detector", {"train.validation_share": 0.0})
    return plan_training(store, folder / "out", "detector", None, "group", settings, 0, extra)


@pytest.mark.slow
def test_a_teacher_says_what_is_in_an_archive(store: FeatureStore, tmp_path: Path):
    bundle = make_detector(tmp_path / "bundle")
    job = plan(store, tmp_path, unlabelled=store.path, teacher=bundle)
    assert isinstance(job.policy, SceneMixer)
    assert len(job.policy.lessons) == 12
    lesson = job.policy.lessons[0]
    np.testing.assert_allclose(
        load_bundle(str(bundle)).score_block(LAYOUT.pad(lesson.features[None])[0])[: len(lesson.scores)], lesson.scores
    )
    assert job.command["unlabelled"] != plan(store, tmp_path).command.get("unlabelled")


@pytest.mark.slow
def test_a_teacher_that_cannot_teach_is_refused(store: FeatureStore, tmp_path: Path):
    bundle = make_detector(tmp_path / "bundle", labels=["dog", "rain", "tram"])
    with pytest.raises(TrainingError, match="--unlabelled .* was given alone; give also --teacher BUNDLE"):
        plan(store, tmp_path, unlabelled=store.path)
    with pytest.raises(TrainingError, match="--teacher .* was given alone; give also --unlabelled FOLDER"):
        plan(store, tmp_path, teacher=bundle)
    with pytest.raises(TrainingError, match="has 3 labels .*tram.* trained with the same labels"):
        _ = plan(store, tmp_path, unlabelled=store.path, teacher=bundle).policy
