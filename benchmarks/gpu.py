"""What a GPU gives: rows a second of training, of embedding and of labelling, as a Markdown table.

    python benchmarks/gpu.py [-o TABLE.md] [--minutes 10]

Each line is measured in a process of its own, the most telling first, until the time is over. Networks are hubbub's
own, untrained, which costs as much. TensorFlow computes where it sees the GPU, else JAX, else PyTorch.

- train: epochs from a store, as benchmarks/trainer.py measures them; batches of 32 are the recipe's.
- score, embed: rows that lie in memory, by the bundle, in the batches that it chooses; on processors, too, and how far
  the values differ.
- label, embed of a recording: an hour of WAV, decoding and features included, in one process.
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
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from arguments import positive
from embed import make_bundle
from label import write_recording
from synthetic_store import write_noise
from trainer import BACKENDS, GPU_ROWS, Case, Found, describe_device, find_gpu, measure_in_own_process

NETWORKS = ("default", "mobilenet-v2", "cnn-stft-32")
"""Whose rows are scored and embedded."""

ROWS, CPU_ROWS = 4096, 256
"""Rows that are scored on a GPU, and on processors."""

AUDIO_S = 3600.0

LEAST_S = 45.0
"""With less time left nothing is begun."""

_SEES_GPU = {
    "tensorflow": "import tensorflow as tf; print(len(tf.config.list_physical_devices('GPU')))",
    "jax": "import jax; print(sum(device.platform == 'gpu' for device in jax.devices()))",
    "torch": "import torch; print(torch.cuda.device_count())",
}


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    what: str
    figure: str
    batch: str = ""
    precision: str = ""
    device_mb: str = ""
    on: str = ""


class Clock:
    """The time that is left."""

    def __init__(self, minutes: float) -> None:
        self._ends = time.monotonic() + 60 * minutes

    def left_s(self) -> float:
        """Seconds left."""
        return self._ends - time.monotonic()


def choose_backend() -> tuple[str, bool]:
    """Keras's backend that sees a GPU, the first; else the first that is installed, and False."""
    installed = [name for name in BACKENDS if find_spec(name)]
    if not installed:
        sys.exit(f"error: none of {', '.join(BACKENDS)} is installed: pip install 'hubbub[gpu]'")
    for name in installed if find_gpu() else ():
        done = subprocess.run([sys.executable, "-c", _SEES_GPU[name]], capture_output=True, text=True, timeout=120)
        if done.returncode == 0 and int(done.stdout.split()[-1]):
            return name, True
    return installed[0], False


def measure_training(backend: str, has_gpu: bool, clock: Clock, scratch: Path) -> Iterator[Line]:
    """Epochs of the default recipe, and of an image network."""
    from hubbub.config import Layout, Settings

    rows = GPU_ROWS if has_gpu else 128
    folder = scratch / "store"
    write_noise(folder, rows, Settings(layout=Layout(rows_per_shard=256, rows_per_chunk=32)))
    sizes = [(32, "float32"), (256, "float32"), (256, "mixed_bfloat16"), (256, "mixed_float16")]
    for batch_rows, precision in sizes if has_gpu else sizes[:1]:
        for augmented in (True, False):
            name = f"train `default`, {'augmented' if augmented else 'rows as stored'}"
            if clock.left_s() < LEAST_S:
                yield Line(name, "no time was left", str(batch_rows), precision)
                continue
            arguments = argparse.Namespace(rounds=2, model="default")
            found = measure_in_own_process(
                Case(backend, batch_rows, precision, augmented), arguments, folder, rows, timeout_s=clock.left_s()
            )
            if not isinstance(found, Found):
                yield Line(name, f"none: {found}", str(batch_rows), precision)
                continue
            figure = f"{found.rows_a_second:,.0f} rows/s, {found.waiting_share:.1%} of the time waiting"
            mb = "" if found.device_bytes is None else f"{found.device_bytes / 1e6:,.0f}"
            yield Line(name, figure, str(batch_rows), precision, mb, found.device)


def run_child(words: list[str], backend: str, clock: Clock, *, gpu: bool) -> dict[str, Any] | str:
    """Run one measurement in a process of its own; a string says why there is no figure."""
    if clock.left_s() < LEAST_S:
        return "no time was left"
    known = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    known |= {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"} | ({} if gpu else {"CUDA_VISIBLE_DEVICES": "-1"})
    command = [sys.executable, __file__, "--measure", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=known, timeout=clock.left_s())
    except subprocess.TimeoutExpired:
        return "no time was left to end"
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    return json.loads(done.stdout.splitlines()[-1])


def measure_rows(backend: str, has_gpu: bool, clock: Clock, scratch: Path) -> Iterator[Line]:
    """Rows that lie in memory, scored and embedded; on the GPU, and on processors beside."""
    for name in NETWORKS:
        bundle, found = scratch / name, {}
        for gpu in (True, False) if has_gpu else (False,):
            rows = ROWS if gpu else CPU_ROWS
            found[gpu] = run_child(["rows", name, str(bundle), str(rows)], backend, clock, gpu=gpu)
            for what in ("score", "embed"):
                one = found[gpu]
                if isinstance(one, str):
                    yield Line(f"{what} rows, `{name}`", f"none: {one}")
                    continue
                figure = f"{one[what]:,.0f} rows/s"
                if not gpu and isinstance(other := found.get(True), dict):
                    figure += f"; {other[what] / one[what]:.1f} times as many on the GPU"
                    figure += f", which differs by at most {compare(bundle, what):.2g}"
                yield Line(f"{what} rows, `{name}`", figure, one["batch"], "float32", one["device_mb"], one["on"])


def compare(bundle: Path, what: str) -> float:
    """Largest difference of a value between the GPU and processors, as a share of the largest value."""
    gpu, cpu = (np.load(bundle / f"{what}-{place}.npy", allow_pickle=False) for place in ("gpu", "cpu"))
    count = min(len(gpu), len(cpu))
    return float(np.abs(gpu[:count] - cpu[:count]).max() / max(1e-9, np.abs(cpu[:count]).max()))


def measure_jobs(backend: str, has_gpu: bool, clock: Clock, scratch: Path) -> Iterator[Line]:
    """Label and embed a recording, decoding and features included."""
    for job, name in (("label", "detector"), ("label", "default"), ("embed", "default")):
        seconds = AUDIO_S if has_gpu else AUDIO_S / 12
        words = ["job", job, name, str(scratch / f"{job}-{name}"), str(seconds)]
        one = run_child(words, backend, clock, gpu=has_gpu)
        what = f"hubbub {job} of {seconds / 60:.0f} min of WAV, `{name}`, one process"
        if isinstance(one, str):
            yield Line(what, f"none: {one}")
        else:
            yield Line(
                what, f"{one['times_real_time']:,.0f} times real time", "", "float32", one["device_mb"], one["on"]
            )


def measure_rows_here(name: str, folder: Path, rows: int) -> dict[str, Any]:
    """Score and embed rows in this process."""
    from hubbub.models.opening import open_model

    if not (folder / "bundle.json").exists():
        make_bundle(name, folder)
    model = open_model(folder)
    shape = (model.description["n_frames"], model.description["n_bands"])
    features = np.random.default_rng(0).normal(-40.0, 9.0, (rows, *shape)).astype(np.float32)
    on, _ = describe_device(os.environ["KERAS_BACKEND"])
    place = "cpu" if on.startswith("CPU") else "gpu"
    found: dict[str, Any] = {"on": on}
    for what, call in (("score", model.predict), ("embed", model.embed)):
        call(features)  # graphs are compiled, and batches chosen
        started = time.perf_counter()
        values = call(features)
        found[what] = rows / (time.perf_counter() - started)
        np.save(folder / f"{what}-{place}.npy", values[:CPU_ROWS])
    return found | {"batch": "", "device_mb": read_device_mb()}


def measure_job_here(job: str, name: str, folder: Path, seconds: float) -> dict[str, Any]:
    """Label or embed a recording in this process."""
    import hubbub

    folder.mkdir(parents=True)
    make_bundle(name, folder / "bundle")
    for audio in ("few", "recordings"):
        (folder / audio).mkdir()
        write_recording(folder / audio / "long.wav", 30.0 if audio == "few" else seconds, 99)
        started = time.perf_counter()
        if job == "label":
            hubbub.label(folder / audio, folder / "bundle", folder / f"{audio}-out", cluster="serial")
        else:
            hubbub.embed(folder / audio, folder / f"{audio}-out", model=folder / "bundle", cluster="serial")
        took = time.perf_counter() - started
    on, _ = describe_device(os.environ["KERAS_BACKEND"])
    return {"times_real_time": seconds / took, "device_mb": read_device_mb(), "on": on}


def read_device_mb() -> str:
    """The most MB that were allocated on the GPU by this process."""
    _, peak = describe_device(os.environ["KERAS_BACKEND"])
    return "" if peak is None else f"{peak / 1e6:,.0f}"


def describe_machine() -> str:
    """Name the GPU and its driver; else say that there is none."""
    try:
        asked = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=20)
        if done.returncode == 0 and done.stdout.strip():
            return "; ".join(done.stdout.strip().splitlines())
    except (OSError, subprocess.TimeoutExpired):
        pass
    return f"no GPU; {os.cpu_count()} cores ({platform.machine()})"


def write_table(lines: list[Line], path: Path, head: str) -> None:
    """Write the lines there are so far: whoever stops the script has these."""
    text = [head, "", "| what | figure | batch | precision | GPU peak MB | on |", "|---|---|---|---|---|---|"]
    for line in lines:
        cells = (line.what, line.figure, line.batch, line.precision, line.device_mb, line.on)
        text.append("| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |")
    path.write_text("\n".join(text) + "\n", encoding="utf-8")


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description="What a GPU gives to training, embedding and labelling.")
    parser.add_argument("-o", "--output", type=Path, default=Path("gpu.md"), help="the table (gpu.md)")
    parser.add_argument("--minutes", type=positive, default=10)
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        kind, *words = arguments.measure
        if kind == "rows":
            found = measure_rows_here(words[0], Path(words[1]), int(words[2]))
        else:
            found = measure_job_here(words[0], words[1], Path(words[2]), float(words[3]))
        print(json.dumps(found))
        return 0
    clock, lines = Clock(arguments.minutes), list[Line]()
    backend, has_gpu = choose_backend()
    head = f"{describe_machine()}. Keras on {backend}, {'on the GPU' if has_gpu else 'which sees no GPU'}."
    with tempfile.TemporaryDirectory(prefix="hubbub-benchmark-") as folder:
        for measure in (measure_jobs, measure_rows, measure_training):
            for line in measure(backend, has_gpu, clock, Path(folder)):
                lines.append(line)
                print(line, file=sys.stderr, flush=True)
                write_table(lines, arguments.output, head)
    print(arguments.output.read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
