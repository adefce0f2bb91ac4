"""The walk-throughs in docs/recipes: what they show is run word by word on a small tree of their data set's shape."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from selectolax.lexbor import LexborHTMLParser

from tests.docs.pages import ROOT, Block, list_blocks
from tests.docs.recipe_trees import TREES
from tests.docs.serve_archive import make_archive_site
from tests.docs.warm import start_warm
from tests.jobs.command import COMMAND
from tests.servers.web import serve

PAGES = {page.stem: page for page in sorted((ROOT / "docs" / "recipes").glob("*.md"))}

ENVIRONMENT = {
    "DASK_SCHEDULER_ADDRESS": "serial",  # no worker processes: a few dozen clips are done before these have started
    "COLUMNS": "120",
    "MPLBACKEND": "agg",
}


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of `hubbub` and `python` that the pages' commands are."""
    with start_warm(tmp_path_factory.mktemp("warm")) as folder:
        yield folder


def run_page(page: Path, folder: Path, commands: Path, **environment: str) -> None:
    """Do in `folder` what a page says: run shell and Python, save YAML under the name in its first line.

    A block of text is what the blocks above it print: each of its lines is looked for, blanks and the frames of tables
    aside.
    """
    printed = ""
    for block in list_blocks(page):
        if block.language == "yaml":
            name = re.match(r"# (\S+\.yaml)\n", block.text)
            assert name, f"{block} does not begin with the name of the file that it is, such as # grid.yaml"
            (folder / name[1]).write_text(block.text, encoding="utf-8")
        elif block.language in ("sh", "console", "python"):
            printed += run_block(block, folder, commands, environment)
        elif block.language == "text":
            known = normalise(printed)
            missing = [line for line in block.text.split("\n") if normalise(line) not in known]
            assert not missing, f"{block} shows what is not printed: {missing}\n{printed}"


def run_block(block: Block, folder: Path, commands: Path, environment: Mapping[str, str]) -> str:
    """Run a block of a page as a reader would paste it; return what it printed."""
    command = [str(commands / "python"), "-c"] if block.language == "python" else ["bash", "-e", "-o", "pipefail", "-c"]
    path = os.pathsep.join([str(commands), str(COMMAND.parent), os.environ["PATH"]])
    done = subprocess.run(
        [*command, block.text],
        cwd=folder,
        env=os.environ | ENVIRONMENT | environment | {"PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{block}\n{block.text}\n{done.stdout}"
    return done.stdout


def normalise(text: str) -> str:
    """Return text without the frames of tables, every run of blanks as one."""
    return " ".join(re.sub(r"[│┌┐└┘├┤┬┴┼─━]", " ", text).split())


def check_picture(path: Path) -> None:
    with Image.open(path) as picture:
        picture.load()
        assert min(picture.size) > 100
        assert len(picture.convert("RGB").getcolors(2**24) or []) > 10, f"{path} is empty"


def read_report(path: Path) -> LexborHTMLParser:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    return LexborHTMLParser(text)


def check_evaluation(folder: Path, *, clips: int, at_least: float) -> pd.DataFrame:
    """Check an evaluation's number of clips, its accuracy and its report; return its predictions."""
    data = json.loads((folder / "evaluation.json").read_text())
    assert data["clips"] == clips
    assert data["accuracy"] >= at_least
    report = read_report(folder / "report.html")
    titles = [node.text() for node in report.css("h3")]
    assert {"Confusion matrix", "By class", "Learning curves", "Most confident mistakes"} <= set(titles)
    return pd.read_parquet(folder / "predictions.parquet")


def read_clips(path: Path) -> pd.DataFrame:
    clips = pd.read_parquet(path)
    return clips.assign(label=clips["labels"].str[0])


def check_urban_sounds(folder: Path, truth: dict[str, str]) -> None:
    clips = read_clips(folder / "clips.parquet")
    assert clips["split"].value_counts().to_dict() == {"train": 48, "test": 16}
    assert clips["label"].isna().equals(clips["split"] == "test")
    check_evaluation(folder / "evaluation", clips=12, at_least=0.6)

    predictions = pd.read_csv(folder / "predictions.csv", dtype={"ID": str})
    expected = {number: name for number, name in truth.items() if number.isdigit()}
    assert sorted(predictions["ID"], key=int) == sorted(expected, key=int)
    assert (predictions["Class"] == predictions["ID"].map(expected)).mean() >= 0.6

    archive = read_clips(folder / "archive" / "clips.parquet")
    assert {uri.split("/", 1)[1] for uri in archive["uri"]} == {name for name in truth if not name.isdigit()}
    assert set(zip(archive["city"], archive["mood"], strict=True)) == {
        ("berlin", "calm"),
        ("berlin", "chaotic"),
        ("lisbon", "calm"),
        ("lisbon", "chaotic"),
    }
    check_picture(folder / "cities.png")
    assert len(read_report(folder / "report.html").css("audio")) >= len(archive)


def check_log_mel_images(folder: Path, truth: None) -> None:
    import hubbub

    clips = read_clips(folder / "clips.parquet")
    assert clips.groupby("fold").size().tolist() == [12] * 5
    assert clips.groupby("group").size().tolist() == [2] * 30
    store = hubbub.open_store(folder / "store")
    assert store.settings.frontend.sample_rate == 44100
    rows = store.rows().assign(label=lambda rows: rows["labels"].str[0])
    copies = rows[rows["variant"] > 0]
    assert copies["label"].value_counts().to_dict() == {"crow": 20, "rain": 20, "siren": 20}
    done = {
        label: {kind for kind in ("time-stretch", "pitch-shift") if texts.str.contains(kind).all()}
        for label, texts in copies.groupby("label")["augmentation"]
    }
    assert done == {"crow": {"time-stretch", "pitch-shift"}, "siren": {"pitch-shift"}, "rain": {"time-stretch"}}
    check_picture(folder / "pictures.png")
    predictions = check_evaluation(folder / "evaluation", clips=12, at_least=0.7)
    assert predictions["uri"].str.startswith("1-").all()


def check_heart_sounds(folder: Path, truth: None) -> None:
    clips = read_clips(folder / "clips.parquet")
    is_test = clips["uri"].str.contains("unlabelledtest")
    assert clips["label"].isna().equals(is_test)
    assert (clips["label"] == clips["uri"].str.extract(r"/([a-z]+)_")[0])[~is_test].all()
    counts = json.loads((folder / "bundle" / "bundle.json").read_text())["rows"]
    assert counts["skipped"] == is_test.sum() == 6
    assert 0.1 <= counts["test"] / 64 <= 0.3
    assert 0.05 <= counts["validation"] / 64 <= 0.2
    check_picture(folder / "descriptors.png")
    check_evaluation(folder / "evaluation", clips=counts["test"], at_least=0.6)


def check_cats_and_dogs(folder: Path, truth: None) -> None:
    keys = ["split", "label"]
    folders, table = read_clips(folder / "clips.parquet"), read_clips(folder / "table.parquet")
    for clips in (folders, table):
        counts = clips.groupby(keys).size().to_dict()
        assert counts == {("train", "cat"): 24, ("train", "dog"): 24, ("test", "cat"): 8, ("test", "dog"): 8}
    names = [dict(zip(clips["uri"].str.split("/").str[-1], clips["label"], strict=True)) for clips in (folders, table)]
    assert names[0] == names[1]
    check_picture(folder / "spectrograms.png")
    predictions = check_evaluation(folder / "evaluation", clips=16, at_least=0.8)
    assert predictions["uri"].str.contains("/test/").all()


def check_urbansound8k(folder: Path, truth: None) -> None:
    clips = read_clips(folder / "clips.parquet")
    assert clips.groupby("fold").size().tolist() == [7] * 10
    for name in ("classes", "mel", "hertz", "views"):
        check_picture(folder / f"{name}.png")
    ranking = json.loads((folder / "sweep" / "sweep.json").read_text())["ranking"]
    tried = {(trial["model.learning_rate"], trial["train.batch_rows"]) for trial in ranking}
    assert tried == {(rate, rows) for rate in (0.0003, 0.001, 0.003) for rows in (8, 16, 32)}
    (evaluation,) = folder.glob("sweep/trials/*/evaluation")
    data = json.loads((evaluation / "evaluation.json").read_text())
    assert data["accuracy"] >= 0.5
    report = read_report(folder / "report.html")
    head = [node.text() for node in report.css("table.classes th")]
    assert {"precision", "recall", "dog_bark", "drilling", "siren", "street_music"} <= set(head)
    confusion = next(card for card in report.css("article.card") if "Confusion matrix" in card.text())
    assert len(confusion.css("table")) == 2  # counts, and shares of each class
    mistakes = report.css("article.recording")
    assert mistakes
    assert all(card.css_first("img") and card.css_first("audio") for card in mistakes)


CHECKS: dict[str, Callable[[Path, object], None]] = {
    "urban-sounds": check_urban_sounds,
    "log-mel-images": check_log_mel_images,
    "heart-sounds": check_heart_sounds,
    "cats-and-dogs": check_cats_and_dogs,
    "urbansound8k": check_urbansound8k,
}


LONG = {"urbansound8k", "log-mel-images", "urban-sounds", "heart-sounds"}
"""Pages that take most of the time of all: run by name. What they type is parsed by another test each time."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in CHECKS])
def test_the_walk_through_runs(name: str, tmp_path: Path, commands: Path) -> None:
    truth = TREES[name](tmp_path)
    with serve(make_archive_site(tmp_path / "site")) as archive:
        run_page(PAGES[name], tmp_path, commands, ARCHIVE=f"{archive.url}/")
    CHECKS[name](tmp_path, truth)


def test_every_page_has_a_tree_and_a_check() -> None:
    assert set(PAGES) == set(TREES) == set(CHECKS)


def test_what_is_shown_but_not_printed_would_be_seen(tmp_path: Path, commands: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```sh\necho '│clips │ 3│'\n```\n\n```text\nclips   4\n```\n")
    with pytest.raises(AssertionError, match="not printed"):
        run_page(page, tmp_path, commands)
    page.write_text("```sh\nfalse\necho done\n```\n")
    with pytest.raises(AssertionError, match="false"):
        run_page(page, tmp_path, commands)
