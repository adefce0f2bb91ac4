"""A page's server in a thread of the test's own process, and a client that asks it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import uvicorn
from starlette.types import ASGIApp

from hubbub.web.server import open_socket


@contextmanager
def running(app: ASGIApp, taken: socket.socket | None = None) -> Iterator[httpx.Client]:
    """Serve an application on a free port, or on a socket that is taken already."""
    taken = taken or open_socket("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]}, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.005)
    base = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with httpx.Client(base_url=base, timeout=60) as client:
        yield client
    server.should_exit = True
    thread.join(timeout=10)
