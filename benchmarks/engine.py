"""What the Dask engine costs: a million clips and a task that does nothing; and real clips on one and two workers.

    python benchmarks/engine.py [--clips N] [--units N] [--workers N] [--rounds N] [--limit N] [--check]

The first table: a plan as `hubbub features` makes it goes through a cluster on this machine, whose scheduler lives in
the driver's process; a task returns counts at once. The driver's process tells its seconds of processor, scheduler
included, and its memory, looked at once a second. It is another process, so that nothing else has touched its memory.

The second table: `hubbub features` on real clips, one and two workers taking turns in each round.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from arguments import positive
from synthetic_clips import make_clips

MB = 1e6

CPU_S, PEAK_MB = 60.0, 1500.0
"""Driver and scheduler together take less, for 1,000,000 clips in 20,000 units."""

UNIT_MS = 3.0
"""Processor time of the driver's process for one unit is below."""

GROWTH = 1.05
"""Memory at the end, as a multiple of that after the first minute (at half time, where all took less), at most."""

SPEEDUP = 1.85
"""Two workers do at least so many times the clips a second of one, on two free cores."""


@dataclass(frozen=True)
class DoNothing:
    """A task that returns counts and has looked at nothing."""

    def __call__(self, unit):  # noqa: ANN001, ANN204  # hubbub.planning.units.Unit, UnitResult: imported where they are used
        """Say that all went well."""
        from hubbub.tasks.result import UnitResult

        count = len(unit.items)
        return UnitResult(unit.index, count, 0, count, count, 5.0 * count, 441_044 * count)


@dataclass(frozen=True)
class Found:
    """What a run of units that do nothing took of the driver's process.

    Attributes
    ----------
    units
        That came back.
    clips
        That their results counted.
    wall_s
        From the first unit to the last result.
    processor_s
        Of all threads of the driver's process, the scheduler's included, in that time.
    planning_s
        Processor seconds before it: the clip table is made, the plan, the cluster.
    memory_mb
        Resident memory of the process, once a second.
    most_in_flight
        Units handed out at a time.
    """

    units: int
    clips: int
    wall_s: float
    processor_s: float
    planning_s: float
    memory_mb: list[float] = field(default_factory=list)
    most_in_flight: int = 0

    @property
    def settled_mb(self) -> float:
        """Memory after the first minute, or at half time where all took less than two."""
        return self.memory_mb[min(60, len(self.memory_mb) // 2)]


def measure(clips: int, units: int, workers: int) -> Found:
    """Send a plan through a cluster, in this process."""
    from hubbub.clips.table import ClipTable
    from hubbub.config import load_settings
    from hubbub.engine.cluster import open_engine
    from hubbub.planning.plan import plan_features

    per_unit = -(-clips // units)
    settings = load_settings(None, [f"layout.rows_per_shard={per_unit}", f"layout.rows_per_chunk={per_unit}"])
    plan = plan_features(ClipTable(make_clips(clips), Path("/nowhere")), settings)
    with open_engine("local", workers) as engine, _memory_mb() as memory_mb:
        planning_s, started, most = time.process_time(), time.perf_counter(), 0
        done = counted = 0
        for result in engine.run(DoNothing(), plan.units()):
            done += 1
            counted += result.windows
            most = max(most, engine.state().in_flight)
        wall_s, processor_s = time.perf_counter() - started, time.process_time() - planning_s
    return Found(done, counted, wall_s, processor_s, planning_s, memory_mb, most)


@contextmanager
def _memory_mb() -> Iterator[list[float]]:
    """Look at this process's memory once a second."""
    import psutil

    seen, over = [psutil.Process().memory_info().rss / MB], threading.Event()

    def look() -> None:
        while not over.wait(1.0):
            seen.append(psutil.Process().memory_info().rss / MB)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


def measure_in_own_process(arguments: argparse.Namespace) -> Found:
    """Measure in a process of its own."""
    sizes = [f"--{name}={getattr(arguments, name)}" for name in ("clips", "units", "workers")]
    command = [sys.executable, __file__, "--measure", *sizes]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Found(**json.loads(done.stdout))


def speeds(rounds: int, limit: int | None) -> dict[int, list[float]]:
    """Clips a second of `hubbub features` with 1 and 2 workers, a figure a round."""
    from recordings import default_clips, index
    from ways import store_with_hubbub

    from hubbub.engine.cluster import open_engine

    found: dict[int, list[float]] = {1: [], 2: []}
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hubbub-engine-")))
        table = index(default_clips(), limit)
        engines = {count: stack.enter_context(open_engine("local", count)) for count in found}
        for turn in range(rounds + 1):
            for count, engine in engines.items():
                started = time.perf_counter()
                done = store_with_hubbub(table, engine, scratch / f"store-{turn}-{count}")
                if turn:  # the first warms up workers and the cache of files
                    found[count].append(done / (time.perf_counter() - started))
    return found


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="What the Dask engine costs.")
    parser.add_argument("--clips", type=positive, default=1_000_000)
    parser.add_argument("--units", type=positive, default=20_000)
    parser.add_argument("--workers", type=positive, default=2)
    parser.add_argument("--rounds", type=positive, default=5)
    parser.add_argument("--limit", type=positive, help="only the first so many real clips")
    parser.add_argument("--check", action="store_true", help="exit 1 where a target is missed")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Run the command."""
    arguments = parse()
    if arguments.measure:
        print(json.dumps(asdict(measure(arguments.clips, arguments.units, arguments.workers))))
        return 0
    found, rates = measure_in_own_process(arguments), speeds(arguments.rounds, arguments.limit)
    return 1 if not _shown(found, rates, arguments) and arguments.check else 0


def _shown(found: Found, rates: dict[int, list[float]], arguments: argparse.Namespace) -> bool:
    """Print the tables; whether all targets are met."""
    from table import print_table
    from targets import Verdict, print_verdicts

    peak_mb, unit_ms = max(found.memory_mb), 1e3 * found.processor_s / found.units
    growth = found.memory_mb[-1] / found.settled_mb
    lines = [
        ("units, and clips in them", f"{found.units}, {found.clips}"),
        ("s by the clock", f"{found.wall_s:.1f}"),
        ("processor s of driver and scheduler", f"{found.processor_s:.1f}"),
        ("… ms a unit", f"{unit_ms:.2f}"),
        ("… s before, to make clip table, plan and cluster", f"{found.planning_s:.1f}"),
        ("units in flight, at most", str(found.most_in_flight)),
        ("peak MB", f"{peak_mb:.0f}"),
        ("MB after the first minute, or at half time", f"{found.settled_mb:.0f}"),
        ("MB at the end", f"{found.memory_mb[-1]:.0f}"),
    ]
    title = f"Engine: a task that does nothing, {arguments.workers} workers, {os.cpu_count()} cores"
    print_table(title, ("", "figure"), lines)
    pace = {count: median(values) for count, values in rates.items()}
    ratios = [two / one for one, two in zip(rates[1], rates[2], strict=True)]
    table = [
        (str(count), f"{value:.1f}", ", ".join(f"{one:.1f}" for one in rates[count])) for count, value in pace.items()
    ]
    print_table("Workers: features of real clips, stored", ("workers", "clips/s, median", "rounds"), table)
    per_unit = -(-arguments.clips // arguments.units)
    whole = found.units == -(-arguments.clips // per_unit) and found.clips == arguments.clips
    figures = [
        ("driver and scheduler: processor s", CPU_S, found.processor_s),
        ("… ms a unit", UNIT_MS, unit_ms),
        ("peak MB", PEAK_MB, peak_mb),
        ("memory at the end, times settled", GROWTH, growth),
    ]
    judged = [Verdict(what, f"< {wanted:g}", f"{value:.3g}", value < wanted) for what, wanted, value in figures]
    judged.append(Verdict("every unit came back", "yes", "yes" if whole else "no", whole))
    speedup = median(ratios)  # of the rounds, in each of which the two took turns
    judged.append(
        Verdict("2 workers over 1, median of rounds", f">= {SPEEDUP:g}", f"{speedup:.3g}", speedup >= SPEEDUP)
    )
    print_verdicts(judged)
    return all(item.met for item in judged)


if __name__ == "__main__":
    sys.exit(main())
