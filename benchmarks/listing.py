"""Seconds and peak memory of `hubbub index` over a bucket's prefix, by the number of its objects.

Each row is a process of its own. A dry run lists the objects and opens none; the other way reads every header by a
range, from a server on this machine::

    python benchmarks/listing.py --objects 10000,100000,1000000 --headers 10000,100000
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
from dataclasses import dataclass
from pathlib import Path

from arguments import positive
from endless_bucket import name_bucket, serve
from high_water import peak_bytes
from table import print_table

MB = 1e6


@dataclass(frozen=True)
class Measured:
    """What one process took."""

    way: str
    objects: int
    seconds: float
    peak_bytes: int


def index_here(objects: int, *words: str) -> None:
    """Run the command in this process, and print what it took as JSON."""
    from hubbub.jobs.cli import main

    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "clips.parquet"
        sys.argv = ["hubbub", "index", name_bucket(objects), "-o", str(output), *words]
        started = time.perf_counter()
        try:
            main()
        except SystemExit as end:
            if end.code:
                raise
        seconds = time.perf_counter() - started
        print(json.dumps({"seconds": seconds, "peak_bytes": peak_bytes(os.getpid())}))


def measure(server: str, way: str, objects: int, *words: str) -> Measured:
    """Index a bucket in a process of its own."""
    environment = {"AWS_ENDPOINT_URL": server, "AWS_ACCESS_KEY_ID": "some", "AWS_SECRET_ACCESS_KEY": "other"}
    command = [sys.executable, __file__, "--one", str(objects), *words]
    done = subprocess.run(command, env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=True)
    return Measured(way, objects, **json.loads(done.stdout.splitlines()[-1]))


def counts(text: str) -> list[int]:
    """Read whole numbers between commas."""
    return [positive(one) for one in text.split(",")]


def print_measured(found: Sequence[Measured]) -> None:
    """Print a row a process."""
    rows = [
        [one.way, f"{one.objects:,}", f"{one.seconds:.1f}", f"{one.objects / one.seconds:,.0f}"]
        + [f"{one.peak_bytes / MB:.0f}"]
        for one in found
    ]
    print_table("Objects of a bucket indexed", ["way", "objects", "seconds", "objects/s", "peak MB"], rows)


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--objects", type=counts, default="10000,100000,1000000", metavar="N,…", help="of dry runs")
    parser.add_argument("--headers", type=counts, default="10000", metavar="N,…", help="whose headers are read")
    parser.add_argument("--one", type=positive, help=argparse.SUPPRESS)
    options, words = parser.parse_known_args()
    if options.one is not None:
        index_here(options.one, *words)
        return 0
    with serve() as server:
        found = [measure(server, "listed, --dry-run", count, "--dry-run") for count in options.objects]
        found += [measure(server, "indexed, headers by range", count) for count in options.headers]
    print_measured(found)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
