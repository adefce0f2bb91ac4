"""The four things every distributed job does once its inputs are read: show the plan, run it, say what happened."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from hubbub.engine import Task
from hubbub.engine.cluster import open_engine
from hubbub.places import Place
from hubbub.plan import Plan
from hubbub.tasks.result import UnitLost, UnitResult

from . import console
from .console import JsonLog, duration, size

_FAILURES_SHOWN = 5


@dataclass
class Tally:
    """What a run's results add up to."""

    audio_s: float = 0.0
    bytes_read: int = 0
    wall_s: float = 0.0
    failed: int = 0
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    reasons: list[tuple[str, str]] = field(default_factory=list)
    heard: Counter[str] = field(default_factory=Counter)
    lost: list[UnitLost] = field(default_factory=list)

    def add(self, result: UnitResult | UnitLost) -> None:
        """Count one result in."""
        if isinstance(result, UnitLost):
            self.lost.append(result)
            return
        self.audio_s += result.audio_s
        self.bytes_read += result.bytes_read
        self.failed += result.failed
        self.heard.update(result.heard)
        self.reasons += result.reasons[: _FAILURES_SHOWN - len(self.reasons)]
        for stage, seconds in result.seconds.items():
            self.seconds[stage] += seconds


def show_plan(job: str, plan: Plan, *, to_store: int | None = None) -> None:
    """Print what a run will do; `to_store` is how many bytes of features it makes, where that is known."""
    console.summary(
        f"{job}: the plan",
        {
            "clips": plan.clips,
            "done already": plan.done,
            **({"… of these retired, coming back": plan.to_restore} if plan.to_restore else {}),
            **({"new": plan.new_clips} if plan.done else {}),
            **({"changed since": plan.changed_clips} if plan.changed_clips else {}),
            **({"gone from the table, to retire": plan.removed_clips} if plan.removed_clips else {}),
            "failed before, left alone": plan.failed_before,
            "to do": f"{plan.todo_clips} clips, {plan.windows} windows, in {len(plan)} units",
            "to read": size(plan.bytes_to_read),
            **({} if to_store is None else {"to store": f"{size(to_store)} before compression"}),
            "memory a task": f"{size(plan.peak_bytes)} at most, beyond what a worker takes to start",
        },
    )


def run_plan(job: str, plan: Plan, task: Task, *, cluster: str, workers: int | None, log: JsonLog) -> Tally:
    """Run every unit of a plan, with progress; returns what the results add up to."""
    log.write("plan", clips=plan.clips, done=plan.done, todo=plan.todo_clips, windows=plan.windows, units=len(plan))
    return run_units(job, plan.units(), task, plan.windows, "windows", cluster=cluster, workers=workers, log=log)


def run_units(
    job: str,
    units: Iterable[Any],
    task: Task,
    total: int,
    counted: str,
    *,
    cluster: str,
    workers: int | None,
    log: JsonLog,
) -> Tally:
    """Run units that together are `total` of what is `counted`, with progress; returns what the results add up to."""
    tally = Tally()
    with open_engine(cluster, workers) as engine:
        console.say(engine.note)
        started = time.monotonic()
        with console.progress(job, total, counted) as advance:
            for result in engine.run(task, units):
                tally.add(result)
                log.write("lost" if isinstance(result, UnitLost) else "unit", **asdict(result))
                advance(0 if isinstance(result, UnitLost) else result.windows)
        tally.wall_s = time.monotonic() - started
    return tally


def tell(
    job: str, tally: Tally, *, clips: int, ok: int, failed: int, result: Place, reasons: Place, log: JsonLog
) -> int:
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
        f"{job}: done" if not missing else f"{job}: not finished",
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
    log.write("end", clips=clips, ok=ok, failed=failed, missing=missing, wall_s=round(tally.wall_s, 3))
    for uri, reason in tally.reasons:
        console.warn(f"failed: {uri}: {reason}")
    if tally.failed > len(tally.reasons):
        console.warn(f"… and {tally.failed - len(tally.reasons)} more")
    for lost in tally.lost[:_FAILURES_SHOWN]:
        console.warn(f"lost: unit {lost.unit} with {lost.clips} clips: {lost.reason}; the next run makes it again")
    if failed:
        console.warn(
            f"{failed} clips failed; column error of {reasons}/*.parquet says why; --retry-failed tries them again"
        )
    return 1 if failed or missing else 0
