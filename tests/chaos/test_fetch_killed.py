"""A fetch that is killed for real, again and again: the last run ends with every file, each of them fetched once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest

from tests.jobs.command import COMMAND
from tests.servers.web import Handler, Site, make_audio, serve

pytestmark = pytest.mark.chaos

FILES = 60
MOST_KILLS = int(os.environ.get("HUBBUB_CHAOS_MOMENTS") or 4)


def make_slow_site() -> Site:
    """Files that come in a few pieces, so that kills meet them half-way; they can be resumed."""
    site = Site()
    for number in range(FILES):
        content = make_audio(number)

        def slowly(handler: Handler, content: bytes = content) -> None:
            handler.wfile = _Slow(handler.wfile)  # type: ignore[assignment]
            handler.send_file(content)

        site.answers[f"/{number:02}.wav"] = slowly
    return site


class _Slow:
    """A file that is written to in pieces, with pauses."""

    def __init__(self, inner: object) -> None:
        self._inner = inner

    def write(self, data: bytes) -> None:
        for at in range(0, len(data), 4000):
            self._inner.write(data[at : at + 4000])  # type: ignore[attr-defined]
            self.flush()
            time.sleep(0.01)

    def flush(self) -> None:
        self._inner.flush()  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


def start(source: Path, out: Path) -> subprocess.Popen[bytes]:
    words = [COMMAND, "fetch", source, "-o", out, "--allow-private", "--rate", "100"]
    return subprocess.Popen(list(map(str, words)), start_new_session=True, stdout=subprocess.DEVNULL)


@pytest.mark.slow
def test_a_fetch_that_is_killed_again_and_again_loses_nothing_and_fetches_nothing_twice(tmp_path: Path) -> None:
    seed = int(os.environ.get("HUBBUB_CHAOS_SEED") or 1)
    rng = random.Random(seed)
    out = tmp_path / "out"
    with serve(make_slow_site()) as site:
        source = tmp_path / "urls.txt"
        source.write_text("".join(f"{site.url}{path}\n" for path in site.answers), "utf-8")
        kills = 0
        while kills < MOST_KILLS:
            run = start(source, out)
            wanted = len(site.requests) + rng.randint(2, 9)
            while run.poll() is None and len(site.requests) < wanted:
                time.sleep(0.005)
            time.sleep(rng.uniform(0, 0.1))
            if run.poll() is not None:
                break
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
            kills += 1
        assert kills >= 3, "or nothing was tested"
        last = start(source, out)
        assert last.wait(timeout=120) == 0
        whole = [path for path, headers, _ in site.requests if path.endswith(".wav") and "Range" not in headers]
    rows = pd.read_parquet(out / "fetched.parquet")
    assert sorted(rows["url"].str.rsplit("/", n=1).str[-1]) == [f"{number:02}.wav" for number in range(FILES)]
    assert set(rows["status"]) == {"ok"}
    for number in range(FILES):
        (held,) = out.rglob(f"{number:02}.wav")
        assert held.read_bytes() == make_audio(number)
    assert len(pd.read_parquet(out / "clips.parquet")) == FILES
    assert not [path for path in (out / ".fetch" / "partial").iterdir() if path.suffix != ".json"]
    # Two files are under way when a kill comes; of one whose first bytes did not come yet, nothing can be resumed.
    assert len(whole) <= FILES + 2 * kills
