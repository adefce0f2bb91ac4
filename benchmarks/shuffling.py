"""How well the loader mixes a store that is sorted by class, beside one that was shuffled when it was written.

    python benchmarks/shuffling.py [--rows N,N]

Rows of 8 x 8 float16 in shards of 4,096 (512 in small stores) and chunks of 32 hold ten classes, one after the other
or dealt by chance. The figure is the mean total variation distance between the classes of a batch of 128 and those of
all rows (`hubbub.learn.mixture`), beside that of a random permutation. Each case is a process of its own, of NumPy
alone, which also tells its rows a second and the most memory that it had, libraries and all (some 130 MB). Rows as
small as these cost mostly what it costs to plan, and to read a chunk.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from arguments import positive
from high_water import peak_bytes
from synthetic_store import write_noise
from table import print_table

N_CLASSES, BATCH_ROWS, CHUNK_ROWS, ROW_BYTES = 10, 128, 32, 8 * 8 * 2

BUDGETS = {"all rows": 1, "a tenth": 10}
"""What may be in memory, and the part of the store's bytes that it is."""


def write_store(folder: Path, n_rows: int) -> None:
    """Write shards of noise; the loader needs no row parts."""
    from hubbub.config import Layout, LogMelSettings, Settings, Windows

    settings = Settings(
        frontend=LogMelSettings(sample_rate=8000, n_fft=256, hop_samples=250, n_mels=8),
        windows=Windows(duration_s=0.21875),
        layout=Layout(rows_per_shard=4096 if n_rows > 100_000 else 512, rows_per_chunk=CHUNK_ROWS),
    )
    write_noise(folder, n_rows, settings)


def classes_of(n_rows: int, is_sorted: bool) -> np.ndarray:
    """The class of each row, int64 [row]."""
    classes = np.arange(n_rows) * N_CLASSES // n_rows
    return classes if is_sorted else np.random.default_rng(1).permutation(classes)


def measure(folder: Path, n_rows: int, part: int, is_sorted: bool) -> dict[str, float]:
    """Go through one epoch in this process."""
    from hubbub.learn.dataset import Pass
    from hubbub.learn.mixture import ideal_mixture_distance, mixture_distance
    from hubbub.store.opening import open_store

    store, classes = open_store(folder), classes_of(n_rows, is_sorted)
    store.read_rows([0])  # its libraries are imported
    one = Pass(store, np.arange(n_rows), classes, BATCH_ROWS, seed=1, memory_bytes=_stretches_bytes(n_rows) // part)
    began, served = time.perf_counter(), []
    for batch in one.batches():
        served.append(batch.targets)
    seconds, peak = time.perf_counter() - began, peak_bytes(os.getpid())
    found = mixture_distance(np.concatenate(served), BATCH_ROWS)
    ideal = ideal_mixture_distance(classes, BATCH_ROWS)
    return {"found": found, "ideal": ideal, "rows_a_second": n_rows / seconds, "peak_bytes": peak}


def _stretches_bytes(n_rows: int) -> int:
    """Bytes of all rows, in whole chunks."""
    return -(-n_rows // CHUNK_ROWS) * CHUNK_ROWS * ROW_BYTES


def print_mixtures(row_counts: Sequence[int]) -> None:
    """Measure each case in a process of its own, and print the table."""
    lines = []
    for n_rows in row_counts:
        with tempfile.TemporaryDirectory(prefix="hubbub-shuffling-") as scratch:
            folder = Path(scratch) / "store"
            write_store(folder, n_rows)
            for is_sorted in (True, False):
                for name, part in BUDGETS.items():
                    case = {"folder": str(folder), "n_rows": n_rows, "part": part, "is_sorted": is_sorted}
                    lines.append(_line(case, name, _measure_apart(case)))
    if not lines:
        return
    header = ("store", "in memory", "distance", "ideal", "rows/s", "peak MB")
    print_table(f"Classes of batches of {BATCH_ROWS} against those of the set; rows of 8 x 8", header, lines)


def _line(case: dict[str, Any], budget: str, found: dict[str, float]) -> tuple[str, ...]:
    order = "sorted by class" if case["is_sorted"] else "shuffled"
    budget_mb = _stretches_bytes(case["n_rows"]) / case["part"] / 1e6
    return (
        f"{case['n_rows']:,} rows, {order}",
        f"{budget}, {budget_mb:.2f} MB",
        f"{found['found']:.3f}",
        f"{found['ideal']:.3f}",
        f"{found['rows_a_second']:,.0f}",
        f"{found['peak_bytes'] / 1e6:.0f}",
    )


def _measure_apart(case: dict[str, Any]) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", json.dumps(case)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="How well the loader mixes a store that is sorted by class.")
    parser.add_argument("--rows", type=sizes, default=[4096, 1_000_000], help="sizes of the stores, with commas")
    parser.add_argument("--measure", type=json.loads, help=argparse.SUPPRESS)
    return parser.parse_args()


def sizes(text: str) -> list[int]:
    """Read whole numbers with commas between them; 0 is none."""
    return [] if text == "0" else [positive(part) for part in text.split(",")]


def main() -> None:
    """Run the command."""
    arguments = parse()
    if arguments.measure:
        case = arguments.measure
        print(json.dumps(measure(Path(case["folder"]), case["n_rows"], case["part"], case["is_sorted"])))
    else:
        print_mixtures(arguments.rows)


if __name__ == "__main__":
    main()
