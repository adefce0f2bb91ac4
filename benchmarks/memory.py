"""The peak memory of hubbub's workers on long recordings, as the kernel counted it (Linux)."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from high_water import peak_bytes
from recordings import index, write_long
from table import print_table
from ways import store_with_hubbub

from hubbub.config import Settings, Windows

LENGTHS_S = (30 * 60, 6 * 3600)
SMALL_LENGTHS_S = (15, 180)
"""The shorter and the longer recording, and the same pair for a first try."""

MB = 1e6


@dataclass(frozen=True)
class Peak:
    """What one recording took.

    Attributes
    ----------
    duration_s
        Its length.
    start_bytes
        The most memory that a worker process had when it had only started.
    peak_bytes
        The most that a worker process had when all was done.
    seconds
        From the plan to the last shard.
    """

    duration_s: int
    start_bytes: int
    peak_bytes: int
    seconds: float

    @property
    def length(self) -> str:
        """The recording's length in words."""
        return length_in_words(self.duration_s)


def length_in_words(duration_s: int) -> str:
    """Say a length as a person does: 6-hour, 30-minute, 15-second."""
    for unit, seconds in ("hour", 3600), ("minute", 60):
        if duration_s >= seconds:
            return f"{duration_s / seconds:g}-{unit}"
    return f"{duration_s:g}-second"


def measure(lengths_s: Sequence[int], workers: int) -> list[Peak]:
    """Go through one long recording after the other, each with new workers, and print the table."""
    if not Path("/proc/self/status").exists():
        print("memory is left out: only Linux counts the peak of each process, in /proc")
        return []
    peaks = [_measure(duration_s, workers) for duration_s in lengths_s]
    _print(peaks, workers)
    return peaks


def _measure(duration_s: int, workers: int) -> Peak:
    with tempfile.TemporaryDirectory(prefix="hubbub-benchmark-") as scratch:
        folder = Path(scratch) / "long"
        folder.mkdir()
        started = time.perf_counter()
        recording = folder / "recording.flac"
        write_long(recording, duration_s)
        took_s, size_mb = time.perf_counter() - started, recording.stat().st_size / MB
        print(f"wrote a {length_in_words(duration_s)} FLAC of {size_mb:.0f} MB in {took_s:.1f} s", flush=True)
        return _extract(folder, duration_s, workers)


def _extract(folder: Path, duration_s: int, workers: int) -> Peak:
    from hubbub.engine.cluster import open_engine

    table = index(folder)
    others = set(_children())
    with open_engine("local", workers) as engine:
        processes = set(_children()) - others
        start_bytes = max(map(peak_bytes, processes))
        started = time.perf_counter()
        done = store_with_hubbub(table, engine, folder.parent / "store", Settings(windows=Windows(mode="all")))
        seconds = time.perf_counter() - started
        if done != len(table) or set(_children()) - others != processes:
            raise SystemExit(f"the {length_in_words(duration_s)} recording was not done, or a worker died on it")
        return Peak(duration_s, start_bytes, max(map(peak_bytes, processes)), seconds)


def _children() -> list[int]:
    """Ids of the processes that this one started, and that those did."""
    import psutil  # type: ignore[import-untyped]

    return [process.pid for process in psutil.Process().children(recursive=True)]


def _print(peaks: Sequence[Peak], workers: int) -> None:
    rows = [
        (
            peak.length,
            f"{peak.peak_bytes / MB:.0f}",
            f"{peak.peak_bytes / peaks[0].peak_bytes:.2f}",
            f"{peak.start_bytes / MB:.0f}",
            f"{peak.seconds:.1f}",
            f"{peak.duration_s / 60 / peak.seconds:.1f}",
        )
        for peak in peaks
    ]
    title = f"Memory: one 48 kHz stereo FLAC, windows.mode=all, {workers} workers; the peak of the larger worker"
    header = ("recording", "peak MB", "x the shorter", "at the start MB", "seconds", "hours of audio a minute")
    print_table(title, header, rows)
