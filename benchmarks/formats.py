"""How far one network of a public release, Basic Pitch, agrees in its three formats, and what each costs.

    python benchmarks/formats.py [--seconds N] [--check]

The files come from the wheel basic-pitch, of which nothing else is used. The sound is noise with tones in it; each
format scores it in blocks as `hubbub label` does, on one thread.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from table import print_table

os.environ.setdefault("OMP_NUM_THREADS", "1")

from hubbub.models.foreign import ForeignModel, open_foreign  # noqa: E402
from hubbub.models.stream import StreamLayout, score_stream_block  # noqa: E402

EXAMPLES = Path(__file__).resolve().parents[1] / "docs" / "models"
KINDS = ("onnx", "litert", "saved-model")
AGREEMENT = 1e-3
"""Largest difference of a score between two formats."""


def copy_files(folder: Path) -> None:
    """Put the networks and their descriptions into one folder."""
    found = find_spec("basic_pitch")
    if found is None or found.origin is None:
        sys.exit("basic-pitch is not installed; make install brings it: pip install --no-deps basic-pitch==0.4.0")
    shutil.copytree(Path(found.origin).parent / "saved_models" / "icassp_2022", folder, dirs_exist_ok=True)
    for example in EXAMPLES.glob("basic-pitch*"):
        shutil.copy(example, folder)


def make_sound(seconds: int, rate: int) -> np.ndarray:
    """Noise, and in each second another tone with its harmonics."""
    rng, time_s = np.random.default_rng(0), np.arange(seconds * rate) / rate
    pitch_hz = np.repeat(440 * 2 ** (rng.integers(-24, 24, seconds) / 12), rate)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / rate
    tones = sum(np.sin(order * phase) / order for order in range(1, 6))
    return (0.1 * tones * np.exp(-3 * (time_s % 1)) + rng.normal(0, 0.01, len(time_s))).astype(np.float32)


def score(model: ForeignModel, samples: np.ndarray) -> np.ndarray:
    """Score a recording: float32 [score, label]."""
    assert model.frames is not None
    layout = StreamLayout.of(model.settings, model.frames)
    blocks = layout.block_grid.split(iter([samples]))
    return np.concatenate([score_stream_block(model, b.samples[:, None], layout, b.valid) for b in blocks])


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="One network in three formats: agreement and cost.")
    parser.add_argument("--seconds", type=int, default=60, help="of sound")
    parser.add_argument("--check", action="store_true", help=f"end with 1 where scores differ by more than {AGREEMENT}")
    arguments = parser.parse_args()
    scored, rows = {}, []
    with tempfile.TemporaryDirectory() as folder:
        copy_files(Path(folder))
        for kind in KINDS:
            started = time.perf_counter()
            model = open_foreign(Path(folder) / f"basic-pitch-{kind}.yaml")
            opened = time.perf_counter()
            scored[kind] = score(model, make_sound(arguments.seconds, model.settings.frontend.sample_rate))
            took = time.perf_counter() - opened
            difference = float(np.abs(scored[kind] - scored["onnx"]).max())
            rows.append((kind, f"{difference:.1e}", f"{opened - started:.1f}", f"{arguments.seconds / took:.0f}"))
    highest = max(float(scores.max()) for scores in scored.values())
    print_table(
        f"Basic Pitch, {arguments.seconds} s of sound, scores up to {highest:.2f}, one thread",
        ("format", "largest difference from onnx", "s to open", "times real time"),
        rows,
    )
    if arguments.check and any(np.abs(scores - scored["onnx"]).max() > AGREEMENT for scores in scored.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
