"""How fast `hubbub embed` is beside decoding alone, and in how much memory.

    python benchmarks/embed.py [--models detector,cnn-stft-32] [--clips FOLDER] [--check]

Networks are hubbub's own, untrained, which costs as much; targets are for the first, which has a million parameters.
Three archives: short clips (`--clips`, else ESC-10), and a recording of hours, one channel at 44.1 kHz, as FLAC and as
WAV. Workers are started, and have embedded clips, before anything is timed. The ways take turns, and the table has
medians over rounds:

- embed: decode, resample, features, network, store; workers of Dask, one thread each;
- decoding: decode and resample to the model's rate, as many processes, nothing else.

Seconds are of the clock, and in brackets of the processors, the driver's left out: other jobs on the machine change the
first, so targets are for the second. `decode`, `features` and `model` are a worker's milliseconds for a window.
`--rounds 1 --hours 0.1` is a first try.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from arguments import positive
from high_water import peak_bytes
from label import decode_file, decode_part, split_file, write_recording
from recordings import default_clips, index, paths_of, repeat, transcode
from table import print_table

import hubbub
from hubbub.clips.table import ClipTable
from hubbub.models.bundle import load_bundle, write_bundle

OF_DECODING = 0.50
"""At least this part of the speed of decoding alone, of short clips and of FLAC recordings."""

MOST_MB = 1200.0
CLIPS_AT_LEAST = 1600
"""Clips are linked so often that there are so many, for units enough."""


@dataclass(frozen=True)
class Measured:
    """One network on one archive; medians of rounds."""

    wall_s: dict[str, float]
    """Of each way."""

    cpu_s: dict[str, float]
    """Of all processes of each way, the driver's not."""

    stage_ms: dict[str, float]
    """Of a worker, for a window."""

    peak_mb: float
    """Of a worker."""

    def ratio(self, seconds: dict[str, float]) -> float:
        """Speed of embedding as a share of that of decoding alone."""
        return seconds["decoding"] / seconds["embed"]


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="hubbub embed: speed beside decoding alone, memory.")
    parser.add_argument("--models", default="detector,cnn-stft-32", help="names, commas between; see hubbub models")
    parser.add_argument("--clips", type=Path, help="a folder of short clips; default: ESC-10")
    parser.add_argument("--workers", type=positive, default=2)
    parser.add_argument("--rounds", type=positive, default=3)
    parser.add_argument("--hours", type=float, default=2.0, help="of the long recordings")
    parser.add_argument("--check", action="store_true", help="exit 1 where a target is missed")
    return parser.parse_args()


def make_bundle(name: str, folder: Path) -> int:
    """Write a bundle of a network as it is built for its own features; returns its parameters."""
    from hubbub.learn.network_cost import build_for_own_features
    from hubbub.learn.networks import find_recipe

    recipe, labels = find_recipe(name), [f"label {number}" for number in range(10)]
    shape, network = build_for_own_features(recipe, n_labels=len(labels))
    settings = recipe.features
    frames = None if recipe.plan_frames is None else asdict(recipe.plan_frames(settings))
    description = {
        "model": name,
        "labels": labels,
        "activation": recipe.activation,
        "thresholds": dict.fromkeys(labels, 0.5),
        "settings": settings.model_dump(mode="json"),
        "settings_hash": settings.hash,
        "window_s": settings.windows.input_s,
        "n_frames": shape.n_frames,
        "n_bands": shape.n_bands,
        "frames": frames,
    }
    write_bundle(folder, network, description, "untrained")
    return network.count_params()


def measure(
    table: ClipTable, bundle: Path, arguments: argparse.Namespace, client: Any, pool: ProcessPoolExecutor, scratch: Path
) -> Measured:
    """Time both ways on one archive."""
    rate = load_bundle(bundle).settings.frontend.sample_rate
    paths = paths_of(table)
    is_one = len(paths) == 1  # then decoded in parts: as good as it can be spread
    tasks = split_file(paths[0], rate, arguments.workers) if is_one else [(str(path), rate) for path in paths]
    calls = [(decode_part if is_one else decode_file, task) for task in tasks]
    wall_s: dict[str, list[float]] = {"embed": [], "decoding": []}
    cpu_s: dict[str, list[float]] = {"embed": [], "decoding": []}
    log = scratch / "log.jsonl"
    for turn in range(arguments.rounds):
        started, before = time.perf_counter(), sum(client.run(time.process_time).values())
        store = hubbub.embed(table, scratch / f"store-{turn}", model=bundle, client=client, log_json=log)
        wall_s["embed"].append(time.perf_counter() - started)
        cpu_s["embed"].append(sum(client.run(time.process_time).values()) - before)
        started = time.perf_counter()
        cpu_s["decoding"].append(sum(pool.map(time_call, calls, chunksize=1 if is_one else 16)))
        wall_s["decoding"].append(time.perf_counter() - started)
    peak_mb = max(map(peak_bytes, client.run(os.getpid).values())) / 1e6
    medians = ({way: float(np.median(took)) for way, took in seconds.items()} for seconds in (wall_s, cpu_s))
    windows = arguments.rounds * len(store.rows(["clip_id"]))
    return Measured(*medians, read_stages(log, windows), peak_mb)


def time_call(call: tuple[Callable[[Any], int], Any]) -> float:
    """CPU seconds of a call in this process."""
    started = time.process_time()
    call[0](call[1])
    return time.process_time() - started


def read_stages(log: Path, windows: int) -> dict[str, float]:
    """Workers' milliseconds a window, by stage."""
    total: dict[str, float] = {}
    for line in map(json.loads, log.read_text().splitlines()):
        for stage, seconds in (line.get("seconds") or {}).items():
            total[stage] = total.get(stage, 0.0) + 1e3 * seconds / windows
    return total


def main() -> int:
    """Run the command."""
    from distributed import Client, LocalCluster

    from hubbub.engine.ahead import WORKER_ENVIRONMENT

    arguments = parse()
    with tempfile.TemporaryDirectory(prefix="hubbub-benchmark-") as folder:
        scratch = Path(folder)
        clips = index(arguments.clips or default_clips())
        clips = repeat(clips, max(1, -(-CLIPS_AT_LEAST // len(clips))), scratch / "clips")
        for suffix in ("flac", "wav"):
            (scratch / suffix).mkdir()
        write_recording(scratch / "flac" / "long.flac", arguments.hours * 3600, 99)
        transcode(scratch / "flac" / "long.flac", scratch / "wav" / "long.wav")
        archives = {"clips": clips, "FLAC": index(scratch / "flac"), "WAV": index(scratch / "wav")}
        names = arguments.models.split(",")
        parameters = {name: make_bundle(name, scratch / name) for name in names}
        with (
            LocalCluster(
                n_workers=arguments.workers,
                threads_per_worker=1,
                dashboard_address=None,
                silence_logs=50,
                env={name: str(value) for name, value in WORKER_ENVIRONMENT.items()},
            ) as cluster,
            Client(cluster) as client,
            ProcessPoolExecutor(arguments.workers, mp_context=get_context("spawn")) as pool,
        ):
            few = ClipTable(clips.rows.slice(0, 64), clips.root)
            list(pool.map(decode_file, [(str(path), 22_050) for path in paths_of(few)], chunksize=4))
            found = {}
            for name in names:
                hubbub.embed(few, scratch / f"warm-{name}", model=scratch / name, client=client)
                for archive, table in archives.items():
                    place = scratch / f"{name}-{archive}"
                    place.mkdir()
                    found[name, archive] = measure(table, scratch / name, arguments, client, pool, place)
    return print_results(found, parameters, archives, arguments)


def print_results(
    found: dict[tuple[str, str], Measured],
    parameters: dict[str, int],
    archives: dict[str, ClipTable],
    arguments: argparse.Namespace,
) -> int:
    """Print the tables; returns the exit code."""
    audio_s = {name: sum(table.rows["duration_s"].to_pylist()) for name, table in archives.items()}
    rows = [
        (
            f"{name}, {parameters[name] / 1e6:.2f} M",
            archive,
            f"{audio_s[archive] / 3600:.2f}",
            *(f"{one.wall_s[way]:.1f} ({one.cpu_s[way]:.1f})" for way in ("embed", "decoding")),
            f"{audio_s[archive] / one.wall_s['embed']:.0f}",
            f"{one.ratio(one.wall_s):.2f} ({one.ratio(one.cpu_s):.2f})",
            *(f"{one.stage_ms[stage]:.2f}" for stage in ("decode", "features", "model")),
            f"{one.peak_mb:.0f}",
        )
        for (name, archive), one in found.items()
    ]
    header = ("network", "archive", "h", "embed s (CPU)", "decoding s (CPU)", "x real", "of decoding", "decode ms")
    title = f"Embedding, {arguments.workers} workers, medians of {arguments.rounds}"
    print_table(title, (*header, "features", "model", "peak MB"), rows)
    first = next(iter(parameters))
    judged = []
    for archive in ("clips", "FLAC"):
        ratio = found[first, archive].ratio(found[first, archive].cpu_s)
        what = f"{first}, {archive}: of decoding alone, CPU seconds"
        judged.append((what, f">= {OF_DECODING:.2f}", f"{ratio:.2f}", ratio >= OF_DECODING))
    peak_mb = max(one.peak_mb for one in found.values())
    judged.append(("peak MB of a worker", f"< {MOST_MB:g}", f"{peak_mb:.0f}", peak_mb < MOST_MB))
    print_table("Targets", ("", "wanted", "found", ""), [(*row[:3], "met" if row[3] else "MISSED") for row in judged])
    return 1 if arguments.check and not all(row[3] for row in judged) else 0


if __name__ == "__main__":
    sys.exit(main())
