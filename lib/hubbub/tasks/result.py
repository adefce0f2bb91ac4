"""What a unit of work returns: counts and timings. The rows themselves go from the worker to storage."""

from __future__ import annotations

from dataclasses import dataclass, field

from hubbub.errors import AudioError, OutOfMemory

MOST_REASONS = 5
"""Failures a result spells out; all of them are in the row parts."""


@dataclass(frozen=True)
class UnitResult:
    """One unit, done and committed.

    Attributes
    ----------
    unit
        Its number.
    ok, failed
        Its clips, by how they ended.
    windows
        Windows planned and gone through.
    rows
        Windows that were written.
    audio_s
        Seconds of sound gone through.
    bytes_read
        Sizes of the files read, where known.
    seconds
        Wall time by stage.
    reasons
        Uri and reason of the first failures.
    event_counts
        Events by label, where the task makes events.
    """

    unit: int
    ok: int
    failed: int
    windows: int
    rows: int
    audio_s: float
    bytes_read: int
    seconds: dict[str, float] = field(default_factory=dict)
    reasons: tuple[tuple[str, str], ...] = ()
    event_counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class UnitLost:
    """One unit that no worker brought to its end: nothing of it is committed, the next run makes it.

    Attributes
    ----------
    unit
        Its number.
    clips
        How many it holds.
    reason
        What is known of the cause.
    """

    unit: int
    clips: int
    reason: str


def describe_failure(error: Exception) -> str:
    """Say in one line why a clip failed, as the column `error` of its row has it."""
    if isinstance(error, MemoryError):
        error = OutOfMemory(str(error) or "takes more memory than there is")
    text = error.reason if isinstance(error, AudioError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())
