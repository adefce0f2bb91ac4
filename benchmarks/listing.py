"""Seconds and peak memory of `hubbub index` over a bucket's prefix, by the number of its objects.

Each row is a process of its own, and the server is one on this machine. Three ways: ``--dry-run`` lists the objects and
opens none; the whole command with headers that are made up, not read, shows the table's part; the whole command reads
every header by a range::

    python benchmarks/listing.py --objects 10000,100000,1000000 --headers 10000,100000 --check
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
MOST_TIMES = 1.4
"""Longest that the peak of the most objects may be against that of the fewest, the interpreter's own included."""
DRY_RUN, NO_HEADERS, HEADERS = "listed, --dry-run", "indexed, headers not read", "indexed, headers by range"


@dataclass(frozen=True)
class Measured:
    """What one process took."""

    way: str
    objects: int
    seconds: float
    peak_bytes: int


def index_here(way: str, objects: int) -> None:
    """Run the command in this process, and print what it took as JSON."""
    from hubbub.jobs.cli import main

    if way == NO_HEADERS:
        _make_headers_up()
    with tempfile.TemporaryDirectory() as folder:
        words = ["--dry-run"] if way == DRY_RUN else ["-o", str(Path(folder) / "clips.parquet")]
        sys.argv = ["hubbub", "index", name_bucket(objects), *words]
        started = time.perf_counter()
        try:
            main()
        except SystemExit as end:
            if end.code:
                raise
        seconds = time.perf_counter() - started
        print(json.dumps({"seconds": seconds, "peak_bytes": peak_bytes(os.getpid())}))


def _make_headers_up() -> None:
    from hubbub.audio.recorders import RecordingFacts
    from hubbub.clips import index

    header = {"duration_s": 0.0125, "sample_rate": 8000, "channels": 1}
    index._read_header = lambda source, clip, timezone: (clip | header, RecordingFacts())


def measure(server: str, way: str, objects: int) -> Measured:
    """Index a bucket in a process of its own."""
    environment = {"AWS_ENDPOINT_URL": server, "AWS_ACCESS_KEY_ID": "some", "AWS_SECRET_ACCESS_KEY": "other"}
    command = [sys.executable, __file__, "--one", way, "--objects", str(objects)]
    done = subprocess.run(command, env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=True)
    found = Measured(way, objects, **json.loads(done.stdout.splitlines()[-1]))
    print(f"{way}: {objects:,} objects, {found.seconds:.1f} s, {found.peak_bytes / MB:.0f} MB", flush=True)
    return found


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


def grow_too_much(found: Sequence[Measured]) -> bool:
    """Whether memory grows with the number of objects, in any way."""
    for way in {one.way for one in found}:
        peaks = [one.peak_bytes for one in sorted(found, key=lambda one: one.objects) if one.way == way]
        if peaks[-1] > MOST_TIMES * peaks[0]:
            return True
    return False


def main() -> int:
    """Print a table; return 1 where memory grows too much and `--check` is given."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--objects", type=counts, default="10000,100000,1000000", metavar="N,…", help="unread")
    parser.add_argument("--headers", type=counts, default="10000", metavar="N,…", help="objects whose headers are read")
    parser.add_argument("--check", action="store_true", help="exit 1 where memory grows too much")
    parser.add_argument("--one", metavar="WAY", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        index_here(options.one, *options.objects)
        return 0
    with serve() as server:
        found = [measure(server, way, count) for way in (DRY_RUN, NO_HEADERS) for count in options.objects]
        found += [measure(server, HEADERS, count) for count in options.headers]
    print_measured(found)
    return int(options.check and grow_too_much(found))


if __name__ == "__main__":
    raise SystemExit(main())
