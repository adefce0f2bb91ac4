"""The columns of reviews, a verdict as a value, and the names of events."""

from __future__ import annotations

import hashlib
import math
import re
import struct
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from hubbub.clips.reviews import FOLDER, REVIEW_SCHEMA
from hubbub.errors import UsageError, suggest_nearest

__all__ = [
    "FOLDER",
    "KINDS",
    "REVIEW_SCHEMA",
    "SOURCES",
    "VERDICTS",
    "Verdict",
    "identify_event",
    "identify_events",
]

VERDICTS = ("yes", "no", "unsure", "undone")
"""What a verdict may be; ``undone`` takes the reviewer's last verdict on the event back."""

KINDS = ("event", "window")
"""What a verdict is on: an event, or a window sampled to tell whether its label is in it."""

SOURCES = ("best", "worst", "random", "balanced", "listed")
"""How an event or window was chosen for review."""

_EVENT = re.compile("[0-9a-f]{16}")
_MICROSECONDS = 1e6


def identify_event(clip_id: str, label: str, onset_s: float, offset_s: float) -> str:
    """Return the name of an event: the same on any machine and in any run that finds the same event.

    Parameters
    ----------
    clip_id
        The clip it is in.
    label
        Its label.
    onset_s, offset_s
        Seconds from the recording's start; what differs by less than half a microsecond is the same event.

    Returns
    -------
    str
        16 hex digits of BLAKE2b over them.

    Raises
    ------
    UsageError
        For times that are no finite numbers.
    """
    if not (math.isfinite(onset_s) and math.isfinite(offset_s)):
        raise UsageError(f"event from {onset_s} to {offset_s} s: expected finite times, in seconds")
    return _hash(clip_id, label, struct.pack("<qq", round(onset_s * _MICROSECONDS), round(offset_s * _MICROSECONDS)))


def identify_events(events: pd.DataFrame) -> list[str]:
    """Return the names of events, as `identify_event` makes them.

    Parameters
    ----------
    events
        With columns clip_id, label, onset_s and offset_s, one row an event.

    Returns
    -------
    list of str
        16 hex digits a row, in the order of the rows.

    Raises
    ------
    UsageError
        For times that are no finite numbers.
    """
    times = events[["onset_s", "offset_s"]].to_numpy(np.float64)
    if not np.isfinite(times).all():
        bad = times[~np.isfinite(times).all(axis=1)][0]
        raise UsageError(f"event from {bad[0]} to {bad[1]} s: expected finite times, in seconds")
    packed = np.ascontiguousarray(np.rint(times * _MICROSECONDS).astype("<i8")).tobytes()
    rows = zip(events["clip_id"].tolist(), events["label"].tolist(), range(0, len(packed), 16), strict=True)
    return [_hash(clip, label, packed[first : first + 16]) for clip, label, first in rows]


def _hash(clip_id: str, label: str, times: bytes) -> str:
    text = f"{clip_id}\0{label}\0".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text + times, digest_size=8).hexdigest()


@dataclass(frozen=True)
class Verdict:
    """What a person says of one event or window.

    Raises
    ------
    UsageError
        For a value that none of the fields may have, or an `event` that is another's name.
    """

    event: str
    """Its name, `identify_event` of `clip_id`, `event_label`, `onset_s` and `offset_s`."""
    verdict: str
    """One of `VERDICTS`: ``yes``, the label is right; ``no``, it is wrong; ``unsure``; or ``undone``."""
    label: str | None
    """What the reviewer says it is: `event_label` for yes; another label, or None, for no; None else."""
    kind: str
    """One of `KINDS`: ``event``, or ``window``, where the question is whether `event_label` is in a sampled window."""
    uri: str
    """The recording, as the label tables name it."""
    clip_id: str
    """The clip, as the label tables name it."""
    event_label: str
    """The label that the model gives."""
    onset_s: float
    """Start of the event or window, in seconds from the recording's start."""
    offset_s: float
    """End of the event or window, in seconds from the recording's start; above `onset_s`."""
    score: float
    """Peak of the event, or the window's score of `event_label`, when it was judged; 0 to 1."""
    source: str
    """How it was chosen, one of `SOURCES`."""

    def __post_init__(self) -> None:
        for name, known in (("verdict", VERDICTS), ("kind", KINDS), ("source", SOURCES)):
            value = getattr(self, name)
            if value not in known:
                raise UsageError(f"{name} '{value}' is none of reviews: {suggest_nearest(str(value), known)}")
        for name in ("uri", "clip_id", "event_label"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value:
                raise UsageError(f"{name} {value!r} of a verdict is no name; expected text that is not empty")
        self._check_label()
        self._check_numbers()
        if not isinstance(self.event, str) or not _EVENT.fullmatch(self.event):
            raise UsageError(f"event {self.event!r} is no name of an event; expected 16 hex digits (identify_event)")
        expected = identify_event(self.clip_id, self.event_label, self.onset_s, self.offset_s)
        if self.event != expected:
            raise UsageError(
                f"event {self.event} is not the one from {self.onset_s} to {self.offset_s} s with the label "
                f"'{self.event_label}'; expected {expected} (identify_event)"
            )

    def _check_label(self) -> None:
        given = f"verdict '{self.verdict}' on '{self.event_label}' with the label {self.label!r}"
        if self.verdict == "yes" and self.label != self.event_label:
            raise UsageError(f"{given}: expected the label '{self.event_label}', or the verdict 'no'")
        if self.verdict == "no" and (self.label == self.event_label or self.label == ""):
            raise UsageError(f"{given}: expected another label, or None")
        if self.verdict in ("unsure", "undone") and self.label is not None:
            raise UsageError(f"{given}: expected the label None")
        if self.label is not None and not isinstance(self.label, str):
            raise UsageError(f"{given}: expected text, or None")

    def _check_numbers(self) -> None:
        for name in ("onset_s", "offset_s", "score"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not math.isfinite(value):
                raise UsageError(f"{name} {value!r} of a verdict: expected a finite number")
        if not self.onset_s < self.offset_s:
            raise UsageError(f"a verdict from {self.onset_s} to {self.offset_s} s: expected an end after the start")
        if not 0 <= self.score <= 1:
            raise UsageError(f"score {self.score} of a verdict is no score; expected 0 to 1")

    def to_dict(self) -> dict[str, Any]:
        """The verdict as plain data, by the names of `REVIEW_SCHEMA`."""
        return asdict(self)
