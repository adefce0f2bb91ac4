"""What the demo says at its end: scores of clips and of events."""

from __future__ import annotations

import json
from pathlib import Path

from hubbub.clips.sources.table_files import read_frame
from hubbub.labels.event_metrics import event_metrics
from hubbub.labels.tables import open_labels

HELD_OUT_FOLD = 5


def describe_results(evaluation: Path, labels: Path, truth: Path) -> dict[str, str]:
    """Describe the scores of clips and of events, as names and values for people."""
    scores = json.loads((evaluation / "evaluation.json").read_text(encoding="utf-8"))
    found, true = open_labels(labels).events(), read_frame(truth)
    events, sharp = event_metrics(true, found), event_metrics(true, found, tolerance_s=0.2)
    return {
        "clips tested": f"{scores['clips']} of fold {scores['fold']}, accuracy {scores['accuracy']:.1%}, "
        f"macro F1 {scores['macro_f1']:.3f}",
        "soundscapes": f"{len(true)} true events, {len(found)} labelled",
        "segments of 1 s": f"F1 {events.segment.f1:.3f}",
        "events": f"F1 {events.event.f1:.3f} within 1 s, {sharp.event.f1:.3f} within 0.2 s",
    }
