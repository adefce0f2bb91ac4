"""`hubbub verify` as a user types it: on a disk and in a bucket, beside a run that goes on, and on label tables."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import soundfile
from typer.testing import CliRunner

from hubbub.clips.table import ClipTable, read_table, write_table
from hubbub.errors import HubbubError
from hubbub.io.atomic import write_bytes
from hubbub.io.folders import list_names, remove_file
from hubbub.io.lock import write_lock
from hubbub.io.paths import StoragePath, parse_path
from hubbub.jobs.cli import app
from hubbub.labels.reviews.journal import ReviewJournal
from hubbub.labels.schemas import label_schemas
from hubbub.labels.tables import LabelTables, create_labels, open_labels
from hubbub.store.features import FeatureStore
from hubbub.store.opening import open_store
from hubbub.store.parts import part_path, read_part, write_part
from tests.data.reviews import judge
from tests.jobs.command import hubbub, refuse, succeed

SMALL = [
    *("--cluster", "serial", "--set", "frontend.sample_rate=8000", "--set", "windows.duration_s=0.5"),
    *("--set", "windows.mode=all", "--set", "layout.rows_per_shard=4", "--set", "layout.rows_per_chunk=2"),
]


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    text: str


def run(*words: object) -> Said:
    """Run a command in this process."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        if not isinstance(done.exception, HubbubError):
            raise done.exception
        return Said(done.exception.exit_code, done.output + str(done.exception))
    return Said(done.exit_code, done.output)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sounds")
    for number in range(5):
        soundfile.write(folder / f"{number} ü#.wav", np.random.default_rng(number).normal(0, 0.1, 8000), 8000)
    return folder


@pytest.fixture(scope="module")
def small(sounds: Path, tmp_path_factory: pytest.TempPathFactory, table_order: None) -> Path:
    """A store of ten windows in shards 0 to 2, which tests only read."""
    folder = tmp_path_factory.mktemp("small")
    assert run("index", sounds, "-o", folder / "clips.parquet").code == 0
    assert run("features", folder / "clips.parquet", "-o", folder / "store", *SMALL).code == 0
    return folder / "store"


@pytest.fixture
def copy(small: Path, tmp_path: Path) -> Path:
    return shutil.copytree(small, tmp_path / "store")


def values_of(store: FeatureStore) -> dict[tuple[str, int], bytes]:
    rows = store.rows()
    values = store.read_rows(rows["row"].to_numpy(np.int64))
    return {(uri, window): v.tobytes() for uri, window, v in zip(rows["uri"], rows["window"], values, strict=True)}


def shard(store: StoragePath, number: int) -> StoragePath:
    return store / "features.zarr" / "features" / "c" / str(number) / "0" / "0"


def cut(path: StoragePath) -> None:
    write_bytes(path, path.read_bytes()[:-40])


def test_the_whole_way_in_processes_of_their_own(clips: Path, store: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(store, tmp_path / "store")
    before = values_of(open_store(store))
    cut(part_path(broken / "rows", 0))
    done = hubbub("verify", broken)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "rows/00000000.parquet: cannot be read, it is torn" in done.stdout
    assert f"hubbub verify {broken} --repair repairs" in done.stderr
    said = succeed("verify", broken, "--repair")
    assert "to do" in said
    assert "repair: done" in said
    assert values_of(open_store(broken)) == before
    assert "problems" in succeed("verify", broken, "--clips", clips)
    assert "neither a feature store nor label tables" in refuse("verify", tmp_path)


def test_workers_find_what_one_process_finds(copy: Path, tmp_path: Path) -> None:
    shard(copy, 0).unlink()
    cut(shard(copy, 2))
    log = tmp_path / "log.jsonl"
    serial = run("verify", copy, "--cluster", "serial")
    done = hubbub("verify", copy, "--cluster", "local", "--workers", 2, "--log-json", log)
    assert serial.code == done.returncode == 1
    found = [line for line in serial.text.splitlines() if line.startswith("features.zarr shard")]
    assert len(found) == 2
    assert found == [line for line in done.stdout.splitlines() if line.startswith("features.zarr shard")]
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(event["event"], event.get("unit")) for event in events] == [("problem", 0), ("problem", 2), ("end", None)]
    assert events[0]["clips"] == ["0 ü#.wav", "1 ü#.wav"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--cluster", "mars"), "expected serial, local or an address"),
        (("--cluster", "serial", "--workers", "2"), "--workers 2 goes with --cluster local"),
        (("--clips", "nowhere.parquet"), "nowhere.parquet does not exist"),
    ],
)
def test_what_is_asked_wrongly_is_refused(words: tuple[str, ...], message: str, small: Path) -> None:
    said = run("verify", small, *words)
    assert said.code == 2
    assert message in said.text


def test_a_run_that_goes_on_is_not_blamed_for_what_it_has_in_hand(copy: Path) -> None:
    part_path(copy / "rows", 1).unlink()  # its shard is there: so it looks between the two
    (copy / "rows" / ".00000007.parquet.partial-1").write_bytes(b"half")
    assert "is left over from a run that broke off" in run("verify", copy).text
    with write_lock(copy, "features"):
        said = run("verify", copy)
        assert said.code == 0, said.text
        assert re.search(r"a run is under way: .*hubbub features\) since", said.text)
        assert "left over" not in said.text
        cut(shard(copy, 0))
        assert "shard 0: rows cannot be decoded" in run("verify", copy).text
        refused = run("verify", copy, "--repair")
        assert refused.code == 2
        assert "is being written by" in refused.text
    assert run("verify", copy, "--repair").code == 0
    assert len(open_store(copy).rows()) == 10


@pytest.mark.usefixtures("table_order")
def test_retired_rows_are_checked_too(sounds: Path, tmp_path: Path) -> None:
    clips, store = tmp_path / "clips.parquet", tmp_path / "store"
    run("index", sounds, "-o", clips)
    run("features", clips, "-o", store, *SMALL)
    table = read_table(clips)
    write_table(ClipTable(table.rows.slice(1), table.root), clips)
    run("features", clips, "-o", store, "--cluster", "serial")
    assert (open_store(store).row_index()["status"] == "retired").sum() == 2
    assert run("verify", store, "--clips", clips).code == 0
    before, data = values_of(open_store(store)), bytearray(shard(store, 0).read_bytes())
    data[30] ^= 0xFF  # in the first chunk, which holds the retired rows and no other
    shard(store, 0).write_bytes(data)
    said = run("verify", store)
    assert said.code == 1
    assert "holds 0 ü#.wav" in said.text
    assert run("verify", store, "--repair").code == 0
    assert values_of(open_store(store)) == before
    assert run("verify", store, "--clips", clips).code == 0


@pytest.fixture
def compacted(sounds: Path, tmp_path: Path) -> Path:
    """A store whose clips but two were retired, and which then was compacted: shards 0 to 2 are there for readers."""
    clips, store = tmp_path / "clips.parquet", tmp_path / "store"
    run("index", sounds, "-o", clips)
    run("features", clips, "-o", store, *SMALL)
    table = read_table(clips)
    write_table(ClipTable(table.rows.slice(3), table.root), clips)
    run("features", clips, "-o", store, "--cluster", "serial")
    done = run("compact", store, "--cluster", "serial")
    assert done.code == 0, done.text
    assert open_store(store).committed() == [3]
    return store


def test_a_compacted_store_has_no_problem_and_a_broken_shard_of_it_is_mended(compacted: Path) -> None:
    assert run("verify", compacted).code == 0
    whole = values_of(open_store(compacted))
    assert len(whole) == 4
    cut(shard(compacted, 3))
    assert "shard 3: rows cannot be decoded" in run("verify", compacted).text
    mended = run("verify", compacted, "--repair")
    assert mended.code == 0, mended.text
    assert values_of(open_store(compacted)) == whole
    assert [path.name for path in sorted((compacted / "features.zarr/features/c").iterdir())] == ["0", "1", "2", "3"]


def test_a_compaction_that_broke_off_at_its_end_is_told_and_ended(compacted: Path) -> None:
    whole = values_of(open_store(compacted))
    rows, mark = read_part(compacted / "rows", 3)
    write_part(compacted / "rows", 2, rows, mark | {"unit": 2})
    said = run("verify", compacted)
    assert said.code == 1
    assert "rows/00000002.parquet: is left over from a compaction that broke off at its end" in said.text
    assert run("verify", compacted, "--repair").code == 0
    assert open_store(compacted).committed() == [3]
    assert values_of(open_store(compacted)) == whole


def test_a_store_in_a_bucket_is_checked_and_mended(small: Path, s3: str) -> None:
    there = parse_path(f"{s3}/stores/städte #1")
    for path in small.rglob("*"):
        if path.is_file() and not path.relative_to(small).parts[0].startswith("."):
            write_bytes(there / path.relative_to(small).as_posix(), path.read_bytes())
    whole = values_of(open_store(small))
    assert values_of(open_store(there)) == whole
    assert run("verify", there).code == 0
    remove_file(shard(there, 0))
    cut(shard(there, 1))
    cut(part_path(there / "rows", 2))
    write_bytes(shard(there, 9), b"left")
    remove_file(there / "features.zarr" / "features" / "zarr.json")
    said = run("verify", there)
    assert said.code == 1
    for words in (
        *(
            "shard 0: is missing, with the values of 4 rows",
            "shard 1: rows cannot be decoded",
            "shard 9: has no row part",
        ),
        *("rows/00000002.parquet: cannot be read, it is torn", "features/zarr.json: is missing; it can be written"),
    ):
        assert words in said.text
    mended = run("verify", there, "--repair")
    assert mended.code == 0, mended.text
    assert values_of(open_store(there)) == whole
    assert list_names(there / "broken") == []
    assert run("verify", there).code == 0


def test_a_bucket_out_of_reach_is_no_damage(copy: Path, s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is told to repair what is only not to be reached."""
    from tests.servers.server import forget_connections, free_port

    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setattr("hubbub.io.storage_options.REQUEST_ATTEMPTS", 1)
    forget_connections()
    said = run("verify", f"{s3}/store", "--repair")
    assert said.code == 2
    assert "no S3 server answers at" in said.text
    assert "torn" not in said.text


RUN: dict[str, Any] = {
    **{"model_hash": "m", "settings_hash": "s", "hop_s": 1.0, "labels": ["cat", "dog"], "settings": {}, "root": "/r"},
    **{"rules": {}, "command": "hubbub label /sounds --model /bundle --hop 1", "clips": 4},
}


@pytest.fixture
def tables(tmp_path: Path) -> LabelTables:
    """Label tables of four files in two units, each of two windows and one event."""
    made = create_labels(tmp_path / "labels", dict(RUN))
    schemas = label_schemas(pa.schema([]), 2)
    for unit in range(2):
        kept = [f"{unit}{letter}.wav" for letter in "ab"]
        files = [{"uri": uri, "clip_id": uri, "status": "ok", "attempts": 1, "windows": 2} for uri in kept]
        windows = [
            {"uri": uri, "clip_id": uri, "start_s": float(n), "end_s": n + 1.0, "scores": np.array([0.5, 0.25], "f2")}
            for uri in kept
            for n in range(2)
        ]
        event = {"label": "dog", "onset_s": 0.0, "offset_s": 1.0, "peak": 0.5, "mean": 0.5}
        made.write_unit(
            unit,
            files=pa.Table.from_pylist(files, schema=schemas.files),
            windows=pa.Table.from_pylist(windows, schema=schemas.windows),
            events=pa.Table.from_pylist([event | {"uri": uri, "clip_id": uri} for uri in kept], schema=schemas.events),
        )
    return made


def lay(path: Path, data: bytes) -> None:
    path.write_bytes(data)


LABEL_DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "torn files": (lambda p: cut(p / "files/00000001.parquet"), "unit 00000001: "),
    "torn windows": (lambda p: cut(p / "windows/00000000.parquet"), r"unit 00000000: .*holds 0a.wav, 0b.wav"),
    "no files": (lambda p: (p / "files/00000000.parquet").unlink(), r"windows/00000000.parquet: is left over"),
    "no windows": (lambda p: (p / "windows/00000000.parquet").unlink(), r"unit 00000000: .*holds 0a.wav, 0b.wav"),
    "no events": (lambda p: (p / "events/00000001.parquet").unlink(), r"unit 00000001: .*holds 1a.wav, 1b.wav"),
    "another unit's windows": (
        lambda p: shutil.copy(p / "windows/00000001.parquet", p / "windows/00000000.parquet"),
        "unit 00000000: .*belongs to another run",
    ),
}
"""What is done to label tables, and what verify says of it; a repair leaves `hubbub label` to be run again."""


@pytest.mark.parametrize("damage", LABEL_DAMAGES)
def test_damage_to_label_tables_is_named_and_put_aside(damage: str, tables: LabelTables) -> None:
    do, words = LABEL_DAMAGES[damage]
    assert run("verify", tables.path).code == 0
    do(tables.path)
    said = run("verify", tables.path)
    assert said.code == 1
    assert re.search(words, said.text), said.text
    mended = run("verify", tables.path, "--repair")
    assert mended.code == 1
    assert f"hubbub label /sounds --model /bundle --hop 1 -o {tables.path}" in mended.text
    assert len(open_labels(tables.path).committed()) == 1
    assert len(open_labels(tables.path).files()) == 2
    after = run("verify", tables.path)
    assert "2 of 4 files are there: a run broke off; run hubbub label again" in after.text


@pytest.mark.parametrize("name", ["windows/00000005.parquet", "events/00000005.parquet", "files/.1.parquet.partial-3"])
def test_what_a_killed_labelling_left_is_removed(name: str, tables: LabelTables) -> None:
    lay(tables.path / name, b"left")
    said = run("verify", tables.path)
    assert said.code == 1
    assert f"{name}: is left over from a run that broke off" in said.text
    assert run("verify", tables.path, "--repair").code == 0
    assert run("verify", tables.path).code == 0


def test_foreign_files_in_label_tables_are_named_and_left(tables: LabelTables) -> None:
    lay(tables.path / "files" / "notes.txt", b"mine")
    said = run("verify", tables.path, "--repair")
    assert said.code == 1
    assert "files/notes.txt: is nothing that hubbub wrote" in said.text
    assert (tables.path / "files" / "notes.txt").exists()
    assert "goes with a feature store" in run("verify", tables.path, "--clips", tables.path / "c").text


def test_reviews_belong_to_label_tables_and_torn_ones_are_named(tables: LabelTables) -> None:
    with ReviewJournal(tables.path, "ada") as journal:
        for number in range(3):
            journal.add(judge(number))
    lay(tables.path / "reviews" / ".a.parquet.partial-3-4", b"being written")
    assert run("verify", tables.path).code == 0
    lay(tables.path / "reviews" / "notes.txt", b"mine")
    part = next((tables.path / "reviews").glob("*.parquet"))
    cut(part)
    said = run("verify", tables.path, "--repair")
    assert said.code == 1
    assert f"reviews/{part.name}: " in said.text
    assert "reviews/notes.txt: is nothing that hubbub wrote" in said.text
    assert part.exists()  # a person's word is not ours to remove


@pytest.mark.slow
def test_damaged_labels_are_whole_after_a_repair_and_labelling_again(labels: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(labels, tmp_path / "labels")
    cut(broken / "files" / "00000000.parquet")
    said = refuse("verify", broken, "--repair", code=1)
    again = re.search(r"label the missing files again with: hubbub (.*)", said)
    assert again
    succeed(*again[1].split(), "--cluster", "serial")
    succeed("verify", broken)
    before, after = open_labels(labels), open_labels(broken)
    assert after.windows().equals(before.windows())
    assert after.events().equals(before.events())
