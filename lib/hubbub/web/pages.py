"""The files of the page: HTML, styles and scripts that lie beside this module; nothing of the disk else."""

from __future__ import annotations

import os
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from hubbub.errors import UsageError

STATIC = Path(__file__).parent / "static"
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def list_assets() -> dict[str, Path]:
    """Every file that is served, by its name."""
    return {name: STATIC / name for name in sorted(os.listdir(STATIC)) if Path(name).suffix in KINDS}


def asset(request: Request) -> Response:
    """One of them; errors where there is none of that name."""
    name = request.path_params["name"]
    found = list_assets().get(name)
    if found is None:
        raise UsageError(f"there is no page {name[:80]!r}; expected one that the pages link to")
    return _answer(found)


def _answer(path: Path) -> Response:
    return FileResponse(path, media_type=KINDS[path.suffix], headers={"cache-control": "no-cache"})


def page_routes(pages: dict[str, str]) -> list[Route]:
    """Routes of pages, address to file, and of what they load."""

    def route(address: str, name: str) -> Route:
        return Route(address, lambda request: _answer(STATIC / name))

    return [*(route(address, name) for address, name in pages.items()), Route("/static/{name}", asset)]
