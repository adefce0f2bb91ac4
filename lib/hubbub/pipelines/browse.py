"""Show label tables in the browser. What ``hubbub browse`` does."""

from __future__ import annotations

import webbrowser
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from hubbub.errors import UsageError
from hubbub.io.paths import StoragePath
from hubbub.labels.references import read_reference
from hubbub.labels.tables import LabelTables
from hubbub.pipelines.inputs import as_labels, as_list, as_path, as_store
from hubbub.pipelines.reporting import Reporter, choose_reporter

if TYPE_CHECKING:
    from hubbub.pipelines.inputs import PathLike
    from hubbub.store.features import FeatureStore

PORT = 8765
"""Taken where it is free and no other is asked for."""

_PACKAGES = ("starlette", "uvicorn", "duckdb")


def browse(
    labels: PathLike | LabelTables | Sequence[PathLike | LabelTables],
    *,
    store: PathLike | FeatureStore | None = None,
    truth: PathLike | None = None,
    root: PathLike | None = None,
    timezone: str = "UTC",
    host: str = "127.0.0.1",
    port: int | None = None,
    open_browser: bool = True,
    reporter: Reporter | None = None,
) -> None:
    """Serve the page until Ctrl-C; see ``hubbub browse --help``."""
    require_web("browse")
    reporter = choose_reporter(reporter)
    tables = [as_labels(one) for one in as_list(labels)]
    if not tables:
        raise UsageError(f"labels {labels!r}: expected one folder of label tables or more")
    _check_timezone(timezone)
    where = None if root is None else _check_root(as_path(root, "root"))
    reference = None if truth is None else read_reference(Path(str(as_path(truth, "truth"))))
    features = None if store is None else as_store(store)
    for note in reference.notes if reference else ():
        reporter.warn(note)

    from hubbub.web.browsed import BrowsedTables

    browsed = [BrowsedTables(one, root=where, reference=reference, store=features, timezone=timezone) for one in tables]
    for one in browsed:
        one.start()  # it reads while the server's libraries are imported

    from hubbub.web.server import make_app

    serve_page(make_app(browsed), "browse", host, port, open_browser, reporter)


def serve_page(
    app: object,
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
    address = f"http://{name}:{taken.getsockname()[1]}/?token={token}"
    if not is_local:
        reporter.warn(
            f"--host {host}: whoever reaches this machine and knows the address can {others_can}; it is sent "
            "without encryption. Safer: leave --host out, and ssh -L to this machine"
        )
    reporter.say(f"hubbub {command}: {address}")
    reporter.say("Ctrl-C ends it.")
    if open_browser and is_local:
        webbrowser.open(address)
    serve(app, taken, token, any_host=not is_local)  # type: ignore[arg-type]


def _take_port(host: str, port: int | None):  # type: ignore[no-untyped-def]
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


def _check_timezone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise UsageError(f"--timezone {name}: expected the name of a time zone, such as Europe/Berlin or UTC") from None


def _check_root(root: StoragePath) -> StoragePath:
    if not root.is_dir():
        raise UsageError(f"--root {root}: expected the folder in which the recordings lie now")
    return root
