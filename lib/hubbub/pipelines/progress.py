"""`Progress`: the state of one stage of a run, as it is shown and as ``status.json`` holds it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hubbub.engine import Engine
from hubbub.io.text import count_noun
from hubbub.pipelines.quantities import format_duration, format_rate, format_size
from hubbub.pipelines.rates import RateMeter
from hubbub.pipelines.run_summary import RunSummary


@dataclass(frozen=True)
class Counts:
    """Numbers of one kind of item; `total` is None where unknown."""

    total: int | None = None
    done: int = 0
    lost: int = 0


@dataclass(frozen=True)
class Progress:
    """State of one stage of a run. The field names are the keys of ``status.json``.

    Attributes
    ----------
    stage
        Name of the job, or of a part of the job.
    counted
        What `windows` counts: ``windows``, or ``rows``, ``shards``, ``units``.
    clips, windows, units
        Items done; lost ones are those that no worker finished.
    failed
        Clips done that are failed rows.
    in_flight, suspects, retried, workers, threads, memory_bytes, memory_limit_bytes
        State of the engine (`hubbub.engine.EngineState`).
    clips_a_second, audio_h_a_second
        Rates over the stage; and over the last minute, as `…_last_minute`.
    left_s
        Seconds that the rest takes; None: unknown.
    """

    stage: str = ""
    counted: str = "windows"
    clips: Counts = Counts()
    windows: Counts = Counts()
    units: Counts = Counts()
    failed: int = 0
    in_flight: int = 0
    suspects: int = 0
    retried: int = 0
    workers: int = 0
    threads: int = 0
    memory_bytes: int = 0
    memory_limit_bytes: int = 0
    clips_a_second: float = 0.0
    clips_a_second_last_minute: float = 0.0
    audio_h_a_second: float = 0.0
    audio_h_a_second_last_minute: float = 0.0
    left_s: float | None = None

    @property
    def fraction_done(self) -> float:
        """Fraction of the windows that is done or lost, 0…1."""
        return min(1.0, (self.windows.done + self.windows.lost) / self.windows.total) if self.windows.total else 0.0

    def __str__(self) -> str:
        """The whole state in one line."""
        parts = [self._done(), self._rate(), f"{self.failed} failed"]
        if self.clips.lost or self.units.lost:
            parts.append(f"{self.clips.lost} lost")
        isolated = f" ({self.suspects} isolated)" if self.suspects else ""
        parts.append(f"{count_noun(self.in_flight, 'unit')} in flight{isolated}")
        parts.append(f"{format_duration(float('inf') if self.left_s is None else self.left_s)} left")
        return ", ".join(part for part in parts if part) + "; " + self.worker_text

    @property
    def worker_text(self) -> str:
        """Number of workers and their memory."""
        limit = f" of {format_size(self.memory_limit_bytes)}" if self.memory_limit_bytes else ""
        memory = f" with {format_size(self.memory_bytes)}{limit}" if self.memory_bytes else ""
        return f"{count_noun(self.workers, 'worker')}{memory}"

    def _done(self) -> str:
        if self.clips.total is None:
            return f"{self.windows.done} of {self.windows.total} {self.counted}"
        return f"{self.clips.done} of {count_noun(self.clips.total, 'clip')}"

    def _rate(self) -> str:
        if self.clips.total is None:
            return ""
        audio = (
            f", {format_rate(self.audio_h_a_second_last_minute)} h of audio a second" if self.audio_h_a_second else ""
        )
        return f"{format_rate(self.clips_a_second_last_minute)} a second{audio}"


def parse_progress(stored: Mapping[str, Any]) -> Progress:
    """Return the progress that a status file holds; raises `TypeError` or `KeyError` for anything else."""
    counts = {name: Counts(**stored[name]) for name in ("clips", "windows", "units")}
    return Progress(**(dict(stored) | counts))


@dataclass(frozen=True)
class Goal:
    """What the results of a stage will add up to.

    Attributes
    ----------
    windows
        Windows of all units, or the items that `counted` names.
    units
        Number of units; None: unknown.
    clips
        Clips of all units; None where the units do not consist of clips.
    shares
        Sum over units of the clips of which a unit has a part; None: each clip is whole in one unit.
    counted
        Plural noun of the items that `windows` counts.
    """

    windows: int
    units: int | None = None
    clips: int | None = None
    shares: int | None = None
    counted: str = "windows"


class ProgressMeter:
    """Measures the progress of a stage from its goal, the results so far and the state of its engine."""

    def __init__(self, stage: str, goal: Goal, summary: RunSummary, engine: Engine) -> None:
        self._stage, self._goal, self._summary, self._engine = stage, goal, summary, engine
        self._lock = threading.Lock()
        self._rates = RateMeter(self._amounts(), time.monotonic())

    def add_sample(self) -> None:
        """Record what the summary holds now."""
        with self._lock:
            self._rates.add_sample(self._amounts(), time.monotonic())

    def measure(self) -> Progress:
        """Return the progress now; may be called from any thread."""
        goal, state, now_s = self._goal, self._engine.state(), time.monotonic()
        clips, windows, _, units, lost_units, lost_clips = self._summary.amounts()
        lost_windows = round(goal.windows * lost_units / goal.units) if goal.units else 0
        with self._lock:
            run, minute = self._rates.rates(now_s), self._rates.rates(now_s, 60.0)
            left_s = self._rates.left_s(1, goal.windows - windows - lost_windows, now_s)
        return Progress(
            stage=self._stage,
            counted=goal.counted,
            clips=Counts(goal.clips, self._whole_clips(clips), lost_clips),
            windows=Counts(goal.windows, windows, lost_windows),
            units=Counts(goal.units, units, lost_units),
            failed=self._summary.failed,
            clips_a_second=run[0],
            clips_a_second_last_minute=minute[0],
            audio_h_a_second=run[2] / 3600,
            audio_h_a_second_last_minute=minute[2] / 3600,
            left_s=None if math.isinf(left_s) else left_s,
            **asdict(state),
        )

    def _amounts(self) -> tuple[float, float, float]:
        clips, windows, audio_s, *_ = self._summary.amounts()
        return self._whole_clips(clips), windows, audio_s

    def _whole_clips(self, shares: int) -> int:
        goal = self._goal
        return shares if not goal.shares or goal.clips is None else min(goal.clips, shares * goal.clips // goal.shares)
