"""Label tables that people review, and verdicts on their events."""

from __future__ import annotations

from typing import Any

from hubbub.config import Settings
from hubbub.io.paths import StoragePath, parse_path
from hubbub.labels.events import EventRule
from hubbub.labels.reviews.schema import Verdict, identify_event
from hubbub.labels.tables import LabelTables, create_labels

LABELS = ["dog", "rain", "<b>größe</b>"]
RUN: dict[str, Any] = {
    "model_hash": "m" * 16,
    "settings_hash": Settings().hash,
    "settings": Settings().model_dump(mode="json"),
    "labels": LABELS,
    "hop_s": 1.0,
    "rules": {label: vars(EventRule()) for label in LABELS},
    "root": "/sounds",
    "command": "hubbub label",
}


def make_tables(path: str | StoragePath, **changed: Any) -> LabelTables:
    """Make empty label tables."""
    return create_labels(parse_path(path), RUN | changed)


def judge(number: int = 0, verdict: str = "yes", **changed: Any) -> Verdict:
    """Return a verdict on the event `number`."""
    fields = {
        "verdict": verdict,
        "kind": "event",
        "uri": "a.wav",
        "clip_id": "0" * 32,
        "event_label": "dog",
        "onset_s": float(number),
        "offset_s": number + 1.5,
        "score": 0.75,
        "source": "random",
        **changed,
    }
    fields.setdefault("label", fields["event_label"] if fields["verdict"] == "yes" else None)
    fields.setdefault(
        "event",
        identify_event(fields["clip_id"], fields["event_label"], fields["onset_s"], fields["offset_s"]),
    )
    return Verdict(**fields)
