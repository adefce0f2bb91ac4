"""`RunSummary`: what the results of a run add up to."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from hubbub.tasks.result import UnitLost, UnitResult

_MAX_EXAMPLES = 5  # of failures and of lost units; the storage has all of them
_TOTALS = ("audio_s", "bytes_read", "wall_s", "units", "ok", "failed", "windows", "lost_units", "lost_clips")


@dataclass
class RunSummary:
    """Sum of unit results, in constant memory; other threads may read it while it grows.

    Attributes
    ----------
    audio_s, bytes_read, ok, failed, windows, event_counts, seconds
        Sums over the results (`UnitResult`).
    wall_s
        Wall time of the run.
    units
        Number of results.
    reasons
        Uri and reason of the first failures.
    lost_units, lost_clips
        Units that no worker finished, and their clips.
    lost
        The first lost units.
    """

    audio_s: float = 0.0
    bytes_read: int = 0
    wall_s: float = 0.0
    units: int = 0
    ok: int = 0
    failed: int = 0
    windows: int = 0
    lost_units: int = 0
    lost_clips: int = 0
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    reasons: list[tuple[str, str]] = field(default_factory=list)
    event_counts: Counter[str] = field(default_factory=Counter)
    lost: list[UnitLost] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add_result(self, result: UnitResult | UnitLost) -> None:
        """Add one result."""
        if isinstance(result, UnitLost):
            self.add_summary(RunSummary(lost_units=1, lost_clips=result.clips, lost=[result]))
            return
        self.add_summary(
            RunSummary(
                audio_s=result.audio_s,
                bytes_read=result.bytes_read,
                units=1,
                ok=result.ok,
                failed=result.failed,
                windows=result.windows,
                seconds=defaultdict(float, result.seconds),
                reasons=list(result.reasons),
                event_counts=Counter(result.event_counts),
            )
        )

    def add_summary(self, other: RunSummary) -> None:
        """Add the totals of another summary."""
        with self._lock:
            for name in _TOTALS:
                setattr(self, name, getattr(self, name) + getattr(other, name))
            self.reasons += other.reasons[: _MAX_EXAMPLES - len(self.reasons)]
            self.lost += other.lost[: _MAX_EXAMPLES - len(self.lost)]
            self.event_counts.update(other.event_counts)
            for stage, seconds in other.seconds.items():
                self.seconds[stage] += seconds

    def amounts(self) -> tuple[int, int, float, int, int, int]:
        """Return clips, windows, audio_s, units, lost units and lost clips, all of one moment."""
        with self._lock:
            clips = self.ok + self.failed
            return clips, self.windows, self.audio_s, self.units, self.lost_units, self.lost_clips
