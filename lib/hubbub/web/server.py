"""The server of ``hubbub browse``: its application, and running it until Ctrl-C."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import AsyncIterator, Sequence

from starlette.applications import Starlette
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from hubbub.errors import UsageError
from hubbub.web import routes_archive, routes_recordings, routes_review
from hubbub.web.answers import ERRORS, explain_fault
from hubbub.web.browsed import BrowsedTables
from hubbub.web.guard import Guard
from hubbub.web.pages import page_routes

PAGES = ("/", "/recordings", "/recording", "/review", "/verdicts")
"""Addresses of the views, which one page shows."""


def make_app(browsed: Sequence[BrowsedTables]) -> Starlette:
    """The application that shows label tables; they are followed while it runs."""

    @contextlib.asynccontextmanager
    async def follow(app: Starlette) -> AsyncIterator[None]:
        for tables in browsed:
            tables.start()
        yield
        for tables in browsed:
            tables.stop()

    routes: list[BaseRoute] = [
        *page_routes(dict.fromkeys(PAGES, "browse.html")),
        *routes_archive.ROUTES,
        *routes_recordings.ROUTES,
        *routes_review.ROUTES,
    ]
    app = Starlette(routes=routes, lifespan=follow, exception_handlers=ERRORS | {Exception: explain_fault})
    app.state.browsed = list(browsed)
    return app


def open_socket(host: str, port: int) -> socket.socket:
    """Take a port; 0 takes one that is free.

    Raises
    ------
    UsageError
        The port is taken, or there is no such host on this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((host, port))
        taken.listen(128)  # who comes before the application is ready waits
    except (OSError, OverflowError) as error:
        taken.close()
        why = getattr(error, "strerror", None) or error
        if isinstance(error, socket.gaierror) or getattr(error, "errno", None) == errno.EADDRNOTAVAIL:
            raise UsageError(f"cannot listen on {host}: {why}; expected an address of this machine as --host") from None
        raise UsageError(
            f"cannot listen on {host} port {port}: {why}; give another --port, or 0 for one that is free"
        ) from None
    return taken


def serve(app: ASGIApp, taken: socket.socket, token: str, *, once: str | None, any_host: bool) -> None:
    """Serve until Ctrl-C; see `Guard`."""
    import uvicorn

    guarded = Guard(app, port=taken.getsockname()[1], token=token, once=once, any_host=any_host)
    config = uvicorn.Config(
        guarded,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=3,
    )
    uvicorn.Server(config).run(sockets=[taken])
