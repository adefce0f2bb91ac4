"""The steps that every distributed job shares: describe the plan, run its units on an engine, report the result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from typing import Any

from hubbub.clips.table import resolve_uri
from hubbub.engine import Engine, Task
from hubbub.engine.cluster import open_engine
from hubbub.engine.requirements import PathCheck
from hubbub.io.paths import StoragePath
from hubbub.io.text import count_noun
from hubbub.pipelines.progress import Goal, ProgressMeter
from hubbub.pipelines.quantities import format_duration, format_size
from hubbub.pipelines.run_folder import Run, make_path_checks
from hubbub.pipelines.run_summary import RunSummary
from hubbub.planning.plan import Plan
from hubbub.tasks.result import UnitLost, UnitResult


def describe_plan(plan: Plan, *, bytes_to_store: int | None = None) -> dict[str, Any]:
    """Describe what a run will do, as names and values for people.

    Parameters
    ----------
    plan
        The plan.
    bytes_to_store
        Bytes of features that the run computes, before compression; None: unknown.
    """
    work = f"{count_noun(plan.todo_clips, 'clip')}, {count_noun(plan.windows, 'window')}"
    return {
        "clips": plan.clips,
        "done already": plan.done,
        **({"of these restored": plan.restored_clips} if plan.restored_clips else {}),
        **({"new": plan.new_clips} if plan.done else {}),
        **({"changed": plan.changed_clips} if plan.changed_clips else {}),
        **({"missing from the table, to retire": plan.missing_clips} if plan.missing_clips else {}),
        "failed before, left alone": plan.failed_before,
        "to do": f"{work}, in {count_noun(len(plan), 'unit')}",
        "to read": format_size(plan.bytes_to_read),
        **({} if bytes_to_store is None else {"to store": f"{format_size(bytes_to_store)} before compression"}),
        "memory a task": f"{format_size(plan.peak_bytes)} at most, beside the worker's own",
    }


def run_plan(run: Run, plan: Plan, task: Task, *, root: StoragePath) -> RunSummary:
    """Run every unit of a plan, with progress.

    Parameters
    ----------
    root
        The folder that relative uris of its clips start from.
    """
    run.log.write("plan", clips=plan.clips, done=plan.done, todo=plan.todo_clips, windows=plan.windows, units=len(plan))
    goal = Goal(plan.windows, len(plan), plan.todo_clips, plan.shares)
    return run_units(run, run.job, plan.units(), task, goal, path_checks=check_recordings(plan, root))


def run_units(
    run: Run,
    stage: str,
    units: Iterable[Any],
    task: Task,
    goal: Goal,
    *,
    path_checks: tuple[PathCheck, ...] = (),
    convert: Callable[[Any], UnitResult | UnitLost | None] = lambda result: result,
    summary: RunSummary | None = None,
    describe_further: Callable[[], str] = lambda: "",
) -> RunSummary:
    """Run units on the engine of a run, with progress; a drained run leaves units and sets `run.is_stopped`.

    Parameters
    ----------
    units
        Together they are `goal`.
    path_checks
        Paths that workers have to see, beside the run folder.
    convert
        Called with each result; returns what the summary adds, None for nothing.
    summary
        Continued, if given; `goal` is then that of all its stages.
    describe_further
        Says what the progress line has at its end, such as the state of units that take long.
    """
    summary, cluster = summary or RunSummary(), run.cluster
    if run.stop.is_set():
        run.is_stopped = True
        return summary
    lost_before = summary.lost_units
    engine_of_run = open_engine(
        cluster.cluster,
        cluster.workers,
        client=cluster.client,
        path_checks=(*run.path_checks, *path_checks),
        needs=getattr(task, "needs", ()),
        ship=cluster.ship,
        notify=run.reporter.warn,
    )
    with engine_of_run as engine:
        run.reporter.say(engine.note)
        started, meter = time.monotonic(), ProgressMeter(stage, goal, summary, engine)
        try:
            with _show_stage(run, stage, engine, meter, describe_further):
                for result in engine.run(task, units, run.stop):
                    _add_result(run, convert(result), summary)
                    meter.add_sample()
        finally:
            summary.wall_s += time.monotonic() - started
            run.lost += summary.lost_units - lost_before
        if run.stop.is_set() and (goal.units is None or summary.units + summary.lost_units < goal.units):
            run.is_stopped = True
    return summary


def _add_result(run: Run, result: UnitResult | UnitLost | None, summary: RunSummary) -> None:
    if result is not None:
        summary.add_result(result)
        run.log.write("lost" if isinstance(result, UnitLost) else "unit", **asdict(result))


@contextmanager
def _show_stage(
    run: Run, stage: str, engine: Engine, meter: ProgressMeter, describe_further: Callable[[], str]
) -> Iterator[None]:
    """Show the progress of a stage on the reporter and in the run folder, and let Ctrl-C drain the run."""

    def look() -> tuple[float, str]:
        progress = meter.measure()
        return progress.fraction_done, "; ".join(part for part in (str(progress), describe_further()) if part)

    def is_settled() -> bool:
        state = engine.state()
        return state.in_flight <= 2 * state.threads  # a worker has one that runs and one that is next

    with (
        run.stage(meter.measure),
        run.reporting() as report,
        nullcontext() if report is None else engine.report_to(report),
        run.reporter.follow(stage, look),
        run.reporter.drain_on_signal(run.stop, lambda: engine.state().in_flight, is_settled),
    ):
        yield


def check_recordings(plan: Plan, root: StoragePath) -> tuple[PathCheck, ...]:
    """Make path checks of two recordings of a plan, the first and the last."""
    uris = plan.todo["uri"]
    ends = dict.fromkeys(uris[number].as_py() for number in (0, -1)) if len(uris) else {}
    return make_path_checks("the recordings", *(resolve_uri(uri, root) for uri in ends))


def report_result(
    run: Run, summary: RunSummary, *, clips: int, ok: int, failed: int, result: StoragePath, reasons: StoragePath
) -> None:
    """Show the summary table, and name failed clips and lost units.

    Parameters
    ----------
    clips, ok, failed
        Of the whole clip table, as storage has them now; all others were not done.
    result
        Where the results are.
    reasons
        Folder of the Parquet parts with the error of each failed clip.
    """
    missing = clips - ok - failed
    run.reporter.show_table(
        f"{run.job}: {'stopped' if run.is_stopped else 'not finished' if missing else 'done'}",
        {
            "clips": clips,
            "ok": ok,
            "failed": failed,
            **({"not done": missing} if missing else {}),
            "time": format_duration(summary.wall_s) + _describe_speed(summary),
            **_describe_stages(summary),
            "result": result,
        },
    )
    run.result = {"clips": clips, "ok": ok, "failed": failed, "missing": missing}
    run.log.write("end", **run.result, wall_s=round(summary.wall_s, 3))
    _warn_of_failures(run, summary)
    if failed:
        run.reporter.warn(
            f"{count_noun(failed, 'clip')} failed; column error of {reasons}/*.parquet has the reasons; "
            "--retry-failed tries them again"
        )


def _describe_speed(summary: RunSummary) -> str:
    if not summary.audio_s:
        return ""
    times = summary.audio_s / max(summary.wall_s, 1e-9)
    return f" ({summary.audio_s / 3600:.3g} h of audio, {times:.{0 if times >= 10 else 1}f} times real time)"


def _describe_stages(summary: RunSummary) -> dict[str, str]:
    stages = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in summary.seconds.items())
    return {"workers' time": stages} if stages else {}


def _warn_of_failures(run: Run, summary: RunSummary) -> None:
    warn = run.reporter.warn
    for uri, reason in summary.reasons:
        warn(f"failed: {uri}: {reason}")
    if summary.failed > len(summary.reasons):
        warn(f"… and {summary.failed - len(summary.reasons)} more")
    for lost in summary.lost:
        clips = count_noun(lost.clips, "clip")
        warn(f"lost: unit {lost.unit} with {clips}: {lost.reason}; the next run computes the unit again")
    if summary.lost_units > len(summary.lost):
        warn(f"… and {count_noun(summary.lost_units - len(summary.lost), 'more lost unit')}")
