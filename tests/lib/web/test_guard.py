"""Who may ask the server, what a browser is told to allow, and that nothing else of the disk can be asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from hubbub.errors import UsageError
from hubbub.web.browsed import BrowsedTables
from hubbub.web.guard import Guard
from hubbub.web.pages import list_assets
from hubbub.web.server import PAGES, make_app, open_socket
from tests.lib.web.page_server import running
from tests.lib.web.tables_to_browse import make_tables

TOKEN = "the-token"


@pytest.fixture(scope="module")
def browsed(tmp_path_factory: pytest.TempPathFactory) -> BrowsedTables:
    opened = BrowsedTables(make_tables(tmp_path_factory.mktemp("guard") / "labels", files=5, units=2, sound=True))
    opened.refresh()
    return opened


@pytest.fixture(scope="module")
def served(browsed: BrowsedTables) -> Iterator[httpx.Client]:
    taken = open_socket("127.0.0.1", 0)
    app = Guard(make_app([browsed]), port=taken.getsockname()[1], token=TOKEN)
    with running(app, taken) as client:
        yield client


@pytest.fixture
def stranger(served: httpx.Client) -> httpx.Client:
    served.cookies.clear()
    return served


@pytest.fixture
def guest(stranger: httpx.Client) -> httpx.Client:
    """Somebody who opened the whole address."""
    assert stranger.get(f"/?token={TOKEN}").status_code == 303
    return stranger


@pytest.mark.parametrize("path", [*PAGES, "/static/dom.js", "/api/tables", "/api/0/summary", "/?token=wrong"])
def test_nothing_is_told_without_the_token(path: str, stranger: httpx.Client) -> None:
    answer = stranger.get(path)
    assert answer.status_code == 403
    assert "address that hubbub printed" in answer.text


def test_the_token_leaves_the_address_and_no_script_can_read_it(stranger: httpx.Client) -> None:
    answer = stranger.get(f"/recordings?tables=0&token={TOKEN}")
    assert answer.headers["location"] == "/recordings?tables=0"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert stranger.get("/recordings?tables=0").status_code == 200


def test_the_address_that_a_browser_is_started_with_lets_in_once() -> None:
    taken = open_socket("127.0.0.1", 0)
    port = taken.getsockname()[1]
    with running(Guard(Starlette(), port=port, token=TOKEN, once="for-the-first"), taken) as client:
        assert client.get("/?token=for-the-second").status_code == 403
        first = client.get("/?token=for-the-first")
        assert (first.status_code, first.headers["set-cookie"].count(TOKEN)) == (303, 1)
        client.cookies.clear()
        assert client.get("/?token=for-the-first").status_code == 403
        assert client.get(f"/?token={TOKEN}").status_code == 303


def test_the_way_in_leads_to_no_other_host(stranger: httpx.Client) -> None:
    for address in ("//evil.example/", "///evil.example/"):
        answer = stranger.get(httpx.URL(str(stranger.base_url) + f"{address}?token={TOKEN}"))
        assert answer.headers["location"] == "/evil.example/"


def test_at_port_80_browsers_leave_the_port_out() -> None:
    for port, status in ((80, 303), (8080, 421)):
        with running(Guard(Starlette(), port=port, token=TOKEN)) as client:
            assert client.get(f"/?token={TOKEN}", headers={"host": "127.0.0.1"}).status_code == status


def test_other_names_and_other_pages_are_refused(guest: httpx.Client) -> None:
    assert guest.get("/api/tables", headers={"host": "evil.example"}).status_code == 421
    assert (
        guest.get("/api/tables", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}).status_code == 403
    )
    post = {"json": {"thresholds": {"dog": 0.7}}}
    for headers in (
        {},
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": str(guest.base_url), "sec-fetch-site": "same-site"},
    ):
        assert guest.post("/api/0/rules", headers=headers, **post).status_code == 403
    assert guest.post("/api/0/rules", headers={"origin": str(guest.base_url)}, **post).status_code == 200
    assert "access-control-allow-origin" not in guest.get("/api/tables").headers


def test_every_answer_carries_the_policy(guest: httpx.Client, stranger: httpx.Client) -> None:
    for path in ("/", "/api/tables", "/static/page.css", "/nowhere", "/api/9/describe"):
        headers = guest.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "path",
    ["/static/../guard.py", "/static/..%2fguard.py", "/static/%2e%2e/guard.py", "/static/guard.py", "/etc/passwd"],
)
def test_no_other_file_can_be_asked_for(path: str, guest: httpx.Client) -> None:
    answer = guest.get(path)
    assert answer.status_code in (400, 404)
    assert "import" not in answer.text


@pytest.mark.parametrize("what", ["", "/tile?level=1&number=0", "/sound", "/curves?start=0&end=1", "/events", "/lines"])
def test_recordings_that_the_tables_do_not_hold_cannot_be_asked_for(what: str, guest: httpx.Client) -> None:
    for file in ("0123456789abcdef", "..", "%2fetc%2fpasswd"):
        answer = guest.get(f"/api/0/recordings/{file}{what}")
        assert answer.status_code in (400, 404)


def test_every_page_and_what_it_loads_is_there_and_loads_nothing_from_elsewhere(guest: httpx.Client) -> None:
    for path in PAGES:
        assert guest.get(path).headers["content-type"].startswith("text/html")
    for name in list_assets():
        answer = guest.get(f"/static/{name}")
        assert answer.status_code == 200
        text = answer.text.replace("http://www.w3.org/2000/svg", "").replace("http://127.0.0.1", "")
        assert "http://" not in text
        assert "https://" not in text
        assert "innerHTML" not in text
        assert " style=" not in text


def test_a_recording_is_told_in_full(guest: httpx.Client, browsed: BrowsedTables) -> None:
    (row, *_) = guest.get("/api/0/recordings?sort=name").json()["recordings"]
    base = f"/api/0/recordings/{row['file']}"
    told = guest.get(base).json()
    assert told["problem"] is None
    assert (told["sample_rate"], told["duration_s"]) == (8000, 30.0)
    assert guest.get(f"{base}/tile?level=2&number=0&scale=linear").content.startswith(b"\x89PNG")
    whole = guest.get(f"{base}/sound?start=1&length=2").content
    part = guest.get(f"{base}/sound?start=1&length=2", headers={"range": "bytes=10-99"})
    assert (part.status_code, part.content) == (206, whole[10:100])
    assert part.headers["content-range"] == f"bytes 10-99/{len(whole)}"
    curves = guest.get(f"{base}/curves?start=0&end=30&columns=30&label=dog&label=nobody").json()["curves"]
    assert list(curves) == ["dog"]
    assert len(curves["dog"]) == 30
    events = guest.get(f"{base}/events").json()
    assert events["total"] == len(events["events"]) == row["events"]
    assert events["truth"] is None


def test_recordings_can_be_listed_by_name_filter_and_order(guest: httpx.Client) -> None:
    found = guest.get("/api/0/recordings", params={"name": "SITE 1"}).json()
    assert found["total"] == 2
    failed = guest.get("/api/0/recordings", params={"sort": "failed"}).json()["recordings"][0]
    assert failed["failed"]
    assert failed["error"] == "DecodeError: no audio <i>"
    by_city = guest.get("/api/0/recordings", params={"filter": json.dumps({"columns": {"city": ["Łódź"]}})}).json()
    assert by_city["total"] == 2


@pytest.mark.parametrize(
    "path",
    [
        "/api/1/describe",
        "/api/0/summary?column=secret",
        "/api/0/summary?filter=%7B",
        "/api/0/recordings?sort=worst",
        "/api/0/recordings?first=x",
        f"/api/0/recordings?first={10**40}",
        "/api/0/recordings?first=-1",
        "/api/0/cards?count=-5",
        f"/api/0/cards?seed={10**40}",
        f"/api/{10**40}/describe",
        '/api/0/summary?filter={"hours": [Infinity]}',
        '/api/0/summary?filter={"hours": [24]}',
        '/api/0/summary?filter={"labels": ["\\ud800"]}',
        '/api/0/summary?filter={"file": "\\ud800"}',
        "/api/0/verdicts?precision=nan",
        "/api/0/cards?order=worse",
        "/api/0/cards?kind=window&label=nobody",
        "/api/0/verdicts?precision=7",
    ],
)
def test_what_cannot_be_answered_is_refused_in_words(path: str, guest: httpx.Client) -> None:
    answer = guest.get(path)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "question",
    [
        *("tile", "tile?level=0", "tile?level=99&number=0", "tile?level=0&number=-1", f"tile?level=0&number={10**40}"),
        *("sound?start=nan", "sound?start=-1", "sound?length=inf", f"sound?slow={10**40}", "events?start=nan"),
        *("curves", "curves?start=0&end=inf", "curves?start=0&end=1&columns=0", "curves?start=1&end=0"),
    ],
)
def test_numbers_that_are_none_are_refused_in_words(question: str, guest: httpx.Client) -> None:
    (row, *_) = guest.get("/api/0/recordings").json()["recordings"]
    answer = guest.get(f"/api/0/recordings/{row['file']}/{question}")
    assert answer.status_code == 400
    assert "expected" in answer.json()["error"]


def test_a_port_that_is_taken_is_told() -> None:
    with open_socket("127.0.0.1", 0) as taken, pytest.raises(UsageError, match="give another --port"):
        open_socket("127.0.0.1", taken.getsockname()[1])
    for host in ("203.0.113.7", "no.such.host.invalid"):
        with pytest.raises(UsageError, match=f"cannot listen on {host}: .*; expected an address of this machine"):
            open_socket(host, 0)


def test_assets_are_those_of_the_folder() -> None:
    from hubbub.web import pages

    assert {path.suffix for path in Path(pages.STATIC).iterdir() if path.is_file()} <= set(pages.KINDS)
