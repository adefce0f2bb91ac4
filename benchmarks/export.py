"""How fast exported models score, beside the bundle that they come from.

    python benchmarks/export.py [BUNDLE ...] [--formats onnx,litert,openvino] [--windows N] [--rounds N] [--threads N]

Each bundle is exported in every format; the exports themselves compare scores. Then all of them, opened as `hubbub
label` opens them, take turns at scoring the same features: `windows/s` is the median over rounds, and a window is what
the bundle hears at a time (a network of frames is given as much sound as a stream). `open s` is opening one in this
process, where its packages are imported already. Without bundles, networks with random weights are taken: `--networks`
says which.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from arguments import positive
from table import print_table

import hubbub
from hubbub.config.network_features import choose_features
from hubbub.errors import HubbubError
from hubbub.learn.networks import NAMES
from hubbub.models.exporters import EXPORTERS

MEASURED = ("default", "detector", "seed-cnn", "crnn", "mobilenet-v2")
LABELS = [f"label {number}" for number in range(10)]


@dataclass(frozen=True)
class Way:
    """One way to score the same features."""

    name: str
    score: Callable[[], Any]
    open_s: float
    megabytes: float
    difference: str


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Exported models: speed beside their bundles.")
    parser.add_argument("bundles", nargs="*", type=Path, metavar="BUNDLE")
    parser.add_argument("--networks", type=choose(NAMES), default=list(MEASURED), help="where no bundle is given")
    parser.add_argument("--formats", type=choose(EXPORTERS), default=list(EXPORTERS))
    parser.add_argument("--windows", type=positive, default=256)
    parser.add_argument("--rounds", type=positive, default=3)
    parser.add_argument("--threads", type=positive, default=1, help="that compute, for every way")
    return parser.parse_args()


def choose(known: Any) -> Callable[[str], list[str]]:
    """Make the type of a list of names."""

    def read(text: str) -> list[str]:
        names = text.split(",")
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; choose from {','.join(known)}")
        return names

    return read


def make_bundle(folder: Path, network: str) -> Path:
    """Write a bundle of random weights, for the features that the network is made for."""
    from hubbub.learn.dataset import BandStatistics
    from hubbub.learn.networks import Shape, find_recipe
    from hubbub.models.bundle import write_bundle

    settings, recipe = choose_features(network), find_recipe(network)
    frontend, window_s = settings.frontend, settings.windows.input_s
    n_frames = frontend.n_frames(round(window_s * frontend.sample_rate))
    statistics = BandStatistics(np.full(frontend.n_bands, -40.0), np.full(frontend.n_bands, 12.0))
    model = recipe.build(Shape(n_frames, frontend.n_bands, len(LABELS), settings), statistics, recipe.defaults.model)
    frames = None if recipe.plan_frames is None else asdict(recipe.plan_frames(settings))
    description = {
        "model": network,
        "labels": LABELS,
        "activation": recipe.activation,
        "thresholds": dict.fromkeys(LABELS, 0.5),
        "settings": settings.model_dump(mode="json"),
        "settings_hash": settings.hash,
        "window_s": window_s,
        "n_frames": n_frames,
        "n_bands": frontend.n_bands,
        "frames": frames,
    }
    write_bundle(folder, model, description, "")
    return folder


def open_ways(path: Path, formats: list[str], windows: int, scratch: Path) -> list[Way]:
    """Export a bundle, open all, and score once: graphs are traced."""
    from hubbub.models.bundle import load_bundle
    from hubbub.models.opening import open_model

    bundle = load_bundle(path, runtime="keras")
    shape = (windows, bundle.description["n_frames"], bundle.description["n_bands"])
    rows = np.random.default_rng(0).normal(-40, 12, shape).astype(np.float32)
    ways = [time_opening("Keras", lambda: load_bundle(path, runtime="keras"), path / "model.keras", "", rows)]
    for format in formats:
        try:
            exported = hubbub.export_model(bundle, scratch / f"{path.name}-{format}", format=format)
        except HubbubError as error:
            print(f"{path.name}: {format} is left out: {error}")
            continue
        file = exported.path.with_name(EXPORTERS[format].file)
        ways.append(
            time_opening(
                format,
                lambda exported=exported: open_model(exported.path),
                file,
                f"{exported.max_difference:.1e}",
                rows,
            )
        )
    return ways


def time_opening(name: str, open_one: Callable[[], Any], file: Path, difference: str, rows: np.ndarray) -> Way:
    """Open a model, and score once."""
    started = time.perf_counter()
    model = open_one()
    open_s = time.perf_counter() - started
    sizes = [each.stat().st_size for each in (file, file.with_suffix(".bin")) if each.is_file()]
    score = prepare_scoring(model, rows)
    score()
    return Way(name, score, open_s, sum(sizes) / 1e6, difference)


def prepare_scoring(model: Any, rows: np.ndarray) -> Callable[[], Any]:
    """Score the rows; for a network of frames, a stream of them in blocks, as labelling has it."""
    if model.frames is None:
        return lambda: model.predict(rows)
    from hubbub.models.stream import StreamLayout

    layout = StreamLayout.of(model.settings, model.frames)
    stream = rows.reshape(-1, rows.shape[-1])
    halo = model.frames.halo
    begins = range(0, len(stream), layout.core)
    padded = np.pad(stream, ((halo, halo + layout.core), (0, 0)), constant_values=model.frames.padding)
    used = [layout.round_up(min(layout.core, len(stream) - begin) + 2 * halo) for begin in begins]
    blocks = [padded[begin : begin + length] for begin, length in zip(begins, used, strict=True)]
    return lambda: [model.score_block(block) for block in blocks]


def limit_threads(threads: int) -> None:
    """Let every way compute on so many threads."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    from hubbub.models.backends import import_tensorflow

    tensorflow = import_tensorflow()
    tensorflow.get_logger().setLevel("ERROR")  # of graphs traced anew, a bundle each
    tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
    tensorflow.config.threading.set_inter_op_parallelism_threads(threads)


def main() -> int:
    """Run the command."""
    arguments = parse()
    limit_threads(arguments.threads)
    rows = []
    with tempfile.TemporaryDirectory(prefix="hubbub-benchmark-") as folder:
        scratch = Path(folder)
        bundles = arguments.bundles or [make_bundle(scratch / name, name) for name in arguments.networks]
        for path in bundles:
            ways = open_ways(path, arguments.formats, arguments.windows, scratch)
            times: dict[str, list[float]] = {way.name: [] for way in ways}
            for _ in range(arguments.rounds):
                for way in ways:
                    started = time.perf_counter()
                    way.score()
                    times[way.name].append(time.perf_counter() - started)
            keras_s = float(np.median(times["Keras"]))
            for way in ways:
                took = float(np.median(times[way.name]))
                figures = (f"{arguments.windows / took:.0f}", f"{keras_s / took:.2f}", f"{way.open_s:.2f}")
                rows.append((path.name, way.name, *figures, f"{way.megabytes:.1f}", way.difference or "-"))
    title = f"Exported models, {arguments.windows} windows, {arguments.threads} threads, median of {arguments.rounds}"
    print_table(title, ("bundle", "way", "windows/s", "x Keras", "open s", "MB", "largest difference"), rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
