"""How fast the trainer goes on what this machine has, and how much of the time it waits for data.

    python benchmarks/trainer.py [--rows N] [--rounds N] [--model M] [--backends jax,torch] [--check]

Rows of 216 x 128 (float16 noise, log-mel of the default settings) in a store that hubbub's own code writes train a
network by `model.fit`, as `hubbub train` does: with each of Keras's backends that is installed, on the GPU where there
is one. Each case is a process of its own. After a first epoch that is not counted (compilers, caches), epochs from the
store and epochs over a batch that lies ready take turns: `rows/s` is the median of the former, and `waiting` how much
of their time the latter would have saved, the median over the rounds; below nought is wobble. `augmented` rows go
through the recipe's augmentation, on processors. `batch 32` is what the recipe takes; with a GPU there are batches of
256 as well, in float32 and bfloat16.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from arguments import positive
from high_water import peak_bytes
from synthetic_store import write_noise
from table import print_table
from targets import Verdict, print_verdicts

BACKENDS = ("tensorflow", "jax", "torch")

WAITING_SHARE = 0.03
"""Of the time of the recipe's own training, less is spent waiting for data."""

N_LABELS = 10

CPU_ROWS, GPU_ROWS = 512, 16_384
"""Rows an epoch."""

MB = 1_000_000


@dataclass(frozen=True)
class Case:
    """What is trained, and how."""

    backend: str
    batch_rows: int
    precision: str
    augmented: bool


@dataclass(frozen=True)
class Found:
    """What one case showed."""

    device: str
    rows_a_second: float
    waiting_share: float
    memory_bytes: int
    device_bytes: int | None
    """The most that was allocated on the GPU; None on a CPU."""


def cases(backends: Sequence[str], model: str, *, has_gpu: bool) -> Iterator[Case]:
    """List what is measured: with the recipe's augmentation, if any, and without; on a GPU large batches, too."""
    from hubbub.config.recipes import DEFAULTS

    kinds = (True, False) if DEFAULTS[model].train.augment else (False,)
    for backend in backends:
        for batch_rows, precision in [(32, "float32"), *([(256, "float32"), (256, "mixed_bfloat16")] * has_gpu)]:
            for augmented in kinds:
                yield Case(backend, batch_rows, precision, augmented)


def measure(case: Case, folder: Path, model: str, rows: int, rounds: int) -> Found:
    """Train in this process; Keras's backend is chosen by the environment."""
    from hubbub.config import Settings
    from hubbub.config.recipes import choose_recipe_settings
    from hubbub.learn.dataset import BandStatistics, KeptRows, Pass
    from hubbub.learn.fitting import build_network, compile_model
    from hubbub.learn.networks import Shape, find_recipe
    from hubbub.learn.streams import make_dataset
    from hubbub.learn.tf_data import Failures
    from hubbub.models.backends import set_random_seed
    from hubbub.store.opening import open_store

    set_random_seed(0)
    store, recipe = open_store(folder), find_recipe(model)
    n_batches = rows // case.batch_rows
    statistics = BandStatistics(np.full(store.n_bands, -40.0), np.full(store.n_bands, 9.0))
    settings = choose_recipe_settings(model, {"train.precision": case.precision})
    shape, batch_rows = Shape(store.n_frames, store.n_bands, N_LABELS), case.batch_rows
    network = build_network(recipe, shape, statistics, settings, batch_rows=batch_rows)
    steps, learning_rate = n_batches * 2 * (rounds + 1), settings.model.learning_rate
    compile_model(network, recipe, settings, steps=steps, batch_rows=batch_rows, learning_rate=learning_rate)
    policy = recipe.policy(Settings()) if recipe.policy and case.augmented else None
    targets, kept = np.arange(rows) % N_LABELS, KeptRows()

    def stored(epoch: int) -> Any:
        one = Pass(store, np.arange(rows), targets, case.batch_rows, seed=0, epoch=epoch, drop_last=True, kept=kept)
        return make_dataset(one, np.eye(N_LABELS, dtype=np.float32), Failures(), policy)

    ready = at_hand(first_of(stored(0)), n_batches)
    times: dict[bool, list[float]] = {True: [], False: []}
    for epoch in range(rounds + 1):
        for from_store, make in ((True, lambda: stored(epoch)), (False, ready)):  # noqa: B023  # called at once
            times[from_store].append(fit_seconds(network, make, n_batches))
    from_store_s, ready_s = (np.asarray(times[kind][1:]) for kind in (True, False))
    device, device_bytes = describe_device(case.backend)
    return Found(
        device,
        n_batches * case.batch_rows / float(np.median(from_store_s)),
        float(np.median(1 - ready_s / from_store_s)),
        peak_bytes(os.getpid()),
        device_bytes,
    )


def fit_seconds(network: Any, make: Callable[[], Any], n_batches: int) -> float:
    """Seconds of one epoch, opening its data included; the last step's result is there when they end."""
    began = time.perf_counter()
    network.fit(make(), steps_per_epoch=n_batches, epochs=1, shuffle=False, verbose=0)  # returns the loss as a number
    return time.perf_counter() - began


def first_of(dataset: Any) -> tuple[np.ndarray, np.ndarray]:
    """The first batch of a dataset, in NumPy."""
    features, targets = next(iter(dataset))
    return np.asarray(features), np.asarray(targets)


def at_hand(batch: tuple[np.ndarray, np.ndarray], n_batches: int) -> Callable[[], Any]:
    """Return what makes a dataset of one batch over and over, in the form that the backend is given."""
    from hubbub.models.backends import computes_on_tensorflow

    if not computes_on_tensorflow():
        return lambda: (batch for _ in range(n_batches))
    import tensorflow as tf

    return lambda: tf.data.Dataset.from_tensors(batch).cache().repeat(n_batches).prefetch(2)


def describe_device(backend: str) -> tuple[str, int | None]:
    """Name what computes, and tell the most memory that was allocated there, where it is a GPU."""
    if backend == "torch":
        import torch

        if torch.cuda.is_available():
            return torch.cuda.get_device_name(0), int(torch.cuda.max_memory_allocated())
    elif backend == "jax":
        import jax

        device = jax.local_devices()[0]
        if device.platform == "gpu":
            return str(device.device_kind), int(device.memory_stats()["peak_bytes_in_use"])
    else:
        import tensorflow as tf

        if gpus := tf.config.list_physical_devices("GPU"):
            name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
            return name, int(tf.config.experimental.get_memory_info("GPU:0")["peak"])
    return f"CPU, {os.cpu_count()} cores ({platform.machine()})", None


def measure_in_own_process(
    case: Case, arguments: argparse.Namespace, folder: Path, rows: int, timeout_s: float | None = None
) -> Found | str:
    """Measure a case in a process of its own; a string says why there is no figure."""
    command = [sys.executable, __file__, "--measure", json.dumps(asdict(case)), "--store", str(folder)]
    command += ["--rows", str(rows), "--rounds", str(arguments.rounds), "--model", arguments.model]
    known = os.environ | {"KERAS_BACKEND": case.backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    # JAX would take most of the GPU's memory at once, and its peak would say nothing.
    known |= {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=known, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        return "no time was left to end"
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    return Found(**json.loads(lines[-1]))


def find_gpu() -> bool:
    """Whether the system has an NVIDIA GPU."""
    return Path("/proc/driver/nvidia/version").exists() or Path("/dev/nvidia0").exists()


def print_found(found: Sequence[tuple[Case, Found | str]], model: str, rows: int) -> None:
    """Print the table."""
    lines = []
    for case, one in found:
        named = (case.backend, str(case.batch_rows), case.precision, "yes" if case.augmented else "no")
        if isinstance(one, str):
            lines.append((*named, "none", "", "", "", one))
            continue
        memory = f"{one.memory_bytes / MB:,.0f}"
        on_device = "" if one.device_bytes is None else f"{one.device_bytes / MB:,.0f}"
        lines.append((*named, f"{one.rows_a_second:,.0f}", f"{one.waiting_share:.1%}", memory, on_device, one.device))
    title = f"Training {model}: epochs of {rows} rows of 216 x 128"
    header = ("backend", "batch", "precision", "augmented", "rows/s", "waiting", "peak MB", "GPU peak MB", "on")
    print_table(title, header, lines, sentences=True)


def judge(found: Sequence[tuple[Case, Found | str]]) -> list[Verdict]:
    """Hold waiting against its target, in every case that has a figure."""
    judged = []
    for case, one in found:
        kind = "augmented" if case.augmented else "as stored"
        what = f"waiting: {case.backend}, batches of {case.batch_rows}, {case.precision}, {kind}"
        if isinstance(one, Found):
            is_met = one.waiting_share < WAITING_SHARE
            judged.append(Verdict(what, f"< {WAITING_SHARE:.0%}", f"{one.waiting_share:.1%}", is_met))
    return judged


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="How fast the trainer goes, and how much of the time it waits.")
    parser.add_argument("--rows", type=positive, help=f"an epoch; {CPU_ROWS}, or {GPU_ROWS} with a GPU")
    parser.add_argument("--rounds", type=positive, default=5, help="epochs of each kind that count (5)")
    parser.add_argument("--model", choices=("default", "seed-cnn"), default="default", help="recipe (default)")
    parser.add_argument("--backends", default="", help=f"{','.join(BACKENDS)}; all that are installed")
    parser.add_argument("--check", action="store_true", help="exit 1 where a target is missed")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    chosen = arguments.backends.split(",") if arguments.backends else [name for name in BACKENDS if find_spec(name)]
    if unknown := [name for name in chosen if name not in BACKENDS]:
        parser.error(f"unknown: {', '.join(unknown)}; choose from {','.join(BACKENDS)}")
    if not chosen:
        parser.error(f"none of {', '.join(BACKENDS)} is installed: pip install 'hubbub[cpu]'")
    arguments.backends = chosen
    return arguments


def main() -> int:
    """Run the command."""
    arguments = parse()
    if arguments.measure:
        case = Case(**json.loads(arguments.measure))
        found = measure(case, arguments.store, arguments.model, arguments.rows, arguments.rounds)
        print(json.dumps(asdict(found)))
        return 0
    from hubbub.config import Layout, Settings

    has_gpu = find_gpu()
    rows = arguments.rows or (GPU_ROWS if has_gpu else CPU_ROWS)
    least = max(case.batch_rows for case in cases(arguments.backends, arguments.model, has_gpu=has_gpu))
    if rows < least:
        sys.exit(f"error: --rows {rows}; give at least {least}, the rows of one batch")
    with tempfile.TemporaryDirectory(prefix="hubbub-benchmark-") as scratch:
        folder = Path(scratch) / "store"
        write_noise(folder, rows, Settings(layout=Layout(rows_per_shard=256, rows_per_chunk=32)))
        results = []
        for case in cases(arguments.backends, arguments.model, has_gpu=has_gpu):
            results.append((case, measure_in_own_process(case, arguments, folder, rows)))
            print(results[-1], file=sys.stderr, flush=True)
    print_found(results, arguments.model, rows)
    judged = judge(results)
    print_verdicts(judged)
    return 1 if arguments.check and not all(item.met for item in judged) else 0


if __name__ == "__main__":
    sys.exit(main())
