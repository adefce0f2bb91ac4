"""How long a store of a million rows takes to open, and a run over it that has nothing to do, to plan.

    python benchmarks/scale.py [--rows N] [--per-shard N] [--check] [--keep FOLDER]

Writes a store with row parts alone, no audio and no shards, and the clip table that it would be made from: every clip
is one window, so there are as many clips as rows. Then each measure runs in a process of its own, which tells the
seconds it took, once its libraries were imported, the processor's seconds, and the most memory the process had.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from arguments import positive
from high_water import peak_bytes
from synthetic_clips import make_clips

MB = 1e6
TRAINER = ["row", "clip_id", "uri", "labels", "variant", "fold", "split", "group", "valid_frames", "crc32"]
"""Columns of rows that training goes by."""

OPEN_S, OPEN_MB = 3.0, 500.0
"""A store of a million rows in 5,000 shards opens in less: `open_store`, and its rows, for a trainer and whole."""

PLAN_S = 20.0
"""Its clip table is read, and a run that has nothing to do planned, in less."""


@dataclass(frozen=True)
class Found:
    """What one measure took.

    Attributes
    ----------
    seconds
        By the clock, libraries imported.
    processor_s
        Of all threads together.
    peak_bytes
        The most memory that the process ever had, libraries and all.
    """

    seconds: float
    processor_s: float
    peak_bytes: int


def write_all(folder: Path, rows: int, per_shard: int) -> None:
    """Write a store of so many rows, and its clip table."""
    from hubbub.clips.table import ClipTable, write_table
    from hubbub.config import load_settings
    from hubbub.store.opening import create_store

    layout = [f"layout.rows_per_shard={per_shard}", f"layout.rows_per_chunk={math.gcd(per_shard, 40)}"]
    settings = load_settings(None, layout)
    store = create_store(folder / "store", settings, source="made", root=folder)
    store.grow(-(-rows // per_shard), clips=rows)
    clips = make_clips(rows)
    write_table(ClipTable(clips, folder), folder / "clips.parquet")
    write_parts(store, clips, per_shard)


def write_parts(store, clips, per_shard: int) -> None:  # noqa: ANN001  # FeatureStore and pyarrow.Table, not imported yet
    """Write the row parts of a store: every clip is one window."""
    from hubbub.store.parts import write_part

    for shard, first in enumerate(range(0, len(clips), per_shard)):
        part = _rows(clips.slice(first, per_shard).combine_chunks(), first)
        mark = {"unit": shard, "settings_hash": store.settings_hash, "store_id": store.provenance["store_id"]}
        write_part(store.rows_folder, shard, part, mark)


def _rows(clips, first: int):  # noqa: ANN001, ANN202  # pyarrow.Table, as above
    """The row part of some clips, one window each."""
    import numpy as np
    import pyarrow as pa

    from hubbub.store.rows import row_schema

    n = len(clips)
    numbers = np.arange(first, first + n)
    own = {"row": numbers, "crc32": numbers * 2_654_435_761 % 2**32}
    same = {"channel": "mix", "variant": 0, "policy_rule": "", "window": 0, "windows": 1, "start_s": 0.0}
    same |= {"valid_frames": 216, "status": "ok", "attempts": 1}
    columns = [
        pa.array(own[field.name], field.type)
        if field.name in own
        else clips[field.name]
        if field.name in clips.column_names and field.name not in same
        else pa.repeat(pa.scalar(same.get(field.name), field.type), n)
        for field in row_schema(clips.schema)
    ]
    return pa.table(columns, schema=row_schema(clips.schema))


def open_for_training(folder: Path) -> str:
    """Open the store and read the columns of its rows that training goes by."""
    from hubbub.store.opening import open_store

    return f"{len(open_store(folder / 'store').rows(TRAINER))} rows"


def open_whole(folder: Path) -> str:
    """Open the store and read all columns of its rows."""
    from hubbub.store.opening import open_store

    return f"{len(open_store(folder / 'store').rows())} rows"


def plan_nothing(folder: Path) -> str:
    """Read the clip table and plan a run over the store."""
    from hubbub.clips.table import read_table
    from hubbub.planning.plan import plan_features
    from hubbub.store.opening import open_store

    table, store = read_table(folder / "clips.parquet"), open_store(folder / "store")
    plan = plan_features(table, store.settings, store.progress(), store.committed())
    return f"{plan.done} of {plan.clips} clips are done, {len(plan)} units to do"


MEASURES: dict[str, tuple[str, Callable[[Path], str]]] = {
    "training": ("open, columns for training", open_for_training),
    "whole": ("open, all columns", open_whole),
    "plan": ("plan a run with nothing to do", plan_nothing),
}
"""Key -> row of the table, and what is measured."""


def measure(key: str, folder: Path) -> Found:
    """Take one measure in this process, and say on standard error what it found."""
    import hubbub.clips.table  # noqa: F401  # imported before the clock starts
    import hubbub.planning.plan  # noqa: F401
    import hubbub.store.features  # noqa: F401

    started, busy = time.perf_counter(), time.process_time()
    found = MEASURES[key][1](folder)
    seconds, processor_s = time.perf_counter() - started, time.process_time() - busy
    print(f"{MEASURES[key][0]}: {found}", file=sys.stderr)
    return Found(seconds, processor_s, peak_bytes(os.getpid()))


def measure_in_own_process(key: str, folder: Path) -> Found:
    """Take one measure in a process of its own, whose memory nothing else has touched."""
    command = [sys.executable, __file__, "--measure", key, "--keep", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Found(**json.loads(done.stdout))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Opening a store of a million rows, and planning over it.")
    parser.add_argument("--rows", type=positive, default=1_000_000)
    parser.add_argument("--per-shard", type=positive, default=200)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="make the store there, or take the one that is")
    parser.add_argument("--check", action="store_true", help="exit 1 where a target is missed")
    parser.add_argument("--measure", choices=[*MEASURES, "write"], help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Run the command."""
    arguments = parse()
    if arguments.measure == "write":
        write_all(arguments.keep, arguments.rows, arguments.per_shard)
        return 0
    if arguments.measure:
        print(json.dumps(asdict(measure(arguments.measure, arguments.keep))))
        return 0
    with _folder(arguments.keep) as folder:
        if not (folder / "store").exists():
            sizes = ["--rows", str(arguments.rows), "--per-shard", str(arguments.per_shard)]
            subprocess.run([sys.executable, __file__, "--measure", "write", "--keep", str(folder), *sizes], check=True)
        found = {key: measure_in_own_process(key, folder) for key in MEASURES}
    return 1 if not _shown(found, arguments) and arguments.check else 0


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="hubbub-scale-") as folder:
        yield Path(folder)


def _shown(found: dict[str, Found], arguments: argparse.Namespace) -> bool:
    """Print the tables; whether all targets are met."""
    from table import print_table
    from targets import Verdict, print_verdicts

    lines = [
        (MEASURES[key][0], f"{one.seconds:.2f}", f"{one.processor_s:.2f}", f"{one.peak_bytes / MB:.0f}")
        for key, one in found.items()
    ]
    shards = -(-arguments.rows // arguments.per_shard)
    print_table(f"Scale: {arguments.rows} rows in {shards} shards", ("", "s", "processor s", "peak MB"), lines)
    opened, whole, planned = found["training"], found["whole"], found["plan"]
    figures = [
        ("open for training: s", OPEN_S, opened.seconds),
        ("open for training: peak MB", OPEN_MB, opened.peak_bytes / MB),
        ("open, all columns: s", OPEN_S, whole.seconds),
        ("open, all columns: peak MB", OPEN_MB, whole.peak_bytes / MB),
        ("plan: s", PLAN_S, planned.seconds),
    ]
    judged = [Verdict(what, f"< {wanted:g}", f"{value:.2f}", value < wanted) for what, wanted, value in figures]
    print_verdicts(judged)
    return all(item.met for item in judged)


if __name__ == "__main__":
    sys.exit(main())
