"""How fast training rows come out of a feature store, beside the other ways of feeding a network.

    python benchmarks/loader.py [--rows N] [--rounds N] [--check]

Recordings of the repository, moved in time and level, make 4,096 rows (216 x 128, float16 log-mel) in a store that
hubbub's own code writes, in TFRecord, HDF5 and a memory map. Every way gives shuffled float32 batches of 128 rows. All
files are in the page cache; each way goes through all rows once before anything is timed. Then the ways take turns, so
that a machine that wobbles wobbles for all: the table holds medians over the rounds, and of the ratios within a round.

Then, for hubbub's loader: how much longer an epoch of steps of 20 ms takes than over a batch that lies ready, how long
a single row takes to read, and whether an epoch that was broken off goes on with exactly the batches that were left;
last, how well it mixes a store that is sorted by class (`shuffling.py`).
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import loader_ways
import numpy as np
from arguments import positive
from loader_ways import BATCH_ROWS, WAYS, Files, batches_of, pass_of
from shuffling import print_mixtures, sizes
from table import print_table
from targets import Verdict, print_verdicts

ROOT = Path(__file__).resolve().parents[1]

TIMES_TFRECORD = 1.25
"""At least so many times the rows a second of TFRecord decoded a batch at a time, in the same round."""

STEP_S, WAITING_SHARE = 0.020, 0.03
"""A training step, and the share of the time that a consumer with such steps may wait for data."""

ROW_MS = 5.0
"""A single row is read in less, at the median."""


@dataclass
class Times:
    """What one way took, a number a round."""

    seconds: list[float] = field(default_factory=list)
    processor_s: list[float] = field(default_factory=list)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="hubbub's loader beside other ways of feeding a network.")
    parser.add_argument("--rows", type=positive, default=4096)
    parser.add_argument("--rounds", type=positive, default=9)
    parser.add_argument("--clips", type=Path, default=ROOT / "tests" / "data" / "esc10-mini", help="recordings")
    parser.add_argument("--ways", default=",".join(WAYS), help=",".join(WAYS))
    parser.add_argument(
        "--mixtures",
        type=sizes,
        default=[4096, 1_000_000],
        metavar="N,N",
        help="rows of stores to mix; 0: none",
    )
    parser.add_argument("--check", action="store_true", help="exit 1 where a target is missed")
    arguments = parser.parse_args()
    arguments.ways = arguments.ways.split(",")
    if unknown := [name for name in arguments.ways if name not in WAYS]:
        parser.error(f"unknown: {', '.join(unknown)}; choose from {','.join(WAYS)}")
    return arguments


def measure(files: Files, names: Sequence[str], rounds: int) -> dict[str, Times]:
    """Let the ways take turns; a first round is not counted."""
    ways = {name: WAYS[name][1](files) for name in names}
    times = {name: Times() for name in names}
    for turn in range(rounds + 1):
        for name, make in ways.items():
            gc.collect()
            began, processor_s = time.perf_counter(), time.process_time()
            served = sum(int(batch.shape[0]) for batch in batches_of(make(turn)))
            took, worked = time.perf_counter() - began, time.process_time() - processor_s
            if served != files.n_rows:
                raise SystemExit(f"{name} served {served} rows, not {files.n_rows}")
            if turn:
                times[name].seconds.append(took)
                times[name].processor_s.append(worked)
    return times


def times_as_fast(times: dict[str, Times], name: str, beside: str) -> float:
    """Median over the rounds of how many times the rows a second of another way."""
    return float(np.median(np.divide(times[beside].seconds, times[name].seconds)))


def waiting(files: Files, step_s: float, rounds: int = 5) -> tuple[float, float]:
    """An epoch of a consumer whose steps take `step_s`, beside one over a batch that lies ready.

    Asking `tf.data` for a batch after a pause costs some 0.5 ms whatever it gives; that is in both.

    Returns
    -------
    first_s
        Until the first batch is there, median of the rounds.
    share
        By how much the epoch takes longer from then on, as a share of the steps' own time; median of the rounds.
    """
    import tensorflow as tf

    make = WAYS["hubbub"][1](files)
    for batch in make(0):
        ready = batch
    at_hand = tf.data.Dataset.from_tensors(ready).cache().repeat(-(-files.n_rows // BATCH_ROWS)).prefetch(2)
    firsts, shares = [], []
    for turn in range(rounds):
        first_s, asked_s, steps = _consumed(make(1 + turn), step_s)
        _, ready_s, _ = _consumed(at_hand, step_s)
        firsts.append(first_s)
        shares.append((asked_s - ready_s) / (max(1, steps) * step_s))
    return statistics.median(firsts), statistics.median(shares)


def _consumed(batches: Iterable[Any], step_s: float) -> tuple[float, float, int]:
    """Seconds until the first batch, seconds spent asking for the others, and how many those were."""
    began = time.perf_counter()
    source = iter(batches)
    next(source)
    first_s, asked_s, steps = time.perf_counter() - began, 0.0, 0
    while True:
        time.sleep(step_s)
        began = time.perf_counter()
        if next(source, None) is None:
            return first_s, asked_s, steps
        asked_s, steps = asked_s + time.perf_counter() - began, steps + 1


def single_row_ms(files: Files, reads: int = 200) -> float:
    """Median of reading one row anywhere in the store, milliseconds."""
    took = []
    for row in np.random.default_rng(0).integers(files.n_rows, size=reads):
        began = time.perf_counter()
        files.store.read_rows([int(row)])
        took.append(time.perf_counter() - began)
    return 1000 * float(np.median(took))


def goes_on(files: Files) -> bool:
    """Whether every position of an epoch, written down and restored, gives exactly the batches that were left."""
    from hubbub.learn.order import Position
    from hubbub.learn.tf_data import as_tf_data

    whole = [np.asarray(rows) for _, rows in as_tf_data(pass_of(files, 3))]
    for batch in {0, 1, len(whole) // 2, len(whole) - 1}:
        said = Position.from_json(pass_of(files, 3).position(batch).to_json())
        again = pass_of(files, said.epoch)
        left = [np.asarray(rows) for _, rows in as_tf_data(again, first_batch=again.first_batch(said))]
        if len(left) != len(whole) - batch or not all(map(np.array_equal, left, whole[batch:])):
            return False
    return True


def report(files: Files, times: dict[str, Times]) -> None:
    """Print the table of ways."""
    rows = []
    for name, held in times.items():
        ratio = times_as_fast(times, name, "tfrecord-batch") if "tfrecord-batch" in times else float("nan")
        seconds, processor_s = np.median(held.seconds), np.median(held.processor_s)
        a_second = [f"{files.n_rows / seconds:,.0f}", f"{files.n_rows / min(held.seconds):,.0f}"]
        rows.append((WAYS[name][0], *a_second, f"{ratio:.2f}", f"{1e6 * processor_s / files.n_rows:.0f}"))
    frames, bands = files.shape
    title = f"{files.n_rows} rows of {frames} x {bands} float16 to shuffled float32 batches of {BATCH_ROWS}"
    title += f"; the store is {compression(files):.2f} times smaller than its values; {os.cpu_count()} cores"
    header = ("", "rows/s", "best round", "x TFRecord by batch", "processor us/row")
    print_table(title, header, rows)


def compression(files: Files) -> float:
    """Bytes of the values, as many as rows, over bytes of the store's arrays."""
    held = sum(path.stat().st_size for path in (files.store.path / "features.zarr").rglob("*") if path.is_file())
    return files.n_rows * files.shape[0] * files.shape[1] * 2 / held


def judge(files: Files, times: dict[str, Times]) -> list[Verdict]:
    """Hold what is measured against the targets."""
    judged = []
    if {"hubbub", "tfrecord-batch"} <= times.keys():
        found = times_as_fast(times, "hubbub", "tfrecord-batch")
        what = "rows a second, times TFRecord decoded a batch at a time"
        judged.append(Verdict(what, f">= {TIMES_TFRECORD:.2f}", f"{found:.2f}", found >= TIMES_TFRECORD))
    first_s, share = waiting(files, STEP_S)
    what = f"waiting, where a step takes 20 ms (its first batch comes after {1000 * first_s:.0f} ms)"
    judged.append(Verdict(what, f"< {WAITING_SHARE:.0%}", f"{share:.1%}", share < WAITING_SHARE))
    row_ms = single_row_ms(files)
    judged.append(Verdict("a single row anywhere, ms", f"< {ROW_MS:g}", f"{row_ms:.1f}", row_ms < ROW_MS))
    right = goes_on(files)
    judged.append(Verdict("an epoch broken off goes on", "same batches", "same" if right else "OTHERS", right))
    return judged


def main() -> int:
    """Run the command."""
    arguments = parse()
    with tempfile.TemporaryDirectory(prefix="hubbub-benchmark-") as scratch:
        files = loader_ways.write_all(Path(scratch), loader_ways.compute_features(arguments.clips), arguments.rows)
        times = measure(files, arguments.ways, arguments.rounds)
        report(files, times)
        judged = judge(files, times)
    print_verdicts(judged)
    print_mixtures(arguments.mixtures)
    return 1 if arguments.check and not all(item.met for item in judged) else 0


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.exit(main())
