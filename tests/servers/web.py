"""A web server on loopback with pages and recordings, which misbehaves where it is told to."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import soundfile as sf

Answerer = Callable[["Handler"], None]


def make_audio(seed: int, *, duration_s: float = 0.5, kind: str = "WAV") -> bytes:
    """Make a recording that no other seed gives."""
    rng = np.random.default_rng(seed)
    out = io.BytesIO()
    sf.write(out, rng.uniform(-0.3, 0.3, int(16_000 * duration_s)), 16_000, format=kind)
    return out.getvalue()


@dataclass
class Site:
    """What a server has, and what it was asked.

    Attributes
    ----------
    files
        Contents by path; served with ETag, Last-Modified and ranges, as good servers do.
    answers
        Paths that are answered otherwise.
    robots
        Its robots.txt; None: it has none.
    requests
        Path, headers and time of every request, in order.
    most_at_once
        The most requests that were being answered at one time.
    """

    port: int = 0
    scheme: str = "http"
    files: dict[str, bytes] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    answers: dict[str, Answerer] = field(default_factory=dict)
    robots: str | None = None
    requests: list[tuple[str, dict[str, str], float]] = field(default_factory=list)
    most_at_once: int = 0
    at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def host(self) -> str:
        """Its host with the port."""
        return f"127.0.0.1:{self.port}"

    def asked(self, path: str) -> int:
        """How often a path was asked for."""
        return Counter(one[0] for one in self.requests)[path]


class Handler(BaseHTTPRequestHandler):
    """Answers requests of one connection."""

    protocol_version = "HTTP/1.1"
    site: Site

    def do_GET(self) -> None:
        """Answer as the site says."""
        site = self.site
        with site.lock:
            site.requests.append((self.path, dict(self.headers), time.monotonic()))
            site.at_once += 1
            site.most_at_once = max(site.most_at_once, site.at_once)
        try:
            with suppress(ConnectionError, ssl.SSLError):
                self._answer(site)
        finally:
            with site.lock:
                site.at_once -= 1

    def _answer(self, site: Site) -> None:
        if self.path == "/robots.txt" and self.path not in site.answers:
            self.send_body(*((200, site.robots.encode()) if site.robots is not None else (404, b"none")))
        elif self.path in site.answers:
            site.answers[self.path](self)
        elif self.path in site.files:
            self.send_file(site.files[self.path])
        else:
            self.send_body(404, b"<html><title>Not found</title>nothing here</html>", {"Content-Type": "text/html"})

    def send_body(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        """Send a whole answer."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def send_file(self, content: bytes, etag: str | None = None, *, cut: int | None = None) -> None:
        """Send a file as good servers do: 304 and ranges by its ETag; `cut`: break off after so many bytes."""
        etag = etag or f'"{hashlib.md5(content).hexdigest()}"'
        if self.headers.get("If-None-Match") == etag:
            self.send_response(304)
            self.end_headers()
            return
        begin, status = 0, 200
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and self.headers.get("If-Range") == etag:
            begin, status = int(asked[1]), 206
        part = content[begin:]
        self.send_response(status)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Content-Type", self.site.types.get(self.path, "audio/wav"))
        self.send_header("ETag", etag)
        self.send_header("Last-Modified", "Sat, 14 Mar 2026 07:05:00 GMT")
        if status == 206:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        self.wfile.write(part if cut is None else part[:cut])
        if cut is not None:
            self.break_off()

    def break_off(self) -> None:
        """Close the connection in the middle of an answer."""
        self.wfile.flush()
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serve(site: Site, certificate: Path | None = None) -> Iterator[Site]:
    """Serve a site until the context ends; over TLS with a certificate and its key in one PEM file."""
    handler = type("SiteHandler", (Handler,), {"site": site})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.block_on_close = False
    site.port = server.server_address[1]
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        site.scheme = "https"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answer(status: int, body: bytes = b"", **headers: str) -> Answerer:
    """Always answer the same."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler: handler.send_body(status, body, named)


def answer_first(times: int, first: Answerer, then: Answerer) -> Answerer:
    """Answer one way so many times, then the other."""
    left = [times]

    def both(handler: Handler) -> None:
        left[0] -= 1
        (first if left[0] >= 0 else then)(handler)

    return both


def drip(content: bytes, each: int = 1, pause_s: float = 0.02) -> Answerer:
    """Send a body a few bytes at a time."""

    def slowly(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        for at in range(0, len(content), each):
            handler.wfile.write(content[at : at + each])
            handler.wfile.flush()
            time.sleep(pause_s)

    return slowly


def endless(handler: Handler) -> None:
    """Send a body without a length and without an end."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(make_audio(0))
    while True:
        handler.wfile.write(bytes(2**16))


def bomb(size_bytes: int) -> Answerer:
    """Send zeros, compressed a thousand times, though nobody asked for it."""
    packed = gzip.compress(bytes(size_bytes), 9)
    return answer(200, packed, Content_Encoding="gzip", Content_Type="text/html")


def drip_headers(handler: Handler) -> None:
    """Send headers that never end, letter by letter."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        handler.wfile.write(b"a")
        handler.wfile.flush()
        time.sleep(0.05)


def make_city_site(cities: int = 3, moods: int = 2) -> Site:
    """Make an archive of city sounds: a page that lists places, and a page a place with its players."""
    site, number = Site(), 0
    places = "".join(
        f'<li><a href="?display=1&amp;location_ID={city}">City {city}</a></li>' for city in range(1, cities + 1)
    )
    site.files["/"] = f'<html><title>Sounds</title><a href="?display=2">about</a><ul>{places}</ul></html>'.encode()
    for city in range(1, cities + 1):
        players = ""
        for mood in ("calm", "busy", "eerie")[:moods]:
            number += 1
            path = f"mp3s/City{city}/City{city}_{mood}_{number}.mp3"
            site.files[f"/{path}"] = make_audio(number, kind="MP3")
            players += f'<audio controls src="{path}"></audio>'
        page = (
            f'<html><title>City {city}</title><time datetime="2026-0{city}-01">then</time><a href="/">up</a>{players}'
        )
        site.files[f"/?display=1&location_ID={city}"] = page.encode()
    site.types = {path: "text/html" for path in site.files if not path.endswith(".mp3")}
    return site
