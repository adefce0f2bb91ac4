"""Web addresses: which are understood, which hosts may be asked, and which network addresses are private."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass

import httpx

from hubbub.downloads.failures import FetchFailure, shorten
from hubbub.errors import UsageError

_PORTS = {"http": 80, "https": 443}
_LONGEST = 4096
_HOST = re.compile(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9_.])?")
_HOST_OF = re.compile(r"https?://([^/?#]+)")
_WITH_IPV4 = [ipaddress.IPv6Network(net) for net in ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96")]
"""Networks whose last 32 bits are an IPv4 address: the old compatible form, and those of translators."""
_ONLY_LOCAL = [ipaddress.IPv6Network(net) for net in ("fec0::/10", "64:ff9b:1::/48", "3fff::/20", "5f00::/16")]
"""Private networks that older versions of Python take for public ones."""
_PASSWORD = re.compile(r"//[^/?#\s]*@")


def parse_address(text: str, base: str | None = None) -> str:
    """Write an address in the one form that it is known by: absolute, encoded, without its fragment.

    Parameters
    ----------
    text
        As a list or a page has it.
    base
        The page's own address, which relative ones start from.

    Raises
    ------
    FetchFailure
        For anything but ``http://`` and ``https://``, an address with a password, or none at all.
    """
    text = text.strip()
    if len(text) > _LONGEST:
        raise FetchFailure(f"the address has {len(text)} characters; expected at most {_LONGEST}")
    try:
        url = httpx.URL(text) if base is None else httpx.URL(base).join(text)
        _ = url.port, url.host  # parsed when asked for
    except (httpx.InvalidURL, ValueError) as error:
        told = shorten(repr(hide_password(text)), 80)
        raise FetchFailure(f"{told} is no address: {hide_password(str(error))}; expected https://host/path") from None
    if url.scheme not in _PORTS or not (":" in url.host or _HOST.fullmatch(url.raw_host.decode("ascii"))):
        told = shorten(repr(hide_password(text)), 80)
        raise FetchFailure(f"{told} is no address of the web; expected https://host/path")
    if url.userinfo:
        raise FetchFailure(f"the address of {url.host} holds a user name or password; leave it out")
    return str(url.copy_with(fragment=None) if "#" in text else url)


def host_of(address: str) -> str:
    """Return the host of a parsed address, with its port where it is not the usual one."""
    found = _HOST_OF.match(address)
    assert found is not None, address
    return found[1]


def find_port(address: str) -> int:
    """Return the port that an address is asked at."""
    url = httpx.URL(address)
    return url.port or _PORTS[url.scheme]


@dataclass(frozen=True)
class AllowedHosts:
    """Hosts that may be asked.

    Attributes
    ----------
    names
        As `host_of` writes them; ``*.example.org`` stands for every host below example.org.
    """

    names: frozenset[str]

    @classmethod
    def of(cls, names: Iterable[str]) -> AllowedHosts:
        """Take hosts as people write them; raises `UsageError` for what is none."""
        return cls(frozenset(map(_parse_host, names)))

    def allows(self, host: str) -> bool:
        """Tell whether a host is among them."""
        if host in self.names:
            return True
        parts = host.split(".")
        return any("*." + ".".join(parts[start:]) in self.names for start in range(1, len(parts)))

    def check(self, address: str) -> None:
        """Refuse an address of another host; raises `FetchFailure`."""
        host = host_of(address)
        if not self.allows(host):
            raise FetchFailure(f"leads to {host}, which is not among the hosts given; allow it with --host {host}")


def _parse_host(name: str) -> str:
    """Write a host as `host_of` does, behind ``*.`` where it stands for all below it."""
    star, rest = ("*.", name.strip()[2:]) if name.strip().startswith("*.") else ("", name.strip())
    try:
        address = parse_address(f"https://{rest}")
    except FetchFailure:
        address = ""
    if not address or set(rest) & set("/?#@\\ ") or "*" in rest:
        raise UsageError(f"host {name!r}: expected a name such as cdn.example.org, one:8080, or '*.example.org'")
    return star + host_of(address)


def hide_password(text: str) -> str:
    """Return what somebody gave as an address, on one line, without a user name or password."""
    return _PASSWORD.sub("//…@", shorten(text))


async def resolve_host(
    host: str, port: int, *, allow_private: bool, advice: str = "if that is meant: --allow-private --retry-failed"
) -> list[str]:
    """Look a host up, and return its network addresses, which are then asked by number: no later look-up can differ.

    `advice` says what to do about a private one.

    Raises
    ------
    FetchFailure
        When the host is unknown, or when any of its addresses is private and these are not allowed.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        may_pass = getattr(error, "errno", None) == socket.EAI_AGAIN
        raise FetchFailure(
            f"the host {host} cannot be found: {getattr(error, 'strerror', None) or error}",
            is_transient=may_pass,
            is_of_host=True,
        ) from None
    numbers = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not allow_private and (private := [number for number in numbers if is_private(number)]):
        at = "is" if private[0] == host else f"is at {private[0]},"
        raise FetchFailure(f"{host} {at} a private network address; {advice}", is_of_host=True)
    return numbers


def is_private(number: str) -> bool:
    """Tell whether a network address is not one of the public Internet, itself or by the IPv4 address within it."""
    address = ipaddress.ip_address(number.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        within = address.ipv4_mapped or address.sixtofour
        if within is None and any(address in network for network in _WITH_IPV4):
            within = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if within is not None and is_private(str(within)):
            return True
        if any(address in network for network in _ONLY_LOCAL):
            return True
    return not address.is_global or address.is_multicast
