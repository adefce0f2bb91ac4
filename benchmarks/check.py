"""The check of a data set against a bare loop that decodes the same recordings: seconds, in one run.

The sets are tiny WAVs, made in a temporary folder, and whatever other source is given::

    python benchmarks/check.py --source ../shared/esc10/esc10.csv
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from arguments import positive
from table import print_table

from hubbub.audio.decode import load_audio
from hubbub.clips.table import ClipTable, resolve_uri
from hubbub.pipelines.check_clips import check_clips
from hubbub.pipelines.index import index

RATE, SECONDS = 8000, 0.25


def write_tiny(folder: Path, count: int) -> None:
    """Write WAVs of a quarter of a second, in two classes."""
    import numpy as np
    import soundfile

    random = np.random.default_rng(0)
    for number in range(count):
        path = folder / ("cat", "dog")[number % 2] / f"{number:06d}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, random.integers(-9000, 9000, round(SECONDS * RATE), dtype=np.int16), RATE)


def decode_all(table: ClipTable) -> None:
    """Decode every recording at its own rate, and do nothing with it."""
    for uri, rate in zip(table.rows["uri"].to_pylist(), table.rows["sample_rate"].to_pylist(), strict=True):
        load_audio(Path(resolve_uri(uri, table.root)), sample_rate=rate)


def measure(do: Callable[[], object]) -> float:
    """Return how long something takes, s."""
    started = time.perf_counter()
    do()
    return time.perf_counter() - started


def main() -> None:
    """Print the seconds of each set."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--source", action="append", default=[], metavar="SOURCE", help="what hubbub index reads")
    parser.add_argument("--tiny", type=positive, default=5000, metavar="N", help="tiny WAVs to make; default: 5000")
    parser.add_argument("--workers", type=positive, default=2, metavar="N", help="of the local cluster; default: 2")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_tiny(Path(folder), options.tiny)
        rows = []
        for name, source in (("tiny WAVs", folder), *((Path(source).name, source) for source in options.source)):
            table = index(source).table
            decode_all(table)  # so that all files are in memory
            ways: dict[str, Callable[[], object]] = {
                "bare loop": lambda table=table: decode_all(table),  # type: ignore[misc]
                "serial": lambda table=table: check_clips(table, cluster="serial"),  # type: ignore[misc]
                "local": lambda table=table: check_clips(table, workers=options.workers),  # type: ignore[misc]
            }
            seconds = [measure(do) for do in ways.values()]
            rows.append(
                [name, str(len(table)), *(f"{value:.2f} s" for value in seconds), f"{seconds[1] / seconds[0]:.2f}"]
            )
    local = f"check, {options.workers} workers with their start"
    print_table(
        "Check of a data set", ["set", "recordings", "bare decode loop", "check, serial", local, "serial / bare"], rows
    )


if __name__ == "__main__":
    main()
