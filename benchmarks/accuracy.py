"""Measure how well models recognise the small data sets: folds times seeds, one recipe, no settings by hand.

    python benchmarks/accuracy.py --set tones --model default --seeds 3 -o /tmp/accuracy
    python benchmarks/accuracy.py --table /tmp/accuracy

Every training is a line of ``results.jsonl`` in the folder; the same command again does only what is missing. Test
folds are scored once, after training, and choose nothing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from arguments import positive
from data_sets import DATA_SETS, DataSetError, index_data_set, make_data_set

if TYPE_CHECKING:
    from hubbub.store.features import FeatureStore

MODELS = ("random-forest", "seed-cnn", "default")

RESULTS = "results.jsonl"

FEATURES: Mapping[str, Mapping[str, Any]] = {"random-forest": {"frontend.name": "descriptors"}}
"""Settings of the features of a model; the others take the defaults of ``hubbub features``."""

DRAWS = 10_000
"""Resamples of the bootstrap."""


@dataclass(frozen=True)
class Training:
    """One training and its scores on the clips of its test fold."""

    set: str
    model: str
    seed: int
    fold: int
    clips: int
    """Clips of the test fold."""
    accuracy: float
    """Share of them whose highest score is at their label."""
    macro_f1: float
    """Mean F1 over the labels."""
    seconds: float
    """Wall seconds of the training alone; features and evaluation are left out."""


def read_results(folder: Path) -> list[Training]:
    """Read the trainings done so far; a line that broke off is left out."""
    path = folder / RESULTS
    found = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            found.append(Training(**json.loads(line)))
        except ValueError:
            continue
    return found


def add_result(folder: Path, done: Training) -> None:
    """Append a training; the line before it may have broken off."""
    path = folder / RESULTS
    is_whole = not path.exists() or path.read_bytes()[-1:] in (b"\n", b"")
    with path.open("a") as file:
        file.write(("" if is_whole else "\n") + json.dumps(asdict(done)) + "\n")


def measure(name: str, model: str, *, seeds: int, folder: Path, source: Path | None) -> None:
    """Train and score what is missing of a row of the table."""
    store = make_store(name, model, folder, source)
    rows = store.rows()
    done = {(one.set, one.model, one.seed, one.fold) for one in read_results(folder)}
    for seed in range(seeds):
        for fold in sorted(int(fold) for fold in rows["fold"].dropna().unique()):
            if (name, model, seed, fold) in done:
                continue
            run = fit_forest if model == "random-forest" else train_network
            clips, accuracy, macro_f1, seconds = run(store, model, fold, seed, folder)
            add_result(folder, Training(name, model, seed, fold, clips, accuracy, macro_f1, seconds))
            print(
                f"{name}, {model}, seed {seed}, fold {fold}: accuracy {accuracy:.1%}, macro F1 {macro_f1:.3f}, "
                f"{seconds:.1f} s",
                flush=True,
            )


def make_store(name: str, model: str, folder: Path, source: Path | None) -> FeatureStore:
    """Make the data set and the features of a model; what is there stays."""
    import hubbub

    csv_path = make_data_set(name, folder / "sets" / name, source=source)
    settings = FEATURES.get(model)
    kind = "default" if settings is None else model
    return hubbub.build_features(
        index_data_set(csv_path), folder / "stores" / f"{name}-{kind}", settings=settings, cluster="serial"
    )


Score = tuple[int, float, float, float]
"""Clips, accuracy, macro F1, and seconds of training."""


def train_network(store: FeatureStore, model: str, fold: int, seed: int, folder: Path) -> Score:
    """Train a network of hubbub's with its defaults, and score it on the fold it has not seen."""
    import hubbub

    out = folder / "bundles" / f"{store.path.name}-{model}-{seed}-{fold}"
    shutil.rmtree(out, ignore_errors=True)  # of a run that ended between training and scoring: its seconds are lost
    shutil.rmtree(out.with_name(out.name + ".partial"), ignore_errors=True)
    out.parent.mkdir(exist_ok=True)
    started = time.perf_counter()
    bundle = hubbub.train(store, out, model=model, test_fold=fold, seed=seed)
    seconds = time.perf_counter() - started
    found = hubbub.evaluate(bundle, store)
    shutil.rmtree(out)
    return len(found.predictions), found.accuracy, found.macro_f1, seconds


def fit_forest(store: FeatureStore, model: str, fold: int, seed: int, folder: Path) -> Score:
    """Fit scikit-learn's random forest, at its defaults but for 500 trees, to statistics over each clip's frames."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import accuracy_score, f1_score

    rows = store.rows()
    values = summarise_clips(store)
    labels = np.array([str(given[0]) for given in rows["labels"]])
    is_test = (rows["fold"] == fold).to_numpy(dtype=bool)
    started = time.perf_counter()
    forest = RandomForestClassifier(n_estimators=500, random_state=seed).fit(values[~is_test], labels[~is_test])
    seconds = time.perf_counter() - started
    guessed = forest.predict(values[is_test])
    true = labels[is_test]
    return len(true), float(accuracy_score(true, guessed)), float(f1_score(true, guessed, average="macro")), seconds


def summarise_clips(store: FeatureStore) -> npt.NDArray[np.float32]:
    """Mean, spread, least, median and largest value of each descriptor and of its change, float32 [row, 10 x band]."""
    rows = store.rows()
    read = store.read_rows([int(row) for row in rows["row"]])
    return np.stack([_summarise(one[:valid]) for one, valid in zip(read, rows["valid_frames"], strict=True)])


def _summarise(frames: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    parts = [frames, np.diff(frames, axis=0)] if len(frames) > 1 else [frames, np.zeros_like(frames)]
    functions = (np.mean, np.std, np.min, np.median, np.max)
    return np.concatenate([function(part, axis=0) for part in parts for function in functions]).astype(np.float32)


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and the ends of its 95 % interval: percentiles of the means of resampled trainings (folds x seeds)."""
    given = np.asarray(values, dtype=float)
    drawn = np.random.default_rng(0).choice(given, (DRAWS, len(given))).mean(axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(given.mean()), float(low), float(high)


def format_table(results: Sequence[Training]) -> Iterator[str]:
    """Lines of a Markdown table, a row a set and model, with the command that measures it."""
    yield "| set | model | trainings | accuracy, % (95 % interval) | macro F1 | seconds a training | command |"
    yield "|---|---|---|---|---|---|---|"
    for name in DATA_SETS:
        for model in MODELS:
            those = [one for one in results if (one.set, one.model) == (name, model)]
            if not those:
                continue
            mean, low, high = mean_interval([100 * one.accuracy for one in those])
            macro_f1, seconds = (
                float(np.mean([getattr(one, what) for one in those])) for what in ("macro_f1", "seconds")
            )
            seeds = len({one.seed for one in those})
            source = " --source ESC10" if name == "esc10" else ""
            command = f"python benchmarks/accuracy.py --set {name} --model {model} --seeds {seeds}{source} -o FOLDER"
            folds = len({one.fold for one in those})
            yield (
                f"| {name} | {model} | {len(those)} ({folds} folds x {seeds} seed{'s' * (seeds > 1)}) | {mean:.2f} "
                f"({low:.2f} to {high:.2f}) | {macro_f1:.3f} | {seconds:.1f} | `{command}` |"
            )


def main() -> None:
    """Measure a row, or print the table of those measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=sorted(DATA_SETS), help="which data set; made in the folder where missing")
    parser.add_argument("--model", choices=MODELS, help="which model")
    parser.add_argument("--seeds", type=positive, default=3, help="seeds of training (3)")
    parser.add_argument("--source", type=Path, help="for esc10: the folder that holds esc10.csv and audio/")
    parser.add_argument("-o", "--output", type=Path, help="folder for sets, stores and results, such as /tmp/accuracy")
    parser.add_argument("--table", type=Path, metavar="FOLDER", help="print the table of what a folder has")
    args = parser.parse_args()
    if args.table is not None:
        print("\n".join(format_table(read_results(args.table))))
        return
    if None in (args.set, args.model, args.output):
        parser.error("give --set, --model and -o FOLDER, or --table FOLDER")
    args.output.mkdir(parents=True, exist_ok=True)
    try:
        measure(args.set, args.model, seeds=args.seeds, folder=args.output, source=args.source)
    except DataSetError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
