"""A page's server on this machine: its port, the address with its token, and what it needs."""

from __future__ import annotations

import webbrowser
from importlib.util import find_spec
from typing import TYPE_CHECKING

from hubbub.errors import UsageError
from hubbub.pipelines.reporting import Reporter

if TYPE_CHECKING:
    from socket import socket

    from starlette.types import ASGIApp

PORT = 8765
"""Taken where it is free and no other is asked for."""

_PACKAGES = ("starlette", "uvicorn", "duckdb")


def serve_page(
    app: ASGIApp,
    command: str,
    host: str,
    port: int | None,
    open_browser: bool,
    reporter: Reporter,
    *,
    others_can: str = "listen to the recordings and decide",
) -> None:
    """Take a port, say the address with its token, and serve until Ctrl-C.

    Parameters
    ----------
    others_can
        What is warned of where the page listens to other machines.
    """
    from hubbub.web.guard import make_token
    from hubbub.web.server import serve

    taken = _take_port(host, port)
    token, is_local = make_token(), host in ("127.0.0.1", "localhost", "::1")
    name = f"[{host}]" if ":" in host else host
    page = f"http://{name}:{taken.getsockname()[1]}/"
    if not is_local:
        reporter.warn(
            f"--host {host}: whoever reaches this machine and knows the address can {others_can}; it is sent "
            "without encryption. Safer: leave --host out, and ssh -L to this machine"
        )
    reporter.say(f"hubbub {command}: {page}?token={token}")
    reporter.say("Ctrl-C ends it.")
    once = None
    if open_browser and is_local:
        once = make_token()  # all users of this machine see what programs are started with
        webbrowser.open(f"{page}?token={once}")
    serve(app, taken, token, once=once, any_host=not is_local)


def _take_port(host: str, port: int | None) -> socket:
    from hubbub.web.server import open_socket

    if port is not None:
        return open_socket(host, port)
    try:
        return open_socket(host, PORT)
    except UsageError:
        return open_socket(host, 0)


def require_web(command: str) -> None:
    """Refuse to go on without the packages of the page.

    Raises
    ------
    UsageError
        Names the extra that brings them.
    """
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"hubbub {command} needs {', '.join(missing)}, and {'it is' if len(missing) == 1 else 'they are'} not "
            "installed: pip install 'hubbub[web]'"
        )
