"""Fetching from sites that are slow, moved, large or unwilling: a walk over pages goes on, and ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hubbub.errors import UsageError
from hubbub.pipelines.fetch import FetchLimits
from tests.lib.pipelines.test_fetch import QUICK, Lines, recordings, run, write_list
from tests.servers import web
from tests.servers.web import Site, make_audio, make_city_site, serve


@pytest.fixture
def site() -> Iterator[Site]:
    """Give a server without files."""
    with serve(Site()) as running:
        yield running


def test_a_walk_that_met_its_limit_of_pages_goes_on_there(tmp_path: Path) -> None:
    with serve(make_city_site(cities=4)) as city:
        found = []
        for _ in range(3):
            done = run(f"{city.url}/", tmp_path / "out", recipe="city-sounds", limits=FetchLimits(pages=2))
            found.append((done.ok, done.is_whole))
        assert found == [(2, False), (6, False), (8, True)]
        assert max(city.asked(path) for path in city.files) == 1


def test_what_was_read_of_a_site_does_not_grow_with_every_run(tmp_path: Path) -> None:
    with serve(make_city_site(cities=2)) as city:
        for _ in range(4):
            run(f"{city.url}/", tmp_path / "out", recipe="city-sounds")
    assert len(list((tmp_path / "out" / ".fetch" / "pages").iterdir())) == 1


def test_a_folder_given_without_its_slash_is_not_left_upwards(site: Site, tmp_path: Path) -> None:
    site.files = {
        "/": b'<a href="r/">r</a><a href="z.wav">z</a>',
        "/z.wav": make_audio(1),
        "/r/": b'<a href="../">up</a><a href="a.wav">a</a><a href="s/">s</a>',
        "/r/s/": b'<a href="../">up</a><a href="/z.wav">z</a><a href="b.wav">b</a>',
        "/r/a.wav": make_audio(2),
        "/r/s/b.wav": make_audio(3),
    }
    site.answers["/r"] = web.answer(301, Location="/r/")
    for _ in range(2):
        run(f"{site.url}/r", tmp_path / "out")
        assert set(recordings(tmp_path / "out")) == {"r/a.wav", "r/s/b.wav"}
    assert not site.asked("/")


def test_a_page_that_drips_is_given_up(site: Site, tmp_path: Path) -> None:
    site.answers["/r/"] = web.drip(b'<a href="a.wav">' * 100)
    started = time.monotonic()
    with pytest.raises(UsageError, match=r"the page takes longer than 0\.2 s"):
        run(f"{site.url}/r/", tmp_path / "out", replace(QUICK, longest_page_s=0.2))
    assert time.monotonic() - started < 5


def test_a_host_whose_robots_txt_drips_is_not_asked(site: Site, tmp_path: Path) -> None:
    site.answers["/robots.txt"] = web.drip(b"User-agent: *\nDisallow: /a\n" * 50)
    site.files["/a.wav"] = make_audio(1)
    lines = Lines()
    policy = replace(QUICK, answer_timeout_s=0.2)
    assert run(write_list(tmp_path, site, "/a.wav"), tmp_path / "out", policy, reporter=lines).left == 1
    assert "its robots.txt cannot be read: it takes longer than 0.2 s" in lines.text


@pytest.mark.parametrize("delay", ["1e308", "86400"])
def test_a_host_that_wants_days_between_requests_is_given_up(site: Site, tmp_path: Path, delay: str) -> None:
    site.robots = f"User-agent: *\nCrawl-delay: {delay}\n"
    site.files = {"/a.wav": make_audio(1), "/b.wav": make_audio(2)}
    lines = Lines()
    assert run(write_list(tmp_path, site, *site.files), tmp_path / "out", reporter=lines).left == 2
    assert "asks for" in lines.text
    assert "between two requests; expected at most 5" in lines.text


def test_a_silent_host_is_tried_as_often_as_the_policy_says(site: Site, tmp_path: Path) -> None:
    site.answers["/robots.txt"] = lambda handler: time.sleep(1)
    policy = replace(QUICK, answer_timeout_s=0.1, tries=3)
    assert run(write_list(tmp_path, site, "/a.wav", "/b.wav"), tmp_path / "out", policy).left == 2
    assert site.asked("/robots.txt") == 3


def test_a_host_whose_robots_txt_leads_elsewhere_is_not_asked(site: Site, tmp_path: Path) -> None:
    site.answers["/robots.txt"] = web.answer(302, Location="http://other.example/robots.txt")
    site.files["/a.wav"] = make_audio(1)
    lines = Lines()
    done = run(write_list(tmp_path, site, "/a.wav"), tmp_path / "out", reporter=lines)
    assert (done.ok, done.failed, done.left) == (0, 0, 1)
    assert "its robots.txt cannot be read: leads to other.example" in lines.text
    assert not site.asked("/a.wav")
