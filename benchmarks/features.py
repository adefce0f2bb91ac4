"""How fast `hubbub features` is beside what people write, in how much memory, and how closely it agrees with librosa.

    python benchmarks/features.py [--clips FOLDER] [--check]

Every way goes through the same clips with the same number of processes: hubbub with storing, joblib and dask.bag over
librosa, tf.signal in tf.data, torchaudio and lhotse where they install, and two limits, hubbub's own work in a bare
loop and its decoding alone. The clips are taken as they are, each four times for ESC-10's 400, and written anew in the
other formats. hubbub goes through them with one worker, too.

Each way has its processes started and has gone through all clips once before anything is timed: what is first imported
and built is not the clips' doing. Then they take turns, several rounds in one run, since machines wobble: the tables
hold medians over the rounds, and of the ratios within a round. Processor time a clip, of all processes together, tells
what the clock cannot on a busy machine.

The memory part writes a recording of six hours (1 GB in the temporary folder) and one of thirty minutes, and reads
what each worker process had at its peak. ``--limit 8 --rounds 1`` is a first try of everything, small.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import memory
import speed
from agreement import agreement, print_agreement
from arguments import positive
from memory import LENGTHS_S, SMALL_LENGTHS_S
from recordings import FORMATS, default_clips, index
from targets import print_verdicts, verdicts
from ways import WAYS

CLIPS = 1600
"""Clips of a round: fewer fill no whole units, and what a run costs once counts for too much."""


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="hubbub features: speed beside what people write, memory, agreement.")
    parser.add_argument("--clips", type=Path, default=default_clips(), help="recordings, or a CSV and audio/")
    parser.add_argument("--workers", type=positive, default=2, help="processes each way has")
    parser.add_argument("--rounds", type=positive, default=5)
    parser.add_argument("--limit", type=positive, help="only the first so many clips, and short long recordings")
    parser.add_argument("--repeat", type=positive, help=f"read each clip so often; default: {CLIPS} clips in all")
    parser.add_argument("--formats", type=_some_of(FORMATS), default=list(FORMATS), help=",".join(FORMATS))
    parser.add_argument("--ways", type=_some_of(WAYS), default=list(WAYS), help=",".join(WAYS))
    parts = parser.add_mutually_exclusive_group()
    parts.add_argument("--memory", action="store_true", help="only the memory part")
    parts.add_argument("--no-memory", action="store_true", help="all but the memory part")
    parser.add_argument("--agreement", action="store_true", help="compare the values with librosa's too")
    parser.add_argument("--check", action="store_true", help="exit 1 where a target is missed")
    return parser.parse_args()


def _repeats(given: int | None, clips: int) -> int:
    """Choose how often each clip is read: some thirteen full units of 128 rows, unless a first try is wanted."""
    return given or (round(CLIPS / clips) if clips >= CLIPS // 16 else 1)


def _some_of(known: Iterable[str]) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        chosen = [name.strip() for name in text.split(",")]
        unknown = [name for name in chosen if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; choose from {','.join(known)}")
        return [name for name in known if name in chosen]

    return names


def main() -> int:
    """Run the command."""
    arguments = parse()
    speeds, peaks, differences = {}, [], []
    if not arguments.memory:
        table = index(arguments.clips, arguments.limit)
        speeds = speed.measure(
            table,
            arguments.ways,
            arguments.formats,
            workers=arguments.workers,
            rounds=arguments.rounds,
            repeats=_repeats(arguments.repeat, len(table)),
        )
        if arguments.agreement:
            differences = agreement(table)
            print_agreement(differences, len(table))
    if not arguments.no_memory:
        peaks = memory.measure(SMALL_LENGTHS_S if arguments.limit else LENGTHS_S, arguments.workers)
    judged = verdicts(speeds, peaks, differences)
    print_verdicts(judged)
    return 1 if arguments.check and not all(item.met for item in judged) else 0


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.exit(main())
