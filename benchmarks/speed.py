"""Clips per second of every way and format: in turns, in one run, by the clock and by the processor."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recordings import in_format, repeat
from table import print_table
from ways import WAYS, Missing, Way

from hubbub.clips.table import ClipTable

_WARM_UP_EACH = 8  # one clip of so many is done before anything is timed


@dataclass
class Times:
    """What the rounds of one way through the clips of one format took.

    Attributes
    ----------
    clips
        How many there are.
    seconds, cpu_s
        Of each round: by the clock; and of processor time, in this process and all that it started.
    """

    clips: int
    seconds: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    @property
    def clips_per_s(self) -> float:
        """Of the median round."""
        return self.clips / statistics.median(self.seconds)

    def times_as_fast_as(self, other: Times) -> float:
        """Median over the rounds of how many times as fast as another way it was in the same round."""
        return statistics.median(theirs / ours for ours, theirs in zip(self.seconds, other.seconds, strict=True))


@dataclass
class Opened:
    """A way with its processes started, and the seconds that this and the first small batch took."""

    way: Way
    startup_s: float


Speeds = dict[str, dict[str, Times]]
"""Format -> key of the way -> times."""


def measure(
    table: ClipTable, keys: Sequence[str], formats: Sequence[str], *, workers: int, rounds: int, repeats: int = 1
) -> Speeds:
    """Time the ways through the clips in every format, and print a table for each as soon as it is done.

    Parameters
    ----------
    repeats
        How often each clip is read in a round.
    """
    speeds: Speeds = {}
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hubbub-benchmark-")))
        tables = {
            suffix: repeat(clips, repeats, scratch / f"{suffix}-repeated")
            for suffix, clips in _tables(table, formats, scratch).items()
        }
        opened = _open(stack, keys, workers, scratch)
        for number, (suffix, clips) in enumerate(tables.items()):
            _warm_up(opened.values(), clips, first=number == 0)
            speeds[suffix] = _time(opened, clips, rounds)
            _print_speed(suffix, speeds[suffix], opened, workers)
    _print_ways(opened.values())
    return speeds


def _tables(table: ClipTable, formats: Sequence[str], scratch: Path) -> dict[str, ClipTable]:
    started = time.perf_counter()
    tables = {suffix: in_format(table, suffix, scratch / suffix) for suffix in formats}
    written = [suffix for suffix in formats if tables[suffix] is not table]
    if written:
        print(f"wrote the clips as {', '.join(written)} in {time.perf_counter() - started:.1f} s", flush=True)
    return tables


def _open(stack: ExitStack, keys: Sequence[str], workers: int, scratch: Path) -> dict[str, Opened]:
    """Open every way that can be; say why not of the others."""
    opened = {}
    for key in keys:
        started = time.perf_counter()
        try:
            way = stack.enter_context(WAYS[key](workers, scratch))
        except Missing as missing:
            print(f"{key} is left out: {missing}", flush=True)
        else:
            opened[key] = Opened(way, time.perf_counter() - started)
    return opened


def _warm_up(opened: Iterable[Opened], table: ClipTable, *, first: bool) -> None:
    """Do a small batch; and at first all clips, so that every process has imported and built what it needs."""
    small = ClipTable(table.rows.take(list(range(0, len(table), _WARM_UP_EACH))), table.root)
    for item in opened:
        started = time.perf_counter()
        item.way.run(small)
        if first:
            item.startup_s += time.perf_counter() - started
            item.way.run(table)


def _time(opened: Mapping[str, Opened], table: ClipTable, rounds: int) -> dict[str, Times]:
    times = {key: Times(len(table)) for key in opened}
    order = list(opened)
    for number in range(rounds):
        # Another one begins each round, so that none always follows the same neighbour.
        turn = number % len(order)
        for key in order[turn:] + order[:turn]:
            _time_round(opened[key].way, table, times[key])
    return times


def _time_round(way: Way, table: ClipTable, times: Times) -> None:
    """Go through the clips once, against the clock; every clip must have been done."""
    started, cpu_s = time.perf_counter(), processor_s()
    done = way.run(table)
    times.seconds.append(time.perf_counter() - started)
    times.cpu_s.append(processor_s() - cpu_s)
    if done != len(table):
        raise SystemExit(f"{way.name}: {done} of {len(table)} clips done; a benchmark needs all of them")


def processor_s() -> float:
    """Processor seconds, user and system, of this process and of all that it started, those that ended included."""
    import psutil  # type: ignore[import-untyped]

    this = psutil.Process()
    return sum(_processor_s(process) for process in (this, *this.children(recursive=True)))


def _processor_s(process: Any) -> float:
    import psutil

    try:
        spent = process.cpu_times()
    except psutil.NoSuchProcess:  # ended meanwhile: its parent's time holds it then
        return 0.0
    return spent.user + spent.system + spent.children_user + spent.children_system


def _print_speed(suffix: str, times: Mapping[str, Times], opened: Mapping[str, Opened], workers: int) -> None:
    rows = [(opened[key].way.name, *_figures(own, times)) for key, own in times.items()]
    some = next(iter(times.values()))
    title = f"{suffix}: {some.clips} clips, {workers} processes, median of {len(some.seconds)} rounds, in turns"
    header = ("", "clips/s", "slowest to fastest", "x joblib", "x bare loop", "x decoding", "CPU ms/clip")
    print_table(title, header, rows)


def _figures(own: Times, times: Mapping[str, Times]) -> tuple[str, ...]:
    beside = (f"{own.times_as_fast_as(times[key]):.2f}" if key in times else "-" for key in BESIDE)
    return (
        f"{own.clips_per_s:.1f}",
        f"{own.clips / max(own.seconds):.1f} to {own.clips / min(own.seconds):.1f}",
        *beside,
        f"{statistics.median(own.cpu_s) / own.clips * 1000:.1f}",
    )


BESIDE = ("joblib", "bare", "decoding")
"""The ways that all others are compared with."""


def _print_ways(opened: Iterable[Opened]) -> None:
    rows = [(item.way.name, f"{item.startup_s:.1f}", item.way.note) for item in opened]
    title = "The ways; how long it took to start the processes and do a first small batch in them"
    print_table(title, ("", "start s", "what it does"), rows, sentences=True)
