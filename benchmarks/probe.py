"""Files a second whose headers are read: by threads of the driver, and by workers of a local cluster.

The files are tiny WAVs in a temporary folder::

    python benchmarks/probe.py --files 50000 --workers 2
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from arguments import positive
from table import print_table

from hubbub.clips.index import ProbeNotes, index_listing
from hubbub.clips.sources import Columns, list_source
from hubbub.clips.table_parts import TableParts
from hubbub.pipelines.json_log import JsonLog
from hubbub.pipelines.probe_clips import probe_listing
from hubbub.pipelines.run_folder import ClusterOptions, Run

FILES_A_FOLDER = 1000
TARGET_S = 60.0
"""Longest time for 50,000 files with two workers on two cores, the cluster's start included."""


def write_files(folder: Path, count: int) -> None:
    """Write copies of one WAV of 100 samples, a thousand a folder."""
    import io

    import numpy as np
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(100, np.int16), 8000, format="WAV")
    for first in range(0, count, FILES_A_FOLDER):
        label = folder / f"label-{first // FILES_A_FOLDER:03d}"
        label.mkdir()
        for number in range(first, min(count, first + FILES_A_FOLDER)):
            (label / f"{number:06d}.wav").write_bytes(buffer.getvalue())


def measure(do: Callable[[], object]) -> float:
    """Return how long something takes, s."""
    started = time.perf_counter()
    do()
    return time.perf_counter() - started


def main() -> int:
    """Print a table; return 1 where the target is missed and `--check` is given."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=positive, default=50_000, metavar="N", help="how many; default: 50000")
    parser.add_argument("--workers", type=positive, default=2, metavar="N", help="of the cluster; default: 2")
    parser.add_argument("--check", action="store_true", help="exit 1 where the target is missed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), options.files)
        listing = list_source(Path(folder), None, Columns())

        def on(cluster: ClusterOptions) -> None:
            parts = TableParts(listing.root)
            probe_listing(Run("index", cluster, JsonLog(None, "index")), listing, parts, notes=ProbeNotes())
            parts.make_table()

        ways: dict[str, Callable[[], object]] = {
            "threads in the driver": lambda: index_listing(listing),
            "serial": lambda: on(ClusterOptions("serial")),
            f"local cluster, {options.workers} workers": lambda: on(ClusterOptions("local", options.workers)),
        }
        seconds = {name: measure(do) for name, do in ways.items()}
    rows = [[name, f"{value:.1f} s", f"{options.files / value:,.0f}"] for name, value in seconds.items()]
    print_table(
        f"Headers of {options.files:,} tiny WAVs, the cluster's start included", ["by", "time", "files/s"], rows
    )
    slow = seconds[f"local cluster, {options.workers} workers"] > TARGET_S * max(1.0, options.files / 50_000)
    return int(options.check and slow)


if __name__ == "__main__":
    raise SystemExit(main())
