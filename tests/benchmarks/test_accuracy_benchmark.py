"""`benchmarks/accuracy.py`: several models and chosen folds in one command, and a table with the commands behind it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "accuracy.py"


def run(*words: object) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, BENCHMARK, *map(str, words)], capture_output=True, text=True)


@pytest.mark.slow
def test_a_fold_is_measured_and_printed_with_its_command(tmp_path: Path):
    done = run("--sets", "imbalanced", "--models", "random-forest", "--folds", "2", "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    measured, *table = done.stdout.splitlines()
    assert measured.startswith("imbalanced, random-forest, seed 0, fold 2: accuracy ")
    command = "--sets imbalanced --models random-forest --seeds 1 --folds 2 -o FOLDER"
    assert table[-1].startswith("| imbalanced | random-forest | 1 (1 fold x 1 seed) | ")
    assert command in table[-1]
    assert run("--table", tmp_path).stdout.splitlines() == table


def test_the_table_names_folds_that_are_not_all_and_the_seconds_of_a_fold(tmp_path: Path):
    lines = [
        json.dumps(
            {"set": "tones", "model": "crnn", "seed": 0, "fold": fold, "clips": 9, "accuracy": accuracy}
            | {"macro_f1": 0.5, "seconds": 10.0 * fold}
        )
        for fold, accuracy in ((1, 0.5), (2, 0.75))
    ]
    (tmp_path / "results.jsonl").write_text("\n".join([*lines, '{"broken off']))
    *_, row = run("--table", tmp_path).stdout.splitlines()
    command = "python benchmarks/accuracy.py --sets tones --models crnn --seeds 1 --folds 1,2 -o FOLDER"
    assert row == f"| tones | crnn | 2 (2 folds x 1 seed) | 62.50 (50.00 to 75.00) | 0.500 | 15.0 | `{command}` |"


def test_an_unknown_model_and_a_missing_folder_are_refused():
    assert "'cnn-46' is none of random-forest, default" in run("--sets", "tones", "--models", "cnn-64,cnn-46").stderr
    assert "give --sets, --models and -o FOLDER" in run("--sets", "tones", "--models", "cnn-64").stderr
