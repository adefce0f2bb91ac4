"""Score label tables against reference events. What ``hubbub score`` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from hubbub.errors import LabelsError, UsageError
from hubbub.io.atomic import write_json
from hubbub.io.paths import StoragePath
from hubbub.io.text import count_noun
from hubbub.labels.curves import ScoredRecording, compute_mean_pauc, compute_psds
from hubbub.labels.event_scores import EventScores, Interval, score_events
from hubbub.labels.references import Reference, cut_to_clips, match_reference, read_reference
from hubbub.labels.tables import LabelTables
from hubbub.pipelines.inputs import as_labels, as_path
from hubbub.pipelines.reporting import Reporter, choose_reporter
from hubbub.pipelines.train import require_local

if TYPE_CHECKING:
    from hubbub.pipelines.inputs import PathLike


@dataclass(frozen=True)
class ScoreResult:
    """How label tables agree with reference events.

    Attributes
    ----------
    scores
        Of the events.
    psds, mean_pauc
        Of the scores, whatever the thresholds (`hubbub.labels.curves`).
    recordings, clips, hours
        That were compared: clips are more than recordings where segments or channels of recordings were labelled.
    false_per_10_min
        Found events that match no true one with the largest tolerance, in ten minutes.
    notes
        What was odd about the reference.
    """

    scores: EventScores
    psds: float
    mean_pauc: float
    recordings: int
    clips: int
    hours: float
    false_per_10_min: float
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data; None for what is no number.

        Where no event is true, F1, error rates and PSDS are 0, and false events alone say how good the tables are.
        """
        whole = asdict(self)
        for metrics, plain in zip(self.scores.metrics, whole["scores"]["metrics"], strict=True):
            for name in ("segment", "event"):
                score = getattr(metrics, name)
                plain[name] |= {"precision": score.precision, "recall": score.recall, "f1": score.f1}
        return cast(dict[str, Any], _without_nan(whole))


def _without_nan(value: Any) -> Any:
    """The same with None for NaN, which is no JSON."""
    if isinstance(value, dict):
        return {name: _without_nan(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and np.isnan(value) else value


def score(
    labels: PathLike | LabelTables,
    reference: PathLike | pd.DataFrame,
    out: PathLike | None = None,
    *,
    tolerances_s: Sequence[float] = (1.0, 0.2),
    segment_s: float = 1.0,
    every_recording: bool = False,
    progress: bool = False,
    reporter: Reporter | None = None,
) -> ScoreResult:
    """Score label tables; see `hubbub.score`."""
    reporter = choose_reporter(reporter, progress=progress)
    for value in (*tolerances_s, segment_s):
        if not 0 < value < np.inf:
            raise UsageError(f"tolerances and segments are lengths of time; expected more than 0 s (given: {value:g})")
    target = None if out is None else require_local(as_path(out, "out"), "write the scores here, then copy them")
    tables = as_labels(labels)
    files = tables.files()
    files = files[files["status"] == "ok"]
    if files.empty:
        raise LabelsError(
            f"{tables.path} holds no labelled recording; run: hubbub label FILES --model BUNDLE -o {tables.path}"
        )
    clips = files.assign(start_s=files["clip_start_s"].astype(float).fillna(0.0)).sort_values(["uri", "start_s"])
    matched = match_reference(_as_reference(reference), _measure_recordings(clips), tables.labels)
    truth = cut_to_clips(matched.events, clips)
    notes = (*matched.notes, *_note_segments(matched.events, truth))
    for note in notes:
        reporter.warn(f"reference: {note}")
    if truth.empty and not every_recording:
        name = "the reference" if isinstance(reference, pd.DataFrame) else str(reference)
        raise LabelsError(
            f"{name} holds no events of the model's labels in what was labelled; to count what was found in recordings "
            "without any as false, add --all (every_recording=True in Python)"
        )
    scored = clips if every_recording else clips[clips["uri"].isin(matched.recordings)]
    result = _score(tables, truth, scored, tolerances_s, segment_s, notes, reporter)
    if target is not None:
        write_json(target, result.to_dict())
    return result


def _as_reference(reference: PathLike | pd.DataFrame) -> Reference:
    if isinstance(reference, pd.DataFrame):
        return Reference(reference[["uri", "label", "onset_s", "offset_s"]])
    path: StoragePath = as_path(reference, "reference")
    return read_reference(Path(require_local(path, "copy the reference here first")))


def _measure_recordings(clips: pd.DataFrame) -> pd.DataFrame:
    """Lengths of recordings, uri and duration_s; without end where segments alone were labelled."""
    lengths = clips["duration_s"].where(clips["clip_start_s"].isna(), np.inf)
    return clips[["uri"]].assign(duration_s=lengths).groupby("uri")[["duration_s"]].max().reset_index()


def _note_segments(events: pd.DataFrame, truth: pd.DataFrame) -> list[str]:
    """Say which true events lie outside of the labelled segments, wholly or in part; `truth` is what clips have."""
    in_clips_s = (truth["offset_s"] - truth["onset_s"]).groupby(truth["event"]).max().reindex(events.index)
    outside, cut = in_clips_s.isna(), in_clips_s < events["offset_s"] - events["onset_s"] - 1e-6
    parts = []
    if outside.any():
        parts.append(f"{count_noun(int(outside.sum()), 'event')} outside of the labelled segments, left out")
    if cut.any():
        parts.append(f"{count_noun(int(cut.sum()), 'event')} cut where a labelled segment begins or ends")
    return parts


def _score(
    tables: LabelTables,
    truth: pd.DataFrame,
    clips: pd.DataFrame,
    tolerances_s: Sequence[float],
    segment_s: float,
    notes: tuple[str, ...],
    reporter: Reporter,
) -> ScoreResult:
    """Score clip by clip, each as if it were a recording, since that is how events were found."""
    truth = truth.rename(columns={"clip_id": "uri"})
    found = tables.events()
    start_s = found["clip_id"].map(clips.set_index("clip_id")["start_s"])
    found = found.assign(uri=found["clip_id"], onset_s=found["onset_s"] - start_s, offset_s=found["offset_s"] - start_s)
    found = found[start_s.notna() & tables.is_named(found)]
    names = list(clips["clip_id"])
    scores = score_events(
        truth, found, names, drawn_as=list(clips["uri"]), tolerances_s=tolerances_s, segment_s=segment_s
    )
    with reporter.show_waiting("scoring all thresholds"):
        scored = _read_scores(tables, clips)
        psds = compute_psds(scored, truth, tables.labels)
        pauc = compute_mean_pauc(scored, truth, tables.labels, segment_s=segment_s)
    hours = float(clips["duration_s"].sum()) / 3600
    widest = scores.metrics[int(np.argmax(tolerances_s))].event
    false = (widest.called - widest.hits) / max(hours * 6, 1e-9)
    return ScoreResult(scores, psds, pauc, clips["uri"].nunique(), len(clips), hours, false, notes)


def _read_scores(tables: LabelTables, clips: pd.DataFrame) -> dict[str, ScoredRecording]:
    """Scores of each clip by its frames, from its start; of overlapping windows, by the stretch each speaks for."""
    from hubbub.labels.events import find_edges

    windows = tables.windows()
    by_clip = {clip: frame for clip, frame in windows.groupby("clip_id")}
    scored: dict[str, ScoredRecording] = {}
    for clip in clips.to_dict("records"):
        own, duration_s = by_clip[clip["clip_id"]], float(clip["duration_s"])
        stored = np.stack(own["scores"].to_list())
        scores = tables.unpack_scores(stored, duration_s).astype(np.float32)
        if tables.frames is not None:
            edge_s = np.minimum(np.arange(len(scores) + 1) * tables.frames.frame_s, duration_s)
        else:
            start_s, end_s = (own[name].to_numpy() - clip["start_s"] for name in ("start_s", "end_s"))
            edge_s = find_edges(start_s, end_s, duration_s)
        kept = np.flatnonzero(np.diff(edge_s) > 0)
        scored[str(clip["clip_id"])] = ScoredRecording(np.append(edge_s[kept], edge_s[kept[-1] + 1]), scores[kept])
    return scored


def describe_scores(result: ScoreResult, tolerances_s: Sequence[float]) -> dict[str, str]:
    """Describe scores as names and values for people."""
    scores, first = result.scores, result.scores.metrics[0]
    in_clips = f" in {count_noun(result.clips, 'clip')}" if result.clips > result.recordings else ""
    rows = {"recordings": f"{count_noun(result.recordings, 'recording')}{in_clips}, {result.hours * 60:.1f} min"}
    false = f"{result.false_per_10_min:.1f} in 10 min"
    if not first.event.support:
        called = {f"  {label}": f"{event.called} found" for label, event in first.event_by_label.items()}
        return rows | {"true events": "none", "false events": false} | called
    rows[f"segments of {first.segment_s:g} s"] = (
        _describe(first.segment, scores.segment_interval) + f", error rate {scores.segment_error_rate:.2f}"
    )
    for metrics, interval, errors in zip(scores.metrics, scores.event_intervals, scores.event_error_rates, strict=True):
        name = f"events within {metrics.tolerance_s:g} s"
        rows[name] = _describe(metrics.event, interval) + f", error rate {errors:.2f}"
    onsets = scores.onsets
    if onsets.events:
        rows["onsets"] = (
            f"off by {onsets.median_absolute_s:.3f} s (median), bias {onsets.median_s:+.3f} s, "
            f"10 % to 90 %: {onsets.spread_s[0]:+.2f} to {onsets.spread_s[1]:+.2f} s"
        )
    rows["false events"] = false
    rows["all thresholds"] = f"PSDS {result.psds:.3f}, mean pAUC {result.mean_pauc:.3f}"
    by_event = first.event_by_label
    for label, segment in first.segment_by_label.items():
        event = by_event[label]
        rows[f"  {label}"] = (
            f"segments F1 {segment.f1:.2f} (P {segment.precision:.2f}, R {segment.recall:.2f}), "
            f"events F1 {event.f1:.2f} ({event.hits} of {event.support}, {event.called} found)"
        )
    return rows


def _describe(score: Any, interval: Interval) -> str:
    return (
        f"F1 {score.f1:.3f} ({interval.low:.3f} to {interval.high:.3f}), precision {score.precision:.3f}, "
        f"recall {score.recall:.3f}"
    )
