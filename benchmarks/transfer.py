"""Networks for photographs on spectrograms: what frozen layers cost once, and upper layers each epoch, and what for.

    python benchmarks/transfer.py --source ESC10 [--models mobilenet-v2,…] [--side-px N] [--weights imagenet|FILE]
    python benchmarks/transfer.py --source ESC10 --pretrain 40 --models mobilenet-v2 --side-px 96

ESC10 is a folder of ESC-10's clips. Features are those of the default settings; fold 1 tests. In the first form each
network trains in two stages: the pass over its frozen layers, an epoch of the last layer on what they gave, and an
epoch of the upper layers are timed, the latter two the median of all but the first, in which graphs are made.

In the second form, weights are made first: the whole network trains on half of the classes, from random weights. Then
the last layer trains on the other half, on frozen layers with these weights, and with random ones.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from arguments import list_of, positive
from table import print_table

import hubbub
from hubbub.clips.table import ClipTable
from hubbub.models.backends import import_keras
from hubbub.store.features import FeatureStore

MODELS = ("mobilenet-v2", "efficientnet-b0", "inception-v3")
EPOCHS = 6
"""Of a training that is timed: three of each stage."""

HEAD_EPOCHS = 40
"""Of a last layer that is measured."""

TEST_FOLD = 1


@dataclass
class Clock:
    """When things happened in a training, s."""

    outputs: list[float] = field(default_factory=list)
    """Begin and last row of the frozen layers' outputs."""

    epochs: list[float] = field(default_factory=list)
    """End of each epoch."""

    rows: int = 0

    def note_rows(self, done: int, total: int) -> None:
        """Take the time after each batch of outputs."""
        self.rows = total
        self.outputs.append(time.perf_counter())

    def note_epoch(self, line: dict[str, float]) -> None:
        """Take the time after an epoch."""
        self.epochs.append(time.perf_counter())

    @property
    def pass_s(self) -> float:
        """Seconds of the pass over frozen layers; the first batch, in which graphs are made, counts as the mean."""
        n_batches = len(self.outputs)
        return (self.outputs[-1] - self.outputs[0]) * n_batches / (n_batches - 1)

    def epoch_s(self, first: int, last: int) -> float:
        """Median seconds of some epochs, whose first one is not counted."""
        ends = self.epochs[first:last]
        return statistics.median(after - before for before, after in zip(ends, ends[1:], strict=False))


def build_store(table: ClipTable, folder: Path, labels: Sequence[str] | None = None) -> FeatureStore:
    """Compute the features of ESC-10, or of some of its classes."""
    if labels is not None:
        chosen = [row["labels"][0] in labels for row in table.rows.select(["labels"]).to_pylist()]
        table = ClipTable(table.rows.filter(chosen), table.root)
    return hubbub.build_features(table, folder, cluster="serial")


def train(store: FeatureStore, out: Path, model: str, **options: Any) -> Clock:
    """Train, and take the time."""
    from hubbub.learn.train import train as run

    clock = Clock()
    run(store, out, model=model, test_fold=TEST_FOLD, on_rows=clock.note_rows, on_epoch=clock.note_epoch, **options)
    return clock


def time_stages(store: FeatureStore, folder: Path, model: str, weights: str, side_px: int | None) -> tuple[str, ...]:
    """One line of the table of times."""
    settings = {"model.side_px": side_px}
    clock = train(store, folder / model, model, weights=weights, settings=settings, epochs=EPOCHS)
    head_s, upper_s = clock.epoch_s(0, EPOCHS // 2), clock.epoch_s(EPOCHS // 2, EPOCHS)
    figures = (f"{clock.pass_s:.1f}", f"{head_s:.2f}", f"{upper_s:.1f}", f"{clock.pass_s / clock.rows * 1000:.1f}")
    return (model, str(side_px or "its own"), str(clock.rows), *figures)


def measure_weights(
    table: ClipTable, folder: Path, model: str, side_px: int | None, epochs: int
) -> list[tuple[str, ...]]:
    """Lines of the table of accuracies: random weights, and those that were made on other classes."""
    labels = sorted({row["labels"][0] for row in table.rows.select(["labels"]).to_pylist()})
    half = len(labels) // 2
    made = build_store(table, folder / "made", labels[:half])
    asked = build_store(table, folder / "asked", labels[half:])
    whole = {"model.side_px": side_px, "model.stages": "whole", "model.learning_rate": 0.003}
    train(made, folder / "whole", model, weights="random", settings=whole, epochs=epochs)
    head = {"model.side_px": side_px, "model.stages": "head", "model.learning_rate": 0.001}
    lines = []
    for name, weights in (("random", "random"), ("made on the others", str(folder / "whole" / "model.keras"))):
        out = folder / name.split()[0]
        clock = train(asked, out, model, weights=weights, settings=head, epochs=HEAD_EPOCHS)
        accuracy = hubbub.evaluate(out, asked).accuracy
        seconds = clock.epochs[-1] - clock.outputs[0]
        lines.append((model, str(side_px or "its own"), name, f"{accuracy:.1%}", f"{seconds:.0f}"))
    return lines


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="What transfer from networks for photographs costs, and brings.")
    parser.add_argument("--source", required=True, type=Path, help="folder of ESC-10, as downloaded")
    parser.add_argument("--models", type=list_of(MODELS), default=MODELS, help=f"{','.join(MODELS)}; default: all")
    parser.add_argument("--side-px", type=positive, help="side of the image; default: each network's own")
    parser.add_argument("--weights", default="random", help="imagenet, random or a file; times are the same (random)")
    parser.add_argument("--pretrain", type=positive, metavar="EPOCHS", help="make weights on half of the classes")
    return parser.parse_args()


def main() -> int:
    """Run the command."""
    arguments = parse()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import_keras()
    source = arguments.source / "esc10.csv" if (arguments.source / "esc10.csv").exists() else arguments.source
    table = hubbub.index(source)
    with tempfile.TemporaryDirectory(prefix="hubbub-benchmark-") as scratch:
        folder, lines = Path(scratch), list[tuple[str, ...]]()
        if arguments.pretrain:
            for model in arguments.models:
                lines += measure_weights(table, folder / model, model, arguments.side_px, arguments.pretrain)
            title = f"The last layer on half of the classes, {HEAD_EPOCHS} epochs; fold {TEST_FOLD} tests"
            print_table(title, ("network", "side px", "frozen layers with weights", "accuracy", "seconds"), lines)
            return 0
        store = build_store(table, folder / "store")
        for model in arguments.models:
            lines.append(time_stages(store, folder, model, arguments.weights, arguments.side_px))
            print(lines[-1], file=sys.stderr, flush=True)
    header = ("network", "side px", "rows", "frozen layers once, s", "epoch of the last layer, s")
    print_table(f"ESC-10 on {os.cpu_count()} cores", (*header, "epoch of the upper layers, s", "ms a row"), lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
