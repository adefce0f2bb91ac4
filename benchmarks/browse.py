"""How long the page takes over 1,000,000 events of 10,000 hours: to open, and to answer each filter; and its memory.

    python benchmarks/browse.py [--hours N] [--events N] [--classes N] [--rounds N] [--check] [--keep FOLDER]

Writes label tables of one-hour recordings, 10,000 parts each of files, windows and events, and starts `hubbub browse`
on them as a user does. Opening is told twice: the first time all parts are read, and a copy is kept in the tables'
folder; any later time begins with that copy. In both, from the start of the command to its address, from there to the
page's first answer, and until everything is in it. Then each filter is asked several times over HTTP, as the page asks.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx
from arguments import positive
from high_water import peak_bytes
from synthetic_labels import write_labels
from table import print_table

OPEN_S, FILTER_MS, PEAK_MB = 2.0, 300.0, 1000.0
"""Of the second opening, from the command's start until all is read; of each filter's median; of memory."""

HUBBUB = Path(sys.executable).with_name("hubbub")

FILTERS = {
    "none": {},
    "one class": {"labels": ["class 001"]},
    "three classes": {"labels": ["class 000", "class 001", "class 004"]},
    "scores from 0.8": {"least": 0.8},
    "hours 5 to 9": {"hours": [5, 6, 7, 8, 9]},
    "a month": {"from_day": "2025-02-01", "to_day": "2025-02-28"},
    "one city": {"columns": {"city": ["Rīga"]}},
    "one site, one class": {"columns": {"site": ["site-07"]}, "labels": ["class 002"]},
    "without a verdict": {"reviewed": False},
    "all of these": {
        "labels": ["class 001"],
        "least": 0.7,
        "hours": [5, 6, 7],
        "from_day": "2025-02-01",
        "to_day": "2025-05-31",
        "columns": {"city": ["Rīga"]},
        "reviewed": False,
    },
}


class Page:
    """A running `hubbub browse`, asked as the page asks."""

    def __init__(self, process: subprocess.Popen[str], started: float) -> None:
        self.process, self.started = process, started
        assert process.stdout is not None
        line = process.stdout.readline()
        self.address_s = time.perf_counter() - started
        address = line.split()[-1]
        base = address.partition("/?")[0]
        self._client = httpx.Client(base_url=base, timeout=600, follow_redirects=True)
        self._client.get(address).raise_for_status()
        self.ask("/api/tables")
        self.answer_s = time.perf_counter() - started

    def ask(self, path: str) -> object:
        """Ask for JSON."""
        return self._client.get(path).raise_for_status().json()

    def wait_until_read(self) -> float:
        """Return the seconds from the start until all parts are in the page, and its first sums are answered."""
        while True:
            (told,) = self.ask("/api/tables")
            if told["units"] and told["units_read"] >= told["units"]:
                break
            time.sleep(0.02)
        self.ask("/api/0/describe")
        self.ask("/api/0/summary?column=city")
        return time.perf_counter() - self.started

    def measure(self, path: str, rounds: int) -> list[float]:
        """Return the milliseconds of each of so many requests."""
        taken = []
        for _ in range(rounds):
            before = time.perf_counter()
            self.ask(path)
            taken.append(1000 * (time.perf_counter() - before))
        return taken


@contextmanager
def open_page(folder: Path) -> Iterator[Page]:
    """Run the command on label tables."""
    started = time.perf_counter()
    command = [str(HUBBUB), "browse", str(folder), "--no-browser", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=None)
    try:
        yield Page(process, started)
    finally:
        process.terminate()
        process.wait(timeout=20)


def main() -> int:
    """Print the tables; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--hours", type=positive, default=10_000, metavar="N")
    parser.add_argument("--events", type=positive, default=1_000_000, metavar="N")
    parser.add_argument("--classes", type=positive, default=10, metavar="N")
    parser.add_argument("--rounds", type=positive, default=9, metavar="N", help="of each filter")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="write the tables there, or take those there")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a target is missed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary) / "labels"
        if not (folder / "run.json").exists():
            write_labels(folder, hours=options.hours, events=options.events, labels=options.classes)
        opened, rows, peak = measure_all(folder, options.rounds)
    size = f"{options.events:,} events, {options.hours:,} hours, {options.classes} classes"
    print_table(f"Opening: {size}", ["", "address", "first answer", "all read and summed"], opened)
    print_table(
        "Answers, ms", ["what is asked", "median", "longest"], [[n, f"{m:.0f}", f"{w:.0f}"] for n, m, w in rows]
    )
    print(f"memory at most: {peak / 1e6:.0f} MB")
    reopened_s = float(opened[-1][-1].split()[0])
    worst = max(median for name, median, _ in rows if name.startswith("filter"))
    is_met = {
        f"opened again in {OPEN_S:g} s ({reopened_s:.2f})": reopened_s < OPEN_S,
        f"each filter in {FILTER_MS:g} ms at the median ({worst:.0f})": worst < FILTER_MS,
        f"memory below {PEAK_MB:g} MB ({peak / 1e6:.0f})": peak / 1e6 < PEAK_MB,
    }
    for target, met in is_met.items():
        print(f"{'met' if met else 'MISSED'}: {target}")
    return int(options.check and not all(is_met.values()))


def measure_all(folder: Path, rounds: int) -> tuple[list[list[str]], list[tuple[str, float, float]], int]:
    """Open the page, twice, and ask it."""
    opened, rows, peak = [], [], 0
    for name in ("first time", "again"):
        with open_page(folder) as page:
            whole_s = page.wait_until_read()
            opened.append([name, *(f"{seconds:.2f} s" for seconds in (page.address_s, page.answer_s, whole_s))])
            if name == "again":
                for what, path in list_questions().items():
                    taken = page.measure(path, rounds)
                    rows.append((what, statistics.median(taken), max(taken)))
            else:
                time.sleep(3)  # the copy is written after the page has answered
            peak = max(peak, peak_bytes(page.process.pid))
    return opened, rows, peak


def list_questions() -> dict[str, str]:
    """What is asked: each filter's sums as the overview has them, then the other pages."""
    one = quote(json.dumps(FILTERS["one class"], ensure_ascii=False))
    return {
        **{
            f"filter: {name}": f"/api/0/summary?column=city&filter={quote(json.dumps(given, ensure_ascii=False))}"
            for name, given in FILTERS.items()
        },
        "recordings, most events first": "/api/0/recordings",
        "cards: balanced over scores": f"/api/0/cards?order=balanced&count=40&filter={one}",
        "cards: highest scores": f"/api/0/cards?order=best&count=40&filter={one}",
    }


if __name__ == "__main__":
    sys.exit(main())
