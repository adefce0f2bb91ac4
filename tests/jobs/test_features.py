"""`hubbub index`, `features` and `verify` as a user types them: what they do, and what bad input gets."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from hubbub.clips.table import ClipTable, read_table, write_table
from hubbub.io.lock import write_lock
from hubbub.store.opening import open_store
from tests.jobs.command import hubbub, refuse, succeed
from tests.jobs.conftest import BAD_FILES

SERIAL = ("--cluster", "serial")


def test_index_says_what_it_found(archive: Path, tmp_path: Path) -> None:
    said = succeed("index", archive, "-o", tmp_path / "clips.parquet")
    assert "cat 3, dog 3" in said
    assert {tuple(labels) for labels in read_table(tmp_path / "clips.parquet").rows["labels"].to_pylist()} == {
        ("cat",),
        ("dog",),
    }


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "holds no recordings; expected files such as .wav"),
        (lambda folder: (folder / "a.txt").write_text("x"), r"holds no recordings (found: 1 .txt)"),
        (lambda folder: folder.rmdir(), "does not exist; expected a folder of recordings or a CSV file"),
    ],
    ids=["an empty folder", "a folder of text files", "no folder"],
)
def test_index_refuses_a_source_without_recordings(make, message: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    make(source)
    assert message in refuse("index", source, "-o", tmp_path / "clips.parquet")
    assert not (tmp_path / "clips.parquet").exists()


def test_index_of_a_csv_names_the_columns_there_are(archive: Path, tmp_path: Path) -> None:
    file = archive / "list.csv"
    file.write_text("name,kind\n" + "".join(f"dog/{path.name},dog\n" for path in (archive / "dog").iterdir()))
    said = refuse("index", file, "-o", tmp_path / "c.parquet", "--path-column", "nam")
    assert "no column 'nam' (--path-column): did you mean 'name'? (known: kind, name)" in said
    assert "there are: name, kind" in refuse("index", file, "-o", tmp_path / "c.parquet")
    succeed("index", file, "-o", tmp_path / "c.parquet", "--path-column", "name", "--label-column", "kind")
    file.unlink()


def test_corrected_labels_reach_the_store_without_a_clip_computed_again(archive: Path, tmp_path: Path) -> None:
    copy, clips, store = shutil.copytree(archive, tmp_path / "archive"), tmp_path / "clips.parquet", tmp_path / "store"
    names = sorted(path.relative_to(copy).as_posix() for path in copy.rglob("*.ogg"))
    listed = copy / "list.csv"
    columns = ("--path-column", "name", "--label-column", "kind")
    listed.write_text("name,kind,site\n" + "".join(f"{name},dog,07\n" for name in names))
    succeed("index", listed, "-o", clips, *columns)
    succeed("features", clips, "-o", store, *SERIAL)
    assert set(open_store(store).rows()["site"]) == {"07"}
    before = open_store(store).read_rows(range(6))

    listed.write_text(
        "name,kind,site\n" + "".join(f"{name},{'wolf' if name == names[0] else 'dog'},07\n" for name in names)
    )
    succeed("index", listed, "-o", clips, *columns)
    said = succeed("features", clips, "-o", store, *SERIAL)
    assert "rows of 1 clip updated: other labels or columns" in said
    assert "0 clips, 0 windows, in 0 units" in said
    labels = open_store(store).rows().set_index("uri")["labels"]
    assert labels[names[0]] == ["wolf"]
    assert (labels.drop(names[0]).map(tuple) == ("dog",)).all()
    assert (open_store(store).read_rows(range(6)) == before).all()
    succeed("verify", store, "--clips", clips)
    assert "other labels" not in succeed("features", clips, "-o", store, *SERIAL)


def test_an_archive_may_move_but_another_one_with_the_same_names_is_refused(archive: Path, tmp_path: Path) -> None:
    here, clips, store = tmp_path / "here", tmp_path / "clips.parquet", tmp_path / "store"
    shutil.copytree(archive, here)
    succeed("index", here, "-o", clips)
    succeed("features", clips, "-o", store, *SERIAL)
    moved = here.rename(tmp_path / "there")
    succeed("index", moved, "-o", clips)
    assert "0 clips, 0 windows" in succeed("features", clips, "-o", store, *SERIAL)
    first, second = sorted((moved / "dog").iterdir())[:2]
    shutil.copy(second, first)
    succeed("index", moved, "-o", clips)
    assert f"built from clips under {here}; 1 clip under {moved}" in refuse("features", clips, "-o", store, *SERIAL)


def test_existing_files_of_others_are_not_overwritten(archive: Path, tmp_path: Path) -> None:
    for name, said in (("thesis.md", "give a name such as thesis.parquet"), ("thesis.parquet", "is not overwritten")):
        (tmp_path / name).write_text("years of work")
        assert said in refuse("index", archive, "-o", tmp_path / name)
        assert (tmp_path / name).read_text() == "years of work"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("gs://bucket/store", "gs:// is not read or written; expected a local path or s3://bucket/prefix"),
        ("https://host/store", "https:// is not read or written"),
        ("s3://", "names no bucket"),
        ("s3://bucket/a/../b", "has the part '..', which no folder can have"),
        ("s3://bucket/a//b", "has the part '', which no folder can have"),
        ("s3://bucket/store", "no S3 server answers at http://127.0.0.1:9 (Connection refused); check"),
    ],
)
def test_addresses_that_cannot_be_written_make_no_folder(clips: Path, tmp_path: Path, address: str, message: str):
    environment = os.environ | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    assert message in refuse("features", clips, "-o", address, *SERIAL, cwd=tmp_path, env=environment)
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_shows_the_plan_and_writes_nothing(clips: Path, tmp_path: Path) -> None:
    said = succeed("features", clips, "-o", tmp_path / "store", "--dry-run")
    assert "6 clips, 6 windows, in 1 unit" in said
    assert not (tmp_path / "store").exists()


def test_a_second_run_does_nothing_and_a_grown_table_only_the_new_clips(archive: Path, tmp_path: Path) -> None:
    grown = shutil.copytree(archive, tmp_path / "archive")
    held_back = next((grown / "dog").iterdir())
    held_back.rename(tmp_path / held_back.name)
    clips, store = tmp_path / "clips.parquet", tmp_path / "store"
    succeed("index", grown, "-o", clips)
    succeed("features", clips, "-o", store, *SERIAL)
    before = {path: path.stat().st_mtime_ns for path in store.rglob("[!.]*.*") if path.is_file()}

    assert "0 clips, 0 windows, in 0 units" in succeed("features", clips, "-o", store, *SERIAL)
    after = {path: path.stat().st_mtime_ns for path in store.rglob("[!.]*.*") if path.is_file()}
    claims = {path for path in after if path.parent.name == ".claims"}
    assert claims
    assert all(before.get(path) == after[path] for path in after.keys() - claims)

    (tmp_path / held_back.name).rename(held_back)
    succeed("index", grown, "-o", clips)
    assert "1 clip, 1 window, in 1 unit" in succeed("features", clips, "-o", store, *SERIAL)
    assert len(open_store(store).rows()) == 6
    succeed("verify", store, "--clips", clips)


def test_unreadable_files_among_good_ones_are_failed_rows(bad_archive: Path, tmp_path: Path) -> None:
    clips, store, log = tmp_path / "clips.parquet", tmp_path / "store", tmp_path / "log.jsonl"
    succeed("index", bad_archive, "-o", clips)
    said = refuse("features", clips, "-o", store, *SERIAL, "--log-json", log, code=1)
    assert "4 clips failed" in said
    assert "--retry-failed" in said
    row_index = open_store(store).row_index()
    failed = row_index[row_index["status"] == "failed"].set_index("uri")["error"]
    assert set(failed.index) == set(BAD_FILES)
    for uri, reason in BAD_FILES.items():
        assert failed[uri].startswith(reason)
        assert f"failed: {uri}: {reason}" in said
    assert len(open_store(store).rows()) == 7
    assert open_store(store).rows().set_index("uri")["valid_frames"]["dog/short.wav"] == 1 + 1000 // 512

    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["event"] for line in events] == ["plan", "unit", "end"]
    assert (events[-1]["ok"], events[-1]["failed"], events[-1]["missing"]) == (7, 4, 0)


def test_failed_clips_are_left_alone_until_they_are_asked_for(bad_archive: Path, tmp_path: Path) -> None:
    archive = shutil.copytree(bad_archive, tmp_path / "archive")
    clips, store = tmp_path / "clips.parquet", tmp_path / "store"
    away = archive / "cat" / "nothing.wav"
    shutil.copy(next((archive / "dog").glob("*.ogg")), away)
    succeed("index", archive, "-o", clips)
    away.rename(tmp_path / "away")
    refuse("features", clips, "-o", store, *SERIAL, code=1)
    again = hubbub("features", clips, "-o", store, *SERIAL)
    assert again.returncode == 1
    assert "0 clips, 0 windows, in 0 units" in again.stdout

    (tmp_path / "away").rename(away)  # as when a network drive comes back
    retried = hubbub("features", clips, "-o", store, *SERIAL, "--retry-failed")
    assert retried.returncode == 1
    assert "4 clips, 4 windows, in 1 unit" in retried.stdout
    rows = open_store(store).rows().set_index("uri")
    assert len(rows) == 8
    assert rows["attempts"]["cat/nothing.wav"] == 2
    succeed("verify", store)


def test_other_settings_are_another_store(clips: Path, store: Path, tmp_path: Path) -> None:
    said = refuse("features", clips, "-o", store, *SERIAL, "--set", "frontend.n_mels=64")
    held, asked = open_store(store).settings_hash, "b4b511a430128f3b"
    assert f"built with other settings ({held}; asked for {asked}): frontend.n_mels: 64, not 128" in said
    said = refuse("features", clips, "-o", store, *SERIAL, "--set", "layout.rows_per_shard=64")
    assert "laid out otherwise: rows_per_shard: 64, not 16" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--set", "frontend.n_mel=4"), "unknown setting 'frontend.n_mel': did you mean 'n_mels'?"),
        ((*SERIAL, "--set", "frontend.fmax_hz=20000"), "fmax_hz 20000 is above half the sample rate, 11025"),
        ((*SERIAL, "--set", "windows.duration_s"), "expected KEY=VALUE, such as frontend.n_mels=64"),
        ((*SERIAL, "--settings", "nowhere.yaml"), "settings file nowhere.yaml does not exist"),
        (("--cluster", "cloud"), "expected serial, local or an address such as tcp://host:8786"),
        (("--cluster", "serial", "--workers", 2), "--workers 2 goes with --cluster local"),
        (("--cluster", "tcp://127.0.0.1:1"), "no Dask scheduler answers at tcp://127.0.0.1:1 within 10 s"),
        ((*SERIAL, "--log-json", "/nowhere/log"), "--log-json /nowhere/log: No such file or directory"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_what_was_asked_wrongly_is_refused(
    options: tuple[object, ...], message: str, clips: Path, tmp_path: Path
) -> None:
    assert message in refuse("features", clips, "-o", tmp_path / "store", *options)


def test_outputs_that_hold_something_else_are_refused(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.md").write_text("years of work")
    assert "holds something else (thesis.md)" in refuse("features", clips, "-o", tmp_path, *SERIAL)
    assert "thesis.md is a file" in refuse("features", clips, "-o", tmp_path / "thesis.md", *SERIAL)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["thesis.md"]


def test_a_place_that_cannot_be_written_is_named(clips: Path) -> None:
    # /proc takes no new folders, from root either.
    assert "cannot write /proc/store" in refuse("features", clips, "-o", "/proc/store", *SERIAL, code=1)


def test_a_full_disk_stops_the_run_and_the_next_one_goes_on(clips: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    small = ("--set", "layout.rows_per_shard=2", "--set", "layout.rows_per_chunk=2")
    # Files over 20 kB cannot be written: a shard is larger, as on a disk that has just become full.
    limited = f"ulimit -f 20; trap '' XFSZ; exec {shutil.which('env')} \"$@\""
    import subprocess

    from tests.jobs.command import COMMAND

    words = [str(COMMAND), "features", str(clips), "-o", str(store), *SERIAL, *small]
    done = subprocess.run(["bash", "-c", limited, "bash", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "cannot write" in done.stderr
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert open_store(store).rows().empty
    succeed("features", clips, "-o", store, *SERIAL, *small)
    assert len(open_store(store).rows()) == 6
    succeed("verify", store, "--clips", clips)


def test_verify_names_a_row_that_was_changed(clips: Path, store: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(store, tmp_path / "store")
    shard = next(path for path in (broken / "features.zarr" / "features" / "c").rglob("*") if path.is_file())
    content = bytearray(shard.read_bytes())
    content[len(content) // 4] ^= 0xFF
    shard.write_bytes(content)
    done = hubbub("verify", broken)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "00000000" in done.stdout or "features.zarr shard 0: row" in done.stdout
    assert "neither a feature store nor label tables" in refuse("verify", tmp_path)


def test_a_store_from_the_dask_engine_equals_the_serial_one(clips: Path, store: Path, tmp_path: Path) -> None:
    said = succeed("features", clips, "-o", tmp_path / "store", "--workers", 2)
    assert "dashboard http://127.0.0.1:" in said
    ours, theirs = open_store(tmp_path / "store"), open_store(store)
    assert ours.rows().equals(theirs.rows())
    assert (ours.read_rows(range(6)) == theirs.read_rows(range(6))).all()


def test_a_summary_is_a_table_for_scikit_learn(clips: Path, tmp_path: Path) -> None:
    command = ("features", clips, "-o", tmp_path / "store", *SERIAL, "--set", "frontend.name=descriptors")
    said = succeed(*command, "--summary", "csv")
    assert "the means of 6 examples are in" in said
    table = pd.read_csv(tmp_path / "store" / "summary.csv")
    assert table["label"].value_counts().to_dict() == {"cat": 3, "dog": 3}
    numbers = table.loc[:, "rms":]  # type: ignore[misc]
    assert numbers.shape == (6, 37)
    assert np.isfinite(numbers.to_numpy()).all()
    again = succeed("features", clips, "-o", tmp_path / "store", *SERIAL, "--summary", "csv")
    assert "0 clips, 0 windows, in 0 units" in again, "a summary of a store that is there computes nothing anew"
    succeed("verify", tmp_path / "store")
    assert "--summary 'excel': expected csv" in refuse(*command, "--summary", "excel")


def test_a_run_that_made_nothing_does_not_decide_the_next_ones_settings(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hubbub.engine.clients._CONNECT_TIMEOUT_S", 0.5)
    nobody = ("--cluster", "tcp://127.0.0.1:9")
    assert "no Dask scheduler" in refuse("features", clips, "-o", tmp_path / "store", *nobody, own_process=False)
    succeed("features", clips, "-o", tmp_path / "store", *SERIAL, "--set", "frontend.n_mels=32")
    assert open_store(tmp_path / "store").n_bands == 32
    refuse("features", clips, "-o", tmp_path / "store", *SERIAL, "--set", "frontend.n_mels=16")


def test_clips_that_left_the_table_are_retired_and_come_back_for_nothing(clips: Path, tmp_path: Path) -> None:
    store, few = tmp_path / "store", tmp_path / "few.parquet"
    succeed("features", clips, "-o", store, *SERIAL)
    table, before = read_table(clips), open_store(store)
    rows, values = before.rows(), before.read_rows(before.rows()["row"])
    write_table(ClipTable(table.rows.slice(0, 4), table.root), few)

    said = hubbub("features", few, "-o", store, "--dry-run")
    assert "2 clips of the store missing from this clip table: marked `retired`" in said.stderr
    assert re.search(r"missing from the table, to retire +│ 2", said.stdout)
    assert len(open_store(store).rows()) == 6, "a dry run changes nothing"

    succeed("features", few, "-o", store, *SERIAL)
    assert set(open_store(store).rows()["clip_id"]) == set(table.rows["clip_id"].to_pylist()[:4])
    assert open_store(store).row_index()["status"].value_counts().to_dict() == {"ok": 4, "retired": 2}
    succeed("verify", store, "--clips", few)

    said_again = succeed("features", clips, "-o", store, *SERIAL)
    assert "0 clips, 0 windows, in 0 units" in said_again
    assert re.search(r"of these restored +│ 2", said_again)
    pd.testing.assert_frame_equal(open_store(store).rows(), rows)
    np.testing.assert_array_equal(open_store(store).read_rows(rows["row"]), values)


def test_a_clip_that_changed_is_made_anew_and_its_old_row_retired(archive: Path, tmp_path: Path) -> None:
    mine, clips, store = shutil.copytree(archive, tmp_path / "mine"), tmp_path / "clips.parquet", tmp_path / "store"
    succeed("index", mine, "-o", clips)
    succeed("features", clips, "-o", store, *SERIAL)
    one, other = sorted(mine.rglob("*.ogg"))[:2]
    shutil.copyfile(other, one)
    succeed("index", mine, "-o", clips)
    said = succeed("features", clips, "-o", store, *SERIAL)
    assert re.search(r"changed +│ 1", said)
    row_index, now = open_store(store).row_index(), open_store(store).rows()
    assert row_index["status"].value_counts().to_dict() == {"ok": 6, "retired": 1}
    assert len(now) == 6
    same = now.set_index("uri").loc[[path.relative_to(mine).as_posix() for path in (one, other)], "crc32"]
    assert same.nunique() == 1


def test_another_archive_is_not_taken_for_one_that_shrank(clips: Path, store: Path, tmp_path: Path) -> None:
    table = read_table(clips)
    others = pa.array([f"{number:032x}" for number in range(len(table))])
    write_table(ClipTable(table.rows.set_column(0, "clip_id", others), table.root), tmp_path / "others.parquet")
    said = refuse("features", tmp_path / "others.parquet", "-o", store, *SERIAL)
    assert "none of the 6 clips of" in said
    assert "give another -o" in said
    assert len(open_store(store).rows()) == 6


def test_a_second_builder_is_refused_with_who_holds_the_store(clips: Path, store: Path) -> None:
    with write_lock(store, "features"):
        said = refuse("features", clips, "-o", store, *SERIAL)
    assert f"(process {os.getpid()}, hubbub features) since 20" in said
    succeed("features", clips, "-o", store, *SERIAL)
