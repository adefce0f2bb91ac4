"""A server that speaks as much of S3 as `hubbub index` asks of a bucket, and makes its objects up page by page.

Every object is one tiny WAV, named ``site-007/0007123.wav``, fifty folders in all, as many objects as the bucket's name
says: ``s3://one-1000000/archive`` holds a million. A real server with so many takes longer to fill than to list.
"""

from __future__ import annotations

import io
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from urllib.parse import parse_qs, unquote, urlsplit

FOLDERS = 50
PREFIX = "archive/"
_PAGE = 1000


def name_bucket(count: int) -> str:
    """Address of the prefix with so many objects."""
    return f"s3://one-{count}/{PREFIX.rstrip('/')}"


@contextmanager
def serve() -> Iterator[str]:
    """Give the address of a server that runs in a process of its own until the context ends."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(there,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        process.terminate()
        process.join()


def _serve(caller: Connection) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    _Handler.sound = _make_sound()
    caller.send(server.server_address[1])
    server.serve_forever()


def _make_sound() -> bytes:
    import numpy as np
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(100, np.int16), 8000, format="WAV")
    return buffer.getvalue()


def _name(number: int, count: int) -> str:
    return f"{PREFIX}site-{number * FOLDERS // count:03d}/{number:07d}.wav"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    sound = b""

    def do_HEAD(self) -> None:
        self._answer(200 if self.path.endswith(".wav") else 404, b"", {})

    def do_GET(self) -> None:
        where = urlsplit(self.path)
        bucket, _, key = unquote(where.path).lstrip("/").partition("/")
        if not key:
            self._list(
                int(bucket.rpartition("-")[2]), {name: given[0] for name, given in parse_qs(where.query).items()}
            )
            return
        headers = {"ETag": '"0123456789abcdef"', "Last-Modified": "Sun, 17 May 2026 04:30:00 GMT"}
        headers["Content-Range"] = f"bytes 0-{len(self.sound) - 1}/{len(self.sound)}"
        self._answer(206, self.sound, headers)

    def _list(self, count: int, asked: dict[str, str]) -> None:
        first = int(asked.get("continuation-token", "0"))
        last = min(count, first + min(_PAGE, int(asked.get("max-keys", str(_PAGE)))))
        more = f"<NextContinuationToken>{last}</NextContinuationToken>" if last < count else ""
        if asked.get("delimiter") == "/":
            first = last = count
            more = "".join(
                f"<CommonPrefixes><Prefix>{PREFIX}site-{number:03d}/</Prefix></CommonPrefixes>"
                for number in range(FOLDERS)
            )
        objects = "".join(
            f"<Contents><Key>{_name(number, count)}</Key><LastModified>2026-05-17T04:30:00.000Z</LastModified>"
            f"<ETag>&quot;{number:032x}&quot;</ETag><Size>{len(self.sound)}</Size><StorageClass>STANDARD</StorageClass>"
            "</Contents>"
            for number in range(first, last)
        )
        body = (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Prefix>{PREFIX}</Prefix><KeyCount>{last - first}</KeyCount><MaxKeys>{_PAGE}</MaxKeys>"
            f"<IsTruncated>{str(last < count).lower()}</IsTruncated>{more}{objects}</ListBucketResult>"
        )
        self._answer(200, body.encode(), {"Content-Type": "application/xml"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of requests."""
