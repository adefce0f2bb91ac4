"""The servers and the proxy do what they say, for every other test of storage rests on them."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from tests.servers.proxy import Faults, Proxy, proxy
from tests.servers.server import Server

BODY = random.Random(7).randbytes(300_000)
ONCE = {"retries": {"total_max_attempts": 1}, "read_timeout": 1, "connect_timeout": 5}
"""A client that says what it met instead of trying again."""

ANSWER = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=1\r\nhello\r\n0\r\nA: b\r\n\r\n"
"""Of a server that sends chunks, with an extension and a trailer."""

WHAT_A_CLIENT_SEES = {
    "error_500": "InternalError",
    "slow_down": "SlowDown",
    "reset": "Connection was closed|ConnectionClosed|Connection reset|Could not connect",
    "lost_answer": "Connection was closed|Connection reset",
    "stall": "Read timeout",
}


@pytest.fixture
def bucket(s3: str) -> str:
    return s3.removeprefix("s3://")


@pytest.fixture
def between(moto_server: Server) -> Iterator[Proxy]:
    with proxy(moto_server.url) as running:
        yield running


def test_a_bucket_is_reached_from_here_and_from_a_command(s3: str) -> None:
    import s3fs

    s3fs.S3FileSystem().pipe(f"{s3}/a b/ü#1", b"here")
    code = f"import s3fs; print(s3fs.S3FileSystem().cat('{s3}/a b/ü#1'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "b'here'", done.stderr


def test_the_users_own_settings_do_not_lead_elsewhere(
    moto_server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    moto_server.reach(monkeypatch)
    assert "AWS_PROFILE" not in os.environ
    assert "AWS_ENDPOINT_URL_S3" not in os.environ
    assert "AWS_PROFILE" not in moto_server.whole_environment()


def test_ceph_is_reached_and_refuses_a_wrong_secret(ceph: str, ceph_gateway: Server) -> None:
    name = ceph.removeprefix("s3://")
    ceph_gateway.client().put_object(Bucket=name, Key="a", Body=b"there")
    assert ceph_gateway.keys(ceph) == ["a"]
    wrong = Server(ceph_gateway.url, ceph_gateway.key, "wrong")
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        wrong.client().list_buckets()


def test_a_signature_over_the_proxys_address_verifies(ceph: str, ceph_gateway: Server) -> None:
    name = ceph.removeprefix("s3://")
    with proxy(ceph_gateway.url) as between:
        client = ceph_gateway.at(between.url).client()
        client.put_object(Bucket=name, Key="a", Body=BODY)
        assert client.get_object(Bucket=name, Key="a")["Body"].read() == BODY
        with pytest.raises(ClientError, match="PreconditionFailed"):
            client.put_object(Bucket=name, Key="a", Body=b"other", IfNoneMatch="*")


def test_without_faults_everything_passes_unchanged(between: Proxy, moto_server: Server, bucket: str) -> None:
    client = moto_server.at(between.url).client()
    client.put_object(Bucket=bucket, Key="one", Body=BODY)
    client.put_object(Bucket=bucket, Key="none", Body=b"")
    assert client.get_object(Bucket=bucket, Key="one")["Body"].read() == BODY
    assert client.get_object(Bucket=bucket, Key="one", Range="bytes=-1000")["Body"].read() == BODY[-1000:]
    assert client.get_object(Bucket=bucket, Key="none")["Body"].read() == b""
    assert client.head_object(Bucket=bucket, Key="one")["ContentLength"] == len(BODY)
    assert [item["Key"] for item in client.list_objects_v2(Bucket=bucket)["Contents"]] == ["none", "one"]
    client.delete_object(Bucket=bucket, Key="none")
    with pytest.raises(ClientError, match="NoSuchKey"):
        client.get_object(Bucket=bucket, Key="none")
    assert not between.counts
    assert between.requests >= 9


def test_many_clients_at_once_do_not_mix(between: Proxy, moto_server: Server, bucket: str) -> None:
    def write_and_read(number: int) -> None:
        client, body = moto_server.at(between.url).client(), random.Random(number).randbytes(100_000)
        client.put_object(Bucket=bucket, Key=str(number), Body=body)
        right[number] = client.get_object(Bucket=bucket, Key=str(number))["Body"].read() == body

    right = dict.fromkeys(range(8), False)
    threads = [threading.Thread(target=write_and_read, args=(number,)) for number in right]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(right.values())


def test_chunks_continue_and_a_kept_connection_pass() -> None:
    heard, server = [], socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection, _ = server.accept()
        with connection, connection.makefile("rwb") as stream:
            for _ in range(2):
                while (line := stream.readline()) != b"\r\n":
                    heard.append(line)
                stream.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                stream.flush()
                while (line := stream.readline()) != b"\r\n":
                    heard.append(line)
                stream.write(
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=1\r\nhello\r\n0\r\nA: b\r\n\r\n"
                )
                stream.flush()

    threading.Thread(target=answer, daemon=True).start()
    head = b"PUT /x HTTP/1.1\r\nHost: as-given:1\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
    with proxy(f"http://127.0.0.1:{server.getsockname()[1]}") as between:
        with socket.create_connection((urlsplit(between.url).hostname, urlsplit(between.url).port)) as client:
            stream = client.makefile("rwb")
            for _ in range(2):
                stream.write(head)
                stream.flush()
                assert stream.readline() == b"HTTP/1.1 100 Continue\r\n"
                assert stream.readline() == b"\r\n"
                stream.write(b"3\r\nabc\r\n0\r\n\r\n")
                stream.flush()
                assert stream.read(len(ANSWER)) == ANSWER
    assert heard.count(b"Host: as-given:1\r\n") == 2
    assert heard.count(b"abc\r\n") == 2


@pytest.mark.parametrize("fault", list(WHAT_A_CLIENT_SEES))
@pytest.mark.parametrize("call", ["put", "get"])
def test_a_fault_is_seen_and_counted(fault: str, call: str, between: Proxy, moto_server: Server, bucket: str) -> None:
    moto_server.client().put_object(Bucket=bucket, Key="there", Body=BODY)
    client = moto_server.at(between.url).client(**ONCE)
    between.faults = Faults(**{fault: 1.0}, stall_s=3)
    what = {"Bucket": bucket, "Key": "new", "Body": BODY} if call == "put" else {"Bucket": bucket, "Key": "there"}
    with pytest.raises((ClientError, BotoCoreError), match=WHAT_A_CLIENT_SEES[fault]):
        getattr(client, f"{call}_object")(**what)
    assert between.counts == {fault: 1}
    written = "new" in moto_server.keys(f"s3://{bucket}")
    assert written == (call == "put" and fault == "lost_answer")


def test_a_cut_answer_ends_early(between: Proxy, moto_server: Server, bucket: str) -> None:
    moto_server.client().put_object(Bucket=bucket, Key="there", Body=BODY)
    between.faults = Faults(cut_answer=1.0)
    with pytest.raises((BotoCoreError, HTTPClientError), match="IncompleteRead|Connection broken|incomplete"):
        moto_server.at(between.url).client(**ONCE).get_object(Bucket=bucket, Key="there")["Body"].read()
    assert between.counts == {"cut_answer": 1}


def test_a_cut_request_leaves_no_object(ceph_gateway: Server, ceph: str) -> None:
    with proxy(ceph_gateway.url, Faults(cut_request=1.0)) as between:
        with pytest.raises(BotoCoreError):
            ceph_gateway.at(between.url).client(**ONCE).put_object(Bucket=ceph[5:], Key="new", Body=BODY)
        assert between.counts == {"cut_request": 1}
        assert ceph_gateway.keys(ceph) == []


def test_faults_come_as_often_as_asked_and_the_same_for_a_seed() -> None:
    faults = Faults(error_500=0.1, reset=0.2, cut_answer=0.05)
    drawn = [[faults.draw(chance)[0] for _ in range(4000)] for chance in (random.Random(3), random.Random(3))]
    assert drawn[0] == drawn[1]
    shares = {name: drawn[0].count(name) / 4000 for name in ("error_500", "reset", "cut_answer", None)}
    assert shares == pytest.approx({"error_500": 0.1, "reset": 0.2, "cut_answer": 0.05, None: 0.65}, abs=0.03)
