"""How fast `hubbub features` is beside the usual loop over librosa, and how closely the two agree.

    python benchmarks/features.py --clips PATH/TO/esc10 --workers 2 [--agreement] [--check]

Three ways through the same clips, with the same number of processes:

hubbub
    What `hubbub features` does with a clip table: plan, decode, transform, write and commit every shard, on a local
    Dask cluster. The table is made before, once.
joblib
    ``joblib.Parallel`` over ``librosa.load(sr=22050)``, ``melspectrogram`` and ``power_to_db``. Nothing is stored, and
    nothing is sent back from the processes but the shape.
decoding
    ``joblib.Parallel`` over hubbub's decoding and resampling alone: what no frontend can be faster than.

Each has its processes started, and a first small batch done in them (one clip of each eight), before anything is
timed; what that took stands in a column of its own (joblib runs decoding in the processes it has already). Then the
three take turns, several rounds in one run, since machines wobble: the table holds the medians over the rounds, and
of the ratios within a round. Processor time a clip, of all processes together, tells what the clock cannot on a busy
machine.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hubbub.clips.table import ClipTable, resolve
from hubbub.config import LogMelSettings, Settings
from hubbub.engine import Engine

SAMPLE_RATE = 22050
TIMES_JOBLIB = 1.2
"""Target: hubbub, storing included, against joblib."""

NEAR_PEAK_DB = 80.0
AGREEMENT = {
    # precision, where -> largest difference allowed, dB
    ("float32", "within 80 dB of the peak"): 0.01,
    ("float32", "anywhere above the floor"): 0.2,
    ("float64", "everywhere"): 1e-4,
}
"""Targets: largest difference from librosa, whose transform is float64, in dB."""


@dataclass
class Way:
    """One way through the clips.

    Attributes
    ----------
    name
        Its row of the table.
    run
        Goes through the clips of a table; returns how many were done.
    startup_s
        Seconds that starting processes and the first small batch took.
    seconds, cpu_s
        Of each round: by the clock; and of processor time, in this process and all that it started.
    """

    name: str
    run: Callable[[ClipTable], int]
    startup_s: float = 0.0
    seconds: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    def time_round(self, table: ClipTable) -> None:
        """Go through the clips once, against the clock; every clip must have been done."""
        started, cpu_s = time.perf_counter(), processor_s()
        done = self.run(table)
        self.seconds.append(time.perf_counter() - started)
        self.cpu_s.append(processor_s() - cpu_s)
        if done != len(table):
            raise SystemExit(f"{self.name}: {done} of {len(table)} clips done; a benchmark needs all of them")


def processor_s() -> float:
    """Processor seconds, user and system, of this process and of all that it started and that still run."""
    import psutil  # type: ignore[import-untyped]

    this = psutil.Process()
    times = [process.cpu_times() for process in (this, *this.children(recursive=True))]
    return sum(spent.user + spent.system for spent in times)


def index(folder: Path, limit: int | None) -> ClipTable:
    """Make the clip table of a folder: of the CSV file in it, else of the folder itself."""
    from hubbub.clips.index import index_listing
    from hubbub.clips.sources import Columns, list_source

    source = next(iter(sorted(folder.glob("*.csv"))), folder)
    table, unreadable = index_listing(list_source(source, None, Columns()))
    if unreadable:
        raise SystemExit(f"a benchmark needs clips that can be read: {unreadable[0]}")
    return ClipTable(table.rows.slice(0, limit), table.root.resolve())


def paths_of(table: ClipTable) -> list[Path]:
    """Where the clips lie."""
    return [resolve(uri, table.root) for uri in table.rows["uri"].to_pylist()]


def store_with_hubbub(table: ClipTable, engine: Engine, store_path: Path) -> int:
    """Do what `hubbub features` does with a new store; return how many clips the store then holds."""
    from hubbub.audio.windows import grid_of
    from hubbub.plan import plan_features, resolved, windows_of
    from hubbub.store.features import create_store, row_schema
    from hubbub.tasks.extract import ExtractTask

    windows = windows_of(table.rows, grid_of(Settings()), SAMPLE_RATE)
    settings = resolved(Settings(), int(windows.sum()))
    plan = plan_features(table, settings)
    store = create_store(store_path, settings, source="benchmark")
    store.grow(plan.n_shards)
    for _ in engine.run(ExtractTask(store, table.root, row_schema(table.rows.schema)), plan.units()):
        pass
    return plan_features(table, settings, store.progress(), store.committed()).done


def extract_with_librosa(path: Path) -> tuple[int, ...]:
    """Do what a notebook does with one clip; return the shape."""
    import librosa

    samples, rate = librosa.load(path, sr=SAMPLE_RATE)
    return librosa.power_to_db(librosa.feature.melspectrogram(y=samples, sr=rate)).shape


def decode_only(path: Path) -> int:
    """Decode and resample one clip as hubbub does; return the number of samples."""
    from hubbub.audio.decode import load

    return len(load(path, sample_rate=SAMPLE_RATE))


@contextmanager
def hubbub_way(workers: int, scratch: Path) -> Iterator[Way]:
    """Offer hubbub on a local cluster that runs as long as the context."""
    from hubbub.engine.cluster import open_engine

    started = time.perf_counter()
    stores = (scratch / f"store-{number}" for number in range(10**6))
    with open_engine("local", workers) as engine:
        way = Way("hubbub, stored", lambda table: store_with_hubbub(table, engine, next(stores)))
        way.startup_s = time.perf_counter() - started
        yield way


@contextmanager
def joblib_way(name: str, function: Callable[[Path], Any], workers: int) -> Iterator[Way]:
    """Offer a function of one path, in processes that joblib keeps as long as the context."""
    from joblib import Parallel, delayed

    with Parallel(n_jobs=workers) as parallel:
        yield Way(name, lambda table: len(list(parallel(delayed(function)(path) for path in paths_of(table)))))


def warm_up(way: Way, table: ClipTable) -> None:
    """Do a first small batch, so that every process has imported and built what it needs."""
    started = time.perf_counter()
    way.run(table)
    way.startup_s += time.perf_counter() - started


def measure(table: ClipTable, workers: int, rounds: int) -> list[Way]:
    """Time the three ways, taking turns."""
    small = ClipTable(table.rows.take(list(range(0, len(table), 8))), table.root)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hubbub-benchmark-")))
        ways = [
            stack.enter_context(hubbub_way(workers, scratch)),
            stack.enter_context(joblib_way("joblib and librosa", extract_with_librosa, workers)),
            stack.enter_context(joblib_way("decoding alone", decode_only, workers)),
        ]
        for way in ways:
            warm_up(way, small)
        for number in range(rounds):
            # Another one begins each round, so that none always follows the same neighbour.
            for way in ways[number % 3 :] + ways[: number % 3]:
                way.time_round(table)
    return ways


def times_joblib(way: Way, joblib: Way) -> float:
    """Median over the rounds of how many times as fast as joblib it was in the same round."""
    return statistics.median(theirs / ours for ours, theirs in zip(way.seconds, joblib.seconds, strict=True))


def print_speed(ways: Sequence[Way], clips: int, workers: int) -> None:
    """Print the table of speeds."""
    rows = [
        (
            way.name,
            f"{clips / statistics.median(way.seconds):.1f}",
            f"{clips / max(way.seconds):.1f} to {clips / min(way.seconds):.1f}",
            f"{times_joblib(way, ways[1]):.2f}",
            f"{statistics.median(way.cpu_s) / clips * 1000:.1f}",
            f"{way.startup_s:.1f}",
            f"{clips / (statistics.median(way.seconds) + way.startup_s):.1f}",
        )
        for way in ways
    ]
    title = f"{clips} clips, {workers} processes, median of {len(ways[0].seconds)} rounds, in turns"
    header = ("", "clips/s", "slowest to fastest", "x joblib", "CPU ms/clip", "start-up s", "clips/s with start-up")
    print_table(title, header, rows)


@dataclass(frozen=True)
class Difference:
    """Worst difference from librosa over all clips: of which precision, where, how much, in which clip."""

    precision: str
    where: str
    worst_db: float
    clip: str

    @property
    def allowed_db(self) -> float:
        """The target."""
        return AGREEMENT[self.precision, self.where]


def agreement(table: ClipTable) -> list[Difference]:
    """Compare hubbub's features with librosa's, from the file on, over every clip."""
    worst = {key: Difference(*key, 0.0, "") for key in AGREEMENT}
    for path in paths_of(table):
        for (precision, where), difference_db in compare(path).items():
            if difference_db >= worst[precision, where].worst_db:
                worst[precision, where] = Difference(precision, where, difference_db, path.name)
    return list(worst.values())


def compare(path: Path) -> dict[tuple[str, str], float]:
    """Worst differences of one clip in dB, whole, without the floor at 80 dB that would hide the quiet bins."""
    import librosa

    from hubbub.audio.decode import load
    from hubbub.audio.frontends import frontend_of

    samples, rate = librosa.load(path, sr=SAMPLE_RATE)
    expected = librosa.power_to_db(librosa.feature.melspectrogram(y=samples, sr=rate), top_db=None).T
    masks = {
        "within 80 dB of the peak": expected >= expected.max() - NEAR_PEAK_DB,
        "anywhere above the floor": expected > 10 * np.log10(LogMelSettings().amin),
        "everywhere": np.ones(expected.shape, dtype=bool),
    }
    ours = load(path, sample_rate=SAMPLE_RATE)
    differences = {
        precision: np.abs(frontend_of(LogMelSettings(precision=precision, top_db=None))(ours) - expected)
        for precision in ("float32", "float64")
    }
    return {(precision, where): float(differences[precision][masks[where]].max()) for precision, where in AGREEMENT}


def print_agreement(differences: Sequence[Difference], clips: int) -> None:
    """Print the table of differences."""
    rows = [
        (item.precision, item.where, f"{item.worst_db:.2g}", f"{item.allowed_db:g}", item.clip) for item in differences
    ]
    print_table(
        f"Worst difference from librosa over {clips} clips, file to dB",
        ("precision", "bins", "dB", "target dB", "clip"),
        rows,
    )


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print one table, plain enough for a log."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE)
    for position, name in enumerate(header):
        table.add_column(name, justify="left" if position == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    Console(width=130).print(table)


def missed(ways: Sequence[Way], differences: Sequence[Difference]) -> list[str]:
    """Targets that were missed, one sentence each."""
    ratio = times_joblib(ways[0], ways[1])
    slow = [f"{ratio:.2f} times joblib, at least {TIMES_JOBLIB} wanted"] if ratio < TIMES_JOBLIB else []
    return slow + [
        f"{item.precision} differs {item.where} by {item.worst_db:.2g} dB ({item.clip}), {item.allowed_db:g} wanted"
        for item in differences
        if not item.worst_db <= item.allowed_db
    ]


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description="hubbub features beside joblib over librosa.")
    parser.add_argument("--clips", type=Path, required=True, help="folder of recordings, or of a CSV and audio/")
    parser.add_argument("--workers", type=int, default=2, help="processes each way has")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=int, help="only the first so many clips")
    parser.add_argument("--agreement", action="store_true", help="compare the values with librosa's too")
    parser.add_argument("--check", action="store_true", help="exit 1 where a target is missed")
    arguments = parser.parse_args()

    table = index(arguments.clips, arguments.limit)
    ways = measure(table, arguments.workers, arguments.rounds)
    print_speed(ways, len(table), arguments.workers)
    differences = agreement(table) if arguments.agreement else []
    if differences:
        print_agreement(differences, len(table))
    complaints = missed(ways, differences)
    for complaint in complaints:
        print(f"target missed: {complaint}")
    return 1 if arguments.check and complaints else 0


if __name__ == "__main__":
    sys.exit(main())
