"""The four things every distributed job does once its inputs are read: show the plan, run it, say what happened."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

from hubbub.clips.table import resolve_uri
from hubbub.engine import Engine, Task
from hubbub.engine.cluster import open_engine
from hubbub.engine.requirements import PathCheck
from hubbub.io.paths import StoragePath
from hubbub.planning.plan import Plan
from hubbub.tasks.result import UnitLost, UnitResult

from . import console
from .console import Pace, duration, size
from .runs import INTERRUPTED, Counts, Run, Standing, make_path_checks, stoppable

_FAILURES_SHOWN = 5
_TOTALS = ("audio_s", "bytes_read", "wall_s", "units", "ok", "failed", "windows", "lost_units", "lost_clips")


@dataclass
class Tally:
    """What a run's results add up to; of many results it keeps a few, and may be read while it grows.

    Attributes
    ----------
    audio_s, bytes_read, ok, failed, windows, heard, seconds
        Sums of what results say (`UnitResult`).
    wall_s
        How long it took.
    units
        Results.
    reasons
        Uri and reason of the first failures.
    lost_units, lost_clips
        What no worker brought to its end.
    lost
        The first of these.
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
    heard: Counter[str] = field(default_factory=Counter)
    lost: list[UnitLost] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, result: UnitResult | UnitLost) -> None:
        """Count one result in."""
        if isinstance(result, UnitLost):
            self.include(Tally(lost_units=1, lost_clips=result.clips, lost=[result]))
            return
        self.include(
            Tally(
                audio_s=result.audio_s,
                bytes_read=result.bytes_read,
                units=1,
                ok=result.ok,
                failed=result.failed,
                windows=result.windows,
                seconds=defaultdict(float, result.seconds),
                reasons=list(result.reasons),
                heard=Counter(result.heard),
            )
        )

    def include(self, other: Tally) -> None:
        """Count another tally in."""
        with self._lock:
            for name in _TOTALS:
                setattr(self, name, getattr(self, name) + getattr(other, name))
            self.reasons += other.reasons[: _FAILURES_SHOWN - len(self.reasons)]
            self.lost += other.lost[: _FAILURES_SHOWN - len(self.lost)]
            self.heard.update(other.heard)
            for stage, seconds in other.seconds.items():
                self.seconds[stage] += seconds

    def amounts(self) -> tuple[int, int, float, int, int, int]:
        """Clips, windows, audio_s, units, lost units and lost clips, all of one moment."""
        with self._lock:
            clips = self.ok + self.failed
            return clips, self.windows, self.audio_s, self.units, self.lost_units, self.lost_clips


@dataclass(frozen=True)
class Goal:
    """What a stage's results will add up to.

    Attributes
    ----------
    windows
        Windows of all units, or what else `counted` says.
    units
        How many there are; None: unknown.
    clips
        Clips of all units; None where clips are not what is done.
    shares
        The same, a clip counted once for every unit that has some of it; None: each is whole in one.
    """

    windows: int
    units: int | None = None
    clips: int | None = None
    shares: int | None = None
    counted: str = "windows"


class _Progress:
    """How a stage stands: what it is to do, what was done, and how its engine is."""

    def __init__(self, stage: str, goal: Goal, tally: Tally, engine: Engine) -> None:
        self._stage, self._goal, self._tally, self._engine = stage, goal, tally, engine
        self._lock = threading.Lock()
        self._pace = Pace(self._amounts(), time.monotonic())

    def note(self) -> None:
        """Have the pace know of what the tally has by now."""
        with self._lock:
            self._pace.add(self._amounts(), time.monotonic())

    def standing(self) -> Standing:
        """How it stands now; called from any thread."""
        goal, state, now_s = self._goal, self._engine.state(), time.monotonic()
        clips, windows, _, units, lost_units, lost_clips = self._tally.amounts()
        lost_windows = round(goal.windows * lost_units / goal.units) if goal.units else 0
        with self._lock:
            run, minute = self._pace.rates(now_s), self._pace.rates(now_s, 60.0)
            left_s = self._pace.left_s(1, goal.windows - windows - lost_windows, now_s)
        return Standing(
            stage=self._stage,
            counted=goal.counted,
            clips=Counts(goal.clips, self._clips(clips), lost_clips),
            windows=Counts(goal.windows, windows, lost_windows),
            units=Counts(goal.units, units, lost_units),
            failed=self._tally.failed,
            clips_a_second=run[0],
            clips_a_second_last_minute=minute[0],
            audio_h_a_second=run[2] / 3600,
            audio_h_a_second_last_minute=minute[2] / 3600,
            left_s=None if math.isinf(left_s) else left_s,
            **asdict(state),
        )

    def _amounts(self) -> tuple[float, float, float]:
        clips, windows, audio_s, *_ = self._tally.amounts()
        return self._clips(clips), windows, audio_s

    def _clips(self, shares: int) -> int:
        goal = self._goal
        return shares if not goal.shares or goal.clips is None else min(goal.clips, shares * goal.clips // goal.shares)


def plan_lines(plan: Plan, *, to_store: int | None = None) -> dict[str, Any]:
    """What a run will do, for people; `to_store` is how many bytes of features it makes, where that is known."""
    return {
        "clips": plan.clips,
        "done already": plan.done,
        **({"… of these retired, coming back": plan.restored_clips} if plan.restored_clips else {}),
        **({"new": plan.new_clips} if plan.done else {}),
        **({"changed since": plan.changed_clips} if plan.changed_clips else {}),
        **({"gone from the table, to retire": plan.missing_clips} if plan.missing_clips else {}),
        "failed before, left alone": plan.failed_before,
        "to do": f"{plan.todo_clips} clips, {plan.windows} windows, in {len(plan)} units",
        "to read": size(plan.bytes_to_read),
        **({} if to_store is None else {"to store": f"{size(to_store)} before compression"}),
        "memory a task": f"{size(plan.peak_bytes)} at most, beyond what a worker takes to start",
    }


def show_plan(job: str, plan: Plan, *, to_store: int | None = None) -> None:
    """Print what a run will do; `to_store` as in `plan_lines`."""
    console.summary(f"{job}: the plan", plan_lines(plan, to_store=to_store))


def run_plan(run: Run, plan: Plan, task: Task, *, root: StoragePath) -> Tally:
    """Run every unit of a plan, with progress; returns what the results add up to.

    Parameters
    ----------
    root
        What relative uris of its clips are relative to.
    """
    run.log.write("plan", clips=plan.clips, done=plan.done, todo=plan.todo_clips, windows=plan.windows, units=len(plan))
    goal = Goal(plan.windows, len(plan), plan.todo_clips, plan.shares)
    return run_units(run, run.job, plan.units(), task, goal, path_checks=recordings(plan, root))


def run_units(
    run: Run,
    stage: str,
    units: Iterable[Any],
    task: Callable[[Any], Any],
    goal: Goal,
    *,
    path_checks: tuple[PathCheck, ...] = (),
    see: Callable[[Any], UnitResult | UnitLost | None] = lambda result: result,
    tally: Tally | None = None,
) -> Tally:
    """Run units that together are `goal`, with progress; returns what the results add up to.

    After Ctrl-C, no more units are begun, and `run.is_stopped` is set where some are left.

    Parameters
    ----------
    sights
        What workers have to see, beside what the run writes to.
    see
        Given each result; returns what counts, None for nothing.
    tally
        Counted on from; `goal` is then of both.
    """
    tally, where = tally or Tally(), run.where
    if run.stop.is_set():
        run.is_stopped = True
        return tally
    lost_before = tally.lost_units
    engine_for = open_engine(
        where.cluster,
        where.workers,
        path_checks=(*run.path_checks, *path_checks),
        needs=getattr(task, "needs", ()),
        ship=where.ship,
        notify=console.warn,
    )
    with engine_for as engine:
        console.say(engine.note)
        started, progress = time.monotonic(), _Progress(stage, goal, tally, engine)
        try:
            with _watched(run, stage, engine, progress):
                for result in engine.run(task, units, run.stop):
                    _count(run, see(result), tally)
                    progress.note()
        finally:
            tally.wall_s += time.monotonic() - started
            run.lost += tally.lost_units - lost_before
        if run.stop.is_set() and (goal.units is None or tally.units + tally.lost_units < goal.units):
            run.is_stopped = True
    return tally


def _count(run: Run, result: UnitResult | UnitLost | None, tally: Tally) -> None:
    if result is not None:
        tally.add(result)
        run.log.write("lost" if isinstance(result, UnitLost) else "unit", **asdict(result))


@contextmanager
def _watched(run: Run, stage: str, engine: Engine, progress: _Progress) -> Iterator[None]:
    """Show how a stage stands, on the console and in the run folder; and have Ctrl-C stop it."""

    def look() -> tuple[float, str]:
        standing = progress.standing()
        return standing.share, str(standing)

    def settled() -> bool:
        state = engine.state()
        return state.in_flight <= 2 * state.threads  # a worker has one that runs and one that is next

    with (
        run.stage(progress.standing),
        run.reporting() as report,
        nullcontext() if report is None else engine.report_to(report),
        console.live(stage, look),
        stoppable(run.stop, lambda: engine.state().in_flight, settled),
    ):
        yield


def recordings(plan: Plan, root: StoragePath) -> tuple[PathCheck, ...]:
    """Two recordings of a plan, which workers must see as this machine does: its first and its last."""
    uris = plan.todo["uri"]
    ends = dict.fromkeys(uris[number].as_py() for number in (0, -1)) if len(uris) else {}
    return make_path_checks("the recordings", *(resolve_uri(uri, root) for uri in ends))


def tell(run: Run, tally: Tally, *, clips: int, ok: int, failed: int, result: StoragePath, reasons: StoragePath) -> int:
    """Print the summary table, name failures, and return the exit code.

    Parameters
    ----------
    clips, ok, failed
        Of the whole table, as storage has them now; what is missing was not done.
    result
        Where the results are.
    reasons
        Folder of the Parquet parts that say why each failed clip failed.
    """
    pace = f" ({(tally.audio_s / 3600):.3g} h of sound, {tally.audio_s / max(tally.wall_s, 1e-9):.0f} times real time)"
    stages = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in tally.seconds.items())
    missing = clips - ok - failed
    console.summary(
        f"{run.job}: {'stopped' if run.is_stopped else 'not finished' if missing else 'done'}",
        {
            "clips": clips,
            "ok": ok,
            "failed": failed,
            **({"not done": missing} if missing else {}),
            "time": duration(tally.wall_s) + (pace if tally.audio_s else ""),
            **({"workers' time": stages} if stages else {}),
            "result": result,
        },
    )
    run.result = {"clips": clips, "ok": ok, "failed": failed, "missing": missing}
    run.log.write("end", **run.result, wall_s=round(tally.wall_s, 3))
    for uri, reason in tally.reasons:
        console.warn(f"failed: {uri}: {reason}")
    if tally.failed > len(tally.reasons):
        console.warn(f"… and {tally.failed - len(tally.reasons)} more")
    for lost in tally.lost:
        console.warn(f"lost: unit {lost.unit} with {lost.clips} clips: {lost.reason}; the next run makes it again")
    if tally.lost_units > len(tally.lost):
        console.warn(f"… and {tally.lost_units - len(tally.lost)} more units were lost")
    if failed:
        console.warn(
            f"{failed} clips failed; column error of {reasons}/*.parquet says why; --retry-failed tries them again"
        )
    return INTERRUPTED if run.is_stopped else 1 if failed or missing else 0
