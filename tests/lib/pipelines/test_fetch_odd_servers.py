"""Fetching from servers whose headers, parts and addresses are odd: nothing is mixed, lost or a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hubbub.clips.table import read_table
from hubbub.errors import UsageError
from tests.lib.pipelines.test_fetch import QUICK, failures, recordings, run, write_list
from tests.servers import web
from tests.servers.web import Answerer, Handler, Site, make_audio, serve


@pytest.fixture
def site() -> Iterator[Site]:
    """Give a server without files."""
    with serve(Site()) as running:
        yield running


def answer_ranges(
    *versions: bytes, etags: bool = False, part_bytes: int = 10**9, shift: int = 0, with_length: bool = True
) -> Answerer:
    """Break off the first answer, then send what is asked for, whatever If-Range says; one version an answer.

    Parameters
    ----------
    etags
        Whether each version has its own ETag; else all have the same.
    part_bytes
        Bytes of a part at most.
    shift
        Bytes by which a part begins elsewhere than asked for.
    with_length
        Whether parts after the first answer have a Content-Length.
    """
    asked = [0]

    def send(handler: Handler) -> None:
        number = min(asked[0], len(versions) - 1)
        content, is_first = versions[number], asked[0] == 0
        asked[0] += 1
        begin = int(handler.headers.get("Range", "bytes=0-")[6:-1])
        begin = begin and begin + shift
        part = content[begin : begin + part_bytes] if begin else content
        handler.send_response(206 if begin else 200)
        handler.send_header("ETag", f'"{number if etags else 0}"')
        if with_length or is_first:
            handler.send_header("Content-Length", str(len(part)))
        else:
            handler.send_header("Connection", "close")
        if begin:
            handler.send_header("Content-Range", f"bytes {begin}-{begin + len(part) - 1}/{len(content)}")
        handler.end_headers()
        handler.wfile.write(part[:3000] if is_first else part)
        if is_first or not with_length:
            handler.break_off()

    return send


OLD, NEW, LONGER = make_audio(1), make_audio(2), make_audio(3, duration_s=0.7)


@pytest.mark.parametrize(
    ("answerer", "whole"),
    [
        pytest.param(answer_ranges(OLD, LONGER), LONGER, id="it changed its length, and If-Range is not known"),
        pytest.param(answer_ranges(OLD, NEW, etags=True), NEW, id="it has another ETag, and If-Range is not known"),
        pytest.param(answer_ranges(OLD, shift=-100), OLD, id="parts begin elsewhere than asked"),
        pytest.param(answer_ranges(OLD, part_bytes=8000), OLD, id="parts are shorter than asked"),
    ],
)
def test_a_file_is_whole_whatever_the_server_knows_of_ranges(
    site: Site, tmp_path: Path, answerer: Answerer, whole: bytes
) -> None:
    site.answers["/a.wav"] = answerer
    run(write_list(tmp_path, site, "/a.wav"), tmp_path / "out")
    assert recordings(tmp_path / "out") == {"a.wav": whole}, failures(tmp_path / "out")


def test_a_rest_without_a_length_has_to_reach_the_end(site: Site, tmp_path: Path) -> None:
    content = make_audio(1, kind="MP3", duration_s=2.0)
    site.answers["/a.mp3"] = answer_ranges(content, part_bytes=1000, with_length=False)
    run(write_list(tmp_path, site, "/a.mp3"), tmp_path / "out", replace(QUICK, tries=2))
    assert not recordings(tmp_path / "out")
    assert failures(tmp_path / "out") == {"a.mp3": f"ended after 4000 of {len(content)} bytes"}


def send_raw_header(header: bytes) -> Answerer:
    """Send a recording with a header that is not text."""

    def send(handler: Handler) -> None:
        handler.send_response(200)
        handler._headers_buffer.append(header + b"\r\n")  # type: ignore[attr-defined]
        handler.send_header("Content-Length", str(len(OLD)))
        handler.end_headers()
        handler.wfile.write(OLD)

    return send


FAR = "Sat, 14 Mar 99999999999999999999 07:05:00 GMT"


@pytest.mark.parametrize(
    "header",
    [b'ETag: "\xe9\xff"', b"Last-Modified: \xe9", b"Last-Modified: " + FAR.encode()],
    ids=["etag", "letters", "year"],
)
def test_a_version_in_odd_letters_or_years_does_no_harm(site: Site, tmp_path: Path, header: bytes) -> None:
    site.answers["/a.wav"] = send_raw_header(header)
    source = write_list(tmp_path, site, "/a.wav")
    assert run(source, tmp_path / "out").is_complete
    assert run(source, tmp_path / "out", refresh=True).is_complete


@pytest.mark.parametrize(
    ("answerer", "reason"),
    [
        (web.answer(206, b"abc", Content_Range=f"bytes {'1' * 5000}-2/3"), "sends another part"),
        (web.answer(503, Retry_After=FAR), "the server answers 503"),
        (web.answer(304), "though nothing was here before"),
    ],
    ids=["range", "date", "not modified"],
)
def test_an_answer_that_makes_no_sense_is_a_failure(
    site: Site, tmp_path: Path, answerer: Answerer, reason: str
) -> None:
    site.answers["/a.wav"] = answerer
    assert run(write_list(tmp_path, site, "/a.wav"), tmp_path / "out").failed == 1
    assert reason in failures(tmp_path / "out")["a.wav"]


def test_a_first_page_that_says_it_is_unchanged_is_refused_in_words(site: Site, tmp_path: Path) -> None:
    site.answers["/r/"] = web.answer(304)
    with pytest.raises(UsageError, match="though nothing was here before"):
        run(f"{site.url}/r/", tmp_path / "out")


def test_addresses_that_want_the_same_name_are_all_kept(site: Site, tmp_path: Path) -> None:
    """A file that is a folder elsewhere, an ending that comes from the content, on any disk."""
    paths = [
        "/a.wav",
        "/a.wav/b.wav",
        "/c.wav/d.wav",
        "/c.wav",
        "/e",
        "/e.wav",
        "/F.WAV",
        "/f",
        "/g",
        "/G",
        "/h/i",
        "/h",
    ]
    paths += ["/j", "/j.wav/k.wav"]
    site.files = {path: make_audio(number) for number, path in enumerate(paths)}
    source = write_list(tmp_path, site, *paths)
    done = run(source, tmp_path / "out")
    assert (done.ok, done.failed, done.left) == (len(paths), 0, 0)
    assert sorted(recordings(tmp_path / "out").values()) == sorted(site.files.values())
    names = [name.casefold() for name in recordings(tmp_path / "out")]
    assert len(set(names)) == len(names)
    before = len(site.requests)
    assert run(source, tmp_path / "out").is_complete
    assert len(site.requests) == before, "the next run knows them all"


def test_half_characters_of_a_page_do_no_harm(site: Site, tmp_path: Path) -> None:
    (tmp_path / "sounds.yaml").write_text(
        "recordings:\n - items: list\n   address: '{at}'\n   columns: {title: '{t}'}\n", "utf-8"
    )
    site.files["/a.wav"] = make_audio(1)
    page = f'{{"list": [{{"at": "{site.url}/a.wav", "t": "x\\ud800y"}}, {{"at": "h\\udfff://x", "t": "z"}}]}}'
    site.answers["/list"] = web.answer(200, page.encode(), Content_Type="application/json")
    done = run(f"{site.url}/list", tmp_path / "out", recipe=str(tmp_path / "sounds.yaml"))
    assert (done.ok, done.failed) == (1, 1)
    assert list(read_table(tmp_path / "out" / "clips.parquet").rows["title"].to_pylist()) == ["x?y"]


def test_a_file_that_takes_too_long_is_its_own_failure_and_no_disk_trouble(site: Site, tmp_path: Path) -> None:
    site.answers["/a.wav"] = web.drip(OLD, each=400, pause_s=0.05)
    site.files["/b.wav"] = NEW
    policy = replace(QUICK, longest_file_s=0.3, least_bytes_s=1.0)
    done = run(write_list(tmp_path, site, "/a.wav", "/b.wav"), tmp_path / "out", policy)
    assert (done.ok, done.failed) == (1, 1)
    assert failures(tmp_path / "out")["a.wav"].startswith("takes longer than")
