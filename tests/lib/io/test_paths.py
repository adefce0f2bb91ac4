"""Places and what is done to files there: the same on a disk and in a bucket."""

from __future__ import annotations

import errno
import os
import pickle
import threading
from pathlib import Path

import pytest

from hubbub.errors import StorageError, StoreError, UsageError
from hubbub.io import atomic, folders, storage_options
from hubbub.io.paths import StoragePath, is_local, parse_path
from hubbub.io.storage_options import load_storage_file
from tests.servers.server import Server, forget_connections

NAMES = ["plain", "two words", "a#b?c", "straße ☃", "100%25", "[x]*", "k=v&w"]
"""Names of files and folders, which mean nothing but themselves."""


@pytest.fixture(params=["disk", "bucket"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> StoragePath:
    """An empty folder, once here and once in a bucket."""
    return tmp_path / "root" if request.param == "disk" else parse_path(f"{request.getfixturevalue('s3')}/root")


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("a/b.wav", "a/b.wav"),
        ("/a b#?%20.wav", "/a b#?%20.wav"),
        ("file:///a%20b%23.wav", "/a b#.wav"),
        ("file:///a#b?c", "/a#b?c"),
        ("s3:/a", "s3:/a"),  # a path, if a strange one
    ],
)
def test_local_places(text: str, local: str):
    assert parse_path(text) == Path(local)
    assert is_local(parse_path(text))


@pytest.mark.parametrize("name", NAMES)
def test_places_in_buckets_are_keys_letter_by_letter(s3: str, name: str):
    found = parse_path(f"{s3}/x y/{name}")
    assert not is_local(found)
    assert found.path == f"{s3}/x y/{name}".removeprefix("s3://")
    assert str(found) == f"{s3}/x y/{name}"
    assert found.name == name
    assert (parse_path(s3) / "x y" / name).path == found.path
    assert parse_path(f"{s3}/x y/{name}/").path == found.path
    assert pickle.loads(pickle.dumps(found)).path == found.path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("http://host/a", "http:// is not read or written; expected a local path or s3://bucket/prefix"),
        ("S3://bucket/a", "S3:// is not read"),
        ("s3://", "names no bucket"),
        ("s3:///a", "names no bucket"),
        ("s3://bucket/a/../b", "has the part '..', which no folder can have"),
        ("s3://bucket/./b", "has the part '.'"),
        ("s3://bucket//b", "has the part ''"),
        ("s3://bucket/q?versionId=3", "versionId"),  # which s3fs cuts off, and writes to the key before it
    ],
)
def test_what_is_no_place(text: str, message: str):
    with pytest.raises(UsageError, match=message.replace(".", r"\.")):
        parse_path(text)


def test_places_hold_no_credentials(s3: str, moto_server: Server):
    found = parse_path(f"{s3}/a")
    for text in (repr(found), str(found), repr(pickle.dumps(found)), repr(found.storage_options)):
        assert moto_server.secret not in text
        assert f"'{moto_server.key}'" not in text


@pytest.mark.parametrize("name", NAMES)
def test_bytes_come_back(root: StoragePath, name: str):
    path = root / "deep" / name
    for data in (b"one", b"", os.urandom(3000)):
        atomic.write_bytes(path, data)
        assert path.read_bytes() == data
    assert folders.list_names(root / "deep") == [name]
    assert folders.list_sizes(root) == {f"deep/{name}": 3000}
    with atomic.local_file(path) as local:
        assert local.read_bytes() == data
    folders.remove_file(path)
    folders.remove_file(path)
    assert folders.list_names(root / "deep") == []


def test_writing_ends_whole_or_not_at_all(root: StoragePath):
    path = root / "x" / "file.bin"
    atomic.write_bytes(path, b"before")
    with pytest.raises(ZeroDivisionError), atomic.atomic_write(path) as partial:
        partial.write_bytes(b"half" * (1 // 0))
    assert path.read_bytes() == b"before"
    with atomic.atomic_write(path) as partial:
        partial.write_bytes(b"after")
    assert path.read_bytes() == b"after"
    assert folders.list_names(root / "x") == ["file.bin"]


def test_of_many_who_create_one_file_one_does(root: StoragePath, monkeypatch: pytest.MonkeyPatch):
    if is_local(root):
        monkeypatch.setattr(os, "getpid", threading.get_ident)  # each a process of its own
    done: list[bool] = []
    threads = [
        threading.Thread(target=lambda n=n: done.append(atomic.create_if_absent(root / "claim", b"%d" % n)))
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [False] * 5 + [True]
    assert atomic.create_if_absent(root / "claim", b"late") is False
    assert (root / "claim").read_bytes() != b"late"


def test_names_are_of_direct_children_alone(root: StoragePath):
    for name in ("b/c/d", "b/e", "a", "bb"):
        atomic.write_bytes(root / name, b"x")
    assert sorted(folders.list_names(root)) == ["a", "b", "bb"]
    assert sorted(folders.list_names(root / "b")) == ["c", "e"]
    assert folders.list_names(root / "nowhere") == []
    assert folders.list_sizes(root / "nowhere") == {}


def test_removing_a_folder_leaves_its_neighbours(root: StoragePath):
    for name in ("x/1", "x/y/2", "x2/3", "x.txt"):
        atomic.write_bytes(root / name, b"x")
    folders.remove_tree(root / "x")
    folders.remove_tree(root / "x")
    assert sorted(folders.list_sizes(root)) == ["x.txt", "x2/3"]


def test_removing_a_folder_takes_its_name_for_no_pattern(root: StoragePath):
    for name in ("x*/1", "xy/2", "[ab]/3", "a/4"):
        atomic.write_bytes(root / name, b"x")
    folders.remove_tree(root / "x*")
    folders.remove_tree(root / "[ab]")
    assert sorted(folders.list_sizes(root)) == ["a/4", "xy/2"]


def test_foreign_folders_and_files_are_refused(root: StoragePath):
    atomic.write_bytes(root / "mine" / "mark", b"{}")
    folders.refuse_foreign_folder(root / "mine", "mark", "the thing")
    folders.refuse_foreign_folder(root / "new", "mark", "the thing")
    atomic.write_bytes(root / "theirs" / "notes.txt", b"PAR0")
    with pytest.raises(StoreError, match=r"theirs holds something else \(notes.txt\); give a new folder for the thing"):
        folders.refuse_foreign_folder(root / "theirs", "mark", "the thing")
    with pytest.raises(StoreError, match="is something else than a table"):
        folders.refuse_foreign_file(root / "theirs" / "notes.txt", b"PAR1", "a table")
    with pytest.raises(StoreError, match="is a folder; give a file for a table"):
        folders.refuse_foreign_file(root / "theirs", b"PAR1", "a table")
    with pytest.raises(StoreError, match=r"x\.csv: a table is a \.parquet file; give a name such as x\.parquet"):
        folders.refuse_foreign_file(root / "x.csv", b"PAR1", "a table", ".parquet")
    folders.refuse_foreign_file(root / "new" / "x.parquet", b"PAR1", "a table", ".parquet")
    with pytest.raises(StoreError, match="is a folder; give a file for a table"):
        folders.refuse_foreign_file(root / "theirs", b"PAR1", "a table", ".parquet")


def test_a_file_within_a_file_is_refused(tmp_path: Path):
    (tmp_path / "notes.txt").write_bytes(b"PAR1")
    with pytest.raises(StoreError, match=r"notes\.txt is a file; give a folder for a table"):
        folders.refuse_foreign_file(tmp_path / "notes.txt" / "deep" / "x.parquet", b"PAR1", "a table")


def test_a_bucket_that_is_not_there_is_no_traceback(s3: str):
    path = parse_path("s3://there-is-no-such-bucket/x/a")
    for write in (atomic.write_bytes, atomic.create_if_absent):
        with pytest.raises(StorageError, match=r"cannot write s3://there-is-no-such-bucket/x/a: .*no such bucket"):
            write(path, b"x")


def test_a_full_disk_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"cannot write .*a: No space left on device; free some space"):
        atomic.write_bytes(tmp_path / "a", b"x")
    assert folders.list_names(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("endpoint: x", r"unknown entry 'endpoint': did you mean 'endpoint_url'\?"),
        ("- a", "expected a mapping with endpoint_url"),
        ("secret_access_key: 12345", "'secret_access_key' is no text; write it in quotes"),
        ("anonymous: please", "'anonymous' is no true or false"),
        ("a: [", "cannot be read"),
        ("!!python/object/apply:os.system ['true']", "cannot be read"),
    ],
)
def test_storage_files_that_do_not_do(tmp_path: Path, text: str, message: str):
    file = tmp_path / "storage.yaml"
    file.write_text(text)
    before = dict(os.environ)
    with pytest.raises(UsageError, match=message) as told:
        load_storage_file(file)
    assert "12345" not in str(told.value)
    assert dict(os.environ) == before


def test_a_storage_file_is_the_environment_of_this_process(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(storage_options, "_used", {})
    monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "")
    (tmp_path / "storage.yaml").write_text("secret_access_key: 'x y'\nanonymous: true\n")
    load_storage_file(tmp_path / "storage.yaml")
    assert os.environ["AWS_SECRET_ACCESS_KEY"] == "x y"
    assert storage_options.is_anonymous()
    assert storage_options.storage_environment() == {"AWS_SECRET_ACCESS_KEY": "x y", "AWS_NO_SIGN_REQUEST": "YES"}


def test_a_gateway_that_refuses_is_understood(ceph: str, monkeypatch: pytest.MonkeyPatch):
    """Reading and writing with a wrong secret: who refuses and why, and not the secret."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-wrong-secret")
    forget_connections()
    path = parse_path(f"{ceph}/x/a")
    with pytest.raises(StorageError, match="cannot write .*refuses .*no permission") as written:
        atomic.write_bytes(path, b"x")
    with (
        pytest.raises(UsageError, match="cannot read .*refuses .*no permission") as looked,
        atomic.explain_read_errors(path),
    ):
        path.exists()
    assert "a-wrong-secret" not in f"{written.value}{looked.value}"
