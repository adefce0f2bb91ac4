"""How long a search by example takes over a million embeddings of 1,024 values, and how much memory.

    python benchmarks/search.py [--rows N] [--dimension N] [--dtype float16] [--rounds N] [--check] [--keep FOLDER]

Writes a store of noise with its row parts, 2 GB of float16, and the same values as one plain file. Then each way
searches for the 50 nearest rows of a row, in a process of its own, which tells the seconds it took once its libraries
were imported, and the most memory that it or a worker of its had. The ways take turns, and a first round is not
counted: all files are in memory then. `numpy` reads the plain file block by block into a matrix product, and opens no
row parts: what a notebook does. All ways have to find the same rows.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from arguments import positive
from high_water import peak_bytes

MB = 1e6
TOP, LIKE, PER_SHARD = 50, 123, 1_024
SECONDS, PROCESSOR_S, PEAK_MB = 10.0, 8.0, 1_000.0
"""A search of the default way takes less, of a million rows of 1,024 values; by the clock, of the processor, and of
memory."""


@dataclass(frozen=True)
class Found:
    """What one search took, and what it found.

    Attributes
    ----------
    seconds
        By the clock, libraries imported.
    processor_s
        Of all threads of the process together; its workers' are not counted.
    compare_s
        Of the seconds by the clock, comparing rows.
    peak_bytes
        The most memory that the process, or one of its workers, ever had.
    rows
        Numbers of the nearest rows.
    """

    seconds: float
    processor_s: float
    compare_s: float
    peak_bytes: int
    rows: list[int]


def write_store(folder: Path, rows: int, dimension: int, dtype: str) -> None:
    """Write a store of noise, with its row parts, and the same values as a plain file."""
    import numpy as np
    from scale import write_parts
    from synthetic_clips import make_clips

    from hubbub.config import parse_settings
    from hubbub.io.atomic import write_bytes
    from hubbub.store import arrays
    from hubbub.store.opening import create_store

    frontend = {"name": "embedding", "model": "noise", "model_hash": "0" * 16, "dimension": dimension}
    layout = {"rows_per_shard": PER_SHARD, "rows_per_chunk": 256}
    settings = {"frontend": frontend, "windows": {"mode": "all"}, "dtype": dtype, "layout": layout}
    store = create_store(folder / "store", parse_settings(settings, where="search.py"), source="made", root=folder)
    store.grow(-(-rows // PER_SHARD), clips=rows)
    document = (store.array_path / arrays.DOCUMENT).read_bytes()
    with open(folder / "plain", "wb") as plain:
        for shard, first in enumerate(range(0, rows, PER_SHARD)):
            values = np.full((PER_SHARD, dimension), np.nan, dtype)
            used = min(PER_SHARD, rows - first)
            values[:used] = np.random.default_rng(shard).normal(size=(used, dimension))
            plain.write(values[:used].tobytes())
            write_bytes(store.shard_path(shard), arrays.encode_shard(document, values))
    write_parts(store, make_clips(rows), PER_SHARD)


def search_here(folder: Path, cluster: dict[str, object]) -> tuple[float, list[int]]:
    """Search the store; return the seconds of comparing, and the rows that were found."""
    from hubbub.pipelines.search import search

    found = search(folder / "store", LIKE, top=TOP, with_example=True, **cluster)  # type: ignore[arg-type]
    names = [uri.rpartition("/")[2] for uri in found.clips.rows["uri"].to_pylist()]
    return found.compare_s, [int(name.removesuffix(".wav")) for name in names]


def search_with_numpy(folder: Path) -> tuple[float, list[int]]:
    """Read the plain file block by block, and keep the cosines of all rows."""
    import numpy as np

    from hubbub.store.opening import open_store

    started = time.perf_counter()
    settings = open_store(folder / "store").settings
    values = np.memmap(folder / "plain", settings.dtype, "r").reshape(-1, settings.frontend.n_bands)
    query = values[LIKE].astype(np.float32)
    cosine = np.empty(len(values), np.float32)
    for first in range(0, len(values), 8_192):
        block = values[first : first + 8_192].astype(np.float32)
        cosine[first : first + 8_192] = block @ query / np.linalg.norm(block, axis=1)
    nearest = np.lexsort((np.arange(len(cosine)), -cosine))[:TOP]
    return time.perf_counter() - started, nearest.tolist()


WAYS: dict[str, tuple[str, Callable[[Path], tuple[float, list[int]]]]] = {
    "default": ("hubbub search", lambda folder: search_here(folder, {})),
    "serial": ("… --cluster serial", lambda folder: search_here(folder, {"cluster": "serial"})),
    "local": ("… --cluster local --workers 2", lambda folder: search_here(folder, {"cluster": "local", "workers": 2})),
    "numpy": ("NumPy over a plain file", search_with_numpy),
}
"""Key -> row of the table, and what searches."""


def measure(key: str, folder: Path) -> Found:
    """Search in this process."""
    import hubbub.pipelines.search  # noqa: F401  # imported before the clock starts

    started, busy = time.perf_counter(), time.process_time()
    peaks: list[int] = []
    with _watch_workers(peaks):
        compare_s, rows = WAYS[key][1](folder)
    seconds, processor_s = time.perf_counter() - started, time.process_time() - busy
    return Found(seconds, processor_s, compare_s, max([peak_bytes(os.getpid()), *peaks]), rows)


@contextlib.contextmanager
def _watch_workers(peaks: list[int]) -> Iterator[None]:
    """Add the peaks of the processes that this one has begun, just before they end."""
    from threading import Event, Thread

    import psutil  # type: ignore[import-untyped]

    done, highest = Event(), dict[int, int]()

    def watch() -> None:
        while not done.wait(0.1):
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(OSError, ValueError):
                    highest[child.pid] = peak_bytes(child.pid)

    thread = Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        peaks += highest.values()


def measure_in_own_process(key: str, folder: Path) -> Found:
    """Search in a process of its own, whose memory nothing else has touched."""
    command = [sys.executable, __file__, "--measure", key, "--keep", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Found(**json.loads(done.stdout.splitlines()[-1]))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Search by example over a million embeddings.")
    parser.add_argument("--rows", type=positive, default=1_000_000)
    parser.add_argument("--dimension", type=positive, default=1024)
    parser.add_argument("--dtype", choices=["float16", "float32"], default="float16")
    parser.add_argument("--rounds", type=positive, default=3)
    parser.add_argument("--ways", default=",".join(WAYS), help=",".join(WAYS))
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="make the store there, or take the one that is")
    parser.add_argument("--check", action="store_true", help="exit 1 where a target is missed")
    parser.add_argument("--measure", choices=list(WAYS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.ways = arguments.ways.split(",")
    if unknown := [name for name in arguments.ways if name not in WAYS]:
        parser.error(f"unknown: {', '.join(unknown)}; choose from {','.join(WAYS)}")
    return arguments


def main() -> int:
    """Run the command."""
    arguments = parse()
    if arguments.measure:
        print(json.dumps(asdict(measure(arguments.measure, arguments.keep))))
        return 0
    with _folder(arguments.keep) as folder:
        if not (folder / "store").exists():
            write_store(folder, arguments.rows, arguments.dimension, arguments.dtype)
        found: dict[str, list[Found]] = {key: [] for key in arguments.ways}
        for turn in range(arguments.rounds + 1):
            for key in arguments.ways:
                one = measure_in_own_process(key, folder)
                if turn:
                    found[key].append(one)
    return 1 if not _shown(found, arguments) and arguments.check else 0


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="hubbub-search-") as folder:
        yield Path(folder)


def _shown(found: dict[str, list[Found]], arguments: argparse.Namespace) -> bool:
    """Print the tables; whether all targets are met."""
    from table import print_table
    from targets import Verdict, print_verdicts

    lines = [
        (
            WAYS[key][0],
            f"{statistics.median(one.seconds for one in rounds):.2f}",
            f"{statistics.median(one.compare_s for one in rounds):.2f}",
            f"{statistics.median(one.processor_s for one in rounds):.2f}" if key != "local" else "–",
            f"{max(one.peak_bytes for one in rounds) / MB:.0f}",
        )
        for key, rounds in found.items()
    ]
    title = (
        f"The {TOP} nearest of {arguments.rows:,} rows of {arguments.dimension:,} {arguments.dtype}; medians of "
        f"{arguments.rounds}, libraries imported"
    )
    print_table(title, ("", "seconds", "of these comparing", "processor s", "peak MB of a process"), lines)
    nearest = [one.rows for rounds in found.values() for one in rounds]
    agree = all(rows == nearest[0] for rows in nearest)
    judged = [Verdict("all ways and rounds find", "the same rows", "the same" if agree else "others", agree)]
    if "default" in found:
        seconds = statistics.median(one.seconds for one in found["default"])
        peak_mb = max(one.peak_bytes for one in found["default"]) / MB
        busy = statistics.median(one.processor_s for one in found["default"])
        judged.append(Verdict("hubbub search: seconds", f"< {SECONDS:g}", f"{seconds:.2f}", seconds < SECONDS))
        judged.append(Verdict("hubbub search: processor s", f"< {PROCESSOR_S:g}", f"{busy:.2f}", busy < PROCESSOR_S))
        judged.append(Verdict("hubbub search: peak MB", f"< {PEAK_MB:g}", f"{peak_mb:.0f}", peak_mb < PEAK_MB))
    print_verdicts(judged)
    return all(verdict.met for verdict in judged)


if __name__ == "__main__":
    sys.exit(main())
