"""What a person sees while pages are read, and while a large file comes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lib.pipelines.test_fetch import Lines, run, write_list
from tests.servers.web import Handler, Site, make_audio, serve


class Watcher(Lines):
    """Keeps how each stage tells its state."""

    def __init__(self) -> None:
        super().__init__()
        self.looks: dict[str, Callable[[], tuple[float, str]]] = {}

    @contextmanager
    def follow(self, what: str, look: Callable[[], tuple[float, str]]) -> Iterator[None]:
        self.looks[what] = look
        yield


@pytest.fixture
def site() -> Iterator[Site]:
    """Give a server without files."""
    with serve(Site()) as running:
        yield running


def test_a_large_file_is_seen_to_grow(site: Site, tmp_path: Path) -> None:
    watcher, seen, content = Watcher(), [], make_audio(1, duration_s=10)

    def halfway(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[: len(content) // 2])
        partial = tmp_path / "out" / ".fetch" / "partial"
        wait = threading.Event()
        while not any(path.stat().st_size > 100_000 for path in partial.iterdir()):
            wait.wait(0.01)
        seen.append(watcher.looks["fetch"]())
        handler.wfile.write(content[len(content) // 2 :])

    site.answers["/a.wav"] = halfway
    assert run(write_list(tmp_path, site, "/a.wav"), tmp_path / "out", reporter=watcher).is_complete
    ((_, text),) = seen
    assert "1 file under way: " in text
    assert text.endswith("kB of 320 kB")
    assert "under way" not in watcher.looks["fetch"]()[1]


def test_pages_are_counted_while_they_are_read(site: Site, tmp_path: Path) -> None:
    watcher, seen = Watcher(), []

    def show(handler: Handler) -> None:
        seen.append(watcher.looks["pages"]())
        handler.send_body(200, b'<a href="b.wav">b</a>', {"Content-Type": "text/html"})

    site.files["/r/"] = b'<a href="s/">s</a><a href="t/">t</a><a href="a.wav">a</a>'
    site.answers = {"/r/s/": show, "/r/t/": show}
    run(f"{site.url}/r/", tmp_path / "out", reporter=watcher)
    assert seen[0][1] == "1 read, 2 more known, 1 link to recordings"
    assert 0 < seen[0][0] < seen[1][0] < 1
    assert watcher.looks["pages"]()[1] == "3 read, 0 more known, 3 links to recordings"
