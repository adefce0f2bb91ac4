"""Which addresses and hosts are asked."""

from __future__ import annotations

import asyncio

import pytest

from hubbub.downloads.addresses import AllowedHosts, host_of, is_private, parse_address, resolve_host
from hubbub.downloads.failures import FetchFailure
from hubbub.downloads.pace import parse_retry_after
from hubbub.downloads.policy import make_policy
from hubbub.downloads.robots import read_robots
from hubbub.downloads.transfer import Transfer
from hubbub.errors import UsageError


@pytest.mark.parametrize(
    ("number", "private"),
    [
        *((number, True) for number in ("127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254")),
        *((number, True) for number in ("0.0.0.0", "100.64.0.1", "224.0.0.1", "::1", "fe80::1%eth0", "fc00::1")),
        *((number, True) for number in ("::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::")),
        *((number, True) for number in ("::127.0.0.1", "::ffff:0:7f00:1", "64:ff9b:1::7f00:1", "fec0::1", "3fff::1")),
        *((number, False) for number in ("8.8.8.8", "2606:4700::1", "64:ff9b::808:808", "::ffff:8.8.8.8")),
    ],
)
def test_private_network_addresses_are_known(number: str, private: bool) -> None:
    assert is_private(number) is private


def test_a_host_in_other_letters_is_asked_by_the_name_that_was_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def look_up(loop: object, host: str, port: int, **_: object) -> list[object]:
        asked.append(host)
        raise OSError

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", look_up)

    async def ask() -> None:
        transfer = Transfer(make_policy())
        async with transfer.send("https://xn--fa-hia.de/a.wav", {}):
            pass

    with pytest.raises(FetchFailure, match="cannot be found"):
        asyncio.run(ask())
    assert asked == ["xn--fa-hia.de"], "Python's own spelling of faß.de is fass.de, another host"


def test_a_name_of_this_machine_is_private() -> None:
    with pytest.raises(FetchFailure, match="--allow-private"):
        asyncio.run(resolve_host("localhost", 80, allow_private=False))
    assert asyncio.run(resolve_host("localhost", 80, allow_private=True))


def test_an_address_of_numbers_is_named_once() -> None:
    with pytest.raises(FetchFailure, match=r"^127\.0\.0\.1 is a private network address; .*--retry-failed"):
        asyncio.run(resolve_host("127.0.0.1", 80, allow_private=False))


def test_hosts_are_allowed_by_name_and_by_what_they_lie_below() -> None:
    allowed = AllowedHosts.of(["a.example", "*.b.example", "c.example:8080"])
    assert all(map(allowed.allows, ["a.example", "x.b.example", "y.x.b.example", "c.example:8080"]))
    assert AllowedHosts.of(["Bücher.example", "d.example:443"]).names == {"xn--bcher-kva.example", "d.example"}
    assert not any(map(allowed.allows, ["x.a.example", "b.example", "c.example", "evilb.example", "a.example:8080"]))


@pytest.mark.parametrize("text", ["https://h.example/", "*", "", "a b", "h.example/x", "*.*.example", "u@h.example"])
def test_a_host_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected a name such as"):
        AllowedHosts.of([text])


@pytest.mark.parametrize(
    ("text", "base", "address"),
    [
        ("HTTPS://H.Example:443/a b.wav#x", None, "https://h.example/a%20b.wav"),
        ("../b.wav", "https://h.example/x/y/", "https://h.example/x/b.wav"),
        ("//other.example/a", "https://h.example/", "https://other.example/a"),
        ("?display=1", "https://h.example/x", "https://h.example/x?display=1"),
    ],
)
def test_addresses_are_written_in_one_form(text: str, base: str | None, address: str) -> None:
    assert parse_address(text, base) == address
    assert "#" not in address


@pytest.mark.parametrize(
    "text",
    ["ftp://h/a.wav", "file:///etc/passwd", "a.wav", "", "https://", "https://u:p@h/a.wav", "http://h/" + "a" * 5000],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(FetchFailure, match="expected|leave it out"):
        parse_address(text)


def test_the_host_has_its_port_where_it_is_unusual() -> None:
    assert [host_of(text) for text in ("https://h/a", "http://h:8080/", "https://[::1]/a")] == ["h", "h:8080", "[::1]"]


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [("5", 5.0), ("0", 0.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0), ("soon", None), (None, None), ("-3", None)],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, wait_s: float | None) -> None:
    assert parse_retry_after(value) == wait_s


def test_robots_txt_says_what_and_how_fast() -> None:
    rules = read_robots(
        200, b"User-agent: other\nDisallow: /\n\nUser-agent: hubbub\nDisallow: /*.mp3$\nRequest-rate: 1/5\n"
    )
    assert rules.allows("https://h/a.wav")
    assert not rules.allows("https://h/a.mp3")
    assert rules.interval_s == 5.0
    assert read_robots(404, b"").allows("https://h/a.wav")
    assert not read_robots(503, b"").allows("https://h/a.wav")
    assert read_robots(200, b"\xff\xfe garbage \x00").allows("https://h/a.wav")
