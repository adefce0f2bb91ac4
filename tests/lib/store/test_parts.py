"""Parts appear whole or not at all, whatever goes wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from hubbub.errors import StorageError, StoreError
from hubbub.io.atomic import write_json
from hubbub.io.folders import refuse_foreign_folder, sweep_partials
from hubbub.store.parts import list_part_numbers, part_path, read_part, write_part

TABLE = pa.table({"row": [1, 2], "labels": [["a"], []]})
BIG = pa.table({"noise": [os.urandom(4_000_000)]})


def test_a_part_comes_back_with_its_mark(tmp_path: Path):
    write_part(tmp_path, 7, TABLE, {"unit": 7, "settings_hash": "abc"})
    table, mark = read_part(tmp_path, 7)
    assert table.equals(TABLE)
    assert mark == {"unit": 7, "settings_hash": "abc"}
    assert part_path(tmp_path, 7).name == "00000007.parquet"
    assert [path.name for path in tmp_path.iterdir()] == ["00000007.parquet"]


def test_a_part_is_replaced_whole(tmp_path: Path):
    write_part(tmp_path, 1, TABLE, {})
    write_part(tmp_path, 1, TABLE.slice(0, 1), {})
    assert read_part(tmp_path, 1)[0].num_rows == 1


def test_numbers_are_of_whole_parts_only(tmp_path: Path):
    for name in ("00000002.parquet", "00000000.parquet", "00000001.partial-7", "00000003.parquet.bak", "1.parquet"):
        (tmp_path / name).touch()
    assert list_part_numbers(tmp_path) == [0, 2]
    assert list_part_numbers(tmp_path / "nowhere") == []


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_torn_part_says_what_to_do(tmp_path: Path, keep: int):
    write_part(tmp_path, 0, TABLE, {})
    path = part_path(tmp_path, 0)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(StoreError, match=r"00000000\.parquet cannot be read .*; move it away, and the next run"):
        read_part(tmp_path, 0)


def test_a_part_without_a_mark_is_foreign(tmp_path: Path):
    import pyarrow.parquet as pq

    pq.write_table(TABLE, part_path(tmp_path, 0))
    with pytest.raises(StoreError, match="cannot be read"):
        read_part(tmp_path, 0)
    with pytest.raises(StoreError, match="it is missing, though it was committed"):
        read_part(tmp_path, 1)


def test_a_full_disk_leaves_no_part(full_disk: Path):
    with pytest.raises(StorageError, match=r"No space left on device; free some space, then run the same command"):
        write_part(full_disk, 0, BIG, {})
    assert list(full_disk.iterdir()) == []


def test_a_full_disk_keeps_the_old_part(full_disk: Path):
    write_part(full_disk, 0, TABLE, {})
    with pytest.raises(StorageError, match="No space left"):
        write_part(full_disk, 0, BIG, {})
    assert read_part(full_disk, 0)[0].equals(TABLE)
    write_json(full_disk / "run.json", {"a": 1})
    with pytest.raises(StorageError, match="No space left"):
        write_json(full_disk / "run.json", {"a": "x" * 2_000_000})
    assert json.loads((full_disk / "run.json").read_text()) == {"a": 1}


def test_a_limit_on_file_sizes_is_a_storage_error_too(tmp_path: Path):
    """Where no disk can be mounted: the same, by the limit that a batch system sets."""
    program = """if True:
        import os, resource, signal, sys
        from pathlib import Path
        import pyarrow as pa
        from hubbub.errors import StorageError
        from hubbub.store.parts import write_part
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            write_part(Path(sys.argv[1]), 0, pa.table({"noise": [os.urandom(4_000_000)]}), {})
        except StorageError as error:
            print(error)
    """
    run = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True)
    assert "File too large" in run.stdout
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written(tmp_path: Path):
    """Permission bits do not bind root, who runs tests in containers; these do."""
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", Path("/proc")):
        with pytest.raises(StorageError, match="cannot write .*00000000.parquet"):
            write_part(place, 0, TABLE, {})
        with pytest.raises(StorageError, match=r"cannot write .*run\.json"):
            write_json(place / "run.json", {})


def test_a_read_only_file_system_is_named(full_disk: Path):
    subprocess.run(["mount", "-o", "remount,ro", full_disk], check=True)
    with pytest.raises(StorageError, match="it is mounted read-only"):
        write_part(full_disk, 0, TABLE, {})


def test_what_cannot_be_written_for_other_reasons_leaves_nothing(tmp_path: Path):
    with pytest.raises(TypeError):
        write_json(tmp_path / "run.json", {"a": object()})
    assert list(tmp_path.iterdir()) == []


def test_sweeping_takes_partials_only(tmp_path: Path):
    write_part(tmp_path / ".", 0, TABLE, {})
    (tmp_path / "deep").mkdir()
    for name in ("00000001.partial-7", "deep/c.partial", ".run.json.partial-3"):
        (tmp_path / name).touch()
    sweep_partials(tmp_path)
    assert {path.name for path in tmp_path.rglob("*")} == {"00000000.parquet", "deep"}


def test_foreign_folders_are_refused(tmp_path: Path):
    for name in ("new", "ours", "theirs", "hidden"):
        (tmp_path / name).mkdir()
    (tmp_path / "ours" / "mark").touch()
    (tmp_path / "ours" / "more").touch()
    for name in "abcd":
        (tmp_path / "theirs" / name).touch()
    (tmp_path / "hidden" / ".DS_Store").touch()
    (tmp_path / "file").touch()
    for fine in ("nowhere", "new", "ours", "hidden"):
        refuse_foreign_folder(tmp_path / fine, "mark", "the store")
    with pytest.raises(
        StoreError, match=r"theirs holds something else \(a, b, c, …\); give a new folder for the store"
    ):
        refuse_foreign_folder(tmp_path / "theirs", "mark", "the store")
    with pytest.raises(StoreError, match="file is a file; expected a folder for the store"):
        refuse_foreign_folder(tmp_path / "file", "mark", "the store")
