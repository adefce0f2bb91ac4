"""A proxy between a client and an S3 server that makes what the client sees worse, by seeded chance.

Requests and answers pass unchanged otherwise, their Host too: a signature over the proxy's address stays right.

::

    client  ->  Proxy (a thread with an event loop)  ->  server
            <-  500, 503, reset, silence, half a body
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from urllib.parse import urlsplit

_HEAD_LIMIT = 1 << 20
_BLOCK = 1 << 16
_PATIENCE_S = 60

_ERRORS = {
    "error_500": ("500 Internal Server Error", "InternalError", "We encountered an internal error. Please try again."),
    "slow_down": ("503 Slow Down", "SlowDown", "Please reduce your request rate."),
}


@dataclass(frozen=True)
class Faults:
    """How likely each fault is for a request; one request suffers one fault at most.

    Attributes
    ----------
    error_500
        Answers 500 InternalError; the server hears nothing.
    slow_down
        Answers 503 SlowDown; the server hears nothing.
    reset
        Resets the connection; the server hears nothing.
    lost_answer
        Lets the server do all that was asked, then resets the connection before the client hears of it.
    stall
        Says nothing for `stall_s`, then resets the connection; the server hears nothing.
    cut_answer
        Passes on a part of the answer's body, then closes the connection; an answer without a body passes.
    cut_request
        Passes on a part of the request's body, then leaves both sides; a request without a body passes.
    stall_s
        How long a stall lasts, s: longer than the client waits.
    """

    error_500: float = 0.0
    slow_down: float = 0.0
    reset: float = 0.0
    lost_answer: float = 0.0
    stall: float = 0.0
    cut_answer: float = 0.0
    cut_request: float = 0.0
    stall_s: float = 30.0

    def draw(self, chance: random.Random) -> tuple[str | None, float]:
        """Return the fault of the next request, or None, and the share of a body that a cut lets pass."""
        lot, share = chance.random(), chance.random()
        for field in fields(self):
            if field.name == "stall_s":
                continue
            lot -= getattr(self, field.name)
            if lot < 0:
                return field.name, share
        return None, share


class Gone(Exception):
    """One side has closed its connection."""


@dataclass(frozen=True)
class Head:
    """The first lines of a request or an answer.

    Attributes
    ----------
    raw
        As they came, with the empty line at their end.
    first
        The request line, or the status line.
    headers
        By their names in small letters; of repeated ones the last.
    """

    raw: bytes
    first: str
    headers: dict[str, str]

    @property
    def method(self) -> str:
        """Of a request."""
        return self.first.split(" ", 1)[0]

    @property
    def status(self) -> int:
        """Of an answer."""
        return int(self.first.split(" ")[1])

    @property
    def length(self) -> int | None:
        """Bytes of the body as announced; None: chunked, or to the connection's end."""
        return None if self.chunked or "content-length" not in self.headers else int(self.headers["content-length"])

    @property
    def chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return "chunked" in self.headers.get("transfer-encoding", "").lower()

    @property
    def closes(self) -> bool:
        """Whether the connection ends after this message."""
        wish = self.headers.get("connection", "").lower()
        return "close" in wish or ("HTTP/1.0" in self.first and "keep-alive" not in wish)


class Proxy:
    """A running proxy; `proxy` makes one.

    Parameters
    ----------
    upstream
        The server's address, ``http://127.0.0.1:PORT``.
    faults
        What to do to requests; may be set anew at any time.
    seed
        Of the faults. The requests of clients that run at once come in any order, so that runs differ all the same.

    Attributes
    ----------
    url
        The proxy's address.
    counts
        Faults done, by name. A cut that had no body to cut is not among them.
    requests
        Requests heard.
    """

    def __init__(self, upstream: str, faults: Faults, seed: int) -> None:
        address = urlsplit(upstream)
        self._upstream = (address.hostname or "127.0.0.1", address.port or 80)
        self.faults = faults
        self._chance = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.requests = 0
        self.url = ""

    async def serve(self, started: threading.Event, ended: asyncio.Event) -> None:
        """Answer clients until `ended` is set."""
        server = await asyncio.start_server(self._client, "127.0.0.1", 0, limit=_HEAD_LIMIT)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        started.set()
        await ended.wait()
        server.close()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Side(reader, writer)
        server: Side | None = None
        try:
            while (request := await client.head()) is not None:
                self.requests += 1
                if server is None or server.over:
                    server = Side(*await asyncio.open_connection(*self._upstream, limit=_HEAD_LIMIT))
                if not await self._exchange(request, client, server):
                    break
        except (Gone, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            client.reset()
        finally:
            client.close()
            if server is not None:
                server.close()

    async def _exchange(self, request: Head, client: Side, server: Side) -> bool:
        """Do one request; returns whether the connection stays."""
        fault, share = self.faults.draw(self._chance)
        if fault in ("cut_request", "cut_answer"):  # whether there is a body to cut shows later
            return await self._pass(request, client, server, fault, share)
        if fault is not None:
            self.counts[fault] += 1
        if fault in _ERRORS:
            return await _answer_error(fault, request, client)
        if fault == "stall":
            await asyncio.sleep(self.faults.stall_s)
        if fault in ("stall", "reset"):
            raise Gone
        return await self._pass(request, client, server, fault, share)

    async def _pass(self, request: Head, client: Side, server: Side, fault: str | None, share: float) -> bool:
        await server.write(request.raw)
        body = asyncio.create_task(self._pass_request_body(request, client, server, fault, share))
        try:
            answer = await self._answer(body, client, server, silent=fault == "lost_answer")
            if fault == "lost_answer":
                await body
                raise Gone
            stays = await self._pass_answer_body(request, answer, client, server, fault, share)
            if not body.done():  # refused before the body came: what is left of it is no next request
                return False
            return stays and not request.closes
        finally:
            body.cancel()
            with contextlib.suppress(asyncio.CancelledError, Gone, OSError, asyncio.IncompleteReadError):
                await body

    async def _answer(self, body: asyncio.Task[None], client: Side, server: Side, *, silent: bool) -> Head:
        """Return the head of the final answer, passed on; those before it ("100 Continue") pass too."""
        while True:
            heard = asyncio.create_task(server.head())
            await asyncio.wait({heard, body}, return_when=asyncio.FIRST_COMPLETED)
            if body.done() and body.exception() is not None:
                heard.cancel()
                raise Gone from body.exception()
            answer = await heard
            if answer is None:
                raise Gone
            if answer.status >= 200:
                if not silent:
                    await client.write(answer.raw)
                return answer
            await client.write(answer.raw)

    async def _pass_request_body(
        self, request: Head, client: Side, server: Side, fault: str | None, share: float
    ) -> None:
        has_body = request.chunked or bool(request.length)
        if not has_body:
            return
        if fault == "cut_request":
            self.counts[fault] += 1
            await _copy(client.body(request), server, _cut(request.length, share))
            raise Gone
        await _copy(client.body(request), server, None)

    async def _pass_answer_body(
        self, request: Head, answer: Head, client: Side, server: Side, fault: str | None, share: float
    ) -> bool:
        if request.method == "HEAD" or answer.status in (204, 304) or answer.length == 0:
            return not answer.closes
        if fault == "cut_answer":
            self.counts[fault] += 1
            await _copy(server.body(answer), client, _cut(answer.length, share))
            return False
        await _copy(server.body(answer), client, None)
        return not answer.closes and (answer.chunked or answer.length is not None)


class Side:
    """A connection to the client or to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @property
    def over(self) -> bool:
        """Whether the other side has closed it."""
        return self._reader.at_eof() or self._writer.is_closing()

    async def head(self) -> Head | None:
        """Read the first lines of the next message; None at the connection's end."""
        try:
            raw = await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = raw.decode("latin-1").strip("\r\n").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return Head(raw, first, {name.strip().lower(): value.strip() for name, _, value in pairs})

    async def body(self, head: Head) -> AsyncIterator[bytes]:
        """Read a body as it comes, chunk sizes and all."""
        if head.chunked:
            async for block in self._chunks():
                yield block
            return
        left = head.length
        while left is None or left > 0:
            block = await self._reader.read(_BLOCK if left is None else min(_BLOCK, left))
            if not block:
                if left is None:
                    return
                raise Gone
            left = None if left is None else left - len(block)
            yield block

    async def _chunks(self) -> AsyncIterator[bytes]:
        while True:
            line = await self._reader.readuntil(b"\r\n")
            yield line
            size = int(line.split(b";")[0], 16)
            if size:
                yield await self._reader.readexactly(size + 2)
                continue
            while line != b"\r\n":  # trailers, to the empty line
                line = await self._reader.readuntil(b"\r\n")
                yield line
            return

    async def write(self, data: bytes) -> None:
        """Send."""
        self._writer.write(data)
        await self._writer.drain()

    def reset(self) -> None:
        """End the connection so that the other side sees an error and no orderly end."""
        with contextlib.suppress(OSError, AttributeError):
            kept = self._writer.get_extra_info("socket")
            kept.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def close(self) -> None:
        """End the connection."""
        with contextlib.suppress(OSError, RuntimeError):
            self._writer.close()


async def _copy(blocks: AsyncIterator[bytes], to: Side, limit: int | None) -> None:
    """Pass a body on, or its first `limit` bytes."""
    async for block in blocks:
        await to.write(block if limit is None else block[:limit])
        if limit is not None:
            limit -= len(block)
            if limit <= 0:
                return


def _cut(length: int | None, share: float) -> int:
    """Bytes of a body that a cut lets pass: some, and never all."""
    return int(share * (1000 if length is None else length))


async def _answer_error(fault: str, request: Head, client: Side) -> bool:
    """Answer instead of the server; returns whether the connection stays."""
    status, code, message = _ERRORS[fault]
    stays = not request.closes
    if request.headers.get("expect", "").lower() == "100-continue":
        stays = False  # the client keeps its body to itself, and may send it all the same
    else:
        if request.chunked or request.length:
            async for _ in client.body(request):
                pass
    xml = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    wish = "keep-alive" if stays else "close"
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(xml)}\r\nConnection: {wish}"
    await client.write(f"{head}\r\n\r\n{'' if request.method == 'HEAD' else xml}".encode())
    return stays


@contextmanager
def proxy(upstream: str, faults: Faults | None = None, *, seed: int = 0) -> Iterator[Proxy]:
    """Run a proxy in a thread of its own for as long as the context lasts; the arguments of `Proxy`."""
    made = Proxy(upstream, faults or Faults(), seed)
    started, loop = threading.Event(), asyncio.new_event_loop()
    ended = asyncio.Event()
    thread = threading.Thread(target=_run, args=(loop, made.serve(started, ended)), name="proxy", daemon=True)
    thread.start()
    if not started.wait(_PATIENCE_S):
        raise RuntimeError("the proxy did not start")
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(_PATIENCE_S)


def _run(loop: asyncio.AbstractEventLoop, serving: object) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(serving)  # type: ignore[arg-type]
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    finally:
        loop.close()
