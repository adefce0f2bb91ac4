"""Measure how well models recognise the small data sets: folds times seeds, one recipe, no settings by hand.

    python benchmarks/accuracy.py --sets tones --models default --seeds 3 -o /tmp/accuracy
    python benchmarks/accuracy.py --sets esc10 --models cnn-64,crnn --folds 1,2 --source ESC10 -o /tmp/accuracy
    python benchmarks/accuracy.py --table /tmp/accuracy

Each model trains on the features that it is made for (``hubbub settings --for NAME``). Every training is a line of
``results.jsonl`` in the folder; the same command again does only what is missing. Test folds are scored once, after
training, and choose nothing. It ends with the table of what the folder has.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from arguments import list_of, positive
from data_sets import DATA_SETS, FOLDS, DataSetError, index_data_set, make_data_set

from hubbub.config import Settings
from hubbub.config.network_features import HEADS, choose_features
from hubbub.config.recipes import DEFAULTS

if TYPE_CHECKING:
    from hubbub.store.features import FeatureStore

FOREST = "random-forest"

MODELS = (FOREST, *(name for name in DEFAULTS if name not in HEADS))

RESULTS = "results.jsonl"

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


def measure(name: str, model: str, *, seeds: int, folds: Sequence[int], folder: Path, source: Path | None) -> None:
    """Train and score what is missing of a row of the table."""
    store = make_store(name, model, folder, source)
    rows = store.rows()
    done = {(one.set, one.model, one.seed, one.fold) for one in read_results(folder)}
    for seed in range(seeds):
        for fold in sorted({int(fold) for fold in rows["fold"].dropna()}.intersection(folds)):
            if (name, model, seed, fold) in done:
                continue
            if model == FOREST:
                clips, accuracy, macro_f1, seconds = fit_forest(store, fold, seed)
            else:
                clips, accuracy, macro_f1, seconds = train_network(store, model, fold, seed, folder)
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
    settings = choose_settings(model)
    kind = "default" if settings == Settings() else model
    return hubbub.build_features(
        index_data_set(csv_path), folder / "stores" / f"{name}-{kind}", settings=settings, cluster="serial"
    )


def choose_settings(model: str) -> Settings:
    """Return the settings of a model's features."""
    from hubbub.config import load_settings

    return load_settings(None, ["frontend.name=descriptors"]) if model == FOREST else choose_features(model)


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


def fit_forest(store: FeatureStore, fold: int, seed: int) -> Score:
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
            yield (
                f"| {name} | {model} | {_count_trainings(those)} | {mean:.2f} ({low:.2f} to {high:.2f}) | "
                f"{macro_f1:.3f} | {seconds:.1f} | `{_write_command(those)}` |"
            )


def _count_trainings(those: Sequence[Training]) -> str:
    folds, seeds = len({one.fold for one in those}), len({one.seed for one in those})
    return f"{len(those)} ({folds} fold{'s' * (folds > 1)} x {seeds} seed{'s' * (seeds > 1)})"


def _write_command(those: Sequence[Training]) -> str:
    """The command that measures a row."""
    folds = sorted({one.fold for one in those})
    chosen = "" if len(folds) == FOLDS else f" --folds {','.join(map(str, folds))}"
    source = " --source ESC10" if those[0].set == "esc10" else ""
    return (
        f"python benchmarks/accuracy.py --sets {those[0].set} --models {those[0].model} "
        f"--seeds {len({one.seed for one in those})}{chosen}{source} -o FOLDER"
    )


def main() -> None:
    """Measure a row, or print the table of those measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", "--set", type=list_of(DATA_SETS), help="which data sets; made where missing")
    parser.add_argument("--models", "--model", type=list_of(MODELS), help=f"which models: {', '.join(MODELS)}")
    parser.add_argument("--seeds", type=positive, default=1, help="seeds of training (1)")
    every = tuple(range(1, FOLDS + 1))
    parser.add_argument("--folds", type=list_of(map(str, every)), default=every, help="which folds test (all)")
    parser.add_argument("--source", type=Path, help="for esc10: the folder that holds esc10.csv and audio/")
    parser.add_argument("-o", "--output", type=Path, help="folder for sets, stores and results, such as /tmp/accuracy")
    parser.add_argument("--table", type=Path, metavar="FOLDER", help="print the table of what a folder has")
    args = parser.parse_args()
    if args.table is not None:
        print("\n".join(format_table(read_results(args.table))))
        return
    if None in (args.sets, args.models, args.output):
        parser.error("give --sets, --models and -o FOLDER, or --table FOLDER")
    args.output.mkdir(parents=True, exist_ok=True)
    options = {"seeds": args.seeds, "folds": [int(fold) for fold in args.folds], "source": args.source}
    try:
        for name, model in product(args.sets, args.models):
            measure(name, model, **options, folder=args.output)
    except DataSetError as error:
        sys.exit(f"error: {error}")
    print("\n".join(format_table(read_results(args.output))))


if __name__ == "__main__":
    main()
