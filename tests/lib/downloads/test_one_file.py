"""One file from an address: whole or not at all, bounded, over a safe connection; against a server that misbehaves."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hubbub.downloads.failures import FetchFailure
from hubbub.downloads.one_file import ONE_FILE, check_address, fetch_file
from tests.servers import web

CONTENT = bytes(range(256)) * 400
MOST = 200_000
QUICK = replace(ONE_FILE, backoff_s=0.01, slow_after_s=0.2, silence_timeout_s=2.0)


@pytest.fixture
def site() -> Iterator[web.Site]:
    with web.serve(web.Site(files={"/weights.h5": CONTENT})) as served:
        yield served


def fetch(address: str, path: Path, **options: object) -> None:
    fetch_file(address, path, **{"most_bytes": MOST, "policy": QUICK} | options)


def test_a_file_is_there_whole_and_nothing_beside_it(site: web.Site, tmp_path: Path) -> None:
    path = tmp_path / "models" / "weights.h5"
    fetch(f"{site.url}/weights.h5", path, md5=hashlib.md5(CONTENT).hexdigest())
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]


def test_where_a_loop_runs_already_as_in_notebooks(site: web.Site, tmp_path: Path) -> None:
    async def cell() -> None:
        fetch(f"{site.url}/weights.h5", tmp_path / "weights.h5")

    asyncio.run(cell())
    assert (tmp_path / "weights.h5").read_bytes() == CONTENT


def test_what_breaks_off_is_tried_again(site: web.Site, tmp_path: Path) -> None:
    def cut(handler: web.Handler) -> None:
        handler.send_file(CONTENT, cut=1000)

    site.answers["/weights.h5"] = web.answer_first(2, cut, lambda handler: handler.send_file(CONTENT))
    fetch(f"{site.url}/weights.h5", tmp_path / "weights.h5")
    assert (tmp_path / "weights.h5").read_bytes() == CONTENT
    assert site.asked("/weights.h5") == 3


def test_a_redirect_is_followed_where_it_may_lead(site: web.Site, tmp_path: Path) -> None:
    site.answers["/moved"] = web.answer(302, Location="/weights.h5")
    fetch(f"{site.url}/moved", tmp_path / "weights.h5")
    assert (tmp_path / "weights.h5").read_bytes() == CONTENT


REFUSED = [
    ("/none", None, r"is not there \(404\)"),
    ("/large", web.answer(200, bytes(MOST + 1)), f"has {MOST + 1} bytes; expected at most {MOST}"),
    ("/endless", web.endless, "has more than|broke off"),
    ("/bomb", web.bomb(10 * MOST), "has more than"),
    ("/slow", web.drip(CONTENT, each=10), "comes at .* bytes a second"),
    ("/round", web.answer(302, Location="/round"), "redirected more than 5 times"),
    ("/inside", web.answer(302, Location="http://localhost:1/weights.h5"), "private network address; fetch the file"),
    ("/open", web.answer(302, Location="http://example.org/weights.h5"), "over an open connection"),
]


@pytest.mark.parametrize(("path", "answerer", "message"), REFUSED, ids=[case[0] for case in REFUSED])
def test_refused_with_a_reason_and_nothing_is_left(path, answerer, message, site: web.Site, tmp_path: Path) -> None:
    if answerer is not None:
        site.answers[path] = answerer
    before = tmp_path / "weights.h5"
    before.write_bytes(b"as it was")
    with pytest.raises(FetchFailure, match=message):
        fetch(f"{site.url}{path}", before)
    assert before.read_bytes() == b"as it was"
    assert list(tmp_path.iterdir()) == [before]


def test_another_content_is_refused(site: web.Site, tmp_path: Path) -> None:
    with pytest.raises(FetchFailure, match="another file than was expected: MD5 .*, not 0000"):
        fetch(f"{site.url}/weights.h5", tmp_path / "weights.h5", md5="0" * 32)

    def refuse(path: Path) -> None:
        raise FetchFailure(f"is {path.stat().st_size} bytes of something else")

    with pytest.raises(FetchFailure, match="is 102400 bytes of something else"):
        fetch(f"{site.url}/weights.h5", tmp_path / "weights.h5", check=refuse)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://example.org/weights.h5", "over an open connection, where anyone may change it; use https://"),
        ("ftp://example.org/weights.h5", "no address of the web"),
        ("https://user:secret@example.org/weights.h5", "holds a user name or password"),
        ("https://", "no address"),
    ],
)
def test_addresses_that_are_not_asked(address: str, message: str) -> None:
    with pytest.raises(FetchFailure, match=message) as refused:
        check_address(address)
    assert "secret" not in str(refused.value)
