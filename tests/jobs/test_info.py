"""`hubbub info` as a person sees it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hubbub.store.info import summarise_store
from hubbub.store.opening import open_store
from hubbub.store.parts import read_part, write_part
from tests.jobs.command import hubbub, refuse, succeed

PNG = b"\x89PNG\r\n\x1a\n"


def test_everything_is_told(store: Path):
    said = succeed("info", store)
    for words in (
        "6, of 216 frames x 128 bands",
        "6 ok, 0 failed, 0 retired",
        "times: ",
        "log-mel",
        "numpy 2.",
        "built",
    ):
        assert words in said, said
    assert open_store(store).settings_hash in said
    assert "\x1b" not in said, "no colours without a terminal"


def test_labels_are_bars_with_their_counts(store: Path):
    lines = succeed("info", store).splitlines()
    (cat,) = [line.split() for line in lines if line.startswith("cat ")]
    assert cat == ["cat", "3", "3", "#" * 40]


def test_json_is_one_object_with_all_of_it(store: Path):
    told = json.loads(succeed("info", store, "--json"))
    assert told == json.loads(json.dumps(summarise_store(open_store(store)).as_json()))
    assert told["labels"] == [{"label": "cat", "clips": 3, "rows": 3}, {"label": "dog", "clips": 3, "rows": 3}]


def test_failures_are_told_by_reason(bad_archive: Path, tmp_path: Path):
    succeed("index", bad_archive, "-o", tmp_path / "clips.parquet")
    made = hubbub("features", tmp_path / "clips.parquet", "-o", tmp_path / "store", "--cluster", "serial")
    assert made.returncode == 1
    said = succeed("info", tmp_path / "store")
    assert "7 ok, 4 failed" in said
    assert "failed, DecodeError: 2 clips, such as " in said
    assert "failed, NonFiniteAudio: 1 clip, such as cat/nan.wav" in said


def test_of_many_labels_the_most_frequent_are_shown(store: Path, tmp_path: Path):
    copy = tmp_path / "store"
    shutil.copytree(store, copy)
    opened = open_store(copy)
    for shard in opened.committed():
        rows, mark = read_part(opened.rows_folder, shard)
        lines = [
            line | {"labels": [*line["labels"], *(f"kind {n:02d}" for n in range(40))]} for line in rows.to_pylist()
        ]
        write_part(opened.rows_folder, shard, type(rows).from_pylist(lines, schema=rows.schema), mark)
    said = succeed("info", copy)
    assert "kind 29" in said
    assert "kind 30" not in said
    assert "… and 12 more labels, each of 6 clips or fewer; --json lists all" in said


def test_a_store_full_of_holes_gets_a_hint(store: Path, tmp_path: Path):
    copy = tmp_path / "store"
    shutil.copytree(store, copy)
    opened = open_store(copy)
    first = opened.committed()[0]
    rows, mark = read_part(opened.rows_folder, first)
    for number in range(1, 6):
        retired = [line | {"status": "retired"} for line in rows.to_pylist()]
        write_part(
            opened.rows_folder,
            first + 10 * number,
            type(rows).from_pylist(retired, schema=rows.schema),
            mark | {"unit": first + 10 * number},
        )
    done = hubbub("info", copy)
    assert done.returncode == 0
    assert f"hubbub compact {copy}" in " ".join(done.stderr.split())
    assert "hubbub compact" not in hubbub("info", store).stderr


def test_a_run_that_broke_off_is_told(store: Path, tmp_path: Path):
    copy = tmp_path / "store"
    shutil.copytree(store, copy)
    document = copy / "features.zarr" / "zarr.json"
    held = json.loads(document.read_text())
    held["attributes"]["hubbub"]["clips"] = 9
    document.write_text(json.dumps(held))
    assert "6 of 9 clips stored: a run broke off" in hubbub("info", copy).stderr


def test_a_sheet_is_drawn_whole_or_not_at_all(store: Path, tmp_path: Path):
    sheet = tmp_path / "sheet.png"
    succeed("info", store, "--plot", sheet)
    assert sheet.read_bytes().startswith(PNG)
    sheet.write_bytes(b"mine")
    assert "is something else than a picture" in refuse("info", store, "--plot", sheet)
    assert sheet.read_bytes() == b"mine"
    assert "give a name that ends with .png" in refuse("info", store, "--plot", tmp_path / "sheet.jpg")
    said = refuse("info", store, "--plot", sheet / "under" / "a-file.png")
    assert f"{sheet} is a file; give a folder for a picture" in said
    assert sorted(tmp_path.iterdir()) == [sheet]


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_what_is_no_store_is_refused(tmp_path: Path, words: list[str]):
    assert "is no feature store; make one with" in refuse("info", tmp_path, *words)
    assert "is no feature store; make one with" in refuse("info", tmp_path / "none # such", *words)
    (tmp_path / "features.zarr").mkdir()
    (tmp_path / "features.zarr" / "zarr.json").write_text("{}")
    assert "is no description of a feature store" in refuse("info", tmp_path, *words)
    assert "expected a local path or s3://bucket/prefix" in refuse("info", "gs://bucket/store", *words)
