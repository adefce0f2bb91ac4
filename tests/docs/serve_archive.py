"""A small archive of city sounds on a web server of this machine, for the page docs/recipes/urban-sounds.md.

python -m tests.docs.serve_archive FOLDER
"""

from __future__ import annotations

import sys
import threading
from collections import defaultdict
from pathlib import Path

from tests.servers.web import Site, serve


def make_archive_site(folder: Path) -> Site:
    """Make the pages around ``mp3s/CITY/CITY_MOOD_ID.mp3``: one that lists the cities, one a city with its players."""
    site, players = Site(), defaultdict[str, str](str)
    for path in sorted(folder.rglob("*.mp3")):
        name = path.relative_to(folder).as_posix()
        site.files[f"/{name}"], site.types[f"/{name}"] = path.read_bytes(), "audio/mpeg"
        players[path.parent.name] += f'<p><audio controls src="{name}"></audio></p>'
    links = ""
    for number, (city, found) in enumerate(players.items(), start=1):
        links += f'<li><a href="?display=1&amp;location_ID={number}">{city.title()}</a></li>'
        site.files[f"/?display=1&location_ID={number}"] = f"<html><title>{city.title()}</title>{found}</html>".encode()
    site.files["/"] = f"<html><title>Sounds of cities</title><ul>{links}</ul></html>".encode()
    site.types |= {path: "text/html" for path in site.files if path.startswith("/?") or path == "/"}
    return site


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.docs.serve_archive FOLDER, which has mp3s/CITY/CITY_MOOD_ID.mp3")
    with serve(make_archive_site(Path(sys.argv[1]))) as running:
        print(f"until Ctrl-C; elsewhere: export ARCHIVE={running.url}/", flush=True)
        threading.Event().wait()
