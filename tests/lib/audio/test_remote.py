"""Recordings fetched from buckets: bounded copies, checked content, and who is to blame when there is none."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import pytest

from hubbub.audio import remote
from hubbub.audio.remote import BucketError, CopyCache, cached_copy, fetch, local_copy, temporary_copy
from hubbub.errors import DecodeError, FileChanged
from hubbub.io.paths import parse_path
from tests.servers.proxy import Faults, proxy
from tests.servers.server import Server, forget_connections

BLOCK = 1000
"""Bytes asked for at once in these tests, so that small objects come in many blocks."""


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "BLOCK_BYTES", BLOCK)


@pytest.fixture
def put(s3: str, moto_server: Server) -> Callable[[str, bytes], str]:
    """Put an object; returns its version."""
    client = moto_server.client()

    def do(key: str, data: bytes) -> str:
        return client.put_object(Bucket=s3.removeprefix("s3://"), Key=key, Body=data)["ETag"]

    return do


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7])
def test_what_is_fetched_is_what_lies_there(s3: str, put: Callable, tmp_path: Path, blocks: None, size: int):
    data = os.urandom(size)
    version = put("a b#.wav", data)
    for asked in (version, None, "12-34"):
        copy = fetch(parse_path(f"{s3}/a b#.wav"), tmp_path, asked)
        assert copy.path.read_bytes() == data
        assert (copy.path.name, copy.version, copy.size_bytes) == ("a b#.wav", version, size)


def test_a_local_file_is_given_itself(tmp_path: Path):
    with local_copy(tmp_path / "not even there.wav", "1-2") as path:
        assert path == tmp_path / "not even there.wav"


def test_another_version_is_refused(s3: str, put: Callable, tmp_path: Path):
    for data in (b"some", b""):
        version = put("a.wav", data + b"thing")
        put("a.wav", data)
        with pytest.raises(FileChanged, match="changed since it was indexed; index it again"):
            fetch(parse_path(f"{s3}/a.wav"), tmp_path, version)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("new", [b"y" * 3 * BLOCK, b"y" * 10])
def test_content_that_changes_between_two_blocks_is_refused(
    s3: str, put: Callable, tmp_path: Path, blocks: None, new: bytes
):
    put("a.wav", b"x" * 3 * BLOCK)
    with pytest.raises(FileChanged):
        fetch(parse_path(f"{s3}/a.wav"), tmp_path, make_room=lambda size: put("a.wav", new))
    assert list(tmp_path.iterdir()) == []


def test_only_so_many_bytes_are_kept_and_what_is_read_stays(s3: str, put: Callable, tmp_path: Path):
    versions = [put(f"{number}.wav", bytes(100)) for number in range(4)]
    copies = CopyCache(tmp_path, kept_bytes=250)

    def got(number: int):
        return copies.held(parse_path(f"{s3}/{number}.wav"), versions[number])

    with got(0) as first, got(1), got(2):
        assert len(list(tmp_path.iterdir())) == 3  # more than may be kept, but all are read
    assert first.exists()
    with got(3) as path:
        assert not first.exists()  # the oldest makes room
    held = [next(folder.iterdir()).name for folder in tmp_path.iterdir()]
    assert sorted(held) == ["1.wav", "3.wav"]
    with got(3) as again:
        assert again == path  # not fetched again


def test_a_recording_larger_than_all_that_is_kept_is_there_while_it_is_read(s3: str, put: Callable, tmp_path: Path):
    version = put("long.wav", bytes(1000))
    copies = CopyCache(tmp_path, kept_bytes=250)
    with copies.held(parse_path(f"{s3}/long.wav"), version) as path:
        assert path.stat().st_size == 1000
    assert list(tmp_path.iterdir()) == []


def test_without_a_version_new_content_is_seen(s3: str, put: Callable, tmp_path: Path):
    copies, source = CopyCache(tmp_path), parse_path(f"{s3}/a.wav")
    for data in (b"old", b"old", b"new!"):
        put("a.wav", data)
        with copies.held(source, None) as path:
            assert path.read_bytes() == data


def test_threads_share_one_copy(s3: str, put: Callable, tmp_path: Path):
    version, copies, source = put("a.wav", bytes(10_000)), CopyCache(tmp_path), parse_path(f"{s3}/a.wav")
    found: list[Path] = []

    def read() -> None:
        with copies.held(source, version) as path:
            assert len(path.read_bytes()) == 10_000
            found.append(path)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_a_failed_fetch_is_tried_again_by_the_next(s3: str, put: Callable, tmp_path: Path):
    copies, source = CopyCache(tmp_path), parse_path(f"{s3}/a.wav")
    with pytest.raises(DecodeError), copies.held(source, None):
        pass
    put("a.wav", b"now")
    with copies.held(source, None) as path:
        assert path.read_bytes() == b"now"


def test_a_full_disk_says_where_and_what_to_do(s3: str, put: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    put("a.wav", bytes(5 * 2**20))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=66 * 2**20))
    with pytest.raises(DecodeError, match=r"a\.wav cannot be fetched to /.*: 5 MiB, .* room for 2; set TMPDIR"):
        fetch(parse_path(f"{s3}/a.wav"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_names_that_files_cannot_have_are_fetched_all_the_same(s3: str, put: Callable, tmp_path: Path):
    for key in ("n" * 700 + ".wav", "x/..", "ü" * 200 + ".wav"):
        put(key, b"data")
        copy = fetch(parse_path(f"{s3}/x") / ".." if key == "x/.." else parse_path(f"{s3}/{key}"), tmp_path)
        assert copy.path.read_bytes() == b"data"
        assert copy.path.resolve().parent.parent == tmp_path


def test_a_passing_copy_goes(s3: str, put: Callable):
    put("a.wav", b"data")
    with temporary_copy(parse_path(f"{s3}/a.wav")) as copy:
        assert copy.path.read_bytes() == b"data"
    assert not copy.path.exists()


_READER = """
import sys, time
from hubbub.audio.remote import cached_copy
from hubbub.io.paths import parse_path
print(cached_copy(parse_path(sys.argv[1])), flush=True)
time.sleep(float(sys.argv[2]))
"""


def _reader(source: str, folder: Path, seconds: float) -> tuple[subprocess.Popen[str], Path]:
    """A process that keeps a copy of a recording and then sleeps; with the copy."""
    words = [sys.executable, "-c", _READER, source, str(seconds)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(folder)})
    assert process.stdout is not None
    return process, Path(process.stdout.readline().rstrip("\n"))


def test_copies_go_with_their_process_and_after_a_kill_with_the_next(s3: str, put: Callable, tmp_path: Path):
    put("a.wav", b"data")
    killed, left = _reader(f"{s3}/a.wav", tmp_path, 60)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert left.read_bytes() == b"data"
    living, used = _reader(f"{s3}/a.wav", tmp_path, 60)
    done, _ = _reader(f"{s3}/a.wav", tmp_path, 0)
    assert done.wait() == 0
    assert not left.exists()
    assert [path.name for path in tmp_path.iterdir()] == [used.parent.parent.name]  # only what is read now
    living.kill()
    living.wait()


def test_a_bad_line_is_borne(s3: str, put: Callable, tmp_path: Path, blocks: None, moto_server: Server, monkeypatch):
    """Errors, resets and answers cut short, one request in four: in the end every byte is right."""
    data = os.urandom(20 * BLOCK + 3)
    version = put("a.wav", data)
    monkeypatch.setattr(remote, "_NOT_YET_S", 0.01)
    faults = Faults(error_500=0.05, slow_down=0.05, reset=0.05, cut_answer=0.1)
    with proxy(moto_server.url, faults, seed=3) as between:
        moto_server.at(between.url).reach(monkeypatch)
        assert fetch(parse_path(f"{s3}/a.wav"), tmp_path, version).path.read_bytes() == data


class _Refusing(BaseHTTPRequestHandler):
    """Answers as S3 does when it refuses: for each key its own code; ``may-list`` buckets can be listed."""

    codes = {
        "gone": (404, "NoSuchKey"),
        "denied": (403, "AccessDenied"),
        "archived": (403, "InvalidObjectState"),
        "long": (400, "KeyTooLongError"),
        "stranger": (403, "InvalidAccessKeyId"),
        "forged": (403, "SignatureDoesNotMatch"),
        "late": (403, "RequestTimeTooSkewed"),
        "nowhere": (404, "NoSuchBucket"),
        "moved": (301, "PermanentRedirect"),
    }

    def do_GET(self) -> None:
        bucket, _, key = unquote(self.path.partition("?")[0]).strip("/").partition("/")
        if not key and bucket == "may-list":
            return self._answer(200, "<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>")
        status, code = self.codes[key.removesuffix(".wav")] if key else (403, "AccessDenied")
        return self._answer(status, f"<Error><Code>{code}</Code><Message>Never mind.</Message></Error>")

    def _answer(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server that refuses everything."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        Server(f"http://127.0.0.1:{server.server_port}", "KNOWN-KEY", "SECRET-KEY").reach(monkeypatch)
        yield
        server.shutdown()
    forget_connections()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("s3://b/gone.wav", r"^gone\.wav cannot be opened \(no such key: gone\.wav in bucket b\)$"),
        ("s3://may-list/denied.wav", r"denied\.wav cannot be opened \(no permission for denied\.wav in bucket"),
        ("s3://b/archived.wav", r"archived\.wav cannot be opened \(it is archived; restore it first"),
        ("s3://b/long.wav", "the key is too long"),
    ],
)
def test_what_one_key_is_to_blame_for_is_one_clips_failure(refusing: None, address: str, message: str, tmp_path: Path):
    with pytest.raises(DecodeError, match=message):
        fetch(parse_path(address), tmp_path)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("s3://b/denied.wav", r"refuses \(AccessDenied\): the credentials given have no permission.* no such key"),
        ("s3://b/stranger.wav", r"refuses \(InvalidAccessKeyId\)"),
        ("s3://b/forged.wav", r"refuses \(SignatureDoesNotMatch\)"),
        ("s3://b/late.wav", "this machine's time, which is off; set its clock"),
        ("s3://b/nowhere.wav", r"^cannot read s3://b/nowhere\.wav: there is no bucket b$"),
        ("s3://b/moved.wav", "answers PermanentRedirect"),
    ],
)
def test_what_all_clips_would_fail_of_stops_the_run(refusing: None, address: str, message: str, tmp_path: Path):
    with pytest.raises(BucketError, match=message) as told:
        fetch(parse_path(address), tmp_path)
    assert "SECRET-KEY" not in str(told.value)
    assert "KNOWN-KEY" not in str(told.value)


def test_who_has_no_credentials_reads_what_is_open_to_all(
    s3: str, moto_server: Server, monkeypatch: pytest.MonkeyPatch
):
    bucket = s3.removeprefix("s3://")
    moto_server.client().put_object(Bucket=bucket, Key="a.wav", Body=b"data", ACL="public-read")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    forget_connections()
    with pytest.raises(BucketError, match="no credentials for http.*; set AWS_ACCESS_KEY_ID .*AWS_NO_SIGN_REQUEST=YES"):
        cached_copy(parse_path(f"{s3}/a.wav"))
    monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
    assert cached_copy(parse_path(f"{s3}/a.wav")).read_bytes() == b"data"


@pytest.mark.parametrize("secret", ["right", "wrong"])
def test_a_gateway_that_checks_lets_in_who_may(ceph: str, ceph_gateway: Server, monkeypatch, secret: str):
    ceph_gateway.client().put_object(Bucket=ceph.removeprefix("s3://"), Key="a #.wav", Body=b"data")
    source = f"{ceph}/a #.wav"
    if secret == "right":
        assert cached_copy(parse_path(source)).read_bytes() == b"data"
        with pytest.raises(DecodeError, match="no such key"):
            cached_copy(parse_path(f"{ceph}/gone.wav"))
        return
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret-of-mine")
    forget_connections()
    with pytest.raises(BucketError, match="SignatureDoesNotMatch") as told:
        cached_copy(parse_path(source))
    assert "wrong-secret-of-mine" not in str(told.value)
