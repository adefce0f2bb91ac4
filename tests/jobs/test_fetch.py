"""``hubbub fetch`` as a person types it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.jobs.command import hubbub
from tests.servers.web import Site, make_audio, make_city_site, serve


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Give an archive of city sounds."""
    with serve(make_city_site(cities=2)) as running:
        running.files["/a.wav"] = make_audio(50)
        yield running


def test_a_site_is_fetched_and_the_next_command_takes_it(site: Site, tmp_path: Path) -> None:
    words = ["--recipe", "city-sounds", "-o", tmp_path / "out", "--allow-private", "--rate", 100]
    done = hubbub("fetch", f"{site.url}/", *words)
    assert done.returncode == 0, done.stderr
    assert "3 pages read; 4 links to recordings" in done.stdout
    assert "fetch: done" in done.stdout
    shown = hubbub("status", tmp_path / "out")
    assert "fetch" in shown.stdout
    assert "done" in shown.stdout
    checked = hubbub("index", tmp_path / "out" / "clips.parquet", "--check")
    assert "5" not in checked.stdout.split("clips")[0]
    assert checked.returncode == 0, checked.stdout


def test_failures_are_told_and_end_with_1(site: Site, tmp_path: Path) -> None:
    (tmp_path / "urls.txt").write_text(f"{site.url}/a.wav\n{site.url}/none.wav\n", "utf-8")
    done = hubbub("fetch", tmp_path / "urls.txt", "-o", tmp_path / "out", "--allow-private", "--rate", 100)
    assert done.returncode == 1
    assert f"failed: {site.url}/none.wav: is not there (404)" in done.stderr
    assert "1 address failed" in done.stderr
    assert list(pd.read_csv(tmp_path / "out" / "failures.csv")["error"]) == ["is not there (404)"]


def test_the_public_network_only_unless_told(site: Site, tmp_path: Path) -> None:
    done = hubbub("fetch", f"{site.url}/a.wav", "-o", tmp_path / "out")
    assert done.returncode == 1
    assert "--allow-private" in done.stderr


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["none.txt"], "does not exist; expected a list of addresses"),
        (["http://u:p@h.example/"], "leave it out"),
        (["https://h.example/", "--recipe", "citysounds"], "did you mean 'city-sounds'"),
        (["urls.txt", "--recipe", "city-sounds"], "give the first page"),
        (["https://h.example/", "--url-column", "x"], "leave it out"),
        (["https://h.example/", "--rate", "0"], "expected more than 0"),
        (["https://h.example/", "--connections", "99"], "expected 1 to 8"),
        (["https://h.example/", "--keep-free-gb", "-1"], "expected at least 0"),
        (["https://h.example/", "--contact", "a\nb"], "expected an e-mail address"),
        (["https://h.example/", "--cluster", "nowhere"], "expected serial, local"),
    ],
)
def test_what_cannot_be_fetched_is_refused_in_words(tmp_path: Path, words: list[str], reason: str) -> None:
    done = hubbub("fetch", *words, "-o", tmp_path / "out")
    assert done.returncode == 2, done.stderr
    assert reason in " ".join(done.stderr.split())
    assert not (tmp_path / "out").exists()


def test_recipes_are_listed_with_one_to_begin_with() -> None:
    done = hubbub("fetch", "--recipes")
    assert done.returncode == 0
    for name in ("city-sounds:", "directory-listing:", "freesound:", "internet-archive:"):
        assert name in done.stdout
    assert "recordings:" in done.stdout
