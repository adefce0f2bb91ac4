"""Event rules of each label, fitted on scenes mixed from validation rows.

A rule has some numbers (`hubbub.labels.events.EventRule`). They are chosen one after the other, twice round: first
those that serve all labels together, then each label's own, where the other labels count as one more label of its kind:
a label has a handful of validation clips, which alone would fit a rule to themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt

from hubbub.audio.activity import RANGE_DB, find_runs
from hubbub.labels.event_metrics import count_event_hits, count_segment_hits
from hubbub.labels.events import EventRule, LabelScores
from hubbub.learn.scenes import SceneMixer
from hubbub.learn.streams import iterate_rows, plan_validation_pass
from hubbub.learn.training_job import TrainingJob

SCENES, SCENES_PER_ROW = 384, 12
"""Scenes that rules are fitted on, about: fewer where so many for each validation row are fewer."""

EMPTY_SCENES = 288
"""Scenes of each kind that hold no event at all, about."""

TOLERANCES_S = (1.0, 0.2)
GAP_S = 5.0
"""Between scenes, which are laid end to end."""

GRID: dict[str, tuple[float, ...]] = {
    "threshold": (*np.round(np.arange(0.15, 0.91, 0.05), 2).tolist(), 0.925, 0.95, 0.97, 0.98, 0.99),
    "release": (0.4, 0.55, 0.7, 0.85, 1.0),
    "median_s": (0.0, 0.3, 0.5),
    "step_s": (0.4, 0.6, 0.75, 1.0),
    "least_change": (0.1, 0.2, 0.3, 0.4),
    "min_duration_s": (0.0, 0.15, 0.3, 0.6),
    "merge_gap_s": (0.0, 0.3, 0.6, 1.0, 1.5),
    "late_s": (-0.1, -0.05, 0.0, 0.05, 0.1, 0.15),
}
"""Values tried; `release` is a share of the threshold."""

START = {
    "threshold": 0.6,
    "release": 0.7,
    "median_s": 0.0,
    "step_s": 0.6,
    "least_change": 0.3,
    "min_duration_s": 0.15,
    "merge_gap_s": 0.6,
    "late_s": 0.0,
}
"""Where the search begins: candidates between changes, whose borders do not move with the threshold."""

FALSE_PER_10_MIN = 2.0
"""Events that all labels together may have in ten minutes of scenes that hold none, of each kind by itself: among mixed
scenes, of noise alone, and where other sounds go on all the time. Archives are so most of the time, and what is found
there has to be listened to. Where sounds of no class are fewer than in these scenes, so are the events."""

VOICES_PER_10_MIN = 0.5
"""The same where voices go on: synthetic ones are tamer than people."""

FALSE_COST = 0.05
"""What of F1 the first event beyond that costs, about; others cost ever less (by the logarithm), since rules that find
nothing at all serve nobody, where a detector has learnt too little to tell."""

MOST_BIAS_S = 0.02
"""How far off onsets may be on average, early or late, before it counts."""

ONSET_S, FAR_S = 0.5, 0.1
"""So far from a true onset, another sound began; and errors beyond that, which are few, count as that much, so that the
average is about the median."""


@dataclass(frozen=True)
class LabelScenes:
    """Scores and true events of one label, laid end to end: of the scenes in which a rule might find something.

    Attributes
    ----------
    edge_s
        float64 [frame + 1].
    scores
        float64 [frame].
    true
        float64 [event, (onset_s, offset_s)].
    empty
        Of each kind of scenes without an event of any label: float64 [scene, (start_s, end_s)].
    empty_s
        Seconds of each kind, those that are left out included.
    """

    edge_s: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    true: npt.NDArray[np.float64]
    empty: tuple[npt.NDArray[np.float64], ...] = ()
    empty_s: tuple[float, ...] = ()


class _Counts(NamedTuple):
    """What a rule finds."""

    hits: npt.NDArray[np.float64]
    """[measure, (hits, called, support)]."""

    false: npt.NDArray[np.float64]
    """[kind], events in ten minutes of empty scenes."""

    onsets: npt.NDArray[np.float64]
    """Seconds that onsets are off by, added up, and how many there are."""


@dataclass
class _Counter:
    """Counts of a rule, kept."""

    scenes: LabelScenes
    known: dict[tuple[float, ...], _Counts] = field(default_factory=dict)

    @cached_property
    def scores(self) -> LabelScores:
        return LabelScores(self.scenes.scores, self.scenes.edge_s)

    def count(self, values: dict[str, float]) -> _Counts:
        key = tuple(values[name] for name in GRID)
        if key not in self.known:
            events = self.scores.find_events("", make_rule(values))
            found = np.array([(event.onset_s, event.offset_s) for event in events]).reshape(-1, 2)
            scores = [count_segment_hits(self.scenes.true, found, 1.0)]
            scores += [count_event_hits(self.scenes.true, found, tolerance_s) for tolerance_s in TOLERANCES_S]
            counts = np.array([(one.hits, one.called, one.support) for one in scores], float)
            kinds = zip(self.scenes.empty, self.scenes.empty_s, strict=True)
            false = np.array([600 * _count_within(found, empty) / max(of_s, 1.0) for empty, of_s in kinds])
            self.known[key] = _Counts(counts, false, _sum_onsets(self.scenes.true, found))
        return self.known[key]


def _count_within(found: npt.NDArray[np.float64], spans: npt.NDArray[np.float64]) -> int:
    """Events that begin in some span, of [span, (start_s, end_s)] in order."""
    if not len(spans):
        return 0
    place = np.searchsorted(spans[:, 0], found[:, 0] + 1e-6, side="right") - 1
    return int(((place >= 0) & (found[:, 0] < spans[np.maximum(place, 0), 1])).sum())


def _sum_onsets(true: npt.NDArray[np.float64], found: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How far found onsets lie from the nearest true ones, added up, and how many lie near one."""
    if not len(true) or not len(found):
        return np.zeros(2)
    onsets_s = np.sort(true[:, 0])
    after = np.searchsorted(onsets_s, found[:, 0])
    near_s = np.stack([onsets_s[np.maximum(after - 1, 0)], onsets_s[np.minimum(after, len(onsets_s) - 1)]])
    off_s = found[:, 0] - near_s
    off_s = off_s[np.abs(off_s).argmin(axis=0), np.arange(len(found))]
    off_s = off_s[np.abs(off_s) < ONSET_S].clip(-FAR_S, FAR_S)
    return np.array([off_s.sum(), len(off_s)])


def fit_event_rules(job: TrainingJob, model: keras.Model) -> dict[str, dict[str, Any]] | None:
    """Fit the rule of each label; None where no rows validate, or the model scores no frames."""
    if job.frames is None or not len(job.split.validation):
        return None
    assert isinstance(job.policy, SceneMixer)
    scenes = min(SCENES, SCENES_PER_ROW * len(job.split.validation))
    policies = [(job.policy.for_rules(), scenes), *((policy, EMPTY_SCENES) for policy in job.policy.without_events())]
    parts = [_score_scenes(job, model, policy, count, kind) for kind, (policy, count) in enumerate(policies)]
    scores, targets = (np.concatenate(part) for part in zip(*parts, strict=True))
    frontend = job.store.settings.frontend
    frame_s = job.frames.stride * frontend.hop_samples / frontend.sample_rate
    kind = np.repeat(np.arange(len(parts)), [len(scored) for scored, _ in parts])
    kind[targets.any(axis=(1, 2))] = -1
    places = range(scores.shape[2])
    lead_s = measure_lead(frontend.n_fft) / frontend.sample_rate
    laid = [lay_scenes(scores[..., place], targets[..., place], frame_s, kind, lead_s=lead_s) for place in places]
    most_false = [FALSE_PER_10_MIN] * len(parts)
    if job.policy.voices:  # scenes of voices come last
        most_false[-1] = VOICES_PER_10_MIN
    rules = fit_rules(laid, most_false)
    return {label: rule.to_dict() for label, rule in zip(job.split.labels, rules, strict=True)}


def measure_lead(n_fft: int) -> float:
    """Samples by which a frame's middle lies before a sound that it is active for: its window reaches into it.

    A Hann window is so far into a sound as soon as it has `RANGE_DB` less than all of it.
    """
    power = np.cumsum(np.square(np.hanning(n_fft)))
    return max(0.0, n_fft / 2 - float(np.searchsorted(power, 10 ** (-RANGE_DB / 10) * power[-1])))


def fit_rules(labels: Sequence[LabelScenes], most_false: Sequence[float] | None = None) -> list[EventRule]:
    """Fit one rule for each label; `most_false` are the events of all in ten minutes of each kind of empty scenes."""
    counters = [_Counter(one) for one in labels]

    def judge(values: dict[str, float], weights: npt.NDArray[np.float64]) -> float:
        found = [one.count(values) for one in counters]
        counts = np.einsum("l,lmc->mc", weights, np.stack([one.hits for one in found]))
        false = weights @ np.stack([one.false for one in found]) / float(weights.sum())
        off_s, onsets = weights @ np.stack([one.onsets for one in found])
        f1 = float((2 * counts[:, 0] / np.maximum(counts[:, 1] + counts[:, 2], 1e-9)).mean())
        bias_s = abs(float(off_s)) / max(float(onsets), 1e-9)
        beyond = len(counters) * float(np.maximum(0.0, false - allowed).sum())
        return f1 - FALSE_COST * math.log1p(beyond) - max(0.0, bias_s - MOST_BIAS_S)

    kinds = len(labels[0].empty)
    allowed = np.array([FALSE_PER_10_MIN] * kinds if most_false is None else most_false, float) / len(counters)
    everyone = partial(judge, weights=np.ones(len(counters)))
    shared = _descend(START, everyone)
    rules = []
    for place in range(len(counters)):
        weights = np.full(len(counters), 1 / max(1, len(counters) - 1))
        weights[place] = 1.0
        rules.append(make_rule(_descend(shared, partial(judge, weights=weights))))
    return rules


def make_rule(values: dict[str, float]) -> EventRule:
    """Make the rule whose release is a share of its threshold."""
    return EventRule(**{**values, "release": values["threshold"] * values["release"]})


def lay_scenes(
    scores: npt.NDArray[np.floating],
    targets: npt.NDArray[np.floating],
    frame_s: float,
    kind: npt.NDArray[np.int64] | None = None,
    *,
    lead_s: float = 0.0,
) -> LabelScenes:
    """Lay the scenes of a label end to end, [scene, frame] each, with silence between them.

    Targets are shares of a frame: a frame that is active for a third of its time at an event's begin puts the onset
    where its last third begins. `kind` is the kind of each empty scene, from 0, and -1 for the others. Targets begin
    `lead_s` before their sounds, and end as late.
    """
    # Most scenes lack most labels, and score nothing that any rule would take.
    worth = np.flatnonzero(targets.any(axis=1) | (scores.max(axis=1) >= min(GRID["threshold"])))
    gap = round(GAP_S / frame_s)
    whole, spans = [np.zeros(gap)], []
    for number, (one, active) in enumerate(zip(scores[worth], targets[worth], strict=True)):
        begin = gap + number * (len(one) + gap)
        whole += [one, np.zeros(gap)]
        first, stop = find_runs(active > 0)
        for start, end in zip(first.tolist(), stop.tolist(), strict=True):
            onset, offset = start + 1 - active[start], end - 1 + active[end - 1]
            if offset - onset > 0.2 + 2 * lead_s / frame_s:
                spans.append(((begin + onset) * frame_s + lead_s, (begin + offset) * frame_s - lead_s))
    laid = np.concatenate(whole).astype(np.float64)
    edge_s = np.arange(len(laid) + 1, dtype=np.float64) * frame_s
    true = np.array(spans, float).reshape(-1, 2)
    if kind is None:
        return LabelScenes(edge_s, laid, true)
    scene_s = scores.shape[1] * frame_s
    starts_s = (gap + np.arange(len(worth)) * (scores.shape[1] + gap)) * frame_s
    lain = np.stack([starts_s, starts_s + scene_s], axis=1)
    kinds = range(int(kind.max()) + 1)
    empty = tuple(lain[kind[worth] == number] for number in kinds)
    return LabelScenes(edge_s, laid, true, empty, tuple(scene_s * int((kind == number).sum()) for number in kinds))


def _descend(start: dict[str, float], judge: Callable[[dict[str, float]], float]) -> dict[str, float]:
    """Choose one number after the other, twice round; of equal ones the one nearest to where it stands."""
    values, best = dict(start), judge(start)
    for _ in range(2):
        for name, choices in GRID.items():
            for choice in sorted(choices, key=lambda choice: abs(choice - values[name])):
                tried = values | {name: choice}
                if (found := judge(tried)) > best + 1e-9:
                    values, best = tried, found
    return values


def _score_scenes(
    job: TrainingJob, model: keras.Model, policy: SceneMixer, count: int, kind: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Scores and targets of about so many scenes from validation rows, [scene, frame, label] each."""
    scores, targets = [], []
    for take in range(max(1, round(count / len(job.split.validation)))):
        for step, (features, wanted) in enumerate(iterate_rows(plan_validation_pass(job), job.target_table)):
            scenes, active = policy(features, wanted, np.random.default_rng([job.seed, 2, kind, take, step]))
            scores.append(np.asarray(model.predict_on_batch(scenes)))
            targets.append(active)
            if len(scores) * len(scenes) >= 2 * count:
                return np.concatenate(scores), np.concatenate(targets)
    return np.concatenate(scores), np.concatenate(targets)
