"""`hubbub demo` in short: one epoch instead of many, and all in one process; everything else as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from hubbub.labels.tables import open_labels
from tests.jobs.command import refuse, succeed

SHORT = ("--epochs", 1, "--cluster", "serial")


@pytest.mark.usefixtures("few_scenes")
def test_the_demo_ends_with_a_report_and_a_second_one_has_nothing_left_to_do(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    said = succeed("demo", "-o", out, *SHORT)
    assert f"report: {out / 'report.html'}" in said
    assert "demo: done" in said
    truth = pd.read_csv(out / "soundscapes" / "truth.csv")
    assert truth.groupby("uri").size().between(5, 8).all()
    assert truth["uri"].nunique() == 3
    files = open_labels(out / "labels").files()
    assert files["duration_s"].to_list() == [60.0] * 3
    evaluation = json.loads((out / "evaluation" / "evaluation.json").read_text())
    assert evaluation["clips"] == 20
    page = (out / "report.html").read_text()
    assert page.count("<audio") == 3 + page.count("and was taken for <b>")  # recordings, and the model's mistakes
    assert "http://" not in page.replace("http://www.w3.org/", "")

    again = succeed("demo", "-o", out, *SHORT)
    assert "train: was done already" in again
    assert again.count("0 clips, 0 windows, in 0 units") == 2


def test_the_demo_says_where_its_sounds_are(tmp_path: Path) -> None:
    assert "they come with the repository" in refuse("demo", "-o", tmp_path / "demo", "--data", tmp_path)
