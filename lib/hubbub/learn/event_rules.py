"""Event rules of each label, fitted on scenes mixed from validation rows; then their onsets are moved.

A rule has some numbers (`hubbub.labels.events.EventRule`). They are chosen one after the other, twice round: first
those that serve all labels together, then each label's own, where the other labels count as one more label of its kind:
a label has a handful of validation clips, which alone would fit a rule to themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd

from hubbub.audio.activity import find_runs
from hubbub.labels.event_metrics import count_event_hits, count_segment_hits
from hubbub.labels.events import EventRule, LabelScores
from hubbub.learn.scenes import SceneMixer
from hubbub.learn.streams import iterate_rows, plan_rows
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
}
"""Where the search begins: candidates between changes, whose borders do not move with the threshold."""

FALSE_PER_10_MIN = 2.0
"""Events that all labels together may have in ten minutes of scenes that hold none, of each kind by itself: among mixed
scenes, of noise alone, and where other sounds go on all the time. Archives are so most of the time, and what is found
there has to be listened to. Where sounds of no class are fewer than in these scenes, so are the events."""

VOICES_PER_10_MIN = 0.5
"""The same where voices go on: synthetic ones are tamer than people."""

FALSE_COST = 0.03
"""F1 loses this times the logarithm of 1 and the events beyond that: each costs less than the one before, since rules
that find nothing at all serve nobody, where a detector has learnt too little to tell."""

CLEAR_DB = (10.0, 20.0)
"""Levels over the background at which onsets are measured: where people hear when something begins."""

ONSET_S, SHARED_ONSETS = 0.5, 10
"""So far from a true onset, another sound began; and as how many onsets of a label those of all labels count."""


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
    onsets_s
        float64 [onset], those of true events that begin within a scene, not before it.
    empty
        Of each kind of scenes without an event of any label: float64 [scene, (start_s, end_s)].
    empty_s
        Seconds of each kind, those that are left out included.
    """

    edge_s: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    true: npt.NDArray[np.float64]
    onsets_s: npt.NDArray[np.float64]
    empty: tuple[npt.NDArray[np.float64], ...] = ()
    empty_s: tuple[float, ...] = ()


class _Counts(NamedTuple):
    """What a rule finds."""

    hits: npt.NDArray[np.float64]
    """[measure, (hits, called, support)]."""

    false: npt.NDArray[np.float64]
    """[kind], events in ten minutes of empty scenes."""


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
            self.known[key] = _Counts(counts, false)
        return self.known[key]


def _count_within(found: npt.NDArray[np.float64], spans: npt.NDArray[np.float64]) -> int:
    """Events that begin in some span, of [span, (start_s, end_s)] in order."""
    if not len(spans):
        return 0
    place = np.searchsorted(spans[:, 0], found[:, 0] + 1e-6, side="right") - 1
    return int(((place >= 0) & (found[:, 0] < spans[np.maximum(place, 0), 1])).sum())


def fit_event_rules(job: TrainingJob, model: keras.Model) -> dict[str, dict[str, Any]] | None:
    """Fit the rule of each label; None where no rows validate, or the model scores no frames."""
    if job.frames is None or not len(job.split.validation):
        return None
    assert isinstance(job.policy, SceneMixer)
    scenes = min(SCENES, SCENES_PER_ROW * len(job.split.validation))
    policies = [(job.policy.for_rules(), scenes), *((policy, EMPTY_SCENES) for policy in job.policy.without_events())]
    rows = job.split.validation
    parts = [_score_scenes(job, model, rows, policy, count, kind) for kind, (policy, count) in enumerate(policies)]
    scores, targets = (np.concatenate(part) for part in zip(*parts, strict=True))
    frontend = job.store.settings.frontend
    frame_s = job.frames.stride * frontend.hop_samples / frontend.sample_rate
    kind = np.repeat(np.arange(len(parts)), [len(scored) for scored, _ in parts])
    kind[targets.any(axis=(1, 2))] = -1
    places = range(scores.shape[2])
    laid = [lay_scenes(scores[..., place], targets[..., place], frame_s, kind) for place in places]
    most_false = [FALSE_PER_10_MIN] * len(parts)
    if job.policy.voices:  # scenes of voices come last
        most_false[-1] = VOICES_PER_10_MIN
    clear = job.policy.for_onsets(CLEAR_DB)
    rows = pd.concat([job.split.train, job.split.validation])
    rows = rows.iloc[np.linspace(0, len(rows) - 1, min(len(rows), SCENES)).round().astype(int)]
    # Training rows too: when a sound begins is nothing that a network learns by heart, and validation rows are few.
    scores, targets = _score_scenes(job, model, rows, clear, len(rows), len(parts), every_row=True)
    clear_laid = [lay_scenes(scores[..., place], targets[..., place], frame_s) for place in places]
    rules = move_onsets(fit_rules(laid, most_false), clear_laid)
    return {label: rule.to_dict() for label, rule in zip(job.split.labels, rules, strict=True)}


def fit_rules(labels: Sequence[LabelScenes], most_false: Sequence[float] | None = None) -> list[EventRule]:
    """Fit one rule for each label; `most_false` are the events of all in ten minutes of each kind of empty scenes."""
    counters = [_Counter(one) for one in labels]

    def judge(values: dict[str, float], weights: npt.NDArray[np.float64]) -> float:
        found = [one.count(values) for one in counters]
        counts = np.einsum("l,lmc->mc", weights, np.stack([one.hits for one in found]))
        false = weights @ np.stack([one.false for one in found]) / float(weights.sum())
        f1 = float((2 * counts[:, 0] / np.maximum(counts[:, 1] + counts[:, 2], 1e-9)).mean())
        beyond = len(counters) * float(np.maximum(0.0, false - allowed).sum())
        return f1 - FALSE_COST * math.log1p(beyond)

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


def move_onsets(rules: Sequence[EventRule], labels: Sequence[LabelScenes]) -> list[EventRule]:
    """Take off each rule by how much its onsets are early or late in some scenes, at the median.

    A label's median is drawn towards that of all, as much as its onsets are few.
    """
    off_s = [_find_errors(rule, scenes) for rule, scenes in zip(rules, labels, strict=True)]
    every = np.concatenate(off_s)
    shared_s = float(np.median(every)) if len(every) else 0.0
    moved = []
    for rule, own in zip(rules, off_s, strict=True):
        own_s = float(np.median(own)) if len(own) else 0.0
        mean_s = (len(own) * own_s + SHARED_ONSETS * shared_s) / (len(own) + SHARED_ONSETS)
        moved.append(replace(rule, late_s=round(-mean_s, 3)))
    return moved


def _find_errors(rule: EventRule, scenes: LabelScenes) -> npt.NDArray[np.float64]:
    """How much later than the nearest true onset each found one is, where one is near; float64 [onset], seconds."""
    events = LabelScores(scenes.scores, scenes.edge_s).find_events("", rule)
    found_s, true_s = np.array([event.onset_s for event in events]), scenes.onsets_s
    if not len(found_s) or not len(true_s):
        return np.zeros(0)
    after = np.searchsorted(true_s, found_s)
    near_s = np.stack([true_s[np.maximum(after - 1, 0)], true_s[np.minimum(after, len(true_s) - 1)]])
    off_s = found_s - near_s
    off_s = off_s[np.abs(off_s).argmin(axis=0), np.arange(len(found_s))]
    return np.asarray(off_s[np.abs(off_s) < ONSET_S])


def make_rule(values: dict[str, float]) -> EventRule:
    """Make the rule whose release is a share of its threshold."""
    return EventRule(**{**values, "release": values["threshold"] * values["release"]})


def lay_scenes(
    scores: npt.NDArray[np.floating],
    targets: npt.NDArray[np.floating],
    frame_s: float,
    kind: npt.NDArray[np.int64] | None = None,
) -> LabelScenes:
    """Lay the scenes of a label end to end, [scene, frame] each, with silence between them.

    Targets are shares of a frame: a frame that is active for a third of its time at an event's begin puts the onset
    where its last third begins. `kind` is the kind of each empty scene, from 0, and -1 for the others.
    """
    # Most scenes lack most labels, and score nothing that any rule would take.
    worth = np.flatnonzero(targets.any(axis=1) | (scores.max(axis=1) >= min(GRID["threshold"])))
    gap = round(GAP_S / frame_s)
    whole, spans, onsets_s = [np.zeros(gap)], [], []
    for number, (one, active) in enumerate(zip(scores[worth], targets[worth], strict=True)):
        begin = gap + number * (len(one) + gap)
        whole += [one, np.zeros(gap)]
        first, stop = find_runs(active > 0)
        for start, end in zip(first.tolist(), stop.tolist(), strict=True):
            onset, offset = start + 1 - active[start], end - 1 + active[end - 1]
            if offset - onset > 0.2:
                spans.append(((begin + onset) * frame_s, (begin + offset) * frame_s))
                onsets_s += [spans[-1][0]] if onset > 0 else []
    laid = np.concatenate(whole).astype(np.float64)
    edge_s = np.arange(len(laid) + 1, dtype=np.float64) * frame_s
    true = np.array(spans, float).reshape(-1, 2)
    if kind is None:
        return LabelScenes(edge_s, laid, true, np.array(onsets_s))
    scene_s = scores.shape[1] * frame_s
    starts_s = (gap + np.arange(len(worth)) * (scores.shape[1] + gap)) * frame_s
    lain = np.stack([starts_s, starts_s + scene_s], axis=1)
    kinds = range(int(kind.max()) + 1)
    empty = tuple(lain[kind[worth] == number] for number in kinds)
    empty_s = tuple(scene_s * int((kind == number).sum()) for number in kinds)
    return LabelScenes(edge_s, laid, true, np.array(onsets_s), empty, empty_s)


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
    job: TrainingJob,
    model: keras.Model,
    rows: pd.DataFrame,
    policy: SceneMixer,
    count: int,
    kind: int,
    *,
    every_row: bool = False,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Scores and targets of about so many scenes from some rows, or of all crops of all, [scene, frame, label] each."""
    scores, targets = [], []
    for take in range(max(1, round(count / len(rows)))):
        for step, (features, wanted) in enumerate(iterate_rows(plan_rows(job, rows), job.target_table)):
            scenes, active = policy(features, wanted, np.random.default_rng([job.seed, 2, kind, take, step]))
            scores.append(np.asarray(model.predict_on_batch(scenes)))
            targets.append(active)
            if not every_row and len(scores) * len(scenes) >= 2 * count:
                return np.concatenate(scores), np.concatenate(targets)
    return np.concatenate(scores), np.concatenate(targets)
